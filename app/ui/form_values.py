"""Between a component's data and what stands in a form's widgets, in both directions and without loss."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from app.ui.form_fields import Field, Kind, Path


class _Unset:
    """The mark of a field that is left at its default."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()
NUMBERS = frozenset({Kind.INTEGER, Kind.NUMBER, Kind.RANGE})
LISTS = frozenset({Kind.LINES, Kind.COLUMNS, Kind.DATA_FILE})


def value_at(data: Mapping[str, Any], path: Path, default: Any = UNSET) -> Any:
    """What stands at a path of nested data."""
    found: Any = data
    for name in path:
        if not isinstance(found, Mapping) or name not in found:
            return default
        found = found[name]
    return found


def with_value(data: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy of nested data with another value at a path; UNSET takes it away, and objects that it leaves empty."""
    name, rest = path[0], path[1:]
    changed = dict(data)
    if rest:
        inner = changed.get(name)
        value = with_value(inner if isinstance(inner, Mapping) else {}, rest, value)
        if not value:
            value = UNSET
    if value is UNSET:
        changed.pop(name, None)
    else:
        changed[name] = value
    return changed


def suited(field: Field, value: Any) -> Field:
    """The field as this value needs it: as JSON where its usual widget could not hold the value."""
    return field if value is UNSET or _fits(field.kind, value) else replace(field, kind=Kind.JSON)


def to_widget(field: Field, value: Any) -> Any:
    """What the widget of a field shows."""
    if value is UNSET:
        value = field.default
    if field.kind is Kind.SECRET:
        return ""
    if field.kind is Kind.JSON:
        return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
    if value is None:
        return _nothing(field)
    if field.kind in NUMBERS and not field.is_slider:
        return _number_text(value)
    if field.kind in (Kind.LINES, Kind.DATA_FILE) and isinstance(value, list):
        return "\n".join(value)
    if field.kind in (Kind.PAIRS, Kind.LABELS):
        return _pairs_text(value)
    return value


def from_widget(field: Field, shown: Any) -> Any:
    """The value that a widget's content stands for; UNSET where the default holds.

    Raises: ValueError with a sentence for the person.
    """
    value = _read(field, shown)
    return UNSET if value is UNSET or _is_default(field, value) else value


def _is_default(field: Field, value: Any) -> bool:
    # To Python, True is 1; to a component it is not.
    is_alike = isinstance(value, bool) == isinstance(field.default, bool)
    return not field.is_required and is_alike and bool(value == field.default)


def _read(field: Field, shown: Any) -> Any:
    if isinstance(shown, float) and math.isnan(shown):
        return UNSET
    match field.kind:
        case Kind.SWITCH:
            return _switched(field, shown)
        case Kind.INTEGER | Kind.NUMBER | Kind.RANGE:
            return _number(field, shown)
        case Kind.LINES:
            return _lines(shown) or UNSET
        case Kind.PAIRS:
            return _pairs(shown) or UNSET
        case Kind.LABELS:
            return _labels(shown) or UNSET
        case Kind.JSON:
            return _json(shown)
        case Kind.DATA_FILE:
            files = _lines(shown)
            return UNSET if not files else files[0] if len(files) == 1 else files
        case Kind.COLUMNS:
            return list(shown or []) or UNSET
    return _text(field, shown)


def _fits(kind: Kind, value: Any) -> bool:
    """Whether the widget of a kind can show a value so that the same value is read from it."""
    match kind:
        case Kind.JSON:
            return True
        case Kind.SWITCH:
            return value is None or isinstance(value, bool)
        case Kind.INTEGER:
            return value is None or (isinstance(value, (int, str)) and not isinstance(value, bool))
        case Kind.NUMBER:
            return value is None or (isinstance(value, (int, float, str)) and not isinstance(value, bool))
        case Kind.RANGE:
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case Kind.LINES | Kind.DATA_FILE | Kind.COLUMNS:
            return value is None or (_is_line(value) and kind is not Kind.COLUMNS) or _is_list(value)
        case Kind.PAIRS:
            return value is None or _is_pairs(value)
        case Kind.LABELS:
            return value is None or _is_pairs(value) or (_is_list(value) and _are_labels(value))
        case Kind.COMPONENT:
            return value is None or isinstance(value, Mapping)
        case Kind.CHOICE:
            return not isinstance(value, (dict, list))
    return value is None or isinstance(value, str)


def _are_labels(names: list[str]) -> bool:
    return len(set(names)) == len(names) and not any(":" in name for name in names)


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and value == value.strip() and len(value.splitlines()) == 1


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(_is_line(item) for item in value)


def _is_pairs(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        _is_line(name) and ":" not in name and isinstance(text, str) and (not text or _is_line(text))
        for name, text in value.items()
    )


def _nothing(field: Field) -> Any:
    if field.kind is Kind.COLUMNS:
        return []
    if field.is_slider:
        return field.low
    return None if field.kind in (Kind.CHOICE, Kind.COLUMN, Kind.MODEL, Kind.SWITCH) else ""


def _text(field: Field, shown: Any) -> Any:
    if shown is None or (shown == "" and (field.is_optional or field.is_required or field.default in (None, ""))):
        return None if field.default not in (None, "") and field.is_optional else UNSET
    return shown


def _switched(field: Field, shown: Any) -> Any:
    if isinstance(shown, str):
        return {"yes": True, "no": False}.get(shown, UNSET)
    return UNSET if shown is None else bool(shown)


def _number_text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _number(field: Field, shown: Any) -> Any:
    if shown is None:
        return UNSET
    if not isinstance(shown, str):
        return int(shown) if isinstance(shown, float) and shown.is_integer() and field.kind is Kind.INTEGER else shown
    text = shown.strip()
    if not text:
        return UNSET
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    # Kept as it was typed: the component itself says what is wrong with it.
    return text


def _lines(shown: Any) -> list[str]:
    return [line.strip() for line in str(shown or "").splitlines() if line.strip()]


def _pairs(shown: Any) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for line in _lines(shown):
        name, colon, text = (part.strip() for part in line.partition(":"))
        if not colon or not name:
            raise ValueError(f"Write one `name: value` in each line; '{line[:60]}' is none.")
        if name in pairs:
            raise ValueError(f"'{name}' stands there twice.")
        pairs[name] = text
    return pairs


def _labels(shown: Any) -> list[str] | dict[str, str]:
    """One label in each line, with what it means after a colon where the person says so."""
    labels: dict[str, str] = {}
    for line in _lines(shown):
        name, _, meaning = (part.strip() for part in line.partition(":"))
        if not name:
            raise ValueError(f"Write the label before the colon: '{line[:60]}'.")
        if name in labels:
            raise ValueError(f"The label '{name}' stands there twice.")
        labels[name] = meaning
    return labels if any(labels.values()) else list(labels)


def _json(shown: Any) -> Any:
    text = str(shown or "").strip()
    if not text:
        return UNSET
    try:
        return json.loads(text)
    except ValueError as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"This is not valid JSON{place}.") from None


def _pairs_text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(value)
    return "\n".join(f"{name}: {text}" if text else str(name) for name, text in value.items())
