"""Excel workbooks, good and bad."""

import zipfile
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from components.errors import DataFileError
from components.steps.load.files import FileLimits, open_table
from tests.components.steps.load.files.workbooks import sheet, write_workbook

HEADER = '<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c><c r="B1" t="inlineStr"><is><t>b</t></is></c></row>'


def saved(path: Path, *rows: list[Any]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_cells_keep_their_types(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "a.xlsx",
        ["text", "whole", "part", "yes", "day", "moment", "hour", "lasting", "none"],
        ["hello", 7, 1.5, True, date(2026, 3, 1), datetime(2026, 3, 1, 9, 30), time(8, 15), timedelta(hours=30), None],
        ["007", -3, 1e-7, False, date(1999, 12, 31), datetime(2026, 3, 2), time(0, 0, 1), timedelta(seconds=1), None],
    )
    table = open_table(path)
    assert list(table.rows()) == [
        {
            "text": "hello",
            "whole": 7,
            "part": 1.5,
            "yes": True,
            "day": "2026-03-01",
            "moment": "2026-03-01T09:30:00",
            "hour": "08:15:00",
            "lasting": 108000.0,
            "none": None,
        },
        {
            "text": "007",
            "whole": -3,
            "part": 1e-7,
            "yes": False,
            "day": "1999-12-31",
            "moment": "2026-03-02T00:00:00",
            "hour": "00:00:01",
            "lasting": 1.0,
            "none": None,
        },
    ]
    assert (table.filetype, table.encoding, table.delimiter, table.warnings) == ("xlsx", None, None, [])


def test_only_the_first_sheet_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Tickets"
    book.active.append(["a"])
    book.active.append(["x"])
    for title in ("Notes", "Old"):
        book.create_sheet(title).append(["b"])
    book.save(tmp_path / "a.xlsx")
    table = open_table(tmp_path / "a.xlsx")
    assert list(table.rows()) == [{"a": "x"}]
    assert table.warnings == ["Only the sheet 'Tickets' is read, not 'Notes', 'Old'."]


def test_a_hidden_sheet_is_not_the_first(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Lists"
    book.active.sheet_state = "hidden"
    shown = book.create_sheet("Tickets")
    shown.append(["a"])
    shown.append(["x"])
    book.save(tmp_path / "a.xlsx")
    assert list(open_table(tmp_path / "a.xlsx").rows()) == [{"a": "x"}]


def test_dates_counted_from_1904_are_right(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.epoch = openpyxl.utils.datetime.MAC_EPOCH
    book.active.append(["day"])
    book.active.append([date(2026, 3, 1)])
    book.save(tmp_path / "a.xlsx")
    assert list(open_table(tmp_path / "a.xlsx").rows()) == [{"day": "2026-03-01"}]


def test_empty_rows_are_left_out_and_those_at_the_end_are_not_counted(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", ["a", "b"], [None, None], ["x", None], [None, None], [None, ""], [None, "y"])
    book = openpyxl.load_workbook(path)
    book.active["A2000"].font = openpyxl.styles.Font(bold=True)
    book.save(path)
    table = open_table(path)
    assert list(table.rows()) == [{"a": "x", "b": None}, {"a": None, "b": "y"}]
    assert table.warnings == ["3 empty rows were left out."]


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    table = open_table(saved(tmp_path / "a.xlsx", ["a", None, "a", 2026]))
    assert (table.columns, list(table.rows()), table.n_rows) == (["a", "column_2", "a_2", "2026"], [], 0)
    assert table.warnings == [
        "Columns without a name in the header are called 'column_2'.",
        "Names that the header repeats are changed to 'a_2'.",
        "The file has a header but no rows.",
    ]


def test_formulas_give_their_saved_value(tmp_path: Path) -> None:
    rows = '<row r="2"><c r="A2"><f>1+2</f><v>3</v></c><c r="B2" t="str"><f>"x"</f><v>x</v></c></row>'
    table = open_table(write_workbook(tmp_path / "a.xlsx", sheet(HEADER + rows)))
    assert (list(table.rows()), table.warnings) == ([{"a": 3, "b": "x"}], [])


def test_formulas_that_were_never_calculated_are_said(tmp_path: Path) -> None:
    table = open_table(saved(tmp_path / "a.xlsx", ["a", "b"], ["x", "=1+2"]))
    assert list(table.rows()) == [{"a": "x", "b": None}]
    assert table.warnings == [
        "Some formulas have no saved value and are read as empty. Open the workbook in Excel and save it."
    ]


def test_errors_of_excel_are_said(tmp_path: Path) -> None:
    rows = '<row r="2"><c r="A2" t="e"><v>#N/A</v></c></row>'
    table = open_table(write_workbook(tmp_path / "a.xlsx", sheet(HEADER + rows)))
    assert list(table.rows()) == [{"a": "#N/A", "b": None}]
    assert table.warnings == ["Some cells hold an error of Excel, such as #N/A; it is read as text."]


def test_texts_come_without_their_formats_and_reading_aids(tmp_path: Path) -> None:
    texts = (
        "<sst><si><r><t>bo</t></r><r><t xml:space='preserve'>ld </t></r></si>"
        "<si><t>東京</t><rPh><t>トウキョウ</t></rPh></si><si><t>line_x000D_ end</t></si><si><t/></si></sst>"
    )
    cells = "".join(f'<c t="s"><v>{number}</v></c>' for number in range(4))
    header = "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in "abcd")
    path = write_workbook(tmp_path / "a.xlsx", sheet(f"<row>{header}</row><row>{cells}</row>"), texts)
    assert list(open_table(path).rows()) == [{"a": "bold ", "b": "東京", "c": "line\r end", "d": None}]


def test_a_sheet_can_claim_any_size(tmp_path: Path) -> None:
    rows = '<row r="2"><c r="B2"><v>5</v></c></row><row r="1048576"><c r="A1048576"><v>6</v></c></row>'
    xml = sheet(HEADER + rows).replace("<sheetData>", '<dimension ref="A1:XFD1048576"/><sheetData>')
    table = open_table(write_workbook(tmp_path / "a.xlsx", xml))
    assert list(table.rows()) == [{"a": None, "b": 5}, {"a": 6, "b": None}]
    assert table.warnings == ["1,048,573 empty rows were left out."]


BAD = {
    "empty": (sheet(""), "sheet 'S': the sheet is empty. Put the names of the columns in its first row."),
    "right_of_the_header": (
        sheet(HEADER + '<row r="2"><c r="A2"><v>1</v></c><c r="D2"><v>1</v></c></row>'),
        "cell D2: the value stands to the right of the header. Name its column, or remove it.",
    ),
    "ten_thousand_columns": (
        sheet('<row r="1"><c r="NTP1"><v>1</v></c></row>'),
        "row 1: there are 10,000 columns, and at most 1,000 can be read. Remove the columns you do not need.",
    ),
    "broken_number": (
        sheet(HEADER + '<row r="2"><c r="A2"><v>twelve</v></c></row>'),
        "cell A2: the value cannot be read. Correct it in Excel.",
    ),
    "infinity": (
        sheet(HEADER + '<row r="2"><c r="A2"><v>1e999</v></c></row>'),
        "cell A2: the value cannot be read. Correct it in Excel.",
    ),
    "text_that_is_not_there": (
        sheet(HEADER + '<row r="2"><c r="A2" t="s"><v>9</v></c></row>'),
        "cell A2: the value cannot be read. Correct it in Excel.",
    ),
    "rows_out_of_order": (
        sheet(HEADER + '<row r="3"><c><v>1</v></c></row><row r="2"><c><v>1</v></c></row>'),
        "the rows of the sheet are not in order. Save it again in Excel.",
    ),
    "row_beyond_the_sheet": (
        sheet(HEADER + '<row r="999999999999"><c><v>1</v></c></row>'),
        "the rows of the sheet are not in order. Save it again in Excel.",
    ),
    "cell_twice": (
        sheet(HEADER + '<row r="2"><c r="A2"><v>1</v></c><c r="A2"><v>2</v></c></row>'),
        "row 2: the cells are not in order. Save it again in Excel.",
    ),
    "cells_without_end": (
        sheet(HEADER + '<row r="2">' + '<c r="A2"/>' * 20_000 + "</row>"),
        "row 2: the cells are not in order. Save it again in Excel.",
    ),
    "giant_cell": (
        sheet(HEADER + '<row r="2"><c r="B2" t="str"><v>' + "x" * (5 * 2**20) + "</v></c></row>"),
        "cell B2: a cell holds more than 4 MB, the most that is read.",
    ),
    "cut_xml": (
        sheet(HEADER).removesuffix("</worksheet>"),
        "the workbook is damaged. Get the file again, or open it in Excel and save a copy.",
    ),
    "entities": (
        '<!DOCTYPE a [<!ENTITY x "ha">]>' + sheet('<row><c t="str"><v>&x;</v></c></row>'),
        "the workbook is damaged. Get the file again, or open it in Excel and save a copy.",
    ),
    "giant_tag": (
        sheet(f'<row r="1" note="{"x" * (2 * 2**20)}"><c><v>1</v></c></row>'),
        "the workbook is damaged. Get the file again, or open it in Excel and save a copy.",
    ),
    "zip_bomb": (
        sheet(HEADER + " " * (50 * 2**20)),
        "a part of it unpacks to 50 MB from next to nothing, as in no real workbook. Save it as CSV.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_workbook_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    xml, sentence = BAD[case]
    path = write_workbook(tmp_path / "bad.xlsx", xml)
    with pytest.raises(DataFileError) as caught:
        open_table(path).count()
    assert caught.value.message.removeprefix("bad.xlsx: ").removeprefix("bad.xlsx, ") == sentence


def test_a_workbook_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "a.xlsx", sheet(HEADER + " " * 2**17))
    with pytest.raises(DataFileError) as caught:
        open_table(path, limits=FileLimits(decoded_bytes=2**16))
    assert caught.value.message == (
        "a.xlsx: a part of it unpacks to 128 kB, and at most 16 kB can be read. Save it as CSV."
    )


def test_a_workbook_cut_short_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", ["a"], ["x"])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataFileError) as caught:
        open_table(path)
    assert caught.value.message == "a.xlsx: this is a damaged zip file or workbook. Get the whole file again."


def test_a_workbook_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "a.xlsx", sheet(HEADER + '<row r="2"><c r="A2"><v>1</v></c></row>'))
    with zipfile.ZipFile(path) as package:
        start = package.getinfo("xl/worksheets/sheet1.xml").header_offset + 90
    content = bytearray(path.read_bytes())
    content[start] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataFileError) as caught:
        open_table(path).count()
    assert caught.value.message == (
        "a.xlsx: the workbook is damaged. Get the file again, or open it in Excel and save a copy."
    )


def test_a_workbook_without_its_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("[Content_Types].xml", "<Types/>")
        package.writestr("xl/other.xml", "<a/>")
    with pytest.raises(DataFileError, match="the workbook is damaged"):
        open_table(path)
