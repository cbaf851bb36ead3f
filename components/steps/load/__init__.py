"""Sources: where rows come from."""

from components.steps.load.dataset import LoadDataFromDataset, make_generator_step
from components.steps.load.dicts import LoadDataFromDicts
from components.steps.load.disk import LoadDataFromDisk
from components.steps.load.file_system import LoadDataFromFileSystem
from components.steps.load.hub import LoadDataFromHub

__all__ = [
    "LoadDataFromDataset",
    "LoadDataFromDicts",
    "LoadDataFromDisk",
    "LoadDataFromFileSystem",
    "LoadDataFromHub",
    "make_generator_step",
]
