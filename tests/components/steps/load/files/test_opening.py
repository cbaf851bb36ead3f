"""Finding out what a file is, and everything that is not a table."""

import gzip
import hashlib
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import ConfigError, DataFileError
from components.steps.load.files import FILE_SUFFIXES, FILE_TYPES, fingerprint, open_table
from tests.components.steps.load.files.workbooks import sheet, write_workbook

CELL = '<c t="inlineStr"><is><t>a</t></is></c>'


def refused(path: Path, **options: str) -> str:
    with pytest.raises(DataFileError) as caught:
        open_table(path, **options)
    return caught.value.message


def a_zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as package:
        for name in names:
            package.writestr(name, "x")
    return path


def test_every_type_has_its_suffix() -> None:
    assert set(FILE_SUFFIXES.values()) == set(FILE_TYPES)
    assert FILE_SUFFIXES[".ndjson"] == "jsonl"


@pytest.mark.parametrize("name", ["real.csv", "real.json", "real.txt", "real"])
def test_a_parquet_file_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / name)
    assert list(open_table(tmp_path / name).rows()) == [{"x": 1}]


@pytest.mark.parametrize("name", ["real.csv", "real.parquet", "real.xls"])
def test_a_workbook_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    path = write_workbook(tmp_path / name, sheet(f"<row>{CELL}</row><row>{CELL}</row>"))
    assert list(open_table(path).rows()) == [{"a": "a"}]


@pytest.mark.parametrize("name", ["real.txt", "real", "real.dat"])
def test_text_of_any_other_name_is_csv(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"a,b\n1,2\n")
    assert open_table(tmp_path / name).filetype == "csv"


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (b"\xd0\xcf\x11\xe0\xa1", "an old Excel workbook, or one with a password. Save it as XLSX without a password."),
        (b"%PDF-1.7", "a PDF document. Copy its data into a CSV file."),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "compressed with gzip. Unpack it first."),
        (b"\x89PNG\r\n", "a picture. Choose a file with rows."),
        (b"ARROW1\0\0", "an Arrow file. Save it as Parquet."),
        (b"SQLite format 3\0", "a SQLite database. Export its table as CSV."),
        (b"version https://git-lfs.example\noid 1\n", "a Git LFS pointer, not the data. Run: git lfs pull."),
        (b"\n<!DOCTYPE html><p>Sign in", "a web page or XML, not a table. Download the data itself."),
        (b"<?xml version='1.0'?><a/>", "a web page or XML, not a table. Download the data itself."),
    ],
)
def test_other_kinds_of_files_are_called_by_their_name(tmp_path: Path, start: bytes, sentence: str) -> None:
    (tmp_path / "data.csv").write_bytes(start)
    assert refused(tmp_path / "data.csv") == f"data.csv: this is {sentence}"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a.csv"], "this is a zip archive. Unpack it and choose a file in it."),
        (["[Content_Types].xml", "word/document.xml"], "this is a Word document. Copy its table into a CSV file."),
        (["mimetype", "content.xml"], "this is an OpenDocument file. Save it as XLSX or CSV."),
        (["[Content_Types].xml", "xl/workbook.bin"], "this is a binary workbook (XLSB). Save it as XLSX."),
    ],
)
def test_other_zips_are_called_by_their_name(tmp_path: Path, names: list[str], sentence: str) -> None:
    assert refused(a_zip(tmp_path / "data.xlsx", *names)) == f"data.xlsx: {sentence}"


@pytest.mark.parametrize(
    ("name", "filetype", "sentence"),
    [
        ("data.xlsx", None, "this is not an Excel workbook. Choose its real file type."),
        ("data.parquet", None, "this is not a Parquet file. Choose its real file type."),
        ("data.csv", "parquet", "this is not a Parquet file. Choose its real file type."),
    ],
)
def test_text_is_no_packed_file(tmp_path: Path, name: str, filetype: str | None, sentence: str) -> None:
    (tmp_path / name).write_bytes(b"a,b\n1,2\n")
    assert refused(tmp_path / name, **({"filetype": filetype} if filetype else {})) == f"{name}: {sentence}"


def test_a_packed_file_is_no_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    sentence = "a.parquet: this is a Parquet file, not CSV text. Choose its real file type."
    assert refused(tmp_path / "a.parquet", filetype="csv") == sentence


def test_a_given_type_is_obeyed(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b'{"a":1}\n')
    assert open_table(tmp_path / "a.parquet", filetype=".NDJSON").filetype == "jsonl"
    assert open_table(tmp_path / "a.parquet", filetype="csv").filetype == "csv"


def test_an_unknown_type_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_table(tmp_path / "a.csv", filetype="jsonlines")
    assert caught.value.message == (
        "There is no file type 'jsonlines'. Use one of csv, tsv, xlsx, json, jsonl, parquet. Did you mean 'jsonl'?"
    )


@pytest.mark.parametrize("name", ["gone.csv", "gone/far.csv", "nul\0.csv"])
def test_a_missing_file_is_said(tmp_path: Path, name: str) -> None:
    shown = ascii(Path(name).name)[1:-1]
    assert refused(tmp_path / name) == f"{shown}: there is no such file. Check the name and the folder."


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n1\n")
    assert refused(tmp_path / "a.csv" / "b.csv") == "b.csv: there is no such file. Check the name and the folder."


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "data.csv").mkdir()
    assert refused(tmp_path / "data.csv") == "data.csv: this is a folder. Choose a file in it."


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.csv")
    assert refused(tmp_path / "data.csv") == "data.csv: this is not a regular file. Save the data to a file first."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"a\n1\n")
    path.chmod(stat.S_IWUSR)
    assert refused(path) == "data.csv: this account may not read the file. Change its permissions."


def test_a_message_is_one_line_and_names_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "bad\nname.csv"
    path.write_bytes(b"")
    assert refused(path) == "bad\\nname.csv: the file is empty. Choose a file with a header and rows."


def test_rows_can_be_read_again_and_at_the_same_time(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n1\n2\n")
    table = open_table(str(tmp_path / "a.csv"))
    first, second = table.rows(), table.rows()
    assert [next(first), next(second), next(first)] == [{"a": "1"}, {"a": "1"}, {"a": "2"}]
    assert (table.n_rows, table.count(), table.n_rows) == (None, 2, 2)


def test_a_file_that_changed_is_not_read_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":1}\n')
    table = open_table(path)
    path.write_bytes(b'{"a":1}\n{"b":2}\n')
    with pytest.raises(DataFileError) as caught:
        list(table.rows())
    assert caught.value.message == "a.jsonl: the file has changed since it was opened. Open it again."


def test_a_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    content = b"a\n" + b"1\n" * 100_000
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(content)
    assert (
        fingerprint(tmp_path / "a.csv") == fingerprint(str(tmp_path / "b.csv")) == hashlib.sha256(content).hexdigest()
    )
    with pytest.raises(DataFileError, match=r"^c\.csv: there is no such file"):
        fingerprint(tmp_path / "c.csv")


def test_nothing_heavy_is_imported_before_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n1\n")
    script = (
        "import sys\n"
        "from components.steps.load.files import open_table\n"
        "open_table(sys.argv[1]).count()\n"
        "print(sorted({'pyarrow', 'openpyxl', 'charset_normalizer', 'pandas', 'numpy'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a.csv")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
