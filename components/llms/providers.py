"""The providers that are known by name, as one table: where they are, where their key is, what they take."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from components.vault import is_loopback, origin


@dataclass(frozen=True)
class Preset:
    """What is known of a provider before it is asked."""

    id: str
    title: str
    base_url: str = ""
    env_key: str = ""
    env_base_url: str = ""
    key_page: str = ""
    """Where a person gets a key."""
    price_id: str = ""
    """Its name in the price list; empty where the list has no such provider."""
    auth_header: str = "Authorization"
    headers: tuple[tuple[str, str], ...] = ()
    """Headers that every call needs."""
    max_tokens_field: str = "max_tokens"
    seed_field: str = "seed"
    dimensions_field: str = "dimensions"
    has_n: bool = True
    """Answers several generations in one call."""
    has_logprobs: bool = True
    has_json_schema: bool = True
    has_json_object: bool = True
    has_embeddings: bool = False
    has_model_list: bool = True
    models_path: str = "/models"
    cost_field: str = ""
    """What its count of tokens calls the cost of a call, where it tells that."""
    cost_unit: float = 1.0
    """US dollars in one of what `cost_field` counts."""
    port: int | None = None
    """Where it listens when it runs on this machine."""
    notes: str = ""

    @property
    def is_local(self) -> bool:
        """Runs on the person's own machine."""
        return self.port is not None

    def cost_of(self, usage: Any) -> float | None:
        """US dollars that the provider says a call did cost; None where it does not say."""
        if not self.cost_field or not isinstance(usage, Mapping):
            return None
        told = usage.get(self.cost_field)
        # With a key of one's own at the provider behind it, that one charges too.
        if usage.get("is_byok") or isinstance(told, bool) or not isinstance(told, (int, float)):
            return None
        return told * self.cost_unit if 0 <= told < math.inf else None


