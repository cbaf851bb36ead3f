"""JSON and JSON Lines files, good and bad."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import DataFileError
from components.steps.load.files import FileLimits, open_table

PLAIN = [{"id": 1, "text": "hello"}, {"id": 2, "text": "bye"}]

GOOD: dict[str, tuple[str, str, list[dict[str, Any]], str]] = {
    "lines": ("a.jsonl", '{"id":1,"text":"hello"}\n{"id":2,"text":"bye"}\n', PLAIN, "jsonl"),
    "lines_without_last_break": ("a.jsonl", '{"id":1,"text":"hello"}\n{"id":2,"text":"bye"}', PLAIN, "jsonl"),
    "crlf": ("a.ndjson", '{"id":1,"text":"hello"}\r\n{"id":2,"text":"bye"}\r\n', PLAIN, "jsonl"),
    "lines_named_json": ("a.json", '{"id":1,"text":"hello"}\n{"id":2,"text":"bye"}\n', PLAIN, "jsonl"),
    "lines_named_csv": ("a.csv", '{"id":1,"text":"hello"}\n{"id":2,"text":"bye"}\n', PLAIN, "jsonl"),
    "list": ("a.json", json.dumps(PLAIN), PLAIN, "json"),
    "indented_list": ("a.json", "\n " + json.dumps(PLAIN, indent=4) + "\n", PLAIN, "json"),
    "list_named_jsonl": ("a.jsonl", json.dumps(PLAIN), PLAIN, "json"),
    "list_named_csv": ("a.csv", json.dumps(PLAIN), PLAIN, "json"),
    "list_named_txt": ("a.txt", json.dumps(PLAIN), PLAIN, "json"),
    "objects_over_lines": ("a.json", "\n".join(json.dumps(row, indent=1) for row in PLAIN), PLAIN, "json"),
    "byte_order_mark": ("a.json", "\ufeff" + json.dumps(PLAIN), PLAIN, "json"),
    "large_whole_numbers": (
        "a.jsonl",
        '{"a":9007199254740993,"b":18446744073709551615,"c":-9223372036854775808}\n',
        [{"a": 9007199254740993, "b": 18446744073709551615, "c": -9223372036854775808}],
        "jsonl",
    ),
    "nested": (
        "a.jsonl",
        '{"a":{"b":[1,{"c":null}]},"d":true}\n',
        [{"a": {"b": [1, {"c": None}]}, "d": True}],
        "jsonl",
    ),
    "whole_character_by_halves": ("a.jsonl", '{"a":"\\ud83d\\ude00"}\n', [{"a": "\U0001f600"}], "jsonl"),
    "escaped_backslash": ("a.jsonl", '{"a":"\\\\ud83d"}\n', [{"a": "\\ud83d"}], "jsonl"),
    "keys_differ": (
        "a.jsonl",
        '{"a":1}\n{"b":2,"a":3}\n',
        [{"a": 1, "b": None}, {"a": 3, "b": 2}],
        "jsonl",
    ),
}

BAD = {
    "cut_last_line": (
        "bad.jsonl",
        '{"a":1}\n{"a":2}\n{"a":"thr',
        "bad.jsonl, line 3: the file ends inside this row. Get the whole file again, or remove this line.",
    ),
    "cut_after_a_comma": (
        "bad.jsonl",
        '{"a":1}\n{"a":2,',
        "bad.jsonl, line 2: the file ends inside this row. Get the whole file again, or remove this line.",
    ),
    "broken_line": (
        "bad.jsonl",
        '{"a":1}\n{"a":2\n{"a":3}\n',
        "bad.jsonl, line 2: this is not valid JSON (Expecting ',' delimiter) at column 7.",
    ),
    "single_quotes": (
        "bad.jsonl",
        "{\"a\":1}\n{'a':2}\n",
        "bad.jsonl, line 2: this is not valid JSON (Expecting property name enclosed in double quotes) at column 2.",
    ),
    "two_objects_on_a_line": (
        "bad.jsonl",
        '{"a":1}\n{"a":2}{"a":3}\n',
        "bad.jsonl, line 2: text follows the object at column 8. Write one object a line.",
    ),
    "line_with_a_list": (
        "bad.jsonl",
        '{"a":1}\n[1,2]\n',
        'bad.jsonl, line 2: this is a list, not an object. Write {"column": value}.',
    ),
    "line_with_a_number": (
        "bad.jsonl",
        '{"a":1}\n12\n',
        'bad.jsonl, line 2: this is a number, not an object. Write {"column": value}.',
    ),
    "line_with_null": (
        "bad.jsonl",
        '{"a":1}\nnull\n',
        'bad.jsonl, line 2: this is null, not an object. Write {"column": value}.',
    ),
    "text_among_lines": (
        "bad.jsonl",
        '{"a":1}\nhello\n',
        "bad.jsonl, line 2: this is not JSON. Write one object a line, or choose another file type.",
    ),
    "nan": (
        "bad.jsonl",
        '{"a":1}\n{"a":{"b":[0,NaN]}}\n',
        "bad.jsonl, line 2: NaN in field 'a.b[1]' is not valid in JSON. Write null or a number.",
    ),
    "minus_infinity": (
        "bad.json",
        '[{"a":1},\n{"score":-Infinity}]',
        "bad.json, line 2: -Infinity in field 'score' is not valid in JSON. Write null or a number.",
    ),
    "number_beyond_floats": (
        "bad.jsonl",
        '{"a":1e999}\n',
        "bad.jsonl, line 1: 1e999 in field 'a' is too large. Put it in quotes to keep it.",
    ),
    "number_beyond_64_bits": (
        "bad.jsonl",
        '{"a":18446744073709551616}\n',
        "bad.jsonl, line 1: 18446744073709551616 in field 'a' does not fit in 64 bits. Put it in quotes to keep it.",
    ),
    "number_of_a_million_digits": (
        "bad.jsonl",
        '{"a":' + "9" * 1_000_000 + "}\n",
        f"bad.jsonl, line 1: {'9' * 80}... in field 'a' does not fit in 64 bits. Put it in quotes to keep it.",
    ),
    "repeated_key": (
        "bad.jsonl",
        '{"a":1}\n{"a":1,"b":2,"a":3}\n',
        "bad.jsonl, line 2: the key 'a' is there twice. Keep one of them.",
    ),
    "repeated_key_inside": (
        "bad.json",
        '[{"a":{"b":1,\n"b":2}}]',
        "bad.json, line 1: the key 'b' is there twice. Keep one of them.",
    ),
    "half_character": (
        "bad.jsonl",
        '{"a":1}\n{"text":"\\ud83d!"}\n',
        "bad.jsonl, line 2: \\ud83d in field 'text' is half of a character. Write the whole character.",
    ),
    "half_character_in_a_key": (
        "bad.jsonl",
        '{"a":{"\\ude00":1}}\n',
        "bad.jsonl, line 1: \\ude00 in field 'a' is half of a character. Write the whole character.",
    ),
    "deep": (
        "bad.jsonl",
        '{"a":' + "[" * 64 + "]" * 64 + "}\n",
        "bad.jsonl, line 1: lists and objects are nested deeper than 64 levels. Flatten them.",
    ),
    "depth_bomb": (
        "bad.json",
        '[{"a":' + "[" * 500_000 + "]" * 500_000 + "}]",
        "bad.json, line 1: lists and objects are nested deeper than 64 levels. Flatten them.",
    ),
    "empty_key": ("bad.jsonl", '{"":1}\n', "bad.jsonl, line 1: a key is empty. Give it a name."),
    "long_key": (
        "bad.jsonl",
        '{"' + "k" * 1_001 + '":1}\n',
        "bad.jsonl, line 1: a key is longer than 1,000 characters. Give it a shorter name.",
    ),
    "no_keys": (
        "bad.jsonl",
        "{}\n{}\n",
        "bad.jsonl: its objects have no keys, so there are no columns. Choose a file with data.",
    ),
    "no_rows": (
        "bad.json",
        "[]",
        "bad.json: there are no rows, so there are no columns either. Choose a file with rows.",
    ),
    "only_blanks": (
        "bad.jsonl",
        " \n\n",
        "bad.jsonl: there are no rows, so there are no columns either. Choose a file with rows.",
    ),
    "giant_text": (
        "bad.jsonl",
        '{"a":"' + "x" * (5 * 2**20) + '"}\n',
        "bad.jsonl, line 1: the cell in column 'a' holds 5 MB, and at most 4 MB can be read. "
        "Shorten it or remove the row.",
    ),
    "giant_line": (
        "bad.jsonl",
        '{"a":1}\n{"a":"' + "x" * (7 * 2**20) + '"}\n',
        "bad.jsonl, line 2: the line is longer than 6 MB. Shorten it.",
    ),
    "giant_object": (
        "bad.json",
        '[{"a":1},\n{"a":"' + "x" * (7 * 2**20) + '"}]',
        "bad.json, line 2: the object is longer than 6 MB. Shorten it.",
    ),
    "too_many_keys": (
        "bad.jsonl",
        "".join(f'{{"k{number}":1}}\n' for number in range(1_001)),
        "bad.jsonl, line 1001: there are 1,001 columns, and at most 1,000 can be read. "
        "Remove the columns you do not need.",
    ),
    "cut_list": (
        "bad.json",
        '[{"a":1},\n{"a":2}',
        "bad.json, line 2: the file ends inside the list. It was cut off: get the whole file again.",
    ),
    "cut_object": (
        "bad.json",
        '[{"a":1},\n{"a":"tw',
        "bad.json, line 2: the file ends inside the object that starts here. Get the whole file again.",
    ),
    "missing_comma": (
        "bad.json",
        '[{"a":1}\n{"a":2}]',
        "bad.json, line 2: a comma is missing between two objects. Add it.",
    ),
    "comma_at_the_end": (
        "bad.json",
        '[{"a":1},]',
        "bad.json, line 1: ']' is not JSON here. Write a list of objects, or choose another file type.",
    ),
    "text_after_the_list": (
        "bad.json",
        '[{"a":1}]\n\nend',
        "bad.json, line 3: text follows the end of the list. Remove it.",
    ),
    "list_of_numbers": (
        "bad.json",
        "[1,2,3]",
        'bad.json, line 1: this is a number, not an object. Write {"column": value}.',
    ),
    "broken_inside_the_list": (
        "bad.json",
        '[{"a":1},\n {"a" 2}]',
        "bad.json, line 2: this is not valid JSON (Expecting ':' delimiter) at column 7.",
    ),
    "not_json_at_all": (
        "bad.json",
        "a,b\n1,2\n",
        "bad.json, line 1: 'a' is not JSON here. Write a list of objects, or choose another file type.",
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_rows_are_read_as_they_are_written(tmp_path: Path, case: str) -> None:
    name, content, rows, filetype = GOOD[case]
    (tmp_path / name).write_bytes(content.encode())
    table = open_table(tmp_path / name)
    assert (list(table.rows()), table.filetype) == (rows, filetype)
    assert (table.columns, table.n_rows, table.warnings) == (list(rows[0]), len(rows), [])


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_one_sentence_when_it_is_opened(tmp_path: Path, case: str) -> None:
    name, content, sentence = BAD[case]
    (tmp_path / name).write_bytes(content.encode())
    with pytest.raises(DataFileError) as caught:
        open_table(tmp_path / name)
    assert caught.value.message == sentence


def test_empty_lines_are_left_out_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":1}\n\n{"a":2}\n   \n')
    table = open_table(path)
    assert (list(table.rows()), table.warnings) == ([{"a": 1}, {"a": 2}], ["2 empty lines were left out."])


def test_one_object_over_lines_is_one_row_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{\n "data": [{"a": 1}]\n}')
    table = open_table(path)
    assert list(table.rows()) == [{"data": [{"a": 1}]}]
    assert table.warnings == ["The file holds one object, which is read as one row."]


def test_objects_are_read_across_pieces_of_the_file(tmp_path: Path) -> None:
    rows = [{"id": number, "text": "é" * (number % 5_000)} for number in range(400)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False), encoding="utf-8")
    table = open_table(path)
    assert (list(table.rows()), table.n_rows) == (rows, 400)


def test_a_nested_value_deep_within_bounds_is_kept(tmp_path: Path) -> None:
    nested: Any = "core"
    for _ in range(63):
        nested = [nested]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"a": nested}) + "\n", encoding="utf-8")
    assert list(open_table(path).rows()) == [{"a": nested}]


def test_a_column_is_counted_from_the_start_of_its_line(tmp_path: Path) -> None:
    row = '{"a":"' + "x" * 991 + '"},'
    path = tmp_path / "a.json"
    path.write_text("[\n" + row * 500 + '{"a" 2}]', encoding="utf-8")
    with pytest.raises(DataFileError) as caught:
        open_table(path)
    assert caught.value.message == (
        "a.json, line 2: this is not valid JSON (Expecting ':' delimiter) at column 500006."
    )


def test_too_many_rows_are_refused_when_the_file_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":1}\n' * 3)
    with pytest.raises(DataFileError, match="there are more than 2 rows"):
        open_table(path, limits=FileLimits(rows=2))
