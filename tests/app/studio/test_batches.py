"""Batch jobs as the studio shows them and acts on them, against a batch API on loopback."""

import json
import threading
import time
from collections import Counter

import httpx
import pytest

from app.settings import Settings
from app.studio import NotFound, Studio
from components.errors import BatchGone, ConfigError, RunConflict
from components.llms.batch.local import jobs_folder
from components.llms.batch.local_job import find
from components.pipeline.batch.states import JobState
from components.pipeline.ledger import Ledger
from components.states import RunState
from tests.app.batches import a_batch_server, adds_up, batch_model, collected, finished, overnight, submitted
from tests.app.pipelines import asking
from tests.servers.openai_server import OpenAIServer


@pytest.fixture(autouse=True)
def home(monkeypatch, settings):
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))


@pytest.fixture
def provider():
    with a_batch_server() as server:
        yield server


def only(studio, run_id):
    (job,) = studio.batches.list(run_id=run_id)
    return job


def answers(studio, run_id):
    page = studio.results.page(run_id, limit=500)
    return {row["values"]["instruction"]: row["values"].get("generation") for row in page["rows"]}


# What is shown


def test_a_job_is_listed_from_the_moment_it_is_out_and_its_counts_add_up(studio, work, provider):
    run_id, key = submitted(studio, work, overnight(provider))
    job = only(studio, run_id)
    assert (job["state"], job["n"], job["counts"]["inflight"], job["step"]) == ("submitted", 10, 10, "answer")
    assert job["provider_id"] == provider.batches[0].id
    assert job["run_id"] == run_id and job["run_state"] == "waiting_batch"
    assert job["estimate"] > 0 and job["cost"] is None
    assert {"refresh", "cancel", "collect"} <= set(job["can"])
    assert adds_up(job)

    collected(studio, run_id)
    job = only(studio, run_id)
    assert (job["state"], job["counts"]["ok"], job["counts"]["inflight"]) == ("closed", 10, 0)
    assert 0 < job["cost"] <= job["estimate"]
    assert adds_up(job)
    assert studio.batches.get(key[:8])["events"][0]["kind"] == "planned"
    assert studio.batches.get(provider.batches[0].id)["key"] == key


def test_an_unknown_job_is_told(studio):
    for act in (studio.batches.get, studio.batches.refresh, studio.batches.cancel, studio.batches.retry):
        with pytest.raises(NotFound, match="no batch job 'nothing'"):
            act("nothing")


def test_a_run_that_collects_says_so(studio, work, provider):
    run_id, key = submitted(studio, work, overnight(provider))
    assert studio.runs.progress(run_id)["state"] == "waiting_batch"
    studio.batches.store.change(key, JobState.INGESTING)
    assert studio.runs.progress(run_id)["state"] == "collecting"
    assert studio.runs.recent()[0]["state"] == "collecting"
    assert studio.runs.progress(run_id)["has_batches"]


def test_the_receipt_names_every_job_once_it_is_in_the_journal(studio, work, provider):
    run_id, key = submitted(studio, work, overnight(provider))
    receipt = studio.batches.receipt(run_id)
    assert receipt["is_journaled"] and receipt["is_submitted"] and not receipt["is_local"]
    assert [(job["key"], job["provider_id"]) for job in receipt["jobs"]] == [(key, provider.batches[0].id)]
    assert receipt["n"] == sum(receipt["counts"].values()) == 10
    studio.batches.store.journal.path.unlink()
    assert not studio.batches.receipt(run_id)["is_submitted"]


def test_a_run_without_batches_has_an_empty_receipt(studio, work):
    run_id = studio.runs.start(asking(["a"]))
    work(run_id)
    assert studio.batches.receipt(run_id)["jobs"] == []
    with pytest.raises(NotFound):
        studio.batches.receipt("r_nothing")


def test_work_on_this_machine_is_told_apart(studio, work):
    spec = asking(["a", "b"], llm={"use": "RehearsalLLM", "use_offline_batch_generation": True})
    run_id, _ = submitted(studio, work, spec)
    job = only(studio, run_id)
    assert (job["provider"], job["is_local"], job["is_free"]) == ("This machine", True, True)
    assert finished(studio, work, run_id) is RunState.DONE


# Runs that wait


