import os
import subprocess
import sys
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, Field, SecretStr

from components.component import (
    Column,
    Component,
    Incidental,
    ModelName,
    Multiline,
    RuntimeParameter,
    component_fields,
    plain,
)
from components.errors import ConfigError, UnknownParameter

KEY = "sk-canary-0a1b2c3d4e"


class Engine(Component):
    """A part that another holds."""

    category: ClassVar[str] = "Tests"

    power: RuntimeParameter[int] = Field(3, ge=1)
    """How strong it is."""
    name: str = "v8"
    """What it is called."""


class Car(Component):
    """A component with every kind of field."""

    engine: Engine = Engine()
    """What drives it."""
    seats: int = Field(ge=1, le=9)
    """How many may sit in it."""
    color: RuntimeParameter[str] = "red"
    """How it looks."""
    lucky: RuntimeParameter[float] = None
    """A number."""
    password: RuntimeParameter[SecretStr] = None
    """Opens the door."""
    workers: Incidental[int] = 2
    """How many build it."""
    note: Incidental[RuntimeParameter[str]] = None
    """For whoever drives it."""
    text: Multiline = ""
    """A long story."""
    column: Column = "a"
    model: ModelName = "m"


def test_a_runtime_parameter_has_a_value_when_it_is_set():
    assert Car(seats=4).runtime_parameters_names == {
        "engine": {"power": True},
        "color": True,
        "lucky": False,
        "password": False,
        "note": False,
    }


def test_runtime_parameters_say_all_that_a_form_needs():
    rows = {row["name"]: row for row in Car(seats=4).get_runtime_parameters_info()}
    assert set(rows) == {"engine", "color", "lucky", "password", "note"}
    assert rows["color"]["description"] == "How it looks."
    assert rows["color"]["optional"]
    nested = rows["engine"]["runtime_parameters_info"][0]
    assert (nested["name"], nested["description"]) == ("power", "How strong it is.")
    assert nested["schema"]["anyOf"][0] == {"minimum": 1, "type": "integer"}


def test_values_are_coerced_and_nested():
    car = Car(seats=4)
    car.set_runtime_parameters({"lucky": "7.5", "engine": {"power": "5"}, "color": "blue"})
    assert (car.lucky, car.engine.power, car.color) == (7.5, 5, "blue")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"colour": "blue"}, "Car has no runtime parameter 'colour'. Did you mean 'color'?"),
        ({"engine": {"pwer": 1}}, "Engine has no runtime parameter 'pwer'. Did you mean 'power'?"),
        ({"seats": 5}, "Car has no runtime parameter 'seats'."),
    ],
)
def test_an_unknown_parameter_names_the_closest(parameters, words):
    with pytest.raises(UnknownParameter) as caught:
        Car(seats=4).set_runtime_parameters(parameters)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"lucky": "seven"}, "Car: 'lucky' input should be a valid number"),
        ({"engine": {"power": 0}}, "Engine: 'power' input should be greater than or equal to 1"),
        ({"engine": 5}, "takes a group of parameters"),
    ],
)
def test_a_wrong_value_names_its_field(parameters, words):
    with pytest.raises(ConfigError) as caught:
        Car(seats=4).set_runtime_parameters(parameters)
    assert words in str(caught.value)


def test_other_runtime_parameters_make_another_component():
    car = Car(seats=4)
    other = car.with_runtime_parameters({"color": "blue", "engine": {"power": 9}})
    assert (other.color, other.engine.power) == ("blue", 9)
    assert (car.color, car.engine.power) == ("red", 3)


def test_a_component_is_saved_by_what_is_not_at_its_default():
    assert Car(seats=4).dump() == {"use": "Car", "seats": 4}
    saved = Car(seats=4, color="blue", engine=Engine(power=7), password=KEY).dump()
    assert saved == {"use": "Car", "engine": {"use": "Engine", "power": 7}, "seats": 4, "color": "blue"}


def test_a_key_is_shown_nowhere():
    car = Car(seats=4, password=KEY)
    car.set_runtime_parameters({"password": KEY})
    shown = f"{car!r} {car} {car.dump()} {car.model_dump()} {car.model_dump_json()} {vars(car)} {car._identity()}"
    assert KEY not in shown
    assert car.password.get_secret_value() == KEY


