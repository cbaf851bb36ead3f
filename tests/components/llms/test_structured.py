from enum import Enum
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from components.errors import ConfigError, ReplyError
from components.llms.structured import Form, Rung, form_of, parse_json

LABEL = {
    "type": "object",
    "title": "A label!",
    "properties": {"label": {"enum": ["good", "bad"]}, "score": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["label"],
}


class Review(BaseModel):
    label: Literal["good", "bad"]
    score: int = Field(3, ge=1, le=5)


class Color(Enum):
    RED = "red"


GOOD = '{"label": "good", "score": 4}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  {GOOD}\n",
        f"\ufeff{GOOD}",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"Sure, here it is:\n```json\n{GOOD}\n```\nAnything else?",
        f"The answer is {GOOD}. Have a good day {{smile}}",
        f"<think>maybe {{'label': 'bad'}} or {{\"label\": \"bad\"}}</think>\n{GOOD}",
        f"According to [1], the label is {GOOD}",
    ],
)
@pytest.mark.parametrize("schema", [LABEL, Review, {"format": "json", "schema": LABEL}, {"schema": Review}])
def test_json_is_found_in_fences_and_talk(text, schema):
    assert parse_json(text, "stop", schema) == ({"label": "good", "score": 4}, False)


@pytest.mark.parametrize(
    "text", ["{'label': 'good', 'score': 4}", '{"label": "good", "score": 4', '{label: "good", "score": 4,}']
)
def test_broken_json_is_repaired_and_marked_when_the_model_ended_by_itself(text):
    assert parse_json(text, "stop", LABEL) == ({"label": "good", "score": 4}, True)


@pytest.mark.parametrize("finish_reason", [None, "length", "content_filter"])
def test_broken_json_is_not_repaired_when_the_model_did_not_end_by_itself(finish_reason):
    with pytest.raises(ReplyError):
        parse_json('{"label": "good", "score": 4', finish_reason, LABEL)


@pytest.mark.parametrize(
    "text",
    [
        '{"label": "good", "score": 1',
        '{"label": "go',
        '{"items": [{"label": "good"}, {"label": "bad"}',
        "12",
        '"good"',
        f"```json\n{GOOD}\n``",
        f"{GOOD} and",
    ],
)
def test_an_answer_that_was_cut_off_is_never_taken_for_a_whole_one(text):
    with pytest.raises(ReplyError, match=r"cut off at its token limit\. Raise max_new_tokens"):
        parse_json(text, "length")


def test_an_answer_that_was_whole_when_it_was_cut_off_is_one():
    assert parse_json(GOOD, "length", LABEL) == ({"label": "good", "score": 4}, False)


def test_a_part_of_a_broken_answer_is_not_the_answer():
    with pytest.raises(ReplyError, match="not JSON"):
        parse_json('{"best": {"label": "good"}, "worst": {"label": "b', None)


@pytest.mark.parametrize("text", ['{"label": NaN}', '{"label": Infinity}', "[-Infinity]", "NaN"])
@pytest.mark.parametrize("finish_reason", ["stop", None])
def test_numbers_that_are_none_are_refused(text, finish_reason):
    with pytest.raises(ReplyError):
        parse_json(text, finish_reason)


@pytest.mark.parametrize("text", [None, "", "  \n"])
def test_an_empty_answer_is_told(text):
    with pytest.raises(ReplyError, match="empty"):
        parse_json(text, "stop")


@pytest.mark.parametrize("text", ["I cannot help with that.", "No.", "```\nnot json\n```"])
def test_a_refusal_in_words_is_not_json(text):
    with pytest.raises(ReplyError, match="not JSON"):
        parse_json(text, "stop", LABEL)


def test_two_answers_that_differ_are_not_chosen_between():
    with pytest.raises(ReplyError, match="several JSON values that differ"):
        parse_json('{"label": "good"} or {"label": "bad"}', "stop", LABEL)


def test_of_several_values_the_one_that_fits_is_the_answer():
    assert parse_json('{"plan": "think"} {"label": "bad"}', "stop", LABEL)[0] == {"label": "bad"}


def test_the_same_answer_twice_is_one_answer():
    assert parse_json(f"{GOOD}\n{GOOD}", "stop", LABEL)[0] == {"label": "good", "score": 4}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"score": 3}', "'label' is missing"),
        ('{"label": "great"}', "'label' should be one of"),
        ('{"label": "good", "score": 9}', "'score' should be at most 5, not 9"),
        ('{"label": "good", "score": "4"}', "'score' should be integer"),
        ("[1]", "the answer should be object"),
    ],
)
def test_a_misfit_says_where(text, words):
    with pytest.raises(ReplyError) as caught:
        parse_json(text, "stop", LABEL)
    assert words in str(caught.value)


def test_a_misfit_of_a_model_says_where():
    with pytest.raises(ReplyError, match="'score' input should be less than or equal to 5"):
        parse_json('{"label": "good", "score": 9}', "stop", Review)
    with pytest.raises(ReplyError, match="needs a value for 'label'"):
        parse_json("{}", "stop", Review)


def test_a_model_gives_plain_data_with_its_defaults():
    class Painted(BaseModel):
        color: Color
        size: int = 2

    assert parse_json('{"color": "red"}', "stop", Painted) == ({"color": "red", "size": 2}, False)


def test_deep_nesting_is_told_and_not_a_crash():
    with pytest.raises(ReplyError):
        parse_json("[" * 5_000 + "]" * 5_000, "stop")


def test_a_form_asks_by_schema_then_by_json_then_in_the_prompt():
    form = Form(LABEL)
    wanted = form.response_format(Rung.JSON_SCHEMA)
    assert wanted["json_schema"]["name"] == "A_label"
    assert wanted["json_schema"]["strict"] is False
    assert form.response_format(Rung.JSON_OBJECT) == {"type": "json_object"}
    assert form.response_format(Rung.PROMPT) is None


def test_a_schema_that_can_be_strict_is():
    wanted = Form(Review).response_format(Rung.JSON_SCHEMA)["json_schema"]
    assert wanted["strict"] is True
    assert wanted["schema"]["required"] == ["label", "score"]
    assert wanted["schema"]["additionalProperties"] is False


def test_the_schema_goes_into_the_system_message_when_the_prompt_must_ask():
    form = Form(LABEL)
    user = {"role": "user", "content": "hi"}
    alone = form.messages(Rung.PROMPT, [user])
    assert [message["role"] for message in alone] == ["system", "user"]
    assert form.text in alone[0]["content"]
    joined = form.messages(Rung.JSON_OBJECT, [{"role": "system", "content": "Be kind."}, user])
    assert joined[0]["content"].startswith("Be kind.\n\nAnswer with one JSON value")
    assert form.messages(Rung.JSON_SCHEMA, [user]) == [user]


@pytest.mark.parametrize(
    "given", [LABEL, {"schema": LABEL}, {"format": "json", "schema": LABEL}, Review, {"schema": Review}]
)
def test_a_form_is_given_as_schema_or_model_alone_or_named(given):
    assert "label" in form_of(given).schema["properties"]


def test_equal_forms_are_made_once():
    assert form_of({"schema": Review}) is form_of(Review)
    assert form_of(dict(LABEL)) is form_of({"schema": dict(LABEL)})


def test_no_form_is_no_form():
    assert form_of(None) is None


@pytest.mark.parametrize("given", ["not a schema", "[1]", 3, {"schema": [1]}, {"format": "regex", "schema": "a+"}])
def test_a_form_that_is_none_is_told(given):
    with pytest.raises(ConfigError, match="structured_output"):
        form_of(given)
