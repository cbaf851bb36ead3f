"""LoadDataFromDisk: datasets and distisets that were saved to a folder."""

import pytest
from datasets import Dataset, DatasetDict

from components.errors import ConfigError, DataFileError
from components.steps import LoadDataFromDisk

ROWS = [{"n": n} for n in range(5)]


def numbers(source, offset=0):
    return [row["n"] for rows in source.batches(offset) for row in rows]


@pytest.fixture
def saved(tmp_path):
    data = Dataset.from_list(ROWS)
    data.save_to_disk(tmp_path / "one")
    DatasetDict(train=data, test=data.select([4])).save_to_disk(tmp_path / "splits")
    data.save_to_disk(tmp_path / "distiset" / "default")
    DatasetDict(train=data.select([1, 2])).save_to_disk(tmp_path / "distiset" / "judged")
    return tmp_path


@pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
@pytest.mark.parametrize("offset", [0, 1, 4, 5, 6])
def test_an_offset_is_a_number_of_rows(saved, batch_size, offset):
    source = LoadDataFromDisk(dataset_path=str(saved / "one"), batch_size=batch_size)
    assert source.get_outputs() == {"n": True}
    assert numbers(source, offset) == [0, 1, 2, 3, 4][offset:]


def test_a_split_is_chosen_by_name(saved):
    assert numbers(LoadDataFromDisk(dataset_path=str(saved / "splits"), split="test")) == [4]
    assert numbers(LoadDataFromDisk(dataset_path=str(saved / "splits"), split="train", num_examples=2)) == [0, 1]


@pytest.mark.parametrize(("split", "message"), [(None, "several splits"), ("tset", "Did you mean 'test'")])
def test_a_split_that_is_missing_or_unknown_is_an_error_that_lists_them(saved, split, message):
    with pytest.raises(ConfigError, match=f"one of: train, test.*{message}|{message}.*one of: train, test"):
        numbers(LoadDataFromDisk(dataset_path=str(saved / "splits"), split=split))


def test_a_distiset_is_read_by_its_parts(saved):
    path = str(saved / "distiset")
    assert numbers(LoadDataFromDisk(dataset_path=path, is_distiset=True)) == [0, 1, 2, 3, 4]
    assert numbers(LoadDataFromDisk(dataset_path=path, is_distiset=True, config="judged")) == [1, 2]
    with pytest.raises(ConfigError, match=r"one of: default, judged\. Did you mean 'judged'"):
        numbers(LoadDataFromDisk(dataset_path=path, is_distiset=True, config="judge"))


def test_a_folder_that_holds_something_else_says_so(saved, tmp_path):
    with pytest.raises(DataFileError, match="Set is_distiset"):
        numbers(LoadDataFromDisk(dataset_path=str(saved / "distiset")))
    with pytest.raises(DataFileError, match="There is no folder"):
        numbers(LoadDataFromDisk(dataset_path=str(tmp_path / "gone")))
    with pytest.raises(ConfigError, match="dataset_path"):
        numbers(LoadDataFromDisk())


def test_the_fingerprint_follows_the_data(saved):
    first = LoadDataFromDisk(dataset_path=str(saved / "one")).fingerprint()
    assert first == LoadDataFromDisk(dataset_path=str(saved / "distiset"), is_distiset=True).fingerprint()
    assert first != LoadDataFromDisk(dataset_path=str(saved / "splits"), split="test").fingerprint()


def test_the_folder_may_be_a_path(saved):
    source = LoadDataFromDisk(dataset_path=saved / "one")
    assert source.dump()["dataset_path"] == str(saved / "one")
    assert numbers(source) == [0, 1, 2, 3, 4]
