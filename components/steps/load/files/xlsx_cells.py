"""The cells of an Excel sheet as plain values.

Source: ECMA-376 part 1, 18.3 (sheets), 18.4 (shared texts) and 18.8 (styles)
"""

import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import IO, Any

from components.steps.load.files.limits import size_text
from components.steps.load.files.source import Meter
from components.steps.load.files.table import Warn
from components.steps.load.files.xlsx_package import Package, Sheet
from components.steps.load.files.xml_events import END, START, TEXT, Event, xml_events

_MOST_ROWS, _MOST_COLUMNS = 1_048_576, 16_384
_CELL_COST = 16
_PLACE = re.compile(r"([A-Z]{1,3})[0-9]+")
# Excel writes characters that XML cannot hold in this way.
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
Cells = dict[int, Any]
"""The values of a row by column, counted from 0; empty cells are not there."""


class SheetCells:
    """Reads the rows of a sheet."""

    def __init__(self, package: Package, warn: Warn) -> None:
        self._package = package
        self._source = package.source
        self._warn = warn
        self._meter = Meter(package.source)
        self._dates = _DateFormats(package.open_styles(), package.starts_in_1904)
        self._texts: list[str] = []
        self._more_texts = self._shared_texts(package.open_texts())

    def rows(self, sheet: Sheet) -> Iterator[tuple[int, Cells]]:
        """Each row that the file holds, with its number."""
        number = 0
        with self._package.open_sheet(sheet) as file:
            events = xml_events(file)
            for kind, name, attributes in events:
                if kind == START and name == "row":
                    written = attributes.get("r", str(number + 1))
                    if not written.isdecimal() or not number < int(written[:8]) <= _MOST_ROWS:
                        raise self._source.fault("the rows of the sheet are not in order. Save it again in Excel.")
                    number = int(written)
                    self._meter.add(_CELL_COST)
                    yield number, self._row(events, number)

    def _row(self, events: Iterator[Event], number: int) -> Cells:
        cells: Cells = {}
        column, n_cells = -1, 0
        for kind, name, attributes in events:
            if kind == END and name == "row":
                break
            if kind == START and name == "c":
                place = _PLACE.fullmatch(attributes.get("r", ""))
                column = column_number(place[1]) if place else column + 1
                n_cells += 1
                if max(column + 1, n_cells) > _MOST_COLUMNS or column in cells:
                    raise self._source.fault("the cells are not in order. Save it again in Excel.", f"row {number}")
                value = self._cell(events, attributes, attributes.get("r") or f"{column_letters(column)}{number}")
                self._meter.add(_CELL_COST + (len(value) if isinstance(value, str) else 0))
                if value is not None:
                    cells[column] = value
        return cells

    def _cell(self, events: Iterator[Event], attributes: dict[str, str], place: str) -> Any:
        written: str | None = None
        has_formula = False
        for kind, name, _ in events:
            if kind == END and name == "c":
                break
            if kind == START and name == "v":
                written = self._text(events, "v", place)
            elif kind == START and name == "is":
                written = _unescaped(self._text(events, "is", place))
            elif kind == START and name == "f":
                has_formula = True
        if not written:
            if has_formula and attributes.get("t") != "str":
                self._warn(
                    "Some formulas have no saved value and are read as empty. Open the workbook in Excel and save it."
                )
            return None
        return self._value(written, attributes.get("t", "n"), attributes.get("s", "0"), place)

    def _value(self, written: str, kind: str, style: str, place: str) -> Any:
        if kind == "b":
            return written not in ("0", "false")
        try:
            if kind == "s":
                return self._shared_text(int(written)) or None
            if kind == "n":
                return self._dates.plain(_number(written), style)
        except (ValueError, OverflowError, IndexError) as error:
            raise self._source.fault("the value cannot be read. Correct it in Excel.", f"cell {place}") from error
        if kind == "e":
            self._warn("Some cells hold an error of Excel, such as #N/A; it is read as text.")
        return _unescaped(written) if kind == "str" else written

    def _text(self, events: Iterator[Event], end_name: str, place: str) -> str:
        """The text up to the end of an element, without the reading aids of Japanese."""
        pieces: list[str] = []
        length = aids = 0
        for kind, name, _ in events:
            if kind == TEXT:
                if not aids:
                    pieces.append(name)
                    length += len(name)
                    self._refuse_long(length, place)
            elif name == "rPh":
                aids += 1 if kind == START else -1
            elif kind == END and name == end_name:
                break
        return "".join(pieces)

    def _refuse_long(self, length: int, place: str) -> None:
        limit = self._source.limits.cell_bytes
        if length > limit:
            where = f"cell {place}" if place else ""
            raise self._source.fault(f"a cell holds more than {size_text(limit)}, the most that is read.", where)

    def _shared_text(self, number: int) -> str:
        """Texts stand in the order of their first use, so they are read only as far as the rows are."""
        while len(self._texts) <= number and (text := next(self._more_texts, None)) is not None:
            self._texts.append(text)
        return self._texts[number]

    def _shared_texts(self, file: IO[bytes] | None) -> Iterator[str]:
        if file:
            with file:
                events = xml_events(file)
                for kind, name, _ in events:
                    if kind == START and name == "si":
                        yield _unescaped(self._text(events, "si", ""))


