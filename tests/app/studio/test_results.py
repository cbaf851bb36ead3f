import pytest

from app.studio import NotFound
from components.errors import ConfigError
from components.states import LabelState
from tests.app.pipelines import LABELS, add_tickets, asking, chain, labeling, model
from tests.servers.faults import Fault, Faults


@pytest.fixture
def labeled(studio, work, server):
    """Five tickets: the second failed, the third needs review, the others are `login`."""
    server.behavior.faults = Faults(rows={"row-1": Fault.CONTENT_POLICY})
    weather = '{"labels": "weather"}'
    server.behavior.reply = lambda body: weather if "row-2" in str(body) else '{"labels": "login"}'
    run_id = studio.runs.start(labeling(add_tickets(studio, 5), llm=model(server)))
    work(run_id)
    return run_id


def row(studio, run_id, name, step=""):
    return next(row for row in studio.results.page(run_id, step)["rows"] if row["row"] == name)


def test_every_row_that_went_in_is_in_the_table(studio, labeled):
    page = studio.results.page(labeled)
    assert page["total"] == 5
    assert page["counts"] == {"all": 5, "ok": 3, "failed": 1, "needs_review": 1}
    assert [row["values"]["id"] for row in page["rows"]] == [f"T-{n}" for n in range(5)]
    assert [row["position"] for row in page["rows"]] == list(range(5))
    failed = page["rows"][1]
    assert (failed["state"], failed["reason"]) == ("failed", "refused") and failed["message"]


def test_columns_say_what_they_hold_and_what_may_be_put_there(studio, labeled):
    columns = {column["name"]: column for column in studio.results.page(labeled)["columns"]}
    assert columns["text"] == {"name": "text", "kind": "text", "editable": False}
    assert columns["labels"]["editable"] and columns["labels"]["choices"] == [*LABELS, "unsure"]
    assert columns["labels"]["step"] == "label"
    assert not columns["model_name"]["editable"]


def test_rows_are_filtered_searched_sorted_and_paged(studio, labeled):
    def ids(**query):
        return [row["values"]["id"] for row in studio.results.page(labeled, **query)["rows"]]

    assert ids(states=["failed"]) == ["T-1"]
    assert ids(states=["failed", "needs_review"]) == ["T-1", "T-2"]
    assert ids(reason="refused") == ["T-1"]
    assert ids(reason="timeout") == []
    assert ids(search="row-3 I") == ["T-3"]
    assert ids(sort="id", descending=True)[0] in ("T-4", "T-3")
    assert ids(offset=3, limit=1) == ["T-3"]
    with pytest.raises(ConfigError, match="Did you mean 'failed'"):
        ids(states=["fialed"])
    with pytest.raises(ConfigError, match="Did you mean 'refused'"):
        ids(reason="refuse")
    with pytest.raises(ConfigError, match="Did you mean 'label'"):
        studio.results.page(labeled, "lable")
    with pytest.raises(NotFound):
        studio.results.page("r_nothing")


def test_an_earlier_step_has_a_table_too(studio, labeled):
    page = studio.results.page(labeled, "load")
    assert [column["name"] for column in page["columns"]] == ["id", "text"]
    assert not any(column["editable"] for column in page["columns"])


def test_a_row_opens_to_all_that_was_asked_and_answered(studio, labeled):
    detail = studio.results.row(labeled, "00000000")
    load, label = detail["steps"]
    assert load["values"] == {"id": "T-0", "text": "row-0 I cannot log in"}
    assert label["values"] == {"labels": "login", "model_name": "gpt-4o-mini"}
    assert label["prompt"][-1]["role"] == "user" and "row-0" in label["prompt"][-1]["content"]
    assert label["raw"] == ['{"labels": "login"}']
    assert label["tokens_in"] > 0 and label["attempts"] == 1 and label["finished_at"]
    assert detail["corrections"] == []
    failed = studio.results.row(labeled, "00000001")["steps"][1]
    assert failed["state"] == "failed" and failed["values"] == {}
    with pytest.raises(NotFound, match="no row '99999999'"):
        studio.results.row(labeled, "99999999")


