"""`@step`: a step made of a function."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_type_hints

from pydantic import create_model

from components.component import RUNTIME, code_parts
from components.errors import ConfigError
from components.steps.step import AnyStep, GeneratorStep, GlobalStep, Step
from components.steps.typing import GeneratorStepOutput, StepColumns, StepInput, StepOutput

StepType = Literal["normal", "global", "generator"]


class FunctionStep(AnyStep):
    """What all steps made of a function share."""

    function: ClassVar[Callable[..., Any]]
    parameters: ClassVar[tuple[str, ...]] = ()
    declared_inputs: ClassVar[StepColumns] = []
    declared_outputs: ClassVar[StepColumns] = []

    @property
    def inputs(self) -> StepColumns:
        return self.declared_inputs

    @property
    def outputs(self) -> StepColumns:
        return self.declared_outputs

    def _arguments(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in self.parameters}
        needed = inspect.signature(type(self).function).parameters
        for name, value in given.items():
            if value is None and needed[name].default is inspect.Parameter.empty:
                raise ConfigError(f"Step '{self.name}' needs a value for '{name}'.")
        return given

    def _identity(self) -> dict[str, Any]:
        return super()._identity() | {"code": function_digest(type(self).function)}


class NormalFunctionStep(FunctionStep, Step):
    """A function over the rows of the step before it."""

    def process(self, inputs: StepInput) -> StepOutput:
        yield from _lists(type(self).function(inputs, **self._arguments()))


class BranchesFunctionStep(FunctionStep, Step):
    """A function over the rows of several branches."""

    def process(self, *inputs: StepInput) -> StepOutput:
        yield from _lists(type(self).function(*inputs, **self._arguments()))


class GlobalFunctionStep(NormalFunctionStep, GlobalStep):
    """A function over all rows."""


class GlobalBranchesFunctionStep(BranchesFunctionStep, GlobalStep):
    """A function over all rows of several branches."""


class GeneratorFunctionStep(FunctionStep, GeneratorStep):
    """A function that makes rows."""

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        yield from type(self).function(offset=offset, **self._arguments())


def step(
    inputs: StepColumns | None = None,
    outputs: StepColumns | None = None,
    step_type: StepType = "normal",
) -> Callable[[Callable[..., Any]], type[Any]]:
    """Make a step of a function that yields lists of rows.

    Its arguments besides the rows become fields of the step; `RuntimeParameter[...]` ones can be set for each run.
    Raises: ConfigError when the function's arguments do not fit the kind of step.
    """

    def decorate(function: Callable[..., Any]) -> type[Any]:
        rows, parameters = _split_arguments(function, step_type)
        takes_branches = rows is not None and rows.kind is inspect.Parameter.VAR_POSITIONAL
        if step_type == "generator":
            base: type[FunctionStep] = GeneratorFunctionStep
        elif step_type == "global":
            base = GlobalBranchesFunctionStep if takes_branches else GlobalFunctionStep
        else:
            base = BranchesFunctionStep if takes_branches else NormalFunctionStep
        made = component_of(function, base, parameters)
        made.function = staticmethod(function)
        made.parameters = tuple(parameters)
        made.declared_inputs = inputs or []
        made.declared_outputs = outputs or []
        return made

    return decorate


def component_of(function: Callable[..., Any], base: type[Any], parameters: dict[str, inspect.Parameter]) -> type[Any]:
    """A component named and described like the function, with its parameters as fields."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name in base.model_fields or hasattr(base, name):
            raise ConfigError(f"{function.__name__} has an argument '{name}', which every step has. Rename it.")
        annotation = hints.get(name, Any)
        if parameter.default is not inspect.Parameter.empty:
            fields[name] = (annotation, parameter.default)
        else:
            fields[name] = (annotation, None if RUNTIME in getattr(annotation, "__metadata__", ()) else ...)
    return create_model(
        function.__name__, __base__=base, __module__=function.__module__, __doc__=function.__doc__, **fields
    )


def function_digest(function: Callable[..., Any]) -> str:
    """A hash of a function's own code, so that a changed function is noticed."""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        text = repr(code_parts(function.__code__))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _split_arguments(
    function: Callable[..., Any], step_type: StepType
) -> tuple[inspect.Parameter | None, dict[str, inspect.Parameter]]:
    """The argument that takes the rows, and all others."""
    name = function.__name__
    parameters = dict(inspect.signature(function).parameters)
    for parameter in parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            raise ConfigError(f"{name} takes **{parameter.name}; name its arguments, so that they can be set.")
    if step_type == "generator":
        if parameters.pop("offset", None) is None:
            raise ConfigError(f"{name} makes rows, so it needs an argument 'offset': the row to begin with.")
        return None, parameters
    hints = get_type_hints(function, include_extras=True)
    takers = [key for key in parameters if key == "inputs" or hints.get(key) == StepInput]
    if len(takers) != 1:
        raise ConfigError(f"{name} needs one argument for its rows: annotate it with StepInput.")
    return parameters.pop(takers[0]), parameters


def _lists(yielded: Any) -> StepOutput:
    if isinstance(yielded, list) and all(isinstance(row, dict) for row in yielded):
        yield yielded
    elif yielded is not None:
        yield from yielded
