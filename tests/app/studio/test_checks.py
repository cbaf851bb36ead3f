import os

import pytest

from components.errors import ConfigError
from tests.app.pipelines import REHEARSAL, add_tickets, asking, chain, labeling


def messages(studio, spec):
    return [problem.message for problem in studio.checks.check(spec) if problem.severity == "error"]


def reading(path):
    source = {"use": "LoadDataFromFileSystem", "name": "load", "data_files": path}
    return chain("Reading", source, {"use": "KeepColumns", "name": "keep", "columns": ["text"]})


def test_a_pipeline_over_an_added_file_is_in_order(studio):
    assert messages(studio, labeling(add_tickets(studio))) == []


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "~/.ssh/id_rsa", "../../etc/passwd", "/proc/self/environ", "\x00", "http://x/data.csv"]
)
def test_the_app_reads_no_file_that_was_not_added(studio, path):
    found = messages(studio, reading(path))
    assert len(found) == 1 and "added under Datasets" in found[0]
    with pytest.raises(ConfigError, match="added under Datasets"):
        studio.runs.start(reading(path))
    assert list(studio.runs.recent()) == []


def test_one_foreign_file_among_several_is_found(studio):
    dataset = add_tickets(studio)
    assert len(messages(studio, reading([str(dataset.path), "/etc/passwd"]))) == 1


def test_a_link_out_of_the_folder_is_followed_and_refused(studio, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("text\nsecret\n")
    dataset = add_tickets(studio)
    link = dataset.path.with_name("link.csv")
    os.symlink(secret, link)
    assert "added under Datasets" in messages(studio, reading(str(link)))[0]


def test_a_saved_dataset_elsewhere_is_not_read_either(studio):
    source = {"use": "LoadDataFromDisk", "name": "load", "dataset_path": "/etc"}
    assert "added under Datasets" in messages(studio, chain("x", source))[0]


def test_a_deleted_file_is_a_problem_with_its_step(studio):
    dataset = add_tickets(studio)
    spec = labeling(dataset)
    studio.datasets.delete(dataset.id)
    problem = next(one for one in studio.checks.check(spec) if one.severity == "error")
    assert problem.step == "load" and "tickets.csv" in problem.message


def test_all_that_is_wrong_is_told_at_once(studio):
    spec = asking(["hi"], template="{{ nothing }}", llm=REHEARSAL | {"latency": 1})
    with pytest.raises(ConfigError) as error:
        studio.runs.start(spec)
    assert "latency" in str(error.value)
