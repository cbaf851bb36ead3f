"""`stillroom batches`: what is listed and shown, and what can be done about jobs, with the app beside it or without."""

import json
import signal
import time

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.cli.forecast import forecast, in_a_line
from app.worker import Worker
from components.pipeline.batch.machine import SCRIPT_ONLY
from components.states import RunState
from tests.app.batches import a_batch_server, adds_up, batch_model, collected, overnight, submitted
from tests.app.command import answer, process, stillroom
from tests.app.conftest import FAST, until
from tests.app.pipelines import asking, chain


@pytest.fixture(autouse=True)
def home(monkeypatch, settings):
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))
    # The model has no connection of its own, so that a run that a command started can be sent by any process.
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    return settings.home


@pytest.fixture
def provider():
    with a_batch_server() as server:
        yield server


@pytest.fixture
def saved(tmp_path):
    """Saves a pipeline as YAML."""

    def save(spec):
        spec.save(tmp_path / "pipeline.yaml")
        return tmp_path / "pipeline.yaml"

    return save


def look_now(studio):
    """Let every open job be due, as a minute of waiting would."""
    for job in studio.batches.list():
        if "collect" in job["can"]:
            studio.batches.store.change(job["key"], next_poll_at=0.0)


# Reading


def test_no_jobs_are_a_sentence():
    assert stillroom("batches", "list").stdout == "There are no batch jobs.\n"
    assert answer("batches", "list") == {"jobs": []}


def test_a_list_has_the_whole_provider_id_and_counts_that_add_up(studio, work, provider):
    provider.batch.change(rows={"row-2": ["400"], "row-5": "missing"})
    run_id, key = submitted(studio, work, overnight(provider))
    listed = stillroom("batches", "list")
    assert listed.exit_code == 0
    head, line = listed.stdout.splitlines()
    assert head.split() == [
        "job", "step", "provider", "model", "state", "rows", "ok", "failed", "expired", "missing", "open", "age",
        "expires", "cost", "provider", "id",
    ]  # fmt: skip
    assert line.startswith(f"{key[:8]}  answer") and line.endswith(f"  {provider.batches[0].id}")
    assert "submitted" in line and "at most $" in line
    collected(studio, run_id)
    (job,) = answer("batches", "list")["jobs"]
    assert adds_up(job)
    assert (job["counts"]["ok"], job["counts"]["failed"], job["counts"]["missing"]) == (8, 1, 1)


def test_jobs_of_which_nothing_is_left_to_do_are_listed_only_when_asked_for(studio, work, provider):
    run_id, key = submitted(studio, work, overnight(provider))
    collected(studio, run_id)
    told = stillroom("batches", "list").stdout
    assert told == "Nothing is left to do.\n1 job more with nothing left to do: stillroom batches list --all\n"
    assert key[:8] in stillroom("batches", "list", "--all").stdout
    assert [job["key"] for job in answer("batches", "list", "--all", "--run", run_id)["jobs"]] == [key]


def test_a_job_is_shown_with_its_timeline_and_what_can_be_done(studio, work, provider):
    run_id, key = submitted(studio, work, overnight(provider))
    remote_id = provider.batches[0].id
    for name in (key, key[:6], remote_id, remote_id[:-3]):
        shown = stillroom("batches", "show", name)
        assert shown.exit_code == 0, shown.stderr
        assert remote_id in shown.stdout and run_id in shown.stdout
        assert "10: 0 ok, 10 open" in shown.stdout
        assert "planned" in shown.stdout and "uploaded" in shown.stdout
        assert f"stillroom batches cancel {remote_id}" in shown.stdout
    assert answer("batches", "show", key)["events"][0]["kind"] == "planned"


def test_a_job_that_is_shown_says_what_sending_the_rest_again_costs(studio, work, provider):
    provider.batch.change(rows={"row-2": ["400"]})
    run_id, key = submitted(studio, work, overnight(provider))
    collected(studio, run_id)
    shown = stillroom("batches", "show", key).stdout
    assert "Send 1 row, about $" in shown or "Send 1 row, under $" in shown
    assert "the Jobs page" in shown


@pytest.mark.parametrize("command", ["show", "cancel", "collect", "retry"])
def test_an_unknown_id_is_one_sentence_with_the_nearest_one(studio, work, provider, command):
    submitted(studio, work, overnight(provider))
    remote_id = provider.batches[0].id
    done = stillroom("batches", command, f"{remote_id}x")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        f"There is no batch job '{remote_id}x'. Did you mean '{remote_id}'? `stillroom batches list --all` lists them."
    ]
    assert json.loads(stillroom("batches", command, "nothing", "--json").stdout)["error"].startswith("There is no")


