"""Providers that speak OpenAI's language at an address of their own."""

import os
from typing import Any, ClassVar
from urllib.parse import quote

from components.component import Incidental, RuntimeParameter
from components.llms.batch.choice import azure_batch
from components.llms.batch.protocol import BatchProvider
from components.llms.batch.quirks import AZURE_DATED, QUIRKS
from components.llms.openai import OpenAILLM


class AzureOpenAILLM(OpenAILLM):
    """A deployment at Azure OpenAI; the model is the deployment's name."""

    preset_id: ClassVar[str] = "azure"
    source: ClassVar[str] = "https://learn.microsoft.com/azure/ai-services/openai/reference"

    api_version: Incidental[RuntimeParameter[str]] = None
    """The dated API, such as 2024-10-21, else OPENAI_API_VERSION in the environment, else the undated one."""

    async def _send(self, path: str, body: dict[str, Any]) -> Any:
        below, version = self._place
        if version:
            path = f"/deployments/{quote(self.model, safe='')}{path}?api-version={quote(version, safe='')}"
        return await super()._send(below + path, body)

    def batch_provider(self) -> BatchProvider:
        below, version = self._place
        return azure_batch(self, below, version, AZURE_DATED if version else QUIRKS["azure"])

    @property
    def _place(self) -> tuple[str, str]:
        """What stands between the address and a path, and the version of the dated API where that is used."""
        root = self.endpoint.site.url
        below = "" if root.endswith("/openai") or "/openai/" in root else "/openai"
        version = self.api_version or os.environ.get("OPENAI_API_VERSION") or ""
        return (below if version or "/openai/" in root else f"{below}/v1"), version


class GroqLLM(OpenAILLM):
    """A model at Groq."""

    preset_id: ClassVar[str] = "groq"
    source: ClassVar[str] = "https://console.groq.com/docs"


class MistralLLM(OpenAILLM):
    """A model at Mistral."""

    preset_id: ClassVar[str] = "mistral"
    source: ClassVar[str] = "https://docs.mistral.ai/api"


class TogetherLLM(OpenAILLM):
    """A model at Together AI."""

    preset_id: ClassVar[str] = "together"
    source: ClassVar[str] = "https://docs.together.ai/reference"


class OpenRouterLLM(OpenAILLM):
    """A model through OpenRouter."""

    preset_id: ClassVar[str] = "openrouter"
    source: ClassVar[str] = "https://openrouter.ai/docs"


class XAILLM(OpenAILLM):
    """A model at xAI."""

    preset_id: ClassVar[str] = "xai"
    source: ClassVar[str] = "https://docs.x.ai"
