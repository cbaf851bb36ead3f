"""`stillroom run`, `rehearse` and `check`: what they do, how they end, what they say."""

import csv
import json

import pyarrow.parquet
import pytest

from components.pipeline.spec import PipelineSpec
from tests.app.command import answer, stillroom
from tests.app.pipelines import REHEARSAL, asking, chain, model, tickets
from tests.servers.faults import Fault
from tests.servers.openai_server import OpenAIServer


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))


@pytest.fixture
def saved(tmp_path):
    """Saves a pipeline as YAML."""

    def save(spec: PipelineSpec, name="pipeline.yaml"):
        spec.save(tmp_path / name)
        return tmp_path / name

    return save


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def answering(fault):
    """A server that has trouble with every row that says so."""
    return OpenAIServer(reply=lambda body: fault if "trouble" in str(body["messages"]) else "fine")


def test_a_run_ends_with_0_and_its_results_in_the_file(saved, server, tmp_path):
    pipeline = saved(asking(["one", "two", "three"], model(server)))
    done = stillroom("run", pipeline, "--out", tmp_path / "out.csv")
    assert done.exit_code == 0
    assert [row["generation"] for row in rows_of(tmp_path / "out.csv")] == ["echo: one", "echo: two", "echo: three"]
    assert "is done: 3 rows" in done.stdout
    assert "answer: 3 rows" in done.stderr


def test_failed_rows_end_a_run_with_3_and_say_how_to_retry(saved):
    with answering(Fault.CONTENT_POLICY) as server:
        done = stillroom("run", saved(asking(["one", "trouble", "three"], model(server))))
    assert done.exit_code == 3
    assert "3 rows, 1 failed" in done.stdout
    assert "answer: 1 row. The model or its provider declined to answer. (refused)" in done.stdout
    assert "Retry the failed rows with: stillroom retry r_" in done.stdout


def test_a_refused_key_pauses_a_run_and_ends_it_with_1(saved):
    with OpenAIServer(keys=["sk-right"]) as server:
        done = stillroom("run", saved(asking(["one"] * 5, model(server))))
    assert done.exit_code == 1
    assert "is paused: 0 of 5 rows" in done.stdout
    assert "Go on with: stillroom continue r_" in done.stdout


def test_a_run_that_reaches_its_cap_ends_with_1_and_says_how_to_raise_it(saved, server):
    llm = model(server, input_price=1_000_000, output_price=1_000_000)
    done = stillroom("run", saved(asking(["one", "two"], llm)), "--cap", "1")
    assert done.exit_code == 1
    assert "is capped" in done.stdout
    assert "--cap AMOUNT" in done.stdout
    assert server.requests == []


def test_a_cap_that_cannot_be_kept_starts_nothing(saved):
    llm = {"use": "OpenAILLM", "model": "somebody/unknown", "base_url": "https://models.example/v1"}
    done = stillroom("run", saved(asking(["one"], llm)), "--cap", "1")
    assert done.exit_code == 1
    assert "The price of somebody/unknown is unknown" in done.stderr
    assert answer("runs") == {"runs": []}


def test_json_is_one_document_on_standard_output(saved, server):
    found = answer("run", saved(asking(["one", "two"], model(server))))
    assert found["state"] == "done"
    assert found["origin"] == "cli"
    assert found["rows_total"] == 2
    assert [step["ok"] for step in found["steps"]] == [2, 2]