def test_a_run_goes_on_once_its_job_is_back_and_not_before(studio, work, provider):
    run_id, _ = submitted(studio, work, overnight(provider))
    assert studio.batches.wake_runs() == []
    collected(studio, run_id)
    assert studio.batches.wake_runs() == [run_id]
    assert studio.batches.wake_runs() == []
    assert work(run_id) is RunState.DONE
    assert answers(studio, run_id) == {f"row-{n} please": f"echo: row-{n} please" for n in range(10)}
    assert all(provider.paid(f"row-{n}") == 1 for n in range(10))


def test_a_run_that_a_person_stopped_is_left_alone(studio, work, provider):
    run_id, _ = submitted(studio, work, overnight(provider))
    studio.runs.stop(run_id)
    collected(studio, run_id)
    assert studio.batches.wake_runs() == []
    studio.runs.go_on(run_id)
    assert work(run_id) is RunState.DONE


def test_two_that_collect_at_once_take_the_results_up_once(studio, work, provider):
    run_id, key = submitted(studio, work, overnight(provider))
    threads = [threading.Thread(target=studio.batches.poller.advance, args=(key,)) for _ in range(4)]
    for _ in range(3):
        studio.batches.store.change(key, next_poll_at=0.0)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        threads = [threading.Thread(target=studio.batches.poller.advance, args=(key,)) for _ in range(4)]
    collected(studio, run_id)
    kinds = Counter(event["kind"] for event in studio.batches.get(key)["events"])
    assert kinds["closed"] == 1
    assert only(studio, run_id)["counts"]["ok"] == 10


# Cancel, retry, finish online


def test_a_canceled_job_keeps_the_rows_that_were_done(studio, work, provider):
    provider.batch.change(polls_until_done=50, done_when_stopped=4)
    run_id, key = submitted(studio, work, overnight(provider))
    assert "cancel" not in studio.batches.cancel(key)["can"]
    collected(studio, run_id)
    job = only(studio, run_id)
    assert job["counts"]["ok"] == 4 and adds_up(job)
    with pytest.raises(RunConflict, match="closed already"):
        studio.batches.cancel(key)


def test_rows_without_an_answer_are_sent_again_and_nothing_else(studio, work, provider):
    provider.batch.change(rows={"row-2": ["400"], "row-5": ["400"]})
    run_id, key = submitted(studio, work, overnight(provider))
    assert finished(studio, work, run_id) is RunState.DONE_WITH_FAILURES
    job = only(studio, run_id)
    assert job["retry"]["n"] == 2 and job["retry"]["price"] > 0
    assert studio.batches.retry(key) == 2
    assert studio.runs.get(run_id).state == "waiting_batch"
    new, old = studio.batches.list(run_id=run_id)
    assert (new["n"], new["attempt"], old["counts"]["resent"]) == (2, 2, 2)
    assert adds_up(new) and adds_up(old)
    with pytest.raises(RunConflict, match="sent again already"):
        studio.batches.retry(key)
    assert finished(studio, work, run_id) is RunState.DONE
    assert all(provider.paid(f"row-{n}") == 1 for n in range(10))
    assert answers(studio, run_id)["row-2 please"] == "echo: row-2 please"
    receipt = studio.batches.receipt(run_id)
    assert receipt["counts"]["ok"] == receipt["n"] == 10


def test_a_job_that_is_out_cannot_be_sent_again(studio, work, provider):
    run_id, key = submitted(studio, work, overnight(provider))
    with pytest.raises(RunConflict, match="still out"):
        studio.batches.retry(key)
    with pytest.raises(RunConflict, match="still out"):
        studio.batches.finish_online(run_id, "answer")


def test_the_rest_of_a_step_can_be_done_now(studio, work, provider):
    provider.batch.change(rows={"row-2": "400", "row-5": "400"})
    run_id, key = submitted(studio, work, overnight(provider))
    finished(studio, work, run_id)
    assert studio.batches.finish_job_online(key) == 2
    assert work(run_id) is RunState.DONE
    assert all(provider.paid(f"row-{n}") == 1 for n in range(10))
    assert len(provider.calls("POST", "/v1/chat/completions")) == 2


def test_what_came_back_is_never_asked_again(studio, work, provider):
    provider.batch.change(rows={"row-2": "400"})
    run_id, _ = submitted(studio, work, overnight(provider))
    studio.runs.stop(run_id)
    collected(studio, run_id)
    with pytest.raises(RunConflict, match="9 answers came back and are not in the run yet"):
        studio.batches.finish_online(run_id, "answer")


