"""What is wrong with the values of a model, field by field."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

EXPECTED = "Input should be "


def misfits(cls: type[BaseModel], error: ValidationError) -> list[dict[str, Any]]:
    """Each problem with its place; a value that is none of the kinds that its field takes is one problem."""
    problems = [dict(problem) for problem in error.errors(include_url=False)]
    return [one for _, group in groupby(problems, key=_first) for one in _of_a_field(cls, list(group))]


def _first(problem: dict[str, Any]) -> Any:
    return problem["loc"][:1]


def _of_a_field(cls: type[BaseModel], problems: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    field = cls.model_fields.get(str(problems[0]["loc"][0])) if problems[0]["loc"] else None
    if field is None or not _takes_several_kinds(field.annotation) or len(problems[0]["loc"]) < 2:
        yield from problems
        return
    # pydantic puts the kind it tried second; the kind that a value comes closest to is the one that goes deepest.
    deepest = max(problems, key=lambda problem: len(problem["loc"]))["loc"]
    if len(deepest) > 2:
        yield from (
            problem | {"loc": (deepest[0], *problem["loc"][2:])}
            for problem in problems
            if problem["loc"][1] == deepest[1]
        )
        return
    messages = list(dict.fromkeys(problem["msg"] for problem in problems))
    if all(message.startswith(EXPECTED) for message in messages):
        kinds = [message.removeprefix(EXPECTED) for message in messages]
        yield problems[0] | {"loc": deepest[:1], "msg": EXPECTED + " or ".join(kinds)}
    else:
        yield problems[0] | {"loc": deepest[:1]}


def _takes_several_kinds(annotation: Any) -> bool:
    return len(list(_kinds(annotation))) > 1


def _kinds(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from _kinds(one)
    elif annotation is not type(None):
        yield annotation
