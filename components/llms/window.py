"""How many calls may be out at once: it grows while the provider keeps up and shrinks when told to slow down."""

import asyncio
import time
from collections import deque

from components.errors import ProviderDown, RateLimited

START = 8
SHRINK = 0.8
SHRINK_EVERY = 10.0
GROWTH = 0.05
BREAKER_SAMPLE = 20
BREAKER_PAUSE = 30.0
BREAKER_CEILING = 300.0


class Halted(BaseException):
    """The run is coming to a rest; no further call goes out."""


class Window:
    """Additive increase, multiplicative decrease over one account and model.

    Doubles after every clean window until the first rate limit, then grows 5 % per clean window; a rate limit takes
    a fifth away, at most once in 10 seconds. When half of the last 20 calls fail on the provider's side, everything
    waits 30 seconds (doubling up to 5 minutes) and one call tries again.
    """

    def __init__(self, *, ceiling: int, is_fixed: bool = False, starts_full: bool = False) -> None:
        """`starts_full`: take no time to find out how much is taken, as from a server on this machine."""
        self.ceiling = max(1, ceiling)
        self.limit = float(self.ceiling if is_fixed or starts_full else min(START, self.ceiling))
        self.in_flight = 0
        self._is_fixed = is_fixed
        self._was_limited = False
        self._clean = 0
        self._shrunk_at = float("-inf")
        self._paused_until = float("-inf")
        self._outcomes: deque[bool] = deque(maxlen=BREAKER_SAMPLE)
        self._breaker_pause = BREAKER_PAUSE
        self._is_probing = False
        self._probe_is_out = False
        self._is_halted = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def seconds_paused(self) -> float:
        """Seconds until calls may go out again; 0 when they may now."""
        return max(0.0, self._paused_until - time.monotonic())

    @property
    def is_free(self) -> bool:
        """Whether somebody who comes now would get a place at once."""
        return not self._waiting and self._has_place()

    async def enter(self) -> None:
        """Wait for a place, first come first served. Raises: Halted."""
        if self.is_free:
            self._admit()
            return
        if self._is_halted:
            raise Halted
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._wake_after_pause()
        try:
            await place
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            elif not place.cancelled() and place.exception() is None:
                self.leave()
            raise

    def halt(self) -> None:
        """Send everybody who waits for a place away with Halted, and whoever would have to wait from now on."""
        self._is_halted = True
        waiting, self._waiting = self._waiting, deque()
        for place in waiting:
            if not place.done():
                place.set_exception(Halted())

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self._wake()

    def succeeded(self) -> None:
        """A call was answered."""
        self._outcomes.append(True)
        self._is_probing = False
        self._breaker_pause = BREAKER_PAUSE
        if self._is_fixed or self.limit >= self.ceiling:
            return
        self._clean += 1
        if self._clean >= self.limit:
            self._clean = 0
            step = max(1.0, self.limit * GROWTH) if self._was_limited else self.limit
            self.limit = min(self.ceiling, self.limit + step)

    def failed(self, error: Exception, *, is_repeat: bool = False) -> None:
        """A call failed. A request or an answer that was refused is an answer all the same.

        A call that `is_repeat` says little about the provider: a few rows that always fail are no outage.
        """
        self._clean = 0
        if isinstance(error, ProviderDown):
            self._was_down(is_repeat)
            return
        self._outcomes.append(True)
        self._is_probing = False
        if isinstance(error, RateLimited):
            self._was_limited = True
            now = time.monotonic()
            if not self._is_fixed and now - self._shrunk_at >= SHRINK_EVERY:
                self._shrunk_at = now
                self.limit = max(1.0, self.limit * SHRINK)

    def _was_down(self, is_repeat: bool) -> None:
        if self._is_probing:
            # Calls that were out already when the breaker opened say nothing about how things are now.
            if self._probe_is_out:
                self._open_breaker()
            return
        if is_repeat:
            return
        self._outcomes.append(False)
        if len(self._outcomes) == BREAKER_SAMPLE and self._outcomes.count(False) * 2 >= BREAKER_SAMPLE:
            self._open_breaker()

    def _open_breaker(self) -> None:
        self.pause_until(time.monotonic() + self._breaker_pause)
        self._breaker_pause = min(self._breaker_pause * 2, BREAKER_CEILING)
        self._outcomes.clear()
        self._is_probing = True
        self._probe_is_out = False

    def pause_until(self, moment: float) -> None:
        """Let no call out before this moment of the monotonic clock."""
        self._paused_until = max(self._paused_until, moment)

    def _has_place(self) -> bool:
        if self.seconds_paused:
            return False
        return self.in_flight < (1 if self._is_probing else int(self.limit))

    def _admit(self) -> None:
        self.in_flight += 1
        self._probe_is_out = self._is_probing

    def _wake(self) -> None:
        while self._waiting and self._has_place():
            place = self._waiting.popleft()
            if not place.done():
                self._admit()
                place.set_result(None)
        self._wake_after_pause()

    def _wake_after_pause(self) -> None:
        if self._waiting and self._alarm is None and self.seconds_paused:
            self._alarm = asyncio.get_running_loop().call_later(self.seconds_paused, self._pause_is_over)

    def _pause_is_over(self) -> None:
        self._alarm = None
        self._wake()