def test_the_retry_of_a_run_makes_a_new_batch_of_its_failed_rows(studio, work, provider):
    provider.batch.change(rows={"row-2": ["400"]})
    run_id, _ = submitted(studio, work, overnight(provider))
    finished(studio, work, run_id)
    assert studio.runs.retry(run_id, step="answer") == 1
    assert work(run_id) is RunState.WAITING_BATCH
    assert [job["n"] for job in studio.batches.list(run_id=run_id)] == [1, 10]
    provider.batch.change(rows={})
    assert finished(studio, work, run_id) is RunState.DONE
    assert studio.batches.receipt(run_id)["counts"]["ok"] == 10


def test_rows_are_not_sent_again_past_the_cap(studio, work, provider):
    provider.batch.change(rows={"row-2": ["400"]})
    run_id = studio.runs.start(overnight(provider), cap=0.05)
    work(run_id)
    finished(studio, work, run_id)
    key = only(studio, run_id)["key"]
    studio.ledger.update_run(run_id, cap=studio.runs.get(run_id).spent)
    with pytest.raises(RunConflict, match="could pass the run's cap"):
        studio.batches.retry(key)
    studio.runs.raise_cap(run_id, 0.05)
    assert studio.batches.retry(key) == 1


def test_error_lines_come_as_the_provider_wrote_them_and_name_the_missing_too(studio, work, provider):
    provider.batch.change(rows={"row-2": "400", "row-5": "missing"})
    run_id, key = submitted(studio, work, overnight(provider))
    collected(studio, run_id)
    lines = [json.loads(line) for line in b"".join(studio.batches.errors(key)).splitlines()]
    assert {line["custom_id"] for line in lines} == {f"b{key[:12]}-2", f"b{key[:12]}-5"}
    assert next(line for line in lines if line["custom_id"].endswith("-2"))["response"]["status_code"] == 400
    assert next(line for line in lines if line["custom_id"].endswith("-5"))["state"] == "missing"


# Jobs that need a person


@pytest.fixture
def unsure(studio, work, provider):
    """A job that was made, while the reply was lost and the list does not answer."""
    # The first list answers whether there is a batch API at all.
    provider.batch.change(on_create="land_500", on_list=[None, *["500"] * 50])
    run_id, key = submitted(studio, work, overnight(provider))
    provider.batch.change(on_create=None)
    return run_id, key


def test_a_job_of_unknown_outcome_is_attached_by_its_pasted_id(studio, work, provider, unsure):
    run_id, key = unsure
    assert {"adopt", "resubmit"} <= set(only(studio, run_id)["can"])
    with pytest.raises(ConfigError, match="Paste the id"):
        studio.batches.adopt(key, " ")
    with pytest.raises(BatchGone):
        studio.batches.adopt(key, "batch_nobody")
    adopted = studio.batches.adopt_any(f" {provider.batches[0].id} ")
    assert adopted["provider_id"] == provider.batches[0].id
    with pytest.raises(RunConflict, match="has its id already"):
        studio.batches.adopt(key, provider.batches[0].id)
    assert finished(studio, work, run_id) is RunState.DONE
    assert len(provider.batches) == 1


def test_a_person_may_decide_to_make_it_anew(studio, work, provider, unsure):
    run_id, key = unsure
    provider.batch.change(on_list=None)
    studio.batches.resubmit(key)
    assert finished(studio, work, run_id) is RunState.DONE
    assert len(provider.batches) == 2


def test_a_batch_of_another_size_is_not_taken_for_ours(studio, work, provider, unsure):
    _, key = unsure
    submitted(studio, work, asking(["a", "b", "c"], llm=batch_model(provider)))
    with pytest.raises(ConfigError, match="belongs to another job"):
        studio.batches.adopt(key, provider.batches[1].id)
    other = studio.batches.list()[0]
    studio.batches.store.change(other["key"], remote_id=None)
    with pytest.raises(ConfigError, match="3 requests and this job has 10"):
        studio.batches.adopt(key, provider.batches[1].id)


