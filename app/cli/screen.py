"""Where the words of a command go: the answer to standard output, everything else to standard error."""

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

import typer

from components.errors import StillroomError
from components.states import RunState


class WrongUse(StillroomError):
    """The command line is wrong; nothing was started."""


class Screen:
    """Says things to a person, or gives one JSON document to a machine."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json

    def note(self, text: str) -> None:
        """Something to know, beside the answer."""
        typer.echo(printable(text), err=True)

    def answer(self, document: Any, text: str) -> None:
        """The answer: the document for a machine, the text for a person."""
        typer.echo(json.dumps(document, indent=2, default=str) if self.as_json else printable(text))


def printable(text: str) -> str:
    """Text that cannot steer a terminal: signs without a shape of their own are written out."""
    return "".join(sign if _has_shape(sign) else sign.encode("unicode_escape").decode() for sign in text)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in aligned columns; the first row is the head."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def shortened(text: str, most: int = 200) -> str:
    """Text on one line, cut after so many signs."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def count(number: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def money(amount: float, is_known: bool = True) -> str:
    """US dollars, to the cent from one dollar on; what nobody knows is never shown as 0."""
    if not is_known:
        return f"${amount:,.4f} and more that is unknown" if amount else "cost unknown"
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:,.4f}"


def in_words(state: str) -> str:
    """The state of a run as people say it."""
    return "waiting for a batch" if state == RunState.WAITING_BATCH else state.replace("_", " ")


def _has_shape(sign: str) -> bool:
    return sign.isprintable() or sign == "\n" or unicodedata.category(sign) == "Zs"
