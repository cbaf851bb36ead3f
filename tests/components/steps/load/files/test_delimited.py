"""CSV and TSV files, good and bad."""

import codecs
from pathlib import Path
from typing import Any

import pytest

from components.errors import ConfigError, DataFileError
from components.steps.load.files import FileLimits, open_table

GOOD: dict[str, tuple[bytes, list[dict[str, Any]]]] = {
    "plain": (b"id,text\n1,hello\n2,bye\n", [{"id": "1", "text": "hello"}, {"id": "2", "text": "bye"}]),
    "numbers_stay_text": (b"id,code\n1.0,007\n", [{"id": "1.0", "code": "007"}]),
    "no_line_end": (b"a,b\n1,2", [{"a": "1", "b": "2"}]),
    "crlf": (b"a,b\r\n1,2\r\n", [{"a": "1", "b": "2"}]),
    "mixed_line_ends": (b"a,b\r\n1,2\n3,4\r5,6\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}, {"a": "5", "b": "6"}]),
    "quoted_line_break": (b'a,b\n"one\r\ntwo",x\n', [{"a": "one\r\ntwo", "b": "x"}]),
    "doubled_quotes": (b'a,b\n"say ""hi""",5" pipe\n', [{"a": 'say "hi"', "b": '5" pipe'}]),
    "semicolons": (b"a;b\n1,5;x\n2,5;y\n", [{"a": "1,5", "b": "x"}, {"a": "2,5", "b": "y"}]),
    "tabs": (b"a\tb\n1\tx, y\n", [{"a": "1", "b": "x, y"}]),
    "bars": (b"a|b\n1|x\n", [{"a": "1", "b": "x"}]),
    "excel_says_its_delimiter": (b"sep=;\r\na;b\r\n1;x\r\n", [{"a": "1", "b": "x"}]),
    "one_column_of_sentences": (b"text\nWell, yes\nNo, no, no\n", [{"text": "Well, yes"}, {"text": "No, no, no"}]),
    "one_column": (b"text\nyes\n", [{"text": "yes"}]),
    "missing_cells_at_the_end": (
        b"a,b,c\n1\n1,2\n",
        [{"a": "1", "b": None, "c": None}, {"a": "1", "b": "2", "c": None}],
    ),
    "empty_cell_is_an_empty_text": (b"a,b\n1,\n", [{"a": "1", "b": ""}]),
    "blanks_around_names": (b'a , "b"\n1,2\n'.replace(b' "b"', b" b"), [{"a": "1", "b": "2"}]),
    "formula_is_text": (b'a,b\n=1+1,"@x"\n', [{"a": "=1+1", "b": "@x"}]),
    "header_like_a_list": (b"[id],name\n1,x\n", [{"[id]": "1", "name": "x"}]),
}

BAD = {
    "empty": (b"", "bad.csv: the file is empty. Choose a file with a header and rows."),
    "only_line_breaks": (b"\n\r\n\n", "bad.csv: the file is empty. Choose a file with a header and rows."),
    "only_a_byte_order_mark": (codecs.BOM_UTF8, "bad.csv: the file is empty. Choose a file with a header and rows."),
    "too_many_cells": (
        b"a,b\n1,2\n1,2,3\n",
        "bad.csv, line 3: there are 3 cells, but the header has 2. "
        "Put quotes around a cell that holds a ',', or remove what is too much.",
    ),
    "too_many_cells_after_a_quoted_line_break": (
        b'a\tb\n"1\n2\n3"\t2\n1\t2\t3\n',
        "bad.csv, line 5: there are 3 cells, but the header has 2. "
        "Put quotes around a cell that holds a 'tab', or remove what is too much.",
    ),
    "open_quote": (
        b'a,b\n1,2\n3,"four\n5,6\n',
        "bad.csv, line 3: a quote in the row that starts here is never closed. "
        "Close it, or double the quotes inside a cell.",
    ),
    "text_after_a_quote": (
        b'a,b\n1,"two" or more\n',
        "bad.csv, line 2: text follows a closing quote. Double the quotes inside a quoted cell.",
    ),
    "nul": (
        b"a,b\n1,2\n3,\x00\n",
        "bad.csv, line 3: there is a NUL character. This is not a text file, or it was damaged: save it again as text.",
    ),
    "ten_thousand_columns": (
        b",".join(b"c%d" % number for number in range(10_000)) + b"\n",
        "bad.csv, line 1: there are 10,000 columns, and at most 1,000 can be read. Remove the columns you do not need.",
    ),
    "giant_cell": (
        b"a,b\n1,2\n3," + b"x" * (5 * 2**20) + b"\n",
        "bad.csv, line 3: the cell in column '2' holds 5 MB, and at most 4 MB can be read. "
        "Shorten it or remove the row.",
    ),
    "giant_row": (
        b"a,b\n1,2\n3," + b"x" * (7 * 2**20) + b"\n",
        "bad.csv, line 3: the row that starts here is longer than 6 MB. "
        "Look for a quote that is never closed, or shorten the row.",
    ),
    "quote_that_swallows_the_file": (
        b'a,b\n1,2\n3,"' + b"x\n" * (4 * 2**20),
        "bad.csv, line 3: the row that starts here is longer than 6 MB. "
        "Look for a quote that is never closed, or shorten the row.",
    ),
    "no_header": (
        b"x" * 1_500 + b",y\n1,2\n",
        "bad.csv, line 1: the name of column 1 is longer than 1,000 characters. "
        "Add a first row with the names of the columns.",
    ),
}


def written(folder: Path, content: bytes, name: str = "bad.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("case", GOOD)
def test_rows_are_read_as_they_are_written(tmp_path: Path, case: str) -> None:
    content, rows = GOOD[case]
    table = open_table(written(tmp_path, content, "good.csv"))
    assert list(table.rows()) == rows
    assert table.columns == list(rows[0])
    assert table.count() == len(rows)


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    content, sentence = BAD[case]
    with pytest.raises(DataFileError) as caught:
        open_table(written(tmp_path, content)).count()
    assert caught.value.message == sentence


def test_a_table_tells_what_was_detected(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, "a;b\n1;é\n".encode()))
    assert (table.filetype, table.encoding, table.delimiter, table.warnings) == ("csv", "utf-8", ";", [])


def test_a_tab_makes_it_tsv(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, b"a\tb\n1\t2\n"))
    assert (table.filetype, table.delimiter) == ("tsv", "\t")


