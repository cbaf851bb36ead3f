"""Connections of the app in scripts: the key is found by name, and goes where it belongs."""

import tomllib
from importlib import metadata

import pytest

from app.lending import connection
from components.errors import CredentialError
from components.llms import OpenAILLM
from components.pipeline import Pipeline
from components.pipeline.ledger import shared_ledger
from components.vault import LENDERS
from tests.app.command import ROOT
from tests.app.pipelines import asking, model

KEY = "sk-of-the-app"


@pytest.fixture(autouse=True)
def installed(monkeypatch, settings):
    """The app's entry point as pyproject.toml declares it, whatever was installed here."""
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))
    monkeypatch.delenv("STILLROOM_DATABASE", raising=False)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entries = [metadata.EntryPoint(name, value, LENDERS) for name, value in project["entry-points"][LENDERS].items()]
    found = metadata.entry_points
    monkeypatch.setattr(metadata, "entry_points", lambda **of: entries if of == {"group": LENDERS} else found(**of))
    yield
    shared_ledger().close()


def test_a_pipeline_with_a_connection_of_the_app_runs_as_a_script(studio, server, tmp_path):
    server.behavior.keys = [KEY]
    studio.connections.add("custom", KEY, name="mine", base_url=server.base_url)
    asking(["one", "two"], model(server, connection="mine")).save(tmp_path / "p.yaml")
    distiset = Pipeline.from_yaml(tmp_path / "p.yaml").run()
    assert distiset.state == "done"
    assert [request.key for request in server.requests] == [KEY, KEY]
    assert KEY not in (tmp_path / "p.yaml").read_text()


def test_a_model_of_a_script_borrows_a_connection_and_its_key_goes_nowhere_else(studio, server):
    studio.connections.add("custom", KEY, name="mine", base_url=server.base_url)
    assert OpenAILLM(model="m", connection="mine").endpoint.headers["Authorization"] == f"Bearer {KEY}"
    with pytest.raises(CredentialError, match="is not sent to"):
        OpenAILLM(model="m", connection="mine", base_url="https://llm.example.org/v1").load()


def test_where_no_app_was_used_there_is_none_and_nothing_is_made(settings):
    assert connection("mine") is None
    with pytest.raises(CredentialError, match="no connection named 'mine'"):
        OpenAILLM(model="m", connection="mine").load()
    assert not settings.home.exists()
