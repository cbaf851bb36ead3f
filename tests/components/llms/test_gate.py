import asyncio
from typing import Any, ClassVar

import pytest
from pydantic import PrivateAttr

from components.errors import (
    CapReached,
    ContentRefused,
    ContextTooLong,
    CredentialError,
    ProviderDown,
    ProviderTimeout,
    QuotaExhausted,
    RateLimited,
    ReplyError,
    RequestRefused,
    UnknownModel,
)
from components.llms.budget import Budget
from components.llms.gate import MOST_TOKENS, Gate, Halted, RetryPolicy, current_gate, through
from components.llms.llm import AsyncLLM
from components.llms.meter import metered
from components.llms.pricing import Price

AT_ONCE = RetryPolicy(transient_base=0, transient_ceiling=0, rate_base=0, rate_ceiling=0)
DOLLAR_A_TOKEN = 1_000_000.0


class ScriptedLLM(AsyncLLM):
    """Does what its script says, one entry a call: an exception is raised, a number is the tokens it writes."""

    is_cheap: ClassVar[bool] = False
    _script: list[Any] = PrivateAttr(default_factory=list)
    _calls: list[dict[str, Any]] = PrivateAttr(default_factory=list)

    @property
    def model_name(self):
        return "scripted"

    def doing(self, *script):
        self._script = list(script)
        return self

    @property
    def calls(self):
        return len(self._calls)

    async def agenerate(self, input, num_generations=1, max_tokens: int = 100, seed: int | None = None):
        self._calls.append({"n": num_generations, "seed": seed})
        await asyncio.sleep(0)
        todo = self._script.pop(0) if self._script else 5
        if isinstance(todo, BaseException):
            raise todo
        if todo is None:
            return ["no tokens counted"]
        return {
            "generations": [f"text {todo}"],
            "statistics": {"input_tokens": [0], "output_tokens": [todo]},
        }


class OneByOneLLM(ScriptedLLM):
    answers_many: ClassVar[bool] = False


def run(llm, n=1, gate=None, **kwargs):
    """One answer through a gate that does not dawdle, and what it used."""

    async def work():
        with through(gate or Gate(policy=AT_ONCE)), metered() as meter:
            try:
                return await llm.complete("hi", n, **kwargs), meter
            except Exception as error:
                return error, meter

    return asyncio.run(work())


def with_statistics(error, written):
    error.statistics = {"input_tokens": [0], "output_tokens": [written]}
    return error


@pytest.mark.parametrize("error", [ProviderDown("500"), ProviderTimeout("slow")])
def test_a_fault_on_the_providers_side_is_tried_six_times_and_no_more(error):
    llm = ScriptedLLM().doing(*[error] * 10)
    result, meter = run(llm)
    assert result is error
    assert (llm.calls, meter.attempts) == (6, 6)


def test_the_answer_after_two_faults_is_the_answer():
    llm = ScriptedLLM().doing(ProviderDown("500"), ProviderTimeout("slow"), 7)
    result, meter = run(llm)
    assert result["generations"] == ["text 7"]
    assert (meter.attempts, meter.output_tokens) == (3, 7)


@pytest.mark.parametrize(
    "error",
    [
        CredentialError("401"),
        QuotaExhausted("402"),
        UnknownModel("404"),
        RequestRefused("400"),
        ContextTooLong("400"),
        ContentRefused("400"),
        ReplyError("no text"),
    ],
)
def test_what_trying_again_cannot_help_is_tried_once(error):
    llm = ScriptedLLM().doing(error, 7)
    result, meter = run(llm)
    assert result is error
    assert meter.attempts == 1


def test_rate_limits_do_not_count_as_tries():
    llm = ScriptedLLM().doing(*[RateLimited("429")] * 20, 7)
    result, meter = run(llm)
    assert result["generations"] == ["text 7"]
    assert meter.attempts == 21


def test_a_row_that_is_told_to_slow_down_for_too_long_fails():
    llm = ScriptedLLM().doing(*[RateLimited("429")] * 5)
    result, _ = run(llm, gate=Gate(policy=RetryPolicy(rate_base=0, rate_patience=-1)))
    assert isinstance(result, RateLimited)


def test_retry_after_is_obeyed_with_up_to_a_third_on_top_and_no_longer_than_its_ceiling():
    policy = RetryPolicy()
    for _ in range(50):
        assert 7 <= policy.pause(RateLimited("429", retry_after=7), 1) <= 7 * 1.3
        assert 120 <= policy.pause(RateLimited("429", retry_after=3_600), 1) <= 120 * 1.3


