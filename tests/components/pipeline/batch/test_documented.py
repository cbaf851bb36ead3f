"""The documented API: a flag, an exception with ids, and the answers once they are there."""

import json
import os
import subprocess
import sys

import httpx
import pytest

from components.errors import (
    BatchGone,
    ConfigError,
    CredentialError,
    DistilabelOfflineBatchGenerationNotFinishedException,
    OfflineBatchError,
    OfflineBatchNotFinished,
)
from components.llms import OpenAILLM
from components.pipeline.batch import actions
from components.pipeline.batch.actions import recover
from components.pipeline.batch.offline import Batches
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger import Ledger
from components.steps.tasks import TextGeneration
from tests.servers.batch.sample_input import chat_body
from tests.servers.process import ROOT


def model(server, **settings):
    settings = {"model": "gpt-4o-mini", "base_url": server.base_url, "api_key": "sk-1"} | settings
    llm = OpenAILLM(use_offline_batch_generation=True, **settings)
    llm.load()
    return llm


def ask(*texts):
    return [[{"role": "user", "content": text}] for text in texts]


def test_the_first_call_says_which_jobs_it_made_and_a_later_one_returns_the_answers(server):
    llm = model(server)
    assert llm.jobs_ids is None
    with pytest.raises(OfflineBatchNotFinished) as waiting:
        llm.generate_outputs(inputs=ask("row-1", "row-2"))
    assert waiting.value.jobs_ids == llm.jobs_ids == tuple(batch.id for batch in server.batches)
    assert str(waiting.value) == f"Batch generation with jobs_ids={llm.jobs_ids} is not finished"
    with pytest.raises(DistilabelOfflineBatchGenerationNotFinishedException):
        llm.generate_outputs(inputs=ask("row-1", "row-2"))
    outputs = llm.generate_outputs(inputs=ask("row-1", "row-2"))
    assert [output["generations"] for output in outputs] == [["echo: row-1"], ["echo: row-2"]]
    assert [output["finish_reasons"] for output in outputs] == [["stop"], ["stop"]]
    assert llm.generate_outputs(inputs=ask("row-1", "row-2")) == outputs
    assert len(server.batches) == 1


def test_blocking_asks_every_few_seconds_until_all_is_there(server):
    llm = model(server, offline_batch_generation_block_until_done=1)
    outputs = llm.generate_outputs(inputs=ask("row-1"), num_generations=2)
    assert outputs[0]["generations"] == ["echo: row-1", "echo: row-1 (2)"]
    assert server.batches[0].polls == 2


def test_another_process_with_the_same_inputs_finds_the_jobs_though_nobody_saved_their_ids(server, tmp_path):
    script = (
        "import json, sys\n"
        "from components.llms import OpenAILLM\n"
        "from components.errors import OfflineBatchNotFinished\n"
        "llm = OpenAILLM(model='gpt-4o-mini', base_url=sys.argv[1], api_key='sk-1',\n"
        "                use_offline_batch_generation=True)\n"
        "llm.load()\n"
        "try: print(json.dumps([o['generations'] for o in llm.generate_outputs(inputs=json.loads(sys.argv[2]))]))\n"
        "except OfflineBatchNotFinished as error: print(json.dumps(error.jobs_ids))\n"
    )
    command = [sys.executable, "-c", script, server.base_url, json.dumps(ask("row-1", "row-2"))]
    said = []
    for _ in range(3):
        process = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True)
        said.append(json.loads(process.stdout))
    assert said[0] == said[1] == [server.batches[0].id]
    assert said[2] == [["echo: row-1"], ["echo: row-2"]]
    assert len(server.batches) == 1


def test_only_inputs_that_are_new_are_sent(server):
    llm = model(server, offline_batch_generation_block_until_done=1)
    server.batch.change(polls_until_done=1)
    llm.generate_outputs(inputs=ask("row-1", "row-2"))
    outputs = llm.generate_outputs(inputs=ask("row-2", "row-3", "row-1"))
    assert [output["generations"][0] for output in outputs] == ["echo: row-2", "echo: row-3", "echo: row-1"]
    assert [batch.total for batch in server.batches] == [2, 1]


