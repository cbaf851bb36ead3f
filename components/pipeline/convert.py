"""Pipeline files of the older library, taken over by the names of their components.

Such a file names Python modules and classes, which its own library imports, and code, which it evaluates. Nothing of
that is looked at here: a name is looked up in the catalog, and all else is plain data.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from components import catalog
from components.component import Component, component_fields, is_secret
from components.description import is_chosen
from components.errors import ConfigError
from components.llms.llm import LLM
from components.pipeline.routing import FACTORIES
from components.pipeline.spec import PipelineSpec, is_key_name
from components.steps.step import AnyStep

NOT_FIELDS = frozenset({"type_info", "runtime_parameters_info", "pipeline", "exclude_from_signature", "use"})


def spec_of(document: Mapping[str, Any]) -> tuple[PipelineSpec, list[str]]:
    """The pipeline in a file of either library, and what could not be taken over."""
    return convert(document) if is_old(document) else (PipelineSpec.from_document(document), [])


def is_old(document: Mapping[str, Any]) -> bool:
    """Whether a file is one of the older library."""
    return "stillroom" not in document and isinstance(_part(document, "pipeline").get("steps"), list)


def convert(document: Mapping[str, Any]) -> tuple[PipelineSpec, list[str]]:
    """The pipeline in a file of the older library, and a sentence for each thing that could not be taken over.

    A step that Stillroom does not have stays as a draft, and so do values that do not fit; `check` says so.
    """
    pipeline = _part(document, "pipeline")
    notes: list[str] = []
    steps = list(_steps(pipeline.get("steps"), notes))
    names = {step["name"] for step in steps}
    spec = PipelineSpec(
        name=_text(pipeline.get("name")),
        description=_text(pipeline.get("description")),
        steps=steps,
        connections=list(_connections(pipeline.get("connections"), names, notes)),
        routing=list(_routing(pipeline.get("routing_batch_functions"), names, notes)),
    )
    requirements = document.get("requirements") or pipeline.get("requirements")
    if requirements:
        notes.append(f"The file asks for these packages; install them yourself: {_shown(requirements)}.")
    return spec, notes


def convert_component(old: Mapping[str, Any], wanted: type[Component]) -> tuple[dict[str, Any], list[str]]:
    """A single component that the older library saved, as plain data, and what could not be taken over."""
    notes: list[str] = []
    title = _text(_part(old, "type_info").get("name")) or "The component"
    return _component(old, title, notes, wanted), notes


def _steps(listed: Any, notes: list[str]) -> Iterator[dict[str, Any]]:
    for number, entry in enumerate(listed if isinstance(listed, list) else [], start=1):
        old = _part(entry, "step")
        name = _text(_mapping(entry).get("name")) or _text(old.get("name"))
        if not old:
            notes.append(f"Step {number} of the file has no content and was left out.")
            continue
        title = f"Step '{name}'" if name else f"Step {number}"
        yield {"use": "", "name": name, **_component(old, title, notes, AnyStep), **({"name": name} if name else {})}


def _component(old: Mapping[str, Any], title: str, notes: list[str], wanted: type[Component]) -> dict[str, Any]:
    use = _text(_part(old, "type_info").get("name")) or ("" if is_chosen(wanted) else wanted.__name__)
    cls = _class_of(use, wanted)
    if cls is None:
        notes.append(f"{title}: Stillroom has no component '{use}'. Choose another one in its place.")
    fields = {str(name): value for name, value in old.items() if name not in NOT_FIELDS and str(name)[:1] != "_"}
    data = {"use": use, **_fields(fields, cls, title, notes)}
    if cls is not None and use == "LoadDataFromDicts" and "data" not in data:
        notes.append(f"{title}: the file does not hold its rows. Put them into `data`, or load them from a file.")
    return data


def _fields(old: Mapping[str, Any], cls: type[Component] | None, title: str, notes: list[str]) -> dict[str, Any]:
    parts = component_fields(cls) if cls is not None else {}
    known = cls.model_fields if cls is not None else {}
    data: dict[str, Any] = {}
    for name, value in old.items():
        field = known.get(name)
        if value is None:
            continue
        if is_secret(field) if field is not None else is_key_name(name):
            notes.append(f"{title}: '{name}' is a key and was not taken over. Put it into an environment variable.")
        elif field is not None and field.exclude:
            notes.append(f"{title}: '{name}' can hold keys and is never saved, so it was not taken over.")
        elif name == "generation_kwargs" and cls is not None and issubclass(cls, LLM):
            kwargs = dict(_known_kwargs(value, cls, title, notes))
            data |= {name: kwargs} if kwargs else {}
        elif name in parts or (field is None and _is_component(value)):
            data[name] = _nested(value, title, notes, parts.get(name, Component))
            if data[name] == {"use": parts[name].__name__ if name in parts else ""}:
                del data[name]
        elif field is None and cls is not None:
            if not _is_nothing(value):
                notes.append(f"{title}: '{name}' has no counterpart and was left out. It was {_shown(value)}.")
        elif field is None or _plain(value) != field.get_default(call_default_factory=True):
            data[name] = _plain(value)
    return data


def _known_kwargs(kwargs: Any, cls: type[LLM], title: str, notes: list[str]) -> Iterator[tuple[str, Any]]:
    model = cls.generation_model()
    for name, value in _mapping(_plain(kwargs)).items():
        if name in model.model_fields or model.model_config.get("extra") == "allow":
            yield name, value
        elif not _is_nothing(value):
            was = f"It was {_shown(value)}."
            notes.append(f"{title}: the generation parameter '{name}' has no counterpart and was left out. {was}")


def _nested(value: Any, title: str, notes: list[str], wanted: type[Component]) -> Any:
    if isinstance(value, list):
        return [_nested(item, title, notes, wanted) for item in value]
    return _component(value, title, notes, wanted) if isinstance(value, Mapping) else value


def _connections(listed: Any, names: set[str], notes: list[str]) -> Iterator[dict[str, Any]]:
    for entry in listed if isinstance(listed, list) else []:
        connection = _mapping(entry)
        upstream, ends = _text(connection.get("from")), connection.get("to")
        targets = [_text(end) for end in ends] if isinstance(ends, list) else []
        unknown = [name for name in (upstream, *targets) if name not in names]
        if unknown:
            notes.append(f"A connection names the step '{unknown[0]}', which is not in the file; it was left out.")
        elif targets:
            yield {"from": upstream, "to": targets}


def _routing(listed: Any, names: set[str], notes: list[str]) -> Iterator[dict[str, Any]]:
    for entry in listed if isinstance(listed, list) else []:
        routing = _mapping(entry)
        step, info = _text(routing.get("step")), _part(routing, "type_info")
        use, arguments = _text(info.get("name")), _part(info, "kwargs")
        if use in FACTORIES and step in names:
            yield {"from": step, "use": use, **{str(key): _plain(value) for key, value in arguments.items()}}
        else:
            notes.append(
                f"The routing function after step '{step}' is code and was not taken over. "
                "Until you choose another one, all rows go to all the next steps."
            )


def _class_of(use: str, wanted: type[Component]) -> type[Component] | None:
    if wanted.__name__ == use and not is_chosen(wanted):
        return wanted
    try:
        cls = catalog.get(use)
    except ConfigError:
        return None
    return cls if issubclass(cls, wanted) else None


def _plain(value: Any) -> Any:
    """A value as plain data; an enumeration is the values it had."""
    if isinstance(value, Mapping):
        if value.get("_type") == "enum" or "_enum_type" in value:
            return _plain(value.get("_values", {}))
        return {str(key): _plain(item) for key, item in value.items() if key != "type_info"}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _is_component(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(isinstance(item, Mapping) and "type_info" in item for item in items)


def _is_nothing(value: Any) -> bool:
    return value in (None, False, "", [], {}) or (isinstance(value, dict) and all(map(_is_nothing, value.values())))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _part(data: Any, name: str) -> Mapping[str, Any]:
    return _mapping(_mapping(data).get(name))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _shown(value: Any) -> str:
    text = json.dumps(_without_keys(_plain(value)), ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _without_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "(a key)" if is_key_name(name) else _without_keys(item) for name, item in value.items()}
    return [_without_keys(item) for item in value] if isinstance(value, list) else value
