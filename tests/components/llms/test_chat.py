import pytest

from components.errors import ContentRefused, ProviderDown, ReplyError
from components.llms.chat import (
    chat_body,
    is_reasoning,
    missed_by_reasoning,
    parse_chat,
    parse_text,
    statistics_of,
    text_body,
)

ASKED = [{"role": "user", "content": "hello"}]


def reply(*choices, usage=(10, 7)):
    data = {"choices": [{"index": index, **choice} for index, choice in enumerate(choices)]}
    return data | ({"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}} if usage else {})


def said(content, finish_reason="stop", **message):
    return {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish_reason}


def test_nothing_is_sent_that_was_not_set():
    options = {"temperature": None, "top_p": None, "stop": None, "seed": None, "logprobs": False, "top_logprobs": None}
    assert chat_body("m", ASKED, options=options) == {"model": "m", "messages": ASKED}


def test_what_was_set_is_sent_by_the_names_the_server_knows():
    body = chat_body(
        "m",
        ASKED,
        n=2,
        max_tokens=9,
        options={"temperature": 0.0, "seed": 3, "top_p": 0.5},
        extra={"min_p": 0.1, "temperature": 0.9},
        tokens_field="max_completion_tokens",
        seed_field="random_seed",
        refused={"top_p"},
    )
    assert body == {
        "model": "m",
        "messages": ASKED,
        "n": 2,
        "max_completion_tokens": 9,
        "random_seed": 3,
        "min_p": 0.1,
        "temperature": 0.9,
    }


def test_top_logprobs_are_not_asked_for_without_logprobs():
    assert "top_logprobs" not in chat_body("m", ASKED, options={"logprobs": None, "top_logprobs": 3})


def test_logprobs_of_bare_text_are_asked_for_by_number():
    assert text_body("m", "hi", options={"logprobs": True, "top_logprobs": 4})["logprobs"] == 4
    assert text_body("m", "hi", options={"logprobs": True})["logprobs"] == 1
    assert text_body("m", "hi", max_tokens=5) == {"model": "m", "prompt": "hi", "max_tokens": 5}


@pytest.mark.parametrize("model", ["o1", "o1-mini", "o3-mini-2025", "o4-mini", "gpt-5", "gpt-5-mini", "openai/gpt-5.1"])
def test_reasoning_models_are_known_by_name(model):
    assert is_reasoning(model)


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4o-mini", "gpt-5-chat-latest", "openai/gpt-oss-120b", "o1js", "qwen3"]
)
def test_other_models_are_not_taken_for_reasoning_models(model):
    assert not is_reasoning(model)


def test_only_what_is_set_to_something_else_than_the_default_is_missed_by_reasoning():
    assert missed_by_reasoning({"temperature": 1.0, "top_p": 1, "logprobs": False, "frequency_penalty": 0}) == []
    assert missed_by_reasoning({"temperature": 0.2, "stop": ["x"]}) == ["temperature", "stop"]


def test_an_answer_is_its_text_its_end_and_its_tokens():
    assert parse_chat(reply(said("hi"))) == {
        "generations": ["hi"],
        "statistics": {"input_tokens": [10], "output_tokens": [7]},
        "finish_reasons": ["stop"],
    }


def test_the_token_sums_are_what_the_provider_counted_however_many_answers():
    output = parse_chat(reply(said("a"), said("b"), said("c"), usage=(10, 8)), 3)
    assert output["statistics"] == {"input_tokens": [10, 0, 0], "output_tokens": [3, 3, 2]}


def test_answers_come_in_the_order_of_their_index():
    data = reply(said("a"), said("b"))
    data["choices"].reverse()
    assert parse_chat(data, 2)["generations"] == ["a", "b"]


def test_more_answers_than_were_asked_for_are_left():
    assert parse_chat(reply(said("a"), said("b")), 1)["generations"] == ["a"]


def test_without_usage_nothing_is_claimed():
    assert parse_chat(reply(said("a"), usage=None))["statistics"] == {}
    assert statistics_of({"prompt_tokens": None}, 1) == {}


@pytest.mark.parametrize(
    ("given", "means"),
    [("stop", "stop"), ("eos_token", "stop"), ("eos", "stop"), ("length", "length"), ("MODEL_LENGTH", "length")],
)
def test_ends_are_told_in_one_vocabulary(given, means):
    assert parse_chat(reply(said("a", given)))["finish_reasons"] == [means]


def test_content_in_parts_is_joined_without_the_thoughts():
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "hi"}]
    assert parse_chat(reply(said(content)))["generations"] == ["hi"]


