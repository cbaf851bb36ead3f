"""A process of its own that sends and ingests a large batch, and says how much memory that took, in bytes.

python -m tests.components.pipeline.batch.measure http://127.0.0.1:9/v1 FOLDER ROWS BYTES_OF_EACH_PROMPT
"""

import json
import sys
from functools import partial

from components.llms import OpenAILLM
from components.pipeline.batch.matching import Want
from components.pipeline.batch.offline import Batches
from components.pipeline.batch.states import FINISHED
from components.pipeline.ledger import Ledger
from tests.components.llms.batch.measure import begin, peak


def prompt(at: int, size: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"row-{at} " + "x" * size}]


def main(url: str, folder: str, rows: int, size: int) -> dict[str, int]:
    ledger = Ledger(f"sqlite:///{folder}/ledger.db")
    llm = OpenAILLM(model="m", base_url=url, api_key="sk-1", use_offline_batch_generation=True)
    batches = Batches(ledger, llm)
    wants = [Want(f"{at:08d}", f"key-{at}", partial(prompt, at, size), at) for at in range(rows)]
    before = begin()
    handed = batches.hand_in(wants, 1, {})
    while any(job.state not in FINISHED for job in batches.jobs(handed.sets)):
        batches.advance(handed.sets)
    answered = sum(found.output is not None for chunk in batches.answers(handed, 1) for _, found in chunk)
    grown = peak() - before
    return {"grown": grown, "answered": answered, "shards": len(batches.jobs(handed.sets))}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:3], *map(int, sys.argv[3:]))))