def test_a_correction_shows_beside_the_model_and_never_over_it(studio, labeled):
    answer = studio.results.correct(labeled, "00000000", "labels", "billing", note="was paid twice", reviewer="Ada")
    assert (answer["value"], answer["was"], answer["label_state"]) == ("billing", "login", "corrected")
    shown = row(studio, labeled, "00000000")
    assert shown["values"]["labels"] == "billing" and shown["original"] == {"labels": "login"}
    assert shown["label_state"] == {"labels": LabelState.CORRECTED}
    detail = studio.results.row(labeled, "00000000")
    assert detail["steps"][1]["values"]["labels"] == "login"
    said = detail["corrections"][0]
    assert (said["column"], said["value"], said["was"], said["note"], said["reviewer"]) == (
        "labels",
        "billing",
        "login",
        "was paid twice",
        "Ada",
    )


def test_every_correction_is_kept_and_the_last_one_counts(studio, labeled):
    for value in ("billing", "other"):
        studio.results.correct(labeled, "00000000", "labels", value)
    shown = row(studio, labeled, "00000000")
    assert (shown["values"]["labels"], shown["original"]["labels"]) == ("other", "login")
    values = [said["value"] for said in studio.results.row(labeled, "00000000")["corrections"]]
    assert values == ["billing", "other"]


def test_undo_puts_back_what_stood_there_as_one_more_entry(studio, labeled):
    for value in ("billing", "other"):
        studio.results.correct(labeled, "00000000", "labels", value)
    assert studio.results.undo(labeled, "00000000", "labels")["value"] == "billing"
    assert row(studio, labeled, "00000000")["values"]["labels"] == "billing"
    studio.results.correct(labeled, "00000003", "labels", "billing")
    studio.results.undo(labeled, "00000003", "labels")
    shown = row(studio, labeled, "00000003")
    assert (shown["values"]["labels"], shown["original"], shown["label_state"]) == ("login", {}, {})
    assert len(studio.results.row(labeled, "00000003")["corrections"]) == 2
    with pytest.raises(ConfigError, match="Nobody corrected"):
        studio.results.undo(labeled, "00000004", "labels")


def test_confirming_says_that_a_person_agrees(studio, labeled):
    studio.results.confirm(labeled, "00000000", "labels")
    assert row(studio, labeled, "00000000")["label_state"] == {"labels": LabelState.CONFIRMED}
    studio.results.correct(labeled, "00000003", "labels", "login")
    assert row(studio, labeled, "00000003")["label_state"] == {"labels": LabelState.CONFIRMED}
    studio.results.correct(labeled, "00000004", "labels", "unsure")
    assert row(studio, labeled, "00000004")["label_state"] == {"labels": LabelState.UNSURE}
    with pytest.raises(ConfigError, match="no value in 'labels' to confirm"):
        studio.results.confirm(labeled, "00000001", "labels")


def test_a_person_can_label_a_row_that_failed(studio, labeled):
    assert studio.results.correct(labeled, "00000001", "labels", "other")["label_state"] == "human_only"
    shown = row(studio, labeled, "00000001")
    assert shown["state"] == "failed" and shown["values"]["labels"] == "other"


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("labels", "weather", "none of the labels"),
        ("labels", "loggin", "Did you mean 'login'"),
        ("text", "x", "came with the data"),
        ("model_name", "x", "cannot be corrected"),
        ("lables", "login", "Did you mean 'labels'"),
        ("labels", ["login", "weather"], "'weather' is none"),
    ],
)
def test_what_cannot_be_corrected_is_told(studio, labeled, column, value, words):
    with pytest.raises(ConfigError, match=words):
        studio.results.correct(labeled, "00000000", column, value)
    assert studio.results.row(labeled, "00000000")["corrections"] == []


