"""What a pipeline says of this machine and of rows when it goes to other people: no more than the dataset does."""

import logging
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from app.cli.pipeline_file import with_data
from components.errors import ConfigError
from components.pipeline import Distiset, Pipeline, files
from components.pipeline.ledger import shared_ledger
from components.pipeline.sharing import MOST_ROWS, shared
from components.pipeline.spec import PipelineSpec
from components.steps import KeepColumns, LoadDataFromDicts, LoadDataFromFileSystem
from components.steps.tasks import TextGeneration, UltraFeedback
from tests.fakes import EchoLLM
from tests.servers.hub_environment import point_clients_at
from tests.servers.hub_server import HubServer

SECRET = "canary-secret-row"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    yield
    shared_ledger().close()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with HubServer() as server:
        point_clients_at(monkeypatch, server, tmp_path / "hf")
        monkeypatch.chdir(tmp_path)
        yield server


def from_file(folder):
    folder.mkdir()
    (folder / "tickets.csv").write_text("instruction\nq0\nq1\n")
    with Pipeline(name="files") as pipeline:
        load = LoadDataFromFileSystem(name="load", data_files=folder / "tickets.csv")
        load >> TextGeneration(name="ask", llm=EchoLLM())
    return pipeline


def from_rows(rows, *, keep=("instruction", "generation")):
    with Pipeline(name="rows") as pipeline:
        load = LoadDataFromDicts(name="load", data=rows)
        load >> TextGeneration(name="ask", llm=EchoLLM()) >> KeepColumns(name="keep", columns=list(keep))
    return pipeline


def everything_in(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file()).decode("utf-8", "replace")


def test_a_saved_distiset_names_data_files_without_their_folders(tmp_path, monkeypatch):
    pipeline = from_file(tmp_path / "home-of-ada")
    distiset = pipeline.run()
    distiset.save_to_disk(tmp_path / "saved")
    text = (tmp_path / "saved" / "distiset_configs" / "pipeline.yaml").read_text()
    assert "data_files: tickets.csv" in text
    assert "stillroom run pipeline.yaml --data FILE" in text
    configs = everything_in(tmp_path / "saved" / "distiset_configs")
    assert "home-of-ada" not in configs and str(tmp_path) not in configs
    pipeline.save(tmp_path / "mine.yaml")
    assert str(tmp_path / "home-of-ada" / "tickets.csv") in (tmp_path / "mine.yaml").read_text()


def test_a_published_pipeline_names_data_files_without_their_folders(tmp_path, hub):
    from_file(tmp_path / "home-of-ada").run().push_to_hub("tester/mine")
    for name, blob in hub.repo("tester/mine", "dataset").files.items():
        assert b"home-of-ada" not in blob.data, name
    assert b"stillroom run stillroom.yaml --data FILE" in hub.repo("tester/mine", "dataset").read("stillroom.yaml")


def test_the_shared_file_runs_again_with_the_data_given(tmp_path):
    pipeline = from_file(tmp_path / "home-of-ada")
    distiset = pipeline.run()
    distiset.save_to_disk(tmp_path / "saved")
    spec = Distiset.load_from_disk(tmp_path / "saved").spec
    given = with_data(spec, tmp_path / "home-of-ada" / "tickets.csv")
    assert given.step("load") == pipeline.spec.step("load")
    rows = from_rows([{"instruction": "q", "secret": SECRET}]).run().shared_pipeline().spec
    assert with_data(rows, Path("x.csv")).step("load")["use"] == "LoadDataFromFileSystem"


def test_few_rows_that_are_published_whole_go_with_the_pipeline(caplog):
    rows = [{"instruction": "q0"}, {"instruction": "q1"}]
    told = from_rows(rows).run().shared_pipeline()
    assert told.spec.step("load")["data"] == rows
    assert told.hint("x.yaml") == "" and told.text("x.yaml") == told.spec.to_yaml()


@pytest.mark.parametrize(
    ("rows", "keep"),
    [
        ([{"instruction": "q0", "secret": SECRET}], ["instruction", "generation"]),
        ([{"instruction": SECRET}], ["generation"]),
        ([{"instruction": f"{SECRET} {n}"} for n in range(MOST_ROWS + 1)], ["instruction", "generation"]),
        ([{"instruction": SECRET * 1000}], ["instruction", "generation"]),
    ],
)
def test_rows_that_are_many_or_not_all_published_stay_here(tmp_path, caplog, rows, keep):
    distiset = from_rows(rows, keep=keep).run()
    told = distiset.shared_pipeline()
    assert SECRET not in told.text("x.yaml") and "data" not in told.spec.step("load")
    with caplog.at_level(logging.WARNING):
        distiset.save_to_disk(tmp_path / "saved")
    assert "were left out of its file" in caplog.text
    assert SECRET not in everything_in(tmp_path / "saved" / "distiset_configs")