def test_the_same_question_twice_is_asked_twice(server):
    llm = model(server, offline_batch_generation_block_until_done=1)
    server.batch.change(polls_until_done=1)
    assert len(llm.generate_outputs(inputs=ask("row-1", "row-1"))) == 2
    assert server.paid("row-1") == 2
    llm.generate_outputs(inputs=ask("row-1", "row-1"))
    assert server.paid("row-1") == 2


def test_other_parameters_are_another_submission(server):
    llm = model(server)
    for parameters in ({}, {"temperature": 0.5}):
        with pytest.raises(OfflineBatchNotFinished):
            llm.generate_outputs(inputs=ask("row-1"), **parameters)
    assert len(server.batches) == 2
    with pytest.raises(OfflineBatchNotFinished):
        llm.generate_outputs(inputs=ask("row-1"), num_generations=2)
    assert len(server.batches) == 3


def test_a_failed_row_is_none_with_its_reason_and_moves_no_other(server):
    server.batch.change(polls_until_done=1, rows={"row-1": "400"})
    llm = model(server, offline_batch_generation_block_until_done=1)
    outputs = llm.generate_outputs(inputs=ask("row-0", "row-1", "row-2", "row-3"))
    assert [output["generations"][0] for output in outputs] == ["echo: row-0", None, "echo: row-2", "echo: row-3"]
    assert "temperature" in outputs[1]["errors"][0]


def test_rows_that_somebody_sends_again_this_moment_are_waited_for(server, monkeypatch):
    server.batch.change(polls_until_done=1, rows={"row-1": ["400"]})
    llm, plain = model(server), Batches.answers
    with pytest.raises(OfflineBatchNotFinished):
        llm.generate_outputs(inputs=ask("row-0", "row-1"))

    def answers(batches, handed, count):
        sent = actions.retry(batches.store, batches.provider, handed.sets[0])
        assert sent == (0 if len(server.batches) > 1 else 1)
        return plain(batches, handed, count)

    monkeypatch.setattr(Batches, "answers", answers)
    with pytest.raises(OfflineBatchNotFinished):
        llm.generate_outputs(inputs=ask("row-0", "row-1"))
    llm.offline_batch_generation_block_until_done = 1
    outputs = llm.generate_outputs(inputs=ask("row-0", "row-1"))
    assert [output["generations"] for output in outputs] == [["echo: row-0"], ["echo: row-1"]]


def test_a_task_on_its_own_works_offline_too(server):
    server.batch.change(polls_until_done=1, rows={"row-1": "400"})
    task = TextGeneration(name="generate", llm=model(server, offline_batch_generation_block_until_done=1))
    task.load()
    made = next(task.process(inputs=[{"instruction": f"row-{n}"} for n in range(3)]))
    assert [row["generation"] for row in made] == ["echo: row-0", None, "echo: row-2"]


def test_a_task_on_its_own_asks_nothing_about_empty_rows(server):
    server.batch.change(polls_until_done=1)
    task = TextGeneration(name="generate", llm=model(server, offline_batch_generation_block_until_done=1))
    task.load()
    rows = [{"instruction": None}, {"instruction": "row-1"}, {"instruction": None}]
    assert [row["generation"] for row in next(task.process(inputs=rows))] == [None, "echo: row-1", None]
    assert [row["generation"] for row in next(task.process(inputs=rows[:1]))] == [None]
    assert [batch.total for batch in server.batches] == [1]


def test_nothing_to_generate_for_is_said(server):
    with pytest.raises(ConfigError, match="`inputs` is empty"):
        model(server).generate_outputs(inputs=[])


def test_without_a_key_nothing_is_sent_and_it_is_said(server, monkeypatch):
    with pytest.raises(CredentialError, match="needs a key"):
        OpenAILLM(model="gpt-4o-mini", use_offline_batch_generation=True).generate_outputs(inputs=ask("row-1"))