def test_a_row_that_is_not_there_cannot_be_corrected(studio, labeled):
    with pytest.raises(NotFound):
        studio.results.correct(labeled, "00000099", "labels", "login")


def test_long_texts_are_shortened_in_the_table_alone(studio, work):
    spec = asking(["x" * 2000])
    run_id = studio.runs.start(spec)
    work(run_id)
    shown = studio.results.page(run_id)["rows"][0]
    assert len(shown["values"]["instruction"]) == 501 and shown["shortened"] == ["instruction"]
    detail = studio.results.row(run_id, shown["row"])
    assert len(detail["steps"][0]["values"]["instruction"]) == 2000


def test_a_shortened_text_is_not_taken_for_a_correction(studio, work, server):
    server.behavior.reply = lambda body: "y" * 2000
    run_id = studio.runs.start(asking(["row-1"], llm=model(server)))
    work(run_id)
    shown = studio.results.page(run_id)["rows"][0]["values"]["generation"]
    with pytest.raises(ConfigError, match="Open the row"):
        studio.results.correct(run_id, "00000000", "generation", "a better start" + shown[10:])


def test_a_correction_reaches_the_tables_of_later_steps(studio, work):
    spec = chain(
        "three",
        {"use": "LoadDataFromDicts", "name": "seeds", "data": [{"text": "row-0"}, {"text": "row-1"}]},
        {"use": "TextClassification", "name": "label", "llm": {"use": "RehearsalLLM"}, "available_labels": LABELS},
        {"use": "KeepColumns", "name": "keep", "columns": ["labels"]},
    )
    run_id = studio.runs.start(spec)
    work(run_id)
    column = next(one for one in studio.results.page(run_id)["columns"] if one["name"] == "labels")
    assert column["step"] == "label" and column["choices"] == [*LABELS, "unsure"]
    studio.results.correct(run_id, "00000001", "labels", "unsure", step="label")
    assert row(studio, run_id, "00000001", "keep")["values"]["labels"] == "unsure"
    assert row(studio, run_id, "00000001", "label")["values"]["labels"] == "unsure"
    assert row(studio, run_id, "00000000", "keep")["original"] == {}


def test_of_several_rows_made_of_one_only_the_chosen_is_corrected(studio, work):
    spec = asking(["row-0", "row-1"], num_generations=3)
    run_id = studio.runs.start(spec)
    work(run_id)
    page = studio.results.page(run_id)
    assert page["total"] == 6 and page["counts"] == {"all": 6, "ok": 6}
    studio.results.correct(run_id, "00000001.0002", "generation", "mine")
    values = [row["values"]["generation"] == "mine" for row in studio.results.page(run_id)["rows"]]
    assert values == [False] * 5 + [True]
    assert studio.results.row(run_id, "00000001.0002")["position"] == 1


def test_what_is_said_of_a_row_does_not_reach_across_a_step_that_orders_all_rows(studio, work):
    from components import catalog
    from components.steps.step import GlobalStep

    class Reversed(GlobalStep):
        """Turns the rows around."""

        def process(self, inputs):
            yield list(reversed(inputs))

    catalog.register(Reversed)
    spec = chain(
        "turned",
        {"use": "LoadDataFromDicts", "name": "seeds", "data": [{"text": "row-0"}, {"text": "row-1"}]},
        {"use": "TextClassification", "name": "label", "llm": {"use": "RehearsalLLM"}, "available_labels": LABELS},
        {"use": "Reversed", "name": "turned"},
    )
    run_id = studio.runs.start(spec)
    work(run_id)
    studio.results.correct(run_id, "00000000", "labels", "unsure", step="label")
    turned = studio.results.page(run_id)
    assert [one["values"]["text"] for one in turned["rows"]] == ["row-1", "row-0"]
    assert [one["label_state"] for one in turned["rows"]] == [{}, {}]
    column = next(one for one in turned["columns"] if one["name"] == "labels")
    assert column["step"] == "turned"
    studio.results.correct(run_id, "00000000", "labels", "unsure", step="turned")
    assert studio.results.page(run_id)["rows"][0]["values"]["labels"] == "unsure"
    assert studio.results.page(run_id, "label")["rows"][1]["label_state"] == {}
    assert [step["step"] for step in studio.results.row(run_id, "00000000")["steps"]] == ["turned"]


