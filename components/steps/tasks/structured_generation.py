"""Fill in a form for each row."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import BaseModel

from components.component import Hint
from components.errors import ConfigError, CutOff, ReplyError
from components.llms.schema_check import misfit
from components.llms.structured import Form, Rung, fitted, json_schema, parse_json
from components.llms.typing import ChatType, FormattedInput, StructuredOutput
from components.steps.tasks.example import example_of
from components.steps.tasks.task import Task, as_text
from components.steps.tasks.text_generation import answered, system_prompt_of, with_system
from components.steps.typing import Row, StepColumns


class StructuredGeneration(Task):
    """Ask the model for JSON of a certain form for each row.

    In Python a pydantic model says the form as well.
    """

    shows_its_end = True

    structured_output: Annotated[dict[str, Any] | type[BaseModel] | None, Hint("ui", "json_schema")] = None
    """The form of the answers as a JSON Schema, or {"format": "regex", "schema": ...} for a text by a pattern; a column
    `structured_output` in a row takes its place there."""
    use_system_prompt: bool = False
    """Take the system message from the column `system_prompt`."""

    @property
    def inputs(self) -> StepColumns:
        system = {"system_prompt": False} if self.use_system_prompt else {}
        return {"instruction": True, "structured_output": self.structured_output is None} | system

    @property
    def outputs(self) -> StepColumns:
        return ["generation", "model_name"]

    def format_input(self, input: Row) -> FormattedInput:
        form = self._form(input)
        messages: ChatType = [{"role": "user", "content": as_text(input.get("instruction"))}]
        if self.use_system_prompt:
            messages = with_system(messages, system_prompt_of(input))
        if form["format"] == "regex":
            told = f"Answer with text that matches this regular expression, and nothing else:\n{form['schema']}"
            return with_system(messages, told)
        if self.can_force_form:
            return messages, form
        return Form(form["schema"]).messages(Rung.PROMPT, messages)

    def format_output(self, output: str | None, input: Row | None = None) -> Row:
        return self.read_answer(output, input or {}, None)

    def read_answer(self, text: str | None, input: Row, finish_reason: str | None) -> Row:
        form, text = self._form(input), answered(text)
        if form["format"] == "regex":
            if finish_reason == "length":
                raise CutOff()
            # Nobody can make up a text for every expression, and a rehearsal is about the wiring.
            pattern = {"type": "string", "pattern": f"^(?:{form['schema']})$"}
            if not self.llm.is_rehearsal and misfit(text, pattern):
                raise ReplyError("The answer does not match the regular expression.")
            return {"generation": text}
        value, _ = parse_json(text, finish_reason, json_schema(form["schema"]))
        fitted(value, form["schema"])
        return {"generation": text.strip() if _is_json(text) else as_text(value)}

    def rehearse(self, input: Row) -> str:
        form = self._form(input)
        if form["format"] == "regex":
            return super().rehearse(input)
        return json.dumps(example_of(json_schema(form["schema"]), input.get("instruction")), ensure_ascii=False)

    def _form(self, input: Row) -> StructuredOutput:
        given = input.get("structured_output")
        if given is None:
            given = self.structured_output
        if given is None:
            raise ConfigError("The form of the answer is not given: set structured_output, or fill in its column.")
        return form_of_answer(given)


def form_of_answer(given: Any) -> StructuredOutput:
    """A form however it was given: a schema, a pydantic model, either under `schema`, or any of it as JSON text.

    Raises: ConfigError when it is none of these.
    """
    if isinstance(given, str):
        given = _from_text(given)
    if isinstance(given, type) and issubclass(given, BaseModel):
        return {"format": "json", "schema": given}
    if not isinstance(given, Mapping):
        raise ConfigError(f"structured_output holds {type(given).__name__} where a JSON Schema is needed.")
    if "schema" not in given or "properties" in given:
        return {"format": "json", "schema": dict(given)}
    kind, schema = given.get("format") or "json", given["schema"]
    if kind not in ("json", "regex"):
        raise ConfigError(f"structured_output has the format {kind!r}; it must be json or regex.")
    if kind == "json" and isinstance(schema, str):
        schema = _from_text(schema)
    if kind == "regex" and not isinstance(schema, str):
        raise ConfigError("structured_output has the format regex, so its schema must be a regular expression.")
    # A dataset that reads mixed rows adds the keys of one row, empty, to all others.
    rest = {key: value for key, value in given.items() if value is not None}
    return cast(StructuredOutput, rest | {"format": kind, "schema": schema})


def _from_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"structured_output is text that is no JSON: {error}.") from error


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
