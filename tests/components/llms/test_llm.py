import asyncio
import threading
from typing import Annotated, Any

import pytest
from pydantic import Field, validate_call

from components.component import Component
from components.errors import ConfigError, ReplyError, UnknownParameter
from components.llms import LLM, AsyncLLM, OpenAILLM
from components.llms.typing import ChatType, FormattedInput, GenerateOutput, HiddenState
from tests.components.llms.conftest import ask


class CustomLLM(LLM):
    @property
    def model_name(self) -> str:
        return "my-model"

    @validate_call
    def generate(self, inputs: list[ChatType], num_generations: int = 1, **kwargs: Any) -> list[GenerateOutput]:
        return [[f"{item[-1]['content']} {n} {kwargs}" for n in range(num_generations)] for item in inputs]

    def get_last_hidden_state(self, inputs: list[ChatType]) -> list[HiddenState]:
        return [[float(len(item))] for item in inputs]


class CustomAsyncLLM(AsyncLLM):
    @property
    def model_name(self) -> str:
        return "my-model"

    @validate_call
    async def agenerate(
        self,
        input: FormattedInput,
        num_generations: int = 1,
        temperature: Annotated[float, Field(ge=0, le=2, description="How warm.")] = 1.0,
        top: int | None = None,
        *,
        needed: int,
    ) -> GenerateOutput:
        text = f"{input[-1]['content']} {temperature!r} {needed!r}"
        return {"generations": [text] * num_generations, "statistics": {"input_tokens": [1], "output_tokens": [1]}}


class Holder(Component):
    llm: LLM


def test_a_custom_model_may_return_plain_lists_of_texts():
    outputs = CustomLLM().generate_outputs([ask("a"), ask("b")], num_generations=2)
    assert [output["generations"] for output in outputs] == [["a 0 {}", "a 1 {}"], ["b 0 {}", "b 1 {}"]]
    assert outputs[0]["statistics"] == {}


def test_anything_goes_where_a_model_takes_anything_and_none_of_it_is_required():
    llm = CustomLLM(generation_kwargs={"anything": 1})
    assert llm.runtime_parameters_names["generation_kwargs"] == {}
    assert llm.generate_outputs([ask("a")], **llm.get_generation_kwargs())[0]["generations"] == ["a 0 {'anything': 1}"]


def test_hidden_states_are_given_under_both_names():
    assert CustomLLM().get_last_hidden_states([ask(), ask()]) == [[1.0], [1.0]]
    assert CustomLLM().get_last_hidden_state([ask()]) == [[1.0]]
    with pytest.raises(NotImplementedError, match="gives no hidden states"):
        CustomAsyncLLM().get_last_hidden_states([ask()])


def test_parameters_are_coerced_from_the_texts_of_a_command_line():
    llm = CustomAsyncLLM()
    llm.set_runtime_parameters({"generation_kwargs": {"temperature": "0.5", "needed": "3"}})
    assert llm.generation_kwargs == {"temperature": 0.5, "needed": 3}
    assert llm.generate_outputs([ask("a")], **llm.get_generation_kwargs())[0]["generations"] == ["a 0.5 3"]


def test_parameters_that_are_set_later_join_those_that_were_set_before():
    llm = CustomAsyncLLM(generation_kwargs={"needed": 3})
    llm.set_runtime_parameters({"generation_kwargs": {"temperature": 0}})
    assert llm.generation_kwargs == {"needed": 3, "temperature": 0.0}


def test_a_form_can_be_made_from_the_parameters():
    assert CustomAsyncLLM().runtime_parameters_names["generation_kwargs"] == {
        "temperature": True,
        "top": True,
        "needed": False,
    }
    rows = {row["name"]: row for row in CustomAsyncLLM().get_runtime_parameters_info()}
    keys = {key["name"]: key for key in rows["generation_kwargs"]["keys"]}
    assert keys["temperature"]["description"] == "How warm."
    assert keys["temperature"]["schema"]["maximum"] == 2
    assert not keys["needed"]["optional"]
    properties = CustomAsyncLLM.model_json_schema()["properties"]["generation_kwargs"]["properties"]
    assert properties["temperature"]["default"] == 1.0


