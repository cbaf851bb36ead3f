import sqlite3

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app import tables
from components.pipeline.ledger import Ledger

OURS = {"pipeline", "dataset", "connection", "label", "webhook"}


def is_ours(_item, name, kind, _reflected, _other):
    return kind != "table" or name in OURS


def test_the_migrations_make_the_very_tables_that_the_models_describe(studio):
    with studio.ledger.database.read() as connection:
        options = {"include_object": is_ours, "version_table": "alembic_version_app", "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.metadata) == []
        assert set(context.connection.dialect.get_table_names(connection)) >= OURS


def test_the_newest_revision_is_the_one_that_is_asked_for():
    scripts = ScriptDirectory(str(tables.MIGRATIONS))
    assert scripts.get_current_head() == tables.HEAD


def test_preparing_twice_changes_nothing(studio):
    tables.prepare(studio.ledger)
    with studio.ledger.database.read() as connection:
        assert MigrationContext.configure(
            connection, opts={"version_table": "alembic_version_app"}
        ).get_current_revision() == (tables.HEAD)


def test_an_older_database_of_the_engine_alone_gets_the_tables_of_the_app(tmp_path):
    path = tmp_path / "stillroom.db"
    Ledger(f"sqlite:///{path}").close()
    ledger = Ledger(f"sqlite:///{path}")
    tables.prepare(ledger)
    ledger.close()
    names = {row[0] for row in sqlite3.connect(path).execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names >= OURS
