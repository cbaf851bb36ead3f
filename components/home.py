"""Where everything is kept."""

import os
from pathlib import Path


def home() -> Path:
    """The folder that holds everything: `STILLROOM_HOME`, or `.stillroom` in the user's home."""
    return Path(os.environ.get("STILLROOM_HOME") or Path.home() / ".stillroom").expanduser()
