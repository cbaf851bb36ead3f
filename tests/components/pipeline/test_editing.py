"""What the Build page does to a pipeline."""

from typing import Any

import pytest

from components.errors import ConfigError, UnknownComponent
from components.pipeline.checks import check
from components.pipeline.editing import (
    add_step,
    move_step,
    new_name,
    remove_step,
    rename_step,
    replace_step,
    set_field,
    with_name,
)
from components.pipeline.graph import MOST_STEPS
from components.pipeline.spec import PipelineSpec

pytestmark = pytest.mark.usefixtures("known_fakes")
LLM = {"use": "EchoLLM"}


def spec_of(*names: str, edges: str = "", **more: Any) -> PipelineSpec:
    steps = [
        {"use": "Numbers", "name": n} if n == "load" else {"use": "Ask", "name": n, "llm": dict(LLM)} for n in names
    ]
    connections = [{"from": up, "to": [down]} for up, down in (edge.split(">") for edge in edges.split())]
    return PipelineSpec(name="p", description="d", steps=steps, connections=connections, **more)


def wires(spec: PipelineSpec) -> str:
    return " ".join(f"{up}>{down}" for up, down in spec.edges())


def test_a_pipeline_is_built_from_nothing() -> None:
    spec = add_step(PipelineSpec(), "Numbers")
    spec = add_step(spec, "Ask")
    spec = set_field(spec, "ask_0", ("llm",), LLM)
    spec = add_step(spec, "KeepColumns")
    spec = set_field(spec, "keep_columns_0", ("columns",), ["generation"])
    assert wires(spec) == "numbers_0>ask_0 ask_0>keep_columns_0"
    assert check(spec) == []


def test_a_step_goes_between_its_neighbors() -> None:
    spec = add_step(spec_of("load", "a", "b", edges="load>a a>b"), "Review", after="a", name="new")
    assert spec.step_names() == ["load", "a", "new", "b"]
    assert wires(spec) == "load>a a>new new>b"


def test_a_step_before_branches_takes_them_over_with_their_routing() -> None:
    routing = [{"from": "load", "use": "sample_n_steps", "n": 1}]
    spec = add_step(
        spec_of("load", "a", "b", edges="load>a load>b", routing=routing), "Review", after="load", name="new"
    )
    assert wires(spec) == "load>new new>a new>b"
    assert [entry.model_dump() for entry in spec.routing] == [{"from": "new", "use": "sample_n_steps", "n": 1}]


def test_a_source_goes_to_the_front() -> None:
    spec = add_step(spec_of("a", "b", edges="a>b"), "Numbers")
    assert spec.step_names() == ["numbers_0", "a", "b"]
    assert wires(spec) == "numbers_0>a a>b"


def test_a_second_source_takes_nothing_from_the_first() -> None:
    spec = add_step(spec_of("load", "a", edges="load>a"), "Numbers")
    assert wires(spec) == "load>a"


