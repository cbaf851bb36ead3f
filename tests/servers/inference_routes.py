"""Inference Providers and Inference Endpoints, as huggingface_hub 2.4 calls them.

What `InferenceClient` and `AsyncInferenceClient` send for `chat_completion`, read in their source and checked in
`test_inference_routes.py`:

- `provider="auto"`, or none: `POST https://router.huggingface.co/v1/chat/completions`, nothing else. `model` goes as
  written (`org/name`, or `org/name:provider`, `:fastest`, `:cheapest`). The key must start with `hf_`, or the client
  raises ValueError before any request.
- `provider="together"` with an `hf_` key: first `GET {HF_ENDPOINT}/api/models/{id}?expand=inferenceProviderMapping`
  (once per model and process, then cached), then `POST https://router.huggingface.co/together/v1/chat/completions` with
  the provider's own name for the model. A model that the mapping lacks is a ValueError. `response_format` of type
  json_schema is flattened to `{"type": "json_schema", "schema": …}`. With any other key it is Together's own host.
  Other providers have other paths below their name: groq `/openai/v1`, fireworks-ai `/inference/v1`, cohere
  `/compatibility/v1`, novita `/v3/openai`, deepinfra `/v1/openai`, zai-org `/api/paas/v4`; the rest `/v1`.
- `base_url="http://host/v1"`, or a URL as `model`: `POST {base_url}/chat/completions` (`/v1` is added when the path
  does not end with it). `provider` is ignored and no Hub call is made. Without a model in the call the body says
  `"model": "dummy"`. json_schema becomes `{"type": "json_object", "value": schema}`, which is TGI's shape, not
  OpenAI's: a vLLM or llama.cpp server behind a URL may not enforce it.
- A dedicated endpoint: `get_inference_endpoint(name, namespace)` is
  `GET https://api.endpoints.huggingface.cloud/v2/endpoint/{namespace}/{name}` (namespace from `GET /api/whoami-v2` when
  not given); its `status.url` is then used as `base_url` above, and is missing until the endpoint runs.
- `bill_to="org"` adds the header `X-HF-Bill-To: org` to every call, whatever the route.
- None of the three hosts follows HF_ENDPOINT; `hub_environment.point_clients_at` turns them to this server.
- The first call of a process also does `GET {HF_ENDPOINT}/api/agent-harnesses` for its User-Agent (at most once a day,
  kept in HF_HOME), unless HF_HUB_DISABLE_TELEMETRY=1, which the tests set.
- Neither client has a retry: each call is one request. `timeout` bounds it and raises InferenceTimeoutError.
"""

from aiohttp import web

from tests.servers.behavior import Behavior
from tests.servers.chat_routes import ChatRoutes
from tests.servers.hub_access import HubAccess, HubError
from tests.servers.journal import Journal


class InferenceRoutes:
    """The router at `/v1` and `/{provider}/…`, dedicated endpoints at `/endpoints/{namespace}/{name}`."""

    def __init__(self, access: HubAccess, behavior: Behavior, journal: Journal) -> None:
        self.access = access
        self.chat = ChatRoutes(behavior, journal)
        self.endpoints: dict[tuple[str, str], str] = {}

    def add_endpoint(self, namespace: str, name: str, *, state: str = "running") -> None:
        """A dedicated endpoint; it has a URL only while its state is running."""
        self.endpoints[namespace, name] = state

    def table(self) -> list[web.RouteDef]:
        return [
            *self.chat.table("/v1"),
            *self.chat.table("/endpoints/{namespace}/{name}/v1"),
            web.post("/{provider}/{rest:.*}/chat/completions", self.chat.generate),
            web.get("/v2/endpoint/{namespace}/{name}", self.endpoint),
        ]

    async def endpoint(self, request: web.Request) -> web.Response:
        self.access.signed_in(request)
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        state = self.endpoints.get((namespace, name))
        if state is None:
            raise HubError(404, f"Endpoint {namespace}/{name} not found")
        url = {"url": f"{request.url.origin()}/endpoints/{namespace}/{name}"} if state == "running" else {}
        at = "2026-01-01T00:00:00.000Z"
        return web.json_response(
            {
                "name": name,
                "type": "protected",
                "healthRoute": "/health",
                "model": {
                    "repository": f"{namespace}/{name}",
                    "framework": "pytorch",
                    "revision": "main",
                    "task": "text-generation",
                },
                "status": {"state": state, "createdAt": at, "updatedAt": at, **url},
            }
        )
