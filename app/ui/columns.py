"""Which columns each step of a draft gets and makes, without opening a file or asking anybody."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from app.studio.datasets import Datasets
from app.ui.form_fields import Kind, fields_of
from components import catalog
from components.errors import ConfigError
from components.pipeline.spec import PipelineSpec
from components.steps.step import AnyStep, GeneratorStep, as_columns

ASK_OTHERS = frozenset({"repo_id", "dataset_path"})
"""Fields of sources that would have to ask the Hub, or open a folder, to say their columns."""


@dataclass
class StepColumns:
    """The columns around one step."""

    reaching: list[str] = field(default_factory=list)
    """Those that its rows come with."""
    needs: dict[str, bool] = field(default_factory=dict)
    """Its own names of the columns it takes; True where it cannot do without."""
    uses: list[str] = field(default_factory=list)
    """The columns it must have, as the rows call them."""
    makes: list[str] = field(default_factory=list)
    leaving: list[str] = field(default_factory=list)


def columns_of(spec: PipelineSpec, datasets: Datasets) -> dict[str, StepColumns]:
    """The columns around every step, as far as they can be told by now."""
    before: dict[str, list[str]] = {name: [] for name in spec.step_names()}
    for upstream, downstream in spec.edges():
        before.setdefault(downstream, []).append(upstream)
    data = {step["name"]: step for step in spec.steps}
    found: dict[str, StepColumns] = {}

    def visit(name: str, path: tuple[str, ...]) -> StepColumns:
        if name not in found and name in data and name not in path:
            around = [visit(one, (*path, name)).leaving for one in before[name]]
            reaching = list(dict.fromkeys(column for columns in around for column in columns))
            found[name] = _around(data[name], reaching, datasets)
        return found.get(name, StepColumns())

    for name in data:
        visit(name, ())
    return found


def _around(data: Mapping[str, Any], reaching: list[str], datasets: Datasets) -> StepColumns:
    step, _ = catalog.attempt(data, "", AnyStep)
    if not isinstance(step, AnyStep):
        step = _outline(data)
    if step is None:
        return StepColumns(reaching, leaving=list(reaching))
    try:
        if isinstance(step, GeneratorStep):
            made = _source_columns(step, data, datasets)
            return StepColumns(makes=made, leaving=made)
        needs = as_columns(step.inputs)
        uses = [name for name, needed in step.get_inputs().items() if needed]
        made = list(step.get_outputs())
        removed = step.get_removed()
        kept = [name for name in reaching if name not in removed] if step.keeps_columns else []
    except Exception:
        # A step that is not set up yet, or somebody's own, may fail in any way when asked for its columns.
        return StepColumns(reaching, leaving=list(reaching))
    return StepColumns(reaching, needs, uses, made, list(dict.fromkeys([*kept, *made])))


def _outline(data: Mapping[str, Any]) -> AnyStep | None:
    """A step whose settings do not hold yet, with those that say its columns."""
    try:
        cls = catalog.get(str(data.get("use")))
    except ConfigError:
        return None
    known = {name: value for name, value in data.items() if name in cls.model_fields and name != "llm"}
    built = cls.model_construct(**known)
    return built if isinstance(built, AnyStep) else None


def _source_columns(step: GeneratorStep, data: Mapping[str, Any], datasets: Datasets) -> list[str]:
    fields = _file_fields(type(step).__name__)
    if not fields:
        return [] if ASK_OTHERS & type(step).model_fields.keys() else list(step.get_outputs())
    columns: dict[str, None] = {}
    for name in fields:
        value = data.get(name)
        for path in value if isinstance(value, list) else [value] if isinstance(value, str) else []:
            known = datasets.at(path)
            columns |= dict.fromkeys(known.columns if known else ())
    return [step.output_mappings.get(column, column) for column in columns]


@cache
def _file_fields(use: str) -> tuple[str, ...]:
    return tuple(one.path[0] for one in fields_of(catalog.describe(use)["schema"]) if one.kind is Kind.DATA_FILE)
