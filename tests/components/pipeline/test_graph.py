"""Steps and how rows flow between them."""

from itertools import pairwise

import pytest

from components.errors import ConfigError
from components.pipeline.graph import MOST_STEPS, Graph, find_loop, loop_sentence
from components.pipeline.routing import sample_n_steps
from components.steps.columns import CombineOutputs
from components.steps.step import Step
from components.steps.typing import StepInput, StepOutput
from tests.fakes import Numbers


class Pass(Step):
    """Hands rows on."""

    def process(self, inputs: StepInput) -> StepOutput:
        yield inputs


def graph_of(*names: str, edges: str = "") -> Graph:
    graph = Graph()
    for name in names:
        graph.add(Numbers(name=name) if name.startswith("load") else Pass(name=name))
    for edge in edges.split():
        graph.connect(*edge.split(">"))
    return graph


def test_steps_keep_the_order_they_were_added_in() -> None:
    graph = graph_of("load", "b", "a", edges="load>a a>b")
    assert list(graph.steps) == ["load", "b", "a"]
    assert graph.order() == ["load", "a", "b"]
    assert graph.edges == [("load", "a"), ("a", "b")]


def test_neighbors_and_relatives() -> None:
    graph = graph_of("load", "a", "b", "c", "d", edges="load>a load>b a>c b>c c>d")
    assert graph.successors("load") == ["a", "b"]
    assert graph.predecessors("c") == ["a", "b"]
    assert graph.ancestors("c") == {"load", "a", "b"}
    assert graph.descendants("a") == {"c", "d"}
    assert (graph.sources(), graph.roots(), graph.leaves()) == (["load"], ["load"], ["d"])


def test_every_step_comes_after_those_before_it() -> None:
    graph = graph_of("e", "d", "c", "b", "a", "load", edges="load>a a>b a>c b>d c>d d>e")
    order = graph.order()
    assert all(order.index(up) < order.index(down) for up, down in graph.edges)


def test_a_name_can_stand_once_only() -> None:
    graph = graph_of("a")
    with pytest.raises(ConfigError, match="A step called 'a' is in the pipeline already"):
        graph.add(Pass(name="a"))


@pytest.mark.parametrize("edge", ["a>lod", "lod>a"])
def test_an_unknown_step_suggests_the_closest(edge: str) -> None:
    with pytest.raises(ConfigError, match=r"no step 'lod'.* Did you mean 'load'\?"):
        graph_of("load", "a", edges=edge)


def test_a_loop_is_refused_and_named() -> None:
    with pytest.raises(ConfigError) as error:
        graph_of("load", "a", "b", "c", edges="load>a a>b b>c c>a")
    loop = str(error.value).removeprefix("The steps ").partition(" form a loop")[0].split(" -> ")
    assert loop[0] == loop[-1] and set(loop) == {"a", "b", "c"}
    assert set(pairwise(loop)) == {("a", "b"), ("b", "c"), ("c", "a")}


def test_a_refused_connection_leaves_the_graph_as_it_was() -> None:
    graph = graph_of("load", "a", "b", edges="load>a a>b")
    with pytest.raises(ConfigError):
        graph.connect("b", "a")
    assert graph.edges == [("load", "a"), ("a", "b")]


def test_a_step_is_not_connected_to_itself() -> None:
    with pytest.raises(ConfigError, match="Step 'a' cannot be connected to itself"):
        graph_of("a", edges="a>a")


def test_a_connection_stands_once_only() -> None:
    with pytest.raises(ConfigError, match="'load' is connected to 'a' already"):
        graph_of("load", "a", edges="load>a load>a")


def test_nothing_comes_before_a_source() -> None:
    with pytest.raises(ConfigError, match="'load' is a source and makes its own rows, so 'a' cannot come before it"):
        graph_of("load", "a", edges="a>load")


def test_a_pipeline_has_a_most_of_steps() -> None:
    graph = graph_of(*(f"s{number}" for number in range(MOST_STEPS)))
    with pytest.raises(ConfigError, match="1,000 steps at most"):
        graph.add(Pass(name="one_more"))


def test_a_long_chain_is_wired_without_walking_it_again_for_each_step() -> None:
    graph = graph_of("load", *(f"s{number}" for number in range(900)))
    names = list(graph.steps)
    for up, down in pairwise(names):
        graph.connect(up, down)
    assert graph.order() == names


def test_a_step_has_one_routing_function() -> None:
    graph = graph_of("load", "a", edges="load>a")
    router = sample_n_steps(1)
    graph.route("load", router)
    graph.route("load", router)
    with pytest.raises(ConfigError, match="has a routing function already: sample_n_steps"):
        graph.route("load", sample_n_steps(1))


def test_a_copy_with_other_steps_leaves_the_graph_alone() -> None:
    graph = graph_of("load", "a", edges="load>a")
    graph.route("load", sample_n_steps(1))
    other = Numbers(name="load", count=3)
    copy = graph.with_steps({"load": other})
    copy.add(CombineOutputs(name="end"))
    copy.connect("a", "end")
    assert copy.steps["load"] is other and copy.routers == graph.routers
    assert graph.leaves() == ["a"] and list(graph.steps) == ["load", "a"]


def test_unused_names_count_up() -> None:
    graph = graph_of("pass_0", "pass_2")
    assert graph.unused_name("pass") == "pass_1"


def test_loops_are_found_in_any_plain_graph() -> None:
    assert find_loop({"a": ["b"], "b": []}) == []
    assert set(find_loop({"a": ["b"], "b": ["a"], "c": ["a"]})) == {"a", "b"}
    assert loop_sentence(find_loop({"a": ["a"]})) == "Step 'a' cannot be connected to itself."
