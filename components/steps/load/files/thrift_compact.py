"""Thrift's compact protocol, read a value at a time, as far as Parquet uses it.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Iterator

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET = 1, 2, 3, 7, 8, 9, 10
STRUCT = 12
_INTEGERS = {4, 5, 6}
_LONGEST_VARINT = 10


class CompactReader:
    """Reads forward through bytes; raises IndexError at their end and ValueError for what is not Thrift."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and kind of each field of the struct that starts here; each must be read or skipped in turn."""
        number = 0
        while header := self._byte():
            step = header >> 4
            number = number + step if step else self.integer()
            yield number, header & 15

    def integer(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def list_size(self) -> int:
        """How many structs follow."""
        header = self._byte()
        if header & 15 != STRUCT:
            raise ValueError("a list of something else")
        return header >> 4 if header >> 4 != 15 else self._varint()

    def skip(self, kind: int, is_field: bool = True) -> None:
        """Pass over a value. A field of a truth value has it in its header; in a list it is a byte."""
        if kind in _INTEGERS:
            self._varint()
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner)
        elif kind == _BINARY:
            self._jump(self._varint())
        elif kind == _BYTE or (kind in (_TRUE, _FALSE) and not is_field):
            self._byte()
        elif kind == _DOUBLE:
            self._jump(8)
        elif kind in (_LIST, _SET):
            header = self._byte()
            for _ in range(header >> 4 if header >> 4 != 15 else self._varint()):
                self.skip(header & 15, is_field=False)
        elif kind not in (_TRUE, _FALSE):
            raise ValueError(f"Thrift type {kind}")

    def _byte(self) -> int:
        byte = self.data[self.position]
        self.position += 1
        return byte

    def _varint(self) -> int:
        number = 0
        for place in range(_LONGEST_VARINT):
            byte = self._byte()
            number |= (byte & 127) << (7 * place)
            if byte < 128:
                return number
        raise ValueError("a number that does not end")

    def _jump(self, size: int) -> None:
        if self.position + size > len(self.data):
            raise IndexError
        self.position += size