def test_the_start_of_several_ids_is_no_id(studio, work, provider):
    for count in (2, 3):
        submitted(studio, work, overnight(provider, count))
    done = stillroom("batches", "show", "batch_")
    assert done.exit_code == 2
    assert "Several batch jobs have an id that starts with 'batch_'. Type more of it." in done.stderr


# Acting


def test_a_cancel_is_asked_about_and_says_that_finished_rows_are_kept(studio, work, provider):
    provider.batch.change(polls_until_done=50, done_when_stopped=4)
    run_id, key = submitted(studio, work, overnight(provider))
    refused = stillroom("batches", "cancel", key)
    assert refused.exit_code == 1
    assert "Rows that are done by now are kept" in refused.stderr and "Nothing was canceled" in refused.stderr
    assert provider.calls("POST", f"/v1/batches/{provider.batches[0].id}/cancel") == []
    meant = CliRunner().invoke(app, ["batches", "cancel", key], input="y\n")
    assert meant.exit_code == 0
    assert "Cancel it? [y/N]" in meant.stderr
    done = stillroom("batches", "cancel", key, "--yes")
    assert done.exit_code == 0
    assert f"{provider.batches[0].id} is being canceled." in done.stdout
    (job,) = collected(studio, run_id)
    assert job["counts"]["ok"] == 4 and adds_up(job)
    again = stillroom("batches", "cancel", key, "--yes")
    assert again.exit_code == 1 and "closed already" in again.stderr


def test_collect_looks_now_and_takes_up_what_is_there(studio, work, provider):
    provider.batch.change(polls_until_done=2)
    run_id, key = submitted(studio, work, overnight(provider))
    first = stillroom("batches", "collect")
    assert first.exit_code == 1
    assert "Wait for the rest with: stillroom batches watch" in first.stdout
    second = stillroom("batches", "collect", key)
    assert second.exit_code == 0, second.output
    assert f"Go on with its run: stillroom continue {run_id[:10]}" in second.stdout
    assert stillroom("batches", "collect").stdout == "No job is out.\n"
    assert answer("continue", run_id)["state"] == "done"
    assert len(provider.batches) == 1


def test_a_retry_says_rows_and_price_first_and_sends_just_these(studio, work, provider):
    provider.batch.change(rows={"row-2": ["400"], "row-5": ["400"]})
    run_id, key = submitted(studio, work, overnight(provider))
    collected(studio, run_id)
    studio.batches.wake_runs()
    assert work(run_id) is RunState.DONE_WITH_FAILURES
    done = stillroom("batches", "retry", key)
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith(f"Sending again from {provider.batches[0].id}: 2 rows, ")
    assert done.stdout.startswith("Sent again: 2 rows.\n")
    assert provider.batches[1].id in done.stdout
    refused = stillroom("batches", "retry", key)
    assert refused.exit_code == 1 and "sent again already" in refused.stderr


def test_a_job_of_unknown_outcome_is_attached_to_the_batch_that_was_made(studio, work, provider):
    # The first list answers whether there is a batch API at all.
    provider.batch.change(on_create="land_500", on_list=[None, *["500"] * 50])
    run_id, key = submitted(studio, work, overnight(provider))
    provider.batch.change(on_create=None)
    remote_id = provider.batches[0].id
    assert "--job" in stillroom("batches", "show", key).stdout
    assert stillroom("batches", "adopt", "batch_a", "batch_b", "--job", key).exit_code == 2
    assert stillroom("batches", "adopt", remote_id, "--step", "answer").exit_code == 2
    nobody = stillroom("batches", "adopt", "batch_nobody")
    assert nobody.exit_code == 1 and len(nobody.stderr.splitlines()) == 1
    done = stillroom("batches", "adopt", remote_id, "--run", run_id, "--step", "answer")
    assert done.exit_code == 0, done.output
    assert f"Job {key[:8]} is {remote_id}: 10 rows." in done.stdout
    again = stillroom("batches", "adopt", remote_id)
    assert again.exit_code == 1 and "Every open job has its id" in again.stderr
    collected(studio, run_id)
    assert len(provider.batches) == 1


