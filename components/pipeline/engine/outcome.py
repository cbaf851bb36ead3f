"""What came of working on one row of one step."""

import time
from dataclasses import dataclass, field
from typing import Any

import orjson

from components.errors import ConfigError
from components.llms.meter import Meter
from components.pipeline.ledger.cells import whole_text
from components.states import CellState, Reason
from components.steps.typing import Row


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
    """An outcome as the ledger keeps it."""
    meter = outcome.meter
    return {
        "run_id": run_id,
        "step": step,
        "row": row,
        "state": str(outcome.state),
        "key": key,
        "output": to_json(outcome.rows, step) if outcome.flows_on else None,
        "n_out": len(outcome.rows) if outcome.flows_on else 0,
        "reason": str(outcome.reason or ""),
        "message": whole_text(outcome.message[:2000]),
        "model": outcome.model,
        "prompt": None if outcome.prompt is None else to_json(outcome.prompt, step),
        "raw": to_json(outcome.raw, step) if outcome.raw else None,
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


def to_json(value: Any, step: str) -> bytes:
    """A value as JSON bytes. Raises: ConfigError naming the column that cannot be kept."""
    try:
        return orjson.dumps(value, default=_default, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(value, list):
            for row in value:
                for name, item in row.items() if isinstance(row, dict) else ():
                    _check_column(name, item, step)
        raise ConfigError(f"Step '{step}' made a row that cannot be kept as JSON: {error}.") from None


def _check_column(name: str, item: Any, step: str) -> None:
    try:
        orjson.dumps(item, default=_default, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"Column '{name}' of step '{step}' holds a {type(item).__name__} that cannot be kept as JSON: {error}. "
            "Turn it into text, a number, a list or a dict."
        ) from None


def _default(value: Any) -> Any:
    # Integers past 64 bits and lone surrogates are legal in Python and in JSON, but not for orjson.
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        return value.model_json_schema()
    raise TypeError(f"it is a {type(value).__name__}")
