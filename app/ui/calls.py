"""Functions that the scripts of a page may call: what goes wrong arrives there as one sentence."""

import functools
from collections.abc import Callable
from typing import Any

from components.errors import StillroomError

Answer = dict[str, Any]


def answering(function: Callable[[Answer], Answer | None]) -> Callable[[Any], Answer]:
    """The function with its answer, or what went wrong, in an envelope; Gradio itself would hide an error."""

    @functools.wraps(function)
    def answered(argument: Any = None) -> Answer:
        try:
            return {"ok": True, **(function(argument if isinstance(argument, dict) else {}) or {})}
        except StillroomError as error:
            return {"ok": False, "error": error.message}

    return answered


def text(argument: Answer, name: str) -> str:
    """A text that the page sent; empty where it sent none."""
    value = argument.get(name)
    return value if isinstance(value, str) else ""
