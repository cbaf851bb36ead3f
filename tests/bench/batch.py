"""A child process that sends one batch of many rows, waits for it and reads every answer, and prints what it took.

python -m tests.bench.batch http://127.0.0.1:4000/v1 50000
"""

import json
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

QUESTION = "Classify the ticket as bug, billing, question or praise and say why in one sentence: the export stops "
PAUSE = 0.2


def main(base_url: str, rows: int) -> None:
    from components.llms import OpenAILLM
    from components.pipeline.batch.matching import Want
    from components.pipeline.batch.offline import Batches
    from components.pipeline.batch.states import FINISHED
    from components.pipeline.ledger import Ledger

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        llm = OpenAILLM(model="bench", base_url=base_url, api_key="sk-1", use_offline_batch_generation=True)
        batches = Batches(ledger, llm)
        wants = [Want(f"{at:08d}", f"key-{at}", partial(prompt, at), at) for at in range(rows)]
        marks = [seconds()]
        handed = batches.hand_in(wants, 1, {})
        marks.append(seconds())
        while any(job.state not in FINISHED for job in batches.jobs(handed.sets)):
            batches.advance(handed.sets)
            time.sleep(PAUSE)
        marks.append(seconds())
        ok = 0
        for chunk in batches.answers(handed, 1):
            for row, found in chunk:
                ok += found.output is not None and found.output["generations"] == [f"echo: {text(int(row))}"]
        marks.append(seconds())
        shards = len(batches.jobs(handed.sets))
        ledger.close()
    figures = {
        "ok": ok,
        "shards": shards,
        "plan": marks[1] - marks[0],
        "ingest": marks[2] - marks[1],
        "read": marks[3] - marks[2],
        "cpu": seconds(),
        "peak_mb": peak_mb(),
    }
    print(json.dumps(figures))


def text(at: int) -> str:
    return f"row-{at} {QUESTION}{at}"


def prompt(at: int) -> Any:
    return [{"role": "user", "content": text(at)}]


def seconds() -> float:
    """CPU seconds of this process so far, its imports included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    # What getrusage says is never less than what the parent had when it forked.
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
