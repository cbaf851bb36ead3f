"""The journal outlives the database."""

import json
import os

import pytest

from components.errors import DataFileError
from components.pipeline.batch import actions
from components.pipeline.batch.journal import Journal, read_journal
from components.pipeline.batch.lease import LeaseLost
from components.pipeline.batch.recovery import tidy_up
from components.pipeline.batch.resend import plan_again
from components.pipeline.batch.states import RequestState
from components.pipeline.batch.store import BatchStore, Closing
from components.pipeline.ledger.ledger import shared_ledger
from tests.components.pipeline.batch.conftest import Bench, rows, text


def test_each_line_is_on_disk_when_the_call_returns(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("planned", key="a", text="é\n")
    journal.append("submitted", key="a", remote_id="batch_1")
    entries = list(read_journal(journal.path))
    assert [(entry["kind"], entry["key"]) for entry in entries] == [("planned", "a"), ("submitted", "a")]
    assert entries[0]["text"] == "é\n" and len(journal.path.read_text().splitlines()) == 2


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_cut_short_by_a_crash_is_left_out_and_spoils_no_other(tmp_path, cut):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("planned", key="a")
    whole = journal.path.read_bytes()
    journal.append("submitted", key="a", remote_id="batch_1")
    journal.path.write_bytes(journal.path.read_bytes()[: len(whole) + cut])
    assert [entry["kind"] for entry in read_journal(journal.path)] == ["planned"]
    journal.append("closed", key="a")
    assert [entry["kind"] for entry in read_journal(journal.path)] == ["planned", "closed"]


def test_a_file_that_is_no_journal_is_refused_by_line(tmp_path):
    file = tmp_path / "notes.jsonl"
    file.write_text("hello\n")
    with pytest.raises(DataFileError, match=r"notes.jsonl, line 1: this is no line of a batch journal"):
        list(read_journal(file))
    with pytest.raises(DataFileError, match="cannot be read"):
        list(read_journal(tmp_path / "absent.jsonl"))


def lose_database(bench, server, clock):
    """The database is deleted; what lies beside it stays."""
    home = bench.store.folder.parent
    bench.ledger.close()
    for file in home.glob("stillroom.db*"):
        file.unlink()
    return Bench(shared_ledger(), server, clock)


def found_again(bench, names):
    batches, handed = bench.hand_in(names)
    bench.until_over(batches, handed)
    found = bench.found(batches, handed, names)
    return {name: text(found[name]) for name in names}


def test_jobs_are_rebuilt_attached_by_id_and_collected(bench, server, clock):
    bench.max_requests = 4
    batches, handed = bench.hand_in(rows(10), count=1)
    batches.advance(handed.sets)
    ids = {job.remote_id for job in bench.jobs()}
    after = lose_database(bench, server, clock)
    assert after.jobs() == []
    recovered = actions.recover(after.store, after.store.journal.path)
    assert (recovered.jobs, recovered.already_there, recovered.without_input) == (3, 0, 0)
    assert {job.remote_id for job in after.jobs()} == ids
    assert found_again(after, rows(10)) == {name: f"echo: {name}" for name in rows(10)}
    assert len(server.batches) == 3 and [server.paid(name) for name in rows(10)] == [1] * 10
    assert actions.recover(after.store, after.store.journal.path).already_there == 3


def test_jobs_that_were_collected_already_are_collected_again(bench, server, clock):
    bench.run(rows(4))
    after = lose_database(bench, server, clock)
    actions.recover(after.store, after.store.journal.path)
    assert found_again(after, rows(4)) == {name: f"echo: {name}" for name in rows(4)}
    assert len(server.batches) == 1


def test_rows_that_were_sent_again_belong_to_their_last_job(bench, server, clock):
    server.batch.change(rows={"row-1": ["429"], "row-3": ["500"]})
    bench.run(rows(5))
    after = lose_database(bench, server, clock)
    assert actions.recover(after.store, after.store.journal.path).jobs == 2
    assert after.store.counts()["inflight"] == 5
    assert found_again(after, rows(5)) == {name: f"echo: {name}" for name in rows(5)}
    assert len(server.batches) == 2


def test_a_job_that_may_or_may_not_have_been_made_is_looked_for(bench, server, clock):
    server.batch.change(on_create=["land_500"])
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    after = lose_database(bench, server, clock)
    actions.recover(after.store, after.store.journal.path)
    assert [job.state for job in after.jobs()] == ["creating"]
    assert found_again(after, rows(4)) == {name: f"echo: {name}" for name in rows(4)}
    assert len(server.batches) == 1


def test_a_job_whose_requests_are_gone_is_collected_if_it_was_sent_and_counted_if_not(bench, server, clock):
    sent, handed = bench.hand_in(rows(3))
    sent.advance(handed.sets)
    bench.hand_in(["row-8", "row-9"])
    for file in bench.store.folder.glob("*.jsonl"):
        if file.name != "journal.jsonl":
            file.unlink()
    after = lose_database(bench, server, clock)
    recovered = actions.recover(after.store, after.store.journal.path)
    assert (recovered.jobs, recovered.without_input) == (1, 1)
    assert found_again(after, rows(3)) == {name: f"echo: {name}" for name in rows(3)}


def test_a_plan_that_was_never_committed_is_not_sent_beside_the_one_that_was(bench, server, clock):
    class Killed(BaseException):
        pass

    batches = bench.batches()

    def die(*_arguments):
        raise Killed

    write, batches.store.ledger.database.__dict__["write"] = batches.store.ledger.database.write, die
    with pytest.raises(Killed):
        batches.hand_in(bench.wants(rows(4)), 1, {})
    del batches.store.ledger.database.__dict__["write"]
    # As a killed process leaves it: the line is in the journal and nothing took it back.
    lines = [line for line in bench.store.journal.path.read_text().splitlines() if '"dropped"' not in line]
    bench.store.journal.path.write_text("\n".join(lines) + "\n")
    bench.hand_in(rows(4), batches)
    batches.advance([bench.jobs()[0].set_key])
    after = lose_database(bench, server, clock)
    actions.recover(after.store, after.store.journal.path)
    assert found_again(after, rows(4)) == {name: f"echo: {name}" for name in rows(4)}
    assert len(server.batches) == 1
    del write


def test_the_journal_says_submitted_before_the_ledger_does(bench):
    batches, handed = bench.hand_in(rows(2))
    batches.advance(handed.sets)
    entries = list(read_journal(bench.store.journal.path))
    assert [entry["kind"] for entry in entries] == ["planned", "uploaded", "creating", "submitted"]
    assert entries[-1]["remote_id"] == bench.server.batches[0].id
    assert entries[0]["set"]["model"] == "gpt-4o-mini" and entries[0]["n"] == 2
    assert json.loads(entries[0]["set"]["llm"])["use"] == "OpenAILLM"


def test_a_journal_in_another_folder_can_be_recovered_from(bench, server, clock, tmp_path):
    batches, handed = bench.hand_in(rows(2))
    batches.advance(handed.sets)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(bench.store.journal.path.read_bytes())
    after = lose_database(bench, server, clock)
    assert actions.recover(BatchStore(after.ledger), copy).jobs == 1
    assert found_again(after, rows(2)) == {name: f"echo: {name}" for name in rows(2)}


def test_a_plan_that_was_taken_back_takes_no_rows_from_the_job_that_has_them(bench, server, clock):
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    job = bench.jobs()[0]
    closing = (job, Closing(RequestState.MISSING, "Gone."))
    with pytest.raises(LeaseLost):
        plan_again(
            bench.store, batches.provider, job.set_key, bench.store.unsettled(job.key), closing=closing, owner="nobody"
        )
    after = lose_database(bench, server, clock)
    assert actions.recover(after.store, after.store.journal.path).jobs == 1
    assert found_again(after, rows(4)) == {name: f"echo: {name}" for name in rows(4)}
    assert len(server.batches) == 1


def test_input_files_of_jobs_are_kept_and_those_of_plans_taken_back_are_removed(bench):
    bench.hand_in(rows(2))
    key = bench.jobs()[0].key
    for name in ("kept", "dropped", "orphan"):
        (bench.store.folder / f"{name}.jsonl").write_text("")
    bench.store.journal.append("planned", key="kept")
    bench.store.journal.append("planned", key="dropped")
    bench.store.journal.append("dropped", key="dropped")
    for file in bench.store.folder.glob("*.jsonl"):
        os.utime(file, (0, 0))
    tidy_up(bench.store)
    assert {file.stem for file in bench.store.folder.glob("*.jsonl")} == {"journal", "kept", key}
