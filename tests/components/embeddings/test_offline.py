"""Vectors by batch jobs: handed in by one call, collected by a later one, in this process or another."""

import json
import os
import subprocess
import sys
import time
from itertools import count

import pytest

from components.embeddings import OpenAIEmbeddings
from components.errors import ConfigError, OfflineBatchError, OfflineBatchNotFinished
from components.pipeline.batch.poller import Poller
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger import shared_ledger
from components.vault import ScriptVault
from tests.components.embeddings.test_openai import expected, texts
from tests.servers import answers
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.openai_server import OpenAIServer
from tests.servers.process import ROOT


@pytest.fixture
def server():
    with OpenAIBatchServer() as running:
        yield running


def model(server, **settings):
    settings = {"model": "text-embedding-3-small", "base_url": server.base_url, "api_key": "sk-1"} | settings
    embeddings = OpenAIEmbeddings(use_offline_batch_generation=True, **settings)
    embeddings.load()
    return embeddings


def handed_in(embeddings, inputs):
    with pytest.raises(OfflineBatchNotFinished) as waiting:
        embeddings.encode(inputs)
    return waiting.value.jobs_ids


def online(server):
    return [one for one in server.calls("POST") if one.path.endswith("/embeddings")]


def test_the_first_call_says_which_jobs_it_made_and_a_later_one_returns_the_vectors(server):
    embeddings = model(server)
    assert embeddings.jobs_ids is None
    ids = handed_in(embeddings, texts(3))
    assert ids == embeddings.jobs_ids == tuple(batch.id for batch in server.batches)
    assert handed_in(embeddings, texts(3)) == ids
    assert embeddings.encode(texts(3)) == expected(texts(3))
    assert embeddings.encode(texts(3)) == expected(texts(3))
    assert len(server.batches) == 1 and online(server) == []


def test_blocking_asks_until_all_is_there(server):
    embeddings = model(server, offline_batch_generation_block_until_done=1, dimensions=8)
    assert embeddings.encode(["row-1"]) == expected(["row-1"], 8)
    assert server.batches[0].polls == 2


def test_another_process_with_the_same_inputs_finds_the_jobs(server):
    script = (
        "import json, sys\n"
        "from components.embeddings import OpenAIEmbeddings\n"
        "from components.errors import OfflineBatchNotFinished\n"
        "embeddings = OpenAIEmbeddings(model='text-embedding-3-small', base_url=sys.argv[1], api_key='sk-1',\n"
        "                              use_offline_batch_generation=True)\n"
        "embeddings.load()\n"
        "try: print(json.dumps(embeddings.encode(json.loads(sys.argv[2]))))\n"
        "except OfflineBatchNotFinished as error: print(json.dumps(error.jobs_ids))\n"
    )
    command = [sys.executable, "-c", script, server.base_url, json.dumps(texts(2))]
    said = []
    for _ in range(3):
        process = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True)
        said.append(json.loads(process.stdout))
    assert said[0] == said[1] == [server.batches[0].id]
    assert said[2] == expected(texts(2))
    assert len(server.batches) == 1


def test_vectors_come_back_to_their_texts_from_a_shuffled_file(server):
    server.batch.change(polls_until_done=1, seed=7)
    assert model(server, offline_batch_generation_block_until_done=1).encode(texts(40)) == expected(texts(40))


def test_only_texts_that_are_new_are_sent(server):
    server.batch.change(polls_until_done=1)
    embeddings = model(server, offline_batch_generation_block_until_done=1)
    embeddings.encode(["row-1", "row-2"])
    inputs = ["row-2", "row-3", "row-1"]
    assert embeddings.encode(inputs) == expected(inputs)
    assert [batch.total for batch in server.batches] == [2, 1]


def test_other_dimensions_are_another_submission(server):
    ids = handed_in(model(server), ["row-1"])
    assert handed_in(model(server, dimensions=8), ["row-1"]) != ids


