"""A Hugging Face Hub on loopback, for the real huggingface_hub and datasets clients.

    with HubServer() as hub:
        hub.add("org/tiny", files={"tiny.gguf": path})
        hub.add("org/secret", kind="dataset", private=True, files={"data.csv": "a,b\\n1,2\\n"})
        HfApi(endpoint=hub.origin, token="hf_tester").upload_file(...)
        hub.repo("tester/mine", "dataset").read("README.md")

Tokens: `hf_tester` (user tester, member of team), `hf_reader` (read only), `hf_stranger`. Stricter than the real Hub
nowhere; laxer in names, quotas, branches and pull requests, which are not there. In a process of its own the clients
need `hub.environment(home)` before they are imported; in the test's process use `hub_environment.point_clients_at`.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.servers.behavior import Behavior
from tests.servers.hub_access import HubAccess
from tests.servers.hub_api import HubApi
from tests.servers.hub_files import HubFiles
from tests.servers.hub_store import Account, HubStore, Repo
from tests.servers.inference_routes import InferenceRoutes
from tests.servers.journal import Journal, Received
from tests.servers.loopback import LARGEST_UPLOAD, Loopback

ACCOUNTS = {
    "hf_tester": Account("tester", orgs=("team",)),
    "hf_reader": Account("tester", orgs=("team",), role="read"),
    "hf_stranger": Account("stranger"),
}


class HubServer(Loopback):
    """Repositories, files and inference; `behavior` decides what the models answer, and its keys are the tokens."""

    def __init__(
        self, accounts: Mapping[str, Account] = ACCOUNTS, behavior: Behavior | None = None, *, port: int = 0
    ) -> None:
        super().__init__(port)
        self.store = HubStore(accounts)
        # The router passes the providers' shapes of response_format on, so OpenAI's rules do not hold there.
        self.behavior = behavior or Behavior(keys=self.store.accounts, checks_schemas=False)
        self.journal = Journal()
        self.access = HubAccess(self.store)
        self.inference = InferenceRoutes(self.access, self.behavior, self.journal)

    @property
    def router_url(self) -> str:
        """What `https://router.huggingface.co/v1` is on the real Hub."""
        return f"{self.origin}/v1"

    @property
    def requests(self) -> list[Received]:
        return self.journal.requests

    def add(self, repo_id: str, kind: str = "model", files: Mapping[str, Any] | None = None, **settings: Any) -> Repo:
        """A repository that is there from the start: `private`, `gated`, `pipeline_tag`, `providers`."""
        return self.store.add(repo_id, kind, files, **settings)

    def repo(self, repo_id: str, kind: str = "model") -> Repo:
        return self.store.repos[kind, repo_id]

    def environment(self, home: Path, token: str | None = "hf_tester") -> dict[str, str]:
        """Variables for another process, with its caches below `home`."""
        return {
            "HF_ENDPOINT": self.origin,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        } | ({"HF_TOKEN": token} if token else {})

    def application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_UPLOAD, middlewares=[self.note])
        for part in (HubApi(self.store, self.access), HubFiles(self.store, self.access), self.inference):
            app.add_routes(part.table())
        return app

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if "/v1/" in request.path or request.path.endswith("/chat/completions"):
            return await handler(request)  # these keep the journal themselves
        is_text = request.content_type in ("application/json", "application/vnd.git-lfs+json")
        body = await request.json() if is_text and request.can_read_body else None
        record = self.journal.open(request.method, request.path_qs, request.headers, body)
        status = 500
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            self.journal.answer(record, status)
            self.journal.leave(record)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            self.inference.chat.raise_broken_replies()
