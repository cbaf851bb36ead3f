"""What kind of file it is, told by its content before its name."""

import re
import zipfile

from components.errors import ConfigError, did_you_mean
from components.steps.load.files.source import Source
from components.steps.load.files.text_encoding import open_text

FILE_TYPES = ("csv", "tsv", "xlsx", "json", "jsonl", "parquet")
"""The types that can be read; `ndjson` is taken for `jsonl`."""
FILE_SUFFIXES = {f".{filetype}": filetype for filetype in FILE_TYPES} | {".ndjson": "jsonl"}
"""The file type by the end of a file's name."""
PACKED_TYPES = {"xlsx": "an Excel workbook", "parquet": "a Parquet file"}

_ALIASES = {"ndjson": "jsonl"}
_HEAD = 2**12
_FOREIGN = (
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook, or one with a password. Save it as XLSX without a password"),
    (b"%PDF", "a PDF document. Copy its data into a CSV file"),
    (b"\x1f\x8b", "compressed with gzip. Unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd. Unpack it first"),
    (b"BZh", "compressed with bzip2. Unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive. Unpack it first"),
    (b"\x89PNG", "a picture. Choose a file with rows"),
    (b"\xff\xd8\xff", "a picture. Choose a file with rows"),
    (b"ARROW1", "an Arrow file. Save it as Parquet"),
    (b"FEA1", "a Feather file. Save it as Parquet"),
    (b"SQLite format 3", "a SQLite database. Export its table as CSV"),
    (b"\x93NUMPY", "a NumPy array. Save it as CSV or Parquet"),
    (b"version https://git-lfs", "a Git LFS pointer, not the data. Run: git lfs pull"),
)
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml)", re.IGNORECASE)
_JSON_OBJECT = re.compile(r"\s*\{\s*(?:[\"}]|$)")
_JSON_LIST = re.compile(r"\s*\[\s*(?:[\[{\"\]\d-]|$)")


def checked_filetype(filetype: str | None) -> str | None:
    """The file type that a caller asked for; raises ConfigError for one there is not."""
    if filetype is None:
        return None
    name = filetype.lower().removeprefix(".")
    name = _ALIASES.get(name, name)
    if name not in FILE_TYPES:
        raise ConfigError(
            f"There is no file type '{filetype}'. Use one of {', '.join(FILE_TYPES)}.{did_you_mean(name, FILE_TYPES)}"
        )
    return name


def packed_type(source: Source) -> str | None:
    """`xlsx` or `parquet` when the content is; None for text. Raises DataFileError for anything else."""
    with source.path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith((b"PAR1", b"PARE")):
        return "parquet"
    if head.startswith(b"PK"):
        return _kind_of_zip(source)
    for magic, kind in _FOREIGN:
        if head.startswith(magic):
            raise source.fault(f"this is {kind}.")
    if _PAGE.match(head):
        raise source.fault("this is a web page or XML, not a table. Download the data itself.")
    return None


def text_type(source: Source, encoding: str) -> str:
    """`csv`, `tsv`, `json` or `jsonl` for a text file."""
    said = FILE_SUFFIXES.get(source.path.suffix.lower(), "")
    with open_text(source, encoding) as file:
        start = file.read(_HEAD)
        while start and not start.strip():
            start = file.read(_HEAD)
    is_list, is_object = bool(_JSON_LIST.match(start)), bool(_JSON_OBJECT.match(start))
    if said in ("csv", "tsv") and not is_object and not re.match(r"\s*\[\s*\{", start):
        return said
    if is_list:
        return "json"
    if is_object:
        return "jsonl" if _is_closed_on_its_line(source, encoding) else "json"
    return said or "csv"


def _kind_of_zip(source: Source) -> str:
    try:
        with zipfile.ZipFile(source.path) as package:
            names = set(package.namelist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise source.fault("this is a damaged zip file or workbook. Get the whole file again.") from error
    if "xl/workbook.bin" in names:
        raise source.fault("this is a binary workbook (XLSB). Save it as XLSX.")
    if "[Content_Types].xml" in names and any(name.startswith("xl/") for name in names):
        return "xlsx"
    if "mimetype" in names and "content.xml" in names:
        raise source.fault("this is an OpenDocument file. Save it as XLSX or CSV.")
    if "word/document.xml" in names:
        raise source.fault("this is a Word document. Copy its table into a CSV file.")
    raise source.fault("this is a zip archive. Unpack it and choose a file in it.")


def _is_closed_on_its_line(source: Source, encoding: str) -> bool:
    """Whether the first line that is not blank ends its object, as in JSON Lines."""
    limit = source.limits.row_bytes
    with open_text(source, encoding) as file:
        while line := file.readline(limit):
            if text := line.strip():
                return text.endswith("}")
    return False
