"""Batch jobs for embeddings that a script handed in: the commands and the Jobs page know them as they know any."""

import pytest

from components.embeddings import OpenAIEmbeddings
from components.errors import OfflineBatchError, OfflineBatchNotFinished
from components.pipeline.ledger.ledger import shared_ledger
from tests.app.batches import a_batch_server, adds_up
from tests.app.command import answer, stillroom
from tests.components.embeddings.test_openai import expected, texts


@pytest.fixture(autouse=True)
def home(monkeypatch, settings):
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))
    monkeypatch.delenv("STILLROOM_DATABASE", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    yield settings.home
    shared_ledger().close()


@pytest.fixture
def provider(monkeypatch):
    with a_batch_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


def model():
    embeddings = OpenAIEmbeddings(model="text-embedding-3-small", use_offline_batch_generation=True, input_price=2.0)
    embeddings.load()
    return embeddings


def handed_in(inputs):
    with pytest.raises(OfflineBatchNotFinished) as waiting:
        model().encode(inputs)
    return waiting.value.jobs_ids


def test_they_are_listed_shown_and_collected(provider):
    (remote_id,) = handed_in(texts(3))
    _, line = stillroom("batches", "list").stdout.splitlines()
    assert "text-embedding-3-small" in line and line.endswith(remote_id)
    shown = stillroom("batches", "show", remote_id)
    assert shown.exit_code == 0 and "3: 0 ok, 3 open" in shown.stdout
    collected = stillroom("batches", "collect")
    assert collected.exit_code == 0, collected.output
    (job,) = answer("batches", "list", "--all")["jobs"]
    assert (job["state"], job["counts"]["ok"]) == ("closed", 3) and adds_up(job)
    assert job["cost_known"] and job["cost"] > 0
    polls = provider.batches[0].polls
    assert model().encode(texts(3)) == expected(texts(3))
    assert provider.batches[0].polls == polls


def test_they_are_on_the_jobs_page_with_what_they_cost_at_most(provider, studio):
    handed_in(texts(3))
    (job,) = studio.batches.list()
    assert (job["model"], job["n"], job["run_id"], job["provider_id"]) == (
        "text-embedding-3-small", 3, None, provider.batches[0].id,
    )  # fmt: skip
    assert 0 < job["estimate"] < 0.0001
    assert {"refresh", "collect", "cancel"} <= set(job["can"])
    studio.batches.store.change(job["key"], next_poll_at=0.0)
    studio.batches.look()
    assert studio.batches.list()[0]["state"] == "closed"


def test_a_text_that_was_refused_can_be_asked_for_again(provider):
    provider.batch.change(rows={"row-1": ["400"]})
    handed_in(texts(3))
    with pytest.raises(OfflineBatchError, match="stillroom batches retry"):
        model().encode(texts(3))
    done = stillroom("batches", "retry", provider.batches[0].id)
    assert done.exit_code == 0, done.output
    stillroom("batches", "collect")
    assert [batch.total for batch in provider.batches] == [3, 1]
    assert model().encode(texts(3)) == expected(texts(3))


def test_they_come_back_from_the_journal_when_the_database_is_lost(provider, home):
    (remote_id,) = handed_in(texts(3))
    shared_ledger().close()
    for file in home.glob("stillroom.db*"):
        file.unlink()
    back = stillroom("batches", "recover", home / "batches" / "journal.jsonl")
    assert back.exit_code == 0, back.output
    stillroom("batches", "collect")
    assert model().encode(texts(3)) == expected(texts(3))
    assert [batch.id for batch in provider.batches] == [remote_id]
