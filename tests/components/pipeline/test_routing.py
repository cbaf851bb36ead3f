"""Routing functions."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from components.errors import ConfigError, UnknownComponent
from components.pipeline import Pipeline, RoutingBatchFunction, routing_batch_function, sample_n_steps
from components.pipeline.routing import build_routing
from tests.fakes import Ask, EchoLLM, Numbers


def first(steps: list[str]) -> list[str]:
    """Always the first."""
    return steps[:1]


def test_the_decorator_works_with_and_without_parentheses() -> None:
    plain = routing_batch_function(first)
    called = routing_batch_function()(first)
    described = routing_batch_function(description="The first one.")(first)
    assert plain(["a", "b"]) == called(["a", "b"]) == described(["a", "b"]) == ["a"]
    assert (plain.name, plain.description) == ("first", "Always the first.")
    assert described.description == "The first one."


def test_a_step_is_routed_with_arrows() -> None:
    with Pipeline() as pipeline:
        load, one, two = Numbers(name="load"), Ask(name="one", llm=EchoLLM()), Ask(name="two", llm=EchoLLM())
        last = Ask(name="last", llm=EchoLLM())
        load >> sample_n_steps(1) >> [one, two]
        one >> last
    assert pipeline.graph.successors("load") == ["one", "two"]
    assert pipeline.graph.routers["load"].name == "sample_n_steps"


def test_a_step_is_routed_with_connect() -> None:
    router = routing_batch_function(first)
    with Pipeline() as pipeline:
        load, one, two = Numbers(name="load"), Ask(name="one", llm=EchoLLM()), Ask(name="two", llm=EchoLLM())
        load.connect(one, two, routing_batch_function=router)
    assert pipeline.graph.routers == {"load": router}


def test_one_function_can_route_after_two_steps() -> None:
    router = routing_batch_function(first)
    with Pipeline() as pipeline:
        one, two = Numbers(name="load_1"), Numbers(name="load_2")
        ends = [Ask(name=f"end_{number}", llm=EchoLLM()) for number in range(4)]
        one >> router >> ends[:2]
        two >> router >> ends[2:]
    assert pipeline.graph.successors("load_1") == ["end_0", "end_1"]
    assert pipeline.graph.successors("load_2") == ["end_2", "end_3"]


def test_a_function_without_the_decorator_is_refused() -> None:
    with Pipeline():
        load, one = Numbers(), Ask(llm=EchoLLM())
        with pytest.raises(ConfigError, match="@routing_batch_function"):
            load.connect(one, routing_batch_function=first)


def test_a_routing_function_chooses_among_a_list() -> None:
    with Pipeline():
        load, one = Numbers(), Ask(llm=EchoLLM())
        with pytest.raises(ConfigError, match="step >> routing >> "):
            load >> sample_n_steps(1) >> one


def test_the_choice_keeps_the_order_of_the_steps() -> None:
    router = routing_batch_function(lambda steps: list(reversed(steps)))
    assert router.route(["a", "b", "c"], 0) == ["a", "b", "c"]
    assert routing_batch_function(lambda steps: ["b", "b"]).route(["a", "b"], 0) == ["b"]


def test_a_function_cannot_change_the_list_it_is_given() -> None:
    steps = ["a", "b"]
    routing_batch_function(lambda given: [given.pop()]).route(steps, 0)
    assert steps == ["a", "b"]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda steps: ["labeled"], r"batch 7, chose 'labeled'.* Did you mean 'label'\?"),
        (lambda steps: [3], "chose 3"),
        (lambda steps: [], "chose no step, so its rows would be lost"),
        (lambda steps: "label", "must return a list of step names, not str"),
        (lambda steps: None, "must return a list of step names, not NoneType"),
        (lambda steps: 1 / 0, "failed: ZeroDivisionError"),
    ],
)
def test_a_wrong_choice_is_said_plainly(function: Callable[[list[str]], Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        routing_batch_function(function).route(["label", "judge"], 7)


def test_sampling_gives_every_step_its_share() -> None:
    router = sample_n_steps(2)
    counts = Counter(name for number in range(300) for name in router.route(["a", "b", "c"], number))
    assert counts.total() == 600 and min(counts.values()) > 100


@pytest.mark.parametrize("n", [0, -1, "two", 1.5, True, None])
def test_sampling_needs_a_whole_number(n: Any) -> None:
    with pytest.raises(ConfigError, match="whole number"):
        sample_n_steps(n)


def test_sampling_more_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot choose among 2 steps"):
        sample_n_steps(3).route(["a", "b"], 0)


def test_a_made_function_survives_as_plain_data() -> None:
    data = sample_n_steps(2).dump()
    assert data == {"use": "sample_n_steps", "n": 2}
    again = build_routing(data)
    assert isinstance(again, RoutingBatchFunction) and again.dump() == data and again.is_saveable


def test_code_is_not_saveable_and_not_built() -> None:
    own = routing_batch_function(first)
    assert not own.is_saveable
    with pytest.raises(UnknownComponent, match=r"no routing function 'first'.*sample_n_steps"):
        build_routing(own.dump())


@pytest.mark.parametrize("data", [{}, {"use": "os.system"}, {"use": None}, {"use": "sample_n_steps", "m": 1}])
def test_unknown_functions_and_arguments_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        build_routing(data)
