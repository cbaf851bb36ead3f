"""Rows through the engine: order, failures, fan-out, fan-in, filters."""

import pytest

from components.errors import (
    ContentRefused,
    ContextTooLong,
    CredentialError,
    ProviderDown,
    ProviderTimeout,
    RateLimited,
    RequestRefused,
)
from components.pipeline.ledger.results import Results
from components.states import Reason, RunState
from components.steps.step import GlobalStep, Step
from tests.fakes import Ask, EchoLLM, Numbers, Review


class Twice(Step):
    @property
    def outputs(self):
        return ["copy"]

    def process(self, inputs):
        for row in inputs:
            yield [row | {"copy": 0}]
            yield [row | {"copy": 1}]


class Even(Step):
    def process(self, inputs):
        yield [row for row in inputs if row["n"] % 2 == 0]


class Join(Step):
    def process(self, *inputs):
        merged = {}
        for rows in inputs:
            merged |= {
                f"{key}_{rows[0]['model_name']}" if key == "generation" else key: v for key, v in rows[0].items()
            }
        yield [merged]


class Backwards(GlobalStep):
    def process(self, inputs):
        yield list(reversed(inputs))


def test_every_answer_stays_with_its_row_and_rows_keep_their_order(bench):
    llm = EchoLLM().delayed_by(lambda text: 0.02 if text.endswith("3") else 0.0)
    run_id, state = bench.run(Numbers(name="rows", count=200), Ask(name="ask", llm=llm))
    assert state is RunState.DONE
    found = [result.values for result in bench.results(run_id)]
    assert [row["n"] for row in found] == list(range(200))
    assert all(row["generation"] == f"echo: q{row['n']}" for row in found)
    assert set(llm.calls.values()) == {1}


def test_one_failing_row_touches_no_other_row(bench):
    llm = EchoLLM().troubled_by(lambda text, _n: RequestRefused("The provider says no.") if text == "q7" else None)
    run_id, state = bench.run(Numbers(name="rows", count=50), Ask(name="ask", llm=llm))
    assert state is RunState.DONE_WITH_FAILURES
    results = bench.results(run_id)
    assert len(results) == 50
    failed = [result for result in results if result.state == "failed"]
    assert [(result.row, result.reason, result.message) for result in failed] == [
        ("00000007", "provider_error", "The provider says no.")
    ]
    assert bench.counts(run_id)["ask"] == (49, 1, 0, 0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RateLimited("Slow down.", retry_after=0.001), None),
        (ProviderDown("Server error."), None),
        (ProviderTimeout("Too slow."), None),
    ],
)
def test_passing_trouble_is_tried_again_until_it_passes(bench, error, reason):
    llm = EchoLLM().troubled_by(lambda _text, nth: error if nth < 3 else None)
    run_id, state = bench.run(Numbers(name="rows", count=5), Ask(name="ask", llm=llm))
    assert state is RunState.DONE
    assert set(llm.calls.values()) == {3}
    assert {result.attempts for result in bench.results(run_id)} == {3}


@pytest.mark.parametrize(
    ("error", "reason", "calls"),
    [
        (ProviderDown("Server error."), Reason.PROVIDER_ERROR, 6),
        (ProviderTimeout("Too slow."), Reason.TIMEOUT, 6),
        (RequestRefused("Bad request."), Reason.PROVIDER_ERROR, 1),
        (ContextTooLong("Too long."), Reason.CONTEXT_TOO_LONG, 1),
        (ContentRefused("No."), Reason.REFUSED, 1),
        (ValueError("boom"), Reason.PROVIDER_ERROR, 1),
    ],
)
def test_lasting_trouble_fails_the_row_with_its_reason(bench, error, reason, calls):
    llm = EchoLLM().troubled_by(lambda text, _n: error if text == "q1" else None)
    run_id, state = bench.run(Numbers(name="rows", count=3), Ask(name="ask", llm=llm))
    assert state is RunState.DONE_WITH_FAILURES
    assert [result.state for result in bench.results(run_id)] == ["ok", "failed", "ok"]
    assert bench.results(run_id)[1].reason == reason
    assert llm.calls["q1"] == calls


