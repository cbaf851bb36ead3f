"""llama.cpp's own HTTP server, from the xllamacpp wheel, with the tiny test model. The one engine here that is real.

`with llama_server() as server:` gives `server.base_url` and `server.origin`. What a test may meet there: any model name
is taken; json_schema is enforced, and cut off by max_tokens like any text; `n` and logprobs work; a prompt past the
context is a 400; `/health`, `/props` and `/metrics` answer; with `embed` it is a server for embeddings.
"""

import argparse
import sys
import threading
from pathlib import Path

from tests.servers.process import ServerProcess

TINY_MODEL = Path(__file__).parents[1] / "data" / "tiny-synth-f16.gguf"


def llama_server(
    model: Path = TINY_MODEL, *, context: int = 2048, slots: int = 4, embed: bool = False, key: str | None = None
) -> ServerProcess:
    """A server in its own process; `context` tokens are shared by the `slots` that work at the same time."""
    arguments: list[str | Path] = ["--model", model, "--context", str(context), "--slots", str(slots)]
    arguments += ["--embed"] if embed else []
    arguments += ["--key", key] if key else []
    return ServerProcess("tests.servers.llama_server", *arguments)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.llama_server", description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=str(TINY_MODEL))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--embed", action="store_true")
    parser.add_argument("--key")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input closes")
    options = parser.parse_args()

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.n_ctx = options.context
    params.n_parallel = options.slots
    # More threads only spin on a machine that runs other tests as well.
    params.cpuparams.n_threads = 1
    params.endpoint_metrics = True
    params.verbosity = 0
    params.warmup = False
    if options.key:
        params.api_keys = [options.key]
    if options.embed:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    # Returns once the model is loaded and the port answers, hence the port is only said when it is true.
    server = xllamacpp.Server(params)
    print(server.listening_address.rsplit(":", 1)[1], flush=True)
    if options.until_eof:
        sys.stdin.buffer.read()
    else:
        threading.Event().wait()


if __name__ == "__main__":
    main()