PRESETS: dict[str, Preset] = {
    preset.id: preset
    for preset in (
        Preset(
            "openai",
            "OpenAI",
            "https://api.openai.com/v1",
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "https://platform.openai.com/api-keys",
            "openai",
            has_embeddings=True,
        ),
        Preset(
            "anthropic",
            "Anthropic",
            "https://api.anthropic.com/v1",
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_BASE_URL",
            "https://console.anthropic.com/settings/keys",
            "anthropic",
            auth_header="x-api-key",
            headers=(("anthropic-version", "2023-06-01"),),
            has_n=False,
            has_logprobs=False,
            models_path="/models?limit=1000",
            notes="In place of JSON mode, a tool holds the answer to its form.",
        ),
        Preset(
            "gemini",
            "Google Gemini",
            "https://generativelanguage.googleapis.com/v1beta",
            "GEMINI_API_KEY",
            "GEMINI_BASE_URL",
            "https://aistudio.google.com/apikey",
            "google",
            auth_header="x-goog-api-key",
            has_n=False,
            has_embeddings=True,
            models_path="/models?pageSize=1000",
        ),
        Preset(
            "gemini_openai",
            "Google Gemini (OpenAI layer)",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "GEMINI_API_KEY",
            "",
            "https://aistudio.google.com/apikey",
            "google",
            has_n=False,
            has_logprobs=False,
            has_embeddings=True,
            notes="Model ids in the list begin with models/.",
        ),
        Preset(
            "azure",
            "Azure OpenAI",
            "",
            "AZURE_OPENAI_API_KEY",
            "AZURE_OPENAI_ENDPOINT",
            "https://portal.azure.com",
            "azure",
            auth_header="api-key",
            has_embeddings=True,
            notes="The model is the name of your deployment.",
        ),
        Preset(
            "huggingface",
            "Hugging Face",
            "https://router.huggingface.co/v1",
            "HF_TOKEN",
            "HF_INFERENCE_BASE_URL",
            "https://huggingface.co/settings/tokens",
            has_n=False,
            notes="A model may name its provider, as in org/model:groq, or :fastest or :cheapest.",
        ),
        Preset(
            "groq",
            "Groq",
            "https://api.groq.com/openai/v1",
            "GROQ_API_KEY",
            "GROQ_BASE_URL",
            "https://console.groq.com/keys",
            "groq",
            has_n=False,
            has_logprobs=False,
        ),
        Preset(
            "mistral",
            "Mistral",
            "https://api.mistral.ai/v1",
            "MISTRAL_API_KEY",
            "MISTRAL_BASE_URL",
            "https://console.mistral.ai/api-keys",
            "mistral",
            seed_field="random_seed",
            dimensions_field="output_dimension",
            has_logprobs=False,
            has_embeddings=True,
        ),
        Preset(
            "together",
            "Together AI",
            "https://api.together.xyz/v1",
            "TOGETHER_API_KEY",
            "TOGETHER_BASE_URL",
            "https://api.together.ai/settings/api-keys",
            "together",
            has_embeddings=True,
        ),
        Preset(
            "doubleword",
            "Doubleword",
            "https://api.doubleword.ai/v1",
            "DOUBLEWORD_API_KEY",
            "DOUBLEWORD_BASE_URL",
            "https://app.doubleword.ai",
            has_embeddings=True,
        ),
        Preset(
            "openrouter",
            "OpenRouter",
            "https://openrouter.ai/api/v1",
            "OPENROUTER_API_KEY",
            "OPENROUTER_BASE_URL",
            "https://openrouter.ai/settings/keys",
            "openrouter",
            has_n=False,
            has_embeddings=True,
            cost_field="cost",
        ),
        Preset(
            "xai",
            "xAI",
            "https://api.x.ai/v1",
            "XAI_API_KEY",
            "XAI_BASE_URL",
            "https://console.x.ai",
            "x-ai",
            cost_field="cost_in_usd_ticks",
            cost_unit=1e-10,
        ),
        Preset(
            "deepseek",
            "DeepSeek",
            "https://api.deepseek.com",
            "DEEPSEEK_API_KEY",
            "DEEPSEEK_BASE_URL",
            "https://platform.deepseek.com/api_keys",
            "deepseek",
            has_n=False,
            has_json_schema=False,
        ),
        Preset(
            "fireworks",
            "Fireworks AI",
            "https://api.fireworks.ai/inference/v1",
            "FIREWORKS_API_KEY",
            "FIREWORKS_BASE_URL",
            "https://app.fireworks.ai/settings/users/api-keys",
            "fireworks",
            has_embeddings=True,
            notes="Models are named accounts/fireworks/models/…",
        ),
        Preset(
            "cerebras",
            "Cerebras",
            "https://api.cerebras.ai/v1",
            "CEREBRAS_API_KEY",
            "CEREBRAS_BASE_URL",
            "https://cloud.cerebras.ai",
            "cerebras",
        ),
        Preset(
            "ollama",
            "Ollama",
            "http://localhost:11434/v1",
            has_n=False,
            has_logprobs=False,
            has_embeddings=True,
            port=11434,
            notes="The context length is part of the model, not of the call.",
        ),
        Preset("lmstudio", "LM Studio", "http://localhost:1234/v1", has_n=False, has_embeddings=True, port=1234),
        Preset("llamacpp", "llama.cpp server", "http://localhost:8080/v1", has_embeddings=True, port=8080),
        Preset("vllm", "vLLM", "http://localhost:8000/v1", has_embeddings=True, port=8000),
    )
}

CUSTOM = Preset("custom", "the server", env_key="OPENAI_API_KEY", has_embeddings=True)
"""A server of which nothing is known but its address."""


def preset(id: str) -> Preset:
    """The preset of that id; a server of its own kind where there is none."""
    return PRESETS.get(id, CUSTOM)


def preset_at(url: str) -> Preset:
    """The preset that lives at an address: by host, on this machine by port."""
    if is_loopback(url):
        port = urlsplit(url).port
        return next((one for one in PRESETS.values() if one.port is not None and one.port == port), CUSTOM)
    same = [one for one in PRESETS.values() if one.base_url and origin(one.base_url) == origin(url)]
    path = urlsplit(url).path.rstrip("/")
    return next((one for one in same if urlsplit(one.base_url).path == path), same[0] if same else CUSTOM)
