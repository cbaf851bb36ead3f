"""`stillroom runs`, `show`, `continue`, `stop`, `retry` and `export`, on runs of this command and of others."""

import csv
import json
import threading

import pytest

from app.cli.screen import Screen
from app.cli.working import work
from components.pipeline import Pipeline
from components.pipeline.ledger import shared_ledger
from components.pipeline.ledger.owner import process_name
from components.states import RunState
from tests.app.command import answer, stillroom
from tests.app.pipelines import asking, model
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.faults import Fault
from tests.servers.openai_server import OpenAIServer


@pytest.fixture(autouse=True)
def home(monkeypatch, settings):
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))
    return settings.home


@pytest.fixture
def start(tmp_path):
    """Runs a pipeline; returns the id of the run."""

    def start(spec, *words):
        spec.save(tmp_path / "pipeline.yaml")
        return answer("run", tmp_path / "pipeline.yaml", *words)["id"]

    return start


@pytest.fixture
def ailing():
    """A server that refuses the row `trouble` until it is told to be well."""
    with OpenAIServer() as server:
        server.behavior.reply = lambda body: Fault.CONTENT_POLICY if "trouble" in str(body["messages"]) else "fine"
        yield server


def paused(start, server, rows=5):
    """A run that rests because its key was refused."""
    server.behavior.keys = ["sk-right"]
    return start(asking([f"row-{n}" for n in range(rows)], model(server)))


def test_runs_of_the_command_a_script_and_the_app_stand_in_one_list(start, studio):
    start(asking(["one"]))
    Pipeline.from_spec(asking(["one"])).run()
    studio.runs.start(asking(["one"]))
    assert [run["origin"] for run in answer("runs")["runs"]] == ["app", "script", "cli"]
    lines = stillroom("runs").stdout.splitlines()
    assert lines[0].split() == ["run", "state", "rows", "failed", "spent", "by", "started", "pipeline"]
    assert len(lines) == 4
    assert len(answer("runs", "--limit", "1")["runs"]) == 1


def test_no_runs_are_a_sentence():
    assert stillroom("runs").stdout == "There are no runs yet.\n"


def test_a_run_is_shown_by_any_start_of_its_id(start, ailing):
    run_id = start(asking(["one", "trouble"], model(ailing)))
    for name in (run_id, run_id[:8], run_id.removeprefix("r_")[:6]):
        shown = stillroom("show", name)
        assert shown.exit_code == 0
        assert f"run {run_id}" in shown.stdout
        assert "done with failures" in shown.stdout
        assert "answer: 1 row. The model or its provider declined to answer. (refused)" in shown.stdout
    found = answer("show", run_id)
    assert found["errors"][0]["reason"] == "refused"
    assert found["events"][0]["kind"] == "created"


def test_the_start_of_several_ids_is_no_id(start):
    start(asking(["one"]))
    start(asking(["two"]))
    done = stillroom("show", "r_")
    assert done.exit_code == 2
    assert "Several runs have an id that starts with 'r_'" in done.stderr


def test_a_run_that_rests_is_gone_on_with_here(start, server, tmp_path, monkeypatch):
    run_id = paused(start, server)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    done = stillroom("continue", run_id, "--out", tmp_path / "out.csv")
    assert done.exit_code == 0
    assert "is done: 5 rows" in done.stdout
    assert [step["ok"] for step in answer("show", run_id)["steps"]] == [5, 5]
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 6


def test_a_capped_run_wants_a_higher_cap(start, server):
    llm = model(server, input_price=1000, output_price=1000)
    run_id = start(asking(["one", "two"], llm), "--cap", "0.0001")
    for words, code, sentence in (
        ((), 1, "Raise the cap to go on"),
        (("--cap", "-1"), 2, "a cap is an amount in US dollars"),
    ):
        refused = stillroom("continue", run_id, *words)
        assert refused.exit_code == code
        assert sentence in refused.stderr
    assert answer("continue", run_id, "--cap", "10")["state"] == "done"


