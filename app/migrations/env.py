"""How Alembic reaches the app's tables: over the connection that asked for the upgrade."""

from typing import Any

from alembic import context

from app.tables import metadata


def is_ours(_item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
    """Whether a table is the app's own; the engine's has migrations of its own."""
    return kind != "table" or name in OURS


OURS = {table.name for table in metadata.sorted_tables} - {"run"}

config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=metadata,
    version_table=config.attributes["version_table"],
    include_object=is_ours,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
