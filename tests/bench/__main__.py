"""`make bench`: what Stillroom costs beside a bare asyncio client, measured in the same run, written to docs/."""

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.server.client import run_apart
from tests.bench.server.fast_server import FastServer

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs" / "performance.md"
LATENCY_MS = 200
IN_FLIGHT = 256
SIZES = (1_000, 10_000, 50_000)


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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--print-only", action="store_true", help="leave docs/performance.md as it is")
    options = parser.parse_args()
    lines = [
        "| Rows | Ideal s | Bare client s | Stillroom s | Share of ideal | Bare CPU ms/row | Stillroom CPU ms/row "
        "| Ratio | Peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    with FastServer(latency_ms=LATENCY_MS) as server:
        for rows in options.sizes:
            bare = run_apart(server.base_url, rows, IN_FLIGHT)
            ours = stillroom(server.base_url, rows)
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
    if not options.print_only:
        REPORT.write_text(report(lines, startup), encoding="utf-8")


def report(lines: list[str], startup: str) -> str:
    template = REPORT.read_text(encoding="utf-8") if REPORT.exists() else ""
    before, _, rest = template.partition("<!-- bench -->\n")
    _, _, after = rest.partition("<!-- /bench -->\n")
    machine = (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}. {IN_FLIGHT} calls in flight, {LATENCY_MS} ms latency."
    )
    body = "\n".join([machine, "", *lines, "", startup, ""])
    return f"{before}<!-- bench -->\n{body}<!-- /bench -->\n{after}"


if __name__ == "__main__":
    main()