def test_a_run_that_waits_for_a_batch_is_collected_later(start, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with OpenAIBatchServer(polls_until_done=1) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        llm = {"use": "OpenAILLM", "model": "gpt-4o-mini", "use_offline_batch_generation": True}
        asking(["one", "two"], llm).save(tmp_path / "p.yaml")
        done = stillroom("run", tmp_path / "p.yaml")
        assert done.exit_code == 1
        assert "is waiting for a batch: 0 of 2 rows" in done.stdout
        assert "Look for its answers later with: stillroom continue r_" in done.stdout
        (run,) = answer("runs")["runs"]
        assert answer("continue", run["id"])["state"] == "done"
        assert sum(server.on_the_bill().values()) == 1


def test_a_run_that_is_done_is_not_gone_on_with(start):
    done = stillroom("continue", start(asking(["one"])))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "This run is done. Retry its failed rows, or start a new run.\n"


def test_a_run_of_a_living_process_is_left_to_it(start, server, studio):
    run_id = paused(start, server)
    studio.ledger.claim(run_id, f"{process_name()}:other")
    studio.ledger.set_state(run_id, RunState.RUNNING)
    for command in ("continue", "retry"):
        done = stillroom(command, run_id)
        assert done.exit_code == 1
        assert "under way" in done.stderr
    assert server.requests != []


def test_a_run_that_somebody_else_took_up_first_is_looked_on_at(studio):
    run_id = studio.runs.start(asking(["one"]))
    studio.ledger.claim(run_id, f"{process_name()}:other")
    looking = threading.Thread(target=work, args=(studio, run_id, Screen()), daemon=True)
    looking.start()
    studio.ledger.set_state(run_id, RunState.DONE)
    looking.join(30)
    assert not looking.is_alive()
    assert studio.ledger.count(run_id, "answer") == 0


def test_a_run_whose_process_is_gone_is_gone_on_with(start, server, studio, monkeypatch):
    run_id = paused(start, server)
    studio.ledger.claim(run_id, f"{process_name().rpartition(':')[0]}:1:other")
    studio.ledger.set_state(run_id, RunState.RUNNING)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    assert answer("continue", run_id)["state"] == "done"


def test_a_script_s_own_steps_stay_with_the_script(start, studio, known_to_no_catalog):
    done = stillroom("continue", known_to_no_catalog)
    assert done.exit_code == 1
    assert "Run the script again to continue" in done.stderr


@pytest.fixture
def known_to_no_catalog():
    """A run of a script with a step of its own, stopped."""
    from tests.fakes import Ask, EchoLLM, Numbers

    with Pipeline(name="own") as pipeline:
        Numbers(count=2) >> Ask(llm=EchoLLM())
    run_id = pipeline.run().run_id
    shared_ledger().set_state(run_id, RunState.STOPPED)
    return run_id


def test_failed_rows_are_tried_again_and_nothing_else_is(start, ailing):
    run_id = start(asking(["one", "trouble"], model(ailing)))
    ailing.behavior.reply = None
    done = stillroom("retry", run_id)
    assert done.exit_code == 0
    assert "Working again on 1 row." in done.stderr
    assert len(ailing.requests) == 3


def test_rows_are_tried_again_by_cause_and_by_step(start, ailing):
    run_id = start(asking(["one", "trouble"], model(ailing)))
    assert stillroom("retry", run_id, "--reason", "timeout").exit_code == 1
    assert stillroom("retry", run_id, "--step", "answer", "--reason", "refused").exit_code == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--reason", "bored"), "--reason bored: use one of bad_key, rate_limit"),
        (("--step", "anser"), "--step anser: There is no step 'anser'"),
    ],
)
def test_a_cause_or_step_that_is_unknown_is_wrong_use(start, ailing, words, sentence):
    done = stillroom("retry", start(asking(["one", "trouble"], model(ailing))), *words)
    assert done.exit_code == 2
    assert done.stderr.startswith(sentence)


