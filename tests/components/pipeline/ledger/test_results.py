"""The table of results: pages, filters, search, sorting, and rows that failed."""

import pytest

from components.errors import ConfigError, RequestRefused
from components.pipeline.ledger.results import Query, Results
from components.steps.step import GlobalStep, Step
from tests.components.pipeline.engine.conftest import bench as bench
from tests.fakes import Ask, EchoLLM, Numbers


class Odd(Step):
    """Leaves the even rows out."""

    def process(self, inputs):
        yield [row for row in inputs if row["n"] % 2]


class Turned(GlobalStep):
    """Turns the rows around."""

    def process(self, inputs):
        yield list(reversed(inputs))


@pytest.fixture
def results(bench):
    llm = EchoLLM().troubled_by(lambda text, _n: RequestRefused("Not this one.") if text in ("q3", "q11") else None)
    graph = bench.graph(Numbers(name="rows", count=40), Ask(name="ask", llm=llm))
    run_id = bench.create(graph)
    bench.engine(graph, run_id).work()
    return Results(bench.ledger, run_id, "ask", graph.edges)


@pytest.fixture
def fanned(bench):
    llm = EchoLLM().troubled_by(lambda text, _n: RequestRefused("Not this one.") if text == "q1" else None)
    graph = bench.graph(Numbers(name="rows", count=4), Ask(name="ask", llm=llm, num_generations=2))
    run_id = bench.create(graph)
    bench.engine(graph, run_id).work()
    return Results(bench.ledger, run_id, "ask", graph.edges)


def test_a_page_has_its_rows_in_order_and_the_total(results):
    page = results.page(Query(offset=10, limit=5))
    assert page.total == 40
    assert [row.values["n"] for row in page.rows] == [10, 11, 12, 13, 14]


def test_a_failed_row_shows_what_went_in_and_why(results):
    failed = results.page(Query(states=["failed"]))
    assert failed.total == 2
    assert [(row.values["instruction"], row.message) for row in failed.rows] == [
        ("q3", "Not this one."),
        ("q11", "Not this one."),
    ]
    assert results.counts() == {"ok": 38, "failed": 2}


def test_search_finds_text_in_any_column_and_takes_signs_as_they_are(results):
    assert [row.values["n"] for row in results.page(Query(search="echo: q39")).rows] == [39]
    assert [row.values["n"] for row in results.page(Query(search="q11")).rows] == [11]
    assert results.page(Query(search="100%")).total == 0


def test_sorting_is_by_value_and_either_way(results):
    assert [r.values["n"] for r in results.page(Query(sort="n", descending=True, limit=3)).rows] == [39, 38, 37]
    assert [r.values["n"] for r in results.page(Query(descending=True, limit=2)).rows] == [39, 38]


def test_a_column_with_quotes_in_its_name_cannot_be_sorted_by(results):
    with pytest.raises(ConfigError, match="quotes"):
        results.page(Query(sort='n") --'))


def test_rows_that_became_several_are_lines_of_their_own(fanned):
    page = fanned.page(Query())
    assert [(r.row, r.values.get("generation")) for r in page.rows] == [
        ("00000000.0000", "echo: q0"), ("00000000.0001", "echo 1: q0"), ("00000001", None),
        ("00000002.0000", "echo: q2"), ("00000002.0001", "echo 1: q2"),
        ("00000003.0000", "echo: q3"), ("00000003.0001", "echo 1: q3"),
    ]  # fmt: skip
    assert page.total == 7
    assert [r.row for r in fanned.page(Query(sort="n", descending=True, limit=2)).rows] == [
        "00000003.0000", "00000003.0001"
    ]  # fmt: skip
    assert [r.row for r in fanned.all()] == [r.row for r in page.rows]


def test_the_trail_of_a_row_tells_every_step(results):
    trail = results.trail("00000005")
    assert [(cell["step"], cell["state"]) for cell in trail] == [("rows", "ok"), ("ask", "ok")]
    assert trail[1]["prompt"] == [{"role": "user", "content": "q5"}]
    assert trail[1]["raw"] == ["echo: q5"]
    assert (trail[1]["tokens_in"], trail[1]["tokens_out"], trail[1]["attempts"]) == (3, 5, 1)


def test_columns_are_listed_in_the_order_they_show(results):
    assert results.columns() == ["instruction", "n", "generation", "model_name"]


def test_a_page_and_the_whole_table_call_a_row_by_the_same_name(results, fanned):
    for table in (results, fanned):
        assert [row.row for row in table.page(Query()).rows] == [row.row for row in table.all()]


def test_a_failed_row_is_not_taken_for_one_that_was_fanned_out(results, fanned):
    assert (results.record.fanned_out, fanned.record.fanned_out) == (0, 3)


def test_a_row_that_a_step_left_out_is_in_no_table(bench):
    graph = bench.graph(Numbers(name="rows", count=4), Odd(name="odd"))
    run_id = bench.create(graph)
    bench.engine(graph, run_id).work()
    table = Results(bench.ledger, run_id, "odd", graph.edges)
    assert [row.values["n"] for row in table.page(Query()).rows] == [1, 3]
    assert [row.values["n"] for row in table.all()] == [1, 3]
    assert table.counts() == {"ok": 2}


def test_the_way_to_a_row_ends_at_a_step_that_ordered_all_rows_anew(bench):
    graph = bench.graph(Numbers(name="rows", count=3), Turned(name="turned"), Odd(name="odd"))
    run_id = bench.create(graph)
    bench.engine(graph, run_id).work()
    table = Results(bench.ledger, run_id, "odd", graph.edges)
    trail = table.trail(table.page(Query()).rows[0].row)
    assert [cell["step"] for cell in trail] == ["turned", "odd"]
    assert all(cell["output"] == [{"instruction": "q1", "n": 1}] for cell in trail)


def test_the_columns_are_known_also_when_the_first_rows_failed(bench):
    llm = EchoLLM().troubled_by(lambda text, _n: RequestRefused("No.") if int(text[1:]) < 60 else None)
    graph = bench.graph(Numbers(name="rows", count=62), Ask(name="ask", llm=llm))
    run_id = bench.create(graph)
    bench.engine(graph, run_id).work()
    assert "generation" in Results(bench.ledger, run_id, "ask", graph.edges).columns()


@pytest.mark.parametrize("search", ['said "stop"', "one\ntwo", "back\\slash", "naïve"])
def test_search_finds_text_that_json_writes_in_another_way(bench, search):
    class Quoting(Step):
        def process(self, inputs):
            yield [row | {"said": f"well, {search}!" if row["n"] == 2 else "nothing"} for row in inputs]

    graph = bench.graph(Numbers(name="rows", count=4), Quoting(name="quoting"))
    run_id = bench.create(graph)
    bench.engine(graph, run_id).work()
    page = Results(bench.ledger, run_id, "quoting", graph.edges).page(Query(search=search))
    assert [row.values["n"] for row in page.rows] == [2]


def test_cells_that_made_several_rows_are_counted_out_one_by_one_when_they_go(bench):
    graph = bench.graph(Numbers(name="rows", count=4), Ask(name="ask", llm=EchoLLM(), num_generations=2))
    run_id = bench.create(graph)
    bench.engine(graph, run_id).work()
    bench.ledger.forget_from(run_id, ["ask"], "00000001")
    record = bench.ledger.steps(run_id)[1]
    assert (record.ok, record.fanned_out) == (1, 1)
