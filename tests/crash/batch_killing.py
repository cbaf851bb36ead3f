"""Kill a batch worker at chosen or random points, and hold its ledger against what the provider charged for."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger import Ledger
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.process import ROOT

BAD, BUSY, ABSENT = 7, 11, 13
"""The rows that the provider refuses, refuses once for want of room, and forgets."""
POINTS = (
    "files_written", "planned", "before_upload", "after_upload", "uploaded", "intent", "created", "submitted", "poll",
    "ended", "ingesting", "downloading", "settled", "downloading_errors", "ingested", "closed", "tidied",
)  # fmt: skip
CANCEL_POINTS = ("before_cancel", "canceled", "ended", "settled", "ingested")
EXPIRY_POINTS = ("ended", "ingesting", "settled", "ingested", "closed")


class Workers:
    """Processes that do one job after another; each is told where to die."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.crash.batch_worker"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def run(self, order: dict[str, Any], kill_when: Callable[[], None] | None = None) -> int:
        """Returns the exit code; with `kill_when`, the process is killed as soon as that returns."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        pid = int(self.process.stdout.readline().split()[1])
        if kill_when is not None:
            kill_when()
            os.kill(pid, signal.SIGKILL)
        return int(self.process.stdout.readline().split()[1])


@dataclass
class Verdict:
    """What a series of kills did."""

    kills: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    paid_twice: list[str] = field(default_factory=list)
    batches_twice: dict[str, int] = field(default_factory=dict)
    ingested_twice: list[str] = field(default_factory=list)
    orphans: int = 0
    """Batches at the provider that no job knows of."""
    states: Counter[str] = field(default_factory=Counter)
    integrity: str = ""

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.wrong or self.paid_twice or self.batches_twice) and self.integrity == "ok"


@dataclass
class Trial:
    """Some rows in some shards at one provider, worked on by one process after another."""

    workers: Workers
    server: OpenAIBatchServer
    home: Path
    rows: int = 1200
    shard: int = 400
    cancel: bool = False
    kills: int = 0
    began: float = field(default_factory=time.time)

    def order(self, **more: Any) -> dict[str, Any]:
        return {
            "home": str(self.home), "url": self.server.base_url, "prefix": "a", "rows": self.rows,
            "shard": self.shard, "cancel": self.cancel, "began": self.began, **more,
        }  # fmt: skip

    def troubles(self, **more: Any) -> None:
        """A row that is refused, one that is refused once, and one that is forgotten, beside what else is told."""
        fates = {f"row-ax{BAD}": "400", f"row-ax{BUSY}": ["429"], f"row-ax{ABSENT}": "missing"}
        self.server.batch.change(rows=fates, **more)

    def die_at(self, point: str, nth: int = 1) -> bool:
        """Have a process die there; False where it got to its end without being there."""
        died = self.workers.run(self.order(point=point, nth=nth)) == -signal.SIGKILL
        self.kills += died
        return died

    def die_while(self, method: str, path: str) -> None:
        """Kill a process while it waits for the reply to a call that the provider has taken in."""
        mark = len(self.server.requests)

        def hangs(journal: Any) -> bool:
            calls = journal.requests[mark:]
            return any(one.method == method and one.path == path and one.status is None for one in calls)

        def landed() -> None:
            self.server.journal.wait_until(hangs, 60)
            there = self.server.store.batches if path.endswith("batches") else self.server.store.files
            known = len(there)
            # The call is noted as it comes in; what it asks for is done a moment later.
            self.server.journal.wait_until(lambda _journal: len(there) >= max(1, known), 60)

        assert self.workers.run(self.order(), kill_when=landed) == -signal.SIGKILL
        self.kills += 1

    def finish(self) -> Verdict:
        """Work to the end without a kill, and hold everything up against everything else."""
        assert self.workers.run(self.order()) == 0
        found = json.loads((self.home / "found.json").read_text())
        verdict = Verdict(kills=self.kills, states=Counter(state for state, _, _ in found.values()))
        verdict.lost = [str(at) for at in range(self.rows) if f"{at:08d}" not in found]
        for row, (state, text, _) in found.items():
            name = f"row-ax{int(row)}"
            if (state == "ok") != (text == f"echo: {name}"):
                verdict.wrong.append(name)
            if self.server.paid(name) > 1:
                verdict.paid_twice.append(name)
        verdict.batches_twice = {tag: count for tag, count in self.bill().items() if count > 1}
        self._look_into_ledger(verdict)
        return verdict

    def bill(self) -> Counter[str]:
        """Batches that cost money, by the job they were made for."""
        return Counter((batch.metadata or {})["stillroom_job"] for batch in self.server.batches if batch.on_the_bill)

    def _look_into_ledger(self, verdict: Verdict) -> None:
        ledger = Ledger(f"sqlite:///{self.home}/stillroom.db")
        store = BatchStore(ledger)
        ids = {job.remote_id for job in store.jobs()}
        verdict.orphans = sum(batch.on_the_bill and batch.id not in ids for batch in self.server.batches)
        for job in store.jobs():
            if sum(event.kind == "closed" for event in store.events(job.key)) != 1:
                verdict.ingested_twice.append(job.key)
        with ledger.database.read() as connection:
            verdict.integrity = str(connection.exec_driver_sql("PRAGMA integrity_check").scalar_one())
        ledger.close()


def random_deaths(trial: Trial, chance: random.Random, most: int) -> None:
    """Kill again and again, each time after a random number of points."""
    for _ in range(chance.randint(2, most)):
        if not trial.die_at("any", chance.randint(1, 40)):
            return
