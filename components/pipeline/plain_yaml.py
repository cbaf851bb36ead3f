"""YAML that means the same as JSON: no aliases, no tags, no dates, and `no` is a word.

Values are read by the core schema of YAML 1.2; text that an older reader would take for something else is quoted.
"""

import math
import re
from typing import Any, ClassVar, cast

import yaml

try:
    from yaml import CSafeDumper as SafeDumper
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeDumper, SafeLoader  # type: ignore[assignment]

CORE = "tag:yaml.org,2002:"
OLD_TUPLE = f"{CORE}python/tuple"
ALLOWED_TAGS: dict[type, set[str]] = {
    yaml.ScalarEvent: {"!", f"{CORE}str"},
    yaml.SequenceStartEvent: {"!", OLD_TUPLE},
    yaml.MappingStartEvent: {"!"},
}
WORDS = {
    "null": (r"~|null|Null|NULL|", [*"~nN", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
}


class PlainLoader(SafeLoader):
    """Reads only what JSON could say as well."""

    yaml_implicit_resolvers: dict[str, Any] = {}
    yaml_constructors: ClassVar[dict[Any, Any]] = {}


class PlainDumper(SafeDumper):
    """Writes text so that every reader takes it for text, and repeated values as often as they stand."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def refuse_tricks(text: str, name: str, deepest: int) -> None:
    """Raises: yaml.MarkedYAMLError at the first alias, tag, second document or level too deep, before any is built."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=PlainLoader):
        depth += isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent))
        depth -= isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent))
        documents += isinstance(event, yaml.DocumentStartEvent)
        problem, tag = "", cast(str | None, getattr(event, "tag", None))
        if isinstance(event, yaml.AliasEvent):
            problem = f"the alias *{event.anchor} is not allowed; write the value out"
        elif tag and tag not in ALLOWED_TAGS.get(type(event), set()):
            problem = f"the tag {tag.replace(CORE, '!!')} is not allowed"
        elif depth > deepest:
            problem = f"more than {deepest} levels deep"
        elif documents > 1:
            problem = "a second document begins here; a file holds one pipeline"
        if problem:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=cast(Any, event.start_mark))


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        problem = ""
        if not isinstance(key, str):
            problem = "a name must be text; put it in quotes"
        elif key in mapping:
            problem = f"'{key}' stands twice; remove one of them"
        if problem:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


def _sequence(loader: Any, node: yaml.SequenceNode) -> list[Any]:
    return [loader.construct_object(item, deep=True) for item in node.value]


def _whole(loader: Any, node: yaml.ScalarNode) -> int:
    return int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10)


def _number(loader: Any, node: yaml.ScalarNode) -> float:
    number = float(node.value)
    if not math.isfinite(number):
        raise yaml.MarkedYAMLError(problem=f"{node.value} is too big a number", problem_mark=node.start_mark)
    return number


def _text(dumper: Any, value: str) -> Any:
    style = "|" if "\n" in value and not re.search(r"[ \t]\n|[ \t]$|^\s", value) else None
    return dumper.represent_scalar(f"{CORE}str", value, style=style)


for _word, (_pattern, _first) in WORDS.items():
    for _reader in (PlainLoader, PlainDumper):
        _reader.add_implicit_resolver(CORE + _word, re.compile(f"^(?:{_pattern})$"), _first)
PlainLoader.add_constructor(f"{CORE}null", lambda loader, node: None)
PlainLoader.add_constructor(f"{CORE}bool", lambda loader, node: node.value.lower() == "true")
PlainLoader.add_constructor(f"{CORE}int", _whole)
PlainLoader.add_constructor(f"{CORE}float", _number)
PlainLoader.add_constructor(f"{CORE}str", lambda loader, node: str(node.value))
PlainLoader.add_constructor(f"{CORE}seq", _sequence)
PlainLoader.add_constructor(OLD_TUPLE, _sequence)
PlainLoader.add_constructor(f"{CORE}map", _mapping)
PlainDumper.add_representer(str, _text)
