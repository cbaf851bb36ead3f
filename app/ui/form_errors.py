"""Puts each problem at the field it is about, in words that fit there."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.ui.form_fields import Field
from app.ui.form_values import value_at
from app.ui.form_widgets import field_id
from components.pipeline.problem import Problem

NEEDS_VALUE = re.compile(r"needs a value for '[^']*'")
OPENING = re.compile(r"^(?:Step '[^']*'|[\w.]+(?: of step '[^']*')?): (?:'[^']*' )?")


def errors_at_fields(
    problems: Iterable[Problem], fields: Sequence[Field], data: Mapping[str, Any]
) -> tuple[dict[str, str], list[str]]:
    """Messages by the id of the field's element, and those that are about no field that shows."""
    at_fields: dict[str, str] = {}
    others: list[str] = []
    for problem in problems:
        field = _field_of(problem, fields, data)
        if field is not None:
            at_fields.setdefault(field_id(field), said_at_field(problem.message))
        elif problem.severity == "error":
            others.append(problem.message)
    return at_fields, others


def said_at_field(message: str) -> str:
    """A problem without the names that its place makes plain."""
    if NEEDS_VALUE.search(message):
        return "This needs a value."
    text = OPENING.sub("", message)
    return text[:1].upper() + text[1:]


def _field_of(problem: Problem, fields: Sequence[Field], data: Mapping[str, Any]) -> Field | None:
    path = tuple(part for part in problem.field.split(".") if part)
    if not path:
        return None
    for length in range(len(path), 0, -1):
        near = [field for field in fields if field.path[:length] == path[:length]]
        exact = [field for field in near if field.path == path[:length]]
        if exact:
            return exact[0]
        named = [field for field in near if any(f"'{word}'" in problem.message for word in _words(field, data))]
        if named:
            return named[0]
    return None


def _words(field: Field, data: Mapping[str, Any]) -> list[str]:
    """What a message may call a field: its name, and for a column, the name it has in the rows."""
    mapped = value_at(data, field.path, "")
    return [field.path[-1], *([mapped] if field.path[0] == "input_mappings" and isinstance(mapped, str) else [])]
