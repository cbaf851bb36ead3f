from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr

from app.ui.form_fields import Kind, fields_of, label_of
from components import catalog
from components.component import Column, Columns, Component, DataFile, Hint, ModelName, Multiline, RuntimeParameter
from components.description import schema_of
from components.llms.llm import LLM


class Nested(BaseModel):
    depth: int = 3


class Everything(Component):
    """One field of each kind."""

    plain: str = "x"
    long: Multiline = ""
    key: RuntimeParameter[SecretStr] = None
    flag: bool = False
    count: int = Field(3, ge=1)
    share: float = Field(0.5, ge=0, le=1)
    weight: float = 1.5
    choice: Literal["a", "b"] = "a"
    maybe: int | None = None
    names: list[str] = []
    texts: str | list[str] | None = None
    labels: Annotated[list[str] | dict[str, str] | None, Hint("ui", "labels")] = None
    pairs: dict[str, str] = {}
    llm: LLM | None = None
    nested: Nested = Nested()
    columns: Columns = []
    column: Column = ""
    files: RuntimeParameter[DataFile | list[DataFile]] = None
    model: ModelName = "m"
    anything: dict[str, int] = {}
    mixed: bool | list[int] = False


KINDS = {
    "plain": Kind.TEXT,
    "long": Kind.MULTILINE,
    "key": Kind.SECRET,
    "flag": Kind.SWITCH,
    "count": Kind.INTEGER,
    "share": Kind.RANGE,
    "weight": Kind.NUMBER,
    "choice": Kind.CHOICE,
    "maybe": Kind.INTEGER,
    "names": Kind.LINES,
    "texts": Kind.LINES,
    "labels": Kind.LABELS,
    "pairs": Kind.PAIRS,
    "llm": Kind.COMPONENT,
    "nested.depth": Kind.INTEGER,
    "columns": Kind.COLUMNS,
    "column": Kind.COLUMN,
    "files": Kind.DATA_FILE,
    "model": Kind.MODEL,
    "anything": Kind.JSON,
    "mixed": Kind.JSON,
}


@pytest.fixture
def fields():
    return {".".join(field.path): field for field in fields_of(schema_of(Everything))}


def test_every_kind_of_field_gets_its_own_way_of_entering_it(fields) -> None:
    assert {name: field.kind for name, field in fields.items()} == KINDS


def test_bounds_choices_and_what_may_be_left_open_are_read_from_the_schema(fields) -> None:
    assert (fields["share"].low, fields["share"].high) == (0, 1)
    assert fields["choice"].choices == ("a", "b")
    assert fields["maybe"].is_optional and not fields["count"].is_optional
    assert fields["key"].is_runtime and not fields["plain"].is_runtime
    assert fields["llm"].wanted == "LLM"


def test_only_a_number_that_always_has_a_value_is_a_slider(fields) -> None:
    assert fields["share"].is_slider
    temperature = next(
        field
        for field in fields_of(catalog.describe("OpenAILLM")["schema"])
        if field.path == ("generation_kwargs", "temperature")
    )
    assert temperature.kind is Kind.RANGE and not temperature.is_slider


def test_generation_parameters_stand_inside_the_model_and_may_change_per_run() -> None:
    fields = fields_of(catalog.describe("OpenAILLM")["schema"], ("llm",))
    generation = [field for field in fields if field.path[:2] == ("llm", "generation_kwargs")]
    assert {"temperature", "max_new_tokens"} <= {field.path[-1] for field in generation}
    assert all(field.is_runtime for field in generation)


def test_labels_read_like_words() -> None:
    assert label_of("max_new_tokens") == "Max new tokens"
    assert label_of("base_url") == "Base URL"
    assert label_of("n") == "Most labels"


@pytest.mark.parametrize("name", catalog.names())
def test_every_field_of_every_component_has_a_place_and_help(name: str) -> None:
    for field in fields_of(catalog.describe(name)["schema"]):
        assert field.label and field.kind in Kind
        assert field.help, f"{name}.{'.'.join(field.path)} says nothing of itself."