def test_an_error_is_one_document_too(saved):
    done = stillroom("check", saved(chain("Empty")), "--set", "label.n=2", "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout) == {"error": "--set label.n: there is no step 'label' in the pipeline."}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_the_ending_says_which_kind_of_file_is_written(saved, tmp_path, ending):
    out = tmp_path / f"out.{ending}"
    assert stillroom("run", saved(asking(["one", "two"])), "--out", out).exit_code == 0
    if ending == "parquet":
        rows = pyarrow.parquet.read_table(out).to_pylist()
    else:
        rows = rows_of(out) if ending == "csv" else [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["instruction"] for row in rows] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("out.txt", "there is no format '.txt'. Use one of .csv, .jsonl, .parquet."),
        ("out.json", "there is no format '.json'. Did you mean '.jsonl'?"),
        ("nowhere/out.csv", "there is no folder"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_asked(saved, server, tmp_path, name, sentence):
    done = stillroom("run", saved(asking(["one"], model(server))), "--out", tmp_path / name)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"--out {tmp_path / name}: ")
    assert sentence in done.stderr
    assert server.requests == []


def test_data_takes_the_place_of_any_source(saved, tmp_path):
    (tmp_path / "more.csv").write_bytes(b"instruction\nfrom the file\n")
    found = answer("run", saved(asking(["written"])), "--data", tmp_path / "more.csv", "--out", tmp_path / "out.csv")
    assert found["steps"][0]["component"] == "LoadDataFromFileSystem"
    assert [row["instruction"] for row in rows_of(tmp_path / "out.csv")] == ["from the file"]


def test_data_takes_the_place_of_another_file_and_keeps_how_columns_are_called(saved, tmp_path):
    source = {
        "use": "LoadDataFromFileSystem",
        "name": "load",
        "data_files": "gone.tsv",
        "delimiter": "\t",
        "output_mappings": {"text": "ticket"},
    }
    task = {"use": "TextClassification", "name": "label", "llm": REHEARSAL, "input_mappings": {"text": "ticket"}}
    (tmp_path / "tickets.csv").write_bytes(tickets(2))
    pipeline = saved(chain("Labeling", source, task))
    done = stillroom("run", pipeline, "--data", tmp_path / "tickets.csv", "--out", tmp_path / "out.csv")
    assert done.exit_code == 0, done.stderr
    assert [row["ticket"] for row in rows_of(tmp_path / "out.csv")] == [
        "row-0 I cannot log in",
        "row-1 I cannot log in",
    ]


def test_data_is_put_in_front_of_a_pipeline_without_a_source(saved, tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"instruction\none\n")
    task = {"use": "TextGeneration", "name": "answer", "llm": REHEARSAL}
    assert answer("run", saved(chain("No source", task)), "--data", tmp_path / "rows.csv")["state"] == "done"


def test_data_must_be_clear_when_there_are_two_sources(saved, tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"instruction\none\n")
    sources = [{"use": "LoadDataFromDicts", "name": name, "data": [{"text": "a"}]} for name in ("first", "second")]
    done = stillroom("check", saved(PipelineSpec(steps=sources)), "--data", tmp_path / "rows.csv")
    assert done.exit_code == 2
    assert done.stderr.startswith("--data: the pipeline has 2 sources, 'first', 'second'. Choose one with --set first.")


def test_a_file_named_in_the_pipeline_is_found_from_any_folder_later(saved, tmp_path, monkeypatch):
    (tmp_path / "rows.csv").write_bytes(b"instruction\none\n")
    monkeypatch.chdir(tmp_path)
    source = {"use": "LoadDataFromFileSystem", "name": "load", "data_files": "rows.csv"}
    task = {"use": "TextGeneration", "name": "answer", "llm": REHEARSAL}
    with OpenAIServer(keys=["sk-right"]) as server:
        run = answer("run", saved(chain("Later", source, task | {"llm": model(server)})))
        monkeypatch.chdir("/")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
        assert answer("continue", run["id"])["state"] == "done"


def test_a_model_file_is_named_by_its_whole_path_so_that_it_is_found_from_any_folder(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = answer("run", saved(asking(["one"], {"use": "LlamaCppLLM", "model_path": "models/tiny.gguf"})))
    assert str(tmp_path / "models" / "tiny.gguf") in run["state_reason"]


def test_limit_takes_only_the_first_rows(saved):
    assert answer("run", saved(asking(["one", "two", "three"])), "--limit", "2")["rows_total"] == 2


def test_answers_of_an_earlier_run_cost_nothing_unless_told_so(saved, server):
    pipeline = saved(asking(["one", "two"], model(server)))
    for words, asked in (((), 2), ((), 2), (("--no-cache",), 4)):
        assert stillroom("run", pipeline, *words).exit_code == 0
        assert len(server.requests) == asked


def test_a_key_under_models_and_keys_is_used(saved, studio, monkeypatch):
    monkeypatch.setenv("STILLROOM_HOME", str(studio.settings.home))
    with OpenAIServer(keys=["sk-mine"]) as server:
        studio.connections.add("custom", "sk-mine", name="mine", base_url=server.base_url)
        llm = {"use": "OpenAILLM", "model": "gpt-4o-mini", "connection": "mine"}
        assert answer("run", saved(asking(["one"], llm)))["state"] == "done"


def test_a_pipeline_that_is_wrong_starts_nothing_and_says_everything(saved):
    spec = asking(["one"], template="{{ instruction }} {{ missing }}")
    done = stillroom("run", saved(spec))
    assert done.exit_code == 1
    assert "missing" in done.stderr
    assert answer("runs") == {"runs": []}


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\x00", b"instruction\nq\n\x00\n", b'instruction\n"never closed\n'],
)
def test_a_file_that_is_no_table_is_one_sentence_and_starts_nothing(saved, server, tmp_path, content):
    (tmp_path / "rows.csv").write_bytes(content)
    done = stillroom("run", saved(asking(["one"], model(server))), "--data", tmp_path / "rows.csv")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "rows.csv" in done.stderr
    assert server.requests == []


def test_a_file_that_breaks_off_later_stops_the_run_and_keeps_what_is_done(saved, tmp_path):
    rows = b"".join(b"q%d\n" % number for number in range(5000))
    (tmp_path / "rows.csv").write_bytes(b"instruction\n" + rows + b"one,too,many\n")
    done = stillroom("run", saved(asking(["one"])), "--data", tmp_path / "rows.csv")
    assert done.exit_code == 1
    assert "is stopped" in done.stdout
    assert "rows.csv, line 5002: there are 3 cells, but the header has 1." in done.stdout
    assert "Go on with: stillroom continue r_" in done.stdout
    assert answer("runs")["runs"][0]["rows_done"] > 0


def test_a_key_shows_up_nowhere(saved, tmp_path, monkeypatch):
    canary = "sk-canary-51c0ffee51c0ffee"
    monkeypatch.setenv("OPENAI_API_KEY", canary)
    with OpenAIServer(keys=["sk-another"]) as server:
        done = stillroom("run", saved(asking(["one"] * 5, model(server))), "--json")
    assert json.loads(done.stdout)["state"] == "paused"
    exported = stillroom("export", json.loads(done.stdout)["id"], "--out", tmp_path / "out.jsonl")
    shown = stillroom("show", json.loads(done.stdout)["id"])
    assert canary not in done.output + exported.output + shown.output
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if canary.encode() in path.read_bytes()] == []


