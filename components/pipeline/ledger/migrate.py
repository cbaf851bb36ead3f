"""Bring a database to the newest form of its tables."""

from pathlib import Path

from sqlalchemy import inspect, text

from components.pipeline.ledger.database import Database

HERE = Path(__file__).parent / "migrations"
HEAD = "0003"
"""The newest revision in `migrations/versions`."""


def upgrade(database: Database, scripts: Path = HERE, head: str = HEAD, version_table: str = "alembic_version") -> None:
    """Run the migrations that the database lacks; nothing when it is up to date."""
    with database.exclusively() as connection:
        if version_table in inspect(connection).get_table_names():
            found = connection.execute(text(f"SELECT version_num FROM {version_table}")).scalar()
            if found == head:
                return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(scripts))
        config.attributes["connection"] = connection
        config.attributes["version_table"] = version_table
        command.upgrade(config, "head")