def test_an_answer_in_the_wrong_form_fails_its_row_and_is_kept(bench):
    graph = bench.graph(Unreadable(name="rows"), Ask(name="ask", llm=EchoLLM()))
    run_id = bench.create(graph)
    bench.engine(graph, run_id).work()
    result = bench.results(run_id, graph)[0]
    assert (result.state, result.reason) == ("failed", "unparseable")
    assert result.values == {"instruction": "unreadable", "n": 0}
    trail = Results(bench.ledger, run_id, "ask", graph.edges).trail("00000000")
    assert [(cell["step"], cell["raw"]) for cell in trail] == [("rows", None), ("ask", ["echo: unreadable"])]


class Unreadable(Numbers):
    def process(self, offset=0):
        yield [{"instruction": "unreadable", "n": 0}][offset:], True


def test_every_yield_of_a_step_is_used(bench):
    run_id, _ = bench.run(Numbers(name="rows", count=3), Twice(name="twice"))
    assert [(result.values["n"], result.values["copy"]) for result in bench.results(run_id)] == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)
    ]  # fmt: skip


def test_a_filter_drops_rows_and_accounts_for_them(bench):
    run_id, state = bench.run(Numbers(name="rows", count=10), Even(name="even"), Ask(name="ask", llm=EchoLLM()))
    assert state is RunState.DONE
    assert [result.values["n"] for result in bench.results(run_id)] == [0, 2, 4, 6, 8]
    assert bench.counts(run_id)["even"] == (10, 0, 0, 0)


def test_several_generations_make_a_row_each_beside_their_own_prompt(bench):
    run_id, _ = bench.run(Numbers(name="rows", count=3), Ask(name="ask", llm=EchoLLM(), num_generations=2))
    assert [(r.row, r.values["n"], r.values["generation"]) for r in bench.results(run_id)] == [
        ("00000000.0000", 0, "echo: q0"), ("00000000.0001", 0, "echo 1: q0"),
        ("00000001.0000", 1, "echo: q1"), ("00000001.0001", 1, "echo 1: q1"),
        ("00000002.0000", 2, "echo: q2"), ("00000002.0001", 2, "echo 1: q2"),
    ]  # fmt: skip


def test_two_branches_meet_row_by_row(bench):
    slow = EchoLLM(model="slow").delayed_by(lambda text: 0.01 if text in ("q0", "q5") else 0.0)
    steps = [Numbers(name="rows", count=30), Ask(name="a", llm=EchoLLM(model="quick")), Ask(name="b", llm=slow),
             Join(name="join")]  # fmt: skip
    edges = [("rows", "a"), ("rows", "b"), ("a", "join"), ("b", "join")]
    run_id, state = bench.run(*steps, edges=edges)
    assert state is RunState.DONE
    for n, result in enumerate(bench.results(run_id)):
        assert result.values["generation_quick"] == result.values["generation_slow"] == f"echo: q{n}"


def test_a_row_that_failed_in_one_branch_is_skipped_where_they_meet_and_still_accounted_for(bench):
    bad = EchoLLM(model="bad").troubled_by(lambda text, _n: RequestRefused("No.") if text == "q2" else None)
    steps = [Numbers(name="rows", count=4), Ask(name="a", llm=EchoLLM()), Ask(name="b", llm=bad), Join(name="join")]
    edges = [("rows", "a"), ("rows", "b"), ("a", "join"), ("b", "join")]
    graph = bench.graph(*steps, edges=edges)
    run_id = bench.create(graph)
    assert bench.engine(graph, run_id).work() is RunState.DONE_WITH_FAILURES
    results = bench.results(run_id, graph)
    assert [result.state for result in results] == ["ok", "ok", "skipped", "ok"]
    assert results[2].message == "Step 'b' has no result for this row: it failed."
    assert results[2].values["instruction"] == "q2"


def test_a_global_step_sees_all_rows_in_order(bench):
    run_id, state = bench.run(
        Numbers(name="rows", count=120), Backwards(name="back"), Ask(name="ask", llm=EchoLLM())
    )  # fmt: skip
    assert state is RunState.DONE
    assert [result.values["n"] for result in bench.results(run_id)] == list(reversed(range(120)))
    assert all(result.values["generation"] == f"echo: q{result.values['n']}" for result in bench.results(run_id))


