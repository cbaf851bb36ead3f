import pytest
from pydantic import BaseModel

from components.llms.schema_strict import strict_schema


def closed(**properties):
    return {"type": "object", "properties": properties, "required": list(properties)}


def test_every_object_is_closed_and_every_property_required():
    schema = closed(a={"type": "string", "minLength": 3, "title": "A"}, b=closed(c={"type": "integer"}))
    assert strict_schema(schema) == {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {
                "type": "object",
                "properties": {"c": {"type": "integer"}},
                "required": ["c"],
                "additionalProperties": False,
            },
        },
        "required": ["a", "b"],
        "additionalProperties": False,
    }


def test_the_schema_that_was_given_stays_as_it_is():
    schema = closed(a={"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "null"}]}})
    before = repr(schema)
    assert strict_schema(schema)["properties"]["a"]["items"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert repr(schema) == before


def test_optional_properties_are_strict_only_if_a_value_can_say_that_they_are_absent():
    loose = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert strict_schema(loose) is None
    for part in ({"type": "string", "default": ""}, {"type": ["string", "null"]}, {"anyOf": [{"type": "null"}]}):
        strict = strict_schema({"type": "object", "properties": {"a": part}})
        assert strict is not None and strict["required"] == ["a"]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"], "additionalProperties": True},
        {"allOf": [{"type": "string"}]},
        {"type": "array"},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"not": {"type": "string"}},
        {},
        True,
    ],
)
def test_what_strict_mode_would_change_is_not_made_strict(part):
    assert strict_schema(closed(a=part)) is None


def test_references_and_tagged_unions_of_models_stay():
    class Cat(BaseModel):
        kind: str
        owner: "Cat | None" = None

    strict = strict_schema(Cat.model_json_schema())
    assert strict is not None
    assert strict["$defs"]["Cat"]["required"] == ["kind", "owner"]
    assert "default" not in repr(strict)