def test_check_lists_every_problem_with_its_step(saved):
    spec = chain("Broken", {"use": "LoadDataFromDicts", "name": "seeds"}, {"use": "TextGeneratoin", "name": "answer"})
    done = stillroom("check", saved(spec))
    assert done.exit_code == 1
    assert "Broken has 2 problems." in done.stdout
    found = answer("check", saved(spec))
    assert not found["ok"]
    assert [problem["step"] for problem in found["problems"]] == ["seeds", "answer"]


def test_check_of_a_good_pipeline_ends_with_0(saved):
    done = stillroom("check", saved(asking(["one"])))
    assert (done.exit_code, done.stdout) == (0, "Asking can run.\n")


def test_a_rehearsal_asks_no_model_and_says_so(saved, server):
    done = stillroom("rehearse", saved(asking([f"row {n}" for n in range(9)], model(server))))
    assert done.exit_code == 0
    assert "Rehearsal: no model was asked, the answers are made up." in done.stdout
    assert done.stdout.count("generation: ") == 5
    assert server.requests == []


def test_a_rehearsal_gives_its_rows_to_a_machine(saved, server, tmp_path):
    pipeline = saved(asking(["one", "two"], model(server)))
    found = answer("rehearse", pipeline, "--rows", "1", "--out", tmp_path / "out.csv")
    assert found["rehearsal"]
    assert [row["values"]["instruction"] for row in found["results"]["answer"]] == ["one"]
    assert [row["stillroom_rehearsal"] for row in rows_of(tmp_path / "out.csv")] == ["true"]


@pytest.mark.parametrize(
    "words",
    [
        ["run", "nowhere.yaml"],
        ["run"],
        ["runn"],
        ["run", "PIPELINE", "--concurrency", "0"],
        ["run", "PIPELINE", "--cap", "much"],
        ["run", "PIPELINE", "--cap", "nan"],
        ["run", "PIPELINE", "--data", "nowhere.csv"],
        ["show", "r_nothing"],
        ["export", "r_nothing"],
        ["components", "TextGeneratoin"],
        ["rehearse", "PIPELINE", "--rows", "0"],
    ],
)
def test_wrong_use_ends_with_2_and_one_sentence(saved, words):
    pipeline = saved(asking(["one"]))
    done = stillroom(*(str(pipeline) if word == "PIPELINE" else word for word in words))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_what_stands_in_a_row_cannot_steer_the_terminal(saved):
    shown = stillroom("rehearse", saved(asking(["\x1b[31mred\x07\u202e"])))
    assert "\\x1b[31mred\\x07\\u202e" in shown.stdout
    assert "\x1b" not in shown.output
