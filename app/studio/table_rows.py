"""How rows, columns and cells of results are told to a page: plain data, long texts shortened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.studio.labels import LabelRecord
from app.studio.layout import Layout
from app.studio.progress import moment
from components.states import LabelState

SHORTENED = 500
"""The longest text in a page of rows."""


@dataclass
class Row:
    """A row with what people said about it."""

    row: str
    state: str
    reason: str
    message: str
    values: dict[str, Any]
    """What counts: a person's word, else the model's."""
    original: dict[str, Any] = field(default_factory=dict)
    """The model's own value, where a person put another one."""
    label_state: dict[str, LabelState] = field(default_factory=dict)
    """For the values that a person looked at."""


def position(row: str) -> int:
    """The place of a row among the rows of its source, from 0."""
    first = row.partition(".")[0]
    return int(first) if first.isdigit() else 0


def column_of(layout: Layout, name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """A column, with what may be put into it."""
    column: dict[str, Any] = {"name": name, "kind": _kind(name, rows), "editable": layout.may_edit(name)}
    if name in layout.makers:
        column["step"] = layout.makers[name]
    if name in layout.choices:
        column["choices"] = layout.choices[name]
    return column


def _kind(name: str, rows: Sequence[Row]) -> str:
    values = [row.values[name] for row in rows if row.values.get(name) is not None]
    for kind, types in (("boolean", (bool,)), ("number", (int, float)), ("text", (str,)), ("list", (list,))):
        if values and all(isinstance(value, types) for value in values):
            return kind
    return "json" if values else "text"


def row_of(row: Row, longest: int | None) -> dict[str, Any]:
    """A row of a page; `shortened` names the columns whose text is not whole."""
    cut = [] if longest is None else [name for name, value in row.values.items() if _length(value) > longest]
    return {
        "row": row.row,
        "position": position(row.row),
        "state": row.state,
        "reason": row.reason,
        "message": row.message,
        "label_state": row.label_state,
        "values": {name: shortened(value, longest) for name, value in row.values.items()},
        "original": {name: shortened(value, longest) for name, value in row.original.items()},
        "shortened": cut,
    }


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return len(orjson.dumps(value)) if isinstance(value, (list, dict)) else 0


def shortened(value: Any, longest: int | None) -> Any:
    """A value whose text is no longer than `longest`; None leaves it whole."""
    if longest is None or _length(value) <= longest:
        return value
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text[:longest] + "…"


def cell_of(cell: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """One step on the way to a row."""
    return {
        "step": cell["step"],
        "state": cell["state"],
        "reason": cell["reason"],
        "message": cell["message"],
        "model": cell["model"],
        "prompt": _messages(cell["prompt"]),
        "raw": cell["raw"] or [],
        "values": values,
        "tokens_in": cell["tokens_in"],
        "tokens_out": cell["tokens_out"],
        "cost": cell["cost"],
        "cost_known": cell["cost_known"],
        "seconds": cell["seconds"],
        "attempts": cell["attempts"],
        "finished_at": moment(cell["finished_at"]),
        "rehearsal": cell["is_rehearsal"],
        "reused": cell["is_reused"],
    }


def _messages(prompt: Any) -> list[dict[str, Any]]:
    if prompt is None:
        return []
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)


def label_of(label: LabelRecord) -> dict[str, Any]:
    """What a person said once."""
    return {
        "step": label.step,
        "column": label.column,
        "value": label.value,
        "was": label.was,
        "label_state": str(label.state),
        "at": moment(label.at),
        "note": label.note,
        "reviewer": label.reviewer,
    }
