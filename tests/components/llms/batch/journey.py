"""The way of a batch through a provider, step by step, as the ledger goes it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.llms import (
    XAILLM,
    AnthropicLLM,
    AzureOpenAILLM,
    GeminiLLM,
    GroqLLM,
    MistralLLM,
    OpenAILLM,
    OpenRouterLLM,
    TogetherLLM,
)
from components.llms.batch.protocol import BatchLine, Remote, UnreadableLine
from tests.servers.batch.anthropic_batch_server import AnthropicBatchServer
from tests.servers.batch.gemini_batch_server import GeminiBatchServer
from tests.servers.batch.openai_batch_server import OpenAIBatchServer

KEY = "sk-canary-4f1e9d7c2b"
CLASSES = {
    "openai": OpenAILLM,
    "groq": GroqLLM,
    "doubleword": OpenAILLM,
    "mistral": MistralLLM,
    "together": TogetherLLM,
    "xai": XAILLM,
    "openrouter": OpenRouterLLM,
    "azure": AzureOpenAILLM,
    "anthropic": AnthropicLLM,
    "gemini": GeminiLLM,
}
DIALECTS = ("openai", "groq", "doubleword", "mistral", "together", "xai", "openrouter", "azure")
EVERY = (*DIALECTS, "anthropic", "gemini")


def server_for(provider: str, **settings: Any) -> Any:
    """A server that plays a provider, on a free port."""
    if provider == "anthropic":
        return AnthropicBatchServer(**settings)
    if provider == "gemini":
        return GeminiBatchServer(**settings)
    return OpenAIBatchServer(dialect=provider, **settings)


def model_at(server: Any, provider: str, **settings: Any) -> Any:
    """A model of the provider's own class, at the server that plays it."""
    url = server.origin if provider == "azure" else server.base_url
    return CLASSES[provider](model="model-1", base_url=url, api_key=KEY, **settings)


@dataclass
class Journey:
    """One batch of `row-0`, `row-1` and so on."""

    llm: Any
    folder: Path
    tag: str = "0123456789abcdef"
    count: int = 3
    generations: int = 1
    kwargs: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    ref: str = ""

    def __post_init__(self) -> None:
        self.provider = self.llm.batch_provider()
        self.file = self.folder / f"{self.tag}.jsonl"

    def write(self, texts: list[str] | None = None) -> Path:
        """The input file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.file, "wb") as handle:
            for idx, text in enumerate(texts or [f"row-{idx} hello" for idx in range(self.count)]):
                messages = [{"role": "user", "content": text}]
                requests = self.llm.batch_requests(messages, self.generations, self.kwargs)
                for part, (self.path, body) in enumerate(requests):
                    name = f"{self.tag}-{idx}" + (f"-{part}" if part else "")
                    handle.write(self.provider.line(name, self.path, body))
        return self.file

    def upload(self) -> str:
        """The input file at the provider."""
        self.ref = self.provider.upload(self.write(), f"stillroom-{self.tag}.jsonl")
        return self.ref

    def create(self) -> Remote:
        """The batch, made."""
        return self.provider.create(
            self.ref, file=self.file, tag=self.tag, model=self.llm.model_name, path=self.path,
            n=self.count, window=self.provider.caps.windows[0],
        )  # fmt: skip

    def start(self) -> Remote:
        """The batch, from nothing."""
        self.upload()
        return self.create()

    def ended(self, remote: Remote) -> Remote:
        """The batch, polled to its end."""
        for _ in range(20):
            if remote.has_ended:
                return remote
            remote = self.provider.get(remote.id)
        raise AssertionError(f"the batch does not end: {remote}")

    def lines(self, remote: Remote) -> list[BatchLine | UnreadableLine]:
        """Everything in the results."""
        return list(self.provider.results(remote, self.folder))

    def rows(self, remote: Remote) -> dict[str, BatchLine]:
        """The results by the end of their names: the number of the row, and of the part where there is one."""
        return {
            line.custom_id.removeprefix(f"{self.tag}-"): line
            for line in self.lines(remote)
            if isinstance(line, BatchLine)
        }

    def finish(self) -> dict[str, BatchLine]:
        """The results, from nothing."""
        return self.rows(self.ended(self.start()))

    def text(self, *lines: BatchLine) -> list[str | None]:
        """What the answers say."""
        return self.llm.batch_output([line.body for line in lines], self.generations)["generations"]
