"""What a call is for and what it answers, apart from the HTTP library, which is read only when a call is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

SECONDS = 120.0
"""Until a reply must begin, unless the model says otherwise."""


class Call(Enum):
    """What a call is for, which decides what its failure means."""

    LOOK = "look"
    FIND = "find"
    """It asks for one job or file, so 404 says that there is none."""
    SEND = "send"
    MAKE = "make"
    """It makes a batch: while its outcome is not known, it is not tried again."""


@dataclass(frozen=True)
class Answer:
    """The JSON of a reply, and its headers."""

    data: Any
    headers: Mapping[str, str]
