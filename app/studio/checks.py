"""What is wrong with a pipeline before it runs, with the rules of the app beside those of the core."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from app.settings import Settings
from app.studio.connections import Connections
from app.studio.datasets import ASSETS
from components import catalog
from components.errors import ConfigError
from components.pipeline.checks import check
from components.pipeline.problem import Problem, raise_errors
from components.pipeline.spec import PipelineSpec
from components.vault import lend

FOLDER_FIELDS = frozenset({"dataset_path"})


class Checks:
    """Finds problems; starts nothing."""

    def __init__(self, settings: Settings, connections: Connections, *, reads_any_file: bool = False) -> None:
        """With `reads_any_file` for a person at a terminal, whose files they are."""
        self._roots = (settings.datasets, ASSETS)
        self._connections = connections
        self._reads_any_file = reads_any_file

    def check(self, spec: PipelineSpec, *, asks_sources: bool = True) -> list[Problem]:
        """Every problem, with its step and field; without `asks_sources` no file is opened."""
        hidden = list(self.foreign_files(spec))
        with lend(self._connections.vault()):
            # A file outside the folders must not be opened either, not even to learn its columns.
            return hidden + check(spec, asks_sources=asks_sources and not hidden)

    def raise_errors(self, spec: PipelineSpec) -> None:
        """Raises: ConfigError, or a subclass, with every problem that keeps the pipeline from running."""
        raise_errors(self.check(spec))

    def foreign_files(self, spec: PipelineSpec) -> Iterator[Problem]:
        """A problem for each file that the app may not read."""
        for step in spec.steps:
            for field, path in _paths(step):
                if not self._may_read(path):
                    message = (
                        f"Step '{step['name']}': the app reads only files that were added under Datasets, "
                        f"and {Path(path).name or path} was not. Add it there, then choose it."
                    )
                    yield Problem(step["name"], field, message)

    def _may_read(self, path: str) -> bool:
        if self._reads_any_file:
            return True
        try:
            resolved = Path(path).expanduser().resolve()
        except (OSError, RuntimeError, ValueError):
            return False
        return any(resolved.is_relative_to(root.resolve()) for root in self._roots)


def _paths(step: dict[str, Any]) -> Iterator[tuple[str, str]]:
    fields = FOLDER_FIELDS | _file_fields(step["use"])
    for field, value in step.items():
        for item in value if isinstance(value, list) else [value]:
            if field in fields and isinstance(item, str) and item:
                yield field, item


@cache
def _file_fields(use: str) -> frozenset[str]:
    try:
        properties = catalog.get(use).model_json_schema().get("properties", {})
    except ConfigError:
        return frozenset()
    return frozenset(name for name, schema in properties.items() if _is_file(schema))


def _is_file(schema: Any) -> bool:
    if isinstance(schema, dict):
        return schema.get("ui") == "data_file" or any(_is_file(value) for value in schema.values())
    return isinstance(schema, list) and any(_is_file(value) for value in schema)
