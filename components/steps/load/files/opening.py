"""Opens a data file of any type that can be read."""

import hashlib
from pathlib import Path

from components.steps.load.files.delimited import open_delimited
from components.steps.load.files.detect import FILE_SUFFIXES, PACKED_TYPES, checked_filetype, packed_type, text_type
from components.steps.load.files.json_document import open_json_document
from components.steps.load.files.json_lines import open_json_lines
from components.steps.load.files.limits import DEFAULT_LIMITS, FileLimits, size_text
from components.steps.load.files.parquet import open_parquet
from components.steps.load.files.source import Source, regular_file
from components.steps.load.files.table import Table
from components.steps.load.files.text_encoding import find_encoding
from components.steps.load.files.xlsx import open_xlsx


def open_table(
    path: Path | str,
    *,
    filetype: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    limits: FileLimits = DEFAULT_LIMITS,
) -> Table:
    """A data file as a table; what is not given is found out from its content.

    Raises: DataFileError for a file that cannot be read; ConfigError for an unknown file type, encoding or delimiter.
    """
    asked = checked_filetype(filetype)
    source = Source(Path(path), limits)
    size = regular_file(source.path).st_size
    if not size:
        raise source.fault("the file is empty. Choose a file with a header and rows.")
    if size > limits.decoded_bytes:
        raise source.fault(
            f"it holds {size_text(size)}, and at most {size_text(limits.decoded_bytes)} can be read. Split it."
        )
    table = _open(source, asked, encoding, delimiter)
    if not table.is_checked and next(table.rows(), None) is None:
        table.warn("The file has a header but no rows.")
    return table


def fingerprint(path: Path | str) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    regular_file(Path(path))
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(source: Source, asked: str | None, encoding: str | None, delimiter: str | None) -> Table:
    packed = packed_type(source)
    said = FILE_SUFFIXES.get(source.path.suffix.lower())
    _refuse_mismatch(source, asked or (said if packed is None else None), packed)
    if packed == "parquet":
        return open_parquet(source)
    if packed == "xlsx":
        return open_xlsx(source)
    codec, warnings = find_encoding(source, encoding)
    kind = asked or text_type(source, codec)
    if kind == "json":
        table = open_json_document(source, codec)
    elif kind == "jsonl":
        table = open_json_lines(source, codec)
    else:
        wanted = "\t" if asked == "tsv" and delimiter is None else delimiter
        table = open_delimited(source, codec, wanted, is_tsv=kind == "tsv")
    table.warnings[:0] = warnings
    return table


def _refuse_mismatch(source: Source, asked: str | None, packed: str | None) -> None:
    """Text cannot be read as a packed format, nor one packed format as anything else."""
    if asked is None or asked == packed or not {asked, packed} & PACKED_TYPES.keys():
        return
    found = PACKED_TYPES.get(packed or "")
    expected = PACKED_TYPES.get(asked, f"{asked.upper()} text")
    sentence = f"this is {found}, not {expected}" if found else f"this is not {expected}"
    raise source.fault(f"{sentence}. Choose its real file type.")
