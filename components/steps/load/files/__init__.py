"""Data files as tables: CSV, TSV, XLSX, JSON, JSON Lines and Parquet, read as they are and never guessed at."""

from components.steps.load.files.detect import FILE_SUFFIXES, FILE_TYPES
from components.steps.load.files.limits import DEFAULT_LIMITS, FileLimits
from components.steps.load.files.opening import fingerprint, open_table
from components.steps.load.files.table import Table

__all__ = ["DEFAULT_LIMITS", "FILE_SUFFIXES", "FILE_TYPES", "FileLimits", "Table", "fingerprint", "open_table"]