def test_a_job_waits_for_its_key_and_goes_on_when_that_is_entered_again(studio, work, provider):
    provider.behavior.keys = ["sk-right"]
    info = studio.connections.add("custom", "sk-right", name="mine", base_url=provider.base_url)
    llm = batch_model(provider, connection="mine")
    del llm["base_url"]
    run_id, key = submitted(studio, work, asking(["row-1", "row-2"], llm=llm))
    studio.connections.remove(info.id)
    job = studio.batches.collect(key)
    assert job["state"] == "blocked" and job["needs_person"] and "mine" in job["message"]
    assert "sk-right" not in json.dumps(job)

    info = studio.connections.add("custom", "sk-other", name="mine", base_url=provider.base_url)
    assert "another key" in studio.batches.collect(key)["message"]
    studio.connections.set_key(info.id, "sk-right")
    assert only(studio, run_id)["state"] != "blocked"
    assert finished(studio, work, run_id) is RunState.DONE


def test_a_job_of_unknown_outcome_is_looked_for_once_its_key_is_entered_again(studio, work, provider):
    provider.behavior.keys = ["sk-right"]
    info = studio.connections.add("custom", "sk-right", name="mine", base_url=provider.base_url)
    provider.batch.change(on_create=["land_500"])
    llm = batch_model(provider, connection="mine")
    del llm["base_url"]
    run_id, key = submitted(studio, work, asking(["row-1", "row-2"], llm=llm))
    assert only(studio, run_id)["state"] == "creating"
    studio.connections.remove(info.id)
    assert studio.batches.collect(key)["state"] == "blocked"
    studio.connections.add("custom", "sk-right", name="mine", base_url=provider.base_url)
    assert only(studio, run_id)["state"] == "creating"
    assert finished(studio, work, run_id) is RunState.DONE
    assert len(provider.batches) == 1


def test_jobs_that_something_else_made_count_their_own_rows_and_no_others(studio, work, provider):
    provider.batch.change(polls_until_done=4)
    ids = jobs_of_somebody_else(provider, ["row-0", "row-1", "row-2"], ["row-3", "row-4"])
    run_id = studio.runs.start(asking([f"row-{n}" for n in range(5)], llm=batch_model(provider, jobs_ids=ids)))
    work(run_id)
    for _ in range(10):
        jobs = sorted(studio.batches.list(run_id=run_id), key=lambda job: -job["n"])
        assert all(adds_up(job) and job["counts"]["resent"] == 0 for job in jobs)
        assert [job["n"] for job in jobs] == [3, 2]
        waiting = [job for job in jobs if "collect" in job["can"]]
        if not waiting:
            break
        studio.batches.collect(waiting[0]["key"])
    assert [job["counts"]["ok"] for job in jobs] == [3, 2]
    assert len(provider.batches) == 2


