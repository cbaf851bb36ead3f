"""What every task does with rows, several answers and errors."""

import asyncio

import pytest

from components.errors import ConfigError, ContentRefused, CredentialError, RequestRefused
from components.states import CellState, Reason
from components.steps.step import METADATA
from components.steps.tasks import ChatGeneration, TextClassification, TextGeneration, UltraFeedback
from tests.components.steps.scripted import FormLLM, ScriptedLLM, asked_text


def echo(prompt, index):
    return f"{asked_text(prompt)}/{index}"


def test_every_answer_keeps_the_columns_of_its_own_row_under_mappings():
    task = TextGeneration(
        llm=ScriptedLLM().answering(echo),
        num_generations=3,
        input_mappings={"instruction": "prompt"},
        output_mappings={"generation": "reply"},
    )
    rows = [{"prompt": f"p{n}", "instruction": f"kept {n}", "id": n} for n in range(4)]
    made = next(task.process(rows))
    assert [(row["id"], row["prompt"], row["instruction"], row["reply"]) for row in made] == [
        (n, f"p{n}", f"kept {n}", f"p{n}/{index}") for n in range(4) for index in range(3)
    ]


def test_grouped_answers_are_lists_in_one_row():
    task = TextGeneration(llm=ScriptedLLM().answering(echo), num_generations=2, group_generations=True)
    earlier = {"raw_output_before": "x"}
    made = next(task.process([{"instruction": "a", METADATA: earlier}, {"instruction": "b"}]))
    assert [row["generation"] for row in made] == [["a/0", "a/1"], ["b/0", "b/1"]]
    assert [row["model_name"] for row in made] == ["scripted", "scripted"]
    metadata = made[0][METADATA]
    assert metadata["raw_output_before"] == "x"
    assert metadata["raw_output_text_generation_0"] == ["a/0", "a/1"]
    assert earlier == {"raw_output_before": "x"}


def test_a_task_after_grouped_answers_finds_its_metadata():
    writer = TextGeneration(llm=ScriptedLLM().answering(echo), num_generations=2, group_generations=True)
    judge = UltraFeedback(
        llm=ScriptedLLM().answering("Rating: 3\nRationale: a\nRating: 4\nRationale: b"),
        input_mappings={"generations": "generation"},
    )
    [row] = judge.apply(writer.apply([{"instruction": "a"}]))
    assert row["ratings"] == [3, 4]
    assert row["generation"] == ["a/0", "a/1"]
    assert {"raw_output_text_generation_0", "raw_output_ultra_feedback_0"} <= row[METADATA].keys()


def test_tokens_are_counted_once_for_all_answers_to_a_row():
    task = TextGeneration(llm=ScriptedLLM(), num_generations=3)
    counted = [row[METADATA]["statistics_text_generation_0"] for row in next(task.process([{"instruction": "a"}]))]
    assert sum(one["input_tokens"] or 0 for one in counted) == 7
    assert sum(one["output_tokens"] for one in counted) == 6


def test_one_unreadable_answer_of_several_needs_review_and_keeps_the_rest():
    llm = ScriptedLLM().answering(lambda _prompt, index: "x" if index == 1 else "a")
    task = TextClassification(llm=llm, available_labels=["a", "b"], num_generations=3)
    answer = asyncio.run(task.answer({"text": "t"}))
    assert (answer.state, answer.reason) == (CellState.NEEDS_REVIEW, Reason.NOT_IN_LABELS)
    assert [row["labels"] for row in answer.rows] == ["a", None, "a"]
    assert ["error_text_classification_0" in row[METADATA] for row in answer.rows] == [False, True, False]


def test_a_refused_row_does_not_take_the_others_with_it():
    def refuses(prompt, _index):
        if asked_text(prompt) == "b":
            raise RequestRefused("No.")
        if asked_text(prompt) == "d":
            raise ContentRefused("Never.")
        return "fine"

    rows = next(TextGeneration(llm=ScriptedLLM().answering(refuses)).process([{"instruction": c} for c in "abcde"]))
    assert [row["generation"] for row in rows] == ["fine", None, "fine", None, "fine"]
    assert rows[1][METADATA]["error_text_generation_0"] == "No."
    assert [row["instruction"] for row in rows] == list("abcde")


