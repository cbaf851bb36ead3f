"""The generation parameters of a model, read from the signature of the method that takes them."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

LONGEST_ANSWER = 1_024
"""Tokens that an answer is taken to have at most, where nothing says it."""
NOT_PARAMETERS = frozenset({"self", "input", "inputs", "num_generations"})


@cache
def model_of_parameters(name: str, method: Callable[..., Any]) -> type[BaseModel]:
    """A pydantic model with a field for each parameter; it takes any other where the method does."""
    fields: dict[str, Any] = {}
    takes_anything = False
    for parameter in _signature(method).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            takes_anything = True
        elif parameter.name not in NOT_PARAMETERS and parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            unknown = parameter.annotation is inspect.Parameter.empty or isinstance(parameter.annotation, str)
            annotation = Any if unknown else parameter.annotation
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[parameter.name] = (annotation, default)
    config = ConfigDict(
        extra="allow" if takes_anything else "forbid", arbitrary_types_allowed=True, protected_namespaces=()
    )
    return create_model(name, __config__=config, **fields)


@cache
def longest_answer(model: type[BaseModel]) -> int:
    """The most tokens that one answer has when nothing else is set."""
    fields = model.model_fields
    defaults = (fields[name].default for name in ("max_new_tokens", "max_tokens") if name in fields)
    return next((value for value in defaults if isinstance(value, int)), LONGEST_ANSWER)


def _signature(method: Callable[..., Any]) -> inspect.Signature:
    method = inspect.unwrap(getattr(method, "raw_function", method))
    try:
        return inspect.signature(method, eval_str=True)
    except NameError:  # a name that only type checkers see
        return inspect.signature(method)
