import pyarrow.parquet as pq
import pytest

from app.studio.columnar import ROWS, Kinds, write_parquet


def written(tmp_path, rows, columns=("value",)):
    kinds = Kinds()
    for row in rows:
        kinds.see(row)
    path = tmp_path / "rows.parquet"
    write_parquet(path, kinds.of(columns), lambda: rows)
    return pq.ParquetFile(path)


def values(tmp_path, items):
    file = written(tmp_path, [{"value": item} for item in items])
    return file.schema_arrow.field("value").type, file.read().column("value").to_pylist()


def test_a_column_that_is_empty_for_thousands_of_rows_gets_the_kind_of_what_comes_later(tmp_path):
    kind, found = values(tmp_path, [None] * (ROWS + 10) + ["text"])
    assert str(kind) == "string" and found[-1] == "text" and found[0] is None


@pytest.mark.parametrize(
    ("items", "kind", "expected"),
    [
        ([None, None], "string", [None, None]),
        ([1, 2.5], "double", [1.0, 2.5]),
        ([1, "a"], "string", ["1", "a"]),
        ([True, 1], "string", ["true", "1"]),
        ([[], ["a"]], "list<element: string>", [[], ["a"]]),
        ([[], []], "list<element: string>", [[], []]),
        ([{}, {}], "string", ["{}", "{}"]),
        ([[{}]], "string", ["[{}]"]),
        ([{"a": 1}, {"b": "x"}], "struct<a: int64, b: string>", [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
        ([2**63 - 1, 1], "int64", [2**63 - 1, 1]),
        ([["a"], "b"], "string", ['["a"]', "b"]),
    ],
)
def test_values_of_one_kind_keep_it_and_others_become_text(tmp_path, items, kind, expected):
    found_kind, found = values(tmp_path, items)
    assert str(found_kind) == kind.replace("element", found_kind.field(0).name if "list" in kind else "")
    assert found == expected


@pytest.mark.parametrize(
    ("first", "later", "expected"),
    [
        (1, 2.5, 1.0),
        (1, "a", "1"),
        (2**60 + 1, 2.5, str(2**60 + 1)),
        (["a"], [1], '["a"]'),
        ({"a": 1}, {"a": "x"}, '{"a":1}'),
        ([None], ["a"], [None]),
        ({"a": None}, {"a": {"b": 1}}, {"a": None}),
    ],
)
def test_what_does_not_go_together_thousands_of_rows_apart_is_still_written(tmp_path, first, later, expected):
    _, found = values(tmp_path, [first] * ROWS + [later])
    assert len(found) == ROWS + 1 and found[0] == expected


def test_rows_may_lack_columns_and_columns_rows(tmp_path):
    file = written(tmp_path, [{"a": 1}, {"b": "x"}], ["a", "b", "c"])
    assert file.read().to_pylist() == [{"a": 1, "b": None, "c": None}, {"a": None, "b": "x", "c": None}]


def test_a_table_without_rows_is_a_file_with_columns(tmp_path):
    file = written(tmp_path, [], ["a"])
    assert file.metadata.num_rows == 0 and file.schema_arrow.names == ["a"]


def test_rows_are_written_in_groups(tmp_path):
    assert written(tmp_path, [{"value": n} for n in range(ROWS * 2 + 1)]).num_row_groups == 3
