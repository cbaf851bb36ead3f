"""Anthropic's Message Batches on loopback, with online Messages beside them.

    with AnthropicBatchServer(rows={"row-7": "503"}) as server:
        httpx.post(f"{server.base_url}/messages/batches", headers={"x-api-key": "k", "anthropic-version": "2023-06-01"})

There is no metadata, name or file: `Batch.tag` is the custom_id up to its last dash. A batch cannot fail as a whole;
`final=failed` is completed here. `in_progress` polls have no Retry-After unless `poll_retry_after_s` says so; the real
ones say 10.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.servers.batch.anthropic_messages import AnthropicTongue, error_type
from tests.servers.batch.batches import BatchesProvider, json_body, page_of
from tests.servers.batch.command import parser_of, serve
from tests.servers.batch.native import NativeRoutes
from tests.servers.batch.provider import Checked, Refused, iso, whole
from tests.servers.batch.rows import Asked, Ending, Outcome
from tests.servers.batch.server import BatchServer
from tests.servers.batch.store import Batch, State
from tests.servers.batch.troubles import guarded, send_file
from tests.servers.refusals import Refusal

NO_CREDIT = (
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase "
    "credits."
)


class AnthropicProvider(BatchesProvider):
    max_requests = 100_000
    max_bytes = 256_000_000
    one_file = True
    can_fail = False
    tongue = AnthropicTongue()

    def table(self) -> list[web.RouteDef]:
        batches = f"{self.prefix}/messages/batches"
        return [
            web.post(f"{self.prefix}/messages", self.chat.generate),
            web.get(f"{self.prefix}/models", self.chat.models),
            web.post(batches, guarded(self.batch, "create", self.create)),
            web.get(batches, guarded(self.batch, "list", self.list_batches)),
            web.get(f"{batches}/{{id}}", guarded(self.batch, "poll", self.retrieve)),
            web.delete(f"{batches}/{{id}}", self.delete),
            web.post(f"{batches}/{{id}}/cancel", guarded(self.batch, "cancel", self.cancel)),
            web.get(f"{batches}/{{id}}/results", guarded(self.batch, "download", self.results)),
        ]

    def key(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        return self.tongue.key(headers, query)

    def file_id(self) -> str:
        return self.batch_id().replace("msgbatch", "results")

    def batch_id(self) -> str:
        return super().batch_id().replace("batch_", "msgbatch_")

    async def create(self, request: web.Request) -> web.StreamResponse:
        if "anthropic-version" not in request.headers:
            raise Refused(400, "anthropic-version: header is required")
        body = await json_body(request)
        if (request.content_length or 0) > self.byte_limit:
            raise Refused(413, "Request exceeds the maximum size")
        requests = body.get("requests")
        self.check_requests(requests if isinstance(requests, list) else [])
        kept = self.keep_input(self.account(request), body["requests"])
        batch = self.new_batch(self.account(request), {}, kept.id, "/v1/messages")
        batch.total = len(body["requests"])
        return web.json_response(self.batch_object(self.store.save(batch), request))

    def check_requests(self, requests: list[Any]) -> None:
        """Raises: Refused. `params` are looked at later, row by row."""
        if not requests:
            raise Refused(400, "requests: List should have at least 1 item after validation, not 0")
        most = self.request_limit
        if len(requests) > most:
            raise Refused(400, f"requests: List should have at most {most} items after validation, not {len(requests)}")
        for number, one in enumerate(requests):
            where, custom_id = f"requests.{number}.custom_id", one.get("custom_id") if isinstance(one, dict) else None
            if custom_id is None:
                raise Refused(400, f"{where}: Field required")
            if len(str(custom_id)) > 64:
                raise Refused(400, f"{where}: String should have at most 64 characters")
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", str(custom_id)):
                raise Refused(400, f"{where}: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
        name, count = Counter(one["custom_id"] for one in requests).most_common(1)[0]
        if count > 1:
            message = f"requests: custom_id's must be unique within a batch. Duplicate custom_id found: {name}"
            raise Refused(400, message)

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        await self.works.look(batch)
        return web.json_response(self.batch_object(batch, request))

    async def list_batches(self, request: web.Request) -> web.StreamResponse:
        limit = whole(request.query.get("limit"), "limit", 1, 1000, 20)
        mine, before = self.visible(self.account(request)), request.query.get("before_id")
        page, has_more = page_of(mine, request.query.get("after_id"), limit)
        if before:
            place = next((place for place, batch in enumerate(mine) if batch.id == before), 0)
            page, has_more = mine[max(0, place - limit) : place], place > limit
        await self.look_at_all(page)
        return web.json_response(
            {
                "data": [self.batch_object(batch, request) for batch in page],
                "has_more": has_more,
                "first_id": page[0].id if page else None,
                "last_id": page[-1].id if page else None,
            }
        )

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        if batch.ended:
            raise Refused(400, "Message Batch has already ended and cannot be canceled.")
        await self.works.cancel(batch)
        return web.json_response(self.batch_object(batch, request))

    async def delete(self, request: web.Request) -> web.Response:
        batch = self.find(request)
        if not batch.ended:
            raise Refused(400, "In progress batches cannot be deleted. Consider canceling the batch instead.")
        self.store.forget(batch.id)
        return web.json_response({"id": batch.id, "type": "message_batch_deleted"})

    async def results(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        if not batch.ended or batch.output_file_id is None:
            raise Refused(404, f"Message Batch {batch.id} has no available results.")
        stored = self.store.files[batch.output_file_id]
        return await send_file(request, stored, self.store.blob(stored.id), "application/x-jsonl")

    def no_batch(self, batch_id: str) -> Refused:
        return Refused(404, f"Message Batch {batch_id} not found.")

    def error_body(self, refusal: Refusal) -> Any:
        return self.tongue.error_body(refusal)

    def bad_key(self, refusal: Refusal) -> Refusal:
        return self.tongue.bad_key(refusal)

    def batch_object(self, batch: Batch, request: web.Request) -> dict[str, Any]:
        url = f"{request.url.origin()}{self.prefix}/messages/batches/{batch.id}/results"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": self.status(batch),
            "request_counts": self.counts(batch),
            "ended_at": iso(batch.at.get(batch.state.value)) if batch.ended else None,
            "created_at": iso(batch.created_at),
            "expires_at": iso(batch.created_at + 86_400),
            "archived_at": None,
            "cancel_initiated_at": iso(batch.at.get("cancelling")),
            "results_url": url if batch.ended else None,
        }

    def status(self, batch: Batch) -> str:
        if batch.ended:
            return "ended"
        if batch.state is State.CANCELLING:
            return "canceling"
        return self.batch.odd_status or "in_progress"

    def counts(self, batch: Batch) -> dict[str, int]:
        return {
            "processing": 0 if batch.ended else batch.total,
            "succeeded": batch.succeeded,
            "errored": batch.errors,
            "canceled": batch.cancelled,
            "expired": batch.expired,
        }

    def asked(self, line: dict[str, Any], batch: Batch) -> Asked:
        params = line.get("params")
        params = params if isinstance(params, dict) else {}
        return Asked(line["custom_id"], self.tongue.chat(params, ""), self.tongue.refusal(params, in_batch=True))

    def check(self, path: Any, batch: Batch) -> Checked:
        return Checked(batch.total)

    def row(self, outcome: Outcome, batch: Batch) -> dict[str, Any] | None:
        return {"custom_id": outcome.custom_id, "result": self.result(outcome)}

    def result(self, outcome: Outcome) -> dict[str, Any]:
        if outcome.ending is Ending.EXPIRED:
            return {"type": "expired"}
        if outcome.ending is Ending.CANCELLED:
            return {"type": "canceled"}
        if outcome.ok:
            return {"type": "succeeded", "message": self.tongue.reply(outcome.body or {}, in_batch=True)}
        error = {"type": error_type(Refusal(outcome.status, "")), "message": outcome.error["message"]}
        if outcome.error.get("code") == "insufficient_quota":
            error = {"type": "invalid_request_error", "message": NO_CREDIT}
        details = {"error_visibility": "user_facing"}
        return {
            "type": "errored",
            "error": {"type": "error", "error": {"details": details, **error}, "request_id": None},
        }


class AnthropicBatchServer(BatchServer):
    provider_class = AnthropicProvider
    chat_class = NativeRoutes
    openai_rules = False

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        assert isinstance(self.routes, NativeRoutes)
        self.routes.tongue = AnthropicProvider.tongue


if __name__ == "__main__":
    serve(AnthropicBatchServer, parser_of("tests.servers.batch.anthropic_batch_server", "Anthropic's batch API."))
