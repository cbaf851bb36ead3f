import asyncio

import pytest

from components.errors import ProviderDown, ProviderTimeout, RateLimited, ReplyError, RequestRefused
from components.llms import window as module
from components.llms.window import BREAKER_CEILING, BREAKER_PAUSE, BREAKER_SAMPLE, START, Halted, Window


class Clock:
    """A clock that moves only when told to."""

    def __init__(self):
        self.now = 1_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def succeed(window, times):
    for _ in range(times):
        window.succeeded()


def trip(window):
    """Fail until the breaker opens."""
    for _ in range(BREAKER_SAMPLE):
        window.failed(ProviderDown("500"))


def test_a_window_starts_small_and_doubles_after_every_clean_window(clock):
    window = Window(ceiling=64)
    seen = [window.limit]
    while window.limit < 64:
        succeed(window, int(window.limit))
        seen.append(window.limit)
    assert seen == [START, 16, 32, 64]


def test_a_window_never_grows_past_its_ceiling(clock):
    window = Window(ceiling=50)
    succeed(window, 500)
    assert window.limit == 50


def test_a_low_ceiling_is_the_start(clock):
    assert Window(ceiling=3).limit == 3


def test_a_rate_limit_takes_a_fifth_away_once_in_ten_seconds(clock):
    window = Window(ceiling=64)
    succeed(window, 8 + 16)
    window.failed(RateLimited("429"))
    assert window.limit == pytest.approx(32 * 0.8)
    window.failed(RateLimited("429"))
    assert window.limit == pytest.approx(32 * 0.8)
    clock.now += 10
    window.failed(RateLimited("429"))
    assert window.limit == pytest.approx(32 * 0.64)


def test_after_the_first_rate_limit_it_grows_by_one_or_five_percent(clock):
    window = Window(ceiling=1_000)
    window.failed(RateLimited("429"))
    before = window.limit
    succeed(window, int(before) + 1)
    assert window.limit == pytest.approx(before + 1)
    window.limit = 100.0
    succeed(window, 100)
    assert window.limit == pytest.approx(105)


def test_a_window_never_shrinks_below_one_call(clock):
    window = Window(ceiling=64)
    for _ in range(100):
        clock.now += 11
        window.failed(RateLimited("429"))
    assert window.limit == 1


def test_a_failure_starts_the_count_of_clean_calls_anew(clock):
    window = Window(ceiling=64)
    succeed(window, 7)
    window.failed(ProviderDown("500"))
    succeed(window, 7)
    assert window.limit == 8
    succeed(window, 1)
    assert window.limit == 16


def test_a_server_on_this_machine_has_a_fixed_window(clock):
    window = Window(ceiling=24, is_fixed=True)
    assert window.limit == 24
    window.failed(RateLimited("429"))
    succeed(window, 100)
    assert window.limit == 24


def test_a_full_window_still_heeds_a_rate_limit(clock):
    window = Window(ceiling=100, starts_full=True)
    assert window.limit == 100
    window.failed(RateLimited("429"))
    assert window.limit == 80
    succeed(window, 80)
    assert window.limit == 84


def test_server_errors_do_not_shrink_the_window(clock):
    window = Window(ceiling=64)
    window.failed(ProviderDown("500"))
    window.failed(ProviderTimeout("slow"))
    assert window.limit == START


def test_the_breaker_opens_when_half_of_the_last_twenty_calls_fail(clock):
    window = Window(ceiling=64)
    succeed(window, 10)
    for _ in range(9):
        window.failed(ProviderDown("500"))
    assert window.seconds_paused == 0
    window.failed(ProviderDown("500"))
    assert window.seconds_paused == BREAKER_PAUSE


def test_refused_rows_do_not_open_the_breaker(clock):
    window = Window(ceiling=64)
    for _ in range(100):
        window.failed(RequestRefused("400"))
        window.failed(ReplyError("no text"))
    assert window.seconds_paused == 0


