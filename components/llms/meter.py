"""What one cell has used of a model, and the place that it holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from components.llms.window import Window


@dataclass
class Meter:
    """What one cell has used so far."""

    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    cost_known: bool = True
    seconds: float = 0.0
    in_flight: int = 0
    is_paid: bool = False
    slot: Window | None = None
    """The place among the run's calls that the cell keeps until what it paid for is committed."""

    def left(self) -> None:
        """One of the cell's calls has ended; the last gives the place back if there is nothing to commit."""
        self.in_flight -= 1
        if not self.in_flight and not self.is_paid:
            self.release()

    @property
    def used(self) -> dict[str, int | float | bool]:
        """What it counted, as the ledger keeps it."""
        return {
            "tokens_in": self.input_tokens,
            "tokens_out": self.output_tokens,
            "cost": self.cost,
            "cost_known": self.cost_known,
            "seconds": self.seconds,
            "attempts": self.attempts,
        }

    def release(self) -> None:
        """Give the place to another cell."""
        if self.slot is not None:
            self.slot.leave()
            self.slot = None


_meter: ContextVar[Meter | None] = ContextVar("meter", default=None)


def current_meter() -> Meter | None:
    """The meter of the cell that is being worked on, if any."""
    return _meter.get()


@contextmanager
def metered(meter: Meter | None = None) -> Iterator[Meter]:
    """Count what the calls inside the block use, on a meter that is there already or on a new one."""
    meter = meter or Meter()
    token = _meter.set(meter)
    try:
        yield meter
    finally:
        _meter.reset(token)
