"""Models: what they are, and those that ship."""

from components.llms.anthropic import AnthropicLLM
from components.llms.gemini import GeminiLLM
from components.llms.inference_endpoints import InferenceEndpointsLLM
from components.llms.llamacpp import LlamaCppLLM
from components.llms.llm import LLM, AsyncLLM
from components.llms.openai import OpenAILLM
from components.llms.openai_family import (
    XAILLM,
    AzureOpenAILLM,
    GroqLLM,
    MistralLLM,
    OpenRouterLLM,
    TogetherLLM,
)
from components.llms.rehearsal import RehearsalLLM

__all__ = [
    "LLM",
    "XAILLM",
    "AnthropicLLM",
    "AsyncLLM",
    "AzureOpenAILLM",
    "GeminiLLM",
    "GroqLLM",
    "InferenceEndpointsLLM",
    "LlamaCppLLM",
    "MistralLLM",
    "OpenAILLM",
    "OpenRouterLLM",
    "RehearsalLLM",
    "TogetherLLM",
]
