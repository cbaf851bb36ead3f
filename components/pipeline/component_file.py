"""A single component as plain data or a file: read by its name in the catalog, never with a key."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from components import catalog
from components.component import Component
from components.errors import ConfigError
from components.pipeline import files
from components.pipeline.convert import convert_component
from components.pipeline.spec import keys_in, without_keys
from components.steps.building import pipeline_being_built
from components.steps.step import AnyStep, snake_case

log = logging.getLogger("stillroom.pipeline")

C = TypeVar("C", bound=Component)


def save(component: Component, path: str | Path, format: str | None = None) -> None:
    """Write a YAML or JSON file, by the ending of its name unless `format` says which."""
    files.write(path, without_keys(component.dump()), format)


def read(cls: type[C], path: str | Path, format: str | None = None) -> C:
    """The component in a file. Raises: ConfigError."""
    return build(cls, files.read(path, format))


def build(cls: type[C], data: Mapping[str, Any]) -> C:
    """The component that plain data of either library describes; a step joins the pipeline that is being built.

    Raises: ConfigError, or a subclass, also for one that is no `cls`.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"A component is a dict as `dump` gives it, not {type(data).__name__}.")
    if "pipeline" in data and "use" not in data and "type_info" not in data:
        raise ConfigError("This is a whole pipeline. Read it with Pipeline.from_dict, from_yaml or from_json.")
    if "type_info" in data and "use" not in data:
        data, notes = convert_component(data, cls)
        for note in notes:
            log.warning(note)
    for path in keys_in(data):
        raise ConfigError(
            f"{data.get('use') or cls.__name__}: '{path}' is a key, and a file never holds keys. "
            "Put it into an environment variable or under Models and keys."
        )
    builder = pipeline_being_built.get()
    if builder is not None and not data.get("name") and issubclass(cls, AnyStep):
        data = {**data, "name": builder.unused_name(snake_case(str(data.get("use", ""))))}
    component, faults = catalog.attempt(data, wanted=cls)
    if component is None:
        raise faults[0].error(" ".join(fault.message for fault in faults))
    component.mark_as_read()
    if builder is not None and isinstance(component, AnyStep):
        component.__dict__["pipeline"] = builder
        builder.add_step(component)
    return cast(C, component)
