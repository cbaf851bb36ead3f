"""Chat completions over raw bytes: as little work a request as Python allows; the client is to be measured."""

import asyncio
import json
import re
import resource
import time
from collections import deque

CONTENT = (
    "The customer writes that the export stops after the first page and asks for a way to get the whole table at once. "
    "The tone is calm, the request is clear, and the account is on the yearly plan, so this is best handled by the "
    "product team, with a short reply today that names the known limit and the date of the fix."
)
ROW = re.compile(rb"row-\d{1,9}")
NO_ROW = b"no-row"


class Answers:
    """Every answer is `<row-N> <content>`, with the first row-N of the request, `latency` seconds after it was read."""

    def __init__(self, latency: float, content: str = CONTENT, *, bare: bool = False) -> None:
        self.latency = latency
        self.requests = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self._waiting: deque[tuple[float, asyncio.Transport, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._bare = bare
        body = {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1_760_000_000,
            "model": "bench",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content if bare else f"@ROW {content}"},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 60, "completion_tokens": 70, "total_tokens": 130},
        }
        self._before, _, self._after = json.dumps(body).encode().partition(b"@ROW")
        self._length = len(self._before) + len(self._after)

    def ask(self, transport: asyncio.Transport, request: bytes) -> None:
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        reply = self.reply(request)
        if not self.latency:
            self.send(transport, reply)
            return
        # The latency is the same for all, so they fall due in order and one timer serves the whole queue.
        due = self._loop.time() + self.latency
        self._waiting.append((due, transport, reply))
        if len(self._waiting) == 1:
            self._loop.call_at(due, self.send_due)

    def send_due(self) -> None:
        now = self._loop.time()
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            _, transport, reply = waiting.popleft()
            self.send(transport, reply)
        if waiting:
            self._loop.call_at(waiting[0][0], self.send_due)

    def send(self, transport: asyncio.Transport, reply: bytes) -> None:
        self.in_flight -= 1
        if not transport.is_closing():
            transport.write(reply)

    def reply(self, request: bytes) -> bytes:
        if self._bare:
            row = b""
        else:
            found = ROW.search(request)
            row = found.group() if found else NO_ROW
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return b"".join((head % (self._length + len(row)), self._before, row, self._after))

    def stats(self) -> bytes:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return json.dumps(
            {
                "requests": self.requests,
                "max_in_flight": self.max_in_flight,
                "cpu": used.ru_utime + used.ru_stime,
                "at": time.monotonic(),
            }
        ).encode()


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests may be pipelined, bodies need a Content-Length."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data if self.buffer else data
        while (head_end := buffer.find(b"\r\n\r\n")) != -1:
            head = buffer[:head_end].lower()
            end = head_end + 4
            at = head.find(b"\r\ncontent-length:")
            if at != -1:
                end += int(head[at + 17 :].split(b"\r\n", 1)[0])
            elif b"\r\ntransfer-encoding:" in head:
                self.fail(b"411 Length Required")
                return
            if len(buffer) < end:
                break
            if head.startswith(b"post"):
                self.answers.ask(self.transport, buffer[:end])
            elif b"/__stats" in head:
                self.write(self.answers.stats())
            else:
                self.write(b'{"object": "list", "data": [{"id": "bench", "object": "model"}]}')
            buffer = buffer[end:]
        self.buffer = buffer

    def write(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)

    def fail(self, status: bytes) -> None:
        self.transport.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        self.transport.close()