def test_batches_that_something_else_made_are_taken_over_by_a_run_that_names_them(provider, saved, tmp_path):
    pipeline = saved(asking(["one", "two"], llm=batch_model(provider)))
    assert answer("run", pipeline)["state"] == "waiting_batch"
    elsewhere = ("--home", tmp_path / "elsewhere")
    remote_id = provider.batches[0].id
    taken = answer("run", pipeline, "--set", f'answer.llm.jobs_ids=["{remote_id}"]', *elsewhere)
    assert (taken["state"], taken["steps"][-1]["ok"]) == ("done", 2)
    assert [job["provider_id"] for job in answer("batches", "list", "--all", *elsewhere)["jobs"]] == [remote_id]
    assert len(provider.batches) == 1


def collect_all(*words):
    until(lambda: stillroom("batches", "collect", *words).exit_code == 0)


# After the database was lost


def test_jobs_are_rebuilt_from_the_journal_and_their_answers_taken_over(home, provider, saved, tmp_path):
    pipeline = saved(asking(["one", "two"], llm=batch_model(provider)))
    assert answer("run", pipeline)["state"] == "waiting_batch"
    for file in home.glob("stillroom.db*"):
        file.unlink()
    lost = stillroom("batches", "list")
    assert "orphaned" in lost.stdout and provider.batches[0].id in lost.stdout
    assert "Bring back what the database lost with: stillroom batches recover" in lost.stdout
    assert "is in the journal alone" in stillroom("batches", "show", provider.batches[0].id).stderr
    back = stillroom("batches", "recover", home / "batches" / "journal.jsonl")
    assert back.exit_code == 0, back.output
    assert back.stdout.startswith("1 job brought back, 0 here already.\n")
    assert provider.batches[0].id in back.stdout
    found = answer("batches", "recover")
    assert (found["jobs"], found["already_there"]) == (0, 1)
    collect_all()
    done = stillroom("run", pipeline, "--out", tmp_path / "out.jsonl")
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["generation"] for row in rows] == ["echo: one", "echo: two"]
    assert len(provider.batches) == 1 and all(count == 1 for count in provider.on_the_bill().values())


def test_what_is_no_journal_is_told_in_one_sentence(home, tmp_path):
    (tmp_path / "notes.txt").write_text("bread\n")
    done = stillroom("batches", "recover", tmp_path / "notes.txt")
    assert (done.exit_code, done.stderr) == (1, "notes.txt, line 1: this is no line of a batch journal.\n")
    assert stillroom("batches", "recover", tmp_path / "nowhere").exit_code == 2
    assert stillroom("batches", "recover").exit_code == 2


# Watching


def test_a_watch_collects_and_goes_on_with_the_run_to_its_end(studio, work, provider):
    run_id, _ = submitted(studio, work, overnight(provider))
    look_now(studio)
    done = stillroom("batches", "watch")
    assert done.exit_code == 0, done.output
    assert f"{provider.batches[0].id}: closed, completed, 10 ok" in done.stderr
    assert f"Run {run_id[:10]} is done. The results: stillroom export {run_id[:10]}" in done.stdout
    assert studio.runs.get(run_id).state == RunState.DONE
    again = stillroom("batches", "watch")
    assert (again.exit_code, again.stdout) == (0, "No job is out.\n")


def test_a_watch_says_which_run_went_on_with_what_came_back_before(studio, work, provider):
    run_id, _ = submitted(studio, work, overnight(provider))
    collected(studio, run_id)
    done = stillroom("batches", "watch")
    assert done.exit_code == 0, done.output
    assert f"Run {run_id[:10]} is done. The results: stillroom export {run_id[:10]}" in done.stdout
    assert studio.runs.get(run_id).state == RunState.DONE


def test_a_watch_sends_a_later_step_once_the_earlier_one_is_back(studio, work, provider):
    first = overnight(provider, 4)
    later = {"use": "TextGeneration", "name": "later", "llm": batch_model(provider)}
    mapped = later | {"input_mappings": {"instruction": "generation"}, "output_mappings": {"generation": "second"}}
    run_id, _ = submitted(studio, work, chain("Two steps", *first.steps, mapped))
    watching = process("batches", "watch")

    def is_done():
        look_now(studio)
        return watching.poll() is not None

    until(is_done, 60)
    told, noted = watching.communicate(timeout=60)
    assert watching.returncode == 0, noted
    assert [batch.id in told for batch in provider.batches] == [True, True]
    assert studio.runs.progress(run_id)["steps"][-1]["ok"] == 4


