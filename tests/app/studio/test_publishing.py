import pytest

from components.errors import ConfigError, CredentialError, ProviderDown
from components.pipeline.artifacts import folder_of_run
from components.steps.artifacts import keep
from tests.app.pipelines import add_tickets, labeling
from tests.servers.hub_environment import point_clients_at
from tests.servers.hub_server import HubServer


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with HubServer() as running:
        point_clients_at(monkeypatch, running, tmp_path / "hub-home", token=None)
        yield running


@pytest.fixture
def labeled(studio, work):
    run_id = studio.runs.start(labeling(add_tickets(studio, 3)))
    work(run_id)
    studio.results.correct(run_id, "00000001", "labels", "unsure")
    return run_id


def test_results_are_published_private_with_card_pipeline_and_corrections(studio, labeled, hub, tmp_path):
    studio.connections.add("huggingface", "hf_tester")
    address = studio.publishing.push(labeled, "tester/tickets")
    assert address.endswith("/datasets/tester/tickets")
    repo = hub.repo("tester/tickets", "dataset")
    assert repo.private
    card = repo.read("README.md")
    assert "This is a rehearsal" in str(card) and "hf_tester" not in str(card)
    assert "TextClassification" in str(repo.read("stillroom.yaml"))
    from datasets import load_dataset

    rows = load_dataset("tester/tickets", token="hf_tester", cache_dir=str(tmp_path / "cache"))["train"]
    assert rows["labels"][1] == "unsure" and rows["labels_state"][1] == "unsure"
    assert rows["labels_model"][1] is not None


def test_nothing_is_told_of_this_machine_and_what_steps_kept_goes_along(studio, labeled, hub):
    studio.connections.add("huggingface", "hf_tester")
    keep(folder_of_run(studio.ledger, labeled), "label", "plot", lambda folder: (folder / "a.txt").write_text("drawn"))
    studio.publishing.push(labeled, "tester/tickets")
    repo = hub.repo("tester/tickets", "dataset")
    for name, blob in repo.files.items():
        assert str(studio.settings.home).encode() not in blob.data, name
    assert b"--data FILE" in repo.read("stillroom.yaml") and b"data_files: tickets.csv" in repo.read("stillroom.yaml")
    assert repo.read("artifacts/label/plot/a.txt") == b"drawn"


def test_what_steps_kept_goes_with_its_run(studio, labeled):
    folder = folder_of_run(studio.ledger, labeled)
    keep(folder, "label", "plot", lambda folder: None)
    assert folder.is_relative_to(studio.settings.home) and folder.exists()
    studio.runs.delete(labeled)
    assert not folder.exists()


def test_it_is_public_only_when_its_owner_says_so(studio, labeled, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_tester")
    studio.publishing.push(labeled, "tester/open", private=False)
    assert not hub.repo("tester/open", "dataset").private


def test_without_a_token_nothing_is_sent(studio, labeled, hub):
    with pytest.raises(CredentialError, match="HF_TOKEN"):
        studio.publishing.push(labeled, "tester/tickets")
    studio.connections.add("openai", "sk-canary-0123456789")
    with pytest.raises(ConfigError, match="not to Hugging Face"):
        studio.publishing.push(labeled, "tester/tickets", connection="openai")
    assert hub.requests == []


@pytest.mark.parametrize("token", ["hf_reader", "hf_nobody"])
def test_a_token_that_may_not_write_is_told_without_showing_it(studio, labeled, hub, token):
    studio.connections.add("huggingface", token)
    with pytest.raises(CredentialError) as error:
        studio.publishing.push(labeled, "tester/tickets")
    assert token not in str(error.value)


@pytest.mark.parametrize("name", ["tickets", "a/b/c", "../x", "a b/c", "", "-a/b"])
def test_a_name_that_cannot_be_one_is_told(studio, labeled, name):
    with pytest.raises(ConfigError, match="owner/name"):
        studio.publishing.push(labeled, name)


def test_a_hub_that_cannot_be_reached_is_told(studio, labeled, hub):
    studio.connections.add("huggingface", "hf_tester")
    hub.stop()
    with pytest.raises(ProviderDown, match="cannot be reached"):
        studio.publishing.push(labeled, "tester/tickets")
