"""The catalog, and what every component in it has to keep to."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, SecretStr

from components.catalog import Catalog
from components.component import Component, component_fields, is_runtime, is_secret
from components.errors import ConfigError, UnknownComponent
from components.llms.llm import LLM
from components.steps.step import AnyStep, GeneratorStep, Step, as_columns
from components.steps.tasks.task import Task
from components.steps.tasks.templates import PROMPTS, load_prompt
from tests.fakes import Ask, EchoLLM, Numbers

CATALOG = Catalog()
SHIPPED = CATALOG.names()
STEPS = CATALOG.names(AnyStep)
CANARY = "sk-canary-6f1d"

EXAMPLES: dict[str, dict[str, Any]] = {
    "InferenceEndpointsLLM": {"model_id": "meta-llama/Llama-3.1-8B-Instruct"},
    "LlamaCppLLM": {"model_path": "model.gguf"},
}
"""Fields of components whose smallest example cannot be told from their schema."""

FOR_ONE_ROW = {"system_prompt", "structured_output"}
"""Columns that are meant to take the place of the field of that name, for one row."""


def example(name: str) -> dict[str, Any]:
    """The smallest data that makes a component: a value for each required field, by its type."""
    schema = CATALOG.describe(name)["schema"]
    definitions = schema.get("$defs", {})
    fields = {field: value_for(schema["properties"][field], definitions) for field in schema.get("required", [])}
    return {"use": name, **fields, **EXAMPLES.get(name, {})}


def value_for(schema: dict[str, Any], definitions: dict[str, Any], number: int = 0) -> Any:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "component" in schema:
        part = "RehearsalLLM" if schema["component"] in ("LLM", "AsyncLLM") else CATALOG.names(Component)[0]
        return [{"use": part}] * 2 if schema["many"] else {"use": part}
    if "anyOf" in schema:
        return value_for(next(one for one in schema["anyOf"] if one.get("type") != "null"), definitions, number)
    if "enum" in schema or "const" in schema:
        return schema.get("enum", [schema.get("const")])[0]
    match schema.get("type"):
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
        case "array":
            return [
                value_for(schema.get("items", {}), definitions, index) for index in range(schema.get("minItems", 1))
            ]
        case "object":
            inner = schema.get("properties", {})
            return {field: value_for(inner[field], definitions) for field in schema.get("required", [])}
        case _:
            return f"example{number}"


def built(name: str) -> Component:
    return CATALOG.build(example(name))


def test_the_catalog_lists_models_sources_steps_and_tasks() -> None:
    assert {"LoadDataFromDicts", "CombineOutputs", "TextGeneration"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_component_says_what_it_is_and_where_it_stands(name: str) -> None:
    cls = CATALOG.get(name)
    assert (cls.__dict__.get("__doc__") or "").strip().endswith((".", "`"))
    assert cls.category


@pytest.mark.parametrize("name", SHIPPED)
def test_every_field_says_what_it_is(name: str) -> None:
    properties = CATALOG.describe(name)["schema"]["properties"]
    assert [field for field, schema in properties.items() if not schema.get("description")] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_a_description_is_plain_data(name: str) -> None:
    described = CATALOG.describe(name)
    assert json.loads(json.dumps(described)) == described
    assert described["kind"] in ("llm", "embeddings", "task", "source", "step")


@pytest.mark.parametrize("name", SHIPPED)
def test_data_of_a_component_makes_the_same_component_again(name: str) -> None:
    component = built(name)
    data = json.loads(json.dumps(component.dump()))
    again = CATALOG.build(data)
    assert again.dump() == component.dump()
    assert again.signature() == component.signature()


@pytest.mark.parametrize("name", SHIPPED)
def test_keys_never_get_into_the_data_or_the_signature(name: str) -> None:
    cls, data = CATALOG.get(name), example(name)
    secret = [field for field, info in cls.model_fields.items() if is_secret(info)]
    component = CATALOG.build({**data, **dict.fromkeys(secret, CANARY)})
    assert CANARY not in json.dumps(component.dump()) + repr(component) + str(component)
    assert component.signature() == CATALOG.build(data).signature()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_copy_without_new_parameters_is_the_same(name: str) -> None:
    component = built(name)
    assert component.with_runtime_parameters({}).dump() == component.dump()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_runtime_parameter_is_told_with_its_type(name: str) -> None:
    component = built(name)
    told = {row["name"]: row for row in component.get_runtime_parameters_info()}
    for field, info in type(component).model_fields.items():
        if is_runtime(info) and field != "generation_kwargs":
            assert told[field]["description"] and told[field]["schema"], field
    for key in told.get("generation_kwargs", {}).get("keys", []):
        assert key["schema"], key["name"]


@pytest.mark.parametrize("name", STEPS)
def test_no_column_is_called_like_a_field_of_its_step(name: str) -> None:
    step = built(name)
    assert isinstance(step, AnyStep)
    if isinstance(step, GeneratorStep):
        return
    columns = {*as_columns(step.inputs), *as_columns(step.outputs)} - FOR_ONE_ROW
    assert columns & set(type(step).model_fields) == set()


@pytest.mark.parametrize("path", sorted(PROMPTS.glob("**/*.jinja")), ids=lambda path: path.stem)
def test_every_prompt_that_ships_compiles(path: Path) -> None:
    assert load_prompt(str(path.relative_to(PROMPTS).with_suffix("")))


@pytest.mark.parametrize(
    "module", ["components.llms", "components.embeddings", "components.steps", "components.steps.tasks"]
)
def test_what_a_package_promises_is_there(module: str) -> None:
    package = __import__(module, fromlist=["*"])
    assert [name for name in package.__all__ if not hasattr(package, name)] == []


def test_describing_the_components_loads_no_heavy_package() -> None:
    heavy = ["gradio", "torch", "transformers", "datasets", "openai", "sklearn", "pandas", "pyarrow", "sqlalchemy"]
    script = (
        "import sys; from components import catalog; [catalog.describe(name) for name in catalog.names()]; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "[]", done.stderr


def test_an_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(UnknownComponent, match="Did you mean 'TextGeneration'"):
        CATALOG.get("TextGenerator")


def test_names_can_be_narrowed_to_what_fits_a_field() -> None:
    assert "RehearsalLLM" in CATALOG.names(LLM)
    assert set(CATALOG.names(LLM)) & set(CATALOG.names(AnyStep)) == set()


@pytest.mark.parametrize(
    "use", ["os.system", "os:system", "components.llms.llm.LLM", "LLM", "Step", "", None, 3, ["x"]]
)
def test_only_finished_components_of_the_catalog_are_built(use: Any) -> None:
    with pytest.raises(ConfigError):
        CATALOG.build({"use": use, "name": "x"})


def test_a_class_of_ones_own_is_known_once_registered() -> None:
    catalog = Catalog()
    with pytest.raises(UnknownComponent, match="package or a script that is not here"):
        catalog.get("Numbers")
    assert catalog.register(Numbers) is Numbers
    assert catalog.build({"use": "Numbers", "count": 3}) == Numbers(count=3)


def test_only_finished_components_can_be_registered() -> None:
    for unfinished in (Step, Task, int):
        with pytest.raises(ConfigError, match="cannot be registered"):
            Catalog().register(unfinished)  # type: ignore[type-var]


def test_a_class_made_again_takes_the_place_of_the_first() -> None:
    catalog = Catalog()

    def make() -> type[GeneratorStep]:
        class Count(Numbers):
            """Counts."""

        return Count

    catalog.register(make())
    second = catalog.register(make())
    assert catalog.get("Count") is second


def test_a_name_that_is_taken_says_by_whom() -> None:
    class TextGeneration(Ask):
        """Another one."""

    with pytest.raises(ConfigError, match=r"called 'TextGeneration'.*components.*test_catalog"):
        Catalog().register(TextGeneration)


class Locked(EchoLLM):
    """A model with a key."""

    api_key: SecretStr | None = None
    """The key."""
    timeout: int = Field(60, ge=1)
    """Seconds."""


class Panel(Ask):
    """Asks several models."""

    judges: list[LLM] = []
    """Those who judge."""


@pytest.fixture
def own() -> Catalog:
    catalog = Catalog()
    for cls in (Ask, EchoLLM, Locked, Numbers, Panel):
        catalog.register(cls)
    return catalog


def test_parts_and_lists_of_parts_are_built_too(own: Catalog) -> None:
    panel = own.build(
        {"use": "Panel", "llm": {"use": "EchoLLM"}, "judges": [{"use": "Locked", "timeout": 5}, EchoLLM()]}
    )
    assert isinstance(panel, Panel)
    assert panel.judges == [Locked(timeout=5), EchoLLM()]
    assert own.build(panel.dump()) == panel


def test_a_part_without_choice_needs_no_name(own: Catalog) -> None:
    step = own.build({"use": "Ask", "llm": {"use": "EchoLLM"}, "resources": {"replicas": 2}})
    assert isinstance(step, Ask) and step.resources.replicas == 2


@pytest.mark.parametrize(
    ("data", "path", "sentence"),
    [
        ({"use": "Ask"}, ("llm",), "Step 'a' needs a value for 'llm'."),
        ({"use": "Ask", "llm": {}}, ("llm", "use"), "'llm' of step 'a' needs `use`, the name of a component."),
        (
            {"use": "Ask", "llm": {"use": "Locket"}},
            ("llm", "use"),
            "'llm' of step 'a': there is no component 'Locket'.",
        ),
        ({"use": "Ask", "llm": {"use": "Numbers"}}, ("llm", "use"), "Numbers of step 'a': Numbers cannot stand here."),
        (
            {"use": "Ask", "llm": {"use": "Locked", "timeot": 1}},
            ("llm", "timeot"),
            "has no field 'timeot'. Did you mean",
        ),
        ({"use": "Ask", "llm": {"use": "Locked", "timeout": 0}}, ("llm", "timeout"), "Locked of step 'a': 'timeout'"),
        (
            {"use": "Ask", "llm": {"use": "EchoLLM", "generation_kwargs": {"temprature": 1}}},
            ("llm", "generation_kwargs"),
            "EchoLLM of step 'a' has no generation parameter 'temprature'. Did you mean 'temperature'?",
        ),
        ({"use": "Ask", "llm": {"use": "EchoLLM"}, "self": 1}, ("self",), "Step 'a' has no field 'self'."),
        ({"use": "Ask", "llm": {"use": "EchoLLM", 3: 1}}, ("llm", "3"), "has no field '3'."),
        ({"use": "Ask", "llm": {"use": "EchoLLM"}, "name": "a b"}, ("name",), "Step 'a': 'name'"),
        (
            {"use": "Panel", "llm": {"use": "EchoLLM"}, "judges": [{"use": "x"}]},
            ("judges", 0, "use"),
            "'judges' of step",
        ),
        ("text", (), "Step 'a' must be a group of fields, not str."),
    ],
)
def test_what_is_wrong_names_step_and_field(own: Catalog, data: Any, path: tuple[Any, ...], sentence: str) -> None:
    component, faults = own.attempt(data, "Step 'a'")
    assert component is None
    assert [fault.path for fault in faults] == [path]
    assert sentence in faults[0].message
    with pytest.raises(ConfigError):
        own.build(data, "Step 'a'")


def test_everything_wrong_is_said_at_once(own: Catalog) -> None:
    _, faults = own.attempt({"use": "Ask", "llm": {"use": "Locked", "timeout": "x", "y": 1}, "num_generations": 0})
    assert [fault.path for fault in faults] == [("llm", "timeout"), ("llm", "y"), ("num_generations",)]


def test_a_schema_says_which_components_a_field_takes(own: Catalog) -> None:
    properties = own.describe("Panel")["schema"]["properties"]
    assert (properties["llm"]["component"], properties["llm"]["many"]) == ("LLM", False)
    assert (properties["judges"]["component"], properties["judges"]["many"]) == ("LLM", True)
    assert "pipeline" not in properties
    assert component_fields(Panel).keys() == {"llm", "judges", "resources"}


def test_columns_that_depend_on_missing_settings_are_left_open() -> None:
    assert CATALOG.describe("KeepColumns")["inputs"] is None
    assert CATALOG.describe("TextGeneration")["inputs"]["instruction"] is True
    assert CATALOG.describe("RehearsalLLM")["inputs"] is None
    assert CATALOG.describe("LoadDataFromDicts")["outputs"] is None


def plugin(folder: Path, package: str, code: str) -> None:
    (folder / f"{package}.py").write_text(code)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[stillroom.components]\n{package} = {package}\n")


PLUGIN = '''
from tests.fakes import Numbers
class {name}(Numbers):
    """Made by a plugin."""
__all__ = ["{name}"]
'''


def test_plugins_join_and_a_broken_one_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugin(tmp_path, "brewery", PLUGIN.format(name="Brew"))
    plugin(tmp_path, "ruin", "import nothing_of_that_name")
    monkeypatch.syspath_prepend(str(tmp_path))
    catalog = Catalog()
    assert catalog.build({"use": "Brew", "count": 2})
    assert "TextGeneration" in catalog.names()
    assert "The plugin 'ruin'" in caplog.text


def test_a_name_that_two_packages_bring_is_an_error_and_the_rest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path, "mine_first", PLUGIN.format(name="Twin"))
    plugin(tmp_path, "mine_second", PLUGIN.format(name="Twin"))
    monkeypatch.syspath_prepend(str(tmp_path))
    catalog = Catalog()
    with pytest.raises(ConfigError, match=r"mine_(first|second).*mine_(first|second)"):
        catalog.get("Twin")
    assert catalog.get("TextGeneration")
