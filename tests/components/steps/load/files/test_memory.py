"""Hostile files stay small in memory, and large honest ones too."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.components.steps.load.files.workbooks import sheet, write_workbook

MOST_GROWTH = 200
READ = """
import json, resource, sys
import charset_normalizer, openpyxl.styles.numbers, openpyxl.utils.datetime, pyarrow.parquet
from components.errors import DataFileError
from components.steps.load.files import FileLimits, open_table

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before = peak()
try:
    told = sum(1 for _ in open_table(sys.argv[1], limits=FileLimits(decoded_bytes=2**28)).rows())
except DataFileError as error:
    told = error.message
print(json.dumps([told, peak() - before]))
"""

MEGABYTE = "x" * 1_000_000
HEADER = '<row r="1"><c r="A1"><v>1</v></c></row>'


def packed(path: Path, array: pa.Array, **options: Any) -> None:
    pq.write_table(pa.table({"x": array}), path, compression="zstd", store_schema=False, **options)


def repeated(value: Any, n_times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), n_times), pa.array([value]))


def one_list(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def brackets(path: Path) -> None:
    path.write_text('{"a":[' + "{}," * (6 * 2**20 // 3 - 10) + "{}]}\n", encoding="utf-8")


def one_line(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"a,b\n1,")
        for _ in range(200):
            file.write(b"x" * 1_000_000)


def long_csv(path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("id,text\n")
        file.writelines(f'{number},"{"word " * 100}"\n' for number in range(120_000))


FILES: dict[str, tuple[str, Callable[[Path], None], int | str]] = {
    "one_text_in_30_000_rows": (
        "bomb.parquet",
        lambda path: packed(path, repeated(MEGABYTE, 30_000)),
        "it unpacks to more than 256 MB, the most that is read. Split it.",
    ),
    "one_text_in_a_list_of_30_000": (
        "bomb.parquet",
        lambda path: packed(path, one_list(repeated(MEGABYTE, 30_000))),
        "a part of it takes 27.9 GB to unpack, far more than its size on disk. "
        "Write it again with smaller row groups, or as JSON Lines.",
    ),
    "one_list_of_ten_million": (
        "bomb.parquet",
        lambda path: packed(path, one_list(pa.repeat(pa.scalar(7), 10_000_000))),
        "a part of it takes 191 MB to unpack, far more than its size on disk. "
        "Write it again with smaller row groups, or as JSON Lines.",
    ),
    "one_page_of_100_megabytes": (
        "bomb.parquet",
        lambda path: packed(path, pa.array(["y" * 100_000_000]), use_dictionary=False),
        "a part of it takes 191 MB to unpack, far more than its size on disk. "
        "Write it again with smaller row groups, or as JSON Lines.",
    ),
    "texts_that_repeat_the_one_before": (
        "bomb.parquet",
        lambda path: packed(
            path, pa.array([MEGABYTE] * 300), use_dictionary=False, column_encoding={"x": "DELTA_BYTE_ARRAY"}
        ),
        "it unpacks to more than 256 MB, the most that is read. Split it.",
    ),
    "wide_values_in_few_bytes": (
        "bomb.parquet",
        lambda path: packed(path, pa.array([MEGABYTE.encode()] * 300, pa.binary(1_000_000))),
        "it unpacks to more than 256 MB, the most that is read. Split it.",
    ),
    "objects_in_a_line": ("bomb.jsonl", brackets, 1),
    "a_line_of_200_megabytes": (
        "bomb.csv",
        one_line,
        "the row that starts here is longer than 6 MB. Look for a quote that is never closed, or shorten the row.",
    ),
    "a_sheet_of_nothing": (
        "bomb.xlsx",
        lambda path: str(write_workbook(path, sheet(HEADER + "<row/>" * 9_000_000))),
        "a part of it unpacks to 51.5 MB from next to nothing, as in no real workbook. Save it as CSV.",
    ),
    "a_list_of_texts_of_nothing": (
        "bomb.xlsx",
        lambda path: str(write_workbook(path, sheet(HEADER), f"<sst>{'<si><t>ab</t></si>' * 400_000}</sst>")),
        0,
    ),
    "an_honest_csv_of_60_megabytes": ("large.csv", long_csv, 120_000),
}


@pytest.mark.parametrize("case", FILES)
def test_memory_stays_flat(tmp_path: Path, case: str) -> None:
    name, write, expected = FILES[case]
    write(tmp_path / name)
    command = [sys.executable, "-c", READ, str(tmp_path / name)]
    told, growth = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if isinstance(told, str):
        told = told.removeprefix(f"{name}: ").removeprefix(f"{name}, line 2: ")
    assert told == expected
    assert growth < MOST_GROWTH
