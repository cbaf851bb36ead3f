"""`python -m tests.bench.server --latency-ms 200` prints its port and answers until it is interrupted."""

import argparse
import asyncio
import contextlib
import gc
import sys
import threading

from tests.bench.server.answerer import CONTENT, Answers, Connection


async def serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    answers = Answers(options.latency_ms / 1000, options.content or CONTENT, bare=options.content is not None)
    server = await loop.create_server(lambda: Connection(answers), "127.0.0.1", options.port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    if options.until_eof:
        threading.Thread(target=wait_for_eof, args=(loop, ended), daemon=True).start()
    # Nothing here makes cycles; a collection would only be a pause in someone's measurement.
    gc.disable()
    await ended.wait()
    server.close()


def wait_for_eof(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    sys.stdin.buffer.read()
    loop.call_soon_threadsafe(ended.set)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=200.0)
    parser.add_argument("--content", help="answer exactly this, without the row it was asked for")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input closes")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
