"""Pipeline files."""

import json
import os
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import ConfigError
from components.pipeline import files

AWKWARD = [
    "yes", "no", "on", "Off", "~", "null", "NULL", "true", "1e3", "0o7", "0x1F", "12:30", "2024-01-01", "<<", "=",
    "010", "1_000", ".5", "5.", "-", "+1", "1e999", "", " ", "a\n b\n", "\n", "a\n", "a\n\n", " x\ny", "\ttab\ny",
    "# c\nd", "...\n---\n", "\x85", "a\u2028b\nc", "\r\n", "a\r\nb", "!!python/object/apply:os.system", "*a", "&a",
    "%x\ny", "{{ instruction }}\n{% if x %}y{% endif %}", "é\nü\n", "\ufeff", "a:\nb: c", "\x00", "😀\n😀",
]  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text() | st.sampled_from(AWKWARD)
)  # fmt: skip
NAMES = st.text(max_size=8) | st.sampled_from(AWKWARD)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)


@pytest.mark.parametrize("format", ["yaml", "json"])
@settings(max_examples=300, deadline=None)
@given(data=st.dictionaries(NAMES, VALUES, min_size=1, max_size=3))
def test_whatever_is_written_is_read_back_the_same(format: str, data: dict[str, Any]) -> None:
    again = files.parse(files.render(data, format), "p", format)
    assert again == data
    assert repr(again) == repr(data)


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=60) | st.text(string.printable, max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_in_a_sentence(content: bytes) -> None:
    for name in ("p.yaml", "p.json"):
        try:
            assert isinstance(files.parse(content, name), dict)
        except ConfigError as error:
            assert str(error).startswith(name)


def test_text_means_what_it_says() -> None:
    text = (
        "labels: [yes, no, on]\ntime: 12:30\nday: 2024-01-01\nzip: 01234\nrate: 1e-3\nbig: 1_000\nnothing:\nhex: 0x10\n"
    )
    assert files.parse(text) == {
        "labels": ["yes", "no", "on"], "time": "12:30", "day": "2024-01-01", "zip": 1234, "rate": 0.001, "big": "1_000",
        "nothing": None, "hex": 16,
    }  # fmt: skip


def test_prompts_are_written_line_by_line() -> None:
    assert "template: |\n  Read this:\n  {{ text }}\n" in files.render({"template": "Read this:\n{{ text }}\n"})


def test_values_that_are_shared_are_written_out() -> None:
    shared = ["a", "b"]
    text = files.render({"one": shared, "two": shared})
    assert "&" not in text and files.parse(text) == {"one": shared, "two": shared}


BOMB = "a: &a [x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b]\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BOMB, "p.yaml, line 2: the alias *a is not allowed"),
        ("a: &a\n  b: *a\n", "p.yaml, line 2: the alias *a is not allowed"),
        ("a: 1\nb: {<<: *a}\n", "p.yaml, line 2: the alias *a"),
        ("x: 1\ny: !!python/object/apply:os.system [echo]\n", "line 2: the tag !!python/object/apply:os.system is not"),
        ("x: !!python/name:os.system\n", "line 1: the tag !!python/name:os.system is not allowed"),
        ("x: !!python/object:os.path {}\n", "line 1: the tag !!python/object:os.path is not allowed"),
        ("x: !!python/tuple text\n", "line 1: the tag !!python/tuple is not allowed"),
        ("x: !!binary aGk=\n", "line 1: the tag !!binary is not allowed"),
        ("x: !!set {a}\n", "line 1: the tag !!set is not allowed"),
        ("x: !!int yes\n", "line 1: the tag !!int is not allowed"),
        ("x: !env HOME\n", "line 1: the tag !env is not allowed"),
        ("a: 1\nb: 2\na: 3\n", "p.yaml, line 3: 'a' stands twice"),
        ("a:\n  b: 1\n  b: 2\n", "p.yaml, line 3: 'b' stands twice"),
        ("a: 1\n1: 2\n", "p.yaml, line 2: a name must be text; put it in quotes"),
        ("? [a]\n: 2\n", "p.yaml, line 1: a name must be text"),
        ("a: 1\n---\nb: 2\n", "p.yaml, line 2: a second document begins here"),
        ("a: [1\nb: 2\n", "p.yaml, line 2:"),
        ("a: 'x\n", "p.yaml, line 2:"),
        ("a:\tb\n\t- c\n", "p.yaml, line 2:"),
        ("a: 1e999\n", "p.yaml, line 1: 1e999 is too big a number"),
        ("x: " + "[" * 100 + "]" * 100, "p.yaml, line 1: more than 64 levels deep"),
        ("x: " + "[" * 20_000, "p.yaml, line 1: more than 64 levels deep"),
        ("a: \x07\n", "p.yaml is no YAML"),
        ("- a\n- b\n", "p.yaml holds no pipeline"),
        ("just text\n", "p.yaml holds no pipeline"),
        ("", "p.yaml is empty"),
        (" \n\n", "p.yaml is empty"),
        ("# a comment\n", "p.yaml holds no pipeline"),
        ("a: " + "1" * 5000, "p.yaml"),
    ],
)
def test_yaml_that_is_broken_or_clever_is_refused_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        files.parse(text, "p.yaml")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": 1,\n "a": 2}', 'p.json, line 2: "a" stands twice'),
        ('{"a": {"b": 1,\n\n"b": 2}}', 'p.json, line 3: "b" stands twice'),
        ('{"a": 1,\n}', "p.json, line 2:"),
        ('{"a": 1', "p.json, line 1:"),
        ('{"a": NaN}', "p.json: NaN is no number"),
        ('{"a": -Infinity}', "p.json: -Infinity is no number"),
        ('{"a": 1e999}', "p.json: 1e999 is too big a number"),
        ('{"a": ' + "1" * 5000 + "}", "p.json"),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", "p.json, line 1: more than 64 levels deep"),
        ('{"a": ' + '{"b": ' * 100_000, "p.json, line 1: more than 64 levels deep"),
        ("[1, 2]", "p.json holds no pipeline"),
        ("null", "p.json holds no pipeline"),
        ("pipeline: {}", "p.json, line 1:"),
    ],
)
def test_json_that_is_broken_is_refused_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        files.parse(text, "p.json")
    assert sentence in str(error.value)


