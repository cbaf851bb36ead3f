"""Steps that arrange columns."""

import json

import pytest

from components.errors import ConfigError, MissingColumn
from components.steps import CombineOutputs, ExpandColumns, GroupColumns, KeepColumns, MergeColumns
from components.steps.step import METADATA

STEPS = [
    KeepColumns(columns=["a"]),
    MergeColumns(columns=["a"]),
    ExpandColumns(columns=["a"]),
    GroupColumns(columns=["a"]),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_missing_column_is_named_with_the_closest(step):
    with pytest.raises(MissingColumn, match=r"the column 'a', as a row has none\. Did you mean 'aa'\?"):
        step.apply([{"aa": 1}])


@pytest.mark.parametrize("kind", [KeepColumns, MergeColumns, ExpandColumns, GroupColumns])
def test_no_columns_at_all_is_an_error(kind):
    with pytest.raises(ConfigError, match="'columns'"):
        kind(columns=[])


def test_keep_drops_all_but_its_columns_and_orders_them():
    step = KeepColumns(columns=["c", "a"])
    made = step.apply([{"a": 1, "b": 2, "c": None, METADATA: {}}])
    assert [list(row.items()) for row in made] == [[("c", None), ("a", 1)]]
    assert (step.get_inputs(), step.get_outputs(), step.keeps_columns) == (
        {"c": True, "a": True},
        {"c": True, "a": True},
        False,
    )


def test_keep_takes_the_rows_of_every_branch():
    assert KeepColumns(columns=["a"]).apply([{"a": 1, "b": 0}], [{"a": 2}]) == [{"a": 1}, {"a": 2}]


def test_combine_puts_branches_side_by_side_and_keeps_all_metadata():
    left = [{"id": 1, "x": "left", METADATA: {"raw_output_one": "1"}}]
    right = [{"id": 1, "x": "right", "y": 2, METADATA: {"raw_output_two": "2"}}]
    assert CombineOutputs().apply(left, right) == [
        {"id": 1, "x": "right", "y": 2, METADATA: {"raw_output_one": "1", "raw_output_two": "2"}}
    ]
    assert METADATA not in CombineOutputs().apply([{"a": 1}], [{"b": 2}])[0]


@pytest.mark.parametrize("step", [CombineOutputs(), GroupColumns(columns=["a"])], ids=lambda step: step.name)
def test_branches_of_different_length_are_an_error_and_nothing_is_cut(step):
    with pytest.raises(ConfigError, match="they have 2, 1 rows"):
        step.apply([{"a": 1}, {"a": 2}], [{"a": 3}])


def test_group_gathers_a_column_of_all_branches():
    branches = [[{"id": 7, "generation": name, "model_name": f"m{name}"}] for name in "abc"]
    step = GroupColumns(columns=["generation", "model_name"])
    assert step.apply(*branches) == [
        {"id": 7, "grouped_generation": ["a", "b", "c"], "grouped_model_name": ["ma", "mb", "mc"]}
    ]
    assert step.get_removed() == {"generation", "model_name"}
    assert list(step.get_outputs()) == ["grouped_generation", "grouped_model_name"]


def test_group_can_name_its_lists_and_leaves_the_branches_as_they_were():
    branches = [[{"generation": "a"}], [{"generation": None}]]
    step = GroupColumns(columns=["generation"], output_columns=["generations"])
    assert step.apply(*branches) == [{"generations": ["a", None]}]
    assert branches == [[{"generation": "a"}], [{"generation": None}]]


def test_group_needs_a_name_for_every_list():
    with pytest.raises(ConfigError, match="1 names for 2 columns"):
        GroupColumns(columns=["a", "b"], output_columns=["c"])


def test_merge_makes_one_list_and_loses_no_other_column():
    step = MergeColumns(columns=["a", "b"], output_column="both")
    row = {"a": 1, "b": [2, 3], "c": 4, METADATA: {"x": 1}}
    assert step.apply([row]) == [{"c": 4, METADATA: {"x": 1}, "both": [1, 2, 3]}]
    assert row["a"] == 1
    assert (step.get_removed(), list(step.get_outputs())) == ({"a", "b"}, ["both"])


def test_merge_may_write_into_one_of_its_columns():
    step = MergeColumns(columns=["a", "b"], output_column="a")
    assert step.apply([{"a": "x", "b": "y"}]) == [{"a": ["x", "y"]}]
    assert step.get_removed() == {"b"}


def test_expand_makes_a_row_of_each_item():
    step = ExpandColumns(columns=["a"])
    assert step.apply([{"a": [1, 2], "b": 0}, {"a": [3], "b": 1}]) == [
        {"b": 0, "a": 1},
        {"b": 0, "a": 2},
        {"b": 1, "a": 3},
    ]


def test_expand_can_rename_and_takes_lists_side_by_side():
    step = ExpandColumns(columns={"as": "a", "bs": "b"})
    assert step.apply([{"as": [1, 2, 3], "bs": ["x", "y"], "c": 0}]) == [
        {"c": 0, "a": 1, "b": "x"},
        {"c": 0, "a": 2, "b": "y"},
        {"c": 0, "a": 3, "b": None},
    ]
    assert (step.get_removed(), list(step.get_outputs())) == ({"as", "bs"}, ["a", "b"])


@pytest.mark.parametrize("encoded", [True, ["a"]])
def test_expand_reads_lists_that_are_written_as_json(encoded):
    step = ExpandColumns(columns=["a", "b"], encoded=encoded)
    row = {"a": json.dumps([{"x": 1}, "é"]), "b": [1, 2]}
    assert step.apply([row]) == [{"a": {"x": 1}, "b": 1}, {"a": "é", "b": 2}]


@pytest.mark.parametrize(
    ("value", "encoded", "message"),
    [("[1, 2]", False, "set encoded"), ("[1, 2", True, "no JSON"), ("{}", True, "holds dict"), (3, False, "holds int")],
)
def test_expand_says_what_is_wrong_with_a_value_that_is_no_list(value, encoded, message):
    with pytest.raises(ConfigError, match=f"'a'.*{message}"):
        ExpandColumns(columns=["a"], encoded=encoded).apply([{"a": value}])


def test_an_empty_list_gives_no_row_and_an_empty_cell_counts_as_one():
    step = ExpandColumns(columns=["a", "b"])
    assert step.apply([{"a": [], "b": None}]) == []
    assert step.apply([{"a": [1], "b": None}]) == [{"a": 1, "b": None}]


def test_shared_out_token_counts_keep_their_sum():
    statistics = {"statistics_t": {"input_tokens": 7, "output_tokens": 3}, "raw_output_t": "x"}
    row = {"a": [1, 2], METADATA: statistics}
    made = ExpandColumns(columns=["a"], split_statistics=True).apply([row])
    shares = [one[METADATA]["statistics_t"] for one in made]
    assert shares == [{"input_tokens": 4, "output_tokens": 2}, {"input_tokens": 3, "output_tokens": 1}]
    assert made[1][METADATA]["raw_output_t"] == "x"
    assert row[METADATA]["statistics_t"]["input_tokens"] == 7


def test_token_counts_stay_as_they_are_unless_they_are_to_be_shared_out():
    row = {"a": [1, 2], METADATA: {"statistics_t": {"input_tokens": 7}}}
    made = ExpandColumns(columns=["a"]).apply([row])
    assert [one[METADATA]["statistics_t"]["input_tokens"] for one in made] == [7, 7]


@pytest.mark.parametrize(
    "step",
    [
        KeepColumns(columns=["a"]),
        MergeColumns(columns=["a"], output_column="m"),
        ExpandColumns(columns={"a": "b"}, encoded=["a"]),
        GroupColumns(columns=["a"], output_columns=["b"]),
        CombineOutputs(),
    ],
    ids=lambda step: step.name,
)
def test_a_saved_step_is_the_same_step(step):
    data = step.dump()
    again = type(step)(**{key: value for key, value in data.items() if key != "use"})
    assert (again.dump(), again.signature()) == (data, step.signature())
