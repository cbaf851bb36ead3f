"""The same pipeline with nobody to ask: every model gives way to one that answers from examples."""

from collections.abc import Mapping
from typing import Any

from components import catalog
from components.component import component_fields
from components.errors import ConfigError
from components.llms.llm import LLM
from components.pipeline.spec import PipelineSpec

STAND_IN = "RehearsalLLM"


def rehearsal_of(spec: PipelineSpec) -> PipelineSpec:
    """The pipeline with a RehearsalLLM in place of every model."""
    return spec.model_copy(update={"steps": [_without_models(step) for step in spec.steps]})


def _without_models(data: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(data)
    try:
        cls = catalog.get(str(data.get("use")))
    except ConfigError:
        return changed
    for name, held in component_fields(cls).items():
        value = data.get(name)
        if issubclass(held, LLM):
            if value is not None or cls.model_fields[name].is_required():
                changed[name] = [{"use": STAND_IN} for _ in value] if isinstance(value, list) else {"use": STAND_IN}
        elif isinstance(value, list):
            changed[name] = [_without_models(item) if isinstance(item, Mapping) else item for item in value]
        elif isinstance(value, Mapping):
            changed[name] = _without_models(value)
    return changed
