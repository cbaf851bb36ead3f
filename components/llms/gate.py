"""The gate every call to a model goes through: it waits its turn, keeps the cap, retries and counts."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from components.errors import ProviderError, RateLimited, ReplyError
from components.llms.budget import Budget
from components.llms.journal import current_journal
from components.llms.meter import Meter, current_meter
from components.llms.pricing import Price
from components.llms.typing import Counted
from components.llms.window import Halted, Window

__all__ = ["Gate", "Halted", "RetryPolicy", "current_gate", "through"]

MOST_TOKENS = 10**12
"""More than any call reads or writes; a server that counts more has miscounted."""

Output = TypeVar("Output", bound=Counted)


class Called(Protocol):
    """What the gate asks of a model that calls go to."""

    @property
    def account(self) -> str: ...

    @property
    def model_name(self) -> str: ...

    @property
    def is_local(self) -> bool: ...

    @property
    def is_near(self) -> bool: ...

    @property
    def price(self) -> Price | None: ...

    def most_tokens(self, input: Any, num_generations: int, kwargs: Mapping[str, Any]) -> tuple[int, int]: ...


@dataclass(frozen=True)
class RetryPolicy:
    """How long to keep trying."""

    attempts: int = 6
    """Tries for a call that fails on the provider's side."""
    transient_base: float = 0.5
    transient_ceiling: float = 30.0
    rate_base: float = 1.0
    rate_ceiling: float = 60.0
    retry_after_ceiling: float = 120.0
    rate_patience: float = 900.0
    """Seconds a call may spend being told to slow down before its row fails."""

    def pause(self, error: ProviderError, tries: int) -> float:
        """Seconds to wait after a failed try; `tries` counts from 1."""
        doubled = 2.0 ** min(tries - 1, 60)
        if isinstance(error, RateLimited):
            # A wait of no time, as from a date on a clock that is behind ours, would be a call after call.
            if error.retry_after:
                return min(error.retry_after, self.retry_after_ceiling) * (1 + 0.3 * random.random())
            top = min(self.rate_base * doubled, self.rate_ceiling)
            return top * (0.5 + 0.5 * random.random())
        return random.random() * min(self.transient_base * doubled, self.transient_ceiling)


class Gate:
    """Lets calls through, a window of them at a time for each account and model."""

    def __init__(
        self, *, concurrency: int = 64, budget: Budget | None = None, policy: RetryPolicy | None = None
    ) -> None:
        self.concurrency = concurrency
        self.budget = budget or Budget()
        self.policy = policy or RetryPolicy()
        self._windows: dict[tuple[str, str], Window] = {}
        self._slots = Window(ceiling=concurrency, is_fixed=True)
        self._halting: asyncio.Event | None = None
        self.broken_off = 0
        """Calls that nobody waited for any more, though they may have been answered and charged for."""

    def halt(self) -> None:
        """Let no further call out; those that wait get Halted, those that are out are left alone."""
        self._halting = self._halting or asyncio.Event()
        self._halting.set()
        for window in (*self._windows.values(), self._slots):
            window.halt()

    def window(self, llm: Called) -> Window:
        """The window of this model's account."""
        key = (llm.account, llm.model_name)
        if key not in self._windows:
            self._windows[key] = Window(ceiling=self.concurrency, is_fixed=llm.is_local, starts_full=llm.is_near)
        return self._windows[key]

    @property
    def in_flight(self) -> int:
        """Calls that are out right now."""
        return sum(window.in_flight for window in self._windows.values())

    async def call(
        self,
        llm: Called,
        input: Any,
        num_generations: int,
        kwargs: dict[str, Any],
        work: Callable[[], Awaitable[Output]],
    ) -> Output:
        """Do one call, again if it can help.

        Raises: the last ProviderError when trying is no use; CapReached before the cap would be passed.
        """
        journal = current_journal()
        if journal is None:
            return await self._call(llm, input, num_generations, kwargs, work)
        question = {"input": input, "num_generations": num_generations, **kwargs}
        ask = partial(self._call, llm, input, num_generations, kwargs, work)
        answer: Output = await journal.answer(llm, question, ask)
        return answer

    async def _call(
        self,
        llm: Called,
        input: Any,
        num_generations: int,
        kwargs: dict[str, Any],
        work: Callable[[], Awaitable[Output]],
    ) -> Output:
        window, price, cell = self.window(llm), llm.price, current_meter()
        meter = cell or Meter()
        most = 0.0 if price is None or price.is_free else price.cost(*llm.most_tokens(input, num_generations, kwargs))
        patience = _Patience(self.policy, getattr(llm, "attempts", None))
        while True:
            await self._enter(window, meter, most)
            started, spent = time.monotonic(), 0.0
            try:
                output = await work()
                counted: Counted = output
                window.succeeded()
                spent = _count(counted.get("statistics"), price, meter, most)
                meter.is_paid = cell is not None
                return output
            except (ReplyError, ProviderError) as error:
                window.failed(error, is_repeat=patience.has_tried)
                if isinstance(error, ReplyError) or error.statistics or error.may_be_paid:
                    spent = _count(error.statistics, price, meter, most)
                    meter.is_paid = cell is not None
                pause = patience.pause_after(error)
                if pause is None:
                    raise
                if isinstance(error, RateLimited) and error.retry_after is not None:
                    window.pause_until(time.monotonic() + min(error.retry_after, self.policy.retry_after_ceiling))
            except asyncio.CancelledError:
                if price is None or not price.is_free:
                    # The answer may be made and charged for all the same.
                    self.broken_off += 1
                    meter.cost_known = False
                    spent = most
                raise
            finally:
                meter.seconds += time.monotonic() - started
                self.budget.settle(most, spent)
                window.leave()
                meter.left()
            await self._rest(pause)

    async def _enter(self, window: Window, meter: Meter, most: float) -> None:
        """Wait for a place, with the most that the call can cost set aside. Raises: Halted, CapReached."""
        if self._is_halting:
            raise Halted
        meter.attempts += 1
        meter.in_flight += 1
        try:
            await self._take_places(window, meter)
            try:
                # The places first: whoever has money set aside must be able to go out and come back.
                await self.budget.set_aside(most)
                if self._is_halting:
                    self.budget.settle(most, 0.0)
                    raise Halted
            except BaseException:
                window.leave()
                raise
        except BaseException:
            meter.attempts -= 1
            meter.left()
            raise

    async def _take_places(self, window: Window, meter: Meter) -> None:
        """Wait for a place of the model, and for one of the run's that the cell keeps until it is committed."""
        await window.enter()
        if meter.slot is not None:
            return
        if not self._slots.is_free:
            # Waiting with the model's place in hand could go on forever: cells that have the run's may need it.
            window.leave()
            await self._take_slot(meter)
            await window.enter()
            return
        await self._take_slot(meter)

    @property
    def _is_halting(self) -> bool:
        return self._halting is not None and self._halting.is_set()

    async def _take_slot(self, meter: Meter) -> None:
        # A cell has one slot, however many calls it makes: waiting for a second while holding one could go on forever.
        if meter.slot is None:
            meter.slot = self._slots
            try:
                await self._slots.enter()
            except BaseException:
                meter.slot = None
                raise

    async def _rest(self, seconds: float) -> None:
        self._halting = self._halting or asyncio.Event()
        try:
            await asyncio.wait_for(self._halting.wait(), seconds)
        except TimeoutError:
            return
        raise Halted


