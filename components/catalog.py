"""Every component by its name: those that ship, those of plugins, and classes that a script registers."""

import inspect
import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from components import description
from components.component import Component, component_fields, sentence_of
from components.errors import ConfigError, StillroomError, UnknownComponent, did_you_mean
from components.llms.llm import LLM
from components.misfits import misfits
from components.steps.building import pipeline_being_built

BUILT_IN = ("components.llms", "components.embeddings", "components.steps", "components.steps.tasks")
PLUGINS = "stillroom.components"

log = logging.getLogger("stillroom.catalog")
C = TypeVar("C", bound=type[Component])


class Fault(NamedTuple):
    """What is wrong with one field of a component that is plain data."""

    path: tuple[str | int, ...]
    message: str
    error: type[ConfigError] = ConfigError


class Catalog:
    """Components by the name of their class."""

    def __init__(self) -> None:
        self._registered: dict[str, type[Component]] = {}
        self._clashes: dict[str, str] = {}

    def names(self, kind: type[Component] = Component) -> list[str]:
        """The names of all components, or of those that can stand where a `kind` is wanted, such as LLM."""
        return sorted({cls.__name__ for cls in self._classes().values() if issubclass(cls, kind)})

    def get(self, name: str) -> type[Component]:
        """The component of that name.

        Raises: UnknownComponent naming the closest; ConfigError when two packages bring one of that name.
        """
        classes = self._classes()
        if name in self._clashes:
            raise ConfigError(self._clashes[name])
        if name not in classes:
            hint = did_you_mean(name, classes) or " It may belong to a package or a script that is not here."
            raise UnknownComponent(f"There is no component '{name}'.{hint}")
        return classes[name]

    def register(self, cls: C) -> C:
        """Add a class of your own, so that pipelines saved with it can be read; also a decorator.

        Raises: ConfigError when it is no finished component, or when its name is taken.
        """
        if not _is_component(cls):
            raise ConfigError(f"{cls!r} cannot be registered: it is no component, or it has abstract methods.")
        taken = self._classes().get(cls.__name__, cls)
        if (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ConfigError(_clash(cls.__name__, taken, cls))
        self._registered[cls.__name__] = cls
        return cls

    def describe(self, name: str) -> dict[str, Any]:
        """All that a gallery page, a form and a command line need to know of a component."""
        return description.describe(self.get(name))

    def build(self, data: Mapping[str, Any], title: str = "") -> Component:
        """A component, and those it holds, from plain data as `dump` writes it; it is in no pipeline.

        Raises: UnknownComponent or ConfigError with a sentence for each field that is wrong.
        """
        component, faults = self.attempt(data, title)
        if component is None:
            raise faults[0].error(" ".join(fault.message for fault in faults))
        return component

    def attempt(
        self, data: Any, title: str = "", wanted: type[Component] = Component
    ) -> tuple[Component | None, list[Fault]]:
        """The component that plain data describes, or None and everything that is wrong with the data."""
        if not isinstance(data, Mapping):
            return None, [Fault((), f"{title or 'A component'} must be a group of fields, not {type(data).__name__}.")]
        try:
            cls = self._chosen(data, wanted, title or "A component")
        except ConfigError as error:
            return None, [Fault(("use",), str(error), type(error))]
        title = title or cls.__name__
        fields = {str(name): value for name, value in data.items() if name != "use"}
        faults = [
            fault for name, held in component_fields(cls).items() for fault in self._fill(fields, name, held, title)
        ]
        # What is never written is never read; and `self` Python would take for something else than a field.
        closed = ["self", *(name for name, field in cls.model_fields.items() if field.exclude)]
        faults += [Fault((name,), f"{title} has no field '{name}'.") for name in closed if name in fields]
        broken = {fault.path[0] for fault in faults}
        fields = {name: value for name, value in fields.items() if name not in broken}
        token = pipeline_being_built.set(None)
        try:
            component = cls(**fields)
        except ConfigError as error:
            faults += [fault for fault in _faults(cls, error, title) if not broken.intersection(fault.path[:1])]
            return None, faults
        finally:
            pipeline_being_built.reset(token)
        return (None if faults else component), faults

    def _classes(self) -> dict[str, type[Component]]:
        return self._found | self._registered

    @cached_property
    def _found(self) -> dict[str, type[Component]]:
        found: dict[str, type[Component]] = {}
        for module in BUILT_IN:
            found |= _components_of(import_module(module))
        for entry in entry_points(group=PLUGINS):
            for name, cls in _plugin_components(entry).items():
                if found.setdefault(name, cls) is not cls:
                    self._clashes[name] = _clash(name, found[name], cls)
                    log.error(self._clashes[name])
        return found

    def _chosen(self, data: Mapping[str, Any], wanted: type[Component], title: str) -> type[Component]:
        use = data.get("use")
        if not description.is_chosen(wanted) and use in (None, wanted.__name__):
            return wanted
        if not isinstance(use, str) or not use:
            raise ConfigError(f"{title} needs `use`, the name of a component.")
        try:
            cls = self.get(use)
        except ConfigError as error:
            raise type(error)(f"{title}: {str(error)[:1].lower()}{str(error)[1:]}") from error
        if not issubclass(cls, wanted):
            raise ConfigError(f"{title}: {use} cannot stand here. Choose one of {', '.join(self.names(wanted))}.")
        return cls

    def _fill(self, fields: dict[str, Any], name: str, held: type[Component], title: str) -> Iterator[Fault]:
        """Put built components where a field has plain ones."""
        value = fields.get(name)
        if isinstance(value, Mapping):
            fields[name], faults = self.attempt(value, self._part_title(value, name, title), held)
            yield from (fault._replace(path=(name, *fault.path)) for fault in faults)
        elif isinstance(value, (list, tuple)):
            items = list(value)
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    items[index], faults = self.attempt(item, self._part_title(item, name, title), held)
                    yield from (fault._replace(path=(name, index, *fault.path)) for fault in faults)
            fields[name] = items

    def _part_title(self, data: Mapping[str, Any], field: str, owner: str) -> str:
        use = data.get("use")
        part = use if isinstance(use, str) and use in self._classes() else f"'{field}'"
        return f"{part} of {owner[:1].lower()}{owner[1:]}" if owner.startswith("Step '") else f"{part} of {owner}"


def _is_component(value: Any) -> bool:
    # A component without a category is a part of others, such as StepResources.
    if not (inspect.isclass(value) and issubclass(value, Component)):
        return False
    return bool(value.category) and not inspect.isabstract(value)


def _components_of(module: ModuleType) -> dict[str, type[Component]]:
    public = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    return {name: value for name, value in public.items() if _is_component(value)}


def _plugin_components(entry: EntryPoint) -> dict[str, type[Component]]:
    try:
        loaded = entry.load()
        return {loaded.__name__: loaded} if _is_component(loaded) else _components_of(loaded)
    except Exception:
        # Somebody else's package must not take the rest of the catalog down with it.
        log.warning("The plugin '%s' (%s) could not be loaded and is left out.", entry.name, entry.value, exc_info=True)
        return {}


def _clash(name: str, first: type, second: type) -> str:
    places = f"one in {first.__module__}, one in {second.__module__}"
    return f"Two components are called '{name}': {places}. Rename or uninstall one of them."


def _faults(cls: type[Component], error: ConfigError, title: str) -> list[Fault]:
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return [Fault((), _retitled(str(error), cls, title))]
    return [_fault(cls, problem, title) for problem in misfits(cls, cause)]


def _fault(cls: type[Component], problem: dict[str, Any], title: str) -> Fault:
    path = problem["loc"]
    inner = problem.get("ctx", {}).get("error")
    if not path and isinstance(inner, StillroomError):
        # Raised while the component set itself up, which a model does with its generation parameters.
        return Fault(("generation_kwargs",) if issubclass(cls, LLM) else (), _retitled(str(inner), cls, title))
    return Fault(path, sentence_of(cls, problem, title))


def _retitled(message: str, cls: type[Component], title: str) -> str:
    if message.startswith(cls.__name__):
        return title + message.removeprefix(cls.__name__)
    return message if message.startswith(title) else f"{title}: {message}"


_catalog = Catalog()
names = _catalog.names
get = _catalog.get
register = _catalog.register
describe = _catalog.describe
build = _catalog.build
attempt = _catalog.attempt
