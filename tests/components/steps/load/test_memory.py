"""make_generator_step: sources made of data in memory."""

import datetime

import datasets
import pandas
import pytest

from components.errors import ConfigError
from components.steps import LoadDataFromDicts, StepResources, make_generator_step

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": None}, {"a": 3, "b": "z"}]


def rows_of(source, offset=0):
    return [row for rows in source.batches(offset) for row in rows]


@pytest.mark.parametrize("make", [list, pandas.DataFrame, datasets.Dataset.from_list], ids=["list", "frame", "dataset"])
def test_the_rows_are_those_of_the_data_wherever_the_reading_begins(make):
    source = make_generator_step(make(ROWS), batch_size=2, name="mine")
    assert source.name == "mine"
    assert source.get_outputs() == {"a": True, "b": True}
    assert rows_of(source) == ROWS == rows_of(source)
    assert rows_of(source, offset=1) == ROWS[1:]
    assert rows_of(source, offset=3) == []


def test_settings_reach_the_source():
    source = make_generator_step(ROWS, batch_size=7, output_mappings={"a": "n"}, resources=StepResources(replicas=2))
    assert isinstance(source, LoadDataFromDicts)
    assert (source.batch_size, source.resources.replicas) == (7, 2)
    assert list(rows_of(source)[0]) == ["n", "b"]


def test_a_frame_keeps_its_values_and_has_empty_cells_where_pandas_has_none():
    frame = pandas.DataFrame(
        {
            "when": [pandas.Timestamp("2024-05-01"), pandas.NaT],
            "score": [1.5, float("nan")],
            "tags": [["x"], []],
            "n": pandas.array([1, None], dtype="Int64"),
        },
        index=["r1", "r2"],
    )
    first, second = rows_of(make_generator_step(frame))
    assert first == {"when": datetime.datetime(2024, 5, 1), "score": 1.5, "tags": ["x"], "n": 1}
    assert second == {"when": None, "score": None, "tags": [], "n": None}


def test_a_frame_with_two_columns_of_one_name_or_mixed_values_is_an_error():
    with pytest.raises(ConfigError, match="more than one column 'a'"):
        make_generator_step(pandas.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(ConfigError, match="mixes kinds of values"):
        make_generator_step(pandas.DataFrame({"a": [1, "x", [2]]}))


def test_the_fingerprint_of_a_dataset_follows_its_content():
    one, same, other = (
        make_generator_step(datasets.Dataset.from_list(rows)) for rows in (ROWS, [dict(row) for row in ROWS], ROWS[:2])
    )
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()


def test_a_saved_dataset_source_says_that_the_data_has_to_be_given_again():
    source = make_generator_step(datasets.Dataset.from_list(ROWS))
    data = source.dump()
    assert "dataset" not in data
    with pytest.raises(ConfigError, match="needs a value for 'dataset'"):
        type(source)(**{key: value for key, value in data.items() if key != "use"})


@pytest.mark.parametrize("data", [None, 3, "rows.csv", {"a": [1]}, iter(ROWS)])
def test_anything_else_is_an_error(data):
    with pytest.raises(ConfigError, match="Give a list of dicts, a DataFrame or a Dataset"):
        make_generator_step(data)


def test_a_dataset_with_splits_asks_for_one_of_them():
    with pytest.raises(ConfigError, match="Give one of them: train, test"):
        make_generator_step(
            datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS), test=datasets.Dataset.from_list(ROWS))
        )