def jobs_of_somebody_else(provider, *parts):
    """Batches whose requests are named by row numbers; returns their ids."""
    ids, number = [], 0
    with httpx.Client(base_url=provider.base_url) as http:
        for texts in parts:
            lines = []
            for text in texts:
                body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
                line = {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body}
                lines.append(json.dumps(line))
                number += 1
            file = {"file": ("in.jsonl", "\n".join(lines).encode())}
            uploaded = http.post("/files", data={"purpose": "batch"}, files=file).json()["id"]
            wanted = {"input_file_id": uploaded, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            ids.append(http.post("/batches", json=wanted).json()["id"])
            http.get(f"/batches/{ids[-1]}")
    return ids


# After the database was lost


def test_a_lost_job_is_listed_first_and_recovered_with_one_click(studio, work, provider, tmp_path):
    submitted(studio, work, overnight(provider))
    journal = studio.batches.store.folder
    fresh = Studio(Settings(home=tmp_path / "after"), Ledger(f"sqlite:///{tmp_path / 'after' / 'stillroom.db'}"))
    try:
        for file in journal.iterdir():
            if file.is_file():
                (fresh.batches.store.folder / file.name).write_bytes(file.read_bytes())
        (lost,) = fresh.batches.list()
        assert (lost["state"], lost["can"], lost["n"]) == ("orphaned", ["recover"], 10)
        assert lost["provider_id"] == provider.batches[0].id and adds_up(lost)
        assert fresh.batches.recover().jobs == 1
        assert fresh.batches.recover().already_there == 1
        (job,) = fresh.batches.list()
        for _ in range(5):
            if "collect" in fresh.batches.get(job["key"])["can"]:
                fresh.batches.collect(job["key"])
        assert fresh.batches.get(job["key"])["counts"]["ok"] == 10
        assert len(provider.batches) == 1
    finally:
        fresh.ledger.close()


def test_a_lost_job_of_which_nothing_is_left_is_listed_no_more_after_a_recovery(studio, work, provider, tmp_path):
    provider.batch.change(rows={"*": ["429"]})
    run_id, _ = submitted(studio, work, overnight(provider, 3))
    collected(studio, run_id)
    assert [job["counts"]["ok"] for job in studio.batches.list(run_id=run_id)] == [3, 0]
    fresh = Studio(Settings(home=tmp_path / "after"), Ledger(f"sqlite:///{tmp_path / 'after' / 'stillroom.db'}"))
    try:
        folder = fresh.batches.store.folder
        (folder / "journal.jsonl").write_bytes((studio.batches.store.folder / "journal.jsonl").read_bytes())
        assert [job["state"] for job in fresh.batches.list()] == ["orphaned"] * 2
        assert fresh.batches.recover().jobs == 1
        assert [job["state"] for job in fresh.batches.list()] == ["running"]
    finally:
        fresh.ledger.close()


def test_a_preview_is_never_sent_overnight(studio, work, provider):
    run_id = studio.previews.start(overnight(provider), rows=2, use_cache=False)
    assert work(run_id) is RunState.DONE
    assert provider.batches == []


# Results that a provider keeps for some time only


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (30, ""),
        (23, "deletes its results in 23 hours, and they are not"),
        (1, "in 1 hour,"),
        (-2, "not collected in time"),
    ],
)
def test_results_that_nobody_collects_are_warned_of_a_day_before_they_are_deleted(studio, work, provider, hours, said):
    run_id, key = submitted(studio, work, overnight(provider))
    studio.batches.store.change(key, results_expire_at=time.time() + hours * 3600)
    job = only(studio, run_id)
    assert said in job["message"] and bool(job["message"]) is bool(said)
    assert job["results_end_soon"] is job["needs_person"] is bool(said)
    collected(studio, run_id)
    studio.batches.store.change(key, results_expire_at=time.time() + hours * 3600)
    assert not only(studio, run_id)["results_end_soon"]


# Runs that somebody halted


def held(studio, work, provider):
    """A run whose one job has yet to be sent, as the provider's queue is full."""
    provider.batch.change(on_create=["queue_full"])
    run_id, key = submitted(studio, work, overnight(provider))
    assert (studio.batches.get(key)["state"], provider.batches) == ("held", [])
    return run_id, key


def look(studio):
    """What the watch does once every job is due."""
    for job in studio.batches.store.jobs():
        studio.batches.store.change(job.key, next_poll_at=0.0)
    studio.batches.look()


@pytest.mark.parametrize("halt", ["stop", "pause"])
def test_nothing_is_sent_for_a_run_that_a_person_halted_until_it_is_continued(studio, work, provider, halt):
    run_id, key = held(studio, work, provider)
    getattr(studio.runs, halt)(run_id)
    job = studio.batches.get(key)
    assert job["is_held_back"] and "Continue the run to go on with it." in job["message"] and not job["needs_person"]
    look(studio)
    studio.batches.collect(key)
    studio.batches.refresh(key)
    look(studio)
    assert provider.batches == [] and provider.calls("POST", "/v1/batches")[1:] == []
    assert studio.batches.get(key)["state"] == "held" and not studio.batches.is_open()
    studio.runs.go_on(run_id)
    assert work(run_id) is RunState.WAITING_BATCH
    assert len(provider.batches) == 1 and not studio.batches.get(key)["is_held_back"]
    assert finished(studio, work, run_id) is RunState.DONE
    assert all(provider.paid(f"row-{n}") == 1 for n in range(10))


def test_what_was_sent_before_a_person_stopped_the_run_is_still_collected(studio, work, provider):
    run_id, key = submitted(studio, work, overnight(provider))
    studio.runs.stop(run_id)
    collected(studio, run_id)
    assert studio.batches.get(key)["counts"]["ok"] == 10