@pytest.mark.parametrize(
    "make",
    [
        lambda: Car(seats=99, password=KEY),
        lambda: Car(seat=4, password=KEY),
        lambda: Car(password=KEY),
        lambda: Car(seats=4, password=[KEY]),
        lambda: Car(seats=4).set_runtime_parameters({"password": [KEY]}),
        lambda: setattr(Car(seats=4), "password", {"a": KEY}),
    ],
)
def test_a_key_is_not_in_the_error_about_another_field_or_about_itself(make):
    with pytest.raises(ValueError) as caught:
        make()
    error = caught.value
    while error is not None:
        assert KEY not in f"{error} {error!r} {error.args}"
        error = error.__cause__ or error.__context__


def test_keys_and_what_is_incidental_are_no_part_of_the_identity():
    base = Car(seats=4).signature()
    assert base == Car(seats=4, password=KEY, workers=9, note="hi").signature()
    assert base != Car(seats=5).signature()
    assert base != Car(seats=4, engine=Engine(power=9)).signature()


def test_the_code_of_a_class_of_ones_own_is_part_of_its_identity():
    def make(answer):
        namespace: dict[str, Any] = {"Component": Component, "__name__": "notebook"}
        exec(f"class Own(Component):\n    def answer(self):\n        return {answer}", namespace)
        return namespace["Own"]()

    assert make(1).signature() != make("1 + 1 if self else 3").signature()


def in_a_notebook(text, name="Own"):
    namespace: dict[str, Any] = {"Component": Component, "__name__": "notebook"}
    exec(text, namespace)
    return namespace[name]().signature()


@pytest.mark.parametrize(
    "text",
    [
        "class Own(Component):\n    def prompt(self):\n        return {0!r}",
        "class Own(Component):\n    @property\n    def prompt(self):\n        return {0!r}",
        "class Own(Component):\n    @staticmethod\n    def prompt():\n        return {0!r}",
        "from typing import ClassVar\nclass Own(Component):\n    prompt: ClassVar[str] = {0!r}",
        "class Base(Component):\n    def prompt(self):\n        return {0!r}\nclass Own(Base):\n    pass",
    ],
)
def test_other_words_in_a_class_of_a_notebook_make_another_component(text):
    assert in_a_notebook(text.format("Be kind.")) == in_a_notebook(text.format("Be kind."))
    assert in_a_notebook(text.format("Be kind.")) != in_a_notebook(text.format("Be curt."))


def test_a_class_of_a_notebook_is_the_same_component_in_another_process():
    text = """
from components.component import Component
class Own(Component):
    def is_word(self, text):
        return text in {"one", "two", "three", "four", "five"}
print(Own().signature())
"""
    signatures = {
        subprocess.run(
            [sys.executable, "-c", text], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(signatures) == 1


def test_a_field_that_is_not_there_names_the_closest():
    with pytest.raises(ConfigError, match=r"Car has no field 'seets'\. Did you mean 'seats'\?"):
        Car(seats=4, seets=4)


def test_everything_that_is_wrong_is_told_in_one_sentence_each():
    with pytest.raises(ConfigError) as caught:
        Car(engine=Engine(), lucky="x")
    assert str(caught.value) == (
        "Car needs a value for 'seats'. "
        "Car: 'lucky' input should be a valid number, unable to parse string as a number."
    )


def test_a_field_says_in_its_schema_what_kind_of_input_it_is():
    properties = Car.model_json_schema()["properties"]
    assert properties["color"]["runtime"] is True
    assert properties["workers"]["incidental"] is True
    assert [properties[name]["ui"] for name in ("text", "column", "model")] == ["multiline", "column", "model"]
    assert properties["text"]["description"] == "A long story."


def test_the_parts_of_a_component_are_known():
    assert component_fields(Car) == {"engine": Engine}


def test_anything_becomes_plain_data():
    class Row(BaseModel):
        a: int = 1
        b: int = 2

    assert plain({1: (Row(a=5), {"x"}, None), "s": Row}) == {
        "1": [{"a": 5}, ["x"], None],
        "s": Row.model_json_schema(),
    }