def shown_names(studio, run_id, *states, step=""):
    return [row["row"] for row in studio.results.page(run_id, step, states=states)["rows"]]


def test_a_row_that_a_person_settled_is_no_more_to_review(studio, labeled):
    assert studio.results.correct(labeled, "00000002", "labels", "billing")["settled"]
    page = studio.results.page(labeled)
    assert page["counts"] == {"all": 5, "ok": 3, "failed": 1, "needs_review": 0, "settled": 1}
    assert shown_names(studio, labeled, "needs_review") == []
    assert shown_names(studio, labeled, "settled") == ["00000002"]
    assert shown_names(studio, labeled, "settled", "failed") == ["00000001", "00000002"]
    settled = page["rows"][2]
    assert (settled["state"], settled["settled"]) == ("needs_review", True)
    assert settled["label_state"] == {"labels": LabelState.HUMAN_ONLY}
    assert settled["values"]["labels"] == "billing" and settled["original"] == {"labels": None}
    assert not page["rows"][1]["settled"] and not page["rows"][0]["settled"]


def test_the_cell_keeps_its_state_and_undoing_opens_the_row_again(studio, labeled):
    for name in ("00000001", "00000002"):
        studio.results.correct(labeled, name, "labels", "billing")
    assert studio.results.page(labeled)["counts"] == {"all": 5, "ok": 3, "failed": 0, "needs_review": 0, "settled": 2}
    step = studio.runs.progress(labeled)["steps"][1]
    assert (step["ok"], step["failed"], step["needs_review"], step["total"]) == (3, 1, 1, 5)
    assert studio.results.row(labeled, "00000002")["steps"][1]["state"] == "needs_review"
    for name in ("00000001", "00000002"):
        studio.results.undo(labeled, name, "labels")
    assert studio.results.page(labeled)["counts"] == {"all": 5, "ok": 3, "failed": 1, "needs_review": 1}
    assert shown_names(studio, labeled, "needs_review") == ["00000002"]


def test_a_row_that_a_person_is_unsure_of_stays_to_review(studio, labeled):
    studio.results.correct(labeled, "00000002", "labels", "unsure")
    assert shown_names(studio, labeled, "needs_review") == ["00000002"]


def test_a_corrected_row_that_was_fine_is_not_counted_as_settled(studio, labeled):
    studio.results.correct(labeled, "00000000", "labels", "billing")
    assert studio.results.page(labeled)["counts"] == {"all": 5, "ok": 3, "failed": 1, "needs_review": 1}


def test_one_of_several_answers_is_settled_by_itself(studio, work, server):
    server.behavior.reply = lambda body: '{"labels": "weather"}'
    task = {**labeling(add_tickets(studio, 2), llm=model(server)).step("label"), "num_generations": 2}
    spec = chain("several", labeling(add_tickets(studio, 2)).step("load"), task)
    run_id = studio.runs.start(spec)
    work(run_id)
    assert studio.results.page(run_id)["counts"] == {"all": 4, "needs_review": 4}
    studio.results.correct(run_id, "00000001.0001", "labels", "billing")
    assert studio.results.page(run_id)["counts"] == {"all": 4, "needs_review": 3, "settled": 1}
    assert shown_names(studio, run_id, "settled") == ["00000001.0001"]
    assert shown_names(studio, run_id, "needs_review") == ["00000000.0000", "00000000.0001", "00000001.0000"]
    assert studio.results.page(run_id, states=["needs_review"])["total"] == 3
