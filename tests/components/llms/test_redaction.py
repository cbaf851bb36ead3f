"""What is told of an error never holds a key."""

import pytest
from pydantic import SecretStr

from components.llms import OpenAILLM
from components.llms.redaction import keep_secrets_of, traceback_of, without_keys
from components.vault import BoundVault, Connection, key_on_this_machine


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "HF_TOKEN", "MY_SECRET", "db_password"])
def test_keys_of_the_environment_are_blacked_out_exactly(monkeypatch, name):
    monkeypatch.setenv(name, "just plain words 8")
    assert without_keys("it said: just plain words 8.") == "it said: [key]."


@pytest.mark.parametrize(("name", "value"), [("STILLROOM_KEYS", "in memory"), ("SOME_API_KEY", "ollama")])
def test_settings_and_stand_ins_for_keys_are_no_keys(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert without_keys(f"about {value} here") == f"about {value} here"


def test_keys_that_a_vault_lent_are_blacked_out_exactly():
    vault = BoundVault({"mine": Connection("mine", "custom", key=SecretStr("lent by the vault"))})
    vault.connection("mine")
    assert without_keys("401: lent by the vault") == "401: [key]"


def test_a_key_stays_a_secret_when_its_variable_is_gone(monkeypatch):
    monkeypatch.setenv("GONE", "gone with the wind")
    assert key_on_this_machine("GONE") is not None
    monkeypatch.delenv("GONE")
    assert without_keys("gone with the wind") == "[key]"


def test_a_key_given_to_a_model_is_blacked_out_exactly():
    keep_secrets_of(OpenAILLM(model="m", api_key="given in a script"))
    assert without_keys("given in a script!") == "[key]!"


def test_of_two_keys_that_begin_alike_nothing_is_left(monkeypatch):
    monkeypatch.setenv("ONE_KEY", "beginning")
    monkeypatch.setenv("TWO_KEY", "beginning and end")
    assert without_keys("beginning and end") == "[key]"


@pytest.mark.parametrize("key", ["sk-proj-abcdef0123456789", "hf_aBcDeFgHiJkLmNoP12", "AIzaSyA0123456789abcdef"])
def test_what_looks_like_a_key_is_blacked_out(key):
    assert without_keys(f"Wrong key {key}.").startswith("Wrong key [key]")


@pytest.mark.parametrize(
    "text", ["KeyError: 'keywords_of_the_column'", "skeletonization", "key-value-store", "hf_hub_download"]
)
def test_words_that_begin_like_keys_are_left(text):
    assert without_keys(text) == text


def test_a_traceback_is_told_without_keys(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "told along the way")
    try:
        raise OSError("told along the way")
    except OSError as error:
        told = traceback_of(error)
    assert told.startswith("Traceback") and told.endswith("OSError: [key]")