def test_a_retry_after_of_no_time_or_of_a_date_in_the_past_is_no_leave_to_ask_again_at_once():
    policy = RetryPolicy()
    for tries in range(1, 5):
        assert policy.pause(RateLimited("429", retry_after=0.0), tries) >= 0.5 * 2 ** (tries - 1)


def test_more_tokens_than_can_be_kept_are_counted_as_the_most_that_can():
    result, meter = run(ScriptedLLM().doing(2**70))
    assert not isinstance(result, BaseException)
    assert meter.output_tokens == MOST_TOKENS


def test_without_retry_after_the_pause_doubles_and_stays_below_a_minute():
    policy = RetryPolicy()
    for tries, top in ((1, 1), (2, 2), (3, 4), (10, 60), (5_000, 60)):
        for _ in range(20):
            assert top / 2 <= policy.pause(RateLimited("429"), tries) <= top


def test_faults_are_tried_again_after_a_random_pause_below_thirty_seconds():
    policy = RetryPolicy()
    for tries, top in ((1, 0.5), (2, 1), (5, 8), (5_000, 30)):
        for _ in range(20):
            assert 0 <= policy.pause(ProviderDown("500"), tries) <= top


def test_retry_after_pauses_every_call_to_that_account_and_model():
    async def scenario():
        gate, llm = Gate(), ScriptedLLM().doing(RateLimited("429", retry_after=60))
        with through(gate):
            call = asyncio.create_task(llm.complete("hi"))
            while llm.calls == 0 or gate.in_flight:
                await asyncio.sleep(0)
            paused = gate.window(llm).seconds_paused
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        return paused

    assert 55 < asyncio.run(scenario()) <= 60


def test_the_meter_sums_all_calls_of_a_cell_and_knows_their_price():
    llm = ScriptedLLM(input_price=0, output_price=DOLLAR_A_TOKEN).doing(7)
    _, meter = run(llm)
    assert (meter.output_tokens, meter.cost, meter.cost_known) == (7, 7.0, True)


def test_an_unknown_price_stays_unknown():
    _, meter = run(ScriptedLLM().doing(7))
    assert (meter.cost, meter.cost_known) == (0.0, False)


def test_a_refusal_that_was_paid_for_is_booked():
    error = with_statistics(ContentRefused("no"), 9)
    llm = ScriptedLLM(input_price=0, output_price=DOLLAR_A_TOKEN).doing(error)
    gate = Gate(policy=AT_ONCE, budget=Budget(cap=1_000))
    _, meter = run(llm, gate=gate)
    assert (meter.cost, gate.budget.spent, gate.budget.reserved) == (9.0, 9.0, 0.0)


def test_an_answer_without_text_that_was_paid_for_is_booked():
    llm = ScriptedLLM(input_price=0, output_price=DOLLAR_A_TOKEN).doing(with_statistics(ReplyError("no text"), 9))
    _, meter = run(llm)
    assert meter.cost == 9.0


def test_a_call_whose_tokens_nobody_counted_counts_as_the_dearest_it_could_be():
    llm = ScriptedLLM(input_price=0, output_price=DOLLAR_A_TOKEN).doing(None)
    gate = Gate(budget=Budget(cap=1_000))
    _, meter = run(llm, gate=gate)
    assert gate.budget.spent == 100.0
    assert not meter.cost_known


def test_a_timeout_that_may_have_been_paid_counts_against_the_cap():
    error = ProviderTimeout("slow")
    error.may_be_paid = True
    llm = ScriptedLLM(input_price=0, output_price=DOLLAR_A_TOKEN).doing(error, 1)
    gate = Gate(policy=AT_ONCE, budget=Budget(cap=1_000))
    run(llm, gate=gate)
    assert gate.budget.spent == 101.0


def test_a_call_that_could_pass_the_cap_is_not_made():
    llm = ScriptedLLM(input_price=0, output_price=DOLLAR_A_TOKEN)
    result, meter = run(llm, gate=Gate(budget=Budget(cap=99.0)))
    assert isinstance(result, CapReached)
    assert "Raise the cap" in str(result)
    assert (llm.calls, meter.attempts) == (0, 0)


def test_the_cap_is_never_passed_however_many_calls_are_out():
    gate = Gate(concurrency=64, budget=Budget(cap=1_000.0))
    llm = ScriptedLLM(input_price=0, output_price=DOLLAR_A_TOKEN).doing(*[100, 60, 5, ProviderDown("500")] * 50)

    async def flood():
        with through(gate):
            return await asyncio.gather(*(llm.complete("hi") for _ in range(100)), return_exceptions=True)

    gate.policy = AT_ONCE
    results = asyncio.run(flood())
    assert any(isinstance(result, CapReached) for result in results)
    assert gate.budget.spent <= 1_000
    assert gate.budget.reserved == 0
    assert gate.in_flight == 0


