"""`make bench`: what Stillroom costs beside a bare asyncio client, measured in the same run, written to docs/."""

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.server.client import run_apart
from tests.bench.server.fast_server import FastServer
from tests.servers.process import ServerProcess

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs" / "performance.md"
LATENCY_MS = 200
IN_FLIGHT = 256
SIZES = (1_000, 10_000, 50_000)
BATCH_ROWS = 50_000
TRIES = {1_000: 3, 10_000: 3}
"""Runs of a size of which the quickest is shown, as what else a machine does can only add; other sizes run once."""


def stillroom(base_url: str, rows: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.pipeline", base_url, str(rows), str(IN_FLIGHT)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(finished.stdout.splitlines()[-1])
    assert figures["ok"] == rows, figures
    return figures


def first_request(base_url: str) -> float:
    """Seconds from the start of a process to its first request at the server, the best of three."""
    seconds = []
    for _ in range(3):
        began = time.time()
        stillroom(base_url, 1)
        with FastServer(latency_ms=0) as server:
            began = time.time()
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.pipeline", server.base_url, "1", "1"], cwd=ROOT,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            while not server.stats().requests and process.poll() is None:
                time.sleep(0.005)
            seconds.append(time.time() - began)
            process.wait()
    return min(seconds)


def batches() -> list[str]:
    """One batch of as many requests as a provider takes at once, against a batch server in another process."""
    table = [
        "| Rows | Planning CPU s | Submitting and ingesting CPU s | Reading back CPU s | In all CPU s | Peak MB |",
        "|---|---|---|---|---|---|",
    ]
    with ServerProcess("tests.servers.batch.openai_batch_server", "--polls-until-done", "2") as server:
        command = [sys.executable, "-m", "tests.bench.batch", server.base_url, str(BATCH_ROWS)]
        finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(finished.stdout.splitlines()[-1])
    assert figures["ok"] == BATCH_ROWS and figures["shards"] == 1, figures
    table.append(
        f"| {BATCH_ROWS:,} | {figures['plan']:.1f} | {figures['ingest']:.1f} | {figures['read']:.1f} | "
        f"{figures['cpu']:.1f} | {figures['peak_mb']:.0f} |"
    )
    print(table[-1], flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--print-only", action="store_true", help="leave docs/performance.md as it is")
    parser.add_argument("--only", choices=("runs", "batches"), help="measure only these")
    options = parser.parse_args()
    if options.only != "batches":
        keep(
            options,
            "bench",
            runs(options.sizes),
            f"{IN_FLIGHT} calls in flight, {LATENCY_MS} ms latency. Up to 10,000 rows the best of three runs.",
        )
    if options.only != "runs":
        keep(options, "batches", batches(), "Plan writes the input file; the process's CPU counts its imports too.")


def runs(sizes: Sequence[int]) -> list[str]:
    lines = [
        "| Rows | Ideal s | Bare client s | Stillroom s | Share of ideal | Bare CPU ms/row | Stillroom CPU ms/row "
        "| Ratio | Peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    with FastServer(latency_ms=LATENCY_MS) as server:
        for rows in sizes:
            tries = range(TRIES.get(rows, 1))
            bare = min((run_apart(server.base_url, rows, IN_FLIGHT) for _ in tries), key=lambda one: one.wall)
            ours = min((stillroom(server.base_url, rows) for _ in tries), key=lambda one: one["wall"])
            ideal = rows * LATENCY_MS / 1000 / IN_FLIGHT
            bare_cpu, our_cpu = bare.cpu / rows * 1000, ours["cpu"] / rows * 1000
            line = (
                f"| {rows:,} | {ideal:.1f} | {bare.wall:.1f} | {ours['wall']:.1f} | {ideal / ours['wall']:.0%} | "
                f"{bare_cpu:.2f} | {our_cpu:.2f} | {our_cpu / bare_cpu:.1f} | {ours['peak_mb']:.0f} |"
            )
            lines.append(line)
            print(line, flush=True)
        startup = f"First request {first_request(server.base_url):.2f} s after the process starts (best of three)."
    print(startup)
    return [*lines, "", startup]


def keep(options: argparse.Namespace, name: str, lines: list[str], about: str) -> None:
    """Put figures between their marks in the report; what else stands there is left alone."""
    if options.print_only:
        return
    text = REPORT.read_text(encoding="utf-8") if REPORT.exists() else ""
    before, mark, rest = text.partition(f"<!-- {name} -->\n")
    if not mark:
        raise SystemExit(f"{REPORT} has no mark <!-- {name} -->, so there is no place for the figures.")
    _, _, after = rest.partition(f"<!-- /{name} -->\n")
    machine = (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}. {about}"
    )
    body = "\n".join([machine, "", *lines, ""])
    REPORT.write_text(f"{before}{mark}{body}<!-- /{name} -->\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
