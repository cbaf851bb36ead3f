from app.ui.calls import answering, text
from components.errors import ConfigError


def test_an_answer_comes_in_an_envelope() -> None:
    assert answering(lambda argument: {"n": argument["x"]})({"x": 3}) == {"ok": True, "n": 3}
    assert answering(lambda _: None)(None) == {"ok": True}


def test_what_goes_wrong_is_one_sentence() -> None:
    def refuse(_argument):
        raise ConfigError("Name a model first.")

    assert answering(refuse)({}) == {"ok": False, "error": "Name a model first."}


def test_whatever_a_page_sends_only_texts_are_taken_for_texts() -> None:
    assert text({"a": ["x"], "b": "y"}, "a") == "" and text({"b": "y"}, "b") == "y" and text({}, "b") == ""
    assert answering(lambda argument: {"n": len(argument)})(["not", "a", "dict"]) == {"ok": True, "n": 0}
