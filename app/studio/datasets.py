"""Data files that people added: copied to a folder of their own, read once from end to end, never changed."""

import hashlib
import json
import re
import shutil
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import select

from app.settings import Settings
from app.studio.records import Record, Records
from app.tables import DATASET
from components.errors import DataFileError, RunConflict
from components.pipeline.ledger import Ledger
from components.states import LIVE_STATES
from components.steps.load.files import open_table

ASSETS = Path(__file__).resolve().parents[2] / "assets"
SAMPLE = ASSETS / "samples" / "tickets.csv"
CHUNK = 1024 * 1024
LONGEST_NAME = 80
LONGEST_BYTES = 200


@dataclass(frozen=True)
class DatasetInfo:
    """A data file, as a list of files shows it."""

    id: str
    name: str
    path: Path
    filetype: str
    columns: list[str]
    n_rows: int
    bytes: int
    warnings: list[str]
    created_at: float
    encoding: str | None = None
    delimiter: str | None = None
    is_known: bool = False
    """Whether it was here already when it was added."""


@dataclass(frozen=True)
class DatasetPreview:
    """The first rows of a data file."""

    columns: list[str]
    rows: list[dict[str, Any]]
    n_rows: int
    warnings: list[str]


class Datasets:
    """Adds, shows and removes data files."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._records = Records(ledger, DATASET, "d", "dataset")

    def list(self) -> Sequence[DatasetInfo]:
        """All data files, the newest first."""
        return [self._info(record) for record in self._records.all()]

    def get(self, dataset_id: str) -> DatasetInfo:
        """One data file. Raises: NotFound."""
        return self._info(self._records.get(dataset_id))

    def add(self, source: Path | str | BinaryIO, name: str = "") -> DatasetInfo:
        """Copy a file, or what is read from it, and read it once to the end; `name` is the name it came with.

        A file with the same content as one that is here already is not added again: that one is given back.
        Raises: DataFileError naming file, row and column; nothing is kept of a file that cannot be read.
        """
        if isinstance(source, (str, Path)):
            name = name or Path(source).name
            try:
                with open(source, "rb") as file:
                    return self._add(file, name)
            except OSError as error:
                raise DataFileError(f"{name}: the file cannot be opened ({error.strerror}).") from None
        return self._add(source, name)

    def add_sample(self) -> DatasetInfo:
        """The sample tickets; they are added once."""
        with SAMPLE.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return self._known(digest) or self.add(SAMPLE, "Sample tickets.csv")

    def preview(self, dataset_id: str, rows: int = 20) -> DatasetPreview:
        """The first rows. Raises: DataFileError when the file was changed or removed behind our back."""
        info = self.get(dataset_id)
        first = list(islice(self.rows(info), max(0, min(rows, 1000))))
        return DatasetPreview(info.columns, first, info.n_rows, info.warnings)

    def rows(self, info: DatasetInfo) -> Iterator[dict[str, Any]]:
        """Every row of a data file."""
        with _called(info.path, info.name):
            table = open_table(info.path, filetype=info.filetype, encoding=info.encoding, delimiter=info.delimiter)
            yield from table.rows()

    def at(self, path: str | Path) -> DatasetInfo | None:
        """The data file that lives at a path."""
        resolved = Path(path).resolve()
        if not resolved.is_relative_to(self._settings.datasets.resolve()):
            return None
        dataset_id = resolved.relative_to(self._settings.datasets.resolve()).parts[0]
        return next((info for info in self.list() if info.id == dataset_id and info.path.resolve() == resolved), None)

    def delete(self, dataset_id: str) -> None:
        """Remove a data file. Raises: NotFound; RunConflict while a run reads it."""
        info = self.get(dataset_id)
        if self._is_in_use(info):
            raise RunConflict(f"A run reads {info.name} right now. Stop it first.")
        self._records.remove(dataset_id)
        shutil.rmtree(info.path.parent, ignore_errors=True)

    def _add(self, source: BinaryIO, name: str) -> DatasetInfo:
        dataset_id = self._records.new_id()
        folder = self._settings.datasets / dataset_id
        folder.mkdir(parents=True, mode=0o700)
        path = folder / safe_file_name(name)
        try:
            size, digest = self._copy(source, path, name)
            known = self._known(digest)
            if known is not None:
                shutil.rmtree(folder)
                return known
            with _called(path, shown(name)):
                table = open_table(path)
                n_rows = table.count()
            if not n_rows:
                raise DataFileError(f"{shown(name)}: the file has a header but no rows. Add rows, then add it again.")
            record = {
                "id": dataset_id,
                "name": shown(name) or path.name,
                "file": path.name,
                "filetype": table.filetype,
                "encoding": table.encoding,
                "delimiter": table.delimiter,
                "columns": json.dumps(table.columns),
                "warnings": json.dumps(table.warnings),
                "n_rows": n_rows,
                "bytes": size,
                "sha256": digest,
                "owner": "",
                "created_at": time.time(),
            }
            self._records.add(record)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return self._info(record)

    def _known(self, digest: str) -> DatasetInfo | None:
        """The data file with that content, unless somebody removed it behind our back."""
        found = (self._info(record) for record in self._records.all(DATASET.c.sha256 == digest))
        return next((replace(info, is_known=True) for info in found if info.path.is_file()), None)

    def _copy(self, source: BinaryIO, path: Path, name: str) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        with path.open("xb") as target:
            while chunk := source.read(CHUNK):
                size += len(chunk)
                if size > self._settings.max_upload_bytes:
                    raise DataFileError(
                        f"{shown(name)}: the file is larger than {self._settings.max_upload_mb:,} MB, the most that "
                        "can be added. Split it, or raise STILLROOM_MAX_UPLOAD_MB."
                    )
                digest.update(chunk)
                target.write(chunk)
        return size, digest.hexdigest()

    def _is_in_use(self, info: DatasetInfo) -> bool:
        from components.pipeline.ledger.cells import RUN

        states = [str(state) for state in LIVE_STATES]
        query = select(RUN.c.id).where(RUN.c.state.in_(states), RUN.c.spec.contains(info.id, autoescape=True)).limit(1)
        with self._ledger.database.read() as connection:
            return connection.execute(query).first() is not None

    def _info(self, record: Record) -> DatasetInfo:
        return DatasetInfo(
            id=record["id"],
            name=record["name"],
            path=self._settings.datasets / record["id"] / record["file"],
            filetype=record["filetype"],
            columns=json.loads(record["columns"]),
            n_rows=record["n_rows"],
            bytes=record["bytes"],
            warnings=json.loads(record["warnings"]),
            created_at=record["created_at"],
            encoding=record["encoding"],
            delimiter=record["delimiter"],
        )


def safe_file_name(name: str) -> str:
    """A file name of letters and digits of any language, dots and dashes only, whatever the person's was."""
    base = unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2])
    plain = re.sub(r"_+", "_", "".join(sign if _is_plain(sign) else "_" for sign in base)).strip("._")
    stem, dot, suffix = plain.rpartition(".")
    if not dot or not suffix.isascii() or len(suffix) > 10:
        stem, suffix = plain, ""
    stem = _shortened(stem.strip("._")) or "data"
    # A few names are devices on Windows, whatever their ending.
    if re.fullmatch(r"(?i)con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³]", stem.partition(".")[0]):
        stem = f"data_{stem}"
    return f"{stem}.{suffix}" if suffix else stem


def shown(name: str) -> str:
    """A file's name as it may stand on one line."""
    base = unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2])
    return "".join(sign if sign.isprintable() else " " for sign in base).strip()[:200]


def _is_plain(sign: str) -> bool:
    # Some languages write their vowels as marks, which are no letters by themselves.
    return sign in "._-" or sign.isalnum() or unicodedata.category(sign) in ("Mn", "Mc")


def _shortened(stem: str) -> str:
    """What fits into a folder's list, where a sign may take four bytes."""
    return stem[:LONGEST_NAME].encode()[:LONGEST_BYTES].decode(errors="ignore")


@contextmanager
def _called(path: Path, name: str) -> Iterator[None]:
    """Lets errors name a file as the person did, and not as its copy is called."""
    try:
        yield
    except DataFileError as error:
        if not name or name == path.name or not error.message.startswith(path.name):
            raise
        raise DataFileError(name + error.message.removeprefix(path.name)) from error
