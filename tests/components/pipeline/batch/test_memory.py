"""A batch passes through the ledger a few rows at a time, however large its files are."""

import json
import subprocess
import sys

from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.behavior import Behavior
from tests.servers.process import ROOT

LARGE = 190_000_000
MOST = 80_000_000
ROWS = 1_900


def test_190_mb_sent_and_190_mb_ingested_take_less_than_80_mb_of_memory(tmp_path):
    behavior = Behavior(reply=lambda _call: "ok")
    with OpenAIBatchServer(behavior=behavior, polls_until_done=1, output_bytes=LARGE) as server:
        arguments = [server.base_url, str(tmp_path), str(ROWS), str(LARGE // ROWS)]
        command = [sys.executable, "-m", "tests.components.pipeline.batch.measure", *arguments]
        found = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout)
        sent = server.batches[0]
    assert sent.total == ROWS and found["answered"] == ROWS and found["shards"] == 1
    assert (tmp_path / "ledger.db").stat().st_size > 0.9 * LARGE
    assert found["grown"] < MOST, found
