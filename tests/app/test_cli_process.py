"""`stillroom` as a process of its own: what it imports, signals, terminals, and runs of other processes."""

import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

from tests.app.command import ROOT, answer, process, stillroom
from tests.app.conftest import until
from tests.app.pipelines import asking, model

ROWS = 400


@pytest.fixture(autouse=True)
def home(monkeypatch, settings):
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))
    return settings.home


@pytest.fixture
def long_pipeline(tmp_path, server):
    """A pipeline that takes a while."""
    server.behavior.latency_ms = 100
    asking([f"row-{n}" for n in range(ROWS)], model(server)).save(tmp_path / "long.yaml")
    return tmp_path / "long.yaml"


def test_only_serving_imports_gradio_and_only_working_the_database(tmp_path):
    asking(["one"]).save(tmp_path / "p.yaml")
    code = (
        "import sys\n"
        "from tests.app.command import stillroom\n"
        "assert stillroom('--help').exit_code == 0\n"
        "assert not {'gradio', 'fastapi', 'sqlalchemy', 'pydantic'} & set(sys.modules)\n"
        "assert stillroom('components').exit_code == 0\n"
        "assert not {'gradio', 'fastapi', 'sqlalchemy'} & set(sys.modules)\n"
        f"assert stillroom('run', {str(tmp_path / 'p.yaml')!r}, '--out', {str(tmp_path / 'o.csv')!r}).exit_code == 0\n"
        "assert not {'gradio', 'fastapi'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run_cleanly_and_says_how_to_go_on(long_pipeline, server, number):
    running = process("run", long_pipeline, "--concurrency", "8")
    until(lambda: len(server.requests) > 8)
    running.send_signal(number)
    told, noted = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "Stopping. This waits a few seconds" in noted
    assert "Traceback" not in noted
    (run,) = answer("runs")["runs"]
    assert (run["state"], run["state_reason"]) == ("stopped", "Stopped from the keyboard.")
    assert f"Go on with: stillroom continue {run['id'][:10]}" in told
    asked = len(server.requests)
    assert asked < ROWS
    server.behavior.latency_ms = 0
    assert answer("continue", run["id"])["steps"][-1]["ok"] == ROWS
    assert len(server.requests) == ROWS


def test_a_run_of_another_process_is_stopped(long_pipeline, server):
    running = process("run", long_pipeline, "--json", "--concurrency", "4")
    until(lambda: len(server.requests) > 8)
    (run,) = answer("runs")["runs"]
    refused = stillroom("continue", run["id"])
    assert (refused.exit_code, refused.stderr) == (1, "This run is under way already.\n")
    done = stillroom("stop", run["id"])
    assert done.exit_code == 0
    assert "is stopped" in done.stdout
    told, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert json.loads(told)["state"] == "stopped"


@pytest.mark.crash
def test_a_killed_run_is_gone_on_with_and_nothing_is_asked_twice_but_what_was_in_flight(long_pipeline, server):
    running = process("run", long_pipeline, "--concurrency", "8")
    until(lambda: len(server.requests) > 40)
    running.kill()
    running.communicate(timeout=60)
    (run,) = answer("runs")["runs"]
    server.behavior.latency_ms = 0
    found = answer("continue", run["id"])
    assert (found["state"], found["rows_total"]) == ("done", ROWS)
    assert ROWS <= len(server.requests) <= ROWS + 8


def test_a_terminal_gets_bars_and_a_log_gets_lines(tmp_path):
    asking(["one", "two"]).save(tmp_path / "p.yaml")
    ours, theirs = pty.openpty()
    running = process("run", tmp_path / "p.yaml", stderr=theirs)
    os.close(theirs)
    told, _ = running.communicate(timeout=60)
    seen = b""
    while chunk := _read(ours):
        seen += chunk
    os.close(ours)
    bars = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
    assert "2/2" in bars
    assert "━" in bars
    assert "is done: 2 rows" in told
    log = stillroom("run", tmp_path / "p.yaml").stderr
    assert "answer: 2 rows" in log
    assert "━" not in log


def _read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:
        # A terminal that nobody holds any more ends so on Linux.
        return b""


def test_results_go_to_standard_output_even_when_it_is_closed_early(tmp_path):
    asking(["one"]).save(tmp_path / "p.yaml")
    stillroom("run", tmp_path / "p.yaml")
    running = process("runs", "--json")
    running.stdout.close()
    noted = running.stderr.read()
    running.wait(timeout=60)
    assert "Traceback" not in noted


def test_serve_takes_its_address_and_home_from_its_options(monkeypatch, tmp_path):
    # That a process serves is proved with the command of the image.
    served = []
    monkeypatch.setattr("app.server.serve", served.append)
    assert stillroom("serve", "--host", "0.0.0.0", "--port", 8000, "--home", tmp_path / "other").exit_code == 0
    assert stillroom("serve").exit_code == 0
    assert [(one.host, one.port, one.home) for one in served] == [
        ("0.0.0.0", 8000, tmp_path / "other"),
        ("127.0.0.1", 7860, tmp_path / "home"),
    ]


@pytest.mark.parametrize(("flag", "value"), [("--port", "99999"), ("--host", "")])
def test_serve_refuses_settings_that_are_wrong_in_one_sentence(flag, value):
    done = stillroom("serve", flag, value)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{flag}: ")
    assert len(done.stderr.splitlines()) == 1
