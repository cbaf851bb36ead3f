"""Steps that arrange columns."""

from components.steps.columns.combine import CombineOutputs
from components.steps.columns.expand import ExpandColumns
from components.steps.columns.group import GroupColumns
from components.steps.columns.keep import KeepColumns
from components.steps.columns.merge import MergeColumns

__all__ = ["CombineOutputs", "ExpandColumns", "GroupColumns", "KeepColumns", "MergeColumns"]
