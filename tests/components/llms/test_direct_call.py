"""A model called by hand: its parameters are checked as in a pipeline, and what is wrong is one plain sentence."""

import asyncio

import pytest

from components.errors import ConfigError, ProviderDown, UnknownParameter
from components.llms import OpenAILLM
from components.llms.gate import Gate, RetryPolicy
from tests.components.llms.conftest import KEY, ask
from tests.components.llms.test_llm import CustomAsyncLLM, CustomLLM


def model(base_url="http://localhost:1/v1", **fields):
    llm = OpenAILLM(model="m", base_url=base_url, api_key=KEY, **fields)
    llm.load()
    return llm


@pytest.mark.parametrize(
    ("given", "kind", "sentence"),
    [
        ({"temperature": "hot"}, ConfigError, "OpenAILLM: 'temperature' input should be a valid number"),
        ({"temperature": 7}, ConfigError, "'temperature' input should be less than or equal to 2"),
        ({"temprature": 1}, UnknownParameter, "no generation parameter 'temprature'.*temperature"),
        ({"num_generations": "two"}, ConfigError, "num_generations is a whole number from 1 on, not 'two'"),
        ({"num_generations": 0}, ConfigError, "num_generations is a whole number from 1 on, not 0"),
    ],
)
def test_a_parameter_that_does_not_fit_is_one_sentence(given, kind, sentence):
    with pytest.raises(kind, match=sentence) as error:
        model().generate_outputs([ask()], **given)
    assert "\n" not in str(error.value) and "pydantic" not in str(error.value)


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        (5, "OpenAILLM, prompt 2 must be a list of messages, or text, not int"),
        (None, "prompt 2 must be a list of messages, or text, not NoneType"),
        (["hello"], "prompt 2: message 1 must be a dict with 'role' and 'content'"),
        ([{"role": "user"}], "prompt 2: message 1 must be a dict with 'role' and 'content'"),
        (
            [{"role": "x", "content": "a"}],
            "message 1 is wrong: 'role' must be system, developer, user, assistant or tool",
        ),
        ([{"role": "user", "content": 7}], "message 1 is wrong: 'content' must be text or a list of parts"),
    ],
)
def test_a_prompt_that_is_none_is_named_by_its_number(prompt, sentence):
    with pytest.raises(ConfigError, match=sentence):
        model().generate_outputs([ask(), prompt])


def test_text_becomes_a_number_and_a_parameter_that_is_needed_is_asked_for():
    with pytest.raises(ConfigError, match="needs a value for the generation parameter 'needed'"):
        CustomAsyncLLM().generate_outputs([ask("a")])
    (output,) = CustomAsyncLLM().generate_outputs([ask("a")], needed="3", temperature="0.5")
    assert output["generations"] == ["a 0.5 3"]


def test_what_is_set_on_the_model_counts_until_a_call_says_otherwise():
    llm = CustomAsyncLLM(generation_kwargs={"needed": 1, "temperature": 0.2})
    assert llm.generate_outputs([ask("a")])[0]["generations"] == ["a 0.2 1"]
    assert llm.generate_outputs([ask("a")], temperature=2)[0]["generations"] == ["a 2.0 1"]
    assert CustomLLM().generate_outputs([ask("a")], anything="1")[0]["generations"] == ["a 0 {'anything': '1'}"]


@pytest.mark.parametrize(("fields", "tries"), [({}, 3), ({"max_retries": 0}, 1), ({"max_retries": 4}, 5)])
def test_a_call_is_tried_again_as_often_as_the_model_says(fields, tries):
    gate, tried = Gate(policy=RetryPolicy(attempts=3, transient_base=0.0)), []

    async def fails():
        tried.append(1)
        raise ProviderDown("Down.")

    llm = model(**fields).with_runtime_parameters({})
    with pytest.raises(ProviderDown):
        asyncio.run(gate.call(llm, ask(), 1, {}, fails))
    assert len(tried) == tries