def test_nothing_failed_is_nothing_to_retry(start):
    done = stillroom("retry", start(asking(["one"])))
    assert (done.exit_code, done.stderr) == (1, "There is nothing to retry: no row failed that way.\n")


def test_a_queued_run_is_stopped(studio):
    run_id = studio.runs.start(asking(["one"]))
    done = stillroom("stop", run_id)
    assert done.exit_code == 0
    assert "is stopped. Go on with: stillroom continue r_" in done.stdout
    assert studio.runs.get(run_id).state == RunState.STOPPED


def test_a_run_that_is_done_needs_no_stop(start):
    done = stillroom("stop", start(asking(["one"])))
    assert (done.exit_code, done.stderr) == (1, "This run is done and needs no stop.\n")


def test_the_results_of_a_step_and_a_state_are_exported(start, ailing, tmp_path):
    run_id = start(asking(["one", "trouble"], model(ailing)))
    for words, rows in (((), 2), (("--state", "ok"), 1), (("--state", "ok", "--state", "failed"), 2)):
        done = stillroom("export", run_id, "--out", tmp_path / "out.jsonl", *words)
        assert done.exit_code == 0
        assert len((tmp_path / "out.jsonl").read_text().splitlines()) == rows
    stillroom("export", run_id, "--out", tmp_path / "seeds.csv", "--step", "seeds")
    with (tmp_path / "seeds.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["instruction"] for row in csv.DictReader(file)] == ["one", "trouble"]


def test_what_is_there_of_a_run_that_rests_can_be_exported(start, server, tmp_path):
    run_id = paused(start, server)
    done = stillroom("export", run_id, "--out", tmp_path / "out.jsonl")
    assert done.exit_code == 0
    assert f"What is there so far is in {tmp_path / 'out.jsonl'}; the run is paused." in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--step", "anser"), "This run has no step 'anser'. Did you mean 'answer'?"),
        (("--state", "okay"), "There is no state 'okay'."),
    ],
)
def test_an_export_of_what_is_not_there_is_wrong_use(start, tmp_path, words, sentence):
    done = stillroom("export", start(asking(["one"])), "--out", tmp_path / "out.csv", *words)
    assert done.exit_code == 2
    assert done.stderr.startswith(sentence)


def test_another_home_has_other_runs_and_the_hints_name_it(tmp_path):
    asking(["one"]).save(tmp_path / "p.yaml")
    done = stillroom("run", tmp_path / "p.yaml", "--home", tmp_path / "my home")
    assert f"--home '{tmp_path / 'my home'}'" in done.stdout
    assert answer("runs") == {"runs": []}
    assert len(answer("runs", "--home", tmp_path / "my home")["runs"]) == 1


def test_nobody_else_can_look_into_the_home_folder(tmp_path):
    stillroom("runs", "--home", tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("words", [("runs",), ("run", "p.yaml"), ("rehearse", "p.yaml")])
def test_a_home_that_cannot_be_made_is_one_sentence(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asking(["one"]).save(tmp_path / "p.yaml")
    done = stillroom(*words, "--home", tmp_path / "p.yaml" / "inside")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        f"The folder {tmp_path / 'p.yaml' / 'inside'} cannot be used: Not a directory. Choose another --home."
    ]


def test_a_wrong_setting_of_the_environment_is_wrong_use(monkeypatch):
    monkeypatch.setenv("STILLROOM_PORT", "many")
    done = stillroom("runs")
    assert done.exit_code == 2
    assert done.stderr.startswith("STILLROOM_PORT: ")


def test_every_command_answers_a_machine_in_one_document(start, tmp_path):
    run_id = start(asking(["one"]))
    for words in (("runs",), ("show", run_id), ("export", run_id, "--out", tmp_path / "o.csv"), ("components",)):
        assert isinstance(json.loads(stillroom(*words, "--json").stdout), dict)
