import csv
import io
import json
import threading

import pyarrow.parquet as pq
import pytest

from app.studio import NotFound
from components.errors import ConfigError
from tests.app.pipelines import add_tickets, asking, chain, labeling, model
from tests.servers.faults import Fault, Faults


def content(studio, run_id, **options):
    return b"".join(studio.exports.export(run_id, **options).chunks)


def as_csv(studio, run_id, **options):
    text = content(studio, run_id, format="csv", **options).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def as_jsonl(studio, run_id, **options):
    return [json.loads(line) for line in content(studio, run_id, format="jsonl", **options).splitlines()]


def as_parquet(studio, run_id, **options):
    return pq.read_table(io.BytesIO(content(studio, run_id, format="parquet", **options))).to_pylist()


@pytest.fixture
def labeled(studio, work, server):
    """Four tickets, the first of which failed."""
    server.behavior.faults = Faults(rows={"row-0": Fault.CONTENT_POLICY})
    server.behavior.reply = lambda body: '{"labels": "login"}'
    run_id = studio.runs.start(labeling(add_tickets(studio, 4), llm=model(server)))
    work(run_id)
    return run_id


def test_every_format_has_all_rows_in_order_with_what_became_of_them(studio, labeled):
    for rows in (as_csv(studio, labeled), as_jsonl(studio, labeled), as_parquet(studio, labeled)):
        assert [row["id"] for row in rows] == ["T-0", "T-1", "T-2", "T-3"]
        assert [row["stillroom_state"] for row in rows] == ["failed", "ok", "ok", "ok"]
        assert rows[0]["stillroom_reason"] == "refused"
        assert rows[0]["labels"] in ("", None) and rows[1]["labels"] == "login"
        assert all(set(row) == set(rows[0]) for row in rows)
    assert list(as_csv(studio, labeled)[0]) == [
        "id",
        "text",
        "labels",
        "model_name",
        "stillroom_state",
        "stillroom_reason",
    ]


def test_a_corrected_column_has_what_counts_and_what_the_model_said(studio, labeled):
    studio.results.correct(labeled, "00000001", "labels", "billing")
    studio.results.confirm(labeled, "00000002", "labels")
    studio.results.correct(labeled, "00000000", "labels", "other")
    rows = as_jsonl(studio, labeled)
    assert [(row["labels"], row["labels_model"], row["labels_state"]) for row in rows] == [
        ("other", None, "human_only"),
        ("billing", "login", "corrected"),
        ("login", "login", "confirmed"),
        ("login", "login", "llm_only"),
    ]
    assert list(as_csv(studio, labeled)[0])[2:5] == ["labels", "labels_model", "labels_state"]
    assert [row["labels_model"] for row in as_parquet(studio, labeled)] == [None, "login", "login", "login"]


def test_a_column_of_that_name_that_is_there_already_is_left_alone(studio, work):
    data = [{"text": "row-0", "labels_model": "mine"}]
    spec = chain(
        "clash",
        {"use": "LoadDataFromDicts", "name": "seeds", "data": data},
        {"use": "TextClassification", "name": "label", "llm": {"use": "RehearsalLLM"}, "available_labels": ["a", "b"]},
    )
    run_id = studio.runs.start(spec)
    work(run_id)
    studio.results.correct(run_id, "00000000", "labels", "unsure")
    row = as_jsonl(studio, run_id)[0]
    assert row["labels_model"] == "mine" and row["labels_model_2"] in ("a", "b", "unsure")
    assert row["labels"] == "unsure" and row["labels_state"] == "unsure"


def test_rows_in_other_states_can_be_left_out(studio, labeled):
    assert [row["id"] for row in as_jsonl(studio, labeled, states=["failed"])] == ["T-0"]
    assert len(as_csv(studio, labeled, states=["ok", "needs_review"])) == 3


