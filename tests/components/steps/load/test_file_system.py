"""LoadDataFromFileSystem: rows from data files."""

import json

import pytest

from components.errors import ConfigError, DataFileError, UnknownParameter
from components.steps import LoadDataFromFileSystem


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "tickets.csv"
    path.write_text("text,topic\n" + "".join(f"t{n},k{n}\n" for n in range(7)))
    return path


@pytest.fixture
def jsonl(tmp_path):
    path = tmp_path / "more.jsonl"
    path.write_text("".join(json.dumps({"text": f"j{n}", "score": n}) + "\n" for n in range(3)))
    return path


def texts_of(source, offset=0):
    return [row["text"] for rows in source.batches(offset) for row in rows]


def test_the_columns_come_from_the_header_and_the_rows_from_the_file(csv):
    source = LoadDataFromFileSystem(data_files=str(csv))
    assert source.get_outputs() == {"text": True, "topic": True}
    assert texts_of(source) == [f"t{n}" for n in range(7)] == texts_of(source)


def test_several_files_are_read_one_after_the_other_with_all_columns(csv, jsonl):
    source = LoadDataFromFileSystem(data_files=[str(csv), str(jsonl)], batch_size=4)
    assert source.outputs == ["text", "topic", "score"]
    rows = [row for rows in source.batches() for row in rows]
    assert rows[0] == {"text": "t0", "topic": "k0", "score": None}
    assert rows[-1] == {"text": "j2", "topic": None, "score": 2}
    assert len(rows) == 10


@pytest.mark.parametrize("batch_size", [1, 3, 50])
@pytest.mark.parametrize("offset", [0, 2, 7, 8, 10])
def test_an_offset_is_a_number_of_rows_over_all_files(csv, jsonl, batch_size, offset):
    source = LoadDataFromFileSystem(data_files=[str(csv), str(jsonl)], batch_size=batch_size)
    assert texts_of(source, offset) == [*(f"t{n}" for n in range(7)), "j0", "j1", "j2"][offset:]


def test_only_the_first_rows_can_be_read(csv):
    source = LoadDataFromFileSystem(data_files=str(csv), num_examples=3)
    assert texts_of(source) == ["t0", "t1", "t2"]
    assert texts_of(source, offset=2) == ["t2"]
    assert texts_of(source, offset=5) == []


def test_what_the_file_is_like_can_be_said_at_the_run(tmp_path):
    path = tmp_path / "odd.txt"
    path.write_bytes("text;ort\ncafé;Köln\n".encode("latin-1"))
    source = LoadDataFromFileSystem()
    source.set_runtime_parameters({"data_files": str(path), "filetype": "csv", "encoding": "latin-1", "delimiter": ";"})
    assert [row for rows in source.batches() for row in rows] == [{"text": "café", "ort": "Köln"}]
    with pytest.raises(UnknownParameter, match="Did you mean 'data_files'"):
        source.set_runtime_parameters({"data_file": "x"})


def test_the_fingerprint_follows_the_content_and_not_the_name(csv, tmp_path):
    copy = tmp_path / "copy.csv"
    copy.write_bytes(csv.read_bytes())
    first, same = (LoadDataFromFileSystem(data_files=str(path)) for path in (csv, copy))
    assert first.fingerprint() == same.fingerprint()
    assert first.signature() == same.signature()
    copy.write_text(copy.read_text().replace("t3", "t9"))
    assert first.fingerprint() != same.fingerprint()


def test_the_fingerprint_of_two_files_depends_on_their_order(csv, jsonl):
    one, other = (LoadDataFromFileSystem(data_files=[str(p) for p in paths]) for paths in ((csv, jsonl), (jsonl, csv)))
    assert one.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("ask", ["outputs", "batches", "fingerprint"])
def test_a_file_that_is_not_there_is_named(ask, tmp_path):
    source = LoadDataFromFileSystem(data_files=str(tmp_path / "gone.csv"))
    with pytest.raises(DataFileError, match=r"gone\.csv"):
        {"outputs": lambda: source.outputs, "batches": lambda: list(source.batches())}.get(ask, source.fingerprint)()


def test_no_file_at_all_says_which_field_to_fill_in():
    with pytest.raises(ConfigError, match="data_files"):
        LoadDataFromFileSystem(name="load").get_outputs()


def test_a_saved_source_is_the_same_source(csv):
    source = LoadDataFromFileSystem(data_files=[str(csv)], num_examples=2)
    data = source.dump()
    again = LoadDataFromFileSystem(**{key: value for key, value in data.items() if key != "use"})
    assert (again.dump(), again.signature()) == (data, source.signature())


def test_files_may_be_paths_and_are_saved_as_text(csv, jsonl):
    assert texts_of(LoadDataFromFileSystem(data_files=csv)) == [f"t{n}" for n in range(7)]
    both = LoadDataFromFileSystem(data_files=[csv, str(jsonl)])
    assert both.dump()["data_files"] == [str(csv), str(jsonl)]
