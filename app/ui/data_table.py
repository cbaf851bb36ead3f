"""The first rows of a data file, as the script data_table.js shows them."""

from typing import Any

from app.studio import Studio

LONGEST = 400


def table_of(studio: Studio, dataset_id: str, rows: int = 20) -> dict[str, Any]:
    """Columns, rows and warnings of a file. Raises: NotFound; DataFileError when it was changed behind our back."""
    preview = studio.datasets.preview(dataset_id, rows)
    return {
        "columns": preview.columns,
        "rows": [[_short(row.get(name)) for name in preview.columns] for row in preview.rows],
        "n_rows": preview.n_rows,
        "warnings": preview.warnings,
    }


def _short(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else repr(value) if isinstance(value, (bytes, bytearray)) else str(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
