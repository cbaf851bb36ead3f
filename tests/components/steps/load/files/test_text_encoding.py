"""Files in many encodings."""

from pathlib import Path

import pytest

from components.errors import ConfigError, DataFileError
from components.steps.load.files import open_table

TEXT = "id,text\n1,Größe „gut“ für 30 €\n2,déjà vu, naïve".replace(", naïve", " naïve") + "\n"
ROWS = [{"id": "1", "text": "Größe „gut“ für 30 €"}, {"id": "2", "text": "déjà vu naïve"}]


@pytest.mark.parametrize(
    ("written_as", "detected"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-be-marked", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("cp1252", "cp1252"),
    ],
)
def test_the_encoding_is_detected(tmp_path: Path, written_as: str, detected: str) -> None:
    path = tmp_path / "letters.csv"
    marked = ("\ufeff" + TEXT).encode("utf-16-be")
    path.write_bytes(marked if written_as.endswith("marked") else TEXT.encode(written_as))
    table = open_table(path)
    assert (list(table.rows()), table.encoding) == (ROWS, detected)


@pytest.mark.parametrize(
    ("encoding", "word"),
    [
        ("latin-1", "a,b\n1,José\n"),
        ("latin-1", "id,text\n1,Jag har inte fått min beställning ännu, när\n".replace(", ", " ")),
        ("cp1252", "id;text\n1;Le café était fermé\n2;Très déçu par l\u2019hôtel\n"),
        ("cp1252", "text\nIt\u2019s 21°C\n"),
        ("cp1251", "id;text\n1;Где мой заказ? Прошло три недели, посылки нет\n2;Верните деньги\n"),
        ("gb18030", "id;text\n1;我的订单还没有到,请帮我查一下\n"),
    ],
)
def test_old_encodings_are_worked_out_and_said(tmp_path: Path, encoding: str, word: str) -> None:
    path = tmp_path / "letters.csv"
    path.write_bytes(word.encode(encoding))
    table = open_table(path)
    cells = [cell for row in table.rows() for cell in row.values()]
    assert all(cell in word for cell in cells)
    assert table.warnings == [
        f"The file is not UTF-8; it is read as {table.encoding}. If letters look wrong, choose its encoding."
    ]


def test_a_byte_that_cp1252_leaves_open_is_read_as_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "letters.csv"
    path.write_bytes(b"a;b\n1;caf\xe9 cr\xe8me\n" + b"1;plain\n" * 10_000 + b"2;\x81\n")
    assert open_table(path).encoding == "latin-1"


def test_a_late_letter_decides_too(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    path.write_bytes(b"a;b\n" + b"1;plain\n" * 300_000 + "2;José\n".encode("latin-1"))
    table = open_table(path)
    assert table.encoding == "cp1252"
    assert list(table.rows())[-1] == {"a": "2", "b": "José"}


def test_a_given_encoding_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "letters.csv"
    path.write_bytes("a;b\n1;Zamówienie źródło\n".encode("cp1250"))
    table = open_table(path, encoding="windows-1250")
    assert (list(table.rows()), table.encoding, table.warnings) == (
        [{"a": "1", "b": "Zamówienie źródło"}],
        "cp1250",
        [],
    )


def test_a_mark_is_skipped_when_the_encoding_is_given(tmp_path: Path) -> None:
    path = tmp_path / "letters.csv"
    path.write_bytes("\ufeffa,b\n1,2\n".encode())
    assert open_table(path, encoding="utf-8").columns == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-9", "", "rot13", "base64", "idna", "unicode_escape"])
def test_an_unknown_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "letters.csv"
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(ConfigError) as caught:
        open_table(path, encoding=encoding)
    assert caught.value.message == (
        f"There is no text encoding {encoding!r}. Use a name such as utf-8, cp1252 or utf-16."
    )


@pytest.mark.parametrize(
    ("content", "encoding", "sentence"),
    [
        (
            "a,b\n1,é\r\n2,ü\n3,ö\n".encode() + b"4,\xe9\n5,6\n",
            None,
            "letters.csv, line 5: byte 0xE9 is not UTF-8 text, though the rest seems to be. "
            "Save the file as UTF-8, or choose its encoding.",
        ),
        (
            b"a,b\n1,2\n3,\xe9\n",
            "utf-8",
            "letters.csv, line 3: byte 0xE9 is not utf-8 text. Choose another encoding, or save the file as UTF-8.",
        ),
        (
            "a,b\n1,é\n".encode("utf-16") + b"\x00",
            None,
            "letters.csv, line 3: byte 0x00 is not utf-16 text. Choose another encoding, or save the file as UTF-8.",
        ),
        (
            bytes(range(256)) * 20,
            None,
            "letters.csv: this is not a text file. Choose a CSV, TSV, XLSX, JSON, JSONL or Parquet file.",
        ),
    ],
    ids=["mostly_utf8", "given", "cut_utf16", "random_bytes"],
)
def test_bytes_that_are_no_letters_are_refused(
    tmp_path: Path, content: bytes, encoding: str | None, sentence: str
) -> None:
    path = tmp_path / "letters.csv"
    path.write_bytes(content)
    with pytest.raises(DataFileError) as caught:
        open_table(path, encoding=encoding)
    assert caught.value.message == sentence


def test_the_line_is_right_across_pieces_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(b"a,b\r\n" + b"1,2\r\n" * 500_000 + b"1,\x00\r\n")
    with pytest.raises(DataFileError, match="line 500002: there is a NUL character"):
        open_table(path)