def test_calls_that_were_out_when_the_breaker_opened_do_not_lengthen_its_pause(clock):
    window = Window(ceiling=64)
    trip(window)
    for _ in range(44):
        window.failed(ProviderDown("500"))
    clock.now += BREAKER_PAUSE
    window.failed(ProviderTimeout("a call from before"))
    assert window.seconds_paused == 0


def test_one_call_probes_and_the_pause_doubles_up_to_five_minutes_while_it_fails(clock):
    window = Window(ceiling=64)

    async def probe():
        await window.enter()
        assert not window._has_place()
        window.failed(ProviderDown("500"))
        window.leave()
        return window.seconds_paused

    async def all_probes():
        trip(window)
        pauses = []
        for _ in range(6):
            clock.now += window.seconds_paused
            pauses.append(await probe())
        return pauses

    assert asyncio.run(all_probes()) == [60, 120, 240, BREAKER_CEILING, BREAKER_CEILING, BREAKER_CEILING]


@pytest.mark.parametrize("ends", [None, RequestRefused("400"), RateLimited("429")])
def test_a_probe_that_is_answered_in_any_way_opens_the_window_again(clock, ends):
    window = Window(ceiling=64)

    async def probe():
        trip(window)
        clock.now += BREAKER_PAUSE
        await window.enter()
        if ends is None:
            window.succeeded()
        else:
            window.failed(ends)
        window.leave()
        await window.enter()
        await window.enter()
        return window.in_flight

    assert asyncio.run(probe()) == 2


def test_no_more_calls_are_out_than_the_limit_and_those_who_wait_go_in_order(clock):
    async def scenario():
        window = Window(ceiling=2, is_fixed=True)
        order, most = [], 0

        async def call(name):
            nonlocal most
            await window.enter()
            most = max(most, window.in_flight)
            order.append(name)
            await asyncio.sleep(0)
            window.leave()

        await asyncio.gather(*(call(name) for name in range(20)))
        return order, most, window.in_flight

    assert asyncio.run(scenario()) == (list(range(20)), 2, 0)


def test_a_cancelled_wait_gives_its_place_to_the_next(clock):
    async def scenario():
        window = Window(ceiling=1, is_fixed=True)
        await window.enter()
        first = asyncio.create_task(window.enter())
        second = asyncio.create_task(window.enter())
        await asyncio.sleep(0)
        window.leave()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await second
        return first.cancelled(), window.in_flight

    assert asyncio.run(scenario()) == (True, 1)


def test_halting_sends_away_those_who_wait(clock):
    async def scenario():
        window = Window(ceiling=1, is_fixed=True)
        await window.enter()
        waiting = asyncio.create_task(window.enter())
        await asyncio.sleep(0)
        window.halt()
        with pytest.raises(Halted):
            await waiting
        return window.in_flight

    assert asyncio.run(scenario()) == 1


def test_whoever_would_have_to_wait_after_the_halt_is_sent_away_too(clock):
    async def scenario():
        window = Window(ceiling=1, is_fixed=True)
        window.halt()
        await window.enter()
        with pytest.raises(Halted):
            await asyncio.wait_for(window.enter(), 5)

    asyncio.run(scenario())


@pytest.mark.parametrize("is_cancelled_first", [True, False])
def test_a_call_that_was_cancelled_as_it_got_its_place_gives_it_on(clock, is_cancelled_first):
    async def scenario():
        window = Window(ceiling=1, is_fixed=True)
        await window.enter()
        first = asyncio.create_task(window.enter())
        second = asyncio.create_task(window.enter())
        await asyncio.sleep(0)
        for step in (first.cancel, window.leave) if is_cancelled_first else (window.leave, first.cancel):
            step()
        await asyncio.gather(first, second, return_exceptions=True)
        return first.cancelled(), window.in_flight

    assert asyncio.run(scenario()) == (True, 1)


def test_those_who_wait_go_on_when_the_pause_is_over():
    async def scenario():
        window = Window(ceiling=4)
        window.pause_until(module.time.monotonic() + 0.01)
        await asyncio.gather(*(window.enter() for _ in range(4)))
        return window.in_flight, window.seconds_paused

    assert asyncio.run(scenario()) == (4, 0)
