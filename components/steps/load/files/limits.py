"""How much of a file is accepted, so that a small hostile file cannot fill the memory."""

from dataclasses import dataclass

_MIB = 2**20


@dataclass(frozen=True)
class FileLimits:
    """What a data file may hold; a file with more is refused with a sentence that names the limit."""

    decoded_bytes: int = 1024 * _MIB
    """All of the file, unpacked."""
    columns: int = 1_000
    row_bytes: int = 6 * _MIB
    cell_bytes: int = 4 * _MIB
    json_depth: int = 64
    rows: int | None = 5_000_000
    """None for no limit."""


DEFAULT_LIMITS = FileLimits()


def size_text(n_bytes: float) -> str:
    """A size for a person, such as `4 MB`."""
    for unit, size in (("GB", 2**30), ("MB", 2**20), ("kB", 2**10)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}" if n_bytes < 1000 * size else f"{n_bytes / size:,.0f} {unit}"
    return f"{n_bytes:.0f} bytes"
