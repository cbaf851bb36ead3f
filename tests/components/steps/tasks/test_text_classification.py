"""TextClassification: an answer is one of the labels, or a person looks at it."""

import asyncio
import json

import pytest

from components.errors import ConfigError, NotInLabels, ReplyError
from components.llms.rehearsal import RehearsalLLM
from components.states import CellState, Reason
from components.steps.tasks import TextClassification
from tests.components.steps.scripted import ChatOnlyLLM, FormLLM, ScriptedLLM, asked_text

LABELS = ["billing", "Bug report", "C++", "other"]


def labeler(**fields):
    return TextClassification(llm=ScriptedLLM(), **{"available_labels": LABELS, **fields})


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ('{"labels": "billing"}', "billing"),
        ('{"labels": ["billing"]}', "billing"),
        ('{"label": "billing"}', "billing"),
        ('```json\n{"labels": "billing"}\n```', "billing"),
        ('Sure, here it is:\n{"labels": "billing"}', "billing"),
        ("billing", "billing"),
        (" Billing.\n", "billing"),
        ('"BUG  report"', "Bug report"),
        ("**bug report**", "Bug report"),
        ("C++", "C++"),
        ("unsure", "unsure"),
        ('{"labels": "Unsure"}', "unsure"),
        ("<think>It could be billing.</think>other", "other"),
    ],
)
def test_an_answer_that_names_a_label_is_that_label(answer, label):
    assert labeler().format_output(answer, {}) == {"labels": label}


@pytest.mark.parametrize(
    "answer",
    [
        "refund",
        "billings",
        "bill",
        "billing or other",
        "I think it is billing",
        '{"labels": "payments"}',
        '{"labels": ["billing", "other"]}',
        '{"labels": []}',
        '{"labels": null}',
        '{"labels": {"billing": 1}}',
        '{"labels": 3}',
        "positive",
        "C",
    ],
)
def test_an_answer_that_is_none_of_the_labels_is_never_taken_for_one(answer):
    with pytest.raises(NotInLabels):
        labeler().format_output(answer, {})


@pytest.mark.parametrize(
    "answer", [None, "", "  ", '{"labels": "bil', '{"category": "billing"}', "[1, 2", "<think>x</think>"]
)
def test_an_answer_in_the_wrong_form_is_a_reply_error(answer):
    with pytest.raises(ReplyError) as caught:
        labeler().format_output(answer, {})
    assert not isinstance(caught.value, NotInLabels)


@pytest.mark.parametrize("answer", ["billing", '{"labels": "billing"', '"billing'])
def test_an_answer_that_was_cut_off_is_never_mended(answer):
    with pytest.raises(ReplyError):
        labeler().read_answer(answer, {}, "length")


def test_labels_that_differ_only_in_case_are_told_apart_or_left_open():
    task = labeler(available_labels=["Apple", "apple", "pear"])
    assert task.format_output("apple", {}) == {"labels": "apple"}
    assert task.format_output("Apple", {}) == {"labels": "Apple"}
    with pytest.raises(NotInLabels):
        task.format_output("APPLE", {})


def test_an_unknown_label_needs_review_and_stays_empty():
    task = TextClassification(llm=ScriptedLLM().answering('{"labels": "payments"}'), available_labels=LABELS)
    answer = asyncio.run(task.answer({"text": "x"}))
    assert answer.state is CellState.NEEDS_REVIEW
    assert answer.reason is Reason.NOT_IN_LABELS
    assert answer.rows[0]["labels"] is None
    assert answer.raw == ['{"labels": "payments"}']
    assert "'payments' is none of the labels" in answer.message


def test_unsure_is_refused_where_it_is_not_allowed():
    with pytest.raises(NotInLabels):
        labeler(allow_unsure=False).format_output("unsure", {})


def test_a_label_of_ones_own_called_unsure_is_kept_as_it_is_written():
    task = labeler(available_labels=["yes", "Unsure"])
    assert task.answers == ["yes", "Unsure"]
    assert task.format_output("unsure", {}) == {"labels": "Unsure"}


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ('{"labels": ["other", "billing"]}', ["other", "billing"]),
        ('{"labels": ["Billing", "billing"]}', ["billing"]),
        ('{"labels": "billing"}', ["billing"]),
        ('["billing"]', ["billing"]),
        ("billing", ["billing"]),
        ('{"labels": ["unsure"]}', ["unsure"]),
    ],
)
def test_several_labels_come_as_a_list(answer, labels):
    assert labeler(n=2).format_output(answer, {}) == {"labels": labels}


