"""Why rows of a batch have no answer, line by line: in the provider's own words where it gave any."""

from collections.abc import Iterator
from pathlib import Path

import orjson
from sqlalchemy import select

from app.studio.batch_facts import WITHOUT_ANSWER
from components.llms.batch.result_files import result_file
from components.pipeline.batch import BatchStore
from components.pipeline.batch.planning import custom_id
from components.pipeline.batch.store import REQUEST
from components.pipeline.ledger.tables import BatchJob

TOLD = ("row", "state", "attempt", "http_status", "code", "message")


def error_lines(store: BatchStore, job: BatchJob) -> Iterator[bytes]:
    """The lines of the provider's error file as they came, then one for each row that stands in none of them."""
    told: set[str] = set()
    for file in _error_files(store, job):
        yield from _as_they_came(file, told)
    columns = [REQUEST.c[name] for name in ("idx", "part", *TOLD)]
    states = [str(state) for state in WITHOUT_ANSWER]
    query = select(*columns).where(REQUEST.c.job_key == job.key, REQUEST.c.state.in_(states))
    with store.ledger.database.read() as connection:
        for row in connection.execute(query.order_by(REQUEST.c.idx, REQUEST.c.part)).mappings():
            name = custom_id(job.key, row["idx"], row["part"])
            if name not in told:
                yield orjson.dumps({"custom_id": name, **{one: row[one] for one in TOLD}}) + b"\n"


def _error_files(store: BatchStore, job: BatchJob) -> list[Path]:
    """What was fetched of the job's results, beside its answers."""
    if not job.remote_id:
        return []
    answers = result_file(store.folder, job.remote_id, "output")
    every = answers.parent.glob(result_file(store.folder, job.remote_id, "*").name)
    return sorted(file for file in every if file != answers)


def _as_they_came(file: Path, told: set[str]) -> Iterator[bytes]:
    with open(file, "rb") as handle:
        for line in handle:
            try:
                told.add(str(orjson.loads(line)["custom_id"]))
            except (ValueError, KeyError, TypeError):
                # A line that names no row is shown all the same.
                told.discard("")
            yield line if line.endswith(b"\n") else line + b"\n"
