"""What the very same step has used before: tokens and seconds for each call, from the ledger."""

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from components.pipeline.ledger import Ledger
from components.pipeline.ledger.cells import CELL, RUN, STEP
from components.states import CellState

RUNS = 3
CELLS = 500
LEAST_SPREAD = 0.1
"""However alike a few answers were, the next thousand are not that alike."""


@dataclass(frozen=True)
class Range:
    """From, to."""

    low: float
    high: float

    def __mul__(self, factor: float) -> "Range":
        return Range(self.low * factor, self.high * factor)

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)


@dataclass(frozen=True)
class Measure:
    """What one row of a step takes."""

    rows: int
    """How many rows were measured."""
    tokens_in: Range
    tokens_out: Range
    seconds: float


def measure(ledger: Ledger, signature: str) -> Measure | None:
    """What a step with this signature took in its last runs; None when it never asked a model."""
    runs = (
        select(STEP.c.run_id, STEP.c.step)
        .join(RUN, RUN.c.id == STEP.c.run_id)
        .where(STEP.c.signature == signature, STEP.c.attempts > 0)
        .order_by(RUN.c.created_at.desc())
        .limit(RUNS)
    )
    with ledger.database.read() as connection:
        found = connection.execute(runs).all()
        rows: list[Any] = []
        for run_id, step in found:
            query = (
                select(CELL.c.tokens_in, CELL.c.tokens_out, CELL.c.seconds)
                .where(CELL.c.run_id == run_id, CELL.c.step == step, CELL.c.is_reused.is_(False))
                .where(CELL.c.is_rehearsal.is_(False), CELL.c.tokens_out > 0)
                .where(CELL.c.state.in_([str(CellState.OK), str(CellState.NEEDS_REVIEW)]))
                .limit(CELLS)
            )
            rows += connection.execute(query).all()
    if not rows:
        return None
    read, written, seconds = zip(*rows, strict=True)
    return Measure(len(rows), _range(read), _range(written), sum(seconds) / len(seconds))


def _range(values: tuple[float, ...]) -> Range:
    """Where the mean of many more rows will likely be."""
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))
    # Of one row nothing is known about how rows differ.
    spread = max(LEAST_SPREAD * mean, 2 * deviation / math.sqrt(len(values)), mean / 2 if len(values) == 1 else 0.0)
    return Range(max(0.0, mean - spread), mean + spread)
