from itertools import pairwise

import pytest

from app.ui.edits import add_step, is_chain, move_step, remove_step, rename_step, replace_step
from components.errors import ConfigError
from components.pipeline.spec import PipelineSpec

SOURCE = {"use": "LoadDataFromDicts", "name": "seeds", "data": [{"text": "a"}]}


def chain(*names: str) -> PipelineSpec:
    steps = [SOURCE, *({"use": "KeepColumns", "name": name, "columns": ["text"]} for name in names)]
    order = ["seeds", *names]
    connections = [{"from": one, "to": [other]} for one, other in pairwise(order)]
    return PipelineSpec(name="p", steps=steps, connections=connections)


def branches() -> PipelineSpec:
    steps = [SOURCE, *({"use": "KeepColumns", "name": name, "columns": ["text"]} for name in ("a", "b", "c"))]
    connections = [{"from": "seeds", "to": ["a", "b"]}, {"from": "a", "to": ["c"]}]
    return PipelineSpec(name="p", steps=steps, connections=connections)


def test_a_new_step_gets_the_rows_of_the_one_above_it() -> None:
    spec, name = add_step(chain("first", "last"), {"use": "MergeColumns"}, 2)
    assert name == "merge_columns_0"
    assert spec.step_names() == ["seeds", "first", "merge_columns_0", "last"]
    assert is_chain(spec)


def test_the_first_source_goes_to_the_top() -> None:
    empty, _ = add_step(PipelineSpec(name="p"), {"use": "KeepColumns"}, 0)
    spec, name = add_step(empty, {"use": "LoadDataFromDicts"}, 5)
    assert spec.step_names()[0] == name and is_chain(spec)


def test_moving_a_step_of_a_plain_column_moves_its_rows_too() -> None:
    spec = move_step(chain("first", "last"), "last", -1)
    assert spec.edges() == [("seeds", "last"), ("last", "first")]


def test_removing_a_step_closes_the_gap() -> None:
    assert remove_step(chain("first", "last"), "first").edges() == [("seeds", "last")]
    assert remove_step(branches(), "a").edges() == [("seeds", "b"), ("seeds", "c")]


def test_branches_keep_their_connections_when_the_cards_are_moved() -> None:
    spec = branches()
    assert not is_chain(spec)
    assert sorted(move_step(spec, "c", -2).edges()) == sorted(spec.edges())
    added, name = add_step(spec, {"use": "MergeColumns"}, 2)
    assert ("a", name) in added.edges() and set(spec.edges()) < set(added.edges())


def test_renaming_a_step_renames_it_everywhere() -> None:
    assert rename_step(branches(), "a", "answers").edges() == [("seeds", "answers"), ("seeds", "b"), ("answers", "c")]
    with pytest.raises(ConfigError, match="Another step is called 'b' already"):
        rename_step(branches(), "a", "b")


def test_other_settings_never_change_a_step_s_name_or_place() -> None:
    spec = replace_step(chain("first"), "first", {"use": "KeepColumns", "name": "stolen", "columns": ["x"]})
    assert spec.step("first")["columns"] == ["x"] and spec.step_names() == ["seeds", "first"]
