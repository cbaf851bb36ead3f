"""A pipeline as it goes to other people: without where its files are on this machine, and without rows kept back."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import orjson

from components import catalog
from components.component import is_place
from components.errors import ConfigError
from components.pipeline import editing, files
from components.pipeline.spec import PipelineSpec

MOST_ROWS = 20
MOST_BYTES = 10_000
"""Rows written into a pipeline that are more than this belong into the dataset, not into the file beside it."""
WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
LONGEST_PATH = 4_096
OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


@dataclass(frozen=True)
class SharedPipeline:
    """A pipeline that may be published; `sources` are the steps whose data does not go with it."""

    spec: PipelineSpec
    sources: tuple[str, ...] = ()
    is_without_rows: bool = False

    def hint(self, name: str) -> str:
        """How to give the data, in a sentence; empty where all of it is there."""
        if not self.sources:
            return ""
        if len(self.sources) == 1 and sum(editing.is_source(self.spec, one) for one in self.spec.step_names()) == 1:
            return f"The data is not in this file. Give it with: stillroom run {name} --data FILE"
        named = ", ".join(self.sources)
        return f"The data of these steps is not in this file: {named}. Set `data_files` of each, or write its rows."

    def text(self, name: str) -> str:
        """The YAML of a file of that name."""
        hint = self.hint(name)
        return (f"# {hint}\n" if hint else "") + self.spec.to_yaml()


def shared(spec: PipelineSpec, published: Mapping[str, Any]) -> SharedPipeline | None:
    """A pipeline for publishing beside its results; None where it is too big for a file even so.

    A path is cut down to the name of the file, and rows written into the pipeline stay in it only where they are few
    and all of them, with every column, are in one of the published datasets.
    """
    steps: list[dict[str, Any]] = []
    sources: list[str] = []
    is_without_rows = False
    for step in spec.steps:
        kept = without_folders(step)
        rows = step.get("data")
        if isinstance(rows, list) and not (_are_few(rows) and _are_in(rows, published)):
            del kept["data"]
            is_without_rows = True
        if kept != step and editing.is_source(spec, step["name"]):
            sources.append(step["name"])
        steps.append(kept)
    told = SharedPipeline(spec.model_copy(update={"steps": steps}), tuple(sources), is_without_rows)
    return told if len(told.text("pipeline.yaml").encode()) <= files.MOST_BYTES["yaml"] else None


def without_folders(data: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data of a component with the name of a file or folder wherever it says where one is on this machine."""
    fields: Mapping[str, Any] = {}
    with suppress(ConfigError):
        fields = catalog.get(str(data.get("use"))).model_fields
    return {
        name: value if name == "data" else _cut(value, name in fields and is_place(fields[name]))
        for name, value in data.items()
    }


def local_paths(data: Any) -> Iterator[str]:
    """Every text in plain data that is a place on this machine, with its folders."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            if name != "data":
                yield from local_paths(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from local_paths(value)
    elif isinstance(data, str) and _is_local(data):
        yield data


def file_name(path: str) -> str:
    """The last part of a path of any system."""
    cut = PureWindowsPath(path) if WINDOWS.match(path) else PurePosixPath(path.removeprefix("file://"))
    return cut.name


def _cut(value: Any, is_path: bool) -> Any:
    if isinstance(value, Mapping):
        return without_folders(value) if "use" in value else {name: _cut(item, False) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cut(item, is_path) for item in value]
    if isinstance(value, str) and (_is_local(value) or (is_path and not _is_address(value))):
        return file_name(value) or value
    return value


def _is_address(text: str) -> bool:
    return "://" in text and not text.startswith("file://")


def _is_local(text: str) -> bool:
    """Whether a text that no field declares to be a path is one: it begins like one, and is there or at home here."""
    if len(text) > LONGEST_PATH or not text.isprintable():
        return False
    if WINDOWS.match(text) or text.startswith("file://"):
        return True
    if not text.startswith(("/", "~/")):
        return False
    with suppress(OSError, ValueError, RuntimeError):
        path = Path(text).expanduser()
        return len(path.parts) > 2 and (path.is_relative_to(Path.home()) or path.exists())
    return False


def _are_few(rows: list[Any]) -> bool:
    return len(rows) <= MOST_ROWS and len(orjson.dumps(rows, default=str, option=OPTIONS)) <= MOST_BYTES


def _are_in(rows: list[Any], published: Mapping[str, Any]) -> bool:
    """Whether all rows, with all their columns, are in one of the datasets."""
    if not all(isinstance(row, Mapping) for row in rows):
        return False
    empty = dict.fromkeys(str(name) for row in rows for name in row)
    wanted = {_key({**empty, **row}) for row in rows}
    return not wanted or any(wanted <= _found(wanted, list(empty), value) for value in published.values())


def _found(wanted: set[bytes], columns: list[str], value: Any) -> set[bytes]:
    splits: Iterable[Any] = value.values() if isinstance(value, Mapping) else [value]
    found: set[bytes] = set()
    for split in splits:
        if set(columns) <= set(split.column_names):
            found |= wanted & {_key(row) for row in split.select_columns(columns)}
    return found


def _key(row: Mapping[str, Any]) -> bytes:
    return orjson.dumps(row, default=str, option=OPTIONS)