def test_what_is_only_set_aside_is_waited_for_and_does_not_end_the_run():
    gate = Gate(concurrency=64, budget=Budget(cap=250.0))
    llm = ScriptedLLM(input_price=0, output_price=DOLLAR_A_TOKEN).doing(*[1] * 100)

    async def flood():
        with through(gate):
            return await asyncio.gather(*(llm.complete("hi") for _ in range(100)), return_exceptions=True)

    results = asyncio.run(flood())
    assert [result for result in results if isinstance(result, BaseException)] == []
    assert (gate.budget.spent, gate.budget.reserved) == (100.0, 0.0)


def test_a_cell_with_several_calls_and_the_others_do_not_wait_for_each_other_forever():
    gate = Gate(concurrency=2, policy=AT_ONCE, budget=Budget(cap=350.0))
    llm = OneByOneLLM(input_price=0, output_price=DOLLAR_A_TOKEN).doing(*[1, ProviderDown("500"), 1] * 20)

    async def cell():
        with through(gate), metered() as meter:
            try:
                await llm.complete("hi", 2)
                return await llm.complete("hi", 2)
            finally:
                meter.release()

    async def cells():
        return await asyncio.gather(*(cell() for _ in range(8)), return_exceptions=True)

    results = asyncio.run(asyncio.wait_for(cells(), 20))
    assert [result for result in results if isinstance(result, BaseException)] == []
    assert gate.budget.reserved == 0 and gate.in_flight == 0


def test_a_free_model_needs_no_cap():
    result, _ = run(ScriptedLLM(input_price=0, output_price=0), gate=Gate(budget=Budget(cap=0)))
    assert result["generations"] == ["text 5"]


def test_each_generation_of_a_one_by_one_model_is_a_call_with_its_own_retries_and_seed():
    llm = OneByOneLLM().doing(5, ProviderDown("500"), 6, 7)
    result, meter = run(llm, n=3, seed=10)
    assert sorted(result["generations"]) == ["text 5", "text 6", "text 7"]
    assert meter.attempts == 4
    assert {call["seed"] for call in llm._calls} == {10, 11, 12}


def test_one_refused_generation_among_good_ones_is_none_and_costs_no_other():
    llm = OneByOneLLM().doing(5, with_statistics(ContentRefused("no"), 4), 7)
    result, meter = run(llm, n=3)
    assert result["generations"] == ["text 5", None, "text 7"]
    assert result["finish_reasons"][1] == "content_filter"
    assert meter.output_tokens == 16


def test_a_bad_key_among_good_generations_is_an_error():
    result, _ = run(OneByOneLLM().doing(5, CredentialError("401"), 7), n=3)
    assert isinstance(result, CredentialError)


def test_when_every_generation_is_refused_the_first_refusal_is_told():
    first = ContentRefused("first")
    result, _ = run(OneByOneLLM().doing(first, ContentRefused("second")), n=2)
    assert result is first


def test_a_halted_gate_lets_no_call_out():
    gate, llm = Gate(), ScriptedLLM()

    async def scenario():
        gate.halt()
        with through(gate):
            await llm.complete("hi")

    with pytest.raises(Halted):
        asyncio.run(scenario())
    assert llm.calls == 0


def test_halting_ends_the_pause_before_a_retry():
    async def scenario():
        gate = Gate(policy=RetryPolicy(rate_base=600, rate_ceiling=600))
        llm = ScriptedLLM().doing(*[RateLimited("429")] * 3)
        with through(gate):
            call = asyncio.create_task(llm.complete("hi"))
            while llm.calls == 0 or gate.in_flight:
                await asyncio.sleep(0)
            gate.halt()
            with pytest.raises(Halted):
                await call
        return gate.budget.reserved

    assert asyncio.run(scenario()) == 0


def test_models_of_two_accounts_have_windows_of_their_own():
    class Other(ScriptedLLM):
        @property
        def account(self):
            return "another"

    gate = Gate()
    assert gate.window(ScriptedLLM()) is gate.window(ScriptedLLM())
    assert gate.window(ScriptedLLM()) is not gate.window(Other())


def test_outside_a_run_every_loop_has_one_gate():
    async def twice():
        return current_gate() is current_gate()

    assert asyncio.run(twice())


def test_a_price_is_dollars_for_a_million_tokens():
    assert Price(2.0, 8.0).cost(1_000, 500) == pytest.approx(0.006)
