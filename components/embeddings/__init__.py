"""Embedding models: what they are, and those that ship."""

from components.embeddings.embeddings import Embeddings
from components.embeddings.openai import OpenAIEmbeddings

__all__ = ["Embeddings", "OpenAIEmbeddings"]
