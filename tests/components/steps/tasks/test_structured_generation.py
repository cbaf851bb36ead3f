"""StructuredGeneration: JSON of the form that was asked for, or an error."""

import json
from typing import Literal

import pytest
from pydantic import BaseModel

from components.errors import ConfigError, ReplyError
from components.llms.rehearsal import RehearsalLLM
from components.steps.tasks import StructuredGeneration
from tests.components.steps.scripted import FormLLM, ScriptedLLM, asked_text


class Person(BaseModel):
    name: str
    age: int
    mood: Literal["good", "bad"] = "good"


SCHEMA = Person.model_json_schema()
ADA = '{"name": "Ada", "age": 36}'


def filler(form=Person, **fields):
    return StructuredGeneration(llm=ScriptedLLM(), structured_output=form, **fields)


@pytest.mark.parametrize(
    "form",
    [Person, SCHEMA, {"format": "json", "schema": SCHEMA}, {"schema": Person}, {"format": "json", "schema": Person}],
)
def test_the_form_can_be_given_in_every_usual_way(form):
    assert filler(form).format_output(ADA, {}) == {"generation": ADA}
    with pytest.raises(ReplyError):
        filler(form).format_output('{"name": "Ada"}', {})


@pytest.mark.parametrize("form", [SCHEMA, {"format": "json", "schema": SCHEMA}, json.dumps({"schema": SCHEMA})])
def test_the_form_of_a_row_takes_the_place_of_the_field(form):
    task = filler({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]})
    assert task.format_output(ADA, {"structured_output": form}) == {"generation": ADA}
    with pytest.raises(ReplyError):
        task.format_output(ADA, {"structured_output": None})


def test_the_column_is_needed_only_where_the_field_is_empty():
    assert filler().get_inputs() == {"instruction": True, "structured_output": False}
    assert filler(None).get_inputs() == {"instruction": True, "structured_output": True}


@pytest.mark.parametrize(
    ("answer", "generation"),
    [
        (ADA, ADA),
        (f"  {ADA}\n", ADA),
        (f"```json\n{ADA}\n```", ADA),
        (f"Here you are: {ADA} Anything else?", ADA),
    ],
)
def test_the_json_is_kept_as_text_without_what_stands_around_it(answer, generation):
    assert filler().format_output(answer, {}) == {"generation": generation}


@pytest.mark.parametrize(
    ("answer", "finish_reason"),
    [
        (None, "stop"),
        ("", "stop"),
        ("Ada is 36", "stop"),
        ('{"name": "Ada", "age": "old"}', "stop"),
        ('{"name": "Ada", "age": 36, "mood": "grim"}', "stop"),
        ('{"name": "Ada", "age": 3', "length"),
        ('{"name": "Ada", "age": 36', "length"),
        ('{"name": "Ada", "age": 36', None),
    ],
)
def test_an_answer_that_does_not_fit_or_was_cut_off_is_an_error(answer, finish_reason):
    with pytest.raises(ReplyError):
        filler().read_answer(answer, {}, finish_reason)


def test_an_answer_that_ended_by_itself_may_lack_its_last_brace():
    made = filler().read_answer('{"name": "Ada", "age": 36', {}, "stop")
    assert json.loads(made["generation"])["age"] == 36


def test_a_regular_expression_is_held_to():
    task = filler({"format": "regex", "schema": r"\d{4}-\d{2}"})
    assert task.format_output("2024-05", {}) == {"generation": "2024-05"}
    for wrong in ("2024-5", "on 2024-05", "2024-05-01", "2024-05\nno"):
        with pytest.raises(ReplyError):
            task.format_output(wrong, {})
    with pytest.raises(ReplyError, match="cut off"):
        task.read_answer("2024-05", {}, "length")


def test_a_regular_expression_stands_in_the_prompt_whatever_the_model_can_be_held_to():
    form = {"format": "regex", "schema": "(yes|no)"}
    for llm in (ScriptedLLM(), FormLLM()):
        task = StructuredGeneration(llm=llm.answering("yes"), structured_output=form)
        messages = task.format_input({"instruction": "Well?"})
        assert "(yes|no)" in messages[0]["content"] and messages[-1] == {"role": "user", "content": "Well?"}
        assert task.apply([{"instruction": "Well?"}])[0]["generation"] == "yes"


def test_a_rehearsal_does_not_fail_by_a_regular_expression():
    form = {"format": "regex", "schema": r"\d{4}"}
    [row] = StructuredGeneration(llm=RehearsalLLM(), structured_output=form).apply([{"instruction": "When?"}])
    assert "rehearsal" in row["generation"]


def test_a_regular_expression_from_a_row_cannot_hang_the_run():
    with pytest.raises(ReplyError):
        filler({"format": "regex", "schema": r"(a+)+b"}).format_output("a" * 200, {})


def test_the_form_goes_to_a_model_that_can_be_held_to_it():
    llm = FormLLM().answering(ADA)
    task = StructuredGeneration(llm=llm)
    rows = [{"instruction": name, "structured_output": {"format": "json", "schema": SCHEMA}} for name in "ab"]
    assert [row["generation"] for row in next(task.process(rows))] == [ADA, ADA]
    for messages, form in llm.asked:
        assert messages[0]["role"] == "user"
        assert form == {"format": "json", "schema": SCHEMA}


def test_the_form_is_written_out_for_a_model_that_cannot():
    llm = ScriptedLLM().answering(ADA)
    next(StructuredGeneration(llm=llm, structured_output=Person).process([{"instruction": "Ada"}]))
    [messages] = llm.asked
    assert '"age"' in messages[0]["content"]
    assert asked_text(messages) == "Ada"


def test_the_system_prompt_of_a_row_is_used_where_asked():
    row = {"instruction": "a", "system_prompt": "S", "structured_output": SCHEMA}
    with_it = StructuredGeneration(llm=FormLLM(), use_system_prompt=True)
    assert with_it.format_input(row)[0][0] == {"role": "system", "content": "S"}
    assert with_it.get_inputs()["system_prompt"] is False
    assert len(StructuredGeneration(llm=FormLLM()).format_input(row)[0]) == 1


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (None, "not given"),
        ("{broken", "no JSON"),
        (3, "holds int"),
        ({"format": "xml", "schema": "x"}, "'xml'"),
        ({"format": "regex", "schema": {}}, "regular expression"),
    ],
)
def test_a_form_that_is_none_says_why(form, message):
    with pytest.raises(ConfigError, match=message):
        filler(None).format_input({"instruction": "a", "structured_output": form})


def test_a_saved_task_has_the_schema_and_is_the_same_task():
    task = filler()
    data = task.dump()
    assert data["structured_output"]["title"] == "Person"
    assert filler(data["structured_output"]).dump() == data
    assert filler(data["structured_output"]).signature() == task.signature()


RECURSIVE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer", "minimum": 3},
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
        }
    },
    "$ref": "#/$defs/Node",
}


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        RECURSIVE,
        {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2},
        {
            "type": "object",
            "properties": {"n": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}},
            "required": ["n"],
        },
        {"type": "object", "properties": {"t": {"type": "string", "minLength": 12}, "b": {"type": "boolean"}}},
        {"allOf": [{"type": "object", "properties": {"a": {"const": 1}}}, {"required": ["a"]}]},
        {"type": "object", "properties": {"i": {"type": "integer", "multipleOf": 5, "exclusiveMinimum": 5}}},
    ],
)
def test_a_rehearsal_fits_the_form(schema):
    [row] = next(StructuredGeneration(llm=RehearsalLLM(), structured_output=schema).process([{"instruction": "x"}]))
    assert row["generation"] is not None