class _Patience:
    """How often one call was tried, and whether it is any use to try again."""

    def __init__(self, policy: RetryPolicy, attempts: int | None = None) -> None:
        self.policy = policy
        self.attempts = attempts or policy.attempts
        self.tries = 0
        self.slowdowns = 0
        self.slowed_since = 0.0

    @property
    def has_tried(self) -> bool:
        """Whether a try has failed already."""
        return self.tries + self.slowdowns > 0

    def pause_after(self, error: ReplyError | ProviderError) -> float | None:
        """Seconds until the next try; None when there should be none."""
        if not isinstance(error, ProviderError) or not error.is_retryable:
            return None
        if isinstance(error, RateLimited):
            now = time.monotonic()
            self.slowdowns += 1
            self.slowed_since = self.slowed_since or now
            return self.policy.pause(error, self.slowdowns) if self._may_wait(now) else None
        self.tries += 1
        return self.policy.pause(error, self.tries) if self.tries < self.attempts else None

    def _may_wait(self, now: float) -> bool:
        return now - self.slowed_since <= self.policy.rate_patience


def _count(counted: Mapping[str, Any] | None, price: Price | None, meter: Meter, most: float) -> float:
    """Book what a call used; one whose tokens nobody counted is taken to have cost the most it could."""
    counted = counted or {}
    read = min(sum(counted.get("input_tokens") or ()), MOST_TOKENS)
    written = min(sum(counted.get("output_tokens") or ()), MOST_TOKENS)
    meter.input_tokens += read
    meter.output_tokens += written
    told = counted.get("cost") or ()
    if told and len(told) == len(counted.get("input_tokens") or told):
        # What the provider says it charged goes before what its list of prices makes of the tokens.
        meter.cost += sum(told)
        return float(sum(told))
    if price is None:
        meter.cost_known = False
        return 0.0
    if not read and not written and most:
        meter.cost_known = False
        return most
    cost = price.cost(read, written)
    meter.cost += cost
    return cost


_gate: ContextVar[Gate | None] = ContextVar("gate", default=None)
_standing: WeakKeyDictionary[asyncio.AbstractEventLoop, Gate] = WeakKeyDictionary()


def current_gate() -> Gate:
    """The gate of the run that is asking; outside runs, one that stands for each event loop."""
    gate = _gate.get()
    if gate is not None:
        return gate
    return _standing.setdefault(asyncio.get_running_loop(), Gate())


@contextmanager
def through(gate: Gate) -> Iterator[Gate]:
    """Send every call inside the block through this gate."""
    token = _gate.set(gate)
    try:
        yield gate
    finally:
        _gate.reset(token)
