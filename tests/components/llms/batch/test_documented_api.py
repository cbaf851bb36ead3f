"""The chapter on offline batches, as a person would run it: a script, and the same script again later."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import OfflineBatchNotFinished
from components.pipeline.ledger import shared_ledger
from tests.components.llms.batch.journey import EVERY, model_at, server_for
from tests.servers.openai_server import OpenAIServer

ROOT = Path(__file__).parents[4]

SCRIPT = """
from components.errors import DistilabelOfflineBatchGenerationNotFinishedException
from components.llms import OpenAILLM

llm = OpenAILLM(model="model-1", base_url="{url}", api_key="sk-1", use_offline_batch_generation=True{more})
llm.load()
try:
    outputs = llm.generate_outputs(inputs=[[{{"role": "user", "content": text}}] for text in {texts}])
except DistilabelOfflineBatchGenerationNotFinishedException as error:
    assert (llm.jobs_ids or ()) == error.jobs_ids and isinstance(error.jobs_ids, tuple)
    print("waiting", error)
else:
    print("done", [output["generations"] for output in outputs])
"""
TEXTS = ["row-0 Hi! How are you?", "row-1 What is 2 + 2?", "row-2 Name a color."]
ANSWERS = str([[f"echo: {text}"] for text in TEXTS])


@pytest.fixture
def run(own_home):
    """Runs the script in a new process; returns what it prints."""

    def script(url, texts=TEXTS, **more):
        given = "".join(f", {key}={value!r}" for key, value in more.items())
        code = SCRIPT.format(url=url, texts=texts, more=given)
        environment = {**os.environ, "STILLROOM_HOME": str(own_home)}
        environment.pop("STILLROOM_DATABASE", None)
        shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr
        return shown.stdout.strip()

    return script


def test_the_first_call_says_which_jobs_are_out_and_a_later_one_has_the_answers(run):
    with server_for("openai", polls_until_done=2) as server:
        first = run(server.base_url)
        (batch,) = server.batches
        assert first == f"waiting Batch generation with jobs_ids=('{batch.id}',) is not finished"
        assert run(server.base_url) == first
        assert run(server.base_url) == f"done {ANSWERS}"
        # And again, without another batch and without asking again.
        assert run(server.base_url) == f"done {ANSWERS}"
        assert len(server.batches) == 1 and all(server.paid(f"row-{n}") == 1 for n in range(3))


def test_other_inputs_are_another_batch(run):
    with server_for("openai") as server:
        run(server.base_url)
        run(server.base_url, texts=["row-7 Something else."])
        assert len(server.batches) == 2


def test_it_can_wait_until_it_is_done(run):
    with server_for("openai", polls_until_done=2) as server:
        assert run(server.base_url, offline_batch_generation_block_until_done=1) == f"done {ANSWERS}"


def test_rows_that_fail_keep_the_places_of_the_others(run):
    with server_for("openai", rows={"row-1": "400"}) as server:
        shown = run(server.base_url, offline_batch_generation_block_until_done=1)
        assert shown == "done [['echo: row-0 Hi! How are you?'], [None], ['echo: row-2 Name a color.']]"


def test_a_create_that_landed_and_timed_out_is_found_and_not_paid_twice(run):
    with server_for("openai", on_create=["land_hang"]) as server:
        first = run(server.base_url, timeout=0.5)
        assert first.startswith("waiting")
        for _ in range(3):
            shown = run(server.base_url, timeout=0.5)
        assert shown == f"done {ANSWERS}" and len(server.batches) == 1


@pytest.fixture
def call():
    """Calls a new model in this process, with a ledger of its own; returns its answers, or None while it waits."""

    def outputs(server, name):
        llm = model_at(server, name, use_offline_batch_generation=True)
        try:
            found = llm.generate_outputs(inputs=[[{"role": "user", "content": text}] for text in TEXTS])
        except OfflineBatchNotFinished as error:
            assert llm.jobs_ids == error.jobs_ids == tuple(batch.id for batch in server.batches)
            return None
        return [output["generations"] for output in found]

    yield outputs
    shared_ledger().close()


@pytest.mark.parametrize("name", EVERY)
def test_every_provider_goes_the_same_way(call, name):
    with server_for(name, polls_until_done=1) as server:
        assert call(server, name) is None
        if name == "xai":
            # Only its counters say that it has ended, and these are looked at twice.
            assert call(server, name) is None
        assert call(server, name) == [[f"echo: {text}"] for text in TEXTS]
        assert len(server.batches) == 1


@pytest.mark.parametrize("name", ["mistral", "gemini"])
def test_a_row_for_which_the_whole_file_is_refused_is_left_out_of_the_next(name):
    with server_for(name, polls_until_done=1) as server:
        llm = model_at(server, name, use_offline_batch_generation=True, offline_batch_generation_block_until_done=1)
        bad = [{"role": "system" if name == "gemini" else "developer", "content": "nobody speaks"}]
        good = [[{"role": "user", "content": text}] for text in TEXTS]
        outputs = llm.generate_outputs(inputs=[good[0], bad, good[1]])
        assert [output["generations"] for output in outputs] == [[f"echo: {TEXTS[0]}"], [None], [f"echo: {TEXTS[1]}"]]
    shared_ledger().close()


def test_a_server_without_batches_goes_the_same_way_in_the_background(run):
    with OpenAIServer() as server:
        assert run(server.base_url).startswith("waiting Batch generation with jobs_ids=('local_")
        assert run(server.base_url) == f"done {ANSWERS}"
        assert len([one for one in server.requests if one.method == "POST"]) == 3
