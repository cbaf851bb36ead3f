"""A step called by hand, without a pipeline, as its rows would come to it in one."""

import pytest

from components.errors import ConfigError
from components.steps import CombineOutputs, GlobalStep, LoadDataFromDicts, Step
from components.steps.tasks import TextGeneration
from tests.fakes import EchoLLM


class Shout(Step):
    """Makes `text` loud, in its place."""

    @property
    def inputs(self):
        return ["text"]

    @property
    def outputs(self):
        return ["text", "length"]

    def process(self, inputs):
        for row in inputs:
            yield [row | {"text": row["text"].upper(), "length": len(row["text"])}]


class Backward(GlobalStep):
    """Turns all rows around."""

    def process(self, inputs):
        yield list(reversed(inputs))


def test_mappings_are_applied_row_by_row():
    step = Shout(name="shout", input_mappings={"text": "message"}, output_mappings={"text": "loud"})
    rows = [{"message": "a", "text": "kept"}, {"message": "bc", "text": "too"}]
    assert list(step.process_applying_mappings(rows)) == [
        [
            {"message": "a", "text": "kept", "loud": "A", "length": 1},
            {"message": "bc", "text": "too", "loud": "BC", "length": 2},
        ]
    ]
    assert rows == [{"message": "a", "text": "kept"}, {"message": "bc", "text": "too"}]


def test_each_answer_of_a_task_stays_with_its_row():
    task = TextGeneration(name="ask", llm=EchoLLM(), num_generations=2, input_mappings={"instruction": "q"})
    task.load()
    (made,) = task.process_applying_mappings([{"q": "x"}, {"q": "y"}])
    assert [(row["q"], row["generation"]) for row in made] == [
        ("x", "echo: x"),
        ("x", "echo 1: x"),
        ("y", "echo: y"),
        ("y", "echo 1: y"),
    ]


def test_a_step_that_needs_all_rows_gets_all_and_one_of_branches_a_list_of_each():
    assert list(Backward(name="back").process_applying_mappings([{"n": 1}, {"n": 2}])) == [[{"n": 2}, {"n": 1}]]
    combine = CombineOutputs(name="both")
    assert list(combine.process_applying_mappings([{"a": 1}, {"a": 2}], [{"b": 1}, {"b": 2}])) == [
        [{"a": 1, "b": 1}, {"a": 2, "b": 2}]
    ]
    with pytest.raises(ConfigError, match="the same length"):
        list(combine.process_applying_mappings([{"a": 1}], []))


def test_a_source_is_called_with_a_row_to_begin_with():
    source = LoadDataFromDicts(name="load", data=[{"a": 1}, {"a": 2}], output_mappings={"a": "n"})
    assert list(source.process_applying_mappings(offset=1)) == [([{"n": 2}], True)]


def test_rows_are_imputed_with_nothing_in_the_new_columns():
    step = Shout(name="shout", input_mappings={"text": "message"}, output_mappings={"text": "loud"})
    rows = [{"message": "a", "text": "kept"}]
    assert step.impute_step_outputs(rows) == [{"message": "a", "text": "kept", "loud": None, "length": None}]
    assert rows == [{"message": "a", "text": "kept"}]
