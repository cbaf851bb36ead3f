"""Several processes and threads at the same jobs: each is moved by one of them at a time, and nothing is done twice."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest

from components.errors import RunConflict
from components.llms import RehearsalLLM
from components.pipeline.batch import actions
from components.pipeline.batch.journal import read_journal
from components.pipeline.batch.lease import LeaseLost, held, owner_name
from components.pipeline.batch.machine import Machine
from components.pipeline.batch.offline import Batches
from components.pipeline.batch.poller import Poller
from components.pipeline.batch.resend import plan_again
from components.pipeline.batch.states import JobState, RequestState
from components.vault import ScriptVault
from tests.components.pipeline.batch.conftest import KEY, rows, text
from tests.servers.process import ROOT, ServerProcess


def machine(bench, batches, **options):
    kind = options.pop("kind", Machine)
    return kind(bench.store, lambda _set: (batches.provider, batches.llm), clock=bench.clock, **options)


def test_a_job_that_somebody_holds_is_left_alone(bench):
    batches, _ = bench.hand_in(rows(2))
    job = bench.jobs()[0]
    with held(bench.store, job.key) as owner:
        assert owner
        with held(bench.store, job.key) as second:
            assert second == ""
        assert machine(bench, batches).advance(job.key) is None
    assert machine(bench, batches).advance(job.key).state == JobState.SUBMITTED


def test_the_job_of_a_process_that_died_is_free_at_once(bench):
    bench.hand_in(rows(2))
    key = bench.jobs()[0].key
    script = (
        "import os, sys; from components.pipeline.batch.store import BatchStore\n"
        "from components.pipeline.batch.lease import owner_name\n"
        "from components.pipeline.ledger import Ledger\n"
        "store = BatchStore(Ledger())\n"
        "assert store.claim(sys.argv[1], owner_name(), 3600.0); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script, key], cwd=ROOT, env=os.environ, check=False)
    assert bench.store.job(key).lease_owner
    assert bench.store.claim(key, owner_name())


def test_a_hold_is_renewed_for_as_long_as_the_work_takes(bench):
    bench.hand_in(rows(2))
    key = bench.jobs()[0].key
    with held(bench.store, key, seconds=0.4):
        first = bench.store.job(key).lease_until
        done = threading.Event()
        for _ in range(200):
            if bench.store.job(key).lease_until > first + 0.3:
                break
            done.wait(0.05)
        assert bench.store.job(key).lease_until > first + 0.3
        assert not bench.store.claim(key, owner_name())
    assert bench.store.claim(key, owner_name())


def test_whoever_lost_a_job_changes_nothing_in_it(bench):
    batches, _ = bench.hand_in(rows(2))
    key = bench.jobs()[0].key
    with held(bench.store, key) as owner:
        bench.store.release(key, owner)
        assert bench.store.claim(key, owner_name())
        with pytest.raises(LeaseLost):
            bench.store.change(key, JobState.UPLOADED, owner=owner, input_ref="file-x")
        with pytest.raises(LeaseLost):
            from components.pipeline.batch.store import Closing

            bench.store.close_job(bench.store.job(key), Closing(RequestState.MISSING, "Gone."), owner)
    job = bench.store.job(key)
    assert (job.state, job.input_ref) == (JobState.PLANNED, None)
    assert bench.store.counts()["inflight"] == 2
    # Nor is what it had to say the journal's last word.
    last = list(read_journal(bench.store.journal.path))
    assert [entry["input_ref"] for entry in last if "input_ref" in entry] == ["file-x", None]
    del batches


def test_a_process_that_slept_while_another_took_over_cancels_its_own_copy(bench):
    batches, handed = bench.hand_in(rows(4))
    bench.server.batch.change(polls_until_done=6)

    class Sleeper(Machine):
        """Stands still just before its request, until another has done the whole job."""

        def reached(self, point):
            if point == "intent" and not bench.server.batches:
                key = bench.jobs()[0].key
                bench.store.release(key, bench.store.job(key).lease_owner)
                for _ in range(3):
                    machine(bench, batches, grace=1.0).advance(key)
                    bench.clock.pass_seconds(70)
                assert len(bench.server.batches) == 1

    machine(bench, batches, kind=Sleeper).advance(bench.jobs()[0].key)
    bench.until_over(batches, handed)
    assert [batch.state.value for batch in bench.server.batches] == ["completed", "cancelling"]
    assert all(text(one) for one in bench.found(batches, handed, rows(4)).values())


def test_two_threads_that_move_the_same_jobs_ingest_each_once(bench):
    bench.max_requests = 3
    bench.server.batch.change(polls_until_done=1)
    batches, handed = bench.hand_in(rows(15))
    batches.advance(handed.sets)
    threads = [threading.Thread(target=bench.batches().advance, args=[handed.sets]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.until_over(batches, handed)
    kinds = [Counter(event.kind for event in bench.store.events(job.key)) for job in bench.jobs()]
    assert len(kinds) == 5 and all(kind["ingesting"] == kind["closed"] == 1 for kind in kinds)


def test_two_processes_that_hand_in_the_same_rows_send_them_once(bench):
    first, second = bench.batches(), bench.batches()

    class Racer(Machine):
        """Lets the other process go first, between its look and its commit."""

        def reached(self, point):
            if point == "files_written":
                second.hand_in(bench.wants(rows(3)), 1, {})

    first.machine = Racer(bench.store, lambda _set: (first.provider, first.llm))
    handed = first.hand_in(bench.wants(rows(3)), 1, {})
    bench.until_over(first, handed)
    assert len(bench.server.batches) == 1 and len(bench.jobs()) == 1
    assert len(bench.found(first, handed, rows(3))) == 3


def test_a_process_that_looked_before_another_handed_the_same_rows_in_sends_nothing(bench):
    other = bench.batches()

    class Slow(Batches):
        """Has looked for its rows, and finds its plan's name taken."""

        def _new_key(self, wants, scope):
            other.hand_in(bench.wants(rows(3)), 1, {})
            return super()._new_key(wants, scope)

    slow = Slow(bench.ledger, bench.llm(), clock=bench.clock)
    handed = slow.hand_in(bench.wants(rows(3)), 1, {})
    bench.until_over(slow, handed)
    assert len(bench.server.batches) == 1 and len(bench.jobs()) == 1
    assert [bench.server.paid(name) for name in rows(3)] == [1] * 3


