"""The zip that an Excel workbook is: which parts it holds, and whether they are safe to unpack."""

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from components.steps.load.files.limits import size_text
from components.steps.load.files.source import Source
from components.steps.load.files.xml_events import START, BrokenXml, xml_events

_MIB = 2**20
_ENCRYPTED = 1
_MOST_PARTS = 10_000
_MOST_SHEETS = 10_000
# What is kept in memory: the texts of all cells, and a number for each style.
_MOST_TEXTS = 64 * _MIB
_MOST_OTHER = 4 * _MIB
# Sheet XML is a few times as long as the values in it.
_SHEET_SHARE = 4
# Deflate packs zeros 1,000 to 1; sheets of real data pack 5 to 40 to 1.
_ALWAYS_ALLOWED = 8 * _MIB
_MOST_INFLATION = 100
_WORKBOOK, _SHEET, _TEXTS, _STYLES = "/officeDocument", "/worksheet", "/sharedStrings", "/styles"


@dataclass(frozen=True)
class Sheet:
    """A sheet with cells, and the part that holds them."""

    title: str
    part: str
    is_visible: bool


@dataclass(frozen=True)
class Package:
    """An open workbook."""

    source: Source
    zip: zipfile.ZipFile
    sheets: list[Sheet]
    texts: str | None
    styles: str | None
    starts_in_1904: bool

    def open_sheet(self, sheet: Sheet) -> IO[bytes]:
        return _open_part(self.source, self.zip, sheet.part, self.source.limits.decoded_bytes // _SHEET_SHARE)

    def open_texts(self) -> IO[bytes] | None:
        return _open_part(self.source, self.zip, self.texts, _MOST_TEXTS) if self.texts else None

    def open_styles(self) -> IO[bytes] | None:
        return _open_part(self.source, self.zip, self.styles, _MOST_OTHER) if self.styles else None


@contextmanager
def opened_package(source: Source) -> Iterator[Package]:
    """The workbook while it is read; raises DataFileError when it is damaged or unpacks to too much."""
    try:
        with zipfile.ZipFile(source.path) as package:
            if len(package.infolist()) > _MOST_PARTS:
                raise source.fault("it holds more parts than a real workbook does. Save it again in Excel.")
            yield _read_package(source, package)
    except (zipfile.BadZipFile, BrokenXml, zlib.error, KeyError, EOFError, NotImplementedError) as error:
        raise source.fault(
            "the workbook is damaged. Get the file again, or open it in Excel and save a copy."
        ) from error


def _read_package(source: Source, package: zipfile.ZipFile) -> Package:
    book = _targets(source, package, "")[_WORKBOOK][0][1]
    related = _targets(source, package, book)
    parts = dict(related.get(_SHEET, []))
    sheets: list[Sheet] = []
    starts_in_1904 = False
    with _open_part(source, package, book, _MOST_OTHER) as file:
        for kind, name, attributes in xml_events(file):
            if kind != START:
                continue
            if name == "workbookPr":
                starts_in_1904 = attributes.get("date1904", "") in ("1", "true")
            identity = next((value for key, value in attributes.items() if key.endswith(":id")), "")
            if name == "sheet" and identity in parts and len(sheets) < _MOST_SHEETS:
                is_visible = attributes.get("state", "visible") == "visible"
                sheets.append(Sheet(attributes.get("name", ""), parts[identity], is_visible))
    if not sheets:
        raise source.fault("the workbook has no sheets with cells. Choose another file.")
    texts, styles = (next((part for _, part in related.get(kind, [])), None) for kind in (_TEXTS, _STYLES))
    return Package(source, package, sheets, texts, styles, starts_in_1904)


def _targets(source: Source, package: zipfile.ZipFile, part: str) -> dict[str, list[tuple[str, str]]]:
    """The parts that a part refers to, by kind, with their identities; the package itself is the part ``."""
    folder, name = posixpath.split(part)
    targets: dict[str, list[tuple[str, str]]] = {}
    with _open_part(source, package, posixpath.join(folder, "_rels", f"{name}.rels"), _MOST_OTHER) as file:
        for kind, tag, attributes in xml_events(file):
            if kind == START and tag == "Relationship" and attributes.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, attributes["Target"])).lstrip("/")
                relation = "/" + attributes["Type"].rpartition("/")[2]
                targets.setdefault(relation, []).append((attributes["Id"], target))
    return targets


def _open_part(source: Source, package: zipfile.ZipFile, part: str, limit: int) -> IO[bytes]:
    """A part to read from; it cannot unpack to more than the size that is checked here."""
    info = package.getinfo(part)
    if info.flag_bits & _ENCRYPTED:
        raise source.fault("the workbook has a password. Save it without one.")
    if info.file_size > _ALWAYS_ALLOWED and info.file_size > _MOST_INFLATION * info.compress_size:
        raise source.fault(
            f"a part of it unpacks to {size_text(info.file_size)} from next to nothing, as in no real workbook. "
            "Save it as CSV."
        )
    if info.file_size > limit:
        raise source.fault(
            f"a part of it unpacks to {size_text(info.file_size)}, and at most {size_text(limit)} can be read. "
            "Save it as CSV."
        )
    return package.open(info)
