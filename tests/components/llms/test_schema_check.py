import pytest

from components.llms.schema_check import misfit

FITS = [
    ("x", {"type": "string"}),
    (3, {"type": "integer"}),
    (3.0, {"type": "integer"}),
    (3, {"type": "number"}),
    (None, {"type": ["string", "null"]}),
    (True, {"type": "boolean"}),
    ({"a": 1}, {"type": "object"}),
    ([1, 2], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
    ([1, "a", True], {"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": {"type": "boolean"}}),
    ("ab", {"minLength": 2, "maxLength": 2, "pattern": "^a"}),
    (10, {"minimum": 10, "maximum": 10, "multipleOf": 5}),
    (0.3, {"multipleOf": 0.1}),
    ("a", {"anyOf": [{"type": "integer"}, {"const": "a"}]}),
    (1, {"oneOf": [{"type": "integer"}, {"type": "string"}]}),
    ("a", {"not": {"type": "integer"}}),
    ({"a": {"a": None}}, {"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"a": {"$ref": "#/$defs/m"}}}, "m": {}}}),
    ("anything", {"pattern": "(?!lookahead)"}),
    ("anything", True),
]  # fmt: skip

MISFITS = [
    (3, {"type": "string"}, "the answer should be string, not 3"),
    (True, {"type": "integer"}, "should be integer, not true"),
    (1, {"enum": [True, "1"]}, 'should be one of true, "1", not 1'),
    (3.5, {"type": "integer"}, "should be integer"),
    ({"a": 1}, {"required": ["b"]}, "'b' is missing"),
    ({"a": {"b": "x"}}, {"properties": {"a": {"properties": {"b": {"type": "null"}}}}}, "'a.b' should be null"),
    ({"a": 1}, {"properties": {}, "additionalProperties": False}, "'a' should not be there"),
    ({"a": 1}, {"additionalProperties": {"type": "string"}}, "'a' should be string"),
    ([1, "x"], {"items": {"type": "integer"}}, "'[1]' should be integer"),
    ([1], {"minItems": 2}, "at least 2 items, not 1"),
    ([1, 2, 3], {"maxItems": 2}, "at most 2 items, not 3"),
    ([1, 1], {"uniqueItems": True}, "the same thing twice"),
    ("a", {"minLength": 2}, "at least 2 characters"),
    ("aaa", {"maxLength": 2}, "at most 2 characters"),
    ("b", {"pattern": "^a"}, "should match ^a"),
    (1, {"minimum": 2}, "at least 2"),
    (1, {"exclusiveMinimum": 1}, "more than 1"),
    (3, {"exclusiveMaximum": 3}, "less than 3"),
    (7, {"multipleOf": 5}, "a multiple of 5"),
    (1, {"const": 2}, "should be 2, not 1"),
    (1, {"anyOf": [{"type": "string"}, {"type": "null"}]}, "fits none of the forms"),
    (1, {"oneOf": [{"type": "integer"}, {"minimum": 0}]}, "exactly one of the forms"),
    (1, {"not": {"type": "integer"}}, "must not have"),
    (1, {"allOf": [{"type": "integer"}, {"minimum": 5}]}, "at least 5"),
    ({}, {"minProperties": 1}, "wrong number of fields"),
    ({"a": 1}, {"$ref": "#/$defs/x", "$defs": {"x": {"type": "string"}}}, "should be string"),
]


@pytest.mark.parametrize(("value", "schema"), FITS)
def test_a_value_that_fits_has_no_misfit(value, schema):
    assert misfit(value, schema) == ""


@pytest.mark.parametrize(("value", "schema", "words"), MISFITS)
def test_a_value_that_does_not_fit_is_told_where_and_why(value, schema, words):
    assert words in misfit(value, schema)


def test_a_schema_that_refers_to_itself_ends():
    assert misfit(1, {"$ref": "#"}) == ""


def test_a_pattern_made_to_hang_does_not():
    assert "should match" in misfit("a" * 5_000 + "!", {"pattern": "^(a+)+$"})


def test_a_long_value_is_shown_short():
    assert len(misfit("x" * 10_000, {"type": "integer"})) < 120
