"""Judge several answers to an instruction."""

import json
import re
from typing import Any, ClassVar, Literal

from components.errors import ConfigError, CutOff, ReplyError
from components.llms.structured import THOUGHT, parse_json
from components.llms.typing import FormattedInput
from components.steps.tasks.example import chosen
from components.steps.tasks.sections import read_sections
from components.steps.tasks.task import Task
from components.steps.tasks.templates import load_prompt
from components.steps.tasks.text_generation import answered
from components.steps.typing import Row, StepColumns

RATED = {"Rating": "ratings", "Rationale": "rationales"}
TYPED = [
    ("Type", "types"),
    ("Rationale", "rationales"),
    ("Rating", "ratings"),
    ("Rationale", "rationales-for-ratings"),
]
HINTS = {
    "types": "the number of the type, or None",
    "ratings": "a whole number from 1 to 5",
    "rationales": "why, in one paragraph",
    "rationales-for-ratings": "why this rating, in one paragraph",
}
NUMBERS = ("types", "ratings")
NOTHING = frozenset({"none", "n/a", "na", "null", "-"})


class UltraFeedback(Task):
    """Rate several answers to the same instruction, with reasons."""

    shows_its_end = True
    source: ClassVar[str] = "UltraFeedback: Boosting Language Models with Scaled AI Feedback, arXiv:2310.01377"

    aspect: Literal["helpfulness", "honesty", "instruction-following", "truthfulness", "overall-rating"] = (
        "overall-rating"
    )
    """What to judge."""

    @property
    def inputs(self) -> StepColumns:
        return ["instruction", "generations"]

    @property
    def outputs(self) -> StepColumns:
        return [*(column for _, column in self._lines()), "model_name"]

    def format_input(self, input: Row) -> FormattedInput:
        prompt = load_prompt("ultrafeedback")
        texts = [text for text in self._texts(input) if text is not None]
        if not texts:
            raise ConfigError("The column 'generations' holds no text to judge in this row.")
        return prompt.messages(
            {
                "criteria": prompt.block(self.aspect.replace("-", "_"), {}),
                "instruction": input.get("instruction"),
                "texts": texts,
                "count": len(texts),
                "as_json": self.use_default_structured_output,
                "form": self._json_form() if self.use_default_structured_output else self._text_form(len(texts)),
            }
        )

    def format_output(self, output: str | None, input: Row | None = None) -> Row:
        return self.read_answer(output, input or {}, None)

    def read_answer(self, text: str | None, input: Row, finish_reason: str | None) -> Row:
        text = THOUGHT.sub("", answered(text), count=1)
        if finish_reason == "length":
            raise CutOff()
        generations = self._texts(input)
        judged = [index for index, generation in enumerate(generations) if generation is not None]
        is_json = self.use_default_structured_output or text.lstrip().startswith(("{", "```json"))
        read = self._from_json if is_json else self._from_text
        found = read(text, len(judged), finish_reason)
        row: Row = {}
        for column, values in found.items():
            row[column] = [None] * len(generations)
            for index, value in zip(judged, values, strict=True):
                row[column][index] = value
        return row

    def structured_output_schema(self) -> Any:
        items: dict[str, Any] = {
            "types": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "ratings": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
        }
        columns = {column: items.get(column, {"type": "string"}) for _, column in self._lines()}
        return {
            "title": "judgement",
            "type": "object",
            "properties": {column: {"type": "array", "items": item} for column, item in columns.items()},
            "required": list(columns),
            "additionalProperties": False,
        }

    def rehearse(self, input: Row) -> str:
        texts = [text for text in self._texts(input) if text is not None]
        made = {column: [self._rehearsed(column, text) for text in texts] for _, column in self._lines()}
        if self.use_default_structured_output:
            return json.dumps(made)
        return "\n\n".join(
            self._section(index, {column: values[index - 1] for column, values in made.items()})
            for index in range(1, len(texts) + 1)
        )

    def _rehearsed(self, column: str, text: str) -> Any:
        if column == "ratings":
            return chosen([1, 2, 3, 4, 5], text)
        return chosen([1, 2, 3], text) if column == "types" else "This is a rehearsal."

    def _lines(self) -> list[tuple[str, str]]:
        return TYPED if self.aspect in ("helpfulness", "truthfulness") else list(RATED.items())

    def _text_form(self, count: int) -> str:
        hints = {column: f"<{HINTS[column]}>" for _, column in self._lines()}
        return "\n\n".join(self._section(index, hints) for index in range(1, count + 1))

    def _section(self, index: int, values: Row) -> str:
        lines = [f"{key}: {values[column]}" for key, column in self._lines()]
        return "\n".join([f"#### Output for Text {index}", *lines])

    def _json_form(self) -> str:
        return json.dumps({column: [f"<{HINTS[column]}>", "..."] for _, column in self._lines()})

    def _from_text(self, text: str, count: int, finish_reason: str | None) -> dict[str, list[Any]]:
        sections = read_sections(text, [key for key, _ in self._lines()], count)
        found: dict[str, list[Any]] = {}
        for place, (_, column) in enumerate(self._lines()):
            values = [section[place] for section in sections]
            found[column] = (
                [_number(value, column, i) for i, value in enumerate(values, 1)] if column in NUMBERS else values
            )
        return found

    def _from_json(self, text: str, count: int, finish_reason: str | None) -> dict[str, list[Any]]:
        value, _ = parse_json(text, finish_reason)
        found: dict[str, list[Any]] = {}
        for _, column in self._lines():
            values = value.get(column) if isinstance(value, dict) else None
            if not isinstance(values, list) or len(values) != count:
                raise ReplyError(f"The answer does not have '{column}' for each of the {count} texts.")
            found[column] = (
                [_number(item, column, i) for i, item in enumerate(values, 1)] if column in NUMBERS else values
            )
        return found

    def _texts(self, input: Row) -> list[str | None]:
        generations = input.get("generations")
        if not isinstance(generations, (list, tuple)) or not generations:
            raise ConfigError(
                "The column 'generations' needs a list of texts; "
                f"this row has {type(generations).__name__ if generations else 'nothing'}."
            )
        return list(generations)


def _number(value: Any, column: str, index: int) -> int | None:
    said = str(value).strip().strip("[]*_`.").strip()
    if value is None or said.casefold() in NOTHING:
        return None
    found = re.fullmatch(r"(\d)(?:\s*/\s*5|\.0+)?(?:\s*[-:(].*)?", said)
    number = int(found[1]) if found else 0
    if number < 1 or (column == "ratings" and number > 5):
        wanted = "a rating from 1 to 5" if column == "ratings" else "the number of one type"
        raise ReplyError(f"The answer to text {index} has '{said[:40]}' where {wanted} is needed.")
    return number
