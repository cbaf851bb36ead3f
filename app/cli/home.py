"""The studio that a command works in, and the runs in it."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli.screen import WrongUse
from app.settings import Settings
from app.studio import Studio
from components.errors import ConfigError, LedgerError
from components.home import at_home
from components.pipeline.ledger import Ledger, Run

SHORT = 10
"""As many signs of a run's id are shown; any start of it that only one run has will do."""


@contextmanager
def opened(home: Path | None) -> Iterator[Studio]:
    """The studio of a home folder, with everything written down when the block ends.

    Raises: WrongUse for settings that are wrong.
    """
    try:
        settings = Settings.read(home=home)
    except ConfigError as error:
        raise WrongUse(str(error)) from None
    # Before the database is made in it: nobody else may look into this folder.
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise WrongUse(f"The folder {settings.home} cannot be used: {error.strerror}. Choose another --home.") from None
    studio = Studio(settings, Ledger(settings.database_url))
    try:
        with at_home(settings.home):
            yield studio
    finally:
        studio.ledger.close()


def find(studio: Studio, start_of_id: str) -> Run:
    """The run whose id starts so, with or without its `r_`. Raises: WrongUse when none or several do."""
    start = start_of_id if start_of_id.startswith("r_") else f"r_{start_of_id}"
    try:
        return studio.ledger.find_run(start)
    except LedgerError as error:
        raise WrongUse(f"{error} `stillroom runs` lists them.") from None


def command(name: str, run_id: str, home: Path | None, rest: str = "") -> str:
    """A command to type next."""
    words = ["stillroom", name, run_id[:SHORT], *([rest] if rest else [])]
    return " ".join([*words, *(["--home", shlex.quote(str(home))] if home else [])])
