"""Values that fit no kind that their field takes: one sentence, which names the field and no class of Python."""

import pytest

from components import catalog
from components.errors import ConfigError
from components.llms import OpenAILLM, RehearsalLLM
from components.steps import LoadDataFromFileSystem
from components.steps.tasks import TextClassification


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ("a, b", "TextClassification: 'available_labels' input should be a valid list or a valid dictionary."),
        (["a", 1], "TextClassification: 'available_labels.1' input should be a valid string."),
        ({"a": 1}, "TextClassification: 'available_labels.a' input should be a valid string."),
        (["a", 1, 2], "'available_labels.1' input should be a valid string. TextClassification: 'available_labels.2'"),
    ],
)
def test_a_value_that_is_none_of_the_kinds_is_said_at_its_closest(labels, sentence):
    with pytest.raises(ConfigError) as error:
        TextClassification(llm=RehearsalLLM(), available_labels=labels)
    assert sentence in str(error.value)
    assert "[" not in str(error.value)


def test_generation_parameters_of_several_kinds_are_one_sentence():
    with pytest.raises(ConfigError) as error:
        OpenAILLM(model="m", generation_kwargs={"stop": 3})
    assert str(error.value) == "OpenAILLM: 'stop' input should be a valid string or a valid list."


def test_fields_beside_each_other_keep_their_own_problems():
    with pytest.raises(ConfigError) as error:
        LoadDataFromFileSystem(data_files=3, num_examples=0)
    first, second = str(error.value).split(". ")
    assert "'data_files'" in first and "'num_examples'" in second


def test_a_form_gets_one_fault_at_the_field():
    _, faults = catalog.attempt({"use": "LoadDataFromFileSystem", "data_files": {"train": "a.csv"}}, "Step 'load'")
    assert [(fault.path, fault.message) for fault in faults] == [
        (("data_files",), "Step 'load': 'data_files' input should be a valid string or a valid list.")
    ]
    _, faults = catalog.attempt({"use": "LoadDataFromFileSystem", "data_files": ["a.csv", 5]}, "Step 'load'")
    assert [fault.path for fault in faults] == [("data_files", 1)]


def test_a_field_that_says_its_own_name_is_named_once():
    with pytest.raises(ConfigError) as error:
        OpenAILLM(model="m", structured_output=5)
    assert str(error.value) == "OpenAILLM: structured_output must hold a pydantic model or a JSON Schema."
