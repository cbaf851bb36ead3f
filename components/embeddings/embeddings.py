"""The contract of an embedding model: texts in, vectors out."""

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import PrivateAttr

from components.component import Component


class Embeddings(Component, ABC):
    """A model that turns each text into a vector."""

    category: ClassVar[str] = "Embeddings"

    _is_loaded: bool = PrivateAttr(default=False)

    @property
    @abstractmethod
    def model_name(self) -> str:
        """The model's name, as results show it."""

    @abstractmethod
    def encode(self, inputs: list[str]) -> list[list[float]]:
        """A vector for each text, in the order of the texts."""

    def load(self) -> None:
        """Get ready to answer; call it before using a model on its own."""
        self._is_loaded = True

    def unload(self) -> None:
        """Give back what `load` took."""
        self._is_loaded = False
