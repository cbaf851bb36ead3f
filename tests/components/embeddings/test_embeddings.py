"""An embedding model of one's own."""

import pytest

from components.catalog import Catalog
from components.component import RuntimeParameter
from components.embeddings import Embeddings
from components.errors import ConfigError, UnknownComponent
from components.llms import LLM


class Lengths(Embeddings):
    """Vectors that say how long a text is."""

    scale: RuntimeParameter[float] = 1.0
    """What each length is multiplied by."""

    @property
    def model_name(self) -> str:
        return "lengths"

    def encode(self, inputs):
        return [[len(text) * self.scale] for text in inputs]


def test_a_class_of_ones_own_needs_a_name_and_a_way_to_encode():
    embeddings = Lengths()
    embeddings.load()
    embeddings.set_runtime_parameters({"scale": "2"})
    assert embeddings.encode(["a", "bcd"]) == [[2.0], [6.0]]
    embeddings.unload()


def test_what_it_does_not_do_it_does_not_take():
    with pytest.raises(ConfigError, match="has no field 'use_offline_batch_generation'"):
        Lengths(use_offline_batch_generation=True)


def test_it_is_built_by_its_name_once_registered():
    catalog = Catalog()
    with pytest.raises(UnknownComponent):
        catalog.get("Lengths")
    catalog.register(Lengths)
    assert catalog.build(Lengths(scale=3).dump()) == Lengths(scale=3)
    assert "Lengths" in catalog.names(Embeddings) and "Lengths" not in catalog.names(LLM)
