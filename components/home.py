"""Where everything is kept."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "STILLROOM_HOME"


def home() -> Path:
    """The folder that holds everything: `STILLROOM_HOME`, or `.stillroom` in the user's home."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".stillroom").expanduser()


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """Keep everything of this process in that folder meanwhile."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
