"""One filled-in prompt for each task, so that a changed prompt shows in a diff.

Write them anew with: UPDATE_GOLDEN=1 pytest tests/components/steps/tasks/test_golden.py
"""

import os
from pathlib import Path

import pytest

from components.steps.tasks import (
    ChatGeneration,
    StructuredGeneration,
    TextClassification,
    TextGeneration,
    UltraFeedback,
    task,
)
from tests.components.steps.scripted import ScriptedLLM

GOLDEN = Path(__file__).parents[3] / "golden"
LLM = ScriptedLLM()
JUDGED = {"instruction": "Name a river.", "generations": ["The Danube.", "Paris."]}
TICKET = {"text": "I was charged twice for my order, and nobody answers."}


@task(inputs=["place"], outputs=["poem"])
def Poet(output, input):
    """Writes a poem.

    ---
    system_prompt: You are a poet.
    user_message_template: "A poem about {place}."
    ---
    """
    return {"poem": output}


def judge(aspect, **fields):
    return UltraFeedback(llm=LLM, aspect=aspect, **fields), JUDGED


CASES = {
    "text_generation": (
        TextGeneration(
            llm=LLM,
            system_prompt="You write for a bakery.",
            template="Answer {{ name }}:\n{{ row['Ticket text'] }}\n{% for tag in tags %}#{{ tag }} {% endfor %}",
        ),
        {"name": "Ada", "Ticket text": "Where is my cake?", "tags": ["cake", "late"]},
    ),
    "chat_generation": (
        ChatGeneration(llm=LLM),
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]},
    ),
    "text_classification": (
        TextClassification(
            llm=LLM,
            available_labels={"billing": "payments and refunds", "delivery": "", "other": ""},
            context="Tickets of a bakery.",
            examples=["'The cake came late' is delivery"],
            query_title="Ticket",
        ),
        TICKET,
    ),
    "text_classification_several": (
        TextClassification(
            llm=LLM, available_labels=["billing", "delivery"], n=2, allow_unsure=False, default_label="other"
        ),
        TICKET,
    ),
    "text_classification_open": (TextClassification(llm=LLM), TICKET),
    "structured_generation": (
        StructuredGeneration(
            llm=LLM,
            structured_output={
                "type": "object",
                "properties": {"river": {"type": "string"}, "km": {"type": "integer"}},
                "required": ["river", "km"],
            },
        ),
        {"instruction": "Name a river and its length."},
    ),
    "ultrafeedback_overall_rating": judge("overall-rating"),
    "ultrafeedback_honesty": judge("honesty"),
    "ultrafeedback_instruction_following": judge("instruction-following"),
    "ultrafeedback_helpfulness": judge("helpfulness"),
    "ultrafeedback_truthfulness_json": judge("truthfulness", use_default_structured_output=True),
    "task_decorator": (Poet(llm=LLM), {"place": "the sea"}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_prompt_of_a_task_is_what_it_was(name):
    step, row = CASES[name]
    messages = step.format_input(row)
    text = "\n".join(f"[{message['role']}]\n{message['content']}\n" for message in messages)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_every_golden_prompt_belongs_to_a_task():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)
