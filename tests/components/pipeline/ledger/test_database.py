"""The database: one writer, durable commits, migrations."""

import os
import sqlite3
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from components.errors import LedgerError
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.database import Database
from components.pipeline.ledger.migrate import HEAD, HERE, upgrade
from components.pipeline.ledger.tables import metadata


def url(path):
    return f"sqlite:///{path}"


def test_a_write_is_on_disk_in_wal_mode_with_full_sync(tmp_path):
    database = Database(url(tmp_path / "a.db"))
    with database.exclusively() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        connection.exec_driver_sql("CREATE TABLE t (x)")
    database.write(lambda connection: connection.exec_driver_sql("INSERT INTO t VALUES (1)"))
    with sqlite3.connect(tmp_path / "a.db") as other:
        assert other.execute("SELECT x FROM t").fetchall() == [(1,)]
    database.close()


def test_readers_cannot_write(tmp_path):
    ledger = Ledger(url(tmp_path / "a.db"))
    with pytest.raises(LedgerError, match="readonly"), ledger.database.read() as connection:
        connection.exec_driver_sql("DELETE FROM run")
    ledger.close()


def test_one_bad_write_does_not_take_its_neighbors_down(tmp_path):
    database = Database(url(tmp_path / "a.db"))
    with database.exclusively() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x PRIMARY KEY)")
    values = [1, 2, 2, 3]
    futures = [
        database.submit(lambda connection, value=value: connection.exec_driver_sql(f"INSERT INTO t VALUES ({value})"))
        for value in values
    ]
    outcomes = [future.exception() is None for future in futures]
    assert outcomes == [True, True, False, True]
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 3
    database.close()


def test_writers_of_two_processes_take_turns(tmp_path):
    path = tmp_path / "a.db"
    Ledger(url(path)).close()
    script = (
        "import sys; from components.pipeline.ledger import Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "for n in range(60): ledger.create_run({'name': sys.argv[2], 'state': 'queued', 'spec': '{}'}, [])\n"
        "ledger.close()"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, url(path), name], env=os.environ | {"PYTHONPATH": os.getcwd()})
        for name in ("one", "two")
    ]
    assert [process.wait() for process in processes] == [0, 0]
    ledger = Ledger(url(path))
    assert len(ledger.runs(limit=1000)) == 120
    with ledger.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    ledger.close()


def test_a_database_in_memory_is_refused():
    with pytest.raises(LedgerError, match="would lose paid answers"):
        Database("sqlite://")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"Cannot make the folder for .*file/x/a.db"):
        Database(url(tmp_path / "file" / "x" / "a.db"))


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "a.db").write_text("not a database, only text" * 100)
    with pytest.raises(LedgerError, match=r"a\.db"):
        Ledger(url(tmp_path / "a.db"))


def test_migrations_make_just_the_tables_of_the_models(tmp_path):
    database = Database(url(tmp_path / "a.db"))
    upgrade(database)
    database.close()
    engine = sa.create_engine(url(tmp_path / "a.db"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    config = Config()
    config.set_main_option("script_location", str(HERE))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_new_database_has_the_same_tables_as_a_migrated_one(tmp_path):
    database = Database(url(tmp_path / "a.db"))
    upgrade(database)
    database.close()
    Ledger(url(tmp_path / "b.db")).close()

    def tables(name):
        inspector = sa.inspect(sa.create_engine(url(tmp_path / name)))
        return {
            table: (
                sorted((one["name"], str(one["type"]), one["nullable"]) for one in inspector.get_columns(table)),
                inspector.get_pk_constraint(table)["constrained_columns"],
                sorted(index["name"] for index in inspector.get_indexes(table)),
            )
            for table in inspector.get_table_names()
        }

    assert tables("a.db") == tables("b.db")
    ledger = Ledger(url(tmp_path / "b.db"))
    with ledger.database.read() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD
    ledger.close()


def test_many_threads_may_write_at_once(tmp_path):
    ledger = Ledger(url(tmp_path / "a.db"))
    run_id = ledger.create_run({"name": "x", "state": "queued", "spec": "{}"}, [])
    threads = [threading.Thread(target=lambda: [ledger.note(run_id, "n") for _ in range(25)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([event for event in ledger.events(run_id) if event.kind == "n"]) == 200
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.note(run_id, "late")


def test_a_write_that_somebody_no_longer_waits_for_does_not_end_the_writer(tmp_path):
    database = Database(url(tmp_path / "a.db"))
    may_go = threading.Event()
    first = database.submit(lambda _connection: may_go.wait(20))
    given_up = database.submit(lambda connection: connection.exec_driver_sql("CREATE TABLE t (x)") and None)
    given_up.cancel()
    may_go.set()
    assert first.result(20)
    assert database.submit(lambda _connection: "written").result(20) == "written"
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
    database.close()
