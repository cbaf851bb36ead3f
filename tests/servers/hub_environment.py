"""Turns the Hugging Face clients of this process to a `HubServer`, and back when the test ends."""

from pathlib import Path
from typing import Any

import datasets
import datasets.config
import huggingface_hub
import huggingface_hub.constants
import huggingface_hub.hf_api
from huggingface_hub.inference import _providers
from huggingface_hub.inference._providers import _common, hf_inference

from tests.servers.hub_server import HubServer


def point_clients_at(monkeypatch: Any, hub: HubServer, home: Path, token: str | None = "hf_tester") -> None:
    """Sets what the clients read from the environment when they are imported, which is too early for a test.

    Covers huggingface_hub, datasets, the inference router and dedicated endpoints; caches go below `home`.
    """
    constants = huggingface_hub.constants
    for name, value in hub.environment(home, token).items():
        monkeypatch.setenv(name, value)
    if token is None:
        monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", hub.origin)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.origin + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", hub.origin)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.origin)
    monkeypatch.setattr(
        datasets.config, "HUB_DATASETS_URL", hub.origin + "/datasets/{repo_id}/resolve/{revision}/{path}"
    )
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(home / "modules"))
    monkeypatch.setattr(constants, "INFERENCE_PROXY_TEMPLATE", hub.origin + "/{provider}")
    monkeypatch.setattr(constants, "INFERENCE_ENDPOINTS_ENDPOINT", hub.origin + "/v2")
    monkeypatch.setattr(_providers.CONVERSATIONAL_AUTO_ROUTER, "base_url", hub.origin)
    # These remember answers of the last hub by name alone.
    huggingface_hub.HfFileSystem.clear_instance_cache()
    _common._fetch_inference_provider_mapping.cache_clear()
    hf_inference._check_supported_task.cache_clear()
