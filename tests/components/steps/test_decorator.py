"""`@step`: a function becomes a step."""

from typing import Annotated

import pytest
from pydantic import Field

from components.component import RuntimeParameter
from components.errors import ConfigError, UnknownParameter
from components.steps import GeneratorStep, GlobalStep, Step, StepInput, step


@step(inputs=["text"], outputs=["n"])
def Count(inputs: StepInput, kay: RuntimeParameter[int] = 1, unit: str = "x"):
    """Counts."""
    for row in inputs:
        yield [row | {"n": len(row["text"]) * kay, "unit": unit}]


@step(outputs=["i"], step_type="generator")
def Numbers(offset: int = 0, upto: RuntimeParameter[int] = 4):
    for i in range(offset, upto):
        yield [{"i": i}], i == upto - 1


ROWS = [{"text": "a"}, {"text": "bb"}, {"text": "ccc"}]


def test_every_yield_of_the_function_counts():
    assert [row["n"] for row in Count().apply(ROWS)] == [1, 2, 3]


def test_a_runtime_parameter_stays_set_on_the_second_run():
    made = Count()
    made.set_runtime_parameters({"kay": 5})
    assert [row["n"] for row in made.apply(ROWS)] == [5, 10, 15]
    again = made.with_runtime_parameters({})
    assert [row["n"] for row in again.apply(ROWS)] == [5, 10, 15]
    assert [row["n"] for row in made.apply(ROWS)] == [5, 10, 15]


def test_runtime_parameters_are_listed_saved_coerced_and_checked():
    made = Count(kay="3")
    assert made.runtime_parameters_names["kay"] is True
    assert "unit" not in made.runtime_parameters_names
    assert made.dump()["kay"] == 3
    made.set_runtime_parameters({"kay": "7"})
    assert made.kay == 7
    with pytest.raises(UnknownParameter, match="Did you mean 'kay'"):
        made.set_runtime_parameters({"key": 7})
    with pytest.raises(ConfigError, match="'kay'"):
        made.set_runtime_parameters({"kay": "many"})


def test_parameters_and_code_are_part_of_the_identity():
    @step(inputs=["text"], outputs=["n"])
    def Other(inputs: StepInput):
        yield [row | {"n": 1} for row in inputs]

    first = Other

    @step(inputs=["text"], outputs=["n"])
    def Other(inputs: StepInput):
        yield [row | {"n": 2} for row in inputs]

    assert Count(kay=1).signature() == Count().signature()
    assert Count(kay=2).signature() != Count().signature()
    assert first().signature() != Other().signature()


def test_code_that_has_no_source_file_is_told_apart_too():
    def compiled(number):
        scope = {}
        exec(f"def Made(inputs):\n    yield [{{'n': {number}}}]", scope)
        return step()(scope["Made"])().signature()

    assert compiled(1) != compiled(2)
    assert compiled(1) == compiled(1)


def test_a_step_of_a_function_has_its_name_columns_and_kind():
    made = Count(name="mine", input_mappings={"text": "body"}, output_mappings={"n": "size"})
    assert (Count.__name__, Count.__doc__, isinstance(made, Step)) == ("Count", "Counts.", True)
    assert (made.get_inputs(), made.get_outputs()) == ({"body": True}, {"size": True})
    assert made.apply([{"body": "abc", "text": "kept"}]) == [{"unit": "x", "body": "abc", "text": "kept", "size": 3}]
    assert Count().name == "count_0"


def test_a_generator_function_is_a_source():
    source = Numbers()
    assert isinstance(source, GeneratorStep)
    assert [row for rows in source.batches() for row in rows] == [{"i": i} for i in range(4)]
    assert [row for rows in source.batches(offset=2) for row in rows] == [{"i": 2}, {"i": 3}]
    source.set_runtime_parameters({"upto": 2})
    assert sum(len(rows) for rows in source.batches()) == 2


def test_a_global_function_gets_all_rows():
    @step(outputs=["total"], step_type="global")
    def Total(inputs: StepInput):
        yield [row | {"total": len(inputs)} for row in inputs]

    made = Total()
    assert isinstance(made, GlobalStep)
    assert [row["total"] for row in made.apply(ROWS)] == [3, 3, 3]


def test_a_function_over_several_branches_gets_one_list_for_each():
    from components.steps.step import takes_several_inputs

    @step(outputs=["both"])
    def Both(*inputs: StepInput):
        yield [{"both": [row["i"] for row in rows]} for rows in zip(*inputs, strict=True)]

    assert Both().apply([{"i": 1}], [{"i": 2}]) == [{"both": [1, 2]}]
    assert takes_several_inputs(Both()) and not takes_several_inputs(Count())


def test_the_argument_for_rows_may_have_any_name_where_it_is_annotated():
    @step()
    def Named(tickets: StepInput, n: RuntimeParameter[int] = 2):
        return [row | {"n": n} for row in tickets]

    assert Named().apply([{"a": 1}]) == [{"a": 1, "n": 2}]


def test_a_parameter_without_a_default_has_to_be_set_before_the_run():
    @step()
    def Needs(inputs: StepInput, model: RuntimeParameter[str], size: Annotated[int, Field(ge=1)]):
        yield [row | {"model": model, "size": size} for row in inputs]

    made = Needs(size=2)
    assert made.runtime_parameters_names["model"] is False
    with pytest.raises(ConfigError, match="needs a value for 'model'"):
        made.apply([{}])
    made.set_runtime_parameters({"model": "m"})
    assert made.apply([{}]) == [{"model": "m", "size": 2}]
    with pytest.raises(ConfigError, match="'size'"):
        Needs(size=0)
    with pytest.raises(ConfigError, match="needs a value for 'size'"):
        Needs()


def bad_no_rows(x: int = 1):
    yield []


def bad_two(inputs: StepInput, others: StepInput):
    yield []


def bad_kwargs(inputs: StepInput, **rest):
    yield []


def bad_name(inputs: StepInput, name: str = ""):
    yield []


@pytest.mark.parametrize("function", [bad_no_rows, bad_two, bad_kwargs, bad_name])
def test_a_function_whose_arguments_do_not_fit_is_an_error(function):
    with pytest.raises(ConfigError, match=function.__name__):
        step()(function)


def test_a_generator_needs_an_offset():
    with pytest.raises(ConfigError, match="offset"):
        step(step_type="generator")(bad_no_rows)
