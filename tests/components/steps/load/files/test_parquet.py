"""Parquet files, good and bad."""

import math
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import DataFileError
from components.steps.load.files import FileLimits, open_table

GOOD: dict[str, tuple[pa.Array, list[Any]]] = {
    "text": (pa.array(["é", "", None]), ["é", "", None]),
    "whole": (pa.array([2**63 - 1, -(2**63), None]), [2**63 - 1, -(2**63), None]),
    "unsigned": (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
    "part": (pa.array([0.1, math.nan, None]), [0.1, None, None]),
    "half": (pa.array([0.5], pa.float16()), [0.5]),
    "truth": (pa.array([True, False, None]), [True, False, None]),
    "nothing": (pa.nulls(2), [None, None]),
    "decimal": (pa.array([Decimal("12.50"), Decimal("-0.01"), None]), ["12.50", "-0.01", None]),
    "large_decimal": (pa.array([Decimal(10**38)], pa.decimal256(60, 2)), [f"{10**38}.00"]),
    "day": (pa.array([date(2026, 3, 1), None]), ["2026-03-01", None]),
    "hour": (pa.array([time(8, 15, 0, 5)]), ["08:15:00.000005"]),
    "moment": (pa.array([datetime(2026, 3, 1, 9, 30)], pa.timestamp("us")), ["2026-03-01T09:30:00"]),
    "moment_in_utc": (pa.array([datetime(2026, 3, 1, tzinfo=UTC)]), ["2026-03-01T00:00:00+00:00"]),
    "moment_elsewhere": (
        pa.array([datetime(2026, 3, 1, tzinfo=ZoneInfo("Europe/Paris"))]),
        ["2026-03-01T00:00:00+01:00"],
    ),
    "nanoseconds": (pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")), ["2023-11-14T22:13:20.123456789"]),
    "lasting": (pa.array([timedelta(minutes=1, milliseconds=5)]), [60.005]),
    "few_texts": (pa.array(["a", "b", None, "a"]).dictionary_encode(), ["a", "b", None, "a"]),
    "list": (pa.array([[1, None], [], None]), [[1, None], [], None]),
    "list_of_days": (pa.array([[date(2026, 3, 1)], None]), [["2026-03-01"], None]),
    "fixed_list": (pa.array([[0.5, 1.5]], pa.list_(pa.float32(), 2)), [[0.5, 1.5]]),
    "objects": (
        pa.array([{"a": 1, "b": {"c": [Decimal("1.0")]}}, None]),
        [{"a": 1, "b": {"c": ["1.0"]}}, None],
    ),
    "messages": (
        pa.array([[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]]),
        [[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]],
    ),
    "map": (pa.array([[("a", 1), ("b", None)], []], pa.map_(pa.string(), pa.int64())), [{"a": 1, "b": None}, {}]),
    "map_by_number": (pa.array([[(1, b"x")]], pa.map_(pa.int32(), pa.binary())), [{"1": "eA=="}]),
    "identity": (pa.array([uuid.UUID(int=7).bytes], pa.uuid()), [str(uuid.UUID(int=7))]),
}


def written(path: Path, table: pa.Table, **options: Any) -> Path:
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize("case", GOOD)
def test_values_become_what_json_can_hold(tmp_path: Path, case: str) -> None:
    array, values = GOOD[case]
    table = open_table(written(tmp_path / "a.parquet", pa.table({"x": array})))
    assert list(table.rows()) == [{"x": value} for value in values]
    assert (table.columns, table.n_rows, table.filetype, table.warnings) == (["x"], len(values), "parquet", [])


@pytest.mark.parametrize("array", [pa.array([b"\x00\xff", None]), pa.array([b"\x00\xff", None], pa.binary(2))])
def test_bytes_become_base64_and_are_said(tmp_path: Path, array: pa.Array) -> None:
    table = open_table(written(tmp_path / "a.parquet", pa.table({"x": array})))
    assert list(table.rows()) == [{"x": "AP8="}, {"x": None}]
    assert table.warnings == ["Column 'x' holds bytes; they are read as base64 text."]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"data_page_version": "2.0"},
        {"use_dictionary": False},
        {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
        *({"compression": codec} for codec in ("none", "gzip", "zstd", "brotli", "lz4")),
    ],
    ids=str,
)
def test_rows_come_in_order_from_all_row_groups(tmp_path: Path, options: dict[str, Any]) -> None:
    rows = [{"id": number, "text": f"row {number % 77}" * 20, "tags": ["a"] * (number % 4)} for number in range(3_000)]
    path = written(tmp_path / "a.parquet", pa.Table.from_pylist(rows), row_group_size=700, **options)
    table = open_table(path)
    assert list(table.rows()) == rows
    assert list(table.rows()) == rows


def test_no_rows_are_a_table_with_a_warning(tmp_path: Path) -> None:
    table = open_table(written(tmp_path / "a.parquet", pa.table({"a": pa.array([], pa.string()), "b": pa.nulls(0)})))
    assert (table.columns, list(table.rows()), table.n_rows) == (["a", "b"], [], 0)
    assert table.warnings == ["The file has a header but no rows."]


def test_repeated_and_empty_names_are_changed(tmp_path: Path) -> None:
    table = open_table(written(tmp_path / "a.parquet", pa.table([[1], [2], [3]], names=["a", "a", ""])))
    assert list(table.rows()) == [{"a": 1, "a_2": 2, "column_3": 3}]


