"""The fakes as components that files can name, for tests that ask for it."""

import pytest

from components import catalog
from tests.fakes import Ask, EchoLLM, Numbers, Review


@pytest.fixture
def known_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog._catalog, "_registered", {})
    for cls in (Ask, EchoLLM, Numbers, Review):
        catalog.register(cls)
