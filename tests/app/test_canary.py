"""A key that is easy to recognize goes everywhere a key can go, and is then looked for in everything that is kept."""

import base64
import logging
import os
import signal
import subprocess
import sys
import uuid

import pytest
from fastapi.testclient import TestClient

from app.server import create_app
from app.settings import Settings
from app.studio import Studio
from app.worker import Worker
from components.errors import StillroomError
from tests.app.api.conftest import HERE
from tests.app.command import ROOT
from tests.app.conftest import FAST, until
from tests.app.pipelines import add_tickets, asking, labeling, model
from tests.servers.faults import Fault, Faults

FAULTS = [
    Fault.CONTENT_POLICY,
    Fault.SERVER_ERROR,
    Fault.RATE_LIMIT_BARE,
    Fault.MALFORMED,
    Fault.DROPPED,
    Fault.ERROR_IN_200,
    Fault.NULL_CONTENT,
]


@pytest.fixture(params=["stored", "memory"])
def studio(request, tmp_path):
    made = Studio(Settings(home=tmp_path / "home", keys=request.param))
    yield made
    made.ledger.close()


def spellings(key):
    """The key as it is, backwards and encoded."""
    raw = key.encode()
    return [raw, raw[::-1], base64.b64encode(raw)[:-4], raw.hex().encode()]


def answers(client, run_id, pipeline_id, dataset_id):
    """The bytes of everything that the routes say."""
    paths = [
        "",
        "/events",
        "/rows",
        "/rows/00000000",
        "/rows/00000003",
        "/export.csv",
        "/export.jsonl",
        "/export.parquet",
    ]
    yield from (client.get(f"/api/runs/{run_id}{path}").content for path in paths)
    yield client.get("/api/runs").content
    yield client.get(f"/api/pipelines/{pipeline_id}/pipeline.yaml").content
    yield client.get(f"/api/datasets/{dataset_id}/preview").content


def test_a_key_is_found_nowhere_in_the_clear(studio, server, caplog, capfd, monkeypatch):
    caplog.set_level(logging.DEBUG)
    keys = [f"sk-canary-{uuid.uuid4()}" for _ in range(3)]
    right, wrong, environment = keys
    monkeypatch.setenv("GROQ_API_KEY", environment)
    server.behavior.keys = [right]
    server.behavior.faults = Faults(rows={f"row-{n}": fault for n, fault in enumerate(FAULTS)})
    found: list[bytes] = []

    connection = studio.connections.add("custom", right, name="mine", base_url=server.base_url)
    bad = studio.connections.add("custom", wrong, name="bad", base_url=server.base_url)
    studio.connections.add("groq", from_environment=True)
    dataset = add_tickets(studio, 12)
    spec = labeling(dataset, llm=model(server, connection="mine"))
    draft = studio.pipelines.add(spec)
    worker = Worker(studio, policy=FAST)
    worker.start()
    client = TestClient(create_app(studio=studio, pages=False), base_url=HERE)

    def rests(run_id):
        return lambda: studio.runs.get(run_id).state not in ("queued", "running")

    runs = [studio.previews.start(spec), studio.runs.start(pipeline_id=draft.id)]
    runs.append(studio.runs.start(asking([f"row-{n}" for n in range(5)], llm=model(server, connection="bad"))))
    for run_id in runs:
        until(rests(run_id))
        found += answers(client, run_id, draft.id, dataset.id)
        found.append(repr(studio.previews.result(run_id)).encode())
    assert studio.runs.get(runs[1]).state == "done_with_failures"
    assert studio.runs.get(runs[2]).state == "paused"
    assert any(request.key == right for request in server.requests)
    assert any(request.key == wrong for request in server.requests)

    found.append(repr(studio.providers.cards()).encode() + repr(studio.connections.list()).encode())
    found.append(repr(studio.providers.test("gpt-4o-mini", connection="bad")).encode())
    found.append(repr(studio.connections.vault().connection("mine")).encode())
    found.append(repr([vars(studio.settings), connection, bad]).encode())
    try:
        studio.providers.models(connection="bad")
    except StillroomError:
        error = sys.exception()
        found.append(repr([error, vars(error), error.__cause__, error.__context__]).encode())
    worker.stop()

    found.append(caplog.text.encode())
    found.append("".join(capfd.readouterr()).encode())
    files = [path for path in studio.settings.home.rglob("*") if path.is_file()]
    assert any(path.name == "stillroom.db" for path in files)
    found += [path.read_bytes() for path in files]
    for key in keys:
        assert not any(spelling in part for spelling in spellings(key) for part in found)


def test_a_key_written_into_a_pipeline_is_refused_before_it_is_kept(studio, settings):
    key = f"sk-canary-{uuid.uuid4()}"
    for llm in ({"api_key": key}, {"default_headers": {"Authorization": f"Bearer {key}"}}):
        try:
            studio.runs.start(asking(["a"], llm={"use": "OpenAILLM", "model": "m", **llm}))
        except StillroomError as error:
            assert key not in str(error)
        else:
            pytest.fail("It was taken.")
    studio.ledger.close()
    assert not any(key.encode() in path.read_bytes() for path in studio.settings.home.rglob("*") if path.is_file())


SCRIPT = """
import os
from components.llms import OpenAILLM
from components.pipeline import Pipeline
from components.steps import LoadDataFromDicts
from components.steps.tasks import TextGeneration

fields = {"api_key": os.environ["CANARY"]} if "CANARY" in os.environ else {}
with Pipeline(name="crash") as pipeline:
    load = LoadDataFromDicts(name="load", data=[{"instruction": f"row-{n}"} for n in range(40)])
    load >> TextGeneration(name="ask", llm=OpenAILLM(model="m", base_url=os.environ["ADDRESS"], **fields))
pipeline.save("saved.yaml")
pipeline.run(parameters={"ask": {"llm": fields}}, concurrency=2)
"""


@pytest.mark.parametrize("given", ["CANARY", "OPENAI_API_KEY"])
@pytest.mark.parametrize("ending", ["killed", "refused"])
def test_a_crash_leaves_no_key_behind(given, ending, server, tmp_path):
    key = f"sk-canary-{uuid.uuid4()}"
    server.behavior.keys = [key if ending == "killed" else "sk-other"]
    server.behavior.latency_ms = 50
    names = ("CANARY", "OPENAI_API_KEY", "STILLROOM_DATABASE")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {given: key, "ADDRESS": server.base_url, "STILLROOM_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    script = subprocess.Popen([sys.executable, "-X", "dev", "-c", SCRIPT], env=environment, cwd=tmp_path, **pipes)
    if ending == "killed":
        until(lambda: len(server.requests) >= 10 or script.poll() is not None)
        script.send_signal(signal.SIGKILL)
    found = list(script.communicate(timeout=60))
    assert script.returncode == (-signal.SIGKILL if ending == "killed" else 1), found[1].decode()
    assert any(request.key == key for request in server.requests)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"stillroom.db", "saved.yaml"} <= {path.name for path in files}
    found += [path.read_bytes() for path in files]
    assert not any(spelling in part for spelling in spellings(key) for part in found)
