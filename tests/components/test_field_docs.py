"""What stands beneath fields."""

from components.component import Component
from components.field_docs import field_docs


class Still(Component):
    heat: int = 1
    """How hot it gets,
    in degrees."""
    plain: str = ""


class Column(Still):
    plain: str = ""
    """Nothing beneath it before."""
    heat: int = 2
    """Hotter."""


def test_a_docstring_beneath_a_field_is_its_description():
    properties = Still.model_json_schema()["properties"]
    assert properties["heat"]["description"] == "How hot it gets,\nin degrees."
    assert "description" not in properties["plain"]


def test_the_nearest_docstring_counts_and_the_others_are_inherited():
    docs = field_docs(Column)
    assert (docs["heat"], docs["plain"]) == ("Hotter.", "Nothing beneath it before.")

    class Plate(Still):
        plain: str = ""

    assert field_docs(Plate)["heat"] == "How hot it gets,\nin degrees." and "plain" not in field_docs(Plate)


def test_a_class_without_source_has_no_descriptions():
    made = type("Made", (Component,), {"__annotations__": {"heat": int}, "__module__": "made"})
    assert field_docs(made) == field_docs(Component)