def test_a_bad_key_pauses_the_run_after_three_calls_and_fails_no_row(bench):
    llm = EchoLLM().troubled_by(lambda _text, _n: CredentialError("The provider did not accept the key."))
    run_id, state = bench.run(Numbers(name="rows", count=100), Ask(name="ask", llm=llm), concurrency=1)
    assert state is RunState.PAUSED
    assert sum(llm.calls.values()) == 3
    assert bench.counts(run_id)["ask"] == (0, 0, 0, 0)
    assert bench.ledger.run(run_id).state_reason.startswith("The provider did not accept the key.")


def test_a_paused_run_goes_on_where_it_was(bench):
    llm = EchoLLM().troubled_by(lambda _text, _n: CredentialError("No."))
    run_id, _ = bench.run(Numbers(name="rows", count=20), Ask(name="ask", llm=llm))
    good = EchoLLM()
    assert bench.again(run_id, Numbers(name="rows", count=20), Ask(name="ask", llm=good)) is RunState.DONE
    assert bench.counts(run_id)["ask"] == (20, 0, 0, 0)


def test_the_cap_is_never_passed_and_the_rest_waits(bench):
    llm = EchoLLM(input_price=0.0, output_price=1_000_000.0, generation_kwargs={})
    llm._tokens = (0, 1)
    run_id, state = bench.run(
        Numbers(name="rows", count=50),
        CheapAsk(name="ask", llm=llm),
        cap=10.0,
    )
    run = bench.ledger.run(run_id)
    assert state is RunState.CAPPED
    assert run.spent <= 10.0
    assert "cap of $10.00" in run.state_reason
    assert bench.counts(run_id)["ask"][1:] == (0, 0, 0)


class CheapAsk(Ask):
    async def answer(self, row):
        output = await self.llm.complete(self.format_input(row), 1)
        return self._read(row, row, self.format_input(row), output)


def test_a_row_with_nothing_to_ask_about_is_skipped_and_not_paid_for(bench):
    class Holes(Numbers):
        def process(self, offset=0):
            yield [{"instruction": None if n == 1 else f"q{n}", "n": n} for n in range(3)][offset:], True

    llm = EchoLLM()
    run_id, _state = bench.run(Holes(name="rows"), Ask(name="ask", llm=llm))
    assert [result.state for result in bench.results(run_id)] == ["ok", "skipped", "ok"]
    assert "'instruction' is empty" in bench.results(run_id)[1].message
    assert sum(llm.calls.values()) == 2


def test_a_source_that_stops_without_saying_so_still_ends(bench):
    class Forgetful(Numbers):
        def process(self, offset=0):
            yield [{"instruction": f"q{n}", "n": n} for n in range(7)][offset:], False

    run_id, state = bench.run(Forgetful(name="rows"), Ask(name="ask", llm=EchoLLM()))
    assert state is RunState.DONE
    assert len(bench.results(run_id)) == 7


def test_an_empty_source_is_a_run_of_no_rows(bench):
    run_id, state = bench.run(Numbers(name="rows", count=0), Ask(name="ask", llm=EchoLLM()))
    assert state is RunState.DONE
    assert bench.results(run_id) == []


def test_a_source_that_breaks_stops_the_run_and_says_why(bench):
    class Broken(Numbers):
        def process(self, offset=0):
            yield [{"instruction": "q0", "n": 0}][offset:], False
            raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        bench.run(Broken(name="rows"), Ask(name="ask", llm=EchoLLM()))
    run = bench.ledger.runs()[0]
    assert (run.state, run.state_reason, run.lease_owner) == ("stopped", "OSError: disk gone", "")


def test_only_the_first_rows_are_read_for_a_preview(bench):
    llm = EchoLLM()
    run_id, state = bench.run(Numbers(name="rows", count=10_000), Ask(name="ask", llm=llm), row_limit=5, kind="preview")
    assert state is RunState.DONE
    assert sum(llm.calls.values()) == 5
    assert review_counts(bench, run_id) == (5, 5)


def review_counts(bench, run_id):
    counts = bench.counts(run_id)
    return counts["rows"][0], counts["ask"][0]


def test_three_steps_in_a_row_each_work_on_their_own_row(bench):
    run_id, state = bench.run(
        Numbers(name="rows", count=300), Ask(name="ask", llm=EchoLLM()), Review(name="review", llm=EchoLLM())
    )
    assert state is RunState.DONE
    assert all(r.values["verdict"] == f"echo: echo: q{r.values['n']}" for r in bench.results(run_id))
