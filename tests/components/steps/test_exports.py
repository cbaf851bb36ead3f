"""What `components.steps` and `components.steps.tasks` give, and what importing them costs."""

import subprocess
import sys

import pytest

import components.steps
import components.steps.tasks
from components.field_docs import field_docs

HEAVY = ("pandas", "datasets", "pyarrow", "gradio", "openai", "aiohttp", "httpx", "openpyxl", "yaml")


@pytest.mark.parametrize("module", [components.steps, components.steps.tasks], ids=lambda module: module.__name__)
def test_every_exported_name_is_there_and_in_order(module):
    assert module.__all__ == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


def test_importing_steps_and_tasks_imports_nothing_heavy():
    code = f"import sys, components.steps.tasks; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def every_component():
    for module in (components.steps, components.steps.tasks):
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, type) and hasattr(value, "model_fields"):
                yield value


@pytest.mark.parametrize("component", list(every_component()), ids=lambda component: component.__name__)
def test_every_field_says_what_it_is_for(component):
    assert component.__doc__
    for name, field in component.model_fields.items():
        if not field.exclude or name != "pipeline":
            assert field.description or field_docs(component).get(name), name
    properties = component.model_json_schema()["properties"]
    assert all(rule.get("description") or "$ref" in rule for rule in properties.values())