def _sound(path: Path) -> bytes:
    return written(path, pa.table({"id": list(range(1_000)), "text": ["hello"] * 1_000})).read_bytes()


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(_sound(path)[:-200])
    with pytest.raises(DataFileError) as caught:
        open_table(path)
    assert caught.value.message == (
        "a.parquet: the end of the file is missing. It was cut off: get the whole file again."
    )


def test_a_file_with_its_middle_torn_out_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    content = _sound(path)
    path.write_bytes(content[:1_000] + content[1_400:])
    with pytest.raises(DataFileError, match=r"^a\.parquet"):
        open_table(path).count()


@pytest.mark.parametrize("start", [0, 4, 40, 2_000])
def test_damaged_pages_are_refused_or_read_but_never_crash(tmp_path: Path, start: int) -> None:
    path = tmp_path / "a.parquet"
    content = bytearray(_sound(path))
    content[start : start + 40] = bytes(byte ^ 0xFF for byte in content[start : start + 40])
    path.write_bytes(content)
    with pytest.raises(DataFileError):
        open_table(path, filetype="parquet").count()


def test_a_wrong_magic_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR2" + _sound(path)[4:])
    with pytest.raises(DataFileError) as caught:
        open_table(path)
    assert caught.value.message == "a.parquet: this is not a Parquet file. Choose its real file type."


@pytest.mark.parametrize("place", [0, -4])
def test_an_encrypted_file_is_refused(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.parquet"
    content = bytearray(_sound(path))
    content[place : place + 4 or None] = b"PARE"
    path.write_bytes(content)
    with pytest.raises(DataFileError) as caught:
        open_table(path)
    assert caught.value.message == "a.parquet: the file is encrypted. Save it without encryption."


@pytest.mark.parametrize(
    ("footer", "problem"),
    [
        (b"\xff" * 100, r"its footer is damaged\. Get the file again\."),
        (b"\x00", r"it cannot be read as Parquet \(.*\)\. Get the file again, or save it as JSON Lines\."),
    ],
)
def test_a_footer_of_nonsense_is_refused(tmp_path: Path, footer: bytes, problem: str) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(DataFileError, match=rf"^a\.parquet: {problem}$"):
        open_table(path)


def test_no_damage_to_a_footer_ends_the_process(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [{"text": "hello", "tags": ["a"]}, {"text": None, "tags": []}]
    content = written(path, pa.Table.from_pylist(rows), store_schema=False).read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    n_refused = 0
    for place in range(len(content) - 8 - length, len(content) - 8):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            open_table(path).count()
        except DataFileError as error:
            assert error.message.startswith("a.parquet")
            n_refused += 1
    assert n_refused > length / 3


def test_infinity_is_refused_with_its_place(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", pa.table({"x": [[1.0]] * 300 + [[2.0, -math.inf]]}))
    with pytest.raises(DataFileError) as caught:
        open_table(path).count()
    assert caught.value.message == (
        "a.parquet, row 301, column 'x': infinity is not a number that JSON can hold. Replace it."
    )


def test_a_date_that_python_has_no_value_for_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", pa.table({"x": pa.array([2**60], pa.timestamp("us"))}))
    with pytest.raises(DataFileError, match=r"^a\.parquet, rows 1 to 1, column 'x': a value cannot be read \("):
        open_table(path)


def test_a_map_with_a_key_twice_is_refused(tmp_path: Path) -> None:
    array = pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64()))
    with pytest.raises(DataFileError) as caught:
        open_table(written(tmp_path / "a.parquet", pa.table({"x": array})))
    assert caught.value.message == "a.parquet, row 1, column 'x': the key 'a' is there twice. Keep one of them."


def test_too_many_rows_are_refused_when_the_file_is_opened(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", pa.table({"x": pa.nulls(6_000_000)}))
    with pytest.raises(DataFileError) as caught:
        open_table(path)
    assert caught.value.message == (
        "a.parquet: there are more than 5,000,000 rows, the most that is read. Split the file."
    )


def test_ten_thousand_columns_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", pa.table({f"c{number}": [1] for number in range(10_000)}))
    with pytest.raises(DataFileError) as caught:
        open_table(path)
    assert caught.value.message == (
        "a.parquet: there are 10,000 columns, and at most 1,000 can be read. Remove the columns you do not need."
    )


@pytest.mark.parametrize("value", ["x" * (5 * 2**20), ["word"] * 2**20, {"a": "x" * (5 * 2**20)}])
def test_a_giant_cell_is_refused_with_its_place(tmp_path: Path, value: Any) -> None:
    path = written(tmp_path / "a.parquet", pa.Table.from_pylist([{"x": None}, {"x": value}]))
    with pytest.raises(DataFileError, match=r"^a\.parquet, row 2, column 'x': the cell unpacks to .* at most 4 MB"):
        open_table(path).count()


def test_what_is_unpacked_is_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", pa.table({"x": ["word " * 200] * 5_000}))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataFileError) as caught:
        open_table(path, limits=FileLimits(decoded_bytes=2**20)).count()
    assert caught.value.message == "a.parquet: it unpacks to more than 1 MB, the most that is read. Split it."
