"""What every component is: a model whose fields say once what the form, the CLI, the YAML and the docs need."""

import hashlib
import inspect
import os
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, cast, get_args, get_origin

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from components.errors import ConfigError, TemplateError, UnknownParameter, did_you_mean
from components.field_docs import field_docs
from components.misfits import misfits


class Hint:
    """Something a field says about itself beyond its type, readable in its JSON Schema."""

    def __init__(self, key: str, value: Any) -> None:
        self.key = key
        self.value = value

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        schema: dict[str, Any] = handler(core)
        schema[self.key] = self.value
        return schema


READ = "read_from_file"
RUNTIME = Hint("runtime", True)
INCIDENTAL = Hint("incidental", True)

T = TypeVar("T")
RuntimeParameter = Annotated[T | None, Field(default=None), RUNTIME]
"""A field whose value may change from run to run: `temperature: RuntimeParameter[float] = 0.7`."""

Incidental = Annotated[T, INCIDENTAL]
"""A field that changes how work is done but never its result, so it is no part of a cell's identity."""

Multiline = Annotated[str, Hint("ui", "multiline")]
Column = Annotated[str, Hint("ui", "column")]
Columns = Annotated[list[str], Hint("ui", "columns")]


class Place:
    """Marks a field that says where something is on this machine, which is nobody else's business."""


FilePath = Annotated[
    str, BeforeValidator(lambda path: os.fspath(path) if isinstance(path, os.PathLike) else path), Place()
]
"""A place on this machine: text, or a `pathlib.Path`, which becomes text."""
DataFile = Annotated[FilePath, Hint("ui", "data_file")]
ModelName = Annotated[str, Hint("ui", "model")]


