import pytest
from pydantic import SecretStr

from components.vault import BoundVault, Connection, FileVault, ScriptVault, current_vault, is_loopback, lend, origin

KEY = "sk-canary-7d6c5b4a"
HOME = "https://api.openai.com/v1"


@pytest.fixture(autouse=True)
def key_in_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")


def test_a_script_sends_its_key_where_it_says():
    for url in (HOME, "https://llm.example.org/v1", "http://localhost:8000"):
        assert ScriptVault().environment_key("OPENAI_API_KEY", url, HOME).get_secret_value() == KEY


def test_a_variable_that_is_not_set_is_no_key(monkeypatch):
    monkeypatch.setenv("EMPTY", "")
    assert ScriptVault().environment_key("EMPTY", HOME, HOME) is None
    assert ScriptVault().environment_key("ABSENT_KEY", HOME, HOME) is None


@pytest.mark.parametrize(
    "url",
    [
        HOME,
        "https://API.openai.com/v2",
        "https://api.openai.com:443/v1",
        "http://127.0.0.1:1",
        "http://localhost",
        "http://[::1]:8000/v1",
    ],
)
def test_the_app_sends_a_key_to_its_own_provider_and_to_this_machine(url):
    assert BoundVault().environment_key("OPENAI_API_KEY", url, HOME) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://api.openai.com/v1",
        "https://api.openai.com:444/v1",
        "https://api.openai.com.evil.org/v1",
        "https://evil.org/api.openai.com",
        "https://api.openai.com@evil.org/v1",
        "https://localhost.evil.org",
        "https://127.0.0.1.nip.io",
        "https://127.1",
        "https://0.0.0.0",
        "",
        "api.openai.com",
    ],
)
@pytest.mark.parametrize("vault", [BoundVault, FileVault])
def test_the_app_and_a_file_send_a_key_nowhere_else(url, vault):
    assert vault().environment_key("OPENAI_API_KEY", url, HOME) is None


def test_a_connection_is_found_by_its_name():
    made = Connection("work", "openai", key=SecretStr(KEY))
    assert BoundVault({"work": made}).connection("work") is made
    assert BoundVault().connection("work") is None
    assert ScriptVault().connection("work") is None
    assert KEY not in repr(made)


def test_a_vault_is_lent_for_a_block_only():
    before = current_vault()
    vault = BoundVault()
    with lend(vault):
        assert current_vault() is vault
    assert current_vault() is before


def test_a_vault_is_not_seen_by_others_who_work_at_the_same_time():
    import asyncio

    async def one(vault):
        with lend(vault):
            await asyncio.sleep(0)
            return current_vault() is vault

    async def both():
        return await asyncio.gather(one(BoundVault()), one(BoundVault()))

    assert asyncio.run(both()) == [True, True]


def test_an_origin_is_scheme_host_and_port():
    assert origin("https://Example.org/a") == origin("https://example.org:443/b") == ("https", "example.org", 443)
    assert origin("http://example.org") != origin("https://example.org")


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://localhost:1/v1", True),
        ("http://[::1]", True),
        ("https://example.org", False),
        ("http://localhosts", False),
    ],
)
def test_this_machine_is_known_by_its_names(url, is_here):
    assert is_loopback(url) is is_here
