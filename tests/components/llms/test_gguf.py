import pytest

from components.errors import ConfigError, CredentialError, ProviderDown, UnknownModel
from components.llms.gguf import checked_gguf, fetch_gguf, gguf_files
from tests.servers.hub_environment import point_clients_at
from tests.servers.hub_server import HubServer

BODY = b"GGUF" + bytes(50_000)
REPO = "org/tiny-GGUF"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with HubServer() as running:
        point_clients_at(monkeypatch, running, tmp_path)
        files = {"tiny-Q4_K_M.gguf": BODY, "tiny-Q8_0.gguf": BODY + b"x", "README.md": "a model"}
        files |= {f"big-{n:05}-of-00002.gguf": BODY for n in (1, 2)}
        running.add(REPO, files=files)
        yield running


def downloads(hub):
    return [one.path.split("?")[0] for one in hub.requests if one.method == "GET" and "/cdn/" in one.path]


def test_a_model_file_is_fetched_once_and_kept(hub):
    path = fetch_gguf(REPO, "tiny-Q8_0.gguf")
    assert path.read_bytes() == BODY + b"x"
    assert len(downloads(hub)) == 1
    assert fetch_gguf(REPO, "tiny-Q8_0.gguf") == path
    assert len(downloads(hub)) == 1


def test_a_star_stands_for_the_one_file_that_fits(hub):
    assert fetch_gguf(REPO, "*Q4_K_M.gguf").name == "tiny-Q4_K_M.gguf"
    with pytest.raises(ConfigError, match="more than one file fits 'tiny"):
        fetch_gguf(REPO, "tiny*.gguf")
    with pytest.raises(ConfigError, match=r"no file fits '\*Q2.gguf'. Its model files: .*tiny-Q8_0.gguf"):
        fetch_gguf(REPO, "*Q2.gguf")


@pytest.mark.parametrize("name", ["big-00001-of-00002.gguf", "big-*.gguf"])
def test_a_model_in_parts_is_fetched_whole_and_opened_at_its_first(hub, name):
    path = fetch_gguf(REPO, name)
    assert path.name == "big-00001-of-00002.gguf"
    assert path.with_name("big-00002-of-00002.gguf").exists()


def test_progress_is_told_from_nothing_to_all(hub):
    told = []
    fetch_gguf(REPO, "big-*.gguf", on_progress=lambda done, total: told.append((done, total)))
    assert {total for _, total in told} == {2 * len(BODY)}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (2 * len(BODY), 2 * len(BODY))


def test_a_repository_says_which_models_it_has(hub):
    assert gguf_files(REPO)["tiny-Q4_K_M.gguf"] == len(BODY)
    assert "README.md" not in gguf_files(REPO)


def test_what_is_not_there_is_told(hub):
    with pytest.raises(UnknownModel, match="no 'org/absent'"):
        fetch_gguf("org/absent", "a.gguf")
    with pytest.raises(UnknownModel, match="no such file"):
        fetch_gguf(REPO, "absent.gguf")
    with pytest.raises(ConfigError, match="no name of a model"):
        fetch_gguf("a/b/c", "a.gguf")


def test_a_gated_model_says_where_to_ask(hub):
    hub.add("org/gated", files={"a.gguf": BODY}, gated=True)
    with pytest.raises(CredentialError, match="gated"):
        fetch_gguf("org/gated", "a.gguf", token="hf_stranger")


def test_a_hub_that_cannot_be_reached_is_told(monkeypatch, tmp_path):
    with HubServer() as gone:
        point_clients_at(monkeypatch, gone, tmp_path)
    with pytest.raises(ProviderDown, match="cannot be reached"):
        gguf_files(REPO)


def test_a_file_that_is_no_model_is_told(tmp_path):
    (tmp_path / "notes.gguf").write_text("hello")
    with pytest.raises(ConfigError, match="no GGUF model"):
        checked_gguf(tmp_path / "notes.gguf")
    with pytest.raises(ConfigError, match="No such file"):
        checked_gguf(tmp_path / "absent.gguf")
    with pytest.raises(ConfigError, match="Is a directory"):
        checked_gguf(tmp_path)
