"""Pipeline files: YAML and JSON with the same content, read with suspicion and written whole or not at all.

A YAML file may have 256 kB, which no pipeline written by hand comes near; JSON, whose reader cannot be made to work
much harder than its input is long, 10 MB, so that it can carry the rows of a LoadDataFromDicts.
"""

import json
import math
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from components.errors import ConfigError
from components.pipeline.plain_yaml import PlainDumper, PlainLoader, refuse_tricks

MOST_BYTES = {"yaml": 256_000, "json": 10_000_000}
DEEPEST = 64
ENDINGS = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}


def read(path: str | Path, format: str | None = None) -> dict[str, Any]:
    """The content of a pipeline file.

    Raises: ConfigError naming the file, and the line where it can.
    """
    path = Path(path)
    kind = format or ENDINGS.get(path.suffix.lower(), "yaml")
    try:
        with path.open("rb") as file:
            content = file.read(_most_bytes(kind) + 1)
    except OSError as error:
        raise ConfigError(f"{path} could not be read: {error.strerror}.") from error
    return parse(content, path.name, kind)


def parse(content: bytes | str, name: str = "pipeline.yaml", format: str | None = None) -> dict[str, Any]:
    """The content of a pipeline file that is in memory; `name` says what to call it and, by its ending, the format."""
    kind = format or ENDINGS.get(Path(name).suffix.lower(), "yaml")
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(raw) > _most_bytes(kind):
        raise ConfigError(f"{name} is too big: {_size_sentence(kind)}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}, line {line}: this is not UTF-8 text. Save the file as UTF-8.") from error
    if not text.strip():
        raise ConfigError(f"{name} is empty.")
    data = _parse_json(text, name) if kind == "json" else _parse_yaml(text, name)
    if not isinstance(data, dict):
        raise ConfigError(f"{name} holds no pipeline: it must begin with names such as `pipeline:`.")
    return data


def render(data: dict[str, Any], format: str = "yaml") -> str:
    """The text of a pipeline file. Raises: ConfigError when it holds something that no file can."""
    _most_bytes(format)
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        if format == "yaml":
            text = yaml.dump(data, Dumper=PlainDumper, sort_keys=False, allow_unicode=True, width=120)
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError("The pipeline holds text that is not valid Unicode and cannot be saved.") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"The pipeline holds a value that cannot be saved: {error}.") from error
    return text


def write(path: str | Path, data: dict[str, Any], format: str | None = None) -> None:
    """Write a pipeline file; one that was there before stays as it was until the new one is complete.

    Raises: ConfigError, also for one that would be too big to be read again.
    """
    path = Path(path)
    kind = format or ENDINGS.get(path.suffix.lower(), "yaml")
    content = render(data, kind).encode()
    if len(content) > _most_bytes(kind):
        raise ConfigError(f"The pipeline is too big to be saved: {_size_sentence(kind)}")
    target = path.resolve()
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise ConfigError(f"{path} could not be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _most_bytes(format: str) -> int:
    if format not in MOST_BYTES:
        raise ConfigError(f"'{format}' is no format for pipelines. Use yaml or json.")
    return MOST_BYTES[format]


def _size_sentence(format: str) -> str:
    return (
        f"a {format.upper()} pipeline can have {MOST_BYTES[format] // 1000:,} kB. "
        "Keep rows in a data file and load them with LoadDataFromFileSystem."
    )


def _parse_yaml(text: str, name: str) -> Any:
    try:
        refuse_tricks(text, name, DEEPEST)
        loader = PlainLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{name}{line}: {error.problem or error.context or 'this is no YAML'}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name} is no YAML that can be read: {str(error).splitlines()[0]}.") from error


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
COLON = re.compile(r"\s*:")


def _parse_json(text: str, name: str) -> Any:
    for line, complaint in _complaints(text):
        raise ConfigError(f"{name}, line {line}: {complaint}")
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}, line {error.lineno}: {error.msg[:1].lower()}{error.msg[1:]}.") from error
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error


def _complaints(text: str) -> Iterator[tuple[int, str]]:
    """What the standard reader would let pass: names that stand twice, and nesting that breaks it."""
    open_objects: list[set[str]] = []
    for token in TOKEN.finditer(text):
        value = token.group()
        if value in "[{":
            open_objects.append(set())
            if len(open_objects) > DEEPEST:
                yield text.count("\n", 0, token.start()) + 1, f"more than {DEEPEST} levels deep."
        elif value in "]}":
            if open_objects:
                open_objects.pop()
        elif open_objects and COLON.match(text, token.end()):
            if value in open_objects[-1]:
                yield text.count("\n", 0, token.start()) + 1, f"{value} stands twice. Remove one of them."
            open_objects[-1].add(value)


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number that a pipeline can hold.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too big a number.")
    return number
