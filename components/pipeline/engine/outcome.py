"""What came of working on one row of one step."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from math import isfinite
from pathlib import PurePath
from typing import Any

import orjson

from components.errors import ConfigError
from components.llms.meter import Meter
from components.llms.redaction import without_keys
from components.pipeline.ledger.cells import whole_text
from components.pipeline.ledger.names import in_words
from components.states import CellState, Reason
from components.steps.typing import Row

EXACT = frozenset({str, int, bool, type(None)})
NUMBERS = frozenset({int, float})
NESTED = frozenset({list, dict})
PLAIN = EXACT | NESTED | {float}
TEXT = frozenset({str})
UNKEEPABLE = (TypeError, ValueError, RecursionError)


@dataclass
class Outcome:
    """The rows a cell made, or why it made none."""

    rows: list[Row] = field(default_factory=list)
    state: CellState = CellState.OK
    reason: Reason | None = None
    message: str = ""
    prompt: Any = None
    raw: list[str | None] = field(default_factory=list)
    model: str = ""
    is_rehearsal: bool = False
    meter: Meter = field(default_factory=Meter)

    @property
    def flows_on(self) -> bool:
        """Whether later steps get to see its rows."""
        return self.state in (CellState.OK, CellState.NEEDS_REVIEW)


def as_cell(run_id: str, step: str, row: str, key: str, outcome: Outcome, *, replaces: bool = False) -> dict[str, Any]:
    """An outcome as the ledger keeps it; its rows are from now on as they would be read from there.

    Raises: ConfigError naming the row and the column that cannot be kept.
    """
    output = None
    if outcome.flows_on:
        output = _kept(outcome.rows, step, row)
        if not is_plain(outcome.rows):
            # Later steps must see the same whether they go on in this sitting or in a later one.
            outcome.rows = orjson.loads(output)
    meter = outcome.meter
    return {
        "run_id": run_id,
        "step": step,
        "row": row,
        "state": str(outcome.state),
        "key": key,
        "output": output,
        "n_out": len(outcome.rows) if outcome.flows_on else 0,
        "reason": str(outcome.reason or ""),
        # Somebody's own model may repeat its key in what it raises.
        "message": whole_text(without_keys(outcome.message)[:2000]) if outcome.message else "",
        "model": outcome.model,
        "prompt": None if outcome.prompt is None else to_json(outcome.prompt, f"The prompt of step '{step}'"),
        "raw": to_json(outcome.raw, f"The answer in step '{step}'") if outcome.raw else None,
        "tokens_in": meter.input_tokens,
        "tokens_out": meter.output_tokens,
        "cost": meter.cost,
        "cost_known": meter.cost_known,
        "seconds": meter.seconds,
        "attempts": meter.attempts,
        "is_reused": False,
        "is_rehearsal": outcome.is_rehearsal,
        "finished_at": time.time(),
        "replaces": replaces,
    }


def to_json(value: Any, what: str) -> bytes:
    """A value as JSON bytes. Raises: ConfigError saying what it is that cannot be kept."""
    try:
        return _dumped(value)
    except UNKEEPABLE as error:
        raise ConfigError(f"{what} cannot be kept as JSON: {error}.") from None


def is_plain(values: Collection[Any]) -> bool:
    """Whether values come back from JSON as they are, types and all."""
    kinds = set(map(type, values))
    if kinds <= EXACT:
        return True
    if kinds <= NUMBERS:
        return all(map(isfinite, values))
    if float in kinds and not all(isfinite(value) for value in values if type(value) is float):
        return False
    return kinds <= PLAIN and all(
        is_plain(value) if type(value) is list else is_plain(value.values()) and set(map(type, value)) <= TEXT
        for value in values
        if type(value) in NESTED
    )


def _kept(rows: list[Row], step: str, row: str) -> bytes:
    try:
        return _dumped(rows)
    except UNKEEPABLE as error:
        which = f"{in_words(row)} of step '{step}'"
        for made in rows:
            for name, item in made.items():
                _check_column(name, item, which)
        raise ConfigError(f"{which} cannot be kept as JSON: {error}.") from None


def _check_column(name: str, item: Any, row: str) -> None:
    try:
        _dumped(item)
    except UNKEEPABLE as error:
        raise ConfigError(
            f"{row} cannot be kept: its column '{name}' holds a {type(item).__name__} that is no JSON: {error}. "
            "Turn it into text, a number, a list or a dict."
        ) from None


def _dumped(value: Any) -> bytes:
    return orjson.dumps(value, default=_default, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _default(value: Any) -> Any:
    # Integers past 64 bits and lone surrogates are legal in Python and in JSON, but not for orjson.
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, (set, frozenset)):
        # In an order that is the same in every process, as the order is part of a row's identity.
        return sorted(value, key=repr)
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        return value.model_json_schema()
    raise TypeError(f"it is a {type(value).__name__}")
