import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from components.errors import (
    BatchGone,
    ConfigError,
    ContentRefused,
    CredentialError,
    ProviderDown,
    ProviderError,
    RateLimited,
    ReplyError,
    UnknownModel,
)
from components.llms import OpenAILLM, RehearsalLLM
from components.llms.batch import local, local_job
from components.llms.batch.local import LocalBatch, local_requests
from components.llms.batch.local_work import AT_ONCE
from components.llms.rehearsal import rehearsing
from tests.components.llms.batch.journey import Journey
from tests.fakes import EchoLLM
from tests.servers.openai_server import OpenAIServer

ROOT = Path(__file__).parents[4]


@pytest.fixture
def start(tmp_path):
    """A journey of a model on this machine."""

    def make(llm=None, **settings):
        return Journey(llm or EchoLLM(), tmp_path / "batches", **settings)

    return make


def failing(error, times=1):
    """Trouble for row-1, the first times it is asked."""
    return lambda text, call: error if "row-1" in text and call <= times else None


# The same as anywhere


def test_every_row_is_answered_by_the_model_itself(start):
    journey = start(generations=2)
    rows = journey.finish()
    assert set(rows) == {"0", "1", "2"}
    assert journey.text(rows["1"]) == ["echo: row-1 hello", "echo 1: row-1 hello"]
    assert journey.llm.batch_usage(journey.path, rows["1"].body, 2) == (3, 10)


def test_parameters_go_along(start):
    journey = start(kwargs={"temperature": 0.5})
    assert set(journey.finish()) == {"0", "1", "2"}
    bad = start(kwargs={"heat": 0.5}, tag="other")
    assert all("heat" in line.message and not line.is_retryable for line in bad.finish().values())


