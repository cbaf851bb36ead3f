"""What the cards of the Build page say about each step."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from app.studio import Studio
from app.ui.form_fields import label_of
from app.ui.workbench import Workbench
from components import catalog
from components.errors import ConfigError
from components.pipeline.problem import Problem
from components.steps.step import snake_case

ICONS: Final = {
    "TextClassification": "label",
    "UltraFeedback": "judge",
    "ChatGeneration": "chat",
    "StructuredGeneration": "structured",
}
KIND_ICONS: Final = {"source": "load", "task": "text", "step": "columns", "llm": "models"}


def cards(studio: Studio, bench: Workbench, selected: str, problems: Sequence[Problem]) -> dict[str, Any]:
    """The value of the column of cards."""
    columns = bench.columns()
    return {
        "selected": selected,
        "insertable": True,
        "steps": [
            {
                "name": step["name"],
                "component": step["use"],
                "title": title_of(step["use"]),
                "summary": _summary(studio, step),
                "icon": icon_of(step["use"]),
                "inputs": columns[step["name"]].uses,
                "outputs": [name for name in columns[step["name"]].makes if name != "model_name"],
                "errors": [said.message for said in problems if said.step == step["name"] and said.severity == "error"],
            }
            for step in bench.spec.steps
        ],
    }


def title_of(use: str) -> str:
    """`TextClassification` as "Text classification"."""
    return label_of(snake_case(use)) if use else "Unknown step"


@cache
def icon_of(use: str) -> str:
    """The icon of a component."""
    try:
        return ICONS.get(use) or KIND_ICONS.get(catalog.describe(use)["kind"], "columns")
    except ConfigError:
        return "warning"


def model_of(llm: Any) -> str:
    """The model that a step's `llm` names, as people call it."""
    if not isinstance(llm, dict):
        return ""
    if llm.get("use") == "RehearsalLLM":
        return "rehearsal, no model"
    path = llm.get("model_path")
    named = llm.get("model") or llm.get("model_id") or llm.get("repo_id") or (Path(path).name if path else "")
    return str(named or "no model chosen")


def _summary(studio: Studio, step: dict[str, Any]) -> str:
    if "llm" in step:
        return model_of(step["llm"])
    path = step.get("data_files")
    if isinstance(path, str) and path:
        known = studio.datasets.at(path)
        return f"{known.name}, {known.n_rows:,} rows" if known else Path(path).name
    if isinstance(path, list) and path:
        return f"{len(path)} files"
    return str(step.get("repo_id") or "")
