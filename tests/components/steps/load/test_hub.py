"""LoadDataFromHub: datasets of a Hub on loopback, read by the real clients."""

import pytest

from components.errors import ConfigError, DataFileError, StillroomError
from components.pipeline import Pipeline
from components.pipeline.ledger import shared_ledger
from components.steps import KeepColumns, LoadDataFromHub
from tests.servers.hub_environment import point_clients_at
from tests.servers.hub_server import HubServer

CSV = "text,n\n" + "".join(f"t{n},{n}\n" for n in range(7))
CONFIGS = "---\nconfigs:\n- config_name: one\n  data_files: one.csv\n- config_name: two\n  data_files: two.csv\n---\n"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with HubServer() as server:
        point_clients_at(monkeypatch, server, tmp_path / "home")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "stillroom"))
        server.add("org/tickets", kind="dataset", files={"data/train.csv": CSV, "data/test.csv": CSV[:12]})
        server.add("org/configs", kind="dataset", files={"README.md": CONFIGS, "one.csv": CSV, "two.csv": "x\n1\n"})
        server.add("org/gated", kind="dataset", gated=True, files={"a.csv": CSV})
        server.add("org/empty", kind="dataset", files={"README.md": "Nothing here."})
        server.add("org/script", kind="dataset", files={"script.py": "raise SystemExit"})
        yield server


def texts(source, offset=0):
    return [row["text"] for rows in source.batches(offset) for row in rows]


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_and_columns_come_from_the_hub(hub, streaming):
    source = LoadDataFromHub(repo_id="org/tickets", streaming=streaming, batch_size=3)
    assert source.get_outputs() == {"text": True, "n": True}
    for offset in (0, 2, 3, 7, 8):
        assert texts(source, offset) == [f"t{n}" for n in range(7)][offset:]


@pytest.mark.parametrize("streaming", [False, True])
def test_only_the_first_rows_can_be_read(hub, streaming):
    source = LoadDataFromHub(repo_id="org/tickets", streaming=streaming, num_examples=3)
    assert texts(source) == ["t0", "t1", "t2"]
    assert texts(source, 2) == ["t2"]
    assert texts(source, 4) == []


def test_a_split_or_a_piece_of_one_can_be_chosen(hub):
    assert texts(LoadDataFromHub(repo_id="org/tickets", split="test")) == ["t0"]
    assert texts(LoadDataFromHub(repo_id="org/tickets", split="train[2:4]")) == ["t2", "t3"]
    assert len(texts(LoadDataFromHub(repo_id="org/tickets", split="train+test"))) == 8
    assert LoadDataFromHub(repo_id="org/tickets", split="train[:10%]").outputs == ["text", "n"]
    with pytest.raises(ConfigError, match="cannot be streamed"):
        texts(LoadDataFromHub(repo_id="org/tickets", split="train[2:4]", streaming=True))


def test_a_configuration_can_be_chosen(hub):
    assert LoadDataFromHub(repo_id="org/configs", config="two").outputs == ["x"]


def test_columns_are_asked_for_once_and_again_when_a_parameter_changes(hub):
    source = LoadDataFromHub(repo_id="org/configs", config="one")
    assert source.outputs == ["text", "n"]
    before = len(hub.requests)
    assert source.outputs == ["text", "n"]
    assert len(hub.requests) == before
    source.set_runtime_parameters({"config": "two"})
    assert source.outputs == ["x"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"repo_id": "org/nothing"}, "no dataset org/nothing .* or it is private"),
        ({"repo_id": "org/gated"}, "is gated. Ask for access at"),
        ({"repo_id": "org/empty"}, "no files that can be read"),
        ({"repo_id": "org/script"}, "such scripts are not run"),
        ({"repo_id": "org/tickets", "split": "trian"}, r"no split 'trian'.*one of: train, test\. Did you mean 'train'"),
        ({"repo_id": "org/tickets", "revision": "v9"}, "Revision 'v9'"),
        ({"repo_id": "org/configs"}, "several configurations. Set config to one of: one, two"),
        ({"repo_id": "org/configs", "config": "tow"}, r"no configuration 'tow'.*Did you mean 'two'"),
        ({}, "repo_id"),
    ],
)
@pytest.mark.parametrize("ask", ["outputs", "batches", "fingerprint"])
def test_what_cannot_be_read_says_why(hub, fields, message, ask):
    source = LoadDataFromHub(**fields)
    with pytest.raises(StillroomError, match=message):
        {"outputs": lambda: source.outputs, "batches": lambda: list(source.batches())}.get(ask, source.fingerprint)()


@pytest.mark.parametrize(
    "repo_id", ["../../etc", "/etc/passwd", "a/b/c", "https://example.com/x", "", "org/..", "org/ x"]
)
def test_only_a_name_on_the_hub_is_a_name(repo_id):
    with pytest.raises(ConfigError):
        LoadDataFromHub(repo_id=repo_id).get_outputs()


def test_a_folder_of_that_name_is_not_taken_for_the_dataset(hub, tmp_path):
    (tmp_path / "org" / "tickets").mkdir(parents=True)
    with pytest.raises(ConfigError, match="is a folder on this machine"):
        LoadDataFromHub(repo_id="org/tickets").get_outputs()


def test_a_hub_that_cannot_be_reached_is_a_plain_error(hub):
    source = LoadDataFromHub(repo_id="org/tickets")
    hub.stop()
    with pytest.raises(DataFileError, match="could not be asked"):
        source.get_outputs()


def test_a_refused_token_is_a_plain_error(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(StillroomError, match="HF_TOKEN"):
        LoadDataFromHub(repo_id="org/tickets").get_outputs()


def test_the_fingerprint_is_the_state_of_the_dataset(hub):
    source = LoadDataFromHub(repo_id="org/tickets")
    first = source.fingerprint()
    assert first == source.fingerprint() == hub.repo("org/tickets", "dataset").head.sha


def test_storage_options_are_never_saved(hub):
    source = LoadDataFromHub(repo_id="org/tickets", storage_options={"token": "canary"})
    assert "canary" not in str(source.dump())
    assert source.signature() == LoadDataFromHub(repo_id="org/tickets").signature()


def test_a_pipeline_begins_with_a_dataset_and_is_built_without_asking_for_it(hub):
    with Pipeline(name="begin") as pipeline:
        load = LoadDataFromHub(name="load", repo_id="org/tickets", num_examples=2)
        load >> KeepColumns(name="keep", columns=["text"])
    assert not hub.requests
    assert pipeline.run()["default"]["train"]["text"][:] == ["t0", "t1"]
    shared_ledger().close()
