import stat

import pytest

from app.settings import Settings
from app.studio import NotFound, Studio
from components.errors import ConfigError
from components.llms.providers import PRESETS
from components.pipeline.ledger import Ledger

KEY = "sk-canary-0123456789abcdef"


def lent(studio, name):
    return studio.connections.vault().connection(name)


def test_a_stored_key_is_lent_to_runs_and_never_shown(studio):
    info = studio.connections.add("openai", KEY)
    assert (info.name, info.state, info.key_hint) == ("openai", "key_set", "cdef")
    assert KEY not in repr(info) and KEY not in repr(studio.connections.list())
    connection = lent(studio, "openai")
    assert connection.key.get_secret_value() == KEY
    assert connection.base_url == "https://api.openai.com/v1"
    assert KEY not in repr(connection)


def test_the_database_never_holds_the_key_in_clear(studio, settings):
    studio.connections.add("openai", KEY)
    studio.ledger.close()
    for path in (path for path in settings.home.rglob("*") if path.is_file()):
        assert KEY.encode() not in path.read_bytes()


def test_the_key_file_is_the_owners_alone(studio, settings):
    studio.connections.add("openai", KEY)
    assert stat.S_IMODE((settings.home / "secret.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700


def test_no_key_file_is_made_before_there_is_a_key(studio, settings):
    studio.connections.list()
    assert not (settings.home / "secret.key").exists()


def test_another_process_reads_the_same_keys(studio, settings):
    studio.connections.add("openai", KEY)
    other = Studio(settings, Ledger(settings.database_url))
    assert lent(other, "openai").key.get_secret_value() == KEY
    other.ledger.close()


def test_keys_kept_in_memory_are_gone_with_the_process(tmp_path):
    settings = Settings(home=tmp_path, keys="memory")
    studio = Studio(settings, Ledger(settings.database_url))
    studio.connections.add("openai", KEY)
    assert lent(studio, "openai").key.get_secret_value() == KEY
    assert not (tmp_path / "secret.key").exists()
    studio.ledger.close()
    later = Studio(settings, Ledger(settings.database_url))
    assert [info.state for info in later.connections.list()] == ["key_missing"]
    assert lent(later, "openai").key is None
    later.ledger.close()


@pytest.mark.parametrize("content", [None, b"not a key file"])
def test_with_the_key_file_lost_the_key_has_to_be_entered_again(studio, settings, content):
    info = studio.connections.add("openai", KEY)
    path = settings.home / "secret.key"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    later = Studio(settings, Ledger(settings.database_url))
    if content is None:
        assert later.connections.get(info.id).state == "key_missing"
        later.connections.set_key(info.id, KEY)
        assert later.connections.get(info.id).state == "key_set"
    else:
        with pytest.raises(ConfigError, match="not a key file"):
            later.connections.list()
    later.ledger.close()


def test_a_key_is_replaced_and_forgotten(studio):
    info = studio.connections.add("openai", KEY)
    studio.connections.set_key(info.id, "sk-another-key-of-mine-9999")
    assert lent(studio, "openai").key.get_secret_value() == "sk-another-key-of-mine-9999"
    studio.connections.remove(info.id)
    assert lent(studio, "openai") is None
    with pytest.raises(NotFound):
        studio.connections.remove(info.id)


def test_of_a_short_key_nothing_is_shown(studio):
    assert studio.connections.add("openai", "sk-short").key_hint == ""


def test_names_are_given_and_unique(studio):
    first, second = studio.connections.add("openai", KEY), studio.connections.add("openai", KEY)
    assert (first.name, second.name) == ("openai", "openai_2")
    with pytest.raises(ConfigError, match="there already"):
        studio.connections.add("groq", KEY, name="openai")
    assert studio.connections.named("openai_2").id == second.id
    with pytest.raises(ConfigError, match="Did you mean 'openai"):
        studio.connections.named("openay")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("opennai", KEY), "Did you mean 'openai'"),
        (("custom", KEY), "needs the address"),
        (("openai", "two words"), "not a key"),
        (("openai", "sk-ключ-0123456789"), "not a key"),
        (("openai", KEY, "ftp://x"), "address"),
        (("openai", KEY, "https://user:pass@host/v1"), "password"),
    ],
)
def test_what_cannot_be_a_connection_is_refused(studio, arguments, words):
    provider, key, *address = arguments
    with pytest.raises(ConfigError, match=words) as error:
        studio.connections.add(provider, key, base_url="".join(address))
    assert key not in str(error.value)
    assert studio.connections.list() == []


def test_a_key_in_the_environment_is_offered_by_name(studio, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    info = studio.connections.add("openai", from_environment=True)
    assert (info.state, info.variable) == ("from_environment", "OPENAI_API_KEY")
    assert lent(studio, "openai").key.get_secret_value() == KEY
    monkeypatch.delenv("OPENAI_API_KEY")
    assert studio.connections.get(info.id).state == "key_missing"


def test_a_key_of_the_environment_is_not_bound_to_another_address(studio, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigError, match="is not sent to"):
        studio.connections.add("openai", base_url="https://evil.example/v1", from_environment=True)


def test_a_model_that_names_no_connection_finds_the_stored_key_of_its_provider(studio):
    studio.connections.add("groq", KEY)
    vault, groq = studio.connections.vault(), PRESETS["groq"]
    found = vault.environment_key(groq.env_key, groq.base_url, groq.base_url)
    assert found.get_secret_value() == KEY
    assert vault.environment_key(groq.env_key, "https://evil.example/v1", groq.base_url) is None
    assert vault.environment_key("OPENAI_API_KEY", groq.base_url, groq.base_url) is None


def test_a_server_on_this_machine_needs_no_key(studio):
    info = studio.connections.add("custom", base_url="http://127.0.0.1:9999/v1")
    assert info.state == "no_key_needed"


def test_whoever_waits_for_a_key_is_told_of_each_change(studio):
    told = []
    studio.connections.on_change = lambda: told.append(1)
    info = studio.connections.add("openai", KEY)
    studio.connections.set_key(info.id, KEY)
    studio.connections.remove(info.id)
    assert len(told) == 3


def test_an_address_without_a_key_is_remembered_once(studio):
    first = studio.connections.add("custom", base_url="http://127.0.0.1:9000/v1")
    again = studio.connections.add("custom", base_url="http://127.0.0.1:9000/v1/")
    assert again.id == first.id and len(studio.connections.list()) == 1
    keyed = studio.connections.add("custom", KEY, base_url="http://127.0.0.1:9000/v1")
    assert keyed.id != first.id
    named = studio.connections.add("custom", name="mine", base_url="http://127.0.0.1:9000/v1")
    assert named.name == "mine" and len(studio.connections.list()) == 3
    assert studio.connections.add("custom", base_url="http://127.0.0.1:9001/v1").id not in (first.id, keyed.id)
