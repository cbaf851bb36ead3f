"""Files that steps keep with a run: where they are, what they may be called, and where they go along."""

import json
import threading

import pytest

from components.errors import ConfigError
from components.pipeline import Distiset, Pipeline
from components.pipeline.ledger import shared_ledger
from components.steps import GlobalStep, LoadDataFromDicts, Step
from components.steps.artifacts import keep
from tests.servers.hub_environment import point_clients_at
from tests.servers.hub_server import HubServer


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    shared_ledger().close()


class Plot(GlobalStep):
    """Keeps a drawing of its rows."""

    title: str = "plot"
    """The name of the drawing."""

    def process(self, inputs):
        self.save_artifact(
            self.title, lambda folder: (folder / "plot.txt").write_text(f"{len(inputs)} rows"), {"kind": "text"}
        )
        yield inputs


def plotted(count=2, **fields):
    with Pipeline(name="drawn") as pipeline:
        LoadDataFromDicts(name="load", data=[{"n": n} for n in range(count)]) >> Plot(name="draw", **fields)
    return pipeline.run()


def test_an_artifact_is_kept_with_its_run_and_no_other(home):
    first, second = plotted(2), plotted(3)
    assert [path.parent for path in (first.artifacts_path, second.artifacts_path)] == [home / "artifacts"] * 2
    drawn = [one.artifacts_path / "draw" / "plot" for one in (first, second)]
    assert [(folder / "plot.txt").read_text() for folder in drawn] == ["2 rows", "3 rows"]
    assert json.loads((drawn[0] / "metadata.json").read_text()) == {"kind": "text"}


def test_a_run_without_artifacts_has_no_folder_of_them():
    with Pipeline(name="plain") as pipeline:
        LoadDataFromDicts(name="load", data=[{"n": 1}])
    assert pipeline.run().artifacts_path is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "a\\b", "/etc", ".hidden", "x.", "a\nb", "a\0", "NUL.txt", "x" * 101, 7]
)
def test_a_name_is_one_plain_file_name(tmp_path, name):
    for step, artifact in (("draw", name), (name, "plot")):
        with pytest.raises(ConfigError, match="no name for"):
            keep(tmp_path / "run", step, artifact, lambda folder: None)
    assert not (tmp_path / "run").exists()


def test_an_artifact_that_was_not_completed_leaves_the_earlier_one(tmp_path):
    keep(tmp_path, "draw", "plot", lambda folder: (folder / "a").write_text("first"))

    def stumbles(folder):
        (folder / "a").write_text("second")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        keep(tmp_path, "draw", "plot", stumbles)
    with pytest.raises(ConfigError, match="JSON"):
        keep(tmp_path, "draw", "plot", lambda folder: None, {"what": object()})
    assert [path.name for path in (tmp_path / "draw").iterdir()] == ["plot"]
    assert (tmp_path / "draw" / "plot" / "a").read_text() == "first"


def test_rows_that_keep_one_name_at_once_leave_one_whole_artifact(tmp_path):
    together = threading.Barrier(4)

    def work(n):
        def write(folder):
            for part in ("a", "b"):
                (folder / part).write_text(str(n))
            together.wait()

        keep(tmp_path, "draw", "plot", write)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in (tmp_path / "draw").iterdir()] == ["plot"]
    assert len({(tmp_path / "draw" / "plot" / part).read_text() for part in ("a", "b")}) == 1


def test_outside_of_a_run_it_says_so():
    class Keeps(Step):
        """Keeps something."""

        def process(self, inputs):
            self.save_artifact("x", lambda folder: None)
            yield inputs

    with pytest.raises(ConfigError, match="only in a run"):
        next(Keeps(name="keeps").process([{}]))


def test_artifacts_are_saved_and_read_with_the_data(tmp_path):
    made = plotted()
    (made.artifacts_path / "draw" / ".part-x").mkdir()
    (made.artifacts_path / "draw" / "plot" / "leads-out").symlink_to("/etc")
    made.save_to_disk(tmp_path / "saved")
    kept = tmp_path / "saved" / "artifacts"
    assert sorted(str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()) == [
        "draw/plot/metadata.json",
        "draw/plot/plot.txt",
    ]
    back = Distiset.load_from_disk(tmp_path / "saved")
    assert (list(back), back.artifacts_path) == (["default"], kept)
    back.save_to_disk(tmp_path / "again")
    assert (tmp_path / "again" / "artifacts" / "draw" / "plot" / "plot.txt").read_text() == "2 rows"


def test_artifacts_are_published_with_the_data(tmp_path, monkeypatch):
    made = plotted()
    (made.artifacts_path / "draw" / "plot" / "leads-out").symlink_to("/etc/hostname")
    with HubServer() as hub:
        point_clients_at(monkeypatch, hub, tmp_path / "hf")
        monkeypatch.chdir(tmp_path)
        made.push_to_hub("tester/drawn")
        repo = hub.repo("tester/drawn", "dataset")
        assert repo.read("artifacts/draw/plot/plot.txt") == b"2 rows"
        assert not any("leads-out" in name for name in repo.files)
