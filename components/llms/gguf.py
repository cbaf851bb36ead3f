"""Model files in the GGUF format: on this machine, or fetched from the Hugging Face Hub."""

import logging
import re
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from components.errors import ConfigError
from components.llms.hub import hub_endpoint, on_hub

logger = logging.getLogger("stillroom.llm")

MAGIC = b"GGUF"
PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
Progress = Callable[[int, int], None]
"""Told the bytes that are there and the bytes of all."""


def checked_gguf(path: str | Path) -> Path:
    """The file, if it is a model. Raises: ConfigError."""
    file = Path(path).expanduser()
    try:
        with file.open("rb") as opened:
            magic = opened.read(len(MAGIC))
    except OSError as error:
        raise ConfigError(f"The model file {file} cannot be read: {error.strerror}.") from None
    if magic != MAGIC:
        raise ConfigError(f"The file {file} is no GGUF model.")
    return file


def gguf_files(repo_id: str, revision: str | None = None, token: str | None = None) -> dict[str, int]:
    """The model files of a repository on the Hub with their sizes in bytes. Blocks."""
    from huggingface_hub import HfApi

    info = on_hub(
        repo_id,
        lambda: HfApi(endpoint=hub_endpoint(), token=token).model_info(repo_id, revision=revision, files_metadata=True),
    )
    found = info.siblings or []
    return {one.rfilename: one.size or 0 for one in found if one.rfilename.endswith(".gguf")}


def fetch_gguf(
    repo_id: str,
    filename: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """The model file from the Hub's cache on this machine, downloaded when it is not there yet. Blocks.

    `filename` may hold `*`, as in `*Q4_K_M.gguf`, if one file fits; a model in parts is fetched whole.
    """
    names = [filename]
    sizes: dict[str, int] = {}
    if "*" in filename or PART.search(filename) or on_progress is not None:
        sizes = gguf_files(repo_id, revision, token)
        names = _chosen(repo_id, filename, list(sizes))
    total, done = sum(sizes.get(name, 0) for name in names), 0
    paths = []
    for name in names:
        paths.append(_download(repo_id, name, revision, token, _from(done, total, on_progress)))
        done += sizes.get(name, 0)
        if on_progress is not None:
            on_progress(done, total)
    return checked_gguf(paths[0])


def log_progress(name: str) -> Progress:
    """Progress as a log line at every tenth."""
    told = -1

    def report(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // total if total else 0
        if tenth > told:
            told = tenth
            logger.info("Downloading %s: %d %% of %.1f GB", name, tenth * 10, total / 1e9)

    return report


def _chosen(repo_id: str, filename: str, names: list[str]) -> list[str]:
    fitting = sorted(name for name in names if fnmatch(name, filename))
    parts = [name for name in fitting if PART.search(name)]
    if parts:
        stems = {PART.sub("", name) for name in parts}
        if len(stems) == 1 and len(parts) == len(fitting):
            return sorted(name for name in names if PART.search(name) and PART.sub("", name) in stems)
    if len(fitting) == 1:
        return fitting
    choice = ", ".join(fitting or sorted(names)) or "none"
    what = "more than one file fits" if fitting else "no file fits"
    raise ConfigError(f"In {repo_id}, {what} '{filename}'. Its model files: {choice}.")


def _download(repo_id: str, name: str, revision: str | None, token: str | None, report: Progress | None) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(
        on_hub(
            repo_id,
            lambda: hf_hub_download(
                repo_id,
                name,
                revision=revision,
                token=token,
                endpoint=hub_endpoint(),
                tqdm_class=_bar(report),
            ),
        )
    )


def _from(before: int, total: int, on_progress: Progress | None) -> Progress | None:
    if on_progress is None:
        return None
    report = on_progress
    return lambda done, _: report(before + done, total)


def _bar(report: Progress | None) -> Any:
    """A progress bar that draws nothing and reports."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread to watch a bar that nobody sees

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.done = int(kwargs.get("initial") or 0)
            self.all = int(kwargs.get("total") or 0)
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self.done += int(n or 0)
            if report is not None:
                report(self.done, self.all)
            return None

    return Bar
