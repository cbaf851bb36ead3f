import pytest

from components.llms.pricing import PICTURE_TOKENS, Price, estimate_tokens


def test_a_list_price_is_found_by_provider_and_model():
    assert Price.look_up("openai", "gpt-4o-mini") == Price(0.15, 0.6)


@pytest.mark.parametrize(("provider", "model"), [("openai", "no-such-model"), ("nobody", "gpt-4o-mini")])
def test_an_unknown_price_is_none_and_never_zero(provider, model):
    assert Price.look_up(provider, model) is None


def test_a_price_is_for_a_million_tokens():
    assert Price(2, 8).cost(500_000, 250_000) == 3.0


def test_an_estimate_is_rather_too_high():
    text = "The quick brown fox jumps over the lazy dog. " * 20
    assert estimate_tokens([{"role": "user", "content": text}]) > len(text.split())
    assert estimate_tokens(([{"role": "user", "content": text}], {"schema": {}})) > len(text.split())
    assert estimate_tokens(text) > len(text.split())
    assert estimate_tokens("日本語のテキスト") > 8


def test_an_estimate_takes_any_message():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "text", "text": "what is it?"}, picture]
    assert estimate_tokens([{"role": "user", "content": parts}]) > PICTURE_TOKENS
    assert estimate_tokens([{"role": "assistant", "content": None}]) == 8
    assert estimate_tokens("\ud83d half a character")
