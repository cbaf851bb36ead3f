"""Everything the documents show: each block of code runs, each generated page is as the code is now."""

import re
import subprocess
import sys
import typing

import pytest
import yaml

from components import catalog
from components.errors import (
    DistilabelOfflineBatchGenerationNotFinishedException,
    OfflineBatchNotFinished,
)
from components.llms.providers import PRESETS
from components.pipeline import Pipeline
from components.pipeline.checks import check
from components.pipeline.ledger import shared_ledger
from components.pipeline.spec import PipelineSpec
from components.steps import LoadDataFromDicts
from tests.documents import ROOT, attempts, blocks, execute, outcomes
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.hub_environment import point_clients_at
from tests.servers.hub_server import HubServer
from tests.servers.openai_server import OpenAIServer

CHAPTER = blocks("docs/models-and-tasks.md", "python")
ALONE, OFFLINE, WAITING, VECTORS, TASK, PARAMETERS, CUSTOM, CUSTOM_ASYNC, REGISTERED, SAVED, KEPT = CHAPTER
MADRID = "The capital of Spain is Madrid."
QUESTION = [{"role": "user", "content": "What's the capital of Spain?"}]


def madrid(_body):
    return MADRID


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for preset in PRESETS.values():
        for name in (preset.env_key, preset.env_base_url):
            monkeypatch.delenv(name, raising=False) if name else None
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STILLROOM_DATABASE", raising=False)
    yield
    shared_ledger().close()


