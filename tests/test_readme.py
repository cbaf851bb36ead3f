"""What the README shows works as it stands there."""

import shlex

import pytest
import yaml

from components.llms.providers import PRESETS
from components.pipeline.ledger import shared_ledger
from tests.app.command import answer, stillroom
from tests.documents import ROOT, blocks, execute
from tests.servers.openai_server import OpenAIServer

SCRIPT, FROM_FILE = blocks("README.md", "python")
COMMANDS = [line for block in blocks("README.md", "sh") for line in block.splitlines() if line.startswith("stillroom ")]
OLD = {
    "pipeline": {
        "name": "old",
        "steps": [
            {
                "step": {
                    "name": "load",
                    "repo_id": "org/data",
                    "type_info": {"module": "distilabel.steps.generators.huggingface", "name": "LoadDataFromHub"},
                },
                "name": "load",
            }
        ],
        "connections": [],
    }
}


@pytest.fixture(autouse=True)
def desk(monkeypatch, tmp_path):
    """An empty folder to work in, with the samples of this checkout, and OpenAI played on loopback."""
    for preset in PRESETS.values():
        for name in (preset.env_key, preset.env_base_url):
            monkeypatch.delenv(name, raising=False) if name else None
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STILLROOM_DATABASE", raising=False)
    with OpenAIServer(reply=lambda body: '{"labels": "billing"}', keys=["sk-test"]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield tmp_path
    shared_ledger().close()


def test_the_python_example_labels_its_rows_and_saves_the_pipeline(desk, capsys):
    execute(SCRIPT)
    assert capsys.readouterr().out == "billing I was charged twice.\nbilling Where is my parcel?\n"
    assert (desk / "tickets.yaml").exists()


def test_what_was_saved_runs_from_its_file(desk):
    first = execute(SCRIPT)["distiset"]
    again = execute(FROM_FILE)["distiset"]
    assert again["default"]["train"]["labels"][:] == first["default"]["train"]["labels"][:]


def test_every_command_of_the_readme_is_known_and_every_command_stands_in_it():
    from app.cli import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name or group.typer_instance.info.name for group in app.registered_groups}
    assert {line.split()[1] for line in COMMANDS} == known


def test_the_commands_of_the_readme_work_one_after_the_other(desk):
    execute(SCRIPT)
    (desk / "old-pipeline.yaml").write_text(yaml.safe_dump(OLD))
    run_id = ""
    for line in COMMANDS:
        words = shlex.split(line)[1:]
        if words[0] in ("serve", "stop", "continue", "retry"):
            continue
        done = stillroom(*(run_id if word == "RUN" else word for word in words))
        assert done.exit_code == 0, f"{line}: {done.output}"
        if words[0] == "run":
            run_id = answer("runs")["runs"][0]["id"]
    assert len((desk / "labeled.csv").read_text().splitlines()) > 20
    assert (desk / "labeled.parquet").exists()
    assert (desk / "new-pipeline.yaml").exists()


@pytest.mark.parametrize("name", ["stop", "continue", "retry"])
def test_commands_of_the_readme_that_have_nothing_to_do_say_so(desk, name):
    (line,) = [line for line in COMMANDS if line.split()[1] == name]
    execute(SCRIPT)
    run_id = answer("runs")["runs"][0]["id"]
    done = stillroom(*(run_id if word == "RUN" else word for word in shlex.split(line)[1:]))
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1


def test_the_commands_of_the_chapter_on_pipelines_work(desk):
    (desk / "tickets.csv").write_text("message\nWhere is my parcel?\n")
    (desk / "label.yaml").write_text(blocks("docs/pipelines.md", "yaml")[0])
    for block in blocks("docs/pipelines.md", "sh"):
        for line in block.splitlines():
            done = stillroom(*shlex.split(line)[1:])
            # A run whose batch is out rests before its end.
            assert done.exit_code == int("--overnight" in line), f"{line}: {done.output}"


def test_the_front_matter_is_that_of_a_space():
    front = yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert front == {
        "title": "Stillroom",
        "colorFrom": "gray",
        "colorTo": "green",
        "sdk": "docker",
        "app_port": 7860,
        "pinned": False,
        "license": "apache-2.0",
        "short_description": front["short_description"],
    }
    assert len(front["short_description"]) <= 60
