"""JSON read strictly: what cannot be kept as it is written is refused, not repaired."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from components.steps.load.files.source import shown

_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


class JsonProblem(Exception):
    """Why a JSON text is refused; `position` is where in the text, when the parser knows."""

    def __init__(self, problem: str, position: int | None = None, is_cut: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.position = position
        self.is_cut = is_cut


@dataclass(frozen=True)
class _Unfit:
    """Stands where a number was that JSON or 64 bits cannot hold, until its field is known."""

    written: str
    advice: str


class StrictJson:
    """Parses JSON objects; refuses NaN, Infinity, repeated keys, half characters and deep nesting."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._found_unfit = False
        self._decoder = json.JSONDecoder(
            object_pairs_hook=_without_repeats,
            parse_float=self._float,
            parse_int=self._int,
            parse_constant=self._constant,
        )

    def parse_at(self, text: str, start: int) -> tuple[Any, int]:
        """The value that starts at a position, and where it ends; raises JsonProblem."""
        self._found_unfit = False
        try:
            value, end = self._decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            is_cut = error.msg.startswith("Unterminated") or not text[error.pos :].strip()
            raise JsonProblem(f"this is not valid JSON ({error.msg})", error.pos, is_cut) from error
        except RecursionError as error:
            raise self._too_deep() from error
        has_half_characters = _SURROGATE_ESCAPE.search(text, start, end) is not None
        may_be_deep = text.count("[", start, end) + text.count("{", start, end) > self._depth
        if may_be_deep:
            self._refuse_deep(value)
        if self._found_unfit or has_half_characters:
            _refuse_unfit(value, "")
        return value, end

    def _float(self, written: str) -> float | _Unfit:
        value = float(written)
        return value if math.isfinite(value) else self._unfit(written, "is too large. Put it in quotes to keep it")

    def _int(self, written: str) -> int | _Unfit:
        if len(written) < 19 or (len(written) < 21 and _SMALLEST <= int(written) <= _LARGEST):
            return int(written)
        return self._unfit(written, "does not fit in 64 bits. Put it in quotes to keep it")

    def _constant(self, written: str) -> _Unfit:
        return self._unfit(written, "is not valid in JSON. Write null or a number")

    def _unfit(self, written: str, advice: str) -> _Unfit:
        self._found_unfit = True
        return _Unfit(shown(written), advice)

    def _refuse_deep(self, value: Any) -> None:
        level = [value]
        for _ in range(self._depth):
            children = (
                child for parent in level for child in (parent.values() if isinstance(parent, dict) else parent)
            )
            level = [child for child in children if isinstance(child, (dict, list))]
            if not level:
                return
        raise self._too_deep()

    def _too_deep(self) -> JsonProblem:
        return JsonProblem(f"lists and objects are nested deeper than {self._depth} levels. Flatten them")


def kind_of(start: str) -> str:
    """What a JSON value is, told by its first character."""
    kinds = {"[": "a list", '"': "a text", "t": "true", "f": "false", "n": "null", "{": "an object"}
    return kinds.get(start, "a number")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonProblem(f"the key '{shown(key)}' is there twice. Keep one of them")
            seen.add(key)
    return found


def _refuse_unfit(value: Any, field: str) -> None:
    """Raise for the first value that cannot be kept, naming its field."""
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_unfit(key, field)
            _refuse_unfit(item, f"{field}.{key}" if field else key)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _refuse_unfit(item, f"{field}[{position}]")
    elif isinstance(value, _Unfit):
        raise JsonProblem(f"{value.written} in field '{shown(field)}' {value.advice}")
    elif isinstance(value, str) and (half := _SURROGATE.search(value)):
        code = f"\\u{ord(half[0]):04x}"
        raise JsonProblem(f"{code} in field '{shown(field)}' is half of a character. Write the whole character")
