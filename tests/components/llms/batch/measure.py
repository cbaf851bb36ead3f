"""A process of its own that sends a large file or reads large results, and says how much memory that took.

python -m tests.components.llms.batch.measure openai http://127.0.0.1:9/v1 upload FILE
python -m tests.components.llms.batch.measure openai http://127.0.0.1:9/v1 results FOLDER BATCH_ID
"""

import gc
import json
import sys
from pathlib import Path

import psutil

from components.errors import ProviderError
from components.llms.batch.protocol import BatchLine
from tests.components.llms.batch.journey import CLASSES, KEY


def begin() -> int:
    """Bytes in memory now; from here on the peak is counted anew."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return psutil.Process().memory_info().rss


def peak() -> int:
    """The most bytes in memory since then. What getrusage says counts the parent in."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main(name: str, url: str, action: str, place: str, batch_id: str = "") -> dict[str, int]:
    provider = CLASSES[name](model="model-1", base_url=url, api_key=KEY).batch_provider()
    try:
        # Whatever a first call reads in, such as certificates, is not what a large file takes.
        provider.get("batches/none" if name == "gemini" else "none")
    except ProviderError:
        before = begin()
    count = size = 0
    if action == "upload":
        ref = provider.upload(Path(place), "large.jsonl")
        if not ref:
            provider.create(ref, file=Path(place), tag="large", model="m", path="/chat/completions", n=1, window="24h")
    else:
        remote = provider.get(batch_id)
        for line in provider.results(remote, Path(place)):
            count += isinstance(line, BatchLine) and line.is_ok
            size += len(str(line.body)) if isinstance(line, BatchLine) else 0
    return {"grown": peak() - before, "lines": count, "size": size}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