def test_the_poller_collects_them_with_the_model_it_builds_from_what_is_written_down(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    handed_in(model(server, base_url=None, api_key=None), texts(3))
    store = BatchStore(shared_ledger())
    closed = []
    poller = Poller(
        store, ScriptVault, on_close=lambda job, batch: closed.append(batch), clock=count(time.time(), 400).__next__
    )
    for _ in range(3):
        poller.tick()
    [job] = store.jobs()
    assert job.state == "closed" and job.path == "/embeddings"
    assert [(batch.provider, batch.model) for batch in closed] == [("OpenAIEmbeddings", "text-embedding-3-small")]
    polls = server.batches[0].polls
    assert model(server, base_url=None, api_key=None).encode(texts(3)) == expected(texts(3))
    assert server.batches[0].polls == polls


def test_tokens_and_the_price_of_a_batch_are_written_down(server):
    server.batch.change(polls_until_done=1)
    model(server, offline_batch_generation_block_until_done=1, input_price=2.0).encode(texts(3))
    [job] = BatchStore(shared_ledger()).jobs()
    read = sum(len(answers.tokens(text)) for text in texts(3))
    assert job.cost == pytest.approx(read * 2.0 / 1_000_000)


def test_what_was_handed_in_is_in_the_journal(server):
    ids = handed_in(model(server), ["row-1"])
    lines = BatchStore(shared_ledger()).journal.path.read_text().splitlines()
    assert any(ids[0] in line for line in lines)


def test_a_text_without_a_vector_is_named_and_the_others_are_kept(server):
    server.batch.change(polls_until_done=1, rows={"row-1": "400"})
    embeddings = model(server, offline_batch_generation_block_until_done=1)
    with pytest.raises(OfflineBatchError, match=r"^1 of 3 inputs came back without a vector\. Input 2: "):
        embeddings.encode(["row-0", "row-1", "row-2"])
    assert embeddings.encode(["row-0", "row-2"]) == expected(["row-0", "row-2"])
    assert len(server.batches) == 1


def test_a_text_that_cannot_be_sent_is_named_by_its_place(server):
    server.batch.change(polls_until_done=1)
    embeddings = model(server, offline_batch_generation_block_until_done=1)
    with pytest.raises(OfflineBatchError, match=r"Input 2: The request cannot be sent: it holds half of a character"):
        embeddings.encode(["row-0", "bad \ud800"])
    assert [batch.total for batch in server.batches] == [1]


def test_jobs_that_exist_already_are_adopted_by_their_ids(server, tmp_path, monkeypatch):
    (made,) = handed_in(model(server), texts(3))
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "another home"))
    server.batch.change(polls_until_done=1)
    embeddings = model(server, jobs_ids=(made,), offline_batch_generation_block_until_done=1)
    assert embeddings.encode(texts(3)) == expected(texts(3))
    assert embeddings.jobs_ids == (made,) and len(server.batches) == 1
    assert [job.path for job in BatchStore(shared_ledger()).jobs()] == ["/embeddings"]


@pytest.mark.parametrize("provider", ["openai", "mistral", "openrouter"])
def test_providers_that_take_embeddings_get_them_in_their_own_way(provider):
    with OpenAIBatchServer(dialect=provider) as server:
        embeddings = at_provider(provider, server)
        embeddings.offline_batch_generation_block_until_done = 1
        server.batch.change(polls_until_done=1)
        assert embeddings.encode(texts(3)) == expected(texts(3))
        assert len(server.batches) == 1


def at_provider(provider, server):
    """A model of a class made for a provider, which is taken for it wherever it is sent."""
    cls = type(
        "Their" + OpenAIEmbeddings.__name__, (OpenAIEmbeddings,), {"preset_id": provider, "__module__": __name__}
    )
    embeddings = cls(model="m", base_url=server.base_url, api_key="sk-1", use_offline_batch_generation=True)
    embeddings.load()
    return embeddings


@pytest.mark.parametrize("provider", ["groq", "together", "xai", "gemini_openai", "azure"])
def test_where_a_provider_takes_none_that_is_said_before_anything_is_sent(provider):
    with OpenAIBatchServer() as server:
        with pytest.raises(ConfigError, match="takes no batch jobs for embeddings.*OpenAI, Mistral, OpenRouter"):
            at_provider(provider, server).encode(["row-1"])
        assert server.requests == []
    assert BatchStore(shared_ledger()).jobs() == []


def test_a_server_without_a_batch_api_is_asked_once_and_said_so():
    with OpenAIServer() as server:
        embeddings = model(server)
        for _ in range(2):
            with pytest.raises(ConfigError, match="takes no batch jobs for embeddings"):
                embeddings.encode(["row-1"])
        assert embeddings.with_runtime_parameters({"use_offline_batch_generation": False}).encode(["row-1"])


def test_nothing_asked_is_nothing_handed_in(server):
    assert model(server).encode([]) == []
    assert server.batches == []
