"""TextGeneration: its prompt, its columns, its answers."""

import asyncio

import pytest

from components.errors import ConfigError, MissingColumn, TemplateError
from components.states import CellState, Reason
from components.steps.tasks import TextGeneration
from tests.components.steps.scripted import ScriptedLLM, asked_text


def only(task, row):
    """The one row that the task makes of a row."""
    [made] = next(task.process([row]))
    return made


def test_the_instruction_is_the_prompt_by_default():
    llm = ScriptedLLM()
    made = only(TextGeneration(llm=llm), {"instruction": "Say hi"})
    assert llm.asked == [[{"role": "user", "content": "Say hi"}]]
    assert made["generation"] == "an answer"
    assert made["model_name"] == "scripted"


def test_the_system_prompt_of_the_row_wins():
    llm = ScriptedLLM()
    task = TextGeneration(llm=llm, system_prompt="field")
    list(task.process([{"instruction": "a"}, {"instruction": "b", "system_prompt": "row"}]))
    said = {asked_text(prompt): prompt[0] for prompt in llm.asked}
    assert said == {"a": {"role": "system", "content": "field"}, "b": {"role": "system", "content": "row"}}


def test_use_system_prompt_can_turn_system_messages_off():
    llm = ScriptedLLM()
    only(
        TextGeneration(llm=llm, system_prompt="x", use_system_prompt=False), {"instruction": "a", "system_prompt": "y"}
    )
    assert llm.asked == [[{"role": "user", "content": "a"}]]


def test_the_inputs_are_the_columns_of_the_template():
    task = TextGeneration(llm=ScriptedLLM(), template="{{ title }}{% if note %}: {{ note }}{% endif %}")
    assert task.get_inputs() == {"system_prompt": False, "title": True, "note": False}
    assert task.get_outputs() == {"generation": True, "model_name": True}


def test_a_column_may_be_given_as_one_name():
    task = TextGeneration(llm=ScriptedLLM(), columns="text", template="{{ text }}")
    assert task.columns == ["text"]


def test_a_column_that_the_template_leaves_out_is_an_error():
    with pytest.raises(ConfigError, match="column 'b' does not appear in the template"):
        TextGeneration(llm=ScriptedLLM(), columns=["a", "b"], template="{{ a }}")


def test_a_name_that_is_no_column_is_an_error_with_the_closest():
    with pytest.raises(TemplateError, match=r"no column 'instrution'.*Did you mean 'instruction'\?$"):
        TextGeneration(llm=ScriptedLLM(), columns=["instruction"], template="{{ instrution }}")


def test_an_unsafe_template_makes_no_task():
    with pytest.raises(TemplateError, match="'template' line 1"):
        TextGeneration(llm=ScriptedLLM(), template="{{ x.__class__ }}")


def test_a_row_without_the_column_is_an_error_with_the_closest():
    with pytest.raises(MissingColumn, match=r"needs the column 'instruction'\. Did you mean 'instructions'\?"):
        only(TextGeneration(llm=ScriptedLLM()), {"instructions": "a"})


def test_an_empty_cell_is_not_sent_to_the_model():
    llm = ScriptedLLM()
    rows = next(TextGeneration(llm=llm).process([{"instruction": None}, {"instruction": "b"}]))
    assert [row["generation"] for row in rows] == [None, "an answer"]
    assert len(llm.asked) == 1


@pytest.mark.parametrize(
    ("text", "finish_reason", "state", "reason"),
    [
        ("fine", "stop", CellState.OK, None),
        ("cut but of use", "length", CellState.NEEDS_REVIEW, Reason.CUT_OFF),
        ("", "stop", CellState.OK, None),
        ("", "length", CellState.FAILED, Reason.CUT_OFF),
        (None, "stop", CellState.FAILED, Reason.UNPARSEABLE),
    ],
)
def test_what_becomes_of_an_answer(text, finish_reason, state, reason):
    task = TextGeneration(llm=ScriptedLLM().answering(text, finish_reason))
    answer = asyncio.run(task.answer({"instruction": "a"}))
    assert (answer.state, answer.reason) == (state, reason)
    assert answer.rows[0]["generation"] == (None if state is CellState.FAILED else text)


def test_one_null_answer_leaves_the_others_alone():
    llm = ScriptedLLM().answering(lambda prompt, _: None if prompt[-1]["content"] == "b" else "ok")
    rows = next(TextGeneration(llm=llm).process([{"instruction": name} for name in "abc"]))
    assert [row["generation"] for row in rows] == ["ok", None, "ok"]
    assert rows[1]["distilabel_metadata"]["error_text_generation_0"] == "The model gave no answer."
    assert "error_text_generation_0" not in rows[0]["distilabel_metadata"]


def test_a_system_prompt_that_is_no_text_is_an_error():
    with pytest.raises(ConfigError, match="'system_prompt' holds list"):
        only(TextGeneration(llm=ScriptedLLM()), {"instruction": "a", "system_prompt": ["x"]})


def test_a_saved_task_is_the_same_task():
    task = TextGeneration(llm=ScriptedLLM(), template="{{ a }} {{ row['b c'] }}", system_prompt="S")
    data = task.dump()
    again = TextGeneration(
        **{key: value for key, value in data.items() if key not in ("use", "llm")}, llm=ScriptedLLM()
    )
    assert again.dump() == data
    assert again.signature() == task.signature()
