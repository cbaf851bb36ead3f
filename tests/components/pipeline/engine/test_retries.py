"""What a retry changes further on: no row is lost, none stays behind, and nothing is paid for again."""

from components.errors import RequestRefused
from components.states import RunState
from components.steps.step import GlobalStep, Step
from tests.fakes import Ask, EchoLLM, Numbers, Review


class Everything(GlobalStep):
    def process(self, inputs):
        yield [row for row in inputs if row["generation"]]


class Copies(Step):
    """As many copies of a row as its answer has letters `x`."""

    def process(self, inputs):
        for row in inputs:
            yield [dict(row) for _ in range(row["generation"].count("x"))]


def fails_once(*texts):
    return lambda text, nth: RequestRefused("No.") if text in texts and nth == 1 else None


def test_a_retry_before_a_global_step_loses_no_row_after_it_and_pays_only_for_new_ones(bench):
    first, second = EchoLLM().troubled_by(fails_once("q3")), EchoLLM(model="second")
    steps = [Numbers(name="rows", count=4), Ask(name="ask", llm=first), Everything(name="all"),
             Review(name="review", llm=second)]  # fmt: skip
    run_id, state = bench.run(*steps)
    assert state is RunState.DONE_WITH_FAILURES
    bench.ledger.reopen(run_id)
    assert bench.again(run_id, *steps) is RunState.DONE
    assert [result.values["verdict"] for result in bench.results(run_id)] == [f"echo: echo: q{n}" for n in range(4)]
    assert bench.counts(run_id)["review"] == (4, 0, 0, 0)
    assert set(second.calls.values()) == {1}


def test_rows_that_a_global_step_no_longer_makes_are_gone_after_it_too(bench):
    class Longest(GlobalStep):
        """Only the first row once all of them are there."""

        def process(self, inputs):
            yield inputs[:1] if len(inputs) == 4 else inputs

    steps = [Numbers(name="rows", count=4), Ask(name="ask", llm=EchoLLM().troubled_by(fails_once("q3"))),
             Longest(name="all"), Review(name="review", llm=EchoLLM())]  # fmt: skip
    run_id, _ = bench.run(*steps)
    assert len(bench.results(run_id)) == 3
    bench.ledger.reopen(run_id)
    bench.again(run_id, *steps)
    assert [result.values["n"] for result in bench.results(run_id)] == [0]
    assert bench.counts(run_id)["review"] == (1, 0, 0, 0)


def test_a_retried_row_that_makes_several_rows_leaves_no_skipped_row_behind(bench):
    llm = EchoLLM().troubled_by(fails_once("q1"))
    steps = [Numbers(name="rows", count=3), Ask(name="ask", llm=llm, num_generations=2),
             Review(name="review", llm=EchoLLM(model="second"))]  # fmt: skip
    run_id, _ = bench.run(*steps)
    assert bench.counts(run_id)["review"] == (4, 0, 0, 1)
    bench.ledger.reopen(run_id)
    assert bench.again(run_id, *steps) is RunState.DONE
    assert bench.counts(run_id)["review"] == (6, 0, 0, 0)
    assert [result.row for result in bench.results(run_id)][2:4] == ["00000001.0000", "00000001.0001"]


def test_a_retried_row_that_answers_the_same_keeps_the_rows_made_of_it(bench):
    class Hesitant(Ask):
        def format_output(self, output, input=None):
            return super().format_output(output.replace("!", ""), input)

    seen = []

    def trouble(text, nth):
        seen.append(text)

    class Half(EchoLLM):
        async def agenerate(self, input, num_generations=1, temperature=1.0):
            output = await super().agenerate(input, num_generations, temperature)
            if len(seen) == 1:
                output["generations"][1] = "unreadable"
            return output

    review = EchoLLM(model="second")
    steps = [Numbers(name="rows", count=1), Hesitant(name="ask", llm=Half().troubled_by(trouble), num_generations=2),
             Review(name="review", llm=review)]  # fmt: skip
    run_id, _ = bench.run(*steps)
    assert bench.counts(run_id)["ask"] == (0, 0, 1, 0)
    bench.ledger.reopen(run_id, states=("needs_review",))
    assert bench.again(run_id, *steps) is RunState.DONE
    assert [result.values["verdict"] for result in bench.results(run_id)] == ["echo: echo: q0", "echo: echo 1: q0"]
    assert bench.counts(run_id)["review"] == (2, 0, 0, 0)
    assert review.calls["echo: q0"] == 1


def test_a_retried_row_that_is_dropped_further_on_leaves_nothing_behind(bench):
    steps = [Numbers(name="rows", count=2), Ask(name="ask", llm=EchoLLM().troubled_by(fails_once("q1"))),
             Copies(name="copies"), Review(name="review", llm=EchoLLM(model="second"))]  # fmt: skip
    run_id, _ = bench.run(*steps)
    assert bench.counts(run_id)["review"] == (0, 0, 0, 1)
    bench.ledger.reopen(run_id)
    assert bench.again(run_id, *steps) is RunState.DONE
    assert bench.results(run_id) == []


def test_a_row_of_more_than_ten_thousand_rows_keeps_their_order(bench):
    class Many(Step):
        def process(self, inputs):
            yield [{"part": part} for part in range(10_002)]

    class Same(Step):
        def process(self, inputs):
            yield inputs

    run_id, _ = bench.run(Numbers(name="rows", count=1), Many(name="many"), Same(name="same"))
    assert [result.values["part"] for result in bench.results(run_id)] == list(range(10_002))
