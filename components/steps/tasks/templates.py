"""Prompt templates: Jinja cut down to what a prompt needs, so that one from anywhere is safe to use."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, Undefined, nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS as JINJA_TESTS

from components.errors import TemplateError
from components.llms.typing import ChatType
from components.steps.tasks.template_filters import FILTERS, LONGEST_OUTPUT, items_of, shown
from components.steps.tasks.template_rules import LONGEST_TEMPLATE, LOOP_FACTS, ROW, TESTS, Inspection

PROMPTS = Path(__file__).parent / "prompts"
ITEMS = "items of"
"""The filter that guards every loop; a template cannot name it, as it has a space."""


class Missing(StrictUndefined):
    """Says what a row lacks in words that do not speak of Python."""

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"there is no column '{self._undefined_name}'"


class PromptEnvironment(ImmutableSandboxedEnvironment):
    """Knows dicts, lists and text, and not one attribute of Python."""

    def __init__(self) -> None:
        super().__init__(undefined=Missing, finalize=shown, trim_blocks=True, lstrip_blocks=True)
        self.globals = {}
        self.filters = {**FILTERS, ITEMS: items_of}
        self.tests = {name: JINJA_TESTS[name] for name in TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict) and argument in obj:
            return obj[argument]
        if isinstance(obj, list) and isinstance(argument, int) and argument < len(obj):
            return obj[argument]
        if isinstance(obj, LoopContext) and argument in LOOP_FACTS:
            return getattr(obj, argument)
        if isinstance(obj, Undefined):
            return obj
        return self.undefined(f"there is no '{argument}' in it")


ENVIRONMENT = PromptEnvironment()


class PromptTemplate:
    """A template that was checked."""

    def __init__(self, template: Template, inspection: Inspection) -> None:
        self.columns = tuple(inspection.columns)
        """The columns it uses, in their order."""
        self.optional = frozenset(inspection.optional)
        """Those that may be empty, as it asks about them with `if`, or has a default."""
        self._template = template

    def render(self, values: Mapping[str, Any]) -> str:
        """The prompt for one row.

        Raises: TemplateError when the row lacks something or the prompt passes 50,000 characters.
        """
        parts: list[str] = []
        length = 0
        with _plainly():
            seen = {name: as_data(values[name]) for name in self.columns if name in values}
            seen = dict.fromkeys(self.optional) | seen
            for part in self._template.root_render_func(self._template.new_context({**seen, ROW: seen})):
                length += len(part)
                if length > LONGEST_OUTPUT:
                    raise TemplateError(f"The prompt of this row is longer than {LONGEST_OUTPUT:,} characters.")
                parts.append(part)
        return "".join(parts)


class Prompt:
    """A prompt that ships with a task: one block for each role, filled in apart from each other."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def block(self, role: str, values: Mapping[str, Any]) -> str:
        """The text of one role; what stands in a row can never open another role."""
        with _plainly():
            context = self._template.new_context({name: as_data(value) for name, value in values.items()})
            return "".join(self._template.blocks[role](context)).strip()

    def messages(self, values: Mapping[str, Any], system: str | None = None) -> ChatType:
        """System and user message; `system` takes the place of the shipped system message."""
        return [
            {"role": "system", "content": self.block("system", values) if system is None else system},
            {"role": "user", "content": self.block("user", values)},
        ]


def compile_template(text: str, allowed_names: Collection[str] | None = None) -> PromptTemplate:
    """A template that may use these columns and nothing else; None allows every column name.

    Raises: TemplateError naming the line, what is not allowed and the closest column.
    """
    return _compile_template(text, None if allowed_names is None else frozenset(allowed_names))


@lru_cache(maxsize=256)
def _compile_template(text: str, allowed: frozenset[str] | None) -> PromptTemplate:
    inspection = Inspection(allowed)
    return PromptTemplate(_checked(text, inspection), inspection)


@lru_cache
def load_prompt(name: str) -> Prompt:
    """The prompt of a task that ships with Stillroom, from `prompts/<name>.jinja`."""
    return Prompt(_checked((PROMPTS / f"{name}.jinja").read_text(encoding="utf-8"), Inspection(None, has_blocks=True)))


def as_data(value: Any) -> Any:
    """A value of a row as plain text, numbers, lists and dicts, whatever object it was."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): as_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_data(item) for item in value]
    return str(value)


def _checked(text: str, inspection: Inspection) -> Template:
    if len(text) > LONGEST_TEMPLATE:
        raise TemplateError(f"The template is longer than {LONGEST_TEMPLATE:,} characters.")
    try:
        tree = ENVIRONMENT.parse(text)
        inspection.check(tree)
        for loop in inspection.loops:
            loop.iter = nodes.Filter(loop.iter, ITEMS, [], [], None, None, lineno=loop.iter.lineno)
        code = ENVIRONMENT.compile(tree)
    except TemplateSyntaxError as error:
        raise TemplateError(f"Line {error.lineno} of the template: {error.message}.".replace("..", ".")) from error
    except RecursionError as error:
        raise TemplateError("The template is nested too deep.") from error
    except ValueError as error:
        if isinstance(error, TemplateError):
            raise
        raise TemplateError(f"The template cannot be read: {error}.") from error
    return Template.from_code(ENVIRONMENT, code, {})


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except TemplateError:
        raise
    except (TemplateRuntimeError, TypeError, ValueError, OverflowError) as error:
        raise TemplateError(f"The template does not fit this row: {error}.".replace("..", ".")) from error
    except RecursionError as error:
        raise TemplateError("The template does not fit this row: a value is nested too deep.") from error
