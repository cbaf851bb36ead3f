import pytest
from pydantic import SecretStr

from components.errors import ConfigError, CredentialError
from components.llms import AzureOpenAILLM, GroqLLM, OpenAILLM
from components.llms.endpoint import SecretHeaders, checked_base_url, checked_headers
from components.vault import BoundVault, Connection, lend
from tests.components.llms.conftest import KEY

OPENAI = "https://api.openai.com/v1"
GROQ = "https://api.groq.com/openai/v1"
LOCAL = "http://127.0.0.1:5555/v1"


def key_sent(llm):
    sent = llm.endpoint.headers
    return sent.get("Authorization", "").removeprefix("Bearer ") or sent.get("api-key", "")


def test_a_key_of_its_own_comes_first(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from-env")
    assert key_sent(OpenAILLM(model="m", api_key="its-own")) == "its-own"


def test_a_connection_lends_its_key_and_its_address():
    vault = BoundVault({"work": Connection("work", "groq", None, SecretStr(KEY))})
    with lend(vault):
        llm = OpenAILLM(model="m", connection="work")
        assert key_sent(llm) == KEY
        assert llm.endpoint.site.url == GROQ
        assert llm.site.preset.id == "groq"


def test_a_connections_key_goes_nowhere_but_to_its_own_address():
    vault = BoundVault({"work": Connection("work", "openai", None, SecretStr(KEY))})
    with lend(vault), pytest.raises(CredentialError, match=r"belongs to https://api\.openai\.com"):
        OpenAILLM(model="m", connection="work", base_url="https://llm.example.org/v1").load()


def test_a_connection_that_is_not_there_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path))
    with pytest.raises(CredentialError, match="no connection named 'work'"):
        OpenAILLM(model="m", connection="work").load()


def test_the_key_of_the_environment_is_found_by_the_providers_name(monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    assert key_sent(GroqLLM(model="m")) == KEY
    assert key_sent(OpenAILLM(model="m", base_url=GROQ)) == KEY


def test_a_providers_key_is_not_sent_to_another_known_provider(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(CredentialError, match="GROQ_API_KEY"):
        OpenAILLM(model="m", base_url=GROQ).load()


def test_in_a_script_the_key_goes_where_the_script_says(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert key_sent(OpenAILLM(model="m", base_url="https://llm.example.org/v1")) == KEY


@pytest.mark.parametrize(
    "url",
    [
        "https://llm.example.org/v1",
        "https://api.openai.com.evil.example/v1",
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://evil.example/api.openai.com",
    ],
)
def test_in_the_app_a_key_of_the_environment_goes_to_its_provider_only(monkeypatch, url):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with lend(BoundVault()), pytest.raises(CredentialError, match="OPENAI_API_KEY is not sent to"):
        OpenAILLM(model="m", base_url=url).load()


def test_in_the_app_a_key_of_the_environment_goes_to_the_operators_own_address(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://proxy.example.org/v1")
    with lend(BoundVault()):
        assert key_sent(OpenAILLM(model="m")) == KEY
        with pytest.raises(CredentialError):
            OpenAILLM(model="m", base_url="https://elsewhere.example.org/v1").load()


def test_a_server_on_this_machine_needs_no_key():
    assert key_sent(OpenAILLM(model="m", base_url=LOCAL)) == ""


def test_a_local_server_of_a_known_kind_is_sent_no_key_of_a_provider(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert key_sent(OpenAILLM(model="m", base_url="http://localhost:11434/v1")) == ""


def test_without_a_key_the_message_says_where_to_put_one():
    with pytest.raises(CredentialError) as caught:
        OpenAILLM(model="m").load()
    assert "Set OPENAI_API_KEY" in str(caught.value)
    assert "https://platform.openai.com/api-keys" in str(caught.value)
    with pytest.raises(CredentialError, match="If it needs none, give any word"):
        OpenAILLM(model="m", base_url="https://llm.example.org/v1").load()


@pytest.mark.parametrize("key", ["two words", "new\nline", "tab\there", "clé"])
def test_a_key_that_cannot_be_one_is_told_without_being_shown(key):
    with pytest.raises(CredentialError, match="Copy it again") as caught:
        OpenAILLM(model="m", api_key=key).load()
    assert key not in str(caught.value)


def test_a_key_with_spaces_around_it_is_taken():
    assert key_sent(OpenAILLM(model="m", api_key=f" {KEY}\n")) == KEY


def test_azure_has_a_header_of_its_own_and_says_that_it_needs_an_address():
    assert AzureOpenAILLM(model="m", base_url="https://x.openai.azure.com", api_key=KEY).endpoint.headers == {
        "api-key": KEY
    }
    with pytest.raises(ConfigError, match=r"needs a base_url\. Set it, or AZURE_OPENAI_ENDPOINT"):
        AzureOpenAILLM(model="m", api_key=KEY).load()


def test_the_account_tells_keys_apart_and_shows_none():
    one, same, other = (OpenAILLM(model="m", api_key=key) for key in (KEY, KEY, "another"))
    assert one.account == same.account != other.account
    assert KEY not in one.account
    assert one.account.startswith(OPENAI)


def test_another_key_takes_effect_at_once(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "first")
    llm = OpenAILLM(model="m")
    llm.load()
    assert key_sent(llm) == "first"
    llm.set_runtime_parameters({"api_key": "second"})
    assert key_sent(llm) == "second"
    copy = llm.with_runtime_parameters({"base_url": LOCAL})
    assert copy.endpoint.site.url == LOCAL
    assert llm.endpoint.site.url == OPENAI


def test_two_vaults_lend_two_keys_to_one_model():
    llm = OpenAILLM(model="m", connection="work")
    for key in ("first", "second"):
        with lend(BoundVault({"work": Connection("work", "openai", None, SecretStr(key))})):
            assert key_sent(llm) == key


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://x.org",
        "https://",
        "https://user:secret@x.org/v1",
        "https://x.org/v1?key=1",
        "https://x.org/#a",
        "https://x.org/a b",
        "https://x.org\\@evil.org",
        "https://x.org:99999",
        "https://x.org\n/v1",
        "javascript:alert(1)",
    ],
)
def test_an_address_that_cannot_be_called_is_refused_when_it_is_given(url):
    with pytest.raises(ConfigError, match="base_url"):
        OpenAILLM(model="m", base_url=url)


def test_an_address_loses_its_closing_slash():
    assert checked_base_url(" http://localhost:8000/v1/ ") == "http://localhost:8000/v1"


@pytest.mark.parametrize("name", ["Authorization", "authorization", "x-api-key", "API-Key", "Cookie"])
def test_a_key_does_not_belong_in_saved_headers(name):
    with pytest.raises(ConfigError, match="put the key in api_key"):
        OpenAILLM(model="m", default_headers={name: KEY})


def test_a_header_cannot_smuggle_another():
    with pytest.raises(ValueError, match="no header"):
        checked_headers({"X-A": "b\r\nAuthorization: c"})


def test_headers_of_ones_own_are_sent():
    llm = OpenAILLM(model="m", api_key=KEY, default_headers={"X-Team": "a"})
    assert llm.endpoint.headers == {"X-Team": "a", "Authorization": f"Bearer {KEY}"}


def test_headers_with_a_key_are_printed_by_name_only():
    headers = SecretHeaders({"Authorization": f"Bearer {KEY}"})
    assert KEY not in f"{headers} {headers!r} {[headers]}"
