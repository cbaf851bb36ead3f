"""The order of a form: what most people set comes first, what every component shares is shown on request."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from app.ui.columns import StepColumns
from app.ui.form_fields import Field, Kind, Path, fields_of, label_of
from app.ui.form_values import UNSET, value_at
from components import catalog
from components.component import Component
from components.llms.llm import LLM
from components.llms.remote import RemoteLLM
from components.steps.step import GeneratorStep, Step
from components.steps.tasks.task import GeneratorTask, Task

PICKED: Final = frozenset({"base_url", "connection", "api_key"})
"""Fields of a model that its picker sets."""
ALWAYS: Final = frozenset({"num_generations"})
RARELY_SET: Final = frozenset(
    {"revision", "n_ctx", "n_gpu_layers", "n_threads", "n_parallel", "n_batch", "chat_format", "seed", "verbose"}
    | {"tokenizer_id", "model_display_name", "endpoint_name", "endpoint_namespace", "service_tier", "api_version"}
)
FRONT_PARAMETERS: Final = ("temperature", "max_new_tokens", "max_tokens")


@dataclass
class Sections:
    """The fields of one step's form, in the order in which they stand."""

    data_files: list[Field] = field(default_factory=list)
    inputs: list[Field] = field(default_factory=list)
    settings: list[Field] = field(default_factory=list)
    components: list[Field] = field(default_factory=list)
    runtime: list[Field] = field(default_factory=list)
    rest: list[Field] = field(default_factory=list)


@dataclass
class ModelSections:
    """The fields of a model inside a step's form."""

    names: list[Field] = field(default_factory=list)
    settings: list[Field] = field(default_factory=list)
    generation: list[Field] = field(default_factory=list)
    runtime: list[Field] = field(default_factory=list)


def sections_of(data: Mapping[str, Any], columns: StepColumns, *, shows_all: bool) -> Sections:
    """The fields of a step; those that every step has only where they are wanted or set already."""
    cls = catalog.get(str(data["use"]))
    found = Sections(inputs=input_fields(columns))
    for one in fields_of(catalog.describe(cls.__name__)["schema"]):
        name = one.path[0]
        if name in ("name", "input_mappings") or one.kind is Kind.SECRET:
            continue
        if one.kind is Kind.COMPONENT:
            found.components.append(one)
        elif is_shared(cls, name):
            if shows_all or value_at(data, one.path) is not UNSET:
                (found.runtime if one.is_runtime else found.rest).append(one)
        elif one.kind is Kind.DATA_FILE:
            found.data_files.append(one)
        else:
            (found.runtime if one.is_runtime else found.settings).append(one)
    return found


def model_sections(data: Mapping[str, Any], at: Path, *, shows_all: bool) -> ModelSections:
    """The fields of the model that stands at a path of a step."""
    cls = catalog.get(str(data["use"]))
    found = ModelSections()
    for one in fields_of(catalog.describe(cls.__name__)["schema"], at):
        inner = one.path[len(at) :]
        is_wanted = shows_all or value_at(data, inner) is not UNSET
        if inner[0] in PICKED or one.kind is Kind.SECRET:
            continue
        if one.kind is Kind.MODEL:
            found.names.append(one)
        elif inner[0] == "generation_kwargs":
            if is_wanted or inner[-1] in FRONT_PARAMETERS:
                found.generation.append(one)
        elif is_shared(cls, inner[0]):
            if is_wanted:
                (found.runtime if one.is_runtime else found.settings).append(one)
        elif inner[0] not in RARELY_SET or is_wanted:
            (found.runtime if one.is_runtime else found.settings).append(_plain_path(one))
    rank = {name: place for place, name in enumerate(FRONT_PARAMETERS)}
    found.generation.sort(key=lambda one: rank.get(one.path[-1], len(rank)))
    return found


def input_fields(columns: StepColumns) -> list[Field]:
    """One field for each column that a step takes: where it comes from."""
    return [
        Field(
            path=("input_mappings", name),
            label=f"{label_of(name)} column",
            kind=Kind.COLUMN,
            help="" if is_needed else "It can do without.",
            default=name,
            is_required=False,
        )
        for name, is_needed in columns.needs.items()
    ]


def is_shared(cls: type[Component], name: str) -> bool:
    """Whether a field is one that all components of its kind have, and few people touch."""
    if name in ALWAYS:
        return False
    bases = (Task, GeneratorTask, Step, GeneratorStep, RemoteLLM, LLM)
    return any(issubclass(cls, base) and name in base.model_fields for base in bases)


def _plain_path(one: Field) -> Field:
    # A model's file is a path on the server; it is none of the data files that people add.
    return replace(one, kind=Kind.TEXT) if one.kind is Kind.DATA_FILE else one