def test_a_rehearsal_is_marked_in_the_name_and_in_every_row(studio, work):
    run_id = studio.runs.start(labeling(add_tickets(studio, 2)))
    work(run_id)
    assert "rehearsal" in studio.exports.export(run_id).filename
    assert [row["stillroom_rehearsal"] for row in as_jsonl(studio, run_id)] == [True, True]


def test_a_run_that_is_not_done_is_exported_as_far_as_it_is(studio, work, server):
    held, go = threading.Event(), threading.Event()

    def reply(body):
        if "row-2" in str(body):
            held.set()
            go.wait(20)
        return '{"labels": "login"}'

    server.behavior.reply = reply
    run_id = studio.runs.start(labeling(add_tickets(studio, 4), llm=model(server)), concurrency=1)
    worker = threading.Thread(target=work, args=(run_id,))
    worker.start()
    assert held.wait(20)
    for rows in (as_csv(studio, run_id), as_jsonl(studio, run_id), as_parquet(studio, run_id)):
        assert [row["id"] for row in rows] == ["T-0", "T-1"]
    go.set()
    worker.join(30)
    assert len(as_parquet(studio, run_id)) == 4


def test_a_run_without_rows_is_a_file_with_columns(studio):
    run_id = studio.runs.start(asking(["a"]))
    assert content(studio, run_id).decode("utf-8-sig") == "generation,model_name\r\n"
    assert content(studio, run_id, format="jsonl") == b""
    assert as_parquet(studio, run_id) == []


def test_text_of_rows_cannot_become_a_formula(studio, work):
    run_id = studio.runs.start(asking(['=HYPERLINK("http://evil")', "-5"]))
    work(run_id)
    assert [row["instruction"] for row in as_csv(studio, run_id)] == ['\'=HYPERLINK("http://evil")', "-5"]
    plain = content(studio, run_id, safe_for_spreadsheets=False).decode()
    assert plain.splitlines()[1].startswith('"=HYPERLINK(')
    assert as_jsonl(studio, run_id)[0]["instruction"] == '=HYPERLINK("http://evil")'


def test_an_exported_table_can_be_added_again(studio, labeled):
    info = studio.datasets.add(io.BytesIO(content(studio, labeled)), "back.csv")
    assert info.columns[:3] == ["id", "text", "labels"] and info.n_rows == 4
    assert studio.datasets.add(io.BytesIO(content(studio, labeled, format="parquet")), "back.parquet").n_rows == 4
    assert studio.datasets.add(io.BytesIO(content(studio, labeled, format="jsonl")), "back.jsonl").n_rows == 4


def test_another_step_can_be_exported(studio, labeled):
    assert list(as_csv(studio, labeled, step="load")[0]) == ["id", "text", "stillroom_state", "stillroom_reason"]


def test_wrong_wishes_are_told_before_the_first_byte(studio, labeled):
    with pytest.raises(ConfigError, match="Did you mean 'csv'"):
        studio.exports.export(labeled, format="cvs")
    with pytest.raises(ConfigError, match="Did you mean 'ok'"):
        studio.exports.export(labeled, states=["okk"])
    with pytest.raises(ConfigError, match="no step"):
        studio.exports.export(labeled, step="nothing")
    with pytest.raises(NotFound):
        studio.exports.export("r_nothing")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_is_written_by_the_ending_of_its_name(studio, labeled, tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    studio.exports.write(labeled, path)
    assert path.read_bytes() == content(studio, labeled, format=ending)
    with pytest.raises(ConfigError, match="could not be written"):
        studio.exports.write(labeled, tmp_path / "nowhere" / f"out.{ending}")


def test_nothing_is_left_behind(studio, labeled, settings):
    for format in ("csv", "jsonl", "parquet"):
        content(studio, labeled, format=format)
    first = studio.exports.export(labeled, format="parquet").chunks
    next(first)
    first.close()
    assert list((settings.home / "exports").iterdir()) == []
