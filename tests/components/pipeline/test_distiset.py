"""What a run made: a dataset for each last step, kept in a folder, split, and published."""

import json
import logging

import pytest
import yaml
from datasets import load_dataset

from components.errors import ConfigError, DataFileError, RequestRefused
from components.pipeline import Distiset, Pipeline
from components.pipeline.ledger import shared_ledger
from components.steps import KeepColumns, LoadDataFromDicts, LoadDataFromDisk, LoadDataFromHub
from components.steps.tasks import TextGeneration
from tests.components.steps.scripted import ChatOnlyLLM
from tests.fakes import EchoLLM
from tests.servers.hub_environment import point_clients_at
from tests.servers.hub_server import HubServer


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


def rows(count):
    return [{"instruction": f"q{n}"} for n in range(count)]


def answered(count=4, llm=None, data=None, **pipeline):
    with Pipeline(name="one", **pipeline) as made:
        load = LoadDataFromDicts(name="load", data=rows(count) if data is None else data)
        load >> TextGeneration(name="ask", llm=llm or EchoLLM())
    return made.run()


def two_leaves(count=4):
    with Pipeline(name="two") as made:
        load = LoadDataFromDicts(name="load", data=rows(count))
        load >> [TextGeneration(name=name, llm=EchoLLM(model=name)) for name in ("first", "second")]
    return made.run()


def test_each_last_step_has_a_dataset_and_a_single_one_is_the_default():
    assert list(answered()) == ["default"]
    distiset = two_leaves()
    assert list(distiset) == ["first", "second"]
    assert {name: value["train"]["model_name"][0] for name, value in distiset.items()} == {
        "first": "first",
        "second": "second",
    }


def test_columns_are_there_when_no_row_is():
    train = answered(data=[])["default"]["train"]
    assert (len(train), train.column_names) == (0, ["generation", "model_name"])


def test_a_split_takes_every_row_once_and_can_be_made_anew():
    distiset = answered(10).train_test_split(train_size=0.8, seed=1)
    parts = distiset["default"]
    assert {name: len(part) for name, part in parts.items()} == {"train": 8, "test": 2}
    assert sorted([*parts["train"]["instruction"], *parts["test"]["instruction"]]) == [f"q{n}" for n in range(10)]
    again = distiset.train_test_split(train_size=0.5, shuffle=False)["default"]
    assert {name: len(part) for name, part in again.items()} == {"train": 5, "test": 5}


@pytest.mark.parametrize(
    ("count", "share", "sentence"), [(4, 0, "between 0 and 1"), (4, 2, "between 0 and 1"), (1, 0.5, "too few rows")]
)
def test_a_split_that_cannot_be_made_says_why(count, share, sentence):
    with pytest.raises(ConfigError, match=sentence):
        answered(count).train_test_split(train_size=share)


def test_a_folder_holds_the_data_the_card_and_the_pipeline(tmp_path):
    distiset = two_leaves()
    distiset.save_to_disk(tmp_path / "saved")
    back = Distiset.load_from_disk(tmp_path / "saved")
    assert {name: value["train"].to_list() for name, value in back.items()} == {
        name: value["train"].to_list() for name, value in distiset.items()
    }
    assert back.spec == distiset.spec
    assert "| first | train | 4 |" in (tmp_path / "saved" / "distiset_configs" / "README.md").read_text()
    source = LoadDataFromDisk(dataset_path=tmp_path / "saved", is_distiset=True, config="second")
    assert source.get_outputs() == {"instruction": True, "generation": True, "model_name": True}


def test_a_failed_row_is_in_the_data_and_in_the_failures():
    llm = EchoLLM().troubled_by(lambda text, _n: RequestRefused("No.") if text == "q1" else None)
    distiset = answered(3, llm)
    assert distiset["default"]["train"]["generation"][:] == ["echo: q0", None, "echo: q2"]
    assert [(failure.step, failure.row, failure.message) for failure in distiset.failures] == [
        ("ask", "00000001", "No.")
    ]


def test_a_folder_of_the_older_library_is_read_whatever_else_is_in_it(tmp_path, caplog):
    distiset = answered()
    distiset.save_to_disk(tmp_path / "old", save_pipeline_config=False)
    (tmp_path / "old" / "artifacts" / "step").mkdir(parents=True)
    (tmp_path / "old" / "distiset_configs" / "pipeline.yaml").write_text("- no pipeline\n")
    back = Distiset.load_from_disk(tmp_path / "old")
    assert (list(back), back.spec) == (["default"], None)
    assert "left out" in caplog.text


def test_a_folder_without_a_distiset_says_so(tmp_path):
    for name in ("nowhere", "."):
        with pytest.raises(DataFileError, match="no distiset"):
            Distiset.load_from_disk(tmp_path / name)


def test_rows_too_many_for_a_pipeline_file_are_left_out_of_it_and_nothing_else_is(tmp_path, caplog):
    with Pipeline(name="long") as made:
        load = LoadDataFromDicts(name="load", data=[{"text": "x" * 1000, "n": n} for n in range(300)])
        load >> KeepColumns(name="keep", columns=["n"])
    distiset = made.run()
    with caplog.at_level(logging.WARNING):
        distiset.save_to_disk(tmp_path / "long")
    back = Distiset.load_from_disk(tmp_path / "long")
    assert back["default"]["train"]["n"][:] == list(range(300))
    assert [step["use"] for step in back.spec.steps] == ["LoadDataFromDicts", "KeepColumns"]
    assert "data" not in back.spec.steps[0]
    assert "rows that are written into the pipeline were left out" in caplog.text
    assert "x" * 1000 not in (tmp_path / "long" / "distiset_configs" / "README.md").read_text()


def test_everything_is_published_privately_with_a_card_and_the_pipeline(hub):
    distiset = two_leaves()
    address = distiset.push_to_hub("tester/mine")
    repo = hub.repo("tester/mine", "dataset")
    assert (address, repo.private) == (f"{hub.origin}/datasets/tester/mine", True)
    assert yaml.safe_load(repo.read("stillroom.yaml")) == json.loads(distiset.spec.to_json())
    card = repo.read("README.md").decode()
    assert card.startswith("---\n") and "config_name: second" in card and "| second | train | 4 |" in card
    assert load_dataset("tester/mine", "second")["train"].to_list() == distiset["second"]["train"].to_list()


def test_a_published_distiset_is_pushed_again_with_other_splits(hub):
    distiset = answered(10)
    distiset.push_to_hub("tester/mine")
    distiset.train_test_split(train_size=0.8, seed=1).push_to_hub("tester/mine")
    card = hub.repo("tester/mine", "dataset").read("README.md").decode()
    assert card.count("# mine\n") == 1
    assert {name: len(part) for name, part in load_dataset("tester/mine").items()} == {"train": 8, "test": 2}


def test_what_a_model_without_statistics_did_is_published_too(hub):
    distiset = answered(2, ChatOnlyLLM(), enable_metadata=True)
    distiset.push_to_hub("tester/mine")
    made = load_dataset("tester/mine")["train"].to_list()
    assert [row["distilabel_metadata"]["raw_output_ask"] for row in made] == ["billing", "billing"]


def test_a_pipeline_can_begin_with_what_was_published(hub):
    answered().push_to_hub("tester/mine")
    with Pipeline(name="again") as made:
        load = LoadDataFromHub(name="load", repo_id="tester/mine")
        keep = KeepColumns(name="keep", columns=["generation"])
        load >> keep
    assert made.run()["default"]["train"]["generation"][:] == [f"echo: q{n}" for n in range(4)]
