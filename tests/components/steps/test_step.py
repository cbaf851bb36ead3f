"""What every step does with rows and mappings."""

from typing import Any

import pytest

from components.errors import ConfigError, MissingColumn
from components.steps import GlobalStep, Step


class Shout(Step):
    """Makes `text` loud."""

    @property
    def inputs(self):
        return ["text"]

    @property
    def outputs(self):
        return ["loud"]

    def process(self, inputs: Any):
        for row in inputs:
            yield [row | {"loud": str(row["text"]).upper()}]


class Rewrite(Shout):
    """Makes `text` loud in its place."""

    @property
    def outputs(self):
        return ["text"]

    def process(self, inputs: Any):
        yield [row | {"text": row["text"].upper()} for row in inputs]


class Longest(GlobalStep):
    """Keeps the row with the longest `text`."""

    @property
    def inputs(self):
        return ["text"]

    def process(self, inputs: Any):
        yield [max(inputs, key=lambda row: len(row["text"]))]


class Pair(Step):
    """Joins `a` and `b`."""

    @property
    def inputs(self):
        return ["a", "b"]

    @property
    def outputs(self):
        return ["ab"]

    def process(self, inputs: Any):
        yield [row | {"ab": f"{row['a']}{row['b']}"} for row in inputs]


def test_all_yields_of_a_step_are_used():
    rows = [{"text": name} for name in "abcdef"]
    assert [row["loud"] for row in Shout().apply(rows)] == list("ABCDEF")


def test_a_column_hidden_by_a_mapping_comes_back():
    step = Shout(input_mappings={"text": "body"})
    [row] = step.apply([{"body": "hi", "text": "kept"}])
    assert row == {"body": "hi", "text": "kept", "loud": "HI"}


def test_a_step_that_rewrites_a_mapped_column_leaves_the_original():
    step = Rewrite(input_mappings={"text": "body"}, output_mappings={"text": "loud"})
    assert step.apply([{"body": "hi"}]) == [{"body": "hi", "loud": "HI"}]


def test_mappings_may_swap_two_columns():
    step = Pair(input_mappings={"a": "b", "b": "a"})
    assert step.apply([{"a": 1, "b": 2, "c": 3}]) == [{"a": 1, "b": 2, "c": 3, "ab": "21"}]


def test_two_own_columns_may_be_found_in_one():
    step = Pair(input_mappings={"a": "x", "b": "x"})
    assert step.apply([{"x": 1}]) == [{"x": 1, "ab": "11"}]


def test_a_step_over_all_rows_may_drop_rows_under_a_mapping():
    step = Longest(input_mappings={"text": "body"})
    assert step.apply([{"body": "a"}, {"body": "bbb"}, {"body": "cc"}]) == [{"body": "bbb"}]


def test_a_step_over_all_rows_that_hides_a_column_must_keep_all_rows():
    step = Longest(input_mappings={"text": "body"})
    with pytest.raises(ConfigError, match="hide columns"):
        step.apply([{"body": "a", "text": "1"}, {"body": "bb", "text": "2"}])


def test_a_mapping_of_a_column_that_the_step_does_not_have_is_an_error():
    with pytest.raises(MissingColumn, match=r"no input column 'txt' to map\. Did you mean 'text'\?"):
        Shout(input_mappings={"txt": "body"}).verify_mappings()


def test_a_step_does_not_change_the_rows_it_was_given():
    rows = [{"text": "a", "text2": "b"}]
    Shout(input_mappings={"text": "text2"}).apply(rows)
    assert rows == [{"text": "a", "text2": "b"}]


@pytest.mark.parametrize("made", [[{"a": 1}, 3], "text", {"a": 1}, [[{1: 2}]], 7])
def test_what_is_no_list_of_rows_is_an_error(made):
    class Wrong(Step):
        """Makes no rows."""

        def process(self, inputs: Any):
            return made

    with pytest.raises(ConfigError, match="wrong_0"):
        Wrong().apply([{}])
