"""Every pipeline that ships runs as it is: rehearsed on the command line and in the studio, and with a model."""

import pytest

from app.cli.rehearsal import rehearsal_of
from app.studio.pipelines import READY
from components.pipeline.running import models_of
from components.pipeline.spec import PipelineSpec
from components.states import RunState
from tests.app.command import ROOT, answer

KEYS = sorted(path.stem for path in READY.glob("*.yaml"))
NEEDED = [
    "answer-questions",
    "chat",
    "extract-fields",
    "label-rows",
    "label-rows-several",
    "preference-pairs",
]


@pytest.fixture(autouse=True)
def home(monkeypatch, settings):
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))


@pytest.fixture(params=KEYS)
def key(request):
    return request.param


def rows_in(spec):
    """How many rows a pipeline brings along."""
    return len(spec.steps[0]["data"])


def test_the_ready_pipelines_are_there():
    assert [key for key in NEEDED if key not in KEYS] == []
    assert READY == ROOT / "assets" / "pipelines"


def test_a_ready_pipeline_says_what_it_is_for(studio):
    for ready in studio.pipelines.ready():
        assert ready.name
        assert ready.description.endswith(".")
        assert len(ready.description) < 120


def test_a_ready_pipeline_can_have_a_cap(key):
    models = models_of(PipelineSpec.read(READY / f"{key}.yaml").build())
    assert models
    assert [model.model_name for model in models if model.price is None] == []


def test_a_ready_pipeline_is_rehearsed_on_the_command_line(key):
    path = READY / f"{key}.yaml"
    found = answer("rehearse", path, "--rows", 100)
    assert (found["state"], found["rehearsal"]) == ("done", True)
    assert found["rows_total"] == rows_in(PipelineSpec.read(path))
    assert {step["ok"] for step in found["steps"]} == {found["rows_total"]}


def test_a_ready_pipeline_is_rehearsed_in_the_studio(key, studio, work):
    draft = studio.pipelines.create_from_ready(key)
    assert draft.notes == []
    assert studio.checks.check(draft.spec) == []
    saved = studio.pipelines.save(draft.id, rehearsal_of(draft.spec), draft.revision)
    run_id = studio.runs.start(pipeline_id=saved.id)
    assert work(run_id) is RunState.DONE
    page = studio.results.page(run_id)
    assert page["total"] == rows_in(draft.spec)
    assert {row["state"] for row in page["rows"]} == {"ok"}


def test_a_ready_pipeline_runs_with_a_model(key, server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    if key == "preference-pairs":
        server.behavior.reply = both_rated
    found = answer("run", READY / f"{key}.yaml", "--cap", 5)
    assert (found["state"], found["errors"]) == ("done", [])


def both_rated(body):
    """A judgment of two answers, where one is asked for."""
    is_judge = body["model"] == "gpt-4o"
    return '{"ratings": [4, 2], "rationales": ["Clear.", "Vague."]}' if is_judge else "An answer."
