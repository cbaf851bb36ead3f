"""Columns of encoded pictures as pictures."""

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from datasets import Dataset


def with_images(dataset: "Dataset", columns: Sequence[str]) -> "Dataset":
    """The dataset with columns of base64 text as columns of images; an empty cell stays empty.

    Raises: ConfigError for a column that is not there, and for a cell that is no base64 text.
    """
    from datasets import Image

    for column in columns:
        if column not in dataset.column_names:
            raise ConfigError(f"There is no column '{column}'.{did_you_mean(column, dataset.column_names)}")
        if isinstance(dataset.features[column], Image):
            continue
        pictures = [_picture(text, column, number) for number, text in enumerate(dataset[column], start=1)]
        place = dataset.column_names.index(column)
        order = [*dataset.column_names]
        dataset = dataset.remove_columns(column).add_column(column, pictures, feature=Image())
        dataset = dataset.select_columns([*order[:place], column, *order[place + 1 :]])
    return dataset


def _picture(text: Any, column: str, number: int) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        # Pictures from pages come with a head such as `data:image/png;base64,`.
        content = base64.b64decode(str(text).partition("base64,")[2] or str(text), validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content:
        raise ConfigError(f"Column '{column}', row {number}: this is no picture in base64.")
    return {"bytes": content, "path": None}