def test_rows_of_which_one_was_dropped_stay_here():
    spec = from_rows([{"instruction": "q0"}, {"instruction": SECRET}]).spec
    whole = Dataset.from_list([{"instruction": "q0"}, {"instruction": SECRET}, {"instruction": "q2"}])
    assert "data" in shared(spec, {"default": DatasetDict(train=whole)}).spec.step("load")
    split = DatasetDict(train=whole.select([0]), test=whole.select([1, 2]))
    assert "data" in shared(spec, {"default": split}).spec.step("load")
    assert "data" not in shared(spec, {"default": DatasetDict(train=whole.select([0, 2]))}).spec.step("load")
    assert "data" not in shared(spec, {}).spec.step("load")


def test_every_place_on_this_machine_is_cut_and_nothing_else(tmp_path):
    (tmp_path / "drawer").mkdir()
    here = str(tmp_path / "drawer")
    spec = PipelineSpec(
        name="places",
        steps=[
            {"use": "LoadDataFromFileSystem", "name": "a", "data_files": [f"{here}/x.csv", "data/ada/y.csv"]},
            {"use": "LoadDataFromDisk", "name": "b", "dataset_path": "C:\\Users\\Ada\\set"},
            {
                "use": "TextGeneration",
                "name": "c",
                "llm": {"use": "LlamaCppLLM", "model_path": "~/models/tiny.gguf", "chat_format": "chatml"},
                "template": "/imagine a/b {{ instruction }}",
                "system_prompt": "See /usr for more.",
            },
            {"use": "OfSomebodyElse", "name": "d", "where": here, "deep": {"also": [here]}, "url": "https://x.y/a/b"},
        ],
    )
    told = shared(spec, {}).spec
    assert told.step("a")["data_files"] == ["x.csv", "y.csv"]
    assert told.step("b")["dataset_path"] == "set"
    assert told.step("c") == spec.step("c") | {"llm": spec.step("c")["llm"] | {"model_path": "tiny.gguf"}}
    assert told.step("d") == spec.step("d") | {"where": "drawer", "deep": {"also": ["drawer"]}}
    hint = shared(spec, {}).hint("x.yaml")
    assert "a, b" in hint and "data_files" in hint
    assert files.parse(shared(spec, {}).text("x.yaml"))["pipeline"]["name"] == "places"


def test_the_log_of_a_run_is_saved_and_read_again_without_places(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    distiset = from_file(tmp_path / "home-of-ada").run()
    shared_ledger().note(distiset.run_id, "note", f"{tmp_path}/home-of-ada/tickets.csv is odd, {tmp_path}/x too")
    distiset = Distiset.from_run(shared_ledger(), distiset.run_id)
    distiset.save_to_disk(tmp_path / "saved")
    text = distiset.log_filename_path.read_text()
    assert text.splitlines()[-1].endswith("Z note: tickets.csv is odd, ~/x too")
    assert "Z done" in text
    back = Distiset.load_from_disk(tmp_path / "saved")
    assert (back.log, back.log_filename_path, back.pipeline_path) == (
        text,
        tmp_path / "saved" / "distiset_configs" / "pipeline.log",
        tmp_path / "saved" / "distiset_configs" / "pipeline.yaml",
    )
    distiset.save_to_disk(tmp_path / "bare", save_pipeline_log=False, save_pipeline_config=False, save_card=False)
    assert list((tmp_path / "bare" / "distiset_configs").iterdir()) == []


def test_a_leaf_that_is_called_like_a_folder_of_the_distiset_is_refused(tmp_path):
    data = Dataset.from_list([{"a": 1}])
    for name in ("artifacts", "distiset_configs"):
        with pytest.raises(ConfigError, match="Rename it"):
            Distiset({name: data}).save_to_disk(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_what_steps_are_built_on_is_named_in_the_card(tmp_path):
    with Pipeline(name="judged") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "q", "generations": ["a"]}])
        load >> UltraFeedback(name="judge", llm=EchoLLM())
    distiset = Distiset()
    distiset.spec = pipeline.spec
    assert distiset.citations == [UltraFeedback.source]
    distiset.save_to_disk(tmp_path / "saved")
    assert f"- {UltraFeedback.source}" in (tmp_path / "saved" / "distiset_configs" / "README.md").read_text()
    assert Distiset().citations == []


def test_the_running_script_is_published_when_asked_for(tmp_path, hub, monkeypatch):
    import __main__

    distiset = from_rows([{"instruction": "q0"}]).run()
    script = tmp_path / "make.py"
    script.write_text("print('made')\n")
    monkeypatch.setattr(__main__, "__file__", str(script), raising=False)
    distiset.push_to_hub("tester/mine", include_script=True)
    assert hub.repo("tester/mine", "dataset").read("pipeline.py") == b"print('made')\n"
    script.write_text("key = 'sk-proj-canary0123456789abcdefghij'\n")
    before = len(hub.requests)
    with pytest.raises(ConfigError, match="seems to hold a key"):
        distiset.push_to_hub("tester/other", include_script=True)
    monkeypatch.delattr(__main__, "__file__")
    with pytest.raises(ConfigError, match="no script to publish"):
        distiset.push_to_hub("tester/other", include_script=True)
    assert len(hub.requests) == before
