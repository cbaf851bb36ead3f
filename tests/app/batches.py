"""Runs that are done overnight, for tests of the app: against a batch API on loopback, with no waiting."""

from components.states import RunState
from tests.app.pipelines import asking
from tests.servers.batch.openai_batch_server import OpenAIBatchServer

PRICES = {"input_price": 1.0, "output_price": 2.0}


def batch_model(server, **settings):
    """A model on a loopback server that has a batch API."""
    return {
        "use": "OpenAILLM",
        "model": "gpt-4o-mini",
        "base_url": server.base_url,
        "use_offline_batch_generation": True,
        **PRICES,
        **settings,
    }


def overnight(server, count=10, **settings):
    """Rows named row-0, row-1 and so on, each to be answered overnight."""
    return asking([f"row-{n} please" for n in range(count)], llm=batch_model(server, **settings))


def submitted(studio, work, spec):
    """A run whose batch is out; returns its id and the key of its first job."""
    run_id = studio.runs.start(spec)
    assert work(run_id) is RunState.WAITING_BATCH
    return run_id, studio.batches.list(run_id=run_id)[-1]["key"]


def collected(studio, run_id):
    """Ask about the open jobs of a run until none is left."""
    for _ in range(20):
        waiting = [job for job in studio.batches.list(run_id=run_id) if "collect" in job["can"]]
        if not waiting:
            return studio.batches.list(run_id=run_id)
        for job in waiting:
            studio.batches.collect(job["key"])
    raise AssertionError(f"The jobs of {run_id} do not come to an end.")


def finished(studio, work, run_id):
    """Collect everything and work on the run to its end."""
    collected(studio, run_id)
    assert run_id in studio.batches.wake_runs()
    return work(run_id)


def adds_up(job):
    """Whether every request of a job is counted just once."""
    return sum(job["counts"].values()) == job["n"]


def a_batch_server(**settings):
    """OpenAI's batch API; `rows` says what goes wrong with which."""
    return OpenAIBatchServer(**{"polls_until_done": 1, **settings})
