"""Kill a worker at random moments, again and again, and hold the ledger against what the provider charged for."""

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from components.pipeline.ledger import Ledger
from components.pipeline.ledger.results import Results
from tests.crash.worker import CONCURRENCY
from tests.servers.process import ROOT, ServerProcess

SETTLED_SECONDS = 0.3


@dataclass
class Report:
    """What a series of kills did."""

    kills: int = 0
    kills_at_work: int = 0
    lost: int = 0
    wrong: int = 0
    duplicated: int = 0
    paid: int = 0
    paid_again: list[int] = field(default_factory=list)
    integrity: str = ""
    slowest_resume: float = 0.0
    """Seconds from the start of a process to its first new answer in the ledger."""
    seconds: float = 0.0


def kill_often(folder: Path, *, rows: int, kills: int, seed: int, latency_ms: int = 10) -> Report:
    """Work through `rows` rows and three steps, with 20 % of calls failing, and `kills` times SIGKILL on the way."""
    chance, report, began = random.Random(seed), Report(), time.monotonic()
    database, log = f"sqlite:///{folder / 'ledger.db'}", folder / "calls.jsonl"
    server = ServerProcess(
        "tests.servers.openai_server", "--latency-ms", latency_ms, "--fault-rate", "0.2", "--seed", seed, "--log", log
    )
    with server:
        command = [sys.executable, "-m", "tests.crash.worker", database, server.base_url, str(rows)]
        paid_before, target = 0, 3 * rows
        while True:
            started, before = time.monotonic(), cells(folder)
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            if report.kills < kills:
                # Spread over the whole run: each kill comes after about the same share of the work.
                goal = before + max(1, int(chance.uniform(0.2, 1.8) * target / (kills + 1)))
                while process.poll() is None and cells(folder) < min(goal, target):
                    if cells(folder) > before:
                        report.slowest_resume = max(report.slowest_resume, time.monotonic() - started)
                        before = target
                    time.sleep(0.005)
                report.kills_at_work += process.poll() is None
                process.kill()
                process.wait()
                report.kills += 1
                quiet(log)
                paid, kept = charged(log), cells(folder)
                report.paid_again.append(sum(paid.values()) - kept - paid_before)
                paid_before = sum(paid.values()) - kept
            else:
                process.wait()
                break
    report.seconds = time.monotonic() - began
    _hold_up(folder, database, log, rows, report)
    return report


def cells(folder: Path) -> int:
    """How many paid cells are committed."""
    try:
        with sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True, timeout=5) as connection:
            query = "SELECT coalesce(sum(ok), 0) FROM step_run WHERE kind = 'task'"
            return int(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def quiet(log: Path) -> None:
    """Returns once the server has answered what it took in: what it charges for late belongs to this kill."""
    size, since = -1, time.monotonic()
    while time.monotonic() - since < SETTLED_SECONDS:
        if (now := log.stat().st_size) != size:
            size, since = now, time.monotonic()
        time.sleep(0.01)


def charged(log: Path) -> Counter[tuple[str, str]]:
    """How often each question was charged for, by model and question."""
    calls: Counter[tuple[str, str]] = Counter()
    for line in log.read_text().splitlines():
        record = json.loads(line)
        if record["billed"]:
            calls[record["body"]["model"], record["tag"]] += 1
    return calls


def _hold_up(folder: Path, database: str, log: Path, rows: int, report: Report) -> None:
    ledger = Ledger(database)
    run = ledger.runs()[0]
    edges = [("rows", "first"), ("first", "review"), ("review", "second")]
    results = list(Results(ledger, run.id, "second", edges).all())
    report.lost = rows - len({result.row for result in results if result.state == "ok"})
    report.wrong = sum(
        result.values.get("last") != f"echo: echo: echo: q{position}" for position, result in enumerate(results)
    )
    with ledger.database.read() as connection:
        twice = "SELECT count(*) FROM (SELECT 1 FROM cell GROUP BY run_id, step, row HAVING count(*) > 1)"
        report.duplicated = int(connection.exec_driver_sql(twice).scalar_one())
        report.integrity = str(connection.exec_driver_sql("PRAGMA integrity_check").scalar_one())
    report.paid = sum(charged(log).values())
    ledger.close()


def most_again() -> int:
    """The most that may be paid again for one kill: the calls in flight."""
    return CONCURRENCY
