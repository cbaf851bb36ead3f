"""A pipeline as plain data: what files hold and the Build page edits, drafts included."""

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from components import catalog
from components.component import Component, component_fields, explain, is_secret
from components.errors import ConfigError
from components.pipeline import files
from components.pipeline.graph import Graph
from components.pipeline.routing import build_routing
from components.steps.step import AnyStep, snake_case

FORM = 1
KEY_NAME = re.compile(r"(^|_)(api_?key|(access|api|auth|bearer|hf)_?token|password|secret)$|^token$", re.IGNORECASE)

log = logging.getLogger("stillroom.pipeline")


class Connection(BaseModel):
    """The steps that get one step's rows."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True, frozen=True)

    source: str = Field(alias="from")
    to: list[str]


class Routing(BaseModel):
    """The function that chooses which of the next steps get a batch of one step's rows; extra fields are its own."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, serialize_by_alias=True, frozen=True)

    source: str = Field(alias="from")
    use: str


class PipelineSpec(BaseModel):
    """A pipeline as plain data, finished or not; `check` says what is missing. It never holds a key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("", max_length=200)
    description: str = Field("", max_length=10_000)
    steps: list[dict[str, Any]] = []
    """Each with `use`, the name of a component, its own `name`, and the fields that are not at their defaults."""
    connections: list[Connection] = []
    routing: list[Routing] = []

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigError(explain(type(self), error, "The pipeline")) from error
        for step in self.steps:
            for path in keys_in(step):
                raise ConfigError(
                    f"Step '{step['name']}': '{path}' is a key, and a pipeline never holds keys. "
                    "Put it into an environment variable or under Models and keys."
                )

    @field_validator("name", "description", mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: Any) -> Any:
        return "" if value is None else value

    @field_validator("steps")
    @classmethod
    def _every_step_has_a_name(cls, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        taken = {str(step.get("name")) for step in steps}
        numbers: dict[str, Iterator[int]] = {}
        named = []
        for step in steps:
            use, name = str(step.get("use") or ""), step.get("name")
            if not name:
                stem = snake_case(use) or "step"
                free = numbers.setdefault(stem, count())
                name = next(f"{stem}_{number}" for number in free if f"{stem}_{number}" not in taken)
            fields = {field: value for field, value in step.items() if field not in ("use", "name")}
            named.append({"use": use, "name": str(name), **fields})
        return named

    @classmethod
    def of(cls, graph: Graph, name: str = "", description: str = "") -> Self:
        """The data of a graph; a routing function that is code is named, but cannot be built again."""
        connections = [Connection(source=step, to=graph.successors(step)) for step in graph.steps]
        return cls(
            name=name,
            description=description,
            steps=[without_keys(step.dump()) for step in graph.steps.values()],
            connections=[connection for connection in connections if connection.to],
            routing=[{"from": step, **router.dump()} for step, router in graph.routers.items()],
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """A pipeline from the content of a file in Stillroom's own form."""
        form, pipeline = document.get("stillroom"), document.get("pipeline")
        if not isinstance(pipeline, Mapping):
            raise ConfigError("This is no pipeline: there is no `pipeline` in it.")
        if not isinstance(form, int) or form < 1:
            raise ConfigError(f"This is no pipeline file of Stillroom: it must begin with `stillroom: {FORM}`.")
        if form > FORM:
            raise ConfigError(f"The file was made by a newer Stillroom (form {form}). Update Stillroom to read it.")
        unknown = [str(key) for key in document if key not in ("stillroom", "pipeline")]
        if unknown:
            raise ConfigError(f"A pipeline file has no '{unknown[0]}' beside `stillroom` and `pipeline`. Remove it.")
        return cls(**{str(key): value for key, value in pipeline.items()})

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "PipelineSpec":
        """A pipeline from the content of a file of either library; what could not be taken over is logged."""
        from components.pipeline.convert import spec_of

        if not isinstance(data, Mapping):
            raise ConfigError(f"A pipeline is a dict as `dump` gives it, not {type(data).__name__}.")
        spec, notes = spec_of(data)
        for note in notes:
            log.warning(note)
        return spec

    @classmethod
    def read(cls, path: str | Path, format: str | None = None) -> "PipelineSpec":
        """The pipeline in a YAML or JSON file of either library; what could not be taken over is logged."""
        return cls.from_data(files.read(path, format))

    def document(self) -> dict[str, Any]:
        """The content of a file, the same for YAML and JSON."""
        pipeline: dict[str, Any] = {"name": self.name, "description": self.description, "steps": self.steps}
        pipeline["connections"] = [connection.model_dump() for connection in self.connections]
        pipeline["routing"] = [routing.model_dump() for routing in self.routing]
        kept = {key: value for key, value in pipeline.items() if value or key in ("name", "steps", "connections")}
        return {"stillroom": FORM, "pipeline": kept}

    def save(self, path: str | Path, format: str | None = None) -> None:
        """Write a YAML or JSON file, by the ending of its name unless `format` says which."""
        files.write(path, self.document(), format)

    def to_yaml(self) -> str:
        """The text of a YAML file."""
        return files.render(self.document(), "yaml")

    def to_json(self) -> str:
        """The text of a JSON file."""
        return files.render(self.document(), "json")

    def build(self) -> Graph:
        """The steps, made and connected.

        Raises: ConfigError, or a subclass, with a sentence for each thing that is wrong.
        """
        graph = Graph()
        faults: list[catalog.Fault] = []
        for data in self.steps:
            step, found = catalog.attempt(data, f"Step '{data['name']}'", AnyStep)
            faults += found
            if isinstance(step, AnyStep):
                graph.add(step)
        if faults:
            raise faults[0].error("\n".join(fault.message for fault in faults))
        for connection in self.connections:
            for downstream in connection.to:
                graph.connect(connection.source, downstream)
        for routing in self.routing:
            graph.route(routing.source, build_routing({"use": routing.use, **(routing.model_extra or {})}))
        return graph

    def hash(self) -> str:
        """The same for two pipelines that do the same, whatever they and their descriptions are called."""
        content = {key: self.document()["pipeline"].get(key) for key in ("steps", "connections", "routing")}
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def step(self, name: str) -> dict[str, Any]:
        """The data of one step.

        Raises: ConfigError when there is none of that name.
        """
        for step in self.steps:
            if step["name"] == name:
                return step
        raise ConfigError(f"There is no step '{name}' in the pipeline.")

    def step_names(self) -> list[str]:
        """The names of the steps, in order."""
        return [step["name"] for step in self.steps]

    def edges(self) -> list[tuple[str, str]]:
        """Every connection, as it stands."""
        return [(connection.source, name) for connection in self.connections for name in connection.to]

    def after(self) -> dict[str, list[str]]:
        """For each step, the steps that get its rows; also for names in connections that are no step."""
        after: dict[str, list[str]] = {name: [] for name in self.step_names()}
        for connection in self.connections:
            after.setdefault(connection.source, []).extend(connection.to)
        return after


