import asyncio

import pytest

from components.errors import ConfigError
from components.llms import RehearsalLLM
from components.llms.pricing import Price
from components.llms.rehearsal import NO_EXAMPLE, rehearsing
from tests.components.llms.conftest import ask


def test_without_an_example_it_says_that_it_is_a_rehearsal():
    assert RehearsalLLM().generate_outputs([ask()])[0]["generations"] == [NO_EXAMPLE]


def test_it_answers_from_the_examples_that_were_given():
    with rehearsing(lambda prompt, index: f"{prompt[0]['content']} {index}"):
        output = RehearsalLLM().generate_outputs([ask("a"), ask("b")], num_generations=2)
    assert [item["generations"] for item in output] == [["a 0", "a 1"], ["b 0", "b 1"]]
    assert output[0]["finish_reasons"] == ["stop", "stop"]


def test_two_rehearsals_at_once_do_not_mix():
    llm = RehearsalLLM(latency_ms=1)

    async def one(name):
        with rehearsing(lambda prompt, index: name):
            return (await llm.complete(ask()))["generations"][0]

    async def both():
        return await asyncio.gather(one("a"), one("b"))

    assert asyncio.run(both()) == ["a", "b"]


def test_it_takes_any_generation_parameter_and_costs_nothing():
    llm = RehearsalLLM(generation_kwargs={"temperature": 0.5, "anything": 1})
    assert llm.generate_outputs([ask()], **llm.get_generation_kwargs())
    assert llm.price == Price(0, 0)
    assert llm.is_rehearsal
    assert llm.model_name == "rehearsal"


def test_it_cannot_be_early():
    with pytest.raises(ConfigError, match="latency_ms"):
        RehearsalLLM(latency_ms=-1)