@pytest.fixture
def openai(monkeypatch):
    """OpenAI, played on loopback."""
    with OpenAIServer(reply=madrid, keys=["sk-test"]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield server


@pytest.fixture
def batches(monkeypatch):
    """OpenAI with its batch API, played on loopback; a batch is done when it is asked about."""
    with OpenAIBatchServer(reply=madrid, polls_until_done=1) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield server


@pytest.fixture(scope="module", autouse=True)
def waiting(tmp_path_factory):
    """The block that waits for its batch, as a script of its own beside the other tests: it asks every 5 seconds."""
    home = tmp_path_factory.mktemp("waiting")
    with OpenAIBatchServer(reply=madrid, polls_until_done=1) as server:
        environment = {
            "STILLROOM_HOME": str(home),
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_API_KEY": "sk-test",
            "PYTHONPATH": str(ROOT),
        }
        show = (
            "from tests.documents import outcomes\nimport sys\n*_, last = outcomes(sys.stdin.read(), {})\nprint(last)"
        )
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        script = subprocess.Popen([sys.executable, "-c", show], env=environment, text=True, cwd=home, **pipes)
        script.stdin.write(WAITING)
        script.stdin.close()
        yield script
        script.kill()
        script.wait()


def test_a_model_on_its_own_answers(monkeypatch, tmp_path):
    with HubServer() as hub:
        point_clients_at(monkeypatch, hub, tmp_path)
        hub.behavior.reply = madrid
        *_, outputs = outcomes(ALONE, {})
    assert [output["generations"] for output in outputs] == [[MADRID]]
    assert [request.body["model"] for request in hub.requests] == ["meta-llama/Meta-Llama-3.1-70B-Instruct"]


def test_an_offline_batch_is_handed_in_and_collected(batches):
    namespace = {}
    loaded, before, handed_in, after, collected = attempts(OFFLINE, namespace)
    assert (loaded, before) == (None, None)
    assert type(handed_in) is OfflineBatchNotFinished
    assert isinstance(handed_in, DistilabelOfflineBatchGenerationNotFinishedException)
    assert str(handed_in) == f"Batch generation with jobs_ids={after} is not finished"
    assert [batch.id for batch in batches.batches] == list(after)
    assert [output["generations"] for output in collected] == [[MADRID]]


def test_vectors_are_there_at_once_and_overnight_by_a_batch(batches):
    loaded, vectors, loaded_again, handed_in, collected = attempts(VECTORS, {})
    assert (loaded, loaded_again) == (None, None)
    assert [len(vector) for vector in vectors] == [256, 256] and vectors[0] != vectors[1]
    assert type(handed_in) is OfflineBatchNotFinished
    assert handed_in.jobs_ids == tuple(batch.id for batch in batches.batches)
    assert collected == vectors


def test_a_task_on_its_own_answers(openai):
    *_, rows = outcomes(TASK, {})
    assert [(row["instruction"], row["generation"]) for row in rows] == [(QUESTION[0]["content"], MADRID)]


def test_a_run_takes_parameters(openai):
    pipeline = execute(PARAMETERS)["pipeline"]
    assert isinstance(pipeline, Pipeline)
    assert [request.body["temperature"] for request in openai.requests] == [0.3]


@pytest.mark.parametrize(("code", "name"), [(CUSTOM, "CustomLLM"), (CUSTOM_ASYNC, "CustomAsyncLLM")])
def test_a_sketch_of_a_model_of_ones_own_is_a_model(code, name):
    # The sketches use List without importing it, as the text above them says.
    llm = execute(code, List=typing.List)[name]()  # noqa: UP006
    llm.load()
    assert llm.model_name == "my-model"
    assert llm.get_last_hidden_states([QUESTION]) is None


def test_a_registered_model_is_found_by_its_name(monkeypatch):
    monkeypatch.setattr(catalog._catalog, "_registered", {})
    llm = execute(REGISTERED)["ShoutingLLM"](generation_kwargs={"mark": "?"})
    llm.load()
    assert catalog.get("ShoutingLLM") is type(llm)
    assert llm.generate_outputs([QUESTION], **llm.get_generation_kwargs())[0]["generations"] == [
        "WHAT'S THE CAPITAL OF SPAIN??"
    ]


def test_a_task_and_its_model_are_saved_and_read(openai, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = execute(SAVED)
    assert made["again"].dump() == made["task"].dump()
    assert made["model"].dump() == made["task"].llm.dump()


def test_a_step_keeps_files_with_its_run():
    with Pipeline(name="counted") as pipeline:
        LoadDataFromDicts(name="load", data=[{"a": 1}, {"a": 2}]) >> execute(KEPT)["Count"](name="count")
    assert (pipeline.run().artifacts_path / "count" / "count" / "rows.txt").read_text() == "2"


def test_a_batch_is_waited_for(waiting):
    told, noted = waiting.stdout.read(), waiting.stderr.read()
    assert waiting.wait(timeout=120) == 0, noted
    assert MADRID in told


def test_the_pipeline_of_the_chapter_on_pipelines_is_one():
    whole, *parts = [yaml.safe_load(block) for block in blocks("docs/pipelines.md", "yaml")]
    spec = PipelineSpec.from_document(whole)
    problems = [problem.message for problem in check(spec, asks_sources=False)]
    assert problems == []
    assert all(isinstance(part, dict) for part in parts)
    assert {"connections", "routing"} >= {key for part in parts[1:] for key in part}


def test_the_parts_of_pipelines_fit_into_a_pipeline():
    _, model, branches, routed = [yaml.safe_load(block) for block in blocks("docs/pipelines.md", "yaml")]
    assert catalog.build(model["llm"]).connection == "our-server"
    rehearsal = {"use": "RehearsalLLM"}
    names = {end for part in (branches, routed) for edge in part["connections"] for end in (edge["from"], *edge["to"])}
    steps = [{"use": "TextGeneration", "name": name, "llm": rehearsal} for name in sorted(names - {"instructions"})]
    steps = [
        {"use": "GroupColumns", "name": step["name"], "columns": ["generation"]}
        if step["name"] == "both_answers"
        else step
        for step in steps
    ]
    source = {"use": "LoadDataFromDicts", "name": "instructions", "data": [{"instruction": "one"}]}
    for part in (branches, routed):
        used = {end for edge in part["connections"] for end in (edge["from"], *edge["to"])}
        spec = PipelineSpec(steps=[source, *(step for step in steps if step["name"] in used)], **part)
        assert check(spec) == []


def test_a_saved_pipeline_takes_parameters(openai, tmp_path, monkeypatch):
    (code,) = blocks("docs/pipelines.md", "python")
    document = yaml.safe_load(blocks("docs/pipelines.md", "yaml")[0])
    (tmp_path / "tickets.csv").write_text("message\nWhere is my parcel?\n")
    (tmp_path / "label.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.chdir(tmp_path)
    openai.behavior.reply = lambda body: "delivery"
    *_, distiset = outcomes(code, {})
    assert distiset["default"]["train"]["labels"][:] == ["delivery"]
    assert openai.requests[0].body["temperature"] == 0.5


def test_the_pages_that_are_written_from_the_code_are_not_stale():
    command = [sys.executable, "-m", "scripts.write_docs", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_every_link_to_a_file_leads_somewhere(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\[[^\]]*\]\(([^)#]+)\)", text) if "://" not in target]
    assert [target for target in targets if not ((ROOT / path).parent / target).exists()] == []
