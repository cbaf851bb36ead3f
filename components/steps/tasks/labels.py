"""Answers that must be one of a list of labels. None is ever taken for another."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from components.errors import NotInLabels
from components.steps.tasks.task import as_text

AROUND = " \t\r\n\"'`*_.,;:!()[]"
LONGEST_QUOTE = 80


def label_named(answer: Any, labels: Sequence[str]) -> str:
    """The label that an answer names; case, spaces and punctuation around it do not matter.

    Raises: NotInLabels when it is none of them, or could be several.
    """
    text = answer if isinstance(answer, str) else as_text(answer)
    if text in labels:
        return text
    named = _by_plain_name(tuple(labels)).get(plain_name(text))
    if named is None:
        raise NotInLabels(f"The answer '{shortened(text)}' is none of the labels.")
    return named


def plain_name(label: str) -> str:
    """A label without what writers vary: case, spaces, quotes, punctuation around it."""
    return " ".join(label.strip(AROUND).casefold().split())


def shortened(text: str) -> str:
    """A text as a sentence may quote it."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 1] + "…"


@lru_cache(maxsize=64)
def _by_plain_name(labels: tuple[str, ...]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for label in labels:
        name = plain_name(label)
        found[name] = None if name in found else label
    return found
