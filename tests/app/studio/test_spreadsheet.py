import csv
import io

import pytest

from app.studio.spreadsheet import csv_chunks, harmless


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\uff1dA1",
        "\uff0b1+1",
        "\uff0d1+1",
        "\uff20A",
        '=HYPERLINK("http://evil","x")',
        "=cmd|' /C calc'!A0",
        "-",
        "+",
        "--1",
        "-1-",
        "- a list",
        "+49 30 12",
        "-1e",
        "=1",
        "@",
        "-٣",
    ],
)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["", "hello", "a=1", "-5", "+5", "-1.5", "-1,234.50", "+.5", "-1e-7", "-5%", "'=1", " =1", "1-1", "a@b"]
)
def test_everything_else_stays_as_it_is(text):
    assert harmless(text) == text


def table(columns, rows, **options):
    content = b"".join(csv_chunks(columns, rows, **options)).decode()
    return content, list(csv.reader(io.StringIO(content.removeprefix("\ufeff"), newline="")))


def test_a_table_reads_back_as_it_was():
    rows = [["a,b", 'say "hi"', "line\nbreak"], [None, True, 3.5], [["x", 1], {"k": "v"}, "plain"]]
    content, back = table(["one", "two", "three"], rows)
    assert content.startswith("\ufeff")
    assert back == [
        ["one", "two", "three"],
        ["a,b", 'say "hi"', "line\nbreak"],
        ["", "true", "3.5"],
        ['["x",1]', '{"k":"v"}', "plain"],
    ]


def test_a_column_name_can_be_a_formula_too():
    assert table(["=evil()"], [])[1] == [["'=evil()"]]


def test_numbers_are_never_touched():
    assert table(["n"], [[-5], [-0.5]])[1] == [["n"], ["-5"], ["-0.5"]]


def test_for_programs_the_text_is_left_alone():
    content, back = table(["t"], [["=1+1"]], is_safe=False)
    assert not content.startswith("\ufeff") and back == [["t"], ["=1+1"]]


def test_many_rows_come_in_pieces():
    pieces = list(csv_chunks(["t"], (["x" * 1000] for _ in range(2000))))
    assert len(pieces) > 4 and max(map(len, pieces)) < 500_000
