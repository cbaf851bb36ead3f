"""The filters of prompt templates: they change text, never make much more of it."""

import json
from collections.abc import Callable
from typing import Any

from jinja2 import Undefined

from components.errors import TemplateError

LONGEST_OUTPUT = 50_000


def shown(value: Any) -> str:
    """A value as it stands in a prompt: text as it is, nothing for an empty cell, anything else as JSON."""
    if isinstance(value, (str, Undefined)):
        return str(value)
    return "" if value is None else as_json(value)


def as_json(value: Any) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def items_of(value: Any) -> list[Any]:
    """The list that a loop or 'join' goes over."""
    if isinstance(value, Undefined):
        str(value)
    if not isinstance(value, list):
        raise TemplateError("The template needs a list where this row has none.")
    return value


def _replace(value: Any, old: str = "", new: str = "") -> str:
    text, old, new = shown(value), str(old), str(new)
    if not old:
        raise TemplateError("The filter 'replace' needs the text to be replaced.")
    return _short_enough(len(text) + text.count(old) * (len(new) - len(old)), lambda: text.replace(old, new))


def _join(value: Any, between: str = "") -> str:
    texts, between = [shown(item) for item in items_of(value)], str(between)
    return _short_enough(sum(map(len, texts)) + len(between) * len(texts), lambda: between.join(texts))


def _short_enough(length: int, make: Callable[[], str]) -> str:
    if length > LONGEST_OUTPUT:
        raise TemplateError(f"The prompt of this row is longer than {LONGEST_OUTPUT:,} characters.")
    return make()


def _truncate(value: Any, length: Any = 255) -> str:
    text = shown(value)
    if not isinstance(length, int) or length < 1:
        raise TemplateError("The filter 'truncate' takes a whole number of characters.")
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _round(value: Any, digits: Any = None) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TemplateError("The filter 'round' takes a number.")
    if digits is not None and not (isinstance(digits, int) and 0 <= digits <= 20):
        raise TemplateError("The filter 'round' takes 0 to 20 digits.")
    return round(value, digits)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (str, list, dict, Undefined)) else len(shown(value))


def _edge(index: int) -> Callable[[Any], Any]:
    def pick(value: Any) -> Any:
        if isinstance(value, Undefined):
            str(value)
        if not isinstance(value, (str, list)):
            raise TemplateError("The filters 'first' and 'last' take a list or a text.")
        return value[index] if value else None

    return pick


def _default(value: Any, instead: Any = "") -> Any:
    return instead if value is None or isinstance(value, Undefined) else value


FILTERS: dict[str, Callable[..., Any]] = {
    "trim": lambda value: shown(value).strip(),
    "upper": lambda value: shown(value).upper(),
    "lower": lambda value: shown(value).lower(),
    "length": _length,
    "join": _join,
    "replace": _replace,
    "default": _default,
    "tojson": lambda value: as_json(value) if not isinstance(value, Undefined) else str(value),
    "truncate": _truncate,
    "first": _edge(0),
    "last": _edge(-1),
    "round": _round,
}