def test_a_job_that_needs_a_person_is_said_and_not_waited_for(server):
    llm = model(server, offline_batch_generation_block_until_done=1)
    server.batch.change(on_create="401")
    with pytest.raises(OfflineBatchError, match="waits for you: .*key"):
        llm.generate_outputs(inputs=ask("row-1"))
    server.batch.change(on_create=None)
    assert llm.generate_outputs(inputs=ask("row-1"))[0]["generations"] == ["echo: row-1"]


def test_half_a_character_fails_its_own_row_and_the_others_go_on(server):
    llm = model(server, offline_batch_generation_block_until_done=1)
    outputs = llm.generate_outputs(inputs=ask("row-0", "bad \ud800", "row-2"))
    assert [output["generations"] for output in outputs] == [["echo: row-0"], [None], ["echo: row-2"]]
    assert outputs[1]["errors"][0].startswith("Row 1: ") and "half of a character" in outputs[1]["errors"][0]
    assert [batch.total for batch in server.batches] == [2]


def test_rows_without_credit_are_kept_and_blocking_ends_with_the_reason(server):
    server.batch.change(rows={"row-1": "no_credit"})
    llm = model(server, offline_batch_generation_block_until_done=1)
    with pytest.raises(OfflineBatchError, match="waits for you: .* has no credit left"):
        llm.generate_outputs(inputs=ask("row-0", "row-1"))
    server.batch.change(rows={})
    outputs = llm.generate_outputs(inputs=ask("row-0", "row-1"))
    assert [output["generations"] for output in outputs] == [["echo: row-0"], ["echo: row-1"]]
    assert [batch.total for batch in server.batches] == [2, 1]


