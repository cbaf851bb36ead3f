"""Columns of base64 text made into columns of images."""

import base64
import io

import pytest
from datasets import Dataset, DatasetDict, Image
from PIL import Image as Picture

from components.errors import ConfigError
from components.pipeline import Distiset


def encoded(color):
    file = io.BytesIO()
    Picture.new("RGB", (2, 1), color).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def pictured():
    rows = [{"a": 1, "image": encoded("red"), "b": 2}, {"a": 3, "image": None, "b": 4}]
    rows.append({"a": 5, "image": "data:image/png;base64," + encoded("blue"), "b": 6})
    return Distiset({"default": DatasetDict(train=Dataset.from_list(rows)), "other": Dataset.from_list([{"a": 1}])})


def test_text_becomes_pictures_in_its_place_and_an_empty_cell_stays_empty(tmp_path):
    distiset = pictured().transform_columns_to_image("image")
    train = distiset["default"]["train"]
    assert train.column_names == ["a", "image", "b"]
    assert isinstance(train.features["image"], Image)
    assert [picture and picture.getpixel((0, 0)) for picture in train["image"]] == [(255, 0, 0), None, (0, 0, 255)]
    assert distiset["other"].column_names == ["a"]
    again = distiset.transform_columns_to_image(["image"])
    again.save_to_disk(tmp_path / "saved")
    assert Distiset.load_from_disk(tmp_path / "saved")["default"]["train"]["image"][0].size == (2, 1)


def test_what_is_no_column_or_no_picture_is_named():
    with pytest.raises(ConfigError, match="'imag'.*image"):
        pictured().transform_columns_to_image("imag")
    broken = Distiset({"default": Dataset.from_list([{"image": encoded("red")}, {"image": "no picture!"}])})
    with pytest.raises(ConfigError, match="'image', row 2"):
        broken.transform_columns_to_image("image")
