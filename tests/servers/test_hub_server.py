import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset
from huggingface_hub import DatasetCard, HfApi, HfFileSystem, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.servers.hub_environment import point_clients_at
from tests.servers.hub_server import HubServer
from tests.servers.process import ROOT


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with HubServer() as running:
        point_clients_at(monkeypatch, running, tmp_path / "home")
        yield running


def api_of(hub, token="hf_tester"):
    return HfApi(endpoint=hub.origin, token=token)


def test_a_token_says_who_one_is(hub):
    assert api_of(hub).whoami()["name"] == "tester"
    with pytest.raises(HfHubHTTPError) as refused:
        api_of(hub, "hf_wrong").whoami()
    assert refused.value.response.status_code == 401


def test_private_is_kept_and_a_second_create_is_refused(hub):
    api = api_of(hub)
    assert api.create_repo("tester/mine", repo_type="dataset", private=True).repo_id == "tester/mine"
    assert hub.repo("tester/mine", "dataset").private
    api.create_repo("tester/mine", repo_type="dataset", exist_ok=True)
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_repo("tester/mine", repo_type="dataset")
    assert refused.value.response.status_code == 409
    api.update_repo_settings("tester/mine", repo_type="dataset", private=False)
    assert not hub.repo("tester/mine", "dataset").private


@pytest.mark.parametrize(("token", "repo"), [("hf_reader", "tester/mine"), ("hf_tester", "someone-else/mine")])
def test_writing_needs_the_right_token_and_namespace(hub, token, repo):
    with pytest.raises(HfHubHTTPError) as refused:
        api_of(hub, token).create_repo(repo, repo_type="dataset")
    assert refused.value.response.status_code == 403
    assert hub.store.repos == {}


def test_files_and_folders_go_up_and_come_down(hub, tmp_path):
    api = api_of(hub)
    api.create_repo("team/data", repo_type="dataset")
    large = os.urandom(1_200_000)
    (tmp_path / "up" / "sub").mkdir(parents=True)
    (tmp_path / "up" / "a.txt").write_text("small")
    (tmp_path / "up" / "sub" / "b.dat").write_bytes(large)
    api.upload_folder(repo_id="team/data", repo_type="dataset", folder_path=tmp_path / "up")
    commit = api.upload_file(
        repo_id="team/data", repo_type="dataset", path_or_fileobj=b"x: 1\n", path_in_repo="stillroom.yaml"
    )
    repo = hub.repo("team/data", "dataset")
    assert (repo.head.sha, repo.head.title) == (commit.oid, "Upload stillroom.yaml with huggingface_hub")
    assert repo.files["sub/b.dat"].lfs and not repo.files["a.txt"].lfs
    assert set(api.list_repo_files("team/data", repo_type="dataset")) == {"a.txt", "sub/b.dat", "stillroom.yaml"}
    down = Path(snapshot_download("team/data", repo_type="dataset"))
    assert hashlib.sha256((down / "sub/b.dat").read_bytes()).digest() == hashlib.sha256(large).digest()
    api.delete_file("a.txt", "team/data", repo_type="dataset")
    assert "a.txt" not in hub.repo("team/data", "dataset").files


def test_a_stale_parent_commit_is_refused(hub):
    api = api_of(hub)
    api.create_repo("tester/mine", repo_type="dataset")
    first = hub.repo("tester/mine", "dataset").head.sha
    settings = {"repo_id": "tester/mine", "repo_type": "dataset", "path_in_repo": "a.txt", "parent_commit": first}
    api.upload_file(path_or_fileobj=b"1", **settings)
    with pytest.raises(HfHubHTTPError) as refused:
        api.upload_file(path_or_fileobj=b"2", **settings)
    assert refused.value.response.status_code == 412


def test_a_gguf_is_downloaded_from_a_model_repo(hub, tmp_path):
    hub.add("org/tiny", files={"tiny-q8.gguf": b"GGUF" + b"\0" * 4096, "README.md": "---\nlicense: mit\n---\nTiny."})
    path = hf_hub_download("org/tiny", "tiny-q8.gguf", local_dir=tmp_path)
    assert Path(path).read_bytes() == b"GGUF" + b"\0" * 4096
    assert api_of(hub).model_info("org/tiny").card_data.license == "mit"
    assert [model.id for model in api_of(hub).list_models(search="tiny")] == ["org/tiny"]


def test_what_cannot_be_read_is_told_apart(hub):
    hub.add("org/gated", files={"a.gguf": b"1"}, gated=True)
    hub.add("org/secret", files={"a.gguf": b"1"}, private=True)
    hub.add("org/open", files={"a.gguf": b"1"})
    with pytest.raises(GatedRepoError):
        hf_hub_download("org/gated", "a.gguf")
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("org/secret", "a.gguf")
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("org/absent", "a.gguf")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("org/open", "b.gguf")
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download("org/open", "a.gguf", revision="v9")


def test_a_dataset_with_card_goes_to_the_hub_and_back(hub):
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "label": ["x", None, "z"]})
    rows.push_to_hub("tester/mine", private=True, split="train")
    rows.push_to_hub("tester/mine", config_name="second", num_shards=2)
    card = DatasetCard.load("tester/mine")
    card.text += "\nMade by a test."
    card.push_to_hub("tester/mine")
    repo = hub.repo("tester/mine", "dataset")
    assert repo.private and "Made by a test." in repo.read("README.md").decode()
    assert {config["config_name"] for config in repo.card_data()["configs"]} == {"default", "second"}
    for config in ("default", "second"):
        assert load_dataset("tester/mine", config, split="train").to_dict() == rows.to_dict()
    assert [row["text"] for row in load_dataset("tester/mine", split="train", streaming=True)] == ["a", "b", "c"]
    with pytest.raises(Exception, match="tester/mine"):
        load_dataset("tester/mine", token="hf_stranger")


def test_plain_files_load_as_a_dataset(hub):
    hub.add(
        "org/tickets",
        "dataset",
        files={"data/train.csv": "text,label\nhello,bug\n", "data/test.csv": "text,label\nbye,ok\n"},
    )
    loaded = load_dataset("org/tickets")
    assert {name: part.num_rows for name, part in loaded.items()} == {"train": 1, "test": 1}
    assert HfFileSystem(endpoint=hub.origin).ls("datasets/org/tickets/data", detail=False) == [
        "datasets/org/tickets/data/test.csv",
        "datasets/org/tickets/data/train.csv",
    ]


def test_another_process_needs_only_the_environment(hub, tmp_path):
    script = (
        "import huggingface_hub as h; print(h.whoami()['name'], h.create_repo('tester/x', repo_type='dataset').url)"
    )
    environment = {**os.environ, **hub.environment(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["tester", f"{hub.origin}/datasets/tester/x"], done.stderr
    created = next(request for request in hub.requests if request.path == "/api/repos/create")
    assert (created.key, created.status) == ("hf_tester", 200)
