"""What a column of a Parquet file unpacks to, read from its page headers before anything is unpacked.

A footer can say 31 kB of a column that unpacks to gigabytes, so it is not asked.
Source: https://parquet.apache.org/docs/file-format/data-pages/
"""

from dataclasses import dataclass
from typing import BinaryIO

from components.steps.load.files.thrift_compact import CompactReader

_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_SIZES = {1: "kind", 2: "unpacked", 3: "stored"}
# By kind of page: the field that holds its own header, and the field in there that says the encoding.
_OWN_HEADER = {_DATA_PAGE: 5, _DATA_PAGE_V2: 8}
_ENCODING_FIELDS = {_DATA_PAGE: 2, _DATA_PAGE_V2: 4}
_DICTIONARY_ENCODINGS = {2, 8}
_SHARED_PREFIX_ENCODING = 7
_FIRST_WINDOW = 2**10
_LONGEST_HEADER = 2**24


class BrokenPages(Exception):
    """The bytes where a page should be are not a page."""


@dataclass
class _Header:
    kind: int = -1
    unpacked: int = -1
    stored: int = -1
    n_values: int = 0
    encoding: int = 0


@dataclass
class Pages:
    """The pages of one column in one row group."""

    n_values: int = 0
    stored: int = 0
    """Bytes in the file."""
    largest: int = 0
    """Bytes of the largest page, unpacked."""
    n_indexed: int = 0
    """Values that point into the dictionary."""
    n_prefixed: int = 0
    """Values that may each repeat all of their page."""
    plain: int = 0
    """Bytes of the pages that hold their values themselves, unpacked."""
    densest: float = 0.0
    """Bytes of a value there, in the page where they are longest on average."""
    dictionary: tuple[int, int, int] = (0, 0, 0)
    """Where the dictionary starts, its bytes in the file, and unpacked."""


def pages_of(file: BinaryIO, start: int, end: int) -> Pages:
    """Walk over the page headers between two places; raises BrokenPages."""
    pages = Pages()
    while start < end:
        header, length = _header(file, start)
        start += length
        if start + header.stored > end:
            raise BrokenPages
        if header.kind == _DICTIONARY_PAGE:
            pages.dictionary = (start, header.stored, header.unpacked)
        elif header.kind in _OWN_HEADER:
            _count_values(pages, header)
        pages.largest = max(pages.largest, header.unpacked)
        pages.stored += header.stored
        start += header.stored
    return pages


def longest_entry(dictionary: bytes) -> int:
    """The length of the longest text in an unpacked dictionary page; raises BrokenPages."""
    position = longest = 0
    while position + 4 <= len(dictionary):
        length = int.from_bytes(dictionary[position : position + 4], "little")
        longest = max(longest, length)
        position += 4 + length
    if position != len(dictionary):
        raise BrokenPages
    return longest


def _count_values(pages: Pages, header: _Header) -> None:
    pages.n_values += header.n_values
    if header.encoding in _DICTIONARY_ENCODINGS:
        pages.n_indexed += header.n_values
    elif header.encoding == _SHARED_PREFIX_ENCODING:
        pages.n_prefixed += header.n_values
    else:
        pages.plain += header.unpacked
        pages.densest = max(pages.densest, header.unpacked / max(header.n_values, 1))


def _header(file: BinaryIO, start: int) -> tuple[_Header, int]:
    """The header that starts at a place, and its length."""
    window = _FIRST_WINDOW
    while True:
        file.seek(start)
        reader = CompactReader(file.read(window))
        try:
            return _read_header(reader), reader.position
        except IndexError as error:
            if window >= _LONGEST_HEADER or len(reader.data) < window:
                raise BrokenPages from error
            window *= 8
        except (ValueError, RecursionError) as error:
            raise BrokenPages from error


def _read_header(reader: CompactReader) -> _Header:
    header = _Header()
    for number, kind in reader.fields():
        if number in _SIZES:
            setattr(header, _SIZES[number], reader.integer())
        elif number in _OWN_HEADER.values():
            _read_own_header(reader, header)
        else:
            reader.skip(kind)
    if min(header.kind, header.unpacked, header.stored, header.n_values) < 0:
        raise BrokenPages
    return header


def _read_own_header(reader: CompactReader, header: _Header) -> None:
    encoding_field = _ENCODING_FIELDS.get(header.kind)
    for number, kind in reader.fields():
        if number == 1:
            header.n_values = reader.integer()
        elif number == encoding_field:
            header.encoding = reader.integer()
        else:
            reader.skip(kind)
