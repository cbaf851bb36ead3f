import os
import time

import pytest

from components.errors import BatchGone, LedgerError, ProviderDown
from components.llms.batch.protocol import UnreadableLine
from components.llms.batch.result_files import fetch, read_lines, result_file


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "batches/abc", "a\x00b", "." * 300, "ü" * 200])
def test_an_id_is_never_a_path(tmp_path, name):
    file = result_file(tmp_path, name, "output")
    assert file.parent == tmp_path / "results" and file.name.isascii() and len(file.name) < 140
    assert ".." not in file.name


def test_two_ids_never_share_a_file(tmp_path):
    assert result_file(tmp_path, "a/b", "output") != result_file(tmp_path, "a_b", "output")
    assert result_file(tmp_path, "batch_1", "output").name == "batch_1.output.jsonl"


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path):
    file = result_file(tmp_path, "b", "output")

    def broken(handle):
        handle.write(b"half")
        assert not file.exists()
        raise ProviderDown("broken off")

    with pytest.raises(ProviderDown):
        fetch(file, broken)
    assert list(file.parent.iterdir()) == []
    fetch(file, lambda handle: handle.write(b"whole"))
    assert file.read_bytes() == b"whole"


def test_what_was_fetched_before_stands_in_for_what_is_gone(tmp_path):
    def gone(_handle):
        raise BatchGone("gone")

    file = result_file(tmp_path, "b", "output")
    with pytest.raises(BatchGone):
        fetch(file, gone)
    fetch(file, lambda handle: handle.write(b"kept"))
    assert fetch(file, gone).read_bytes() == b"kept"


def test_what_a_crash_left_half_is_removed_later(tmp_path):
    file = result_file(tmp_path, "b", "output")
    file.parent.mkdir()
    left = file.with_name(f"{file.name}.dead.part")
    left.write_bytes(b"half")
    long_ago = time.time() - 100_000
    os.utime(left, (long_ago, long_ago))
    fetch(file, lambda handle: handle.write(b"whole"))
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(LedgerError, match="cannot be written"):
        fetch(result_file(tmp_path, "b", "output"), lambda handle: None)


def test_blank_broken_and_foreign_lines_are_said_to_be_so(tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_bytes(b'{"a": 1}\n\n\xff\xfe{\n[1]\n{"b": 2')
    lines = list(read_lines(file))
    assert lines[0] == {"a": 1}
    assert [isinstance(line, UnreadableLine) for line in lines[1:]] == [True] * 4
    assert lines[4].text == '{"b": 2'


def test_an_empty_file_has_no_lines(tmp_path):
    (tmp_path / "r.jsonl").touch()
    assert list(read_lines(tmp_path / "r.jsonl")) == []
