"""How the letters of a text file are stored: said by its first bytes, by the caller, or worked out."""

import codecs
import io
from dataclasses import dataclass
from typing import TextIO

from components.errors import ConfigError
from components.steps.load.files.source import Source

_CHUNK = 2**20
_SAMPLE = 2**16
# The longer mark comes first: the one of UTF-32 begins with the one of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GUESSABLE = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256"),
    *("koi8_r", "cp932", "euc_jp", "gb18030", "big5", "cp949"),
]
# Python calls these encodings too, but they are notations inside ASCII text.
_NOTATIONS = {"utf-7", "unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined"}


@dataclass(frozen=True)
class _BadByte:
    line: int
    offset: int
    value: int


def find_encoding(source: Source, encoding: str | None) -> tuple[str, list[str]]:
    """The codec that reads all of the file, and warnings.

    Raises: ConfigError for an unknown encoding; DataFileError naming the line that cannot be read.
    """
    if encoding is not None:
        codec = _codec_name(encoding)
        _refuse_bad_byte(source, codec)
        return codec, []
    with source.path.open("rb") as file:
        head = file.read(4096)
    marked = next((codec for mark, codec in _BYTE_ORDER_MARKS if head.startswith(mark)), None)
    if certain := marked or _unmarked_utf16(head):
        _refuse_bad_byte(source, certain)
        return certain, []
    if bad := _first_bad_byte(source, "utf-8"):
        return _guess(source, bad)
    return "utf-8", []


def open_text(source: Source, encoding: str) -> TextIO:
    """The file as text, its line ends untouched and its byte order mark skipped."""
    file = source.path.open(encoding=encoding, newline="")
    if file.read(1) != "\ufeff":
        file.seek(0)
    return file


def _codec_name(encoding: str) -> str:
    try:
        "a".encode(encoding)
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        name = "undefined"
    if name in _NOTATIONS:
        raise ConfigError(f"There is no text encoding {encoding!r}. Use a name such as utf-8, cp1252 or utf-16.")
    return name


def _unmarked_utf16(head: bytes) -> str | None:
    """Mostly ASCII text in UTF-16 has a zero in every second byte, and text in no other encoding has."""
    pairs = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if pairs < 2 or max(even, odd) < 0.4 * pairs or min(even, odd) > 0.05 * pairs:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _first_bad_byte(source: Source, codec: str) -> _BadByte | None:
    """Where the file stops being text in this encoding; raises DataFileError at a NUL character."""
    decoder = codecs.getincrementaldecoder(codec)()
    text_decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
    line, offset = 1, 0
    with source.path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            try:
                text = text_decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                held_back = len(error.object) - len(chunk)
                good = error.object[: error.start].decode(codec, "replace")
                return _BadByte(line + _line_breaks(good), offset - held_back + error.start, error.object[error.start])
            nul = text.find("\0")
            if nul >= 0:
                raise source.fault(
                    "there is a NUL character. This is not a text file, or it was damaged: save it again as text.",
                    f"line {line + _line_breaks(text[:nul])}",
                )
            if not chunk:
                return None
            line += text.count("\n")
            offset += len(chunk)


def _line_breaks(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _refuse_bad_byte(source: Source, codec: str) -> None:
    if bad := _first_bad_byte(source, codec):
        raise source.fault(
            f"byte 0x{bad.value:02X} is not {codec} text. Choose another encoding, or save the file as UTF-8.",
            f"line {bad.line}",
        )


def _guess(source: Source, bad: _BadByte) -> tuple[str, list[str]]:
    with source.path.open("rb") as file:
        file.seek(max(0, bad.offset - _SAMPLE // 4))
        sample = file.read(_SAMPLE)
    if 0 in sample:
        raise source.fault("this is not a text file. Choose a CSV, TSV, XLSX, JSON, JSONL or Parquet file.")
    as_utf8 = sample.decode("utf-8", "replace")
    n_bad = as_utf8.count("\ufffd")
    n_good = sum(character > "\x7f" for character in as_utf8) - n_bad
    if n_good > n_bad:
        raise source.fault(
            f"byte 0x{bad.value:02X} is not UTF-8 text, though the rest seems to be. "
            "Save the file as UTF-8, or choose its encoding.",
            f"line {bad.line}",
        )
    likely = _likely_codec(sample)
    # The five bytes that cp1252 leaves open are control characters in latin-1.
    for codec in (likely, "latin-1") if likely == "cp1252" else (likely,):
        if codec and _first_bad_byte(source, codec) is None:
            return codec, [f"The file is not UTF-8; it is read as {codec}. If letters look wrong, choose its encoding."]
    raise source.fault("its encoding is not known. Save the file as UTF-8.")


def _likely_codec(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    matches = from_bytes(sample, cp_isolation=_GUESSABLE)
    best = matches.best()
    if best is None:
        return None
    # Short Western texts fit many code pages equally well; the one that Windows writes is by far the likeliest.
    for match in (twin for found in matches for twin in (found, *found.submatch)):
        if match.encoding == "cp1252" and match.chaos <= best.chaos and match.coherence >= best.coherence - 0.01:
            return "cp1252"
    return best.encoding
