"""Where the artifacts of runs are: a folder for each run, beside the database."""

import shutil
from pathlib import Path

from components.home import home
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.database import sqlite_path
from components.steps.artifacts import UNFINISHED


def folder_of_run(ledger: Ledger, run_id: str) -> Path:
    """Where the artifacts of a run are, if it has any."""
    database = sqlite_path(ledger.database.url)
    return (home() if database is None else database.parent) / "artifacts" / run_id


def of_run(ledger: Ledger, run_id: str) -> Path | None:
    """The folder of a run's artifacts; None where it made none."""
    folder = folder_of_run(ledger, run_id)
    return folder if folder.is_dir() else None


def remove(ledger: Ledger, run_id: str) -> None:
    """Forget the artifacts of a run."""
    shutil.rmtree(folder_of_run(ledger, run_id), ignore_errors=True)


def copy(folder: Path, target: Path) -> None:
    """Copy the artifacts of a run, without those that were never completed; links are left out."""
    shutil.copytree(folder, target, dirs_exist_ok=True, symlinks=True, ignore=_unfinished_and_links)


def _unfinished_and_links(folder: str, names: list[str]) -> set[str]:
    # A link may lead anywhere on this machine, and artifacts are made to be shared.
    return {name for name in names if name.startswith(UNFINISHED) or (Path(folder) / name).is_symlink()}