def older_jobs(server, *texts, per_job):
    """Jobs as the older library made them: names that are row numbers, several jobs for one call."""
    ids = []
    with httpx.Client(base_url=server.base_url, headers={"Authorization": "Bearer sk-1"}, verify=False) as http:
        for start in range(0, len(texts), per_job):
            lines = [
                json.dumps(
                    {
                        "custom_id": str(start + at), "method": "POST", "url": "/v1/chat/completions",
                        "body": chat_body(0) | {"messages": [{"role": "user", "content": text}]},
                    }
                )
                for at, text in enumerate(texts[start : start + per_job])
            ]  # fmt: skip
            file = {"file": ("old.jsonl", "\n".join(lines).encode())}
            uploaded = http.post("/files", data={"purpose": "batch"}, files=file).json()["id"]
            wanted = {"input_file_id": uploaded, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            ids.append(http.post("/batches", json=wanted).json()["id"])
    return tuple(ids)


def test_jobs_of_the_older_library_are_taken_over_by_their_ids(server, ledger):
    texts = [f"row-{n}" for n in range(7)]
    server.batch.change(rows={"row-3": "400", "row-6": "missing"})
    ids = older_jobs(server, *texts, per_job=4)
    llm = model(server, offline_batch_generation_block_until_done=1, jobs_ids=ids)
    outputs = llm.generate_outputs(inputs=ask(*texts))
    answers = [output["generations"][0] for output in outputs]
    assert answers == [f"echo: {text}" if n not in (3, 6) else None for n, text in enumerate(texts)]
    assert "temperature" in outputs[3]["errors"][0]
    assert "no result" in outputs[6]["errors"][0]
    assert len(server.batches) == 2 and llm.jobs_ids == ids
    store = BatchStore(ledger)
    assert {job.state for job in store.jobs()} == {"closed"}
    assert sum(job.cost_known for job in store.jobs()) == 2
    assert {job.path for job in store.jobs()} == {"/chat/completions"}
    assert sum(job.n for job in store.jobs()) == 7


def test_jobs_that_were_taken_over_are_all_found_again_after_the_database_was_lost(server, ledger):
    server.batch.change(polls_until_done=9)
    texts = [f"row-{n}" for n in range(5)]
    ids = older_jobs(server, *texts, per_job=3)
    with pytest.raises(OfflineBatchNotFinished):
        model(server, jobs_ids=ids).generate_outputs(inputs=ask(*texts))
    folder = BatchStore(ledger).folder
    ledger.close()
    for file in folder.parent.glob("stillroom.db*"):
        file.unlink()
    fresh = Ledger()
    store = BatchStore(fresh)
    assert recover(store, store.journal.path).jobs == 2
    fresh.close()
    outputs = model(server, offline_batch_generation_block_until_done=1).generate_outputs(inputs=ask(*texts))
    assert [output["generations"] for output in outputs] == [[f"echo: {text}"] for text in texts]
    assert len(server.batches) == 2


def test_a_job_that_is_not_known_is_taken_over_beside_one_that_is(server, ledger):
    texts = [f"row-{n}" for n in range(5)]
    ids = older_jobs(server, *texts, per_job=3)
    # Of the first three rows the ledger has the job already.
    first = model(server, offline_batch_generation_block_until_done=1, jobs_ids=ids[:1])
    first.generate_outputs(inputs=ask(*texts[:3]))
    llm = model(server, offline_batch_generation_block_until_done=1, jobs_ids=ids)
    outputs = llm.generate_outputs(inputs=ask(*texts))
    assert [output["generations"] for output in outputs] == [[f"echo: {text}"] for text in texts]
    assert len(server.batches) == 2 and llm.jobs_ids == ids


def test_an_id_that_nobody_knows_beside_one_that_is_known_sends_nothing_anew(server, ledger):
    ids = older_jobs(server, "row-0", "row-1", "row-2", per_job=2)
    model(server, offline_batch_generation_block_until_done=1, jobs_ids=ids[:1]).generate_outputs(
        inputs=ask("row-0", "row-1")
    )
    with pytest.raises(BatchGone, match="batch_nobodys"):
        model(server, jobs_ids=(ids[0], "batch_nobodys")).generate_outputs(inputs=ask("row-0", "row-1", "row-2"))
    with pytest.raises(ConfigError, match=f"Not known here in jobs_ids: {ids[1]}, with 1 requests"):
        model(server, jobs_ids=ids).generate_outputs(inputs=ask("row-0", "row-1", "row-2", "row-3"))
    assert len(server.batches) == 2
    # Ids that are all known are no claim to rows that are not.
    llm = model(server, offline_batch_generation_block_until_done=1, jobs_ids=ids[:1])
    assert llm.generate_outputs(inputs=ask("row-x"))[0]["generations"] == ["echo: row-x"]


def test_jobs_of_other_rows_are_not_taken_over(server):
    ids = older_jobs(server, "row-1", "row-2", "row-3", per_job=3)
    httpx.get(f"{server.base_url}/batches/{ids[0]}", headers={"Authorization": "Bearer sk-1"})
    llm = model(server, jobs_ids=ids)
    with pytest.raises(ConfigError, match="have 3 requests and there are 2 rows"):
        llm.generate_outputs(inputs=ask("row-1", "row-2"))
    assert len(server.batches) == 1


def test_ids_of_jobs_that_are_in_the_ledger_do_not_serve_other_inputs(server):
    llm = model(server, offline_batch_generation_block_until_done=1)
    server.batch.change(polls_until_done=1)
    llm.generate_outputs(inputs=ask("row-1"))
    assert llm.jobs_ids is not None
    assert llm.generate_outputs(inputs=ask("row-2"))[0]["generations"] == ["echo: row-2"]


def test_a_model_and_its_jobs_can_be_saved_and_read_back(server):
    llm = model(server)
    with pytest.raises(OfflineBatchNotFinished):
        llm.generate_outputs(inputs=ask("row-1"))
    data = llm.dump()
    assert data["jobs_ids"] == list(llm.jobs_ids) and "sk-1" not in json.dumps(data)
    again = OpenAILLM(**{name: value for name, value in data.items() if name != "use"}, api_key="sk-1")
    assert again.jobs_ids == llm.jobs_ids
