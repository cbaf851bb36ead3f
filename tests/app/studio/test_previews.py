import pytest

from components.errors import ConfigError
from tests.app.pipelines import add_tickets, asking, labeling, model
from tests.servers.faults import Fault, Faults


def test_a_preview_shows_prompt_answer_columns_and_tokens_of_the_first_rows(studio, work, server):
    server.behavior.reply = lambda body: '{"labels": "login"}'
    run_id = studio.previews.start(labeling(add_tickets(studio, 20), llm=model(server)), rows=3)
    assert not studio.previews.result(run_id)["is_done"]
    work(run_id)
    result = studio.previews.result(run_id)
    assert result["is_done"] and result["state"] == "done"
    assert [row["values"]["id"] for row in result["rows"]] == ["T-0", "T-1", "T-2"]
    step = result["rows"][0]["steps"][0]
    assert step["step"] == "label" and step["state"] == "ok"
    assert "row-0 I cannot log in" in step["prompt"][-1]["content"]
    assert step["raw"] == ['{"labels": "login"}']
    assert step["values"] == {"labels": "login", "model_name": "gpt-4o-mini"}
    assert step["tokens_in"] > 0 and step["tokens_out"] > 0
    assert len(server.requests) == 3


def test_a_preview_says_why_a_row_has_no_result(studio, work, server):
    server.behavior.faults = Faults(rows={"row-1": Fault.CONTENT_POLICY})
    server.behavior.reply = lambda body: '{"labels": "weather"}'
    run_id = studio.previews.start(labeling(add_tickets(studio), llm=model(server)), rows=2)
    work(run_id)
    first, second = (row["steps"][0] for row in studio.previews.result(run_id)["rows"])
    assert (first["state"], first["reason"]) == ("needs_review", "not_in_labels")
    assert (second["state"], second["reason"]) == ("failed", "refused")
    assert second["sentence"] == "The model or its provider declined to answer."


def test_a_preview_does_not_stand_among_the_runs(studio, work):
    run_id = studio.previews.start(asking(["a", "b"]), rows=1)
    work(run_id)
    assert list(studio.runs.recent()) == []
    assert studio.previews.result(run_id)["rehearsal"]


def test_a_preview_has_a_small_cap_where_the_price_is_known(studio, server):
    priced = model(server, input_price=1.0, output_price=2.0)
    run_id = studio.previews.start(asking(["a"], llm=priced), rows=1)
    assert studio.runs.get(run_id).cap == 0.05
    free = studio.previews.start(asking(["a"]), rows=1)
    assert studio.runs.get(free).cap is None


def test_asking_again_costs_nothing_for_rows_that_are_answered(studio, work, server):
    spec = asking(["row-a", "row-b"], llm=model(server))
    work(studio.previews.start(spec, rows=1))
    again = studio.previews.start(spec, rows=2)
    work(again)
    assert [row["steps"][0]["reused"] for row in studio.previews.result(again)["rows"]] == [True, False]
    assert server.paid("row-a") == 1
    work(studio.previews.start(spec, rows=1, use_cache=False))
    assert server.paid("row-a") == 2


def test_several_rows_made_of_one_are_shown_together(studio, work, server):
    spec = asking(["row-a"], llm=model(server), num_generations=3)
    run_id = studio.previews.start(spec, rows=1)
    work(run_id)
    step = studio.previews.result(run_id)["rows"][0]["steps"][0]
    assert len(step["rows"]) == 3 and len(step["raw"]) == 3


@pytest.mark.parametrize("rows", [0, 101])
def test_a_preview_is_small(studio, rows):
    with pytest.raises(ConfigError, match="1 to 100"):
        studio.previews.start(asking(["a"]), rows=rows)


def test_a_preview_can_be_stopped(studio):
    run_id = studio.previews.start(asking(["a"]))
    studio.previews.stop(run_id)
    assert studio.previews.result(run_id)["is_done"]