def is_key_name(name: Any) -> bool:
    """Whether a field that no component declares looks like it holds a key."""
    return bool(KEY_NAME.search(str(name)))


def keys_in(data: Mapping[str, Any]) -> Iterator[str]:
    """Where plain data of a component holds a key that must not be written anywhere."""
    cls = _known(data.get("use"))
    fields = cls.model_fields if cls is not None else {}
    parts = component_fields(cls) if cls is not None else {}
    for name, value in data.items():
        field = fields.get(name)
        if value in (None, ""):
            continue
        if is_secret(field) if field is not None else is_key_name(name):
            yield str(name)
        elif name == "generation_kwargs" and isinstance(value, Mapping):
            yield from (f"{name}.{key}" for key in value if is_key_name(key))
        elif name in parts or field is None:
            items = {f"{name}.{index}": item for index, item in enumerate(value)} if isinstance(value, list) else {}
            for place, item in (items or {name: value}).items():
                if isinstance(item, Mapping) and (name in parts or "use" in item):
                    yield from (f"{place}.{path}" for path in keys_in(item))


def without_keys(data: dict[str, Any]) -> dict[str, Any]:
    """Plain data of a component, its keys taken out."""
    for path in list(keys_in(data)):
        *parents, last = path.split(".")
        holder: Any = data
        for part in parents:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        del holder[last]
    return data


def _known(use: Any) -> type[Component] | None:
    try:
        return catalog.get(str(use))
    except ConfigError:
        return None