def test_the_parameters_of_a_model_that_a_component_holds_are_nested():
    holder = Holder(llm=CustomAsyncLLM())
    holder.set_runtime_parameters({"llm": {"generation_kwargs": {"temperature": "0.3"}}})
    assert holder.llm.generation_kwargs == {"temperature": 0.3}
    other = holder.with_runtime_parameters({"llm": {"generation_kwargs": {"temperature": 1}}})
    assert (other.llm.generation_kwargs, holder.llm.generation_kwargs) == ({"temperature": 1.0}, {"temperature": 0.3})


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"temprature": 1}, UnknownParameter, "no generation parameter 'temprature'. Did you mean 'temperature'?"),
        ({"temperature": 3}, ConfigError, "'temperature' input should be less than or equal to 2"),
        ({"temperature": "warm"}, ConfigError, "'temperature' input should be a valid number"),
        (3, ConfigError, "takes a group of parameters"),
    ],
)
def test_a_wrong_parameter_is_told_by_name(given, kind, words):
    with pytest.raises(kind) as caught:
        CustomAsyncLLM(generation_kwargs={"needed": 1}).set_runtime_parameters({"generation_kwargs": given})
    assert words in str(caught.value)


@pytest.mark.parametrize("returned", [[], [["a"], ["b"]], None, "a"])
def test_a_model_that_returns_the_wrong_number_of_answers_is_told(returned):
    class Wrong(CustomLLM):
        def generate(self, inputs: Any, num_generations: int = 1) -> Any:
            return returned

    with pytest.raises(ReplyError, match=r"Wrong.generate returned .* for 1 inputs"):
        Wrong().generate_outputs([ask()])


@pytest.mark.parametrize("returned", [[3], [{"text": "a"}], ["a"], [[3]]])
def test_a_model_that_returns_the_wrong_shape_is_told(returned):
    class Wrong(CustomLLM):
        def generate(self, inputs: Any, num_generations: int = 1) -> Any:
            return returned

    with pytest.raises(ReplyError, match="Return a list of texts"):
        Wrong().generate_outputs([ask()])


def test_a_model_that_blocks_works_in_a_thread_beside_the_loop():
    class Blocking(CustomLLM):
        def generate(self, inputs: Any, num_generations: int = 1) -> Any:
            return [[threading.current_thread().name] for _ in inputs]

    async def inside():
        return (await Blocking().complete(ask()))["generations"][0]

    assert asyncio.run(inside()) != threading.current_thread().name


def test_an_async_model_answers_from_any_thread_and_inside_a_running_loop():
    llm = OpenAILLMOnPaper()

    async def inside():
        return llm.generate_outputs([ask("a"), ask("b")])

    outputs = asyncio.run(inside())
    assert [output["generations"] for output in outputs] == [["A"], ["B"]]


class OpenAILLMOnPaper(AsyncLLM):
    @property
    def model_name(self) -> str:
        return "paper"

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:
        await asyncio.sleep(0)
        return [input[-1]["content"].upper()] * num_generations


def test_the_calls_of_other_rows_end_when_one_row_fails():
    ended = []

    class Failing(OpenAILLMOnPaper):
        async def agenerate(self, input: Any, num_generations: int = 1) -> Any:
            if input[-1]["content"] == "bad":
                raise ReplyError("bad")
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append(input[-1]["content"])

    with pytest.raises(ReplyError):
        Failing().generate_outputs([ask("a"), ask("bad"), ask("b")])
    assert sorted(ended) == ["a", "b"]


def test_every_parameter_of_a_model_that_ships_says_what_it_is():
    for name, field in OpenAILLM.generation_model().model_fields.items():
        assert field.description, name


def test_types_that_are_written_as_texts_are_understood():
    source = """
from __future__ import annotations
from typing import Any, Literal
from components.llms import AsyncLLM

Mood = Literal["calm", "wild"]

class Later(AsyncLLM):
    @property
    def model_name(self) -> str:
        return "later"

    async def agenerate(self, input: Any, num_generations: int = 1, mood: Mood = "calm") -> Any:
        return [mood]
"""
    namespace: dict[str, Any] = {"__name__": "notebook"}
    exec(source, namespace)
    llm = namespace["Later"]
    assert llm.generation_model().model_json_schema()["properties"]["mood"]["enum"] == ["calm", "wild"]
    with pytest.raises(ConfigError, match="mood"):
        llm(generation_kwargs={"mood": "angry"})


@pytest.mark.parametrize("single", ["What is it?", ask()])
@pytest.mark.parametrize("kind", [CustomLLM, OpenAILLM])
def test_a_single_prompt_is_not_asked_letter_by_letter(kind, single):
    llm = kind(model="m") if kind is OpenAILLM else kind()
    with pytest.raises(ConfigError, match="Put a single prompt into a list"):
        llm.generate_outputs(single)