def test_a_refused_key_is_raised_and_not_hidden_in_rows():
    def refuses(_prompt, _index):
        raise CredentialError("The key was refused.")

    with pytest.raises(CredentialError):
        next(TextGeneration(llm=ScriptedLLM().answering(refuses)).process([{"instruction": "a"}]))


def test_a_model_that_answers_nothing_at_all_still_gives_a_row():
    class Silent(ScriptedLLM):
        def generate(self, inputs, num_generations=1):
            return [[] for _ in inputs]

    for grouped in (False, True):
        [row] = next(TextGeneration(llm=Silent(), group_generations=grouped).process([{"instruction": "a"}]))
        assert row["generation"] in (None, [None])


def test_raw_text_is_left_out_where_it_is_not_wanted():
    task = TextGeneration(llm=ScriptedLLM(), add_raw_input=False, add_raw_output=False)
    [row] = next(task.process([{"instruction": "a"}]))
    assert list(row[METADATA]) == ["statistics_text_generation_0"]


def test_logprobs_and_other_extras_become_columns_of_their_generation():
    class Chatty(ScriptedLLM):
        def generate(self, inputs, num_generations=1):
            return [{"generations": ["a", "b"], "statistics": {}, "logprobs": [[1], [2]]} for _ in inputs]

    rows = next(TextGeneration(llm=Chatty(), num_generations=2, name="t").process([{"instruction": "a"}]))
    assert [row["llm_t_logprobs"] for row in rows] == [[1], [2]]


def test_process_gives_the_rows_back_in_order_and_unchanged():
    rows = [{"instruction": str(n), "keep": [n]} for n in range(20)]
    before = [dict(row) for row in rows]
    made = next(TextGeneration(llm=ScriptedLLM().answering(echo)).process(rows))
    assert [row["generation"] for row in made] == [f"{n}/0" for n in range(20)]
    assert rows == before


def test_an_answer_that_a_task_stumbles_over_is_kept_and_takes_no_other_with_it():
    class Second(TextGeneration):
        def format_output(self, output, input=None):
            return {"generation": output.split("/")[2]}

    llm = ScriptedLLM().answering(lambda _prompt, index: "a" if index == 1 else "a/b/c")
    answer = asyncio.run(Second(llm=llm, num_generations=2).answer({"instruction": "x"}))
    assert (answer.state, answer.reason) == (CellState.NEEDS_REVIEW, Reason.UNPARSEABLE)
    assert answer.message == "1 of 2 answers: Second could not read the answer: IndexError: list index out of range"
    assert answer.raw == ["a/b/c", "a"]
    assert [row["generation"] for row in answer.rows] == ["c", None]


def test_what_is_wrong_with_a_task_itself_is_not_taken_for_an_answer():
    class Broken(TextGeneration):
        def format_output(self, output, input=None):
            raise ConfigError("The task lacks something.")

    with pytest.raises(ConfigError):
        asyncio.run(Broken(llm=ScriptedLLM()).answer({"instruction": "x"}))


FORM = {"schema": {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}}


@pytest.mark.parametrize(
    ("said", "finish_reason", "read"),
    [
        ('{"age": 3}', "stop", '{"age": 3}'),
        ('```json\n{"age": 3}\n```', "stop", '{"age":3}'),
        ('<think>{"age": 1}?</think>{"age": 3}', "stop", '{"age":3}'),
        ('{"age": "three"}', "stop", None),
        ("Sure, here you are.", "stop", None),
        ('{"age": 3', "length", None),
    ],
)
@pytest.mark.parametrize("kind", [TextGeneration, ChatGeneration])
def test_an_answer_keeps_to_the_form_that_the_model_was_given(kind, said, finish_reason, read):
    llm = FormLLM(structured_output=FORM).answering(said, finish_reason)
    row = {"instruction": "x", "messages": [{"role": "user", "content": "x"}]}
    answer = asyncio.run(kind(llm=llm).answer(row))
    assert answer.rows[0]["generation"] == read
    assert answer.raw == [said]
    assert answer.state is (CellState.OK if read else CellState.FAILED)


def test_a_task_with_a_form_of_its_own_reads_by_that():
    llm = FormLLM(structured_output=FORM).answering('{"labels": "a"}')
    answer = asyncio.run(TextClassification(llm=llm, available_labels=["a", "b"]).answer({"text": "x"}))
    assert answer.rows[0]["labels"] == "a"
