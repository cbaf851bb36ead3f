import tomllib
from dataclasses import fields
from datetime import date
from importlib.resources import files

import pytest

from components.llms.batch.caps import all_caps, caps
from components.llms.batch.protocol import Caps, Reconcile
from components.llms.batch.quirks import QUIRKS, hours

TABLES = tomllib.loads(files("components.llms.batch").joinpath("caps.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("provider", sorted(TABLES))
def test_every_figure_has_a_day_and_a_source(provider):
    table = TABLES[provider]
    assert set(table) <= {field.name for field in fields(Caps)}
    assert isinstance(table["looked_up"], date) and table["source"]
    found = caps(provider)
    assert found.max_requests > 0 and found.max_bytes > 0 and 0 <= found.discount < 1
    assert found.windows and all(hours(window) >= 24 for window in found.windows)


def test_every_provider_with_an_adapter_has_its_caps():
    assert {*QUIRKS, "anthropic", "gemini", "local"} == set(all_caps())


def test_what_nobody_says_is_not_made_up():
    assert caps("together").results_days is None and caps("azure").worst_hours is None
    assert (caps("openai").results_days, caps("openai").worst_hours) == (30, 24)


def test_only_what_is_proven_is_called_found():
    assert caps("openrouter").reconcile is Reconcile.GUESS and not caps("openrouter").can_cancel
    assert caps("together").reconcile is Reconcile.INPUT
    assert caps("together").discounted_models and caps("local").discount == 0


def test_a_provider_without_batches_has_no_caps():
    with pytest.raises(KeyError):
        caps("deepseek")


def test_only_those_that_say_so_take_embeddings():
    assert {id for id, known in all_caps().items() if known.has_embeddings} == {
        "openai",
        "mistral",
        "openrouter",
        "custom",
    }
