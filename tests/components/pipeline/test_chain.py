"""Whatever a person does to a column of cards, it stays connected from top to bottom."""

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import ConfigError
from components.pipeline.chain import chain_of, is_source, links
from components.pipeline.checks import check
from components.pipeline.editing import add_step, move_step, remove_step, rename_step, replace_step, set_field
from components.pipeline.spec import PipelineSpec
from tests.components.pipeline.test_editing import spec_of, wires

pytestmark = pytest.mark.usefixtures("known_fakes")

USES = {
    "Numbers": {},
    "LoadDataFromDicts": {"data": [{"instruction": "x"}]},
    "Ask": {"llm": {"use": "EchoLLM"}},
    "KeepColumns": {"columns": ["instruction"]},
    "CombineOutputs": {},
    "GroupColumns": {"columns": ["instruction"]},
}
act = st.tuples(
    st.sampled_from(["add", "add_last", "remove", "up", "down", "rename", "replace", "use"]),
    st.integers(0, 9),
    st.sampled_from(sorted(USES)),
)


def test_the_source_that_is_left_feeds_the_steps_when_the_other_goes() -> None:
    spec = add_step(spec_of("load", "a", "b", edges="load>a a>b"), "Numbers", name="other")
    assert wires(remove_step(spec, "load")) == "other>a a>b"
    assert wires(remove_step(spec, "other")) == "load>a a>b"


def test_the_source_right_above_the_steps_feeds_them() -> None:
    spec = add_step(spec_of("load", "a", edges="load>a"), "Numbers", name="other")
    moved = move_step(spec, "other", "down")
    assert (moved.step_names(), wires(moved)) == (["load", "other", "a"], "other>a")
    with pytest.raises(ConfigError, match="the source 'other' stays in front"):
        move_step(moved, "other", "down")


def test_a_step_added_below_a_spare_source_stands_below_all_sources() -> None:
    spec = add_step(spec_of("load", "a", edges="load>a"), "Numbers", name="other")
    assert wires(add_step(spec, "Ask", "other", "new")) == "load>new new>a"


def test_a_step_that_takes_rows_of_several_gets_those_of_all_sources() -> None:
    spec = add_step(spec_of("load", "a", edges="load>a"), "Numbers", name="other")
    both = add_step(spec, "CombineOutputs", "load", "both")
    assert wires(both) == "other>both load>both both>a"
    assert wires(remove_step(both, "both")) == "load>a"
    assert wires(replace_step(both, "both", {"use": "KeepColumns", "columns": ["x"]})) == "load>both both>a"


def test_steps_that_came_apart_are_connected_again_by_the_next_change() -> None:
    apart = spec_of("load", "a", "b", edges="a>b")
    assert wires(add_step(apart, "Ask", name="c")) == "load>a a>b b>c"
    assert wires(remove_step(spec_of("load", "a", "b", edges="load>a"), "a")) == "load>b"


def test_steps_listed_in_another_order_are_put_in_the_order_of_their_rows() -> None:
    spec = add_step(spec_of("b", "load", "a", edges="load>a a>b"), "Ask", name="c")
    assert (spec.step_names(), wires(spec)) == (["load", "a", "b", "c"], "load>a a>b b>c")


@pytest.mark.parametrize(
    "edges",
    ["load>a load>b", "load>a load>b a>c b>c", "load>a a>b b>a", "a>b c>d", "load>a gone>b", "load>a a>load", "a>a"],
)
def test_pipelines_that_branch_are_no_chain(edges: str) -> None:
    names = dict.fromkeys(edges.replace(">", " ").split())
    assert chain_of(spec_of(*(name for name in names if name != "gone"), edges=edges)) is None


def test_a_branch_that_loses_its_source_gets_the_rows_of_another() -> None:
    spec = add_step(spec_of("load", "a", "b", edges="load>a load>b"), "Numbers", name="other")
    assert wires(remove_step(spec, "load")) == "other>a other>b"


def edited(spec: PipelineSpec, kind: str, at: int, use: str) -> PipelineSpec:
    names = spec.step_names()
    name = names[at % len(names)] if names else ""
    if kind.startswith("add"):
        before = set(names)
        spec = add_step(spec, use, None if kind == "add_last" else ["", *names][at % (len(names) + 1)])
        (name,) = set(spec.step_names()) - before
        return replace_step(spec, name, {"use": use, **USES[use]})
    if not name:
        return spec
    if kind == "remove":
        return remove_step(spec, name)
    if kind == "rename":
        return rename_step(spec, name, f"{name[:20]}_{at}")
    if kind == "replace":
        return replace_step(spec, name, {"use": use, **USES[use]})
    if kind == "use":
        return replace_step(set_field(spec, name, ("use",), use), name, {"use": use, **USES[use]})
    direction: Literal["up", "down"] = "up" if kind == "up" else "down"
    return move_step(spec, name, direction)


def unconnected(spec: PipelineSpec) -> list[Any]:
    return [
        problem for problem in check(spec) if problem.severity == "error" and problem.field in ("connections", "steps")
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(act, max_size=14))
def test_a_column_is_a_chain_after_any_edits(acts: list[tuple[str, int, str]]) -> None:
    spec = PipelineSpec(name="p")
    for kind, at, use in acts:
        try:
            spec = edited(spec, kind, at, use)
        except ConfigError as error:
            assert any(words in str(error) for words in ("stays in front", "it is the", "already"))
        assert chain_of(spec) == spec.step_names()
        assert spec.edges() == sorted(links(spec.steps), key=lambda edge: spec.step_names().index(edge[0]))
        if any(is_source(step) for step in spec.steps):
            assert unconnected(spec) == []