def test_the_form_of_an_answer_goes_along(start, tmp_path):
    with OpenAIServer() as server:
        llm = OpenAILLM(model="m", base_url=server.base_url, api_key="k")
        schema = {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"]}
        messages = [{"role": "user", "content": "row-0"}]
        journey = start(llm)
        journey.folder.mkdir()
        path, body = llm.batch_requests((messages, {"format": "json", "schema": schema}), 1, {})[0]
        journey.file.write_bytes(journey.provider.line(f"{journey.tag}-0", path, body))
        journey.path, journey.count = path, 1
        journey.ref = journey.provider.upload(journey.file, "x")
        rows = journey.rows(journey.ended(journey.create()))
        assert '"a"' in journey.text(rows["0"])[0]


def test_what_no_file_can_hold_is_refused_at_once():
    with pytest.raises(ConfigError, match="cannot wait for a batch"):
        local_requests([{"role": "user", "content": "x"}], 1, {"thing": object()})


def test_a_rehearsal_answers_what_was_rehearsed_when_it_was_asked(start):
    with rehearsing(lambda prompt, number: f"{prompt[-1]['content']}!{number}"):
        journey = start(RehearsalLLM(), generations=2)
        journey.upload()
    rows = journey.rows(journey.ended(journey.create()))
    assert journey.text(rows["2"]) == ["row-2 hello!0", "row-2 hello!1"]


def test_only_a_few_rows_are_out_at_once(start):
    llm = EchoLLM().delayed_by(lambda _text: 0.005)
    start(llm, count=40).finish()
    assert 1 < llm.most_in_flight <= AT_ONCE


def test_a_model_is_made_ready_and_let_go(start):
    llm = EchoLLM()
    start(llm).finish()
    assert not llm._is_loaded
    llm.load()
    start(llm, tag="other").finish()
    assert llm._is_loaded


# What goes wrong


@pytest.mark.parametrize(
    ("error", "is_retryable"),
    [
        (ContentRefused("No."), False),
        (ReplyError("No text."), False),
        (ProviderError("Odd."), False),
        (ValueError("a bug of my own"), False),
        (RateLimited("slow"), True),
        (ProviderDown("down", status=500), True),
    ],
)
def test_a_row_that_fails_keeps_what_was_said(start, monkeypatch, error, is_retryable):
    monkeypatch.setattr("components.llms.gate.RetryPolicy.pause", lambda *_: 0.0)
    monkeypatch.setattr("components.llms.gate._Patience._may_wait", lambda *_: False)
    rows = start(EchoLLM().troubled_by(failing(error, times=99))).finish()
    bad = rows["1"]
    assert bad.body is None and str(error) in bad.message and bad.is_retryable is is_retryable
    assert rows["0"].is_ok and rows["2"].is_ok


def stopped(journey, remote, kind):
    """Poll until the work is stopped by an error of this kind."""
    for _ in range(20):
        try:
            assert not journey.provider.get(remote.id).has_ended
        except kind as error:
            return error
    raise AssertionError("nothing stopped it")


def test_a_refused_key_stops_the_work_and_the_next_look_goes_on(start):
    llm = EchoLLM().troubled_by(failing(CredentialError("bad key")))
    journey = start(llm)
    remote = journey.start()
    assert "bad key" in str(stopped(journey, remote, CredentialError))
    rows = journey.rows(journey.ended(journey.provider.get(remote.id)))
    assert all(line.is_ok for line in rows.values()) and len(rows) == 3


def test_a_server_that_is_not_there_is_waited_for(start, monkeypatch):
    monkeypatch.setattr("components.llms.gate.RetryPolicy.pause", lambda *_: 0.0)
    llm = EchoLLM().troubled_by(failing(ProviderDown("Nothing answers."), times=6))
    journey = start(llm)
    remote = journey.start()
    stopped(journey, remote, ProviderDown)
    rows = journey.rows(journey.ended(journey.provider.get(remote.id)))
    assert len(rows) == 3 and all(line.is_ok for line in rows.values())
    # Rows that were answered before are not asked again.
    assert llm.calls["row-0 hello"] == 1


def test_a_model_that_does_not_exist_ends_the_job(start):
    journey = start(EchoLLM().troubled_by(failing(UnknownModel("no such model"), times=99)))
    remote = journey.ended(journey.start())
    assert remote.outcome == "failed" and "no such model" in remote.errors[0].message


def test_a_model_that_cannot_be_made_ready_says_so(start):
    class Broken(EchoLLM):
        def load(self):
            raise RuntimeError("no engine")

    journey = start(Broken())
    remote = journey.start()
    assert "no engine" in str(stopped(journey, remote, ProviderError))


# Ids


@pytest.mark.parametrize("name", ["local_0123456789abcdef01234567", "../../etc", "", "local_x", "batch_1"])
def test_a_job_that_is_not_there_is_gone(own_home, name):
    with pytest.raises(BatchGone):
        LocalBatch(EchoLLM()).get(name)


def test_a_job_is_found_by_its_tag_and_made_only_once(start, own_home):
    journey = start()
    journey.upload()
    assert list(journey.provider.recent(0.0)) == []
    first = journey.create()
    assert journey.create() == first
    (found,) = journey.provider.recent(0.0)
    assert (found.id, found.tag, found.input_ref) == (first.id, journey.tag, journey.ref)
    assert (own_home / "batches" / "local" / first.id / "state.json").exists()
    assert list(journey.provider.recent(found.created_at + 1)) == []


# The end of it


def test_a_cancel_keeps_what_was_done(start):
    reached, go_on = threading.Event(), threading.Event()

    def hold(text):
        if "row-1" in text:
            reached.set()
            go_on.wait(20)
        return 0.0

    journey = start(EchoLLM().delayed_by(hold), count=50)
    remote = journey.start()
    looks = threading.Thread(target=journey.provider.get, args=(remote.id,))
    looks.start()
    assert reached.wait(20)
    assert journey.provider.cancel(remote.id).status == "canceling"
    go_on.set()
    looks.join()
    remote = journey.ended(journey.provider.get(remote.id))
    rows = journey.rows(remote)
    assert remote.outcome == "cancelled" and 0 < len(rows) < 50
    assert all(line.is_ok for line in rows.values())
    assert remote.counts["completed"] == len(rows)


def test_a_cancel_before_the_work_ends_it_at_once(start):
    journey = start()
    remote = journey.start()
    assert journey.provider.cancel(remote.id).outcome == "cancelled"
    assert journey.provider.get(remote.id).outcome == "cancelled" and journey.rows(remote) == {}
    assert journey.provider.cancel(remote.id).outcome == "cancelled"


def test_what_was_asked_is_forgotten_when_it_is_answered(start, own_home):
    journey = start()
    remote = journey.ended(journey.start())
    folder = own_home / "batches" / "local" / remote.id
    assert not (folder / "input.jsonl").exists() and (folder / "results.jsonl").exists()
    assert journey.file.exists()


def test_jobs_that_ended_long_ago_are_removed_and_no_others(start, own_home, monkeypatch):
    folder = own_home / "batches" / "local"
    old, open_still = start(tag="a" * 16), start(tag="b" * 16)
    ended = old.ended(old.start())
    waiting = open_still.start()
    left = local_job.keep(folder, open_still.file)
    now = ended.created_at
    monkeypatch.setattr("components.llms.batch.local_job.time.time", lambda: now + 29 * 86_400)
    os.utime(left.folder, (now + 29 * 86_400 - 10, now + 29 * 86_400 - 10))
    local_job.remove_old(folder, 30)
    assert {place.name for place in folder.iterdir()} == {ended.id, waiting.id, left.id}
    monkeypatch.setattr("components.llms.batch.local_job.time.time", lambda: now + 31 * 86_400)
    local_job.remove_old(folder, 30)
    assert {place.name for place in folder.iterdir()} == {waiting.id}


# Crashes and other processes


def work_elsewhere(server, remote, home):
    command = [sys.executable, "-m", "tests.components.llms.batch.working", server.base_url, remote.id]
    environment = {**os.environ, "STILLROOM_HOME": str(home)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def many_rows(server, start, count):
    llm = OpenAILLM(model="m", base_url=server.base_url, api_key="k")
    journey = start(llm, count=count)
    return journey, journey.start()


@pytest.mark.crash
def test_killed_again_and_again_no_row_is_lost_or_answered_twice(start, own_home):
    count = 60
    with OpenAIServer(latency_ms=20) as server:
        journey, remote = many_rows(server, start, count)
        job = local_job.find(own_home / "batches" / "local", remote.id)
        for kill in range(3):
            process = work_elsewhere(server, remote, own_home)
            goal = (kill + 1) * 12
            while len(job.results.read_bytes().splitlines() if job.results.exists() else ()) < goal:
                assert process.poll() is None, process.communicate()[0]
            process.kill()
            process.wait()
        with open(job.results, "ab") as handle:
            handle.write(b'{"custom_id": "cut in the mid')
        rows = journey.rows(journey.ended(remote))
        assert set(rows) == {str(n) for n in range(count)}
        names = [line.custom_id for line in journey.lines(remote)]
        assert len(names) == count
        for number in range(count):
            assert journey.text(rows[str(number)]) == [f"echo: row-{number} hello"]
        # Only a row in flight at a kill may be asked again: at most four each.
        asked = [one for one in server.requests if one.method == "POST"]
        assert len(asked) <= count + 3 * AT_ONCE


@pytest.mark.crash
def test_two_processes_share_a_job_and_ask_each_row_once(start, own_home, monkeypatch):
    monkeypatch.setattr(local, "PATIENCE", 0.01)
    count = 60
    with OpenAIServer(latency_ms=20) as server:
        journey, remote = many_rows(server, start, count)
        others = [work_elsewhere(server, remote, own_home) for _ in range(2)]
        for other in others:
            assert other.wait(60) == 0, other.communicate()[0]
        assert journey.provider.get(remote.id).counts["completed"] == count
        assert len([one for one in server.requests if one.method == "POST"]) == count
        assert len(journey.lines(remote)) == count


def test_while_another_holds_the_job_nobody_else_works_on_it(start, own_home, monkeypatch):
    monkeypatch.setattr(local, "PATIENCE", 5.0)
    llm = EchoLLM()
    journey = start(llm)
    remote = journey.start()
    job = local_job.find(own_home / "batches" / "local", remote.id)
    with job.held() as is_ours:
        assert is_ours
        assert not journey.provider.get(remote.id).has_ended
        assert not llm.calls
    assert journey.provider.get(remote.id).has_ended


@pytest.mark.crash
def test_a_script_that_ends_in_the_middle_fails_no_row(start, own_home):
    """What Python says to threads that go on while the program ends is no answer of the model."""
    with OpenAIServer(latency_ms=30) as server:
        journey, remote = many_rows(server, start, 40)
        script = (
            "import sys; from components.llms import OpenAILLM; from components.llms.batch.local import LocalBatch; "
            "from components.llms.batch import local; local.PATIENCE = 0.1; "
            f"print(LocalBatch(OpenAILLM(model='m', base_url='{server.base_url}', api_key='k')).get('{remote.id}'))"
        )
        environment = {**os.environ, "STILLROOM_HOME": str(own_home)}
        ended = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended.stderr
        job = local_job.find(own_home / "batches" / "local", remote.id)
        assert b'"error"' not in (job.results.read_bytes() if job.results.exists() else b"")
        assert len(journey.rows(journey.ended(remote))) == 40


# Rest


def test_a_job_that_rests_asks_for_no_further_row_until_somebody_asks_about_it(own_home):
    let_go = threading.Event()
    llm = EchoLLM().delayed_by(lambda _text: 0.0 if let_go.is_set() else 0.05)
    journey = Journey(llm, own_home / "files", count=40)
    journey.upload()
    remote = journey.create()
    local.work_on(local_job.find(local.jobs_folder(), remote.id), llm)
    while not llm.calls:
        threading.Event().wait(0.01)
    local.rest(remote.id)
    job = local_job.find(local.jobs_folder(), remote.id)
    work = local.work_on(job, llm)
    while work.is_alive:
        work.wait(1.0)
    asked = dict(llm.calls)
    assert 0 < len(asked) < 40 and job.state().status == "in_progress" and job.state().completed == len(asked)
    let_go.set()
    rows = journey.rows(journey.ended(remote))
    assert len(rows) == 40 and set(llm.calls.values()) == {1}