class _DateFormats:
    """Tells by its style whether a number is a date, a time or a duration."""

    def __init__(self, file: IO[bytes] | None, starts_in_1904: bool) -> None:
        from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH

        self._epoch = MAC_EPOCH if starts_in_1904 else WINDOWS_EPOCH
        self._formats: list[str] = _cell_formats(file) if file else []
        self._converters: dict[str, Callable[[float], Any] | None] = {}

    def plain(self, number: float, style: str) -> Any:
        if style not in self._converters:
            self._converters[style] = self._converter(style)
        convert = self._converters[style]
        return convert(number) if convert else number

    def _converter(self, style: str) -> Callable[[float], Any] | None:
        from openpyxl.styles.numbers import is_date_format, is_datetime, is_timedelta_format
        from openpyxl.utils.datetime import from_excel

        code = self._formats[int(style)] if int(style) < len(self._formats) else "General"
        if is_timedelta_format(code):
            return lambda number: timedelta(days=number).total_seconds()
        if not is_date_format(code):
            return None
        is_day = is_datetime(code) == "date"

        def to_iso(number: float) -> str:
            moment = from_excel(number, self._epoch)
            # Excel keeps a date as midnight of that day; its format tells whether a time was meant.
            return str((moment.date() if is_day and isinstance(moment, datetime) else moment).isoformat())

        return to_iso


def _cell_formats(file: IO[bytes]) -> list[str]:
    """The number format of each cell style."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS

    codes: dict[str, str] = {str(number): code for number, code in BUILTIN_FORMATS.items()}
    formats: list[str] = []
    is_cell_styles = False
    with file:
        for kind, name, attributes in xml_events(file):
            if name == "cellXfs" and kind != TEXT:
                is_cell_styles = kind == START
            elif kind == START and name == "numFmt":
                codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "General")[:255]
            elif kind == START and name == "xf" and is_cell_styles:
                formats.append(codes.get(attributes.get("numFmtId", "0"), "General"))
    return formats


def column_number(letters: str) -> int:
    """0 for A, 26 for AA."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def column_letters(number: int) -> str:
    """A for 0, AA for 26."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _number(written: str) -> int | float:
    if len(written) < 16 and written.lstrip("-").isdecimal():
        return int(written)
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(written)
    return number


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "_x" in text else text


def _character(escape: re.Match[str]) -> str:
    code = int(escape[1], 16)
    return escape[0] if code == 0 or 0xD800 <= code < 0xE000 else chr(code)
