"""Steps: sources, and what works on rows and columns."""

from components.component import RuntimeParameter
from components.steps.columns import CombineOutputs, ExpandColumns, GroupColumns, KeepColumns, MergeColumns
from components.steps.decorator import step
from components.steps.load import (
    LoadDataFromDicts,
    LoadDataFromDisk,
    LoadDataFromFileSystem,
    LoadDataFromHub,
    make_generator_step,
)
from components.steps.step import GeneratorStep, GlobalStep, Step, StepResources
from components.steps.typing import GeneratorStepOutput, StepColumns, StepInput, StepOutput

__all__ = [
    "CombineOutputs",
    "ExpandColumns",
    "GeneratorStep",
    "GeneratorStepOutput",
    "GlobalStep",
    "GroupColumns",
    "KeepColumns",
    "LoadDataFromDicts",
    "LoadDataFromDisk",
    "LoadDataFromFileSystem",
    "LoadDataFromHub",
    "MergeColumns",
    "RuntimeParameter",
    "Step",
    "StepColumns",
    "StepInput",
    "StepOutput",
    "StepResources",
    "make_generator_step",
    "step",
]
