"""Rows from a dataset that was saved to a folder."""

from pathlib import Path
from typing import Any

from pydantic import Field

from components.component import FilePath, Incidental, RuntimeParameter
from components.errors import ConfigError, DataFileError, did_you_mean
from components.steps.load.batches import in_batches
from components.steps.load.dataset import dataset_rows
from components.steps.step import GeneratorStep
from components.steps.typing import GeneratorStepOutput, StepColumns


class LoadDataFromDisk(GeneratorStep):
    """Start from a dataset or a distiset that was saved with save_to_disk."""

    dataset_path: Incidental[RuntimeParameter[FilePath]] = None
    """The folder it was saved to."""
    split: RuntimeParameter[str] = None
    """The split to read, where the dataset has several."""
    config: RuntimeParameter[str] = "default"
    """The part of a distiset to read, named after the last step of the pipeline that made it."""
    is_distiset: RuntimeParameter[bool] = False
    """The folder holds a distiset."""
    keep_in_memory: Incidental[RuntimeParameter[bool]] = None
    """Read the whole dataset into memory."""
    num_examples: RuntimeParameter[int] = Field(None, ge=1)
    """Read only this many rows, from the beginning."""

    @property
    def outputs(self) -> StepColumns:
        return list(self._open().column_names)

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        yield from in_batches(dataset_rows(self._open(), offset, self.num_examples), self.batch_size)

    def fingerprint(self) -> str:
        return str(self._open()._fingerprint)

    def _open(self) -> Any:
        from datasets import DatasetDict, load_from_disk

        folder = self._folder()
        try:
            dataset = load_from_disk(str(folder), keep_in_memory=self.keep_in_memory)
        except FileNotFoundError as error:
            hint = " Set is_distiset if a distiset was saved there." if _holds_datasets(folder) else ""
            raise DataFileError(f"There is no saved dataset in {folder}.{hint}") from error
        if not isinstance(dataset, DatasetDict):
            return dataset
        if self.split is None and len(dataset) == 1:
            return next(iter(dataset.values()))
        if self.split not in dataset:
            asked = f"has no split '{self.split}'" if self.split else "has several splits"
            raise ConfigError(
                f"The dataset in {folder} {asked}. Set split to one of: {', '.join(dataset)}."
                + did_you_mean(self.split or "", dataset)
            )
        return dataset[self.split]

    def _folder(self) -> Path:
        if not self.dataset_path:
            raise ConfigError(f"{self._title()} needs the folder of a dataset. Set dataset_path to it.")
        folder = Path(self.dataset_path)
        if not folder.is_dir():
            raise DataFileError(f"There is no folder {folder}.")
        if not self.is_distiset:
            return folder
        parts = sorted(path.name for path in folder.iterdir() if path.is_dir())
        if self.config not in parts:
            raise ConfigError(
                f"The distiset in {folder} has no part '{self.config}'. Set config to one of: {', '.join(parts)}."
                + did_you_mean(self.config or "", parts)
            )
        return folder / self.config


def _holds_datasets(folder: Path) -> bool:
    return any((part / name).exists() for part in folder.iterdir() for name in ("state.json", "dataset_dict.json"))
