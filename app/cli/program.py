"""How a command ends: with an exit code, and an error in one sentence, never a traceback."""

import sys
from collections.abc import Sequence
from typing import Any

from typer import TyperException
from typer.core import TyperGroup

from app.cli.screen import Screen, WrongUse
from components.errors import StillroomError

DONE, FAILED, WRONG_USE, DONE_WITH_FAILURES = 0, 1, 2, 3


class Program(TyperGroup):
    """All commands; what a command returns is the exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(given, *rest, **{**extra, "standalone_mode": False})
        except TyperException as error:
            code = _told(given, error.format_message(), WRONG_USE)
        except StillroomError as error:
            code = _told(given, str(error), WRONG_USE if isinstance(error, WrongUse) else FAILED)
        sys.exit(code or DONE)


def _told(given: Sequence[str], message: str, code: int) -> int:
    as_json = "--json" in given
    screen = Screen(as_json)
    screen.note(message)
    if as_json:
        screen.answer({"error": message}, "")
    return code