def test_a_given_delimiter_is_obeyed(tmp_path: Path) -> None:
    path = written(tmp_path, b"a;b,c\n1;2,3\n")
    assert list(open_table(path, delimiter=",").rows()) == [{"a;b": "1;2", "c": "3"}]


def test_a_file_that_is_said_to_be_tsv_is_cut_at_tabs(tmp_path: Path) -> None:
    path = written(tmp_path, b"a,b\tc,d\n1,2\t3,4\n")
    assert list(open_table(path, filetype="tsv").rows()) == [{"a,b": "1,2", "c,d": "3,4"}]


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "\0"])
def test_a_delimiter_must_be_one_usable_character(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_table(written(tmp_path, b"a,b\n1,2\n"), delimiter=delimiter)
    assert caught.value.message == (f"The delimiter {delimiter!r} cannot be used. Give one character, such as a comma.")


def test_repeated_names_get_a_number_and_a_warning(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, b"text,text,text_2,text\n1,2,3,4\n"))
    assert list(table.rows()) == [{"text": "1", "text_3": "2", "text_2": "3", "text_4": "4"}]
    assert table.warnings == ["Names that the header repeats are changed to 'text_3', 'text_4'."]


def test_the_second_of_two_names_gets_a_two(tmp_path: Path) -> None:
    assert open_table(written(tmp_path, b"a,b,a\n1,2,3\n")).columns == ["a", "b", "a_2"]


def test_columns_without_a_name_are_named_by_their_place(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, b"a,b,,\n1,2,3,4\n"))
    assert table.columns == ["a", "b", "column_3", "column_4"]
    assert table.warnings == ["Columns without a name in the header are called 'column_3', 'column_4'."]


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, b"a,b\n"))
    assert (table.columns, list(table.rows()), table.n_rows) == (["a", "b"], [], 0)
    assert table.warnings == ["The file has a header but no rows."]


def test_empty_rows_are_left_out_with_a_warning(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, b"\na,b\n\n1,2\n,\n3,4\n\n"))
    assert list(table.rows()) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert table.warnings == ["3 empty rows were left out."]


def test_a_fault_is_told_when_its_row_is_reached(tmp_path: Path) -> None:
    rows = open_table(written(tmp_path, b"a,b\n1,2\n3,4,5\n")).rows()
    assert next(rows) == {"a": "1", "b": "2"}
    with pytest.raises(DataFileError, match="line 3: there are 3 cells"):
        next(rows)


def test_limits_can_be_set(tmp_path: Path) -> None:
    path = written(tmp_path, b"a,b\n1,2\n3,4\n")
    for limits, problem in (
        (FileLimits(rows=1), "there are more than 1 rows"),
        (FileLimits(columns=1), "there are 2 columns, and at most 1 can be read"),
        (FileLimits(decoded_bytes=11), "it holds 12 bytes, and at most 11 bytes can be read"),
    ):
        with pytest.raises(DataFileError, match=problem):
            open_table(path, limits=limits).count()
    assert open_table(path, limits=FileLimits(rows=None)).count() == 2
