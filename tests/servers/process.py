"""A server of ours as a process of its own: started, ready when it says its port, gone when the test is."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]


class ServerProcess:
    """`with ServerProcess("tests.servers.openai_server", "--latency-ms", "50") as server:` gives `server.base_url`."""

    def __init__(self, module: str, *arguments: str | Path) -> None:
        self.command = [sys.executable, "-m", module, *map(str, arguments), "--until-eof"]
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server is not running"
        return self.process.pid

    def start(self) -> Self:
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not said.strip().isdigit():
            self.process.kill()
            raise RuntimeError(f"{' '.join(self.command)} ended with {self.process.wait()} before it said a port")
        self.port = int(said)
        return self

    def stop(self) -> None:
        if self.process is None:
            return
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
