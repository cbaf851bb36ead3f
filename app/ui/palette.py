"""The shelves of components that a step can be made of, and what a new step begins with."""

from functools import cache
from typing import Any, Final

from app.ui.model_choice import LENGTHS
from app.ui.step_cards import icon_of, title_of
from components import catalog
from components.component import component_fields
from components.llms.llm import LLM
from components.steps.step import AnyStep
from components.steps.tasks.task import GeneratorTask, Task

ORDER: Final = ("Sources", "LLM tasks", "Columns", "Steps")


@cache
def shelves() -> list[dict[str, Any]]:
    """Every step of the catalog by category."""
    found: dict[str, list[dict[str, str]]] = {}
    for name in catalog.names(AnyStep):
        said = catalog.describe(name)
        doc = str(said["doc"]).partition("\n")[0]
        item = {"use": name, "title": title_of(name), "doc": doc, "icon": icon_of(name)}
        found.setdefault(str(said["category"]), []).append(item)
    names = sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    return [{"name": name, "components": found[name]} for name in names]


def alternatives(use: str) -> list[tuple[str, str]]:
    """The components that can take another one's place: those of its kind."""
    kind = catalog.describe(use)["kind"]
    return [(title_of(name), name) for name in catalog.names(AnyStep) if catalog.describe(name)["kind"] == kind]


def new_step(use: str, llm: dict[str, Any] | None = None) -> dict[str, Any]:
    """A step as it begins; a task asks the same model as the others, or one that is to be chosen."""
    cls = catalog.get(use)
    data: dict[str, Any] = {"use": use}
    if issubclass(cls, (Task, GeneratorTask)):
        for name, held in component_fields(cls).items():
            if held is LLM:
                data[name] = llm or {"use": "OpenAILLM", "model": "", "generation_kwargs": {LENGTHS[0]: 512}}
    return data


def swapped(data: dict[str, Any], use: str) -> dict[str, Any]:
    """A step with another component in its place; the settings that both have stay."""
    fields = catalog.get(use).model_fields
    kept = {name: value for name, value in data.items() if name in fields and name != "input_mappings"}
    return new_step(use, data.get("llm")) | kept | {"use": use}
