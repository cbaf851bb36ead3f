import io
import json

import pytest

from app.settings import Settings
from app.studio import NotFound, Studio
from app.studio.datasets import safe_file_name
from components.errors import DataFileError, RunConflict
from components.pipeline.ledger import Ledger
from tests.app.pipelines import add_tickets, labeling


def test_an_added_file_is_copied_and_described(studio, tmp_path):
    source = tmp_path / "tickets.csv"
    source.write_text("id;text\n1;hello\n2;wörld\n", encoding="latin-1")
    info = studio.datasets.add(source)
    source.unlink()
    assert (info.name, info.columns, info.n_rows) == ("tickets.csv", ["id", "text"], 2)
    assert info.path.is_relative_to(studio.settings.datasets)
    assert studio.datasets.preview(info.id).rows[1]["text"] == "wörld"
    assert [one.id for one in studio.datasets.list()] == [info.id]


def test_the_sample_is_added_once(studio):
    first, second = studio.datasets.add_sample(), studio.datasets.add_sample()
    assert first.id == second.id
    assert first.n_rows == 200 and "text" in first.columns


def test_a_preview_has_the_first_rows_only(studio):
    info = add_tickets(studio, 50)
    preview = studio.datasets.preview(info.id, rows=3)
    assert [row["id"] for row in preview.rows] == ["T-0", "T-1", "T-2"]
    assert preview.n_rows == 50


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"id,text\n", "no rows"),
        (b'{"a": 1}\n{"a": ', "row|line"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_nothing_is_kept_of_a_file_that_cannot_be_read(studio, content, words):
    with pytest.raises(DataFileError, match=words):
        studio.datasets.add(io.BytesIO(content), "bad.csv")
    assert studio.datasets.list() == []
    assert list(studio.settings.datasets.iterdir()) == []


def test_a_file_over_the_limit_is_refused_while_it_comes_in(tmp_path):
    settings = Settings(home=tmp_path, max_upload_mb=1)
    studio = Studio(settings, Ledger(settings.database_url))
    with pytest.raises(DataFileError, match="STILLROOM_MAX_UPLOAD_MB"):
        studio.datasets.add(io.BytesIO(b"text\n" + b"x\n" * 1_000_000), "big.csv")
    assert list(settings.datasets.iterdir()) == []
    studio.ledger.close()


def test_a_missing_file_is_named(studio, tmp_path):
    with pytest.raises(DataFileError, match=r"gone\.csv"):
        studio.datasets.add(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("tickets.csv", "tickets.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\Tickets März.xlsx", "Tickets_März.xlsx"),
        ("..", "data"),
        ("", "data"),
        ("\x00.csv", "csv"),
        ("CON.csv", "data_CON.csv"),
        ("a" * 300 + ".csv", "a" * 80 + ".csv"),
        ("票.csv", "票.csv"),
        ("tickets_mu\u0308ll.csv", "tickets_müll.csv"),
        ("टिकट.csv", "टिकट.csv"),
        ("\u202egpj.\u2066evil.csv", "gpj._evil.csv"),
        ("a\uff0fb\u2215c.csv", "a_b_c.csv"),
        ("COM¹.csv", "data_COM¹.csv"),
        ("票" * 300 + ".csv", "票" * 66 + ".csv"),
        (".hidden", "hidden"),
    ],
)
def test_a_file_name_is_made_of_letters_and_digits_of_any_language(given, safe):
    assert safe_file_name(given) == safe


@pytest.mark.parametrize("name", ["meine tickets (müll).csv", "tickets_müll.csv"])
def test_errors_call_a_file_as_the_person_does(studio, name):
    with pytest.raises(DataFileError) as raised:
        studio.datasets.add(io.BytesIO(b'{"a": 1}\n{"a": '), name)
    assert raised.value.message.startswith(f"{name}, ") or raised.value.message.startswith(f"{name}: ")
    info = studio.datasets.add(io.BytesIO(b"text\nhello\n"), name)
    assert info.name == name
    info.path.write_bytes(b"")
    with pytest.raises(DataFileError) as raised:
        studio.datasets.preview(info.id)
    assert raised.value.message.startswith(f"{name}: ")


def test_the_same_content_is_listed_once(studio):
    first = studio.datasets.add(io.BytesIO(b"text\nhello\n"), "one.csv")
    again = studio.datasets.add(io.BytesIO(b"text\nhello\n"), "two.csv")
    assert (first.is_known, again.is_known, again.id, again.name) == (False, True, first.id, "one.csv")
    assert [one.id for one in studio.datasets.list()] == [first.id]
    assert [one.name for one in studio.settings.datasets.iterdir()] == [first.id]
    first.path.unlink()
    assert not studio.datasets.add(io.BytesIO(b"text\nhello\n"), "three.csv").is_known


def test_a_hostile_name_stays_in_its_folder_and_shows_on_one_line(studio):
    info = studio.datasets.add(io.BytesIO(b"text\nhello\n"), "../../ev\nil\x00.csv")
    assert info.path.parent.parent == studio.settings.datasets
    assert info.name.isprintable()


def test_a_deleted_file_is_gone(studio):
    info = add_tickets(studio)
    studio.datasets.delete(info.id)
    assert not info.path.parent.exists()
    with pytest.raises(NotFound):
        studio.datasets.get(info.id)


def test_a_file_that_a_run_reads_is_not_deleted(studio, work):
    info = add_tickets(studio)
    run_id = studio.runs.start(labeling(info))
    with pytest.raises(RunConflict, match="Stop it first"):
        studio.datasets.delete(info.id)
    work(run_id)
    studio.datasets.delete(info.id)


def test_a_file_is_found_by_its_path(studio, tmp_path):
    info = add_tickets(studio)
    assert studio.datasets.at(info.path).id == info.id
    assert studio.datasets.at(tmp_path / "elsewhere.csv") is None
    assert studio.datasets.at(info.path.parent / ".." / "x") is None


def test_what_a_file_warns_of_is_kept(studio):
    info = studio.datasets.add(io.BytesIO(b"a,a,\n1,2,3\n"), "twice.csv")
    assert info.columns == ["a", "a_2", "column_3"]
    assert len(info.warnings) == 2
    assert json.dumps(info.warnings) == json.dumps(studio.datasets.preview(info.id).warnings)
