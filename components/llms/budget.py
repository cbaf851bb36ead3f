"""The spending cap of a run."""

import asyncio

from components.errors import CapReached


class Budget:
    """A spending cap in US dollars that is never passed: the most a call can cost is set aside before it starts."""

    def __init__(self, cap: float | None = None, spent: float = 0.0) -> None:
        self.cap = cap
        self.spent = spent
        self.reserved = 0.0
        self.refused_at: float | None = None
        """The cap at which an amount did not fit last."""
        self.promised = 0.0
        """What batch jobs that are out may cost."""
        self._out = 0
        self._waiting: list[asyncio.Future[None]] = []

    async def set_aside(self, amount: float) -> None:
        """Set an amount aside; where it only fits once calls that are out turn out cheaper, wait for them.

        Raises: CapReached when it does not fit at all.
        """
        while self.cap is not None and self._out and self.spent + amount <= self.cap < self._taken() + amount:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self.reserve(amount)

    def reserve(self, amount: float) -> None:
        """Set an amount aside. Raises: CapReached when it does not fit."""
        self.check(amount)
        self.reserved += amount
        self._out += 1

    def check(self, amount: float) -> None:
        """Raises: CapReached when an amount does not fit."""
        if self.cap is not None and self._taken() + amount > self.cap:
            self.refused_at = self.cap
            raise CapReached(
                f"The spending cap of ${self.cap:,.2f} would be passed: ${self.spent:,.4f} is spent. "
                "Raise the cap to go on."
            )

    def settle(self, reserved: float, actual: float) -> None:
        """Give back what was set aside and book what was spent."""
        self._out -= 1
        # What rounding left over would otherwise look like a call that never comes back.
        self.reserved = self.reserved - reserved if self._out else 0.0
        self.book(actual)

    def book(self, actual: float) -> None:
        """Book what was spent, and let those try again who wait for what was set aside."""
        self.spent += actual
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)

    def _taken(self) -> float:
        return self.spent + self.reserved + self.promised