class Component(BaseModel):
    """One part of a pipeline, described by its fields: type, bounds and the docstring beneath."""

    model_config = ConfigDict(
        extra="forbid",
        validate_assignment=True,
        validate_default=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        # What was given may be a key, and errors are printed and logged.
        hide_input_in_errors=True,
    )

    category: ClassVar[str] = ""
    """The shelf of the gallery it stands on."""
    source: ClassVar[str] = ""
    """The paper or the documentation it follows."""

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise _kind_of(error)(explain(type(self), error)) from error

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        schema: dict[str, Any] = handler(core)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in field_docs(cls).items():
            if name in properties:
                properties[name].setdefault("description", text)
        return schema

    @property
    def runtime_parameters_names(self) -> dict[str, Any]:
        """Every runtime parameter by name; True where it has a value already, nested for components."""
        return {
            name: value if isinstance(value, dict) else getattr(self, name, None) is not None
            for name, value in self._runtime_parameters()
        }

    def get_runtime_parameters_info(self) -> list[dict[str, Any]]:
        """Name, description, JSON Schema and current value of every runtime parameter."""
        properties = type(self).model_json_schema(mode="validation").get("properties", {})
        rows: list[dict[str, Any]] = []
        for name, value in self._runtime_parameters():
            schema = properties.get(name, {})
            child = getattr(self, name, None)
            row = {"name": name, "description": schema.get("description", "")}
            if isinstance(child, Component):
                rows.append(row | {"runtime_parameters_info": child.get_runtime_parameters_info()})
            elif isinstance(value, dict):
                rows.append(row | {"keys": self._nested_info(name)})
            else:
                optional = value is True or not type(self).model_fields[name].is_required()
                rows.append(row | {"optional": optional, "schema": schema})
        return rows

    def set_runtime_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Set runtime parameters by name, nested for components; values are coerced to their types.

        Raises: UnknownParameter naming the closest name; ConfigError for a value of the wrong type.
        """
        known = dict(self._runtime_parameters())
        for name, value in parameters.items():
            if name not in known:
                raise UnknownParameter(f"{self._title()} has no runtime parameter '{name}'.{did_you_mean(name, known)}")
            child = getattr(self, name, None)
            if isinstance(child, Component):
                if not isinstance(value, Mapping):
                    raise ConfigError(f"{self._title()}: '{name}' takes a group of parameters, not {value!r}.")
                child.set_runtime_parameters(value)
            else:
                self._set_runtime_parameter(name, value)

    def with_runtime_parameters(self, parameters: Mapping[str, Any]) -> Self:
        """A copy of this component, and of the components it holds, with other runtime parameters."""
        held = {name: child.with_runtime_parameters({}) for name, child in self._children()}
        copy = self.model_copy()
        for name, child in held.items():
            copy.__dict__[name] = child
        copy.set_runtime_parameters(parameters)
        return copy

    def dump(self) -> dict[str, Any]:
        """The component as plain data: its name under `use`, then every field that is not at its default."""
        data: dict[str, Any] = {"use": type(self).__name__}
        for name, field in type(self).model_fields.items():
            if field.exclude or is_secret(field):
                continue
            value = getattr(self, name)
            if field.is_required() or value != field.get_default(call_default_factory=True):
                data[name] = plain(value)
        return data

    def save(self, path: str | Path, format: Literal["yaml", "json"] | None = None) -> None:
        """Write the component to a YAML or JSON file, by the ending of its name unless `format` says which."""
        _files().save(self, path, format)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """A component from what `dump` gave: its name is looked up in the catalog, and nothing is imported for it.

        Raises: ConfigError, or a subclass, for a key, an unknown name or a component of another kind.
        """
        return cast(Self, _files().build(cls, data))

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """A component from a YAML file."""
        return cast(Self, _files().read(cls, path, "yaml"))

    @classmethod
    def from_json(cls, path: str | Path) -> Self:
        """A component from a JSON file."""
        return cast(Self, _files().read(cls, path, "json"))

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """A component from a YAML or JSON file, by the ending of its name."""
        return cast(Self, _files().read(cls, path))

    @property
    def is_from_file(self) -> bool:
        """Whether a file said what its addresses are, so that keys of the environment go to their own providers."""
        return READ in self.__dict__

    def mark_as_read(self) -> None:
        """Remember, here and in the components it holds, that a file said what they are."""
        # Kept beside the fields, as cached properties are: private attributes are slow, and every call reads this.
        self.__dict__[READ] = True
        for name in component_fields(type(self)):
            value = getattr(self, name)
            for part in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(part, Component):
                    part.mark_as_read()

    def signature(self) -> str:
        """A hash of all that can change this component's results; keys, addresses and batch sizes are not in it."""
        return hashlib.blake2b(orjson.dumps(self._identity(), option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()

    def _identity(self) -> dict[str, Any]:
        identity: dict[str, Any] = {"use": type(self).__name__}
        for name, field in type(self).model_fields.items():
            if field.exclude or is_secret(field) or INCIDENTAL in field.metadata:
                continue
            value = getattr(self, name)
            identity[name] = value._identity() if isinstance(value, Component) else plain(value)
        code = source_digest(type(self))
        return identity | ({"code": code} if code else {})

    def _children(self) -> Iterator[tuple[str, "Component"]]:
        for name in type(self).model_fields:
            value = getattr(self, name, None)
            if isinstance(value, Component) and not type(self).model_fields[name].exclude:
                yield name, value

    def _runtime_parameters(self) -> Iterator[tuple[str, Any]]:
        for name, field in type(self).model_fields.items():
            value = getattr(self, name, None)
            if isinstance(value, Component) and not field.exclude:
                yield name, value.runtime_parameters_names
            elif is_runtime(field):
                yield name, None

    def _nested_info(self, name: str) -> list[dict[str, Any]]:
        return []

    def _set_runtime_parameter(self, name: str, value: Any) -> None:
        if isinstance(value, str) and is_secret(type(self).model_fields[name]):
            value = SecretStr(value)
        try:
            setattr(self, name, value)
        except ValidationError as error:
            raise ConfigError(explain(type(self), error, self._title())) from error

    def _title(self) -> str:
        return type(self).__name__


def _files() -> Any:
    # Files stand above components, as they need the catalog; found by name, as no component may import them.
    return import_module("components.pipeline.component_file")


def is_runtime(field: FieldInfo) -> bool:
    """Whether a field may change from run to run."""
    return RUNTIME in field.metadata


def is_secret(field: FieldInfo) -> bool:
    """Whether a field holds a key, which is never written anywhere."""
    return _holds(field.annotation, SecretStr)


def is_place(field: FieldInfo) -> bool:
    """Whether a field says where something is on this machine."""
    return any(isinstance(mark, Place) for mark in (*field.metadata, *_marks(field.annotation)))


def component_fields(cls: type[Component]) -> dict[str, type[Component]]:
    """The fields of a component that hold another component, with the class they accept."""
    found: dict[str, type[Component]] = {}
    for name, field in cls.model_fields.items():
        for candidate in _flatten(field.annotation):
            if inspect.isclass(candidate) and issubclass(candidate, Component):
                found[name] = candidate
    return found


def plain(value: Any) -> Any:
    """A value as JSON-compatible data."""
    if isinstance(value, Component):
        return value.dump()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if inspect.isclass(value) and issubclass(value, BaseModel):
        return value.model_json_schema()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def explain(cls: type[BaseModel], error: ValidationError, title: str = "") -> str:
    """A validation error in one plain sentence per field."""
    return " ".join(sentence_of(cls, problem, title) for problem in misfits(cls, error))


def sentence_of(cls: type[BaseModel], problem: Mapping[str, Any], title: str = "") -> str:
    """One problem of a validation error as a plain sentence."""
    name = title or cls.__name__
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        field = str(problem["loc"][-1])
        return f"{name} has no field '{field}'.{did_you_mean(field, cls.model_fields)}"
    if problem["type"] == "missing":
        return f"{name} needs a value for '{path}'."
    reason = str(problem["msg"]).removeprefix("Value error, ")
    if not path:
        sentence = reason if reason.startswith(name) else f"{name}: {reason}"
    elif reason.startswith(f"{path} "):
        sentence = f"{name}: {reason}"
    else:
        sentence = f"{name}: '{path}' {reason[:1].lower()}{reason[1:]}"
    return f"{sentence}.".replace("..", ".").replace("?.", "?")


def _kind_of(error: ValidationError) -> type[ConfigError]:
    """The class that says most: that of the one thing that is wrong, where it has a class of its own."""
    problems = error.errors()
    cause = problems[0].get("ctx", {}).get("error") if len(problems) == 1 else None
    return type(cause) if isinstance(cause, (TemplateError, UnknownParameter)) else ConfigError


SHIPPED = frozenset({"components", "pydantic", "abc", "builtins", "typing"})


@cache
def source_digest(cls: type) -> str:
    """A hash of a class's own code and of what it inherits; empty for classes that Stillroom ships."""
    own = [part for part in cls.__mro__ if part.__module__.partition(".")[0] not in SHIPPED]
    text = "".join(_source_of(part) for part in own)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest() if own else ""


def _source_of(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):
        # Classes of a notebook have no source that can be found.
        return "".join(_described(name, value) for name, value in vars(cls).items())


def _described(name: str, value: Any) -> str:
    if isinstance(value, property):
        return "".join(_described(name, part) for part in (value.fget, value.fset) if part is not None)
    function = getattr(value, "__func__", value)
    if inspect.isfunction(function):
        return repr(code_parts(function.__code__))
    return "" if name.startswith("_") or not isinstance(value, (str, int, float, list, tuple, dict)) else repr(value)


def code_parts(code: CodeType) -> tuple[Any, ...]:
    """What a function does, for functions whose source cannot be found; the same in every process."""
    return code.co_code, code.co_names, tuple(_constant(part) for part in code.co_consts)


def _constant(part: Any) -> Any:
    if isinstance(part, CodeType):
        return code_parts(part)
    return sorted(map(repr, part)) if isinstance(part, frozenset) else part


def _flatten(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is None:
        yield annotation
    for argument in get_args(annotation):
        yield from _flatten(argument)


def _marks(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for argument in get_args(annotation):
        yield from _marks(argument)


def _holds(annotation: Any, wanted: type) -> bool:
    return any(inspect.isclass(item) and issubclass(item, wanted) for item in _flatten(annotation))
