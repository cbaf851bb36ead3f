"""OpenAI's batch API on loopback, or one of those like it, with the online routes beside it.

    with OpenAIBatchServer(dialect="groq", polls_until_done=3, rows={"row-7": "429"}) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="sk-1")

    python -m tests.servers.batch.openai_batch_server --dialect mistral --folder state --log calls.jsonl \\
        --final expired --done-when-stopped 2 --on-create '["land_hang"]'

What goes wrong is in `behavior.py`; the answers are the online server's (`reply`, echo, schemas). A batch is paid for
from the moment it lands: `server.on_the_bill()` counts batches by tag, `server.paid(tag)` answered rows.
"""

from typing import Any

from tests.servers.batch.batches import BatchesProvider
from tests.servers.batch.command import parser_of, serve
from tests.servers.batch.mistral import MistralProvider
from tests.servers.batch.openai_family import AzureProvider, DeploymentRoutes, DoublewordProvider, GroqProvider
from tests.servers.batch.openai_provider import OpenAIProvider
from tests.servers.batch.openrouter import OpenRouterProvider
from tests.servers.batch.server import BatchServer
from tests.servers.batch.together import TogetherProvider
from tests.servers.batch.xai import XAIProvider
from tests.servers.chat_routes import ChatRoutes

DIALECTS: dict[str, type[BatchesProvider]] = {
    "openai": OpenAIProvider,
    "azure": AzureProvider,
    "groq": GroqProvider,
    "doubleword": DoublewordProvider,
    "together": TogetherProvider,
    "mistral": MistralProvider,
    "xai": XAIProvider,
    "openrouter": OpenRouterProvider,
}


class OpenAIBatchServer(BatchServer):
    """`dialect` is one of DIALECTS; `base_url` has the provider's own prefix."""

    def __init__(self, *arguments: Any, dialect: str = "openai", **settings: Any) -> None:
        self.dialect = dialect
        self.provider_class = DIALECTS[dialect]
        self.chat_class = DeploymentRoutes if dialect == "azure" else ChatRoutes
        super().__init__(*arguments, **settings)


if __name__ == "__main__":
    command = parser_of("tests.servers.batch.openai_batch_server", "OpenAI's batch API, or one like it.")
    command.add_argument("--dialect", choices=sorted(DIALECTS), default="openai")
    serve(OpenAIBatchServer, command)