def test_a_planned_job_is_not_sent_while_its_run_is_asked_to_stop(studio, work, provider):
    run_id, key = held(studio, work, provider)
    studio.ledger.update_run(run_id, state="running", lease_owner="another", command="stop")
    look(studio)
    assert provider.batches == [] and studio.batches.get(key)["is_held_back"]


def test_a_job_goes_on_for_another_run_that_waits_for_it(studio, work, provider):
    first, key = held(studio, work, provider)
    second = studio.runs.start(overnight(provider))
    assert work(second) is RunState.WAITING_BATCH
    studio.runs.stop(first)
    look(studio)
    assert len(provider.batches) == 1
    collected(studio, first)
    assert studio.batches.wake_runs() == [second]
    assert work(second) is RunState.DONE
    assert studio.runs.get(first).state == "stopped"
    assert studio.batches.get(key)["counts"]["ok"] == 10


def test_a_job_of_two_runs_that_are_both_stopped_is_held_back(studio, work, provider):
    first, key = held(studio, work, provider)
    second = studio.runs.start(overnight(provider))
    work(second)
    studio.runs.stop(second)
    studio.runs.stop(first)
    look(studio)
    assert provider.batches == []
    studio.runs.go_on(second)
    assert work(second) is RunState.WAITING_BATCH and len(provider.batches) == 1
    assert not studio.batches.get(key)["is_held_back"]


def test_the_job_of_a_run_that_was_deleted_is_not_sent(studio, work, provider):
    run_id, key = held(studio, work, provider)
    studio.runs.stop(run_id)
    studio.runs.delete(run_id)
    look(studio)
    assert provider.batches == [] and "was deleted" in studio.batches.get(key)["message"]
    assert studio.batches.cancel(key)["state"] == "closed"


def test_rows_are_not_sent_again_for_a_run_that_is_stopped(studio, work, provider):
    provider.batch.change(rows={"row-2": ["400"]})
    run_id, key = submitted(studio, work, overnight(provider))
    studio.runs.stop(run_id)
    collected(studio, run_id)
    with pytest.raises(RunConflict, match="Its run is stopped, .* Continue the run"):
        studio.batches.retry(key)
    assert len(studio.batches.list(run_id=run_id)) == 1


def test_the_rest_of_a_run_is_not_done_now_while_the_job_of_another_is_out_for_it(studio, work, provider):
    provider.batch.change(polls_until_done=50)
    first, key = submitted(studio, work, overnight(provider))
    second = studio.runs.start(overnight(provider))
    assert work(second) is RunState.WAITING_BATCH and len(provider.batches) == 1
    studio.runs.stop(second)
    with pytest.raises(RunConflict, match="a batch job of another run, which is still out"):
        studio.batches.finish_online(second, "answer")
    provider.batch.change(polls_until_done=1)
    collected(studio, first)
    with pytest.raises(RunConflict, match="Continue it first"):
        studio.batches.finish_online(second, "answer")
    studio.runs.go_on(second)
    assert work(second) is RunState.DONE
    assert studio.batches.finish_online(second, "answer") == 0
    assert provider.calls("POST", "/v1/chat/completions") == []
    assert studio.batches.get(key)["counts"]["ok"] == 10


def test_a_job_on_this_machine_rests_with_its_run_and_goes_on_with_it(studio, work):
    with OpenAIServer(tag_pattern=r"row-\d+", latency_ms=100) as server:
        run_id, key = submitted(studio, work, overnight(server, count=100))
        assert studio.batches.get(key)["is_local"]
        studio.runs.stop(run_id)
        job = find(jobs_folder(), studio.batches.get(key)["provider_id"])
        while not job.is_rest_asked or is_at_work(job):
            threading.Event().wait(0.05)
        paid = len(server.requests)
        assert paid < 100
        look(studio)
        shown = studio.batches.get(key)
        assert shown["is_held_back"] and "nothing more of it is sent" in shown["message"] and adds_up(shown)
        assert not is_at_work(job) and len(server.requests) == paid
        server.behavior.latency_ms = 0
        studio.runs.go_on(run_id)
        assert work(run_id) in (RunState.WAITING_BATCH, RunState.DONE)
        if studio.runs.get(run_id).state != "done":
            assert finished(studio, work, run_id) is RunState.DONE
        assert all(server.paid(f"row-{n}") == 1 for n in range(100))


def is_at_work(job):
    with job.held() as is_free:
        return not is_free