def test_the_same_rows_are_not_sent_again_twice(bench):
    bench.server.batch.change(final="expired", done_when_stopped=1)
    batches, handed = bench.hand_in(rows(4))
    bench.until_over(batches, handed)
    requests = bench.store.without_answer(set_key=handed.sets[0])
    assert plan_again(bench.store, batches.provider, handed.sets[0], requests) == 3
    files = len(list(bench.store.folder.glob("*.jsonl")))
    with pytest.raises(RunConflict, match="sent again meanwhile"):
        plan_again(bench.store, batches.provider, handed.sets[0], requests)
    assert len(bench.jobs()) == 2 and len(list(bench.store.folder.glob("*.jsonl"))) == files
    assert actions.retry(bench.store, batches.provider, handed.sets[0]) == 0


@pytest.mark.crash
def test_two_processes_watching_the_same_jobs_ingest_each_once(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ServerProcess("tests.servers.batch.openai_batch_server", "--polls-until-done", "3") as server:
        bench.server, bench.max_requests = server, 10
        batches, handed = bench.hand_in(rows(100))
        command = [sys.executable, "-m", "tests.crash.batch_watcher", *handed.sets]
        watchers = [subprocess.Popen(command, cwd=ROOT, env=os.environ) for _ in range(2)]
        assert [watcher.wait(120) for watcher in watchers] == [0, 0]
        found = bench.found(batches, handed, rows(100))
    assert {name: text(found[name]) for name in rows(100)} == {name: f"echo: {name}" for name in rows(100)}
    kinds = [Counter(event.kind for event in bench.store.events(job.key)) for job in bench.jobs()]
    assert len(kinds) == 10
    assert all(kind["creating"] == kind["ingesting"] == kind["closed"] == 1 for kind in kinds)


@pytest.mark.crash
def test_the_jobs_of_a_stopped_process_are_taken_over(bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    bench.server.batch.change(on_upload=["hang"])
    batches, handed = bench.hand_in(rows(4), bench.batches(timeout=60.0))
    command = [sys.executable, "-m", "tests.crash.batch_watcher", "--lease", "0.5", *handed.sets]
    watcher = subprocess.Popen(command, cwd=ROOT, env=os.environ)
    try:
        bench.server.journal.wait_until(lambda journal: any(r.path == "/v1/files" for r in journal.requests), 60)
        os.kill(watcher.pid, signal.SIGSTOP)
        pause = threading.Event()
        for _ in range(100):
            batches.advance(handed.sets)
            if bench.jobs()[0].state != JobState.PLANNED:
                break
            pause.wait(0.1)
        bench.until_over(batches, handed)
    finally:
        watcher.kill()
        watcher.wait()
    assert len(bench.server.batches) == 1
    assert all(text(one) for one in bench.found(batches, handed, rows(4)).values())


def test_counts_add_up_at_every_moment(bench):
    """ok + failed + expired + missing + in flight are all requests, whenever somebody looks."""
    bench.max_requests = 10
    names = rows(40)
    bench.server.batch.change(
        rows={"row-3": "400", "row-4": ["429"], "row-5": "missing", "row-6": ["500", "500"]}, polls_until_done=2
    )
    batches, handed = bench.hand_in(names)
    seen = []

    def look():
        counts = bench.store.counts(set_key=handed.sets[0])
        by_job = sum(sum(bench.store.counts(job_key=job.key).values()) for job in bench.jobs())
        seen.append((sum(counts.values()), by_job, counts["ok"]))

    class Watched(Machine):
        def reached(self, point):
            look()

    batches.machine = machine(bench, batches, kind=Watched)
    bench.until_over(batches, handed)
    assert len(seen) > 30
    assert {(total, by_job) for total, by_job, _ in seen} == {(40, 40)}
    oks = [ok for _, _, ok in seen]
    assert oks == sorted(oks) and oks[-1] == 38


def test_a_reader_sees_sums_that_add_up_while_another_ingests(bench):
    bench.max_requests = 50
    bench.server.batch.change(polls_until_done=1, rows={f"row-{n}": "400" for n in range(0, 200, 7)})
    batches, handed = bench.hand_in(rows(200))
    batches.advance(handed.sets)
    stop, sums = threading.Event(), []

    def read():
        while not stop.is_set():
            sums.append(sum(bench.store.counts(set_key=handed.sets[0]).values()))

    reader = threading.Thread(target=read)
    reader.start()
    bench.until_over(batches, handed)
    stop.set()
    reader.join()
    assert set(sums) == {200}


def test_a_poller_asks_once_for_many_jobs(bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    bench.max_requests = 1
    bench.server.batch.change(polls_until_done=10_000)
    batches, handed = bench.hand_in(rows(25))
    batches.advance(handed.sets)
    poller = Poller(bench.store, ScriptVault, clock=bench.clock)
    bench.clock.pass_seconds(60)
    before = len(bench.server.calls("GET", "/v1/batches/"))
    lists = len([call for call in bench.server.calls("GET", "/v1/batches") if "?" in call.path])
    assert poller.tick() == 0
    assert len(bench.server.calls("GET", "/v1/batches/")) == before
    assert len([call for call in bench.server.calls("GET", "/v1/batches") if "?" in call.path]) == lists + 1
    assert {job.state for job in bench.jobs()} == {"running"}
    bench.server.batch.change(polls_until_done=1)
    bench.clock.pass_seconds(400)
    poller.tick()
    assert {job.state for job in bench.jobs()} == {"closed"}


def test_a_poller_moves_what_is_due_and_nothing_else(bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    closed = []
    poller = Poller(
        bench.store, ScriptVault, clock=bench.clock, on_close=lambda job, batch: closed.append((job.key, batch.key))
    )
    _, handed = bench.hand_in(rows(3))
    assert poller.tick() == 1 and poller.tick() == 0
    bench.clock.pass_seconds(20)
    assert poller.tick() == 1
    bench.clock.pass_seconds(20)
    assert poller.tick() == 1
    assert closed == [(bench.jobs()[0].key, handed.sets[0])]


def test_retry_after_is_obeyed(bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    bench.server.batch.change(polls_until_done=50, poll_retry_after_s=100.0)
    poller = Poller(bench.store, ScriptVault, clock=bench.clock)
    bench.hand_in(rows(3))
    poller.tick()
    bench.clock.pass_seconds(130)
    poller.tick()
    waits = bench.jobs()[0].next_poll_at - bench.clock.now
    assert 79 <= waits <= 121


def test_no_more_than_four_calls_are_out_at_once(bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    bench.max_requests = 1
    bench.hand_in(rows(12))
    Poller(bench.store, ScriptVault, clock=bench.clock).tick()
    assert bench.server.journal.max_in_flight <= 4
    assert len(bench.server.batches) == 12


def test_however_many_jobs_are_on_this_machine_each_is_worked_on(bench):
    """A list says how they stand, and gets none of them done."""
    batches = Batches(bench.ledger, RehearsalLLM(use_offline_batch_generation=True), clock=bench.clock)
    for name in rows(25):
        batches.hand_in(bench.wants([name]), 1, {})
    poller = Poller(bench.store, ScriptVault, clock=bench.clock)
    for _ in range(6):
        poller.tick()
        bench.clock.pass_seconds(60)
    assert {job.state for job in bench.jobs()} == {"closed"} and len(bench.jobs()) == 25


def test_a_job_with_which_something_unforeseen_happens_rests_and_holds_up_no_other(bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    bench.max_requests = 1
    bench.hand_in(rows(3))
    odd = bench.jobs()[1].key

    class Stumbling(Machine):
        def advance(self, job_key):
            if job_key == odd:
                raise AttributeError("'list' object has no attribute 'get'")
            return super().advance(job_key)

    poller = Poller(bench.store, ScriptVault, make_machine=Stumbling, clock=bench.clock)
    assert poller.tick() == 2 and len(bench.server.batches) == 2
    job = bench.store.job(odd)
    assert "AttributeError" in job.message and "tried again" in job.message
    assert job.next_poll_at > bench.clock.now and poller.tick() == 0
