"""LoadDataFromDicts: rows written in the pipeline."""

import datetime

import pytest

from components.errors import ConfigError
from components.steps import LoadDataFromDicts

ROWS = [{"a": 1}, {"b": [2], "a": None}, {"c": {"x": 3}}]


def rows_of(source, offset=0):
    return [row for rows in source.batches(offset) for row in rows]


def test_the_columns_are_those_of_all_rows_and_missing_ones_are_empty():
    source = LoadDataFromDicts(data=ROWS)
    assert source.outputs == ["a", "b", "c"]
    assert rows_of(source) == [
        {"a": 1, "b": None, "c": None},
        {"a": None, "b": [2], "c": None},
        {"a": None, "b": None, "c": {"x": 3}},
    ]


def test_the_data_is_there_for_a_second_run():
    source = LoadDataFromDicts(data=ROWS, batch_size=2)
    assert rows_of(source) == rows_of(source)
    assert len(source.data) == 3


def test_what_the_rows_become_does_not_change_the_data():
    data = [{"a": 1}]
    source = LoadDataFromDicts(data=data)
    rows_of(source)[0]["a"] = 9
    data[0]["a"] = 8
    assert rows_of(source) == [{"a": 1}]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7, 100])
@pytest.mark.parametrize("offset", [0, 1, 3, 6, 7, 9])
def test_an_offset_is_a_number_of_rows_for_every_batch_size(batch_size, offset):
    source = LoadDataFromDicts(data=[{"n": n} for n in range(7)], batch_size=batch_size)
    assert [row["n"] for row in rows_of(source, offset)] == list(range(offset, 7))


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5])
def test_exactly_the_last_batch_is_marked(count):
    source = LoadDataFromDicts(data=[{"n": n} for n in range(count)], batch_size=2)
    marks = [is_last for _, is_last in source.process()]
    assert marks[-1] is True and not any(marks[:-1])


def test_an_empty_list_is_no_rows():
    source = LoadDataFromDicts(data=[])
    assert (source.outputs, rows_of(source)) == ([], [])


def test_the_data_is_saved_and_part_of_the_identity():
    source = LoadDataFromDicts(data=ROWS)
    assert source.dump()["data"] == ROWS
    assert source.signature() == LoadDataFromDicts(data=ROWS, batch_size=7).signature()
    assert source.signature() != LoadDataFromDicts(data=ROWS[:2]).signature()


def test_columns_can_be_renamed():
    source = LoadDataFromDicts(data=[{"a": 1}], output_mappings={"a": "instruction"})
    assert source.get_outputs() == {"instruction": True}
    assert rows_of(source) == [{"instruction": 1}]


@pytest.mark.parametrize("data", ["text", [1], [{"a": 1}, ["b"]], [{1: 2}], None])
def test_what_is_no_list_of_rows_is_an_error(data):
    with pytest.raises(ConfigError, match="'data"):
        LoadDataFromDicts(data=data)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (2**70, "row 2 cannot be kept, as its column 'v' holds a number beyond 64 bits; write it as text"),
        (-(2**63) - 1, "a number beyond 64 bits"),
        ("half \ud83d", "half of a character (a lone surrogate); take it out"),
        ({"deep": ["\udc00"]}, "half of a character"),
    ],
)
def test_a_value_that_cannot_be_kept_is_named_by_row_and_column(value, sentence):
    with pytest.raises(ConfigError) as error:
        LoadDataFromDicts(data=[{"v": "fine"}, {"w": 1, "v": value}])
    assert sentence in str(error.value)


def test_a_value_that_contains_itself_is_named_too():
    own = []
    own.append(own)
    with pytest.raises(ConfigError, match="row 1 cannot be kept, as its column 'v'"):
        LoadDataFromDicts(data=[{"v": own}])


def test_values_that_can_be_kept_are_left_as_they_are():
    rows = [{"big": 2**63, "date": datetime.date(2024, 1, 1), "inner": {1: {2}}, "no": None}]
    assert LoadDataFromDicts(data=rows).data == rows
