"""Arrow values as the plain Python that JSON can hold."""

import base64
import math
from collections.abc import Callable
from typing import Any

from components.steps.load.files.source import shown

Convert = Callable[[Any], Any]


class NoPlainForm(Exception):
    """A value or a type that JSON cannot hold; the message says which."""


def converter(type_: Any) -> Convert | None:
    """What makes plain values of what Arrow gives for a type; None when they are plain already.

    Decimals become texts, so that no digit is lost; dates and times become ISO 8601 texts; durations become seconds;
    bytes become base64; NaN becomes None.
    Raises: NoPlainForm for a type that is not known.
    """
    import pyarrow.types as t

    plain = (t.is_null, t.is_boolean, t.is_integer, t.is_string, t.is_large_string, t.is_string_view)
    if any(is_plain(type_) for is_plain in plain):
        return None
    for is_kind, convert in (
        (t.is_floating, _number),
        (t.is_decimal, lambda value: format(value, "f")),
        (t.is_duration, lambda value: value.total_seconds()),
        (lambda kind: t.is_timestamp(kind) or t.is_date(kind) or t.is_time(kind), lambda value: value.isoformat()),
        (_is_binary, lambda value: base64.b64encode(value).decode("ascii")),
    ):
        if is_kind(type_):
            return _unless_none(convert)
    return _nested(type_)


def is_bytes(type_: Any) -> bool:
    """Whether a column of this type holds bytes."""
    return _is_binary(type_)


def _is_binary(type_: Any) -> bool:
    import pyarrow.types as t

    return bool(
        t.is_binary(type_) or t.is_large_binary(type_) or t.is_fixed_size_binary(type_) or t.is_binary_view(type_)
    )


def _nested(type_: Any) -> Convert | None:
    import pyarrow.types as t

    if t.is_dictionary(type_):
        return converter(type_.value_type)
    if t.is_struct(type_):
        return _struct({field.name: converter(field.type) for field in type_}, type_.num_fields)
    if t.is_map(type_):
        return _map(converter(type_.key_type), converter(type_.item_type))
    lists = (t.is_list, t.is_large_list, t.is_fixed_size_list, t.is_list_view, t.is_large_list_view)
    if any(is_kind(type_) for is_kind in lists):
        return _list(converter(type_.value_type))
    if getattr(type_, "extension_name", "") == "arrow.uuid":
        return _unless_none(str)
    if getattr(type_, "extension_name", "") == "arrow.json":
        return None
    raise NoPlainForm(f"values of type {type_} cannot be read. Save the column as text")


def _unless_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _number(value: Any) -> float | None:
    number = float(value)
    if math.isinf(number):
        raise NoPlainForm("infinity is not a number that JSON can hold. Replace it")
    return None if math.isnan(number) else number


def _list(convert: Convert | None) -> Convert | None:
    return _unless_none(lambda items: [convert(item) for item in items]) if convert else None


def _struct(converters: dict[str, Convert | None], n_fields: int) -> Convert | None:
    if len(converters) != n_fields:
        raise NoPlainForm("two fields in it have the same name. Rename one")
    needed = {name: convert for name, convert in converters.items() if convert}
    if not needed:
        return None
    return _unless_none(lambda fields: fields | {name: convert(fields[name]) for name, convert in needed.items()})


def _map(convert_key: Convert | None, convert_item: Convert | None) -> Convert:
    def to_dict(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in pairs:
            name = str(convert_key(key) if convert_key else key)
            if name in found:
                raise NoPlainForm(f"the key '{shown(name)}' is there twice. Keep one of them")
            found[name] = convert_item(item) if convert_item else item
        return found

    return _unless_none(to_dict)