def test_results_that_are_soon_deleted_are_named_in_the_list_and_on_the_page(studio, work, provider):
    provider.batch.change(polls_until_done=50)
    _, key = submitted(studio, work, overnight(provider))
    studio.batches.store.change(key, results_expire_at=time.time() + 5 * 3600 + 60)
    for done in (stillroom("batches", "list"), stillroom("batches", "show", key)):
        assert "The provider deletes its results in 5 hours" in done.stdout
    assert ", in 5 h" in stillroom("batches", "show", key).stdout


def test_a_job_of_a_stopped_run_ends_a_watch_and_says_why_it_is_not_sent(studio, work, provider):
    provider.batch.change(on_create=["queue_full"])
    run_id, _ = submitted(studio, work, overnight(provider))
    studio.runs.stop(run_id)
    look_now(studio)
    done = stillroom("batches", "watch")
    assert done.exit_code == 1 and provider.batches == []
    assert "Its run is stopped, so nothing more of it is sent. Continue the run to go on with it." in done.stdout
    assert answer("batches", "list")["jobs"][0]["is_held_back"]


def test_a_watch_ends_where_only_a_script_can_take_the_results(studio, work, provider):
    _, key = submitted(studio, work, overnight(provider))
    with studio.ledger.database.exclusively() as connection:
        connection.exec_driver_sql("UPDATE batch_set SET llm = ?", (json.dumps({"use": "MyOwnLLM"}),))
    look_now(studio)
    done = stillroom("batches", "watch")
    assert done.exit_code == 1
    said = "Only the script that sent this job can take its results: run it again."
    assert done.stderr.count(said) == 1 and done.stdout.count(said) == 1
    job = studio.batches.get(key)
    assert (job["state"], job["needs_person"]) == ("submitted", True) and "MyOwnLLM" in job["message"]


def test_a_watch_looks_anew_for_a_model_that_was_known_to_a_script_only(studio, work, provider):
    _, key = submitted(studio, work, overnight(provider))
    later = time.time() + 300
    studio.batches.store.change(key, message=f"No such connection. {SCRIPT_ONLY}", next_poll_at=later)
    done = stillroom("batches", "watch")
    assert done.exit_code == 0, done.output
    assert studio.batches.get(key)["counts"]["ok"] == 10


def test_a_run_that_somebody_stopped_stays_so_and_its_answers_are_kept(studio, work, provider):
    run_id, _ = submitted(studio, work, overnight(provider))
    studio.runs.stop(run_id)
    look_now(studio)
    done = stillroom("batches", "watch")
    assert done.exit_code == 1
    assert f"Run {run_id[:10]} is stopped. Go on with: stillroom continue {run_id[:10]}" in done.stdout
    assert answer("continue", run_id)["steps"][-1]["ok"] == 10
    assert len(provider.batches) == 1


def test_a_watch_leaves_runs_alone_that_sent_no_batch(studio, work, provider):
    submitted(studio, work, overnight(provider))
    other = studio.runs.start(asking(["one"]))
    look_now(studio)
    assert stillroom("batches", "watch").exit_code == 0
    assert studio.runs.get(other).state == RunState.QUEUED


def test_rows_without_an_answer_end_a_watch_with_3(studio, work, provider):
    provider.batch.change(rows={"row-2": ["400"]})
    submitted(studio, work, overnight(provider))
    look_now(studio)
    found = stillroom("batches", "watch", "--json")
    assert found.exit_code == 3
    (job,) = json.loads(found.stdout)["jobs"]
    assert job["counts"]["failed"] == 1 and adds_up(job)


def test_a_job_that_needs_a_person_ends_a_watch_with_1_and_says_so(studio, work, provider, monkeypatch):
    provider.behavior.keys = ["sk-test"]
    submitted(studio, work, overnight(provider))
    provider.behavior.keys = ["sk-other"]
    look_now(studio)
    done = stillroom("batches", "watch")
    assert done.exit_code == 1, done.output
    assert "needs you: " in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_that_is_stopped_leaves_everything_intact_and_says_so(studio, work, provider, number):
    provider.batch.change(polls_until_done=1000)
    run_id, key = submitted(studio, work, overnight(provider))
    watching = process("batches", "watch")
    assert provider.batches[0].id in watching.stderr.readline()
    watching.send_signal(number)
    told, noted = watching.communicate(timeout=60)
    assert watching.returncode == 1
    assert "Nothing is lost: 1 job still out. Go on with: stillroom batches watch" in told
    assert "Traceback" not in noted
    assert studio.runs.get(run_id).state == RunState.WAITING_BATCH
    provider.batch.change(polls_until_done=1)
    collected(studio, run_id)
    assert studio.batches.get(key)["counts"]["ok"] == 10


