"""A client of the routes, without pages and without a worker unless the test starts it."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.server import create_app

HERE = "http://127.0.0.1:7860"


@pytest.fixture
def client(studio) -> Iterator[TestClient]:
    yield TestClient(create_app(studio=studio, pages=False), base_url=HERE, raise_server_exceptions=False)
