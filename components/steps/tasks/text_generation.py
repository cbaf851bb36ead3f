"""Write a text for each row."""

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from components.component import Columns, Hint, Multiline
from components.errors import ConfigError, CutOff, ReplyError
from components.llms.typing import ChatType, FormattedInput
from components.steps.tasks.task import Task
from components.steps.tasks.templates import PromptTemplate, compile_template
from components.steps.typing import Row, StepColumns


class TextGeneration(Task):
    """Ask the model to write something for each row."""

    system_prompt: Annotated[str | None, Hint("ui", "multiline")] = None
    """What the model should know before each prompt; a column `system_prompt` in a row takes its place there."""
    template: Multiline = Field("{{ instruction }}", min_length=1)
    """The prompt, with columns in double braces: {{ instruction }}, or {{ row["Ticket text"] }}."""
    columns: Columns = []
    """The columns the prompt may use; left empty, those that it names."""
    use_system_prompt: bool = True
    """Set it to False to send no system message at all."""

    @field_validator("columns", mode="before")
    @classmethod
    def _one_column(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("template")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        compile_template(value)
        return value

    @model_validator(mode="after")
    def _template_and_columns_agree(self) -> Self:
        unused = [name for name in self.columns if name not in self._compiled().columns]
        if unused:
            raise ValueError(f"the column '{unused[0]}' does not appear in the template; use it or leave it out")
        return self

    @property
    def inputs(self) -> StepColumns:
        template = self._compiled()
        return {"system_prompt": False} | {name: name not in template.optional for name in template.columns}

    @property
    def outputs(self) -> StepColumns:
        return ["generation", "model_name"]

    def format_input(self, input: Row) -> FormattedInput:
        text = self._compiled().render(input)
        messages: ChatType = [{"role": "user", "content": text}]
        return with_system(messages, self._system(input))

    def format_output(self, output: str | None, input: Row | None = None) -> Row:
        return {"generation": answered(output)}

    def read_answer(self, text: str | None, input: Row, finish_reason: str | None) -> Row:
        if finish_reason == "length" and not (text or "").strip():
            raise CutOff("The answer was cut off before its first word. Raise max_new_tokens.")
        return self.format_output(text, input)

    def _compiled(self) -> PromptTemplate:
        return compile_template(self.template, self.columns or None)

    def _system(self, input: Row) -> str | None:
        if not self.use_system_prompt:
            return None
        return system_prompt_of(input) or self.system_prompt


def answered(output: str | None) -> str:
    """The text of an answer. Raises: ReplyError where there is none."""
    if output is None:
        raise ReplyError("The model gave no answer.")
    return output


def system_prompt_of(input: Row) -> str | None:
    """The system prompt that a row brings along, if any."""
    given = input.get("system_prompt")
    if given is not None and not isinstance(given, str):
        raise ConfigError(f"The column 'system_prompt' holds {type(given).__name__} where a text is needed.")
    return given


def with_system(messages: ChatType, system: str | None) -> ChatType:
    """The messages, after a system message where there is something to say."""
    return [{"role": "system", "content": system}, *messages] if system else messages
