import pytest

from app.ui.model_choice import FILE_MODEL, OTHER_SERVER, REHEARSAL, lookup, moved_to, place_of, places

WRITING = {"temperature": 0.2, "max_new_tokens": 40}


def test_every_place_says_its_state_and_what_is_ready_comes_first(studio, monkeypatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-canary")
    studio.connections.add("openai", "sk-canary-0123456789")
    found = places(studio)
    words = [label for label, _ in found]
    assert words[0].startswith("OpenAI · key …6789") and "Groq · key from GROQ_API_KEY" in words
    assert words.index("Groq · key from GROQ_API_KEY") < words.index("Mistral · key missing")
    assert ("Rehearsal · no model, made-up answers", REHEARSAL) in found
    assert ("A model file on this machine (GGUF)", f"class:{FILE_MODEL}") in found
    assert found[-1][1] == OTHER_SERVER
    assert "canary-0123" not in str(found) and "gsk-canary" not in str(found)


def test_every_place_that_is_offered_is_recognized_again(studio) -> None:
    studio.connections.add("custom", "", base_url="http://127.0.0.1:9/v1")
    for _, place in places(studio):
        assert place_of(moved_to(studio, {"use": "RehearsalLLM"}, place)) == place


@pytest.mark.parametrize("place", ["provider:openai", "provider:ollama", "provider:anthropic", REHEARSAL, OTHER_SERVER])
def test_how_the_model_writes_is_kept_where_the_new_one_knows_it(studio, place: str) -> None:
    moved = moved_to(studio, {"use": "OpenAILLM", "model": "m", "generation_kwargs": WRITING}, place)
    kept = moved.get("generation_kwargs", {})
    if place == "provider:anthropic":
        assert kept == {"temperature": 0.2, "max_tokens": 40}
    else:
        assert kept == WRITING


def test_a_place_without_a_list_of_models_is_not_asked_for_one() -> None:
    assert lookup("provider:openai") == {"provider": "openai"}
    assert lookup("connection:mine") == {"connection": "mine"}
    assert lookup(REHEARSAL) == lookup(OTHER_SERVER) == lookup("class:LlamaCppLLM") == {}