@pytest.mark.parametrize(
    ("choice", "kind", "words"),
    [
        (said(None, refusal="I cannot help with that."), ContentRefused, "I cannot help with that"),
        (said("", "content_filter"), ContentRefused, "filter"),
        (said(None, "length"), ReplyError, "all its tokens for thinking. Raise max_new_tokens"),
        (said("", "length"), ReplyError, "all its tokens for thinking"),
        (said(None, "tool_calls", tool_calls=[{"id": "1"}]), ReplyError, "asked for a tool"),
        (said(None), ReplyError, "without text"),
        ({"finish_reason": "stop"}, ReplyError, "without text"),
        ({"message": "odd", "finish_reason": "stop"}, ReplyError, "without text"),
        (said("half", "error"), ProviderDown, "broke off"),
    ],
)
def test_an_answer_that_is_none_says_why_and_what_it_cost(choice, kind, words):
    with pytest.raises(kind) as caught:
        parse_chat(reply(choice))
    assert words in str(caught.value)
    assert caught.value.statistics == {"input_tokens": [10], "output_tokens": [7]}


@pytest.mark.parametrize("data", [{"choices": []}, {}, {"choices": None}, {"choices": "x"}, {"choices": [3]}])
def test_a_reply_without_choices_is_told(data):
    with pytest.raises(ReplyError, match="without an answer"):
        parse_chat(data)


def test_an_empty_answer_that_ended_by_itself_is_an_answer():
    assert parse_chat(reply(said("")))["generations"] == [""]


def test_one_declined_answer_among_good_ones_is_none():
    output = parse_chat(reply(said("a"), said(None, refusal="no"), said("c")), 3)
    assert output["generations"] == ["a", None, "c"]
    assert output["finish_reasons"] == ["stop", "content_filter", "stop"]
    assert sum(output["statistics"]["output_tokens"]) == 7


def test_log_probabilities_begin_with_the_token_that_was_chosen():
    tops = [{"token": "no", "logprob": -0.1}, {"token": "yes", "logprob": -2.0}]
    content = [
        {"token": "yes", "logprob": -2.0, "top_logprobs": tops},
        {"token": ".", "logprob": 0, "top_logprobs": []},
    ]
    output = parse_chat(reply(said("yes.") | {"logprobs": {"content": content}}))
    assert output["logprobs"] == [
        [[{"token": "yes", "logprob": -2.0}, {"token": "no", "logprob": -0.1}], [{"token": ".", "logprob": 0}]]
    ]


def test_log_probabilities_in_the_shape_of_completions_are_read_too():
    given = {"tokens": ["yes", "."], "token_logprobs": [-2.0, None], "top_logprobs": [{"no": -0.1, "yes": -2.0}, None]}
    wanted = [[[{"token": "yes", "logprob": -2.0}, {"token": "no", "logprob": -0.1}], [{"token": ".", "logprob": 0.0}]]]
    assert parse_chat(reply(said("yes.") | {"logprobs": given}))["logprobs"] == wanted
    text = {"text": "yes.", "finish_reason": "stop", "logprobs": given}
    assert parse_text(reply(text))["logprobs"] == wanted


def test_bare_text_that_is_none_is_told():
    with pytest.raises(ReplyError, match="without text"):
        parse_text(reply({"text": None}))
    with pytest.raises(ContentRefused):
        parse_text(reply({"text": "", "finish_reason": "content_filter"}))
