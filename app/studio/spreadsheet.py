"""CSV that is safe to open in a spreadsheet: no text of a row can become a formula there."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

# The last four are the full-width forms of the first, which a spreadsheet set to Chinese or Japanese takes for them.
RISKY = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
NUMBER = re.compile(r"[+-]?(\d+([.,]\d+)*|\.\d+)([eE][+-]?\d+)?%?\Z", re.ASCII)
BYTE_ORDER_MARK = "\ufeff"
"""Without it Excel takes UTF-8 for the machine's old encoding. Stillroom's own reader, and pandas, skip it."""
CHUNK = 256 * 1024


def csv_chunks(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, is_safe: bool = True) -> Iterator[bytes]:
    """A table as CSV, piece by piece; `is_safe` guards against formulas and marks it as UTF-8."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    if is_safe:
        buffer.write(BYTE_ORDER_MARK)
    writer.writerow([_cell(name, is_safe) for name in columns])
    for row in rows:
        writer.writerow([_cell(value, is_safe) for value in row])
        if buffer.tell() > CHUNK:
            yield buffer.getvalue().encode("utf-8", "replace")
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode("utf-8", "replace")


def harmless(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula."""
    if text.startswith(RISKY) and not NUMBER.match(text):
        return f"'{text}"
    return text


def _cell(value: Any, is_safe: bool) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return harmless(text) if is_safe else text
