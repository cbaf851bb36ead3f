"""A batch API on a loopback port, whichever provider it plays."""

import asyncio
from collections import Counter
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.servers import refusals
from tests.servers.batch.batches import BatchesProvider
from tests.servers.batch.behavior import BatchBehavior
from tests.servers.batch.provider import Refused
from tests.servers.batch.store import Batch, Store
from tests.servers.batch.troubles import Lost, lose
from tests.servers.batch.works import Works
from tests.servers.behavior import Behavior
from tests.servers.chat_routes import ChatRoutes
from tests.servers.journal import Journal, Received
from tests.servers.loopback import LARGEST_UPLOAD, Loopback

KEPT_BODY = 64 * 1024  # larger bodies are not kept in the journal
ONLINE = {field.name for field in fields(Behavior)}


class BatchServer(Loopback):
    """`behavior` is the online side's, `batch` the batches'; other settings go to whichever has a field so named.

    With a `folder`, files and batches outlive the server. `requests` has every call, and a `BATCH` entry for every row
    that was run: its body says custom_id and batch. `GET /__batches`, `GET /__journal` and `POST /__behavior` (fields
    of BatchBehavior as JSON) are for tests of another process.
    """

    provider_class: type[BatchesProvider]
    chat_class: type[ChatRoutes] = ChatRoutes
    openai_rules = True  # OpenAI's own checks of schemas

    def __init__(
        self,
        behavior: Behavior | None = None,
        batch: BatchBehavior | None = None,
        *,
        port: int = 0,
        log: str | Path | None = None,
        folder: str | Path | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(port)
        settings.setdefault("checks_schemas", self.openai_rules)
        online = {name: settings.pop(name) for name in ONLINE & settings.keys()}
        self.behavior = behavior or Behavior(**online)
        self.batch = batch or BatchBehavior()
        self.batch.change(**settings)
        self.journal = Journal(log)
        self.store = Store(folder)
        self.routes = self.chat_class(self.behavior, self.journal)
        self.provider = self.provider_class(self.batch, self.store, self.routes)
        self.provider.works = Works(self.provider, self.journal)

    @property
    def base_url(self) -> str:
        return f"{self.origin}{self.provider.prefix}"

    @property
    def requests(self) -> list[Received]:
        return self.journal.requests

    @property
    def batches(self) -> list[Batch]:
        """Every batch there is, oldest first."""
        return [replace(batch) for batch in list(self.store.batches.values())]

    def calls(self, method: str, path_start: str = "") -> list[Received]:
        return [one for one in self.requests if one.method == method and one.path.startswith(path_start)]

    def paid(self, tag: str, model: str | None = None) -> int:
        """How many answers were charged for a row, online and in batches."""
        return self.journal.paid(tag, model)

    def on_the_bill(self) -> Counter[str]:
        """How many batches of each tag have cost money or will: more than one was paid for twice."""
        return Counter(batch.tag for batch in self.batches if batch.on_the_bill)

    def stop(self) -> None:
        super().stop()
        self.store.close()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_UPLOAD, middlewares=[self.note])
        app.add_routes(self.provider.table())
        app.router.add_get("/__journal", self.show_journal)
        app.router.add_get("/__batches", self.show_batches)
        app.router.add_post("/__behavior", self.change_behavior)
        return app

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/__") or self.is_online(request):
            return await handler(request)  # the online routes keep the journal themselves
        headers = dict(request.headers)
        body = await self.body_of(request)
        key = self.provider.key(request.headers, request.query)
        record = self.journal.open(request.method, request.path_qs, {**headers, "authorization": f"Bearer {key}"}, body)
        try:
            response = await self.admitted(request, handler, key)
            self.journal.answer(record, response.status)
            return response
        except Lost as lost:
            self.journal.answer(record, None)
            return await lose(lost.trouble, request)
        except asyncio.CancelledError:
            self.journal.answer(record, None)
            raise
        except Exception:
            self.journal.answer(record, 500)
            raise
        finally:
            self.journal.leave(record, client_left=record.status is None)

    async def admitted(self, request: web.Request, handler: Handler, key: str) -> web.StreamResponse:
        try:
            refusal = refusals.key_refusal(key, self.behavior)
            if refusal and not self.provider.is_upload(request):
                refusal = self.provider.bad_key(refusal)
                raise Refused(refusal.status, refusal.message, refusal.type, code=refusal.code)
            response = await handler(request)
        except Refused as refused:
            refusal = refused.refusal
            body = self.provider.error_body(refusal)
            return web.json_response(body, status=refusal.status, headers=refusal.headers)
        except web.HTTPNotFound:
            body = self.provider.error_body(
                refusals.Refusal(404, f"Unknown request URL: {request.method} {request.path}.")
            )
            return web.json_response(body, status=404)
        if self.batch.poll_retry_after_s is not None and request.method == "GET" and not response.prepared:
            response.headers["Retry-After"] = f"{self.batch.poll_retry_after_s:g}"
        return response

    def is_online(self, request: web.Request) -> bool:
        handler = getattr(request.match_info, "handler", None)
        return getattr(handler, "__self__", None) is self.routes

    async def body_of(self, request: web.Request) -> Any:
        if request.content_type != "application/json" or self.provider.is_upload(request):
            return None
        raw = await request.read()
        if not raw:
            return None
        if len(raw) > KEPT_BODY:
            return {"bytes": len(raw)}
        try:
            return await request.json()
        except ValueError:
            return raw.decode(errors="replace")

    async def show_journal(self, request: web.Request) -> web.Response:
        return web.json_response(self.journal.as_json())

    async def show_batches(self, request: web.Request) -> web.Response:
        found = [{**asdict(batch), "on_the_bill": batch.on_the_bill} for batch in self.batches]
        return web.json_response({"batches": found, "on_the_bill": self.on_the_bill()})

    async def change_behavior(self, request: web.Request) -> web.Response:
        try:
            self.batch.change(**await request.json())
        except (TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            self.routes.raise_broken_replies()
