"""A pipeline that was made in the app runs on the command line and as a script, with the same answers."""

import io

import pytest

from components.pipeline import Pipeline
from components.pipeline.editing import set_field
from components.states import RunState
from tests.app.command import answer, stillroom
from tests.app.pipelines import LABELS, model, tickets


@pytest.fixture(autouse=True)
def home(monkeypatch, settings):
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))


@pytest.fixture
def made_in_the_app(studio, server, tmp_path):
    """What the Build page does for *Label rows*: a file, five labels and a model, saved and downloaded as YAML."""
    server.behavior.reply = lambda body: LABELS[str(body["messages"]).count("in") % len(LABELS)]
    dataset = studio.datasets.add(io.BytesIO(tickets(6)), "tickets.csv")
    draft = studio.pipelines.create("label_rows", dataset_id=dataset.id)
    spec = set_field(draft.spec, "label", ["available_labels"], LABELS)
    spec = set_field(spec, "label", ["llm"], model(server))
    spec = set_field(spec, "label", ["llm", "generation_kwargs", "temperature"], 0.2)
    saved = studio.pipelines.save(draft.id, spec, draft.revision)
    path = tmp_path / "labels.yaml"
    path.write_text(studio.pipelines.yaml(saved.id), encoding="utf-8")
    return saved, path


def labels_of(studio, run_id):
    return [row["values"]["labels"] for row in studio.results.page(run_id)["rows"]]


def test_the_same_pipeline_runs_in_the_app_on_the_command_line_and_as_a_script(made_in_the_app, studio, work, server):
    saved, path = made_in_the_app
    in_the_app = studio.runs.start(pipeline_id=saved.id)
    assert work(in_the_app) is RunState.DONE
    on_the_command_line = answer("run", path, "--no-cache")["id"]
    in_a_script = Pipeline.from_yaml(path).run(use_cache=False)
    answers = labels_of(studio, in_the_app)
    assert len(answers) == 6
    assert labels_of(studio, on_the_command_line) == answers
    assert in_a_script["default"]["train"]["labels"][:] == answers
    assert {request.body["temperature"] for request in server.requests} == {0.2}
    assert len(server.requests) == 18


def test_their_runs_stand_in_one_list_and_share_their_answers(made_in_the_app, studio, work, server):
    saved, path = made_in_the_app
    in_the_app = studio.runs.start(pipeline_id=saved.id)
    work(in_the_app)
    on_the_command_line = answer("run", path)["id"]
    in_a_script = Pipeline.from_yaml(path).run().run_id
    assert len(server.requests) == 6, "Answers that were paid for once are taken over."
    listed = stillroom("runs").stdout
    for run_id in (in_the_app, on_the_command_line, in_a_script):
        assert run_id[:10] in listed
    shown = {run["id"]: run["origin"] for run in studio.runs.recent()}
    assert shown == {in_the_app: "app", on_the_command_line: "cli", in_a_script: "script"}


def test_a_run_of_the_command_line_is_taken_up_again_in_the_app(made_in_the_app, studio, work, server, monkeypatch):
    _, path = made_in_the_app
    server.behavior.keys = ["sk-right"]
    run_id = answer("run", path)["id"]
    assert studio.runs.get(run_id).state == RunState.PAUSED
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    studio.runs.go_on(run_id)
    assert work(run_id) is RunState.DONE
    assert stillroom("show", run_id).stdout.count("6") >= 2
