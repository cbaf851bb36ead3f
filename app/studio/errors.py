"""What can go wrong only where several people and windows share things.

StillroomError
├─ NotFound        no pipeline, dataset, connection or row of that id
└─ EditConflict    somebody else saved it meanwhile
"""

from components.errors import StillroomError


class NotFound(StillroomError):
    """There is nothing of that id."""


class EditConflict(StillroomError):
    """It was changed in another window meanwhile."""
