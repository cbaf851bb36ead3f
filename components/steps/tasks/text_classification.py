"""Label each text."""

import json
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from components.component import Hint, Multiline
from components.errors import CutOff, NotInLabels, ReplyError
from components.llms.structured import THOUGHT, parse_json
from components.llms.typing import FormattedInput
from components.states import LabelState
from components.steps.tasks.example import chosen
from components.steps.tasks.labels import label_named, plain_name, shortened
from components.steps.tasks.task import Task
from components.steps.tasks.templates import load_prompt
from components.steps.typing import Row, StepColumns

UNSURE = LabelState.UNSURE.value
LONGEST_LABEL = 100


class TextClassification(Task):
    """Put one or several labels on each text."""

    shows_its_end = True

    available_labels: Annotated[list[str] | dict[str, str] | None, Hint("ui", "labels")] = None
    """The labels to choose from, each with what it means where that helps; left empty, the model makes up its own."""
    n: int = Field(1, ge=1, le=100)
    """The most labels a text can get; with 1 each text gets one label, else a list."""
    allow_unsure: bool = True
    """Let the model answer "unsure" instead of guessing."""
    default_label: str | list[str] | None = None
    """What to answer where none of the labels fits."""
    context: Multiline = ""
    """What the model should know before it labels: where the texts come from, what the labels are for."""
    examples: list[str] | None = None
    """Texts with their labels, as a person would put them."""
    query_title: str = Field("Text", min_length=1)
    """What a text is called in the prompt, such as Ticket or Review."""
    system_prompt: Annotated[str | None, Hint("ui", "multiline")] = None
    """Takes the place of the system message that ships with the task."""
    use_default_structured_output: bool = True
    """Have the provider force the answer to be one of the labels, where it can."""

    @model_validator(mode="after")
    def _labels_are_clear(self) -> Self:
        labels = list(self.available_labels or [])
        if self.available_labels is not None and not labels:
            raise ValueError("available_labels is empty; give at least one label, or leave it out")
        for label in labels:
            if not plain_name(label):
                raise ValueError(f"the label {label!r} has no letter or digit")
        twice = [label for label in labels if labels.count(label) > 1]
        if twice:
            raise ValueError(f"the label '{twice[0]}' stands twice in available_labels")
        return self

    @property
    def inputs(self) -> StepColumns:
        return ["text"]

    @property
    def outputs(self) -> StepColumns:
        return ["labels", "model_name"]

    @property
    def answers(self) -> list[str]:
        """Everything the model may answer; empty where it makes up its own labels."""
        if not self.available_labels:
            return []
        answers = list(dict.fromkeys([*self.available_labels, *self._defaults()]))
        if self.allow_unsure and UNSURE not in map(plain_name, answers):
            answers.append(UNSURE)
        return answers

    def format_input(self, input: Row) -> FormattedInput:
        labels = self.available_labels or []
        meanings = labels if isinstance(labels, dict) else {}
        values = {
            "context": self.context,
            "labels": [f"{label}: {meanings[label]}" if meanings.get(label) else label for label in labels],
            "n": self.n,
            "default": " or ".join(f'"{label}"' for label in self._defaults()),
            "unsure": UNSURE if self.allow_unsure else "",
            "examples": self.examples or [],
            "title": self.query_title,
            "text": input.get("text"),
            "form": '{"labels": "..."}' if self.n == 1 else '{"labels": ["...", "..."]}',
        }
        return load_prompt("text_classification").messages(values, self.system_prompt)

    def format_output(self, output: str | None, input: Row | None = None) -> Row:
        return self.read_answer(output, input or {}, None)

    def read_answer(self, text: str | None, input: Row, finish_reason: str | None) -> Row:
        given = self._given(text, finish_reason)
        labels = list(dict.fromkeys(self._label(item) for item in given))
        if not labels:
            raise NotInLabels("The answer has no label.")
        if len(labels) > self.n:
            raise NotInLabels(f"The answer has {len(labels)} labels, and at most {self.n} can be given.")
        if len(labels) > 1 and self.allow_unsure and UNSURE in labels:
            raise NotInLabels(f"The answer is both '{UNSURE}' and a label.")
        return {"labels": labels[0] if self.n == 1 else labels}

    def structured_output_schema(self) -> Any:
        label: dict[str, Any] = {"type": "string"}
        if self.answers:
            label["enum"] = self.answers
        labels = label if self.n == 1 else {"type": "array", "items": label, "minItems": 1, "maxItems": self.n}
        return {
            "title": "labels",
            "type": "object",
            "properties": {"labels": labels},
            "required": ["labels"],
            "additionalProperties": False,
        }

    def rehearse(self, input: Row) -> str:
        label = chosen(self.answers or ["rehearsal"], input.get("text"))
        return json.dumps({"labels": label if self.n == 1 else [label]}, ensure_ascii=False)

    def _given(self, text: str | None, finish_reason: str | None) -> list[Any]:
        """What the answer gives as labels, whatever its form."""
        said = THOUGHT.sub("", text or "", count=1).strip()
        if not said:
            raise ReplyError("The answer is empty.")
        if said in self.answers or not ("{" in said or "[" in said):
            if finish_reason == "length":
                raise CutOff()
            return [said]
        value, _ = parse_json(said, finish_reason)
        if isinstance(value, dict):
            if "labels" not in value and "label" not in value:
                raise ReplyError("The answer is JSON without 'labels'.")
            value = value.get("labels", value.get("label"))
        if value is None:
            return []
        return value if isinstance(value, list) else [value]

    def _label(self, answer: Any) -> str:
        if self.answers:
            return label_named(answer, self.answers)
        label = answer.strip().strip("\"'`*") if isinstance(answer, str) else ""
        if not label or "\n" in label or len(label) > LONGEST_LABEL:
            raise ReplyError(f"The answer '{shortened(str(answer))}' is no label.")
        return UNSURE if self.allow_unsure and plain_name(label) == UNSURE else label

    def _defaults(self) -> list[str]:
        if self.default_label is None:
            return []
        return [self.default_label] if isinstance(self.default_label, str) else self.default_label
