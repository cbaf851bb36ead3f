"""`@task`: a task made of a function that reads answers, with its prompt in the docstring."""

import inspect
import re
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any, ClassVar

from components.errors import ConfigError, ReplyError, TemplateError, did_you_mean
from components.llms.typing import FormattedInput
from components.steps.decorator import component_of, function_digest
from components.steps.step import as_columns
from components.steps.tasks.task import Task
from components.steps.tasks.template_filters import shown
from components.steps.tasks.templates import as_data
from components.steps.tasks.text_generation import with_system
from components.steps.typing import Row, StepColumns

FRONT_MATTER = re.compile(r"^---[ \t]*\n(.*?)\n---[ \t]*$", re.DOTALL | re.MULTILINE)
PARTS = ("system_prompt", "user_message_template")


class FunctionTask(Task):
    """What all tasks made of a function share."""

    function: ClassVar[Callable[..., Any]]
    prompts: ClassVar[Mapping[str, str]] = {}
    declared_inputs: ClassVar[StepColumns] = []
    declared_outputs: ClassVar[StepColumns] = []

    @property
    def inputs(self) -> StepColumns:
        return self.declared_inputs

    @property
    def outputs(self) -> StepColumns:
        return as_columns(self.declared_outputs) | {"model_name": True}

    def format_input(self, input: Row) -> FormattedInput:
        system, user = (_filled(self.prompts[part], input) for part in PARTS)
        return with_system([{"role": "user", "content": user}], system)

    def format_output(self, output: str | None, input: Row | None = None) -> Row:
        name = type(self).__name__
        try:
            made = type(self).function(output, input)
        except ReplyError:
            raise
        except Exception as error:
            raise ReplyError(f"{name} could not read the answer: {type(error).__name__}: {error}") from error
        if not isinstance(made, dict):
            raise ConfigError(f"{name} must return a dict of columns, not {type(made).__name__}.")
        for column, needed in as_columns(self.declared_outputs).items():
            if needed and column not in made:
                raise ConfigError(f"{name} returned no column '{column}'.{did_you_mean(column, made)}")
        return made

    def _identity(self) -> dict[str, Any]:
        return super()._identity() | {"code": function_digest(type(self).function), "prompts": dict(self.prompts)}


def task(inputs: StepColumns, outputs: StepColumns) -> Callable[[Callable[..., Any]], type[FunctionTask]]:
    """Make a task of a function `(output, input) -> columns`.

    Its docstring holds YAML between two lines of `---`: `system_prompt` and `user_message_template`, where `{column}`
    stands for a column.
    Raises: ConfigError when a part is missing; TemplateError for a placeholder that is no input.
    """

    def decorate(function: Callable[..., Any]) -> type[FunctionTask]:
        prompts = _prompts_of(function)
        for prompt in prompts.values():
            _check_placeholders(prompt, as_columns(inputs), function.__name__)
        made: type[FunctionTask] = component_of(function, FunctionTask, {})
        made.__doc__ = FRONT_MATTER.sub("", inspect.getdoc(function) or "").strip() or function.__name__
        made.function = staticmethod(function)
        made.prompts = prompts
        made.declared_inputs = inputs
        made.declared_outputs = outputs
        return made

    return decorate


def _prompts_of(function: Callable[..., Any]) -> dict[str, str]:
    import yaml

    found = FRONT_MATTER.search(inspect.getdoc(function) or "")
    if not found:
        raise ConfigError(f"The docstring of {function.__name__} needs YAML between two lines of ---.")
    try:
        parts = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        raise ConfigError(f"The YAML in the docstring of {function.__name__} cannot be read: {error}") from error
    for part in PARTS:
        if not isinstance(parts, dict) or not isinstance(parts.get(part), str):
            raise ConfigError(f"The YAML in the docstring of {function.__name__} needs a text for '{part}'.")
    return {part: parts[part].strip() for part in PARTS}


def _check_placeholders(prompt: str, columns: Mapping[str, bool], name: str) -> None:
    for column in _placeholders(prompt, name):
        if column not in columns:
            raise TemplateError(
                f"The prompt of {name} has '{{{column}}}', which is no input.{did_you_mean(column, columns)}"
            )


def _placeholders(prompt: str, name: str) -> list[str]:
    try:
        parts = list(Formatter().parse(prompt))
    except ValueError as error:
        raise TemplateError(f"The prompt of {name} cannot be read: {error}. Write {{{{ for a brace.") from error
    found = []
    for _, column, form, conversion in parts:
        if column is None:
            continue
        if form or conversion or not column or not column.strip() or set(column) & set(".[]"):
            raise TemplateError(f"The prompt of {name} has '{{{column}}}'. Only {{column}} may stand in braces.")
        found.append(column)
    return found


def _filled(prompt: str, row: Row) -> str:
    return "".join(
        text + (shown(as_data(row.get(column))) if column is not None else "")
        for text, column, _, _ in Formatter().parse(prompt)
    )
