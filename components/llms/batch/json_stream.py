"""Reads one large JSON object a piece at a time, so that the array in it never is in memory as a whole."""

import codecs
import json
from collections.abc import Iterator
from typing import Any

LONGEST_VALUE = 64 * 1024 * 1024
"""Characters of one value: an item of the array, or another field of the object."""
BLANK = " \t\r\n"
ENDS = frozenset(f"{BLANK},]}}")


def items(pieces: Iterator[bytes], name: str, fields: dict[str, Any]) -> Iterator[Any]:
    """The items of the array in the field `name`; what the object's other fields hold is put into `fields`.

    Raises: ValueError when it is no JSON object, or not whole.
    """
    text = _Text(pieces)
    text.take("{")
    if text.next() == "}":
        return
    while True:
        field = text.value()
        text.take(":")
        if field == name and text.next() == "[":
            text.take("[")
            yield from _items(text)
        else:
            fields[field] = text.value()
        if text.take(",}") == "}":
            return


def _items(text: "_Text") -> Iterator[Any]:
    if text.next() == "]":
        text.take("]")
        return
    while True:
        yield text.value()
        if text.take(",]") == "]":
            return


class _Text:
    """What has come and is not read yet."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0

    def next(self) -> str:
        """The next sign that is no blank, left where it is."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in BLANK:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            self._more()

    def take(self, allowed: str) -> str:
        """The next sign, which must be one of these."""
        sign = self.next()
        if sign not in allowed:
            raise ValueError(f"'{sign}' stands where one of '{allowed}' should.")
        self._at += 1
        return sign

    def value(self) -> Any:
        """The next value, whole."""
        self.next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError:
                self._more()
                continue
            # A number that a piece ends in may go on in the next.
            if isinstance(value, (dict, list, str)) or self._text[end : end + 1] in ENDS:
                self._at = end
                return value
            self._more()

    def _more(self) -> None:
        """At least as much again as is there, so that a long value is not tried at each of its pieces."""
        self._text = self._text[self._at :]
        self._at = 0
        if len(self._text) > LONGEST_VALUE:
            raise ValueError("It holds a value that is too long, or is no JSON.")
        wanted = 2 * len(self._text) or 1
        parts, size = [self._text], len(self._text)
        while size < wanted:
            piece = next(self._pieces, None)
            if piece is None:
                if len(parts) == 1:
                    raise ValueError("It ends in the middle.")
                break
            parts.append(self._decoder.decode(piece))
            size += len(parts[-1])
        self._text = "".join(parts)
