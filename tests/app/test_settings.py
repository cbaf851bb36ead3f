from pathlib import Path

import pytest

from app.settings import Settings
from components.errors import ConfigError


def test_without_anything_set_the_app_listens_on_this_machine_alone():
    settings = Settings.read({})
    assert (settings.host, settings.port, settings.keys) == ("127.0.0.1", 7860, "stored")
    assert settings.home == Path.home() / ".stillroom"
    assert settings.database_url == f"sqlite:///{Path.home() / '.stillroom' / 'stillroom.db'}"


def test_every_field_is_an_environment_variable():
    settings = Settings.read(
        {
            "STILLROOM_HOME": "/data",
            "STILLROOM_PORT": "8000",
            "STILLROOM_KEYS": "memory",
            "STILLROOM_ALLOWED_HOSTS": "Stillroom.example.org, other",
            "STILLROOM_TOKEN": "secret word",
            "STILLROOM_CHROMIUM": "/usr/bin/chromium",
            "HOME": "/root",
        }
    )
    assert settings.port == 8000
    assert settings.database_url == "sqlite:////data/stillroom.db"
    assert settings.allowed_hosts == ("stillroom.example.org", "other")
    assert settings.token is not None and settings.token.get_secret_value() == "secret word"
    assert "secret word" not in repr(settings)


def test_what_the_command_line_says_stands_over_the_environment():
    assert Settings.read({"STILLROOM_PORT": "8000"}, port=9000, host=None).port == 9000


def test_an_empty_variable_is_as_good_as_none():
    assert Settings.read({"STILLROOM_PORT": " "}).port == 7860


@pytest.mark.parametrize(
    ("environment", "given", "words"),
    [
        ({"STILLROOM_PORT": "many"}, {}, "STILLROOM_PORT"),
        ({"STILLROOM_KEYS": "clear"}, {}, "STILLROOM_KEYS"),
        ({"STILLROOM_PROT": "1"}, {}, "Did you mean 'STILLROOM_PORT'"),
        ({"STILLROOM_ALLOWED_HOSTS": "http://x/"}, {}, "STILLROOM_ALLOWED_HOSTS"),
        ({"STILLROOM_MAX_UPLOAD_MB": "0"}, {}, "STILLROOM_MAX_UPLOAD_MB"),
        ({}, {"port": 99_999}, "--port"),
        ({}, {"runs_at_once": 0}, "--runs-at-once"),
    ],
)
def test_an_error_names_the_variable_or_the_option(environment, given, words):
    with pytest.raises(ConfigError, match=words):
        Settings.read(environment, **given)


def test_a_token_is_not_in_the_error_about_another_variable():
    with pytest.raises(ConfigError) as error:
        Settings.read({"STILLROOM_TOKEN": "secret word", "STILLROOM_PORT": "x"})
    assert "secret word" not in str(error.value)
