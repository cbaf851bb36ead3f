"""Bring a database to the newest form of its tables."""

from pathlib import Path

from sqlalchemy import MetaData, inspect, text

from components.pipeline.ledger.database import Database

HERE = Path(__file__).parent / "migrations"
HEAD = "0004"
"""The newest revision in `migrations/versions`."""


def upgrade(
    database: Database,
    scripts: Path = HERE,
    head: str = HEAD,
    version_table: str = "alembic_version",
    newest: MetaData | None = None,
) -> None:
    """Run the migrations that the database lacks; nothing when it is up to date.

    `newest`: the tables as they are now, to make in an empty database without loading Alembic, which takes a while.
    """
    with database.exclusively() as connection:
        if newest is not None and not inspect(connection).get_table_names():
            newest.create_all(connection)
            connection.execute(text(f"CREATE TABLE {version_table} (version_num VARCHAR(32) PRIMARY KEY NOT NULL)"))
            connection.execute(text(f"INSERT INTO {version_table} VALUES (:head)"), {"head": head})
            return
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