@pytest.mark.parametrize(
    "answer",
    [
        '{"labels": ["billing", "other", "C++"]}',
        '{"labels": ["billing", "x"]}',
        '{"labels": ["billing", "unsure"]}',
        "a, b",
    ],
)
def test_too_many_or_unknown_labels_need_review(answer):
    with pytest.raises(NotInLabels):
        labeler(n=2).format_output(answer, {})


def test_the_default_label_is_one_of_the_answers():
    task = labeler(default_label="Unclassified")
    assert task.answers == [*LABELS, "Unclassified", "unsure"]
    assert task.format_output("unclassified", {}) == {"labels": "Unclassified"}
    assert 'answer "Unclassified"' in asked_text(task.format_input({"text": "x"}))


def test_without_labels_the_model_makes_up_its_own():
    task = TextClassification(llm=ScriptedLLM())
    assert task.format_output('{"labels": "refunds"}', {}) == {"labels": "refunds"}
    assert task.format_output('"refunds"', {}) == {"labels": "refunds"}
    assert task.format_output("Unsure", {}) == {"labels": "unsure"}
    with pytest.raises(ReplyError):
        task.format_output("word " * 50, {})


def test_the_prompt_has_the_labels_what_they_mean_and_the_text():
    task = labeler(
        available_labels={"billing": "money matters", "bug": ""},
        context="Tickets of a bakery.",
        examples=["'I paid twice' is billing"],
        query_title="Ticket",
    )
    text = asked_text(task.format_input({"text": "The oven is cold"}))
    for part in ("Tickets of a bakery.", "- billing: money matters\n- bug\n", "'I paid twice' is billing", "Ticket:"):
        assert part in text
    assert "<text>\nThe oven is cold\n</text>" in text


def test_a_system_prompt_of_ones_own_takes_the_place_of_the_shipped_one():
    messages = labeler(system_prompt="Mine {{ text }}").format_input({"text": "x"})
    assert messages[0] == {"role": "system", "content": "Mine {{ text }}"}


def test_the_provider_is_held_to_the_labels_where_it_can_be():
    llm = FormLLM().answering('{"labels": "billing"}')
    next(TextClassification(llm=llm, available_labels=LABELS).process([{"text": "x"}]))
    [(messages, form)] = llm.asked
    assert form["format"] == "json"
    assert form["schema"]["properties"]["labels"]["enum"] == [*LABELS, "unsure"]
    assert messages[1]["role"] == "user"


def test_several_labels_are_a_list_in_the_form():
    schema = labeler(n=3).structured_output_schema()["properties"]["labels"]
    assert (schema["type"], schema["minItems"], schema["maxItems"]) == ("array", 1, 3)


def test_no_form_is_sent_where_it_is_turned_off():
    llm = FormLLM().answering("billing")
    task = TextClassification(llm=llm, available_labels=LABELS, use_default_structured_output=False)
    next(task.process([{"text": "x"}]))
    assert isinstance(llm.asked[0], list)


def test_a_model_that_takes_chats_and_nothing_else_can_label():
    task = TextClassification(llm=ChatOnlyLLM(), available_labels=LABELS)
    [row] = next(task.process([{"text": "x"}]))
    assert row["labels"] == "billing"


def test_a_rehearsal_gives_each_text_the_same_label_every_time():
    task = TextClassification(llm=RehearsalLLM(), available_labels=LABELS)
    rows = [{"text": f"ticket {number}"} for number in range(30)]
    first, second = (next(task.process(rows)) for _ in range(2))
    labels = [row["labels"] for row in first]
    assert labels == [row["labels"] for row in second]
    assert set(labels) == {*LABELS, "unsure"}


def test_a_rehearsal_of_several_labels_is_in_the_right_form():
    task = TextClassification(llm=RehearsalLLM(), available_labels=LABELS, n=2)
    assert isinstance(json.loads(task.rehearse({"text": "x"}))["labels"], list)
    assert isinstance(next(task.process([{"text": "x"}]))[0]["labels"], list)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"available_labels": []}, "available_labels is empty"),
        ({"available_labels": ["a", "  "]}, "no letter or digit"),
        ({"available_labels": ["a", "b", "a"]}, "'a' stands twice"),
        ({"n": 0}, "'n'"),
    ],
)
def test_labels_that_make_no_sense_are_an_error(fields, message):
    with pytest.raises(ConfigError, match=message):
        labeler(**fields)