def test_the_same_name_may_stand_in_different_objects() -> None:
    text = '{"a": [{"b": "a"}, {"b": "{\\"b\\": 1}"}], "b": {"a": "b"}}'
    assert files.parse(text, "p.json") == json.loads(text)


def test_tuples_of_older_files_are_lists() -> None:
    assert files.parse("ids: !!python/tuple\n- one\n- two\n") == {"ids": ["one", "two"]}


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert files.parse("\ufeffa: 1".encode()) == {"a": 1}


@pytest.mark.parametrize("raw", ["a: é".encode("latin-1"), "a: 1\n".encode("utf-16")])
def test_other_encodings_are_refused_with_what_to_do(raw: bytes) -> None:
    with pytest.raises(ConfigError, match=r"p\.yaml, line 1: this is not UTF-8 text\. Save the file as UTF-8\."):
        files.parse(raw, "p.yaml")


@pytest.mark.parametrize(("name", "most"), [("p.yaml", 256_000), ("p.json", 10_000_000)])
def test_a_file_that_is_too_big_is_not_even_looked_at(tmp_path: Path, name: str, most: int) -> None:
    (tmp_path / name).write_bytes(b"x" * (most + 1))
    with pytest.raises(ConfigError, match=rf"too big: .* {most // 1000:,} kB\. Keep rows in a data file"):
        files.read(tmp_path / name)


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too big to be saved"):
        files.write(tmp_path / "p.yaml", {"a": ["x" * 100] * 3000})
    files.write(tmp_path / "p.json", {"a": ["x" * 100] * 3000})
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800", object(), {1, 2}], ids=["nan", "inf", "surrogate", "object", "set"]
)
@pytest.mark.parametrize("format", ["yaml", "json"])
def test_values_that_no_file_can_hold_are_refused(value: Any, format: str) -> None:
    with pytest.raises(ConfigError, match="cannot be saved"):
        files.render({"a": value}, format)


def test_files_that_are_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        files.read(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match="directory"):
        files.read(tmp_path)


def test_the_ending_of_the_name_says_the_format(tmp_path: Path) -> None:
    for name in ("a.yaml", "a.yml", "a.json", "a.JSON", "a"):
        files.write(tmp_path / name, {"a": 1})
        assert files.read(tmp_path / name) == {"a": 1}
    assert (tmp_path / "a.JSON").read_text().startswith("{")
    files.write(tmp_path / "b.yaml", {"a": 1}, "json")
    assert json.loads((tmp_path / "b.yaml").read_text()) == {"a": 1}
    with pytest.raises(ConfigError, match="'toml' is no format"):
        files.write(tmp_path / "a", {}, "toml")


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.yaml"
    files.write(path, {"a": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="could not be written: No space left on device"):
        files.write(path, {"a": 2})
    assert files.read(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.yaml"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    files.write(tmp_path / "real.yaml", {"a": 1})
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real.yaml")
    files.write(tmp_path / "link.yaml", {"a": 2})
    assert (tmp_path / "link.yaml").is_symlink()
    assert files.read(tmp_path / "real.yaml") == {"a": 2}


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    files.write(tmp_path / "new" / "p.yaml", {"a": 1})
    assert files.read(tmp_path / "new" / "p.yaml") == {"a": 1}
