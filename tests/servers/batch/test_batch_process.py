import re
from pathlib import Path

import openai
import pytest

from tests.servers.batch.clients import ended, http_client, openai_client, submit, text_of
from tests.servers.batch.sample_input import jsonl, openai_lines, rows_of
from tests.servers.journal import read_log
from tests.servers.process import ServerProcess

MODULE = "tests.servers.batch.openai_batch_server"
MEGABYTE = 1 << 20


def peak_memory(process):
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("peak memory is read from /proc")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text()).group(1)) * 1024


def test_files_batches_and_the_log_outlive_a_killed_server(tmp_path):
    log, folder = tmp_path / "calls.jsonl", tmp_path / "state"
    flags = ("--folder", folder, "--log", log, "--rows", '{"row-1": "429"}', "--on-create", '["land_hang"]')
    with ServerProcess(MODULE, *flags) as server:
        client = openai_client(server, timeout=0.5)
        with pytest.raises(openai.APITimeoutError):
            submit(client, openai_lines(3), metadata={"job": "abc"})
        server.process.kill()
    with ServerProcess(MODULE, *flags[:-2], "--tag-key", "job") as server:
        client = openai_client(server)
        found = client.batches.list().data[0]
        assert found.metadata == {"job": "abc"}
        done = ended(client, found)
        assert set(rows_of(text_of(client, done.output_file_id))) == {"job1-0", "job1-2"}
        assert http_client(server).get(f"{server.origin}/__batches").json()["on_the_bill"] == {"job1": 1}
        server.process.kill()
    lines = read_log(log)
    creates = [(line["path"], line["status"]) for line in lines if line["method"] == "POST" and "batch" in line["path"]]
    assert creates == [("/v1/batches", None)]
    rows = {line["body"]["custom_id"]: (line["tag"], line["status"], line["billed"]) for line in lines if line["tag"]}
    assert rows == {
        "job1-0": ("row-0", 200, True),
        "job1-1": ("row-1", 429, False),
        "job1-2": ("row-2", 200, True),
    }


def test_another_process_may_change_how_it_behaves():
    with ServerProcess(MODULE, "--polls-until-done", "5", "--final", "expired") as server:
        client = openai_client(server)
        batch = submit(client, openai_lines(1))
        plain, url = http_client(server), f"{server.origin}/__behavior"
        assert plain.post(url, json={"polls_until_done": 1, "final": "completed"}).status_code == 200
        assert client.batches.retrieve(batch.id).status == "completed"
        refused = plain.post(url, json={"final": "never"})
        assert refused.status_code == 400 and "expired" in refused.json()["error"]


def test_large_files_do_not_sit_in_memory(tmp_path):
    path = tmp_path / "in.jsonl"
    line = jsonl(openai_lines(1, padding="x" * MEGABYTE))
    with path.open("wb") as file:
        for number in range(50):
            file.write(line.replace(b"job1-0", b"job1-%d" % number))
    with ServerProcess(MODULE, "--output-bytes", str(50 * MEGABYTE)) as server:
        client = openai_client(server, timeout=60)
        submit(client, openai_lines(1))
        before = peak_memory(server.process)
        with path.open("rb") as file:
            uploaded = client.files.create(file=file, purpose="batch")
        assert uploaded.bytes == path.stat().st_size
        batch = client.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        done = ended(client, batch)
        received = 0
        with client.files.with_streaming_response.content(done.output_file_id) as response:
            for piece in response.iter_bytes():
                received += len(piece)
        assert received == client.files.retrieve(done.output_file_id).bytes
        assert 49 * MEGABYTE < received <= 50 * MEGABYTE
        assert peak_memory(server.process) - before < 30 * MEGABYTE