def test_names_are_unused_and_proper() -> None:
    spec = spec_of("load", "ask_0")
    assert new_name(spec, "Ask") == "ask_1"
    for wanted, sentence in (
        ("load", "is in the pipeline already"),
        ("a b", "cannot be the name"),
        ("x" * 101, "cannot be"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            add_step(spec, "Ask", name=wanted)


def test_unknown_components_and_places_are_refused() -> None:
    with pytest.raises(UnknownComponent):
        add_step(PipelineSpec(), "Asks")
    with pytest.raises(ConfigError, match="There is no step 'gone'"):
        add_step(spec_of("load"), "Ask", after="gone")
    with pytest.raises(ConfigError, match="1,000 steps at most"):
        add_step(PipelineSpec(steps=[{"use": "Ask"}] * MOST_STEPS), "Ask")


def test_a_removed_step_leaves_its_neighbors_connected() -> None:
    assert wires(remove_step(spec_of("load", "a", "b", edges="load>a a>b"), "a")) == "load>b"
    assert wires(remove_step(spec_of("load", "a", "b", edges="load>a a>b"), "load")) == "a>b"
    assert wires(remove_step(spec_of("load", "a", "b", "c", edges="load>a a>b a>c"), "a")) == "load>b load>c"
    assert wires(remove_step(spec_of("load", "a", "b", edges="load>a load>b a>b"), "a")) == "load>b"


def test_the_routing_of_a_removed_step_goes_to_the_one_before_it() -> None:
    routing = [{"from": "a", "use": "sample_n_steps", "n": 1}]
    alone = remove_step(spec_of("load", "a", "b", "c", edges="load>a a>b a>c", routing=routing), "a")
    assert [entry.source for entry in alone.routing] == ["load"]
    beside = remove_step(spec_of("load", "a", "b", "c", edges="load>a load>c a>b", routing=routing), "a")
    assert beside.routing == []


def test_steps_change_places() -> None:
    spec = spec_of("load", "a", "b", "c", edges="load>a a>b b>c")
    up = move_step(spec, "c", "up")
    assert (up.step_names(), wires(up)) == (["load", "a", "c", "b"], "load>a a>c c>b")
    down = move_step(spec, "a", "down")
    assert (down.step_names(), wires(down)) == (["load", "b", "a", "c"], "load>b b>a a>c")
    assert move_step(up, "c", "down") == spec


@pytest.mark.parametrize(
    ("edges", "name", "direction", "sentence"),
    [
        ("load>a a>b", "a", "up", "the source 'load' stays in front"),
        ("load>a a>b", "load", "down", "the source 'load' stays in front"),
        ("load>a a>b", "load", "up", "it is the first"),
        ("load>a a>b", "b", "down", "it is the last"),
        ("load>a load>b a>c b>c", "c", "up", "branch or come together"),
        ("load>a load>b", "a", "up", "branch or come together"),
        ("load>a load>b", "load", "down", "branch or come together"),
    ],
)
def test_steps_stay_where_a_move_has_no_clear_meaning(edges: str, name: str, direction: Any, sentence: str) -> None:
    names = dict.fromkeys(edges.replace(">", " ").split())
    with pytest.raises(ConfigError, match=sentence):
        move_step(spec_of(*names, edges=edges), name, direction)


def test_a_new_name_stands_everywhere() -> None:
    routing = [{"from": "a", "use": "sample_n_steps", "n": 1}]
    spec = rename_step(spec_of("load", "a", "b", edges="load>a a>b", routing=routing), "a", "label")
    assert spec.step_names() == ["load", "label", "b"]
    assert wires(spec) == "load>label label>b"
    assert spec.routing[0].source == "label"
    assert rename_step(spec, "label", "label") is spec
    assert set_field(spec, "label", ("name",), "tag").step_names() == ["load", "tag", "b"]
    with pytest.raises(ConfigError, match="already"):
        rename_step(spec, "label", "b")


def test_a_step_cannot_be_without_a_name() -> None:
    with pytest.raises(ConfigError, match="needs a name"):
        rename_step(spec_of("load", "a"), "a", "  ")
    assert rename_step(spec_of("load", "a"), "a", " b ").step_names() == ["load", "b"]


def test_other_settings_never_change_the_name_or_the_place_of_a_step() -> None:
    spec = spec_of("load", "a", "b", edges="load>a a>b")
    changed = replace_step(spec, "a", {"use": "KeepColumns", "name": "stolen", "columns": ["x"]})
    assert changed.step("a") == {"use": "KeepColumns", "name": "a", "columns": ["x"]}
    assert changed.step_names() == spec.step_names() and wires(changed) == wires(spec)


def test_a_pipeline_is_called_something_else() -> None:
    spec = spec_of("load", "a", edges="load>a")
    assert with_name(spec, " q ").model_dump() == spec.model_dump() | {"name": "q"}


def test_a_step_at_the_front_stands_before_all_or_right_after_the_source() -> None:
    assert wires(add_step(spec_of("a", "b", edges="a>b"), "Ask", "")) == "ask_0>a a>b"
    assert wires(add_step(spec_of("load", "a", edges="load>a"), "Ask", "")) == "load>ask_0 ask_0>a"


def test_fields_are_set_at_any_depth() -> None:
    spec = spec_of("load", "a")
    path = ("llm", "generation_kwargs", "temperature")
    warm = set_field(spec, "a", path, 0.5)
    assert warm.step("a")["llm"] == {"use": "EchoLLM", "generation_kwargs": {"temperature": 0.5}}
    assert set_field(spec, "load", ("count",), 3).step("load") == {"use": "Numbers", "name": "load", "count": 3}


def test_items_of_lists_are_set_by_number() -> None:
    spec = PipelineSpec(steps=[{"use": "KeepColumns", "name": "k", "columns": ["a", "b"]}])
    assert set_field(spec, "k", ("columns", 1), "c").step("k")["columns"] == ["a", "c"]
    assert set_field(spec, "k", ("columns", 2), "c").step("k")["columns"] == ["a", "b", "c"]


@pytest.mark.parametrize("path", [(), ("columns", 5), ("columns", "x"), ("columns", 0, "x"), ("use", "x")])
def test_places_that_are_not_there_are_refused(path: tuple[Any, ...]) -> None:
    spec = PipelineSpec(steps=[{"use": "KeepColumns", "name": "k", "columns": ["a", "b"]}])
    with pytest.raises(ConfigError, match="has no place"):
        set_field(spec, "k", path, "v")


def test_wrong_values_are_kept_for_the_checks_to_say() -> None:
    spec = set_field(spec_of("load"), "load", ("count",), "many")
    assert [problem.field for problem in check(spec)] == ["count"]


def test_another_component_keeps_the_fields_it_has_too() -> None:
    spec = set_field(spec_of("load", "a"), "a", ("num_generations",), 2)
    assert set_field(spec, "a", ("use",), "Review").step("a") == spec.step("a") | {"use": "Review"}
    assert set_field(spec, "a", ("use",), "KeepColumns").step("a") == {"use": "KeepColumns", "name": "a"}
    other = set_field(spec, "a", ("llm", "use"), "RehearsalLLM").step("a")
    assert other["llm"] == {"use": "RehearsalLLM"}
    with pytest.raises(UnknownComponent):
        set_field(spec, "a", ("use",), "Nix")


def test_a_key_is_never_taken_in() -> None:
    with pytest.raises(ConfigError, match="never holds keys"):
        set_field(spec_of("load", "a"), "a", ("llm", "generation_kwargs", "api_key"), "sk-canary")


def test_every_change_leaves_the_old_pipeline_as_it_was() -> None:
    spec = spec_of("load", "a", "b", edges="load>a a>b")
    before = spec.model_dump_json()
    value = {"use": "EchoLLM", "generation_kwargs": {"temperature": 1}}
    changed = set_field(spec, "a", ("llm",), value)
    set_field(changed, "a", ("llm", "generation_kwargs", "temperature"), 2)
    for change in (
        add_step(spec, "Ask"),
        remove_step(spec, "a"),
        move_step(spec, "b", "up"),
        rename_step(spec, "a", "c"),
    ):
        assert change != spec and (change.name, change.description) == ("p", "d")
    assert spec.model_dump_json() == before
    assert value["generation_kwargs"] == {"temperature": 1}