def test_a_watch_and_the_app_take_every_result_up_once(studio, work, provider):
    provider.batch.change(polls_until_done=4)
    runs = [submitted(studio, work, overnight(provider, count))[0] for count in (3, 5, 7, 9)]
    watching = process("batches", "watch", "--json")
    watching.stderr.readline()
    worker = Worker(studio, policy=FAST)
    worker.start()
    try:

        def are_done():
            look_now(studio)
            return all(studio.runs.get(run_id).state == RunState.DONE for run_id in runs)

        until(are_done, 60)
        told, _ = watching.communicate(timeout=60)
    finally:
        worker.stop()
    assert watching.returncode == 0
    assert {run["state"] for run in json.loads(told)["runs"]} == {"done"}
    jobs = studio.batches.list()
    # What an earlier run has sent already is not sent again.
    assert sorted(job["counts"]["ok"] for job in jobs) == [2, 2, 2, 3]
    for job in jobs:
        kinds = [event["kind"] for event in studio.batches.get(job["key"])["events"]]
        assert kinds.count("closed") == 1
    assert all(provider.paid(f"row-{n}") == 1 for n in range(9))
    for run_id, count in zip(runs, (3, 5, 7, 9), strict=True):
        assert studio.runs.progress(run_id)["steps"][-1]["ok"] == count
    assert len(provider.batches) == 4


# Runs that send batches


def test_a_run_says_rows_calls_and_price_before_it_begins(saved, tmp_path):
    pipeline = saved(asking(["one", "two"]))
    assert "2 rows, 2 calls" in stillroom("run", pipeline).stderr
    (tmp_path / "more.csv").write_bytes(b"instruction\none\ntwo\nthree\n")
    assert "3 rows, 3 calls" in stillroom("run", pipeline, "--data", tmp_path / "more.csv").stderr
    assert "1 row, 1 call, " in stillroom("run", pipeline, "--limit", 1).stderr


def test_a_price_that_nobody_knows_is_never_shown_as_nothing(studio):
    llm = {"use": "OpenAILLM", "model": "somebody/unknown", "base_url": "https://models.example/v1"}
    _, plan = forecast(studio, asking(["one"], llm=llm), (), rows=None, concurrency=1)
    assert in_a_line(plan).startswith("1 row, 1 call, ") and in_a_line(plan).endswith(", price unknown.")


def test_a_run_is_done_overnight_when_that_is_asked_for_and_says_how_to_go_on(saved, provider):
    pipeline = saved(asking(["one", "two"], llm=batch_model(provider, use_offline_batch_generation=False)))
    done = stillroom("run", pipeline, "--overnight", "answer")
    assert done.exit_code == 1, done.output
    assert "Overnight: answer (127.0.0.1:" in done.stderr and "no time promised" in done.stderr
    assert provider.batches[0].id in done.stdout
    assert "Wait for its answers here with: stillroom batches watch" in done.stdout
    assert stillroom("run", pipeline, "--overnight", "all", "--no-cache").exit_code == 1
    assert len(provider.batches) == 2
    assert provider.calls("POST", "/v1/chat/completions") == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("anser",), "--overnight anser: there is no step 'anser'. Did you mean 'answer'?"),
        (("seeds",), "--overnight seeds: this step asks no model."),
    ],
)
def test_a_step_that_cannot_be_done_overnight_is_wrong_use(saved, words, sentence):
    done = stillroom("run", saved(asking(["one"])), "--overnight", *words)
    assert (done.exit_code, done.stderr.strip()) == (2, sentence)
    assert answer("runs") == {"runs": []}


def test_where_nothing_can_be_done_overnight_the_reason_is_said(saved, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    done = stillroom(
        "run", saved(asking(["one"], llm={"use": "OpenAILLM", "model": "gpt-4o-mini"})), "--overnight", "all"
    )
    assert done.exit_code == 2
    assert "no step of this pipeline can be done overnight. OpenAI needs a key." in done.stderr
    assert answer("runs") == {"runs": []}


def test_a_cap_below_what_a_batch_may_cost_starts_nothing(saved, provider):
    llm = batch_model(provider, input_price=1000.0, output_price=1000.0)
    done = stillroom("run", saved(asking(["one"], llm=llm)), "--cap", "0.01")
    assert done.exit_code == 1
    assert "A batch cannot be halted at an amount once it is sent" in done.stderr
    assert answer("runs") == {"runs": []}
