import pytest

from components.llms.providers import CUSTOM, PRESETS, preset, preset_at
from components.vault import is_loopback


@pytest.mark.parametrize("one", PRESETS.values(), ids=PRESETS)
def test_every_preset_says_where_it_is_and_where_its_key_is(one):
    assert one.title
    if one.is_local:
        assert is_loopback(one.base_url) and str(one.port) in one.base_url and not one.env_key
    else:
        assert one.env_key.isupper() and one.key_page.startswith("https://")
        assert one.base_url.startswith("https://") or one.id == "azure"
    assert not one.base_url.endswith("/")


@pytest.mark.parametrize("one", [one for one in PRESETS.values() if one.base_url], ids=lambda one: one.id)
def test_a_preset_is_found_by_its_address(one):
    assert preset_at(one.base_url) is one


@pytest.mark.parametrize("one", [one for one in PRESETS.values() if one.price_id], ids=lambda one: one.id)
def test_a_preset_is_called_in_the_price_list_what_it_says(one):
    from genai_prices.data_snapshot import get_snapshot

    assert one.price_id in {provider.id for provider in get_snapshot().providers}


def test_an_address_of_nobodys_is_custom():
    assert preset_at("https://llm.example.org/v1") is CUSTOM
    assert preset_at("http://127.0.0.1:5555/v1") is CUSTOM
    assert preset_at("https://api.openai.com.evil.example/v1") is CUSTOM
    assert preset_at("http://api.openai.com/v1") is CUSTOM
    assert preset("nobody") is CUSTOM
