"""OpenRouter: requests inside the create, results inside the poll, no cancel, no metadata."""

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.servers.batch.batches import BatchesProvider, json_body, page_of
from tests.servers.batch.provider import Checked, Refused, age, seconds, whole
from tests.servers.batch.results import PADDING
from tests.servers.batch.rows import Asked, Ending, Outcome
from tests.servers.batch.store import Batch, State
from tests.servers.batch.troubles import guarded
from tests.servers.refusals import Refusal

ENDPOINTS = ("/v1/chat/completions", "/v1/embeddings")
PRICE = 0.000_000_25  # USD a token


class OpenRouterProvider(BatchesProvider):
    prefix = "/api/v1"
    is_jsonl = False
    one_file = True

    def table(self) -> list[web.RouteDef]:
        routes = self.chat.table(self.prefix)
        for batches in (f"{self.prefix}/batches", "/api/beta/batches"):
            routes += [
                web.post(batches, guarded(self.batch, "create", self.create)),
                web.get(batches, guarded(self.batch, "list", self.list_batches)),
                web.get(f"{batches}/{{id}}", guarded(self.batch, "poll", self.retrieve)),
                web.delete(f"{batches}/{{id}}", self.delete),
            ]
        return routes

    def file_id(self) -> str:
        return f"file-{secrets.token_hex(11)}"

    def batch_id(self) -> str:
        return f"batch-{int(time.time())}-{secrets.token_hex(10)}"

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        names = list(body)
        if not {"endpoint", "model", "requests"} <= body.keys() or names.index("requests") < max(
            names.index("endpoint"), names.index("model")
        ):
            raise Refused(400, "endpoint and model are required and must appear before requests in the request body")
        if body["endpoint"] not in ENDPOINTS:
            raise Refused(400, f"Unsupported endpoint: {body['endpoint']}")
        if self.online.models is not None and body["model"] not in self.online.models:
            raise Refused(400, f"Model '{body['model']}' does not have a :batch endpoint.")
        check_requests(body["requests"], body["model"])
        kept = self.keep_input(self.account(request), body["requests"])
        batch = self.new_batch(self.account(request), {"model": body["model"]}, kept.id, body["endpoint"])
        batch.total = len(body["requests"])
        return web.json_response(self.batch_object(self.store.save(batch)), status=202)

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        await self.works.look(batch)
        whole_batch = self.batch_object(batch)
        if batch.state is not State.COMPLETED or batch.output_file_id is None:
            return web.json_response(whole_batch)
        before, after = json.dumps(whole_batch).split('"results": null')
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(f'{before}"results": ['.encode())
        for piece in self.rows_of(batch.output_file_id):
            await response.write(piece)
        await response.write(f"]{after}".encode())
        return response

    def rows_of(self, file_id: str) -> Iterator[bytes]:
        filling = b"x" * (self.store.files[file_id].padding or 0)
        comma = b""
        with self.store.blob(file_id).open("rb") as file:
            for line in file:
                if is_json(line):
                    yield comma + line.rstrip().replace(PADDING.encode(), filling)
                    comma = b",\n"

    async def list_batches(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        limit = whole(query.get("limit"), "limit", 1, 100, 20)
        since, until = float(query.get("created_after", 0)), float(query.get("created_before", "inf"))
        mine = [batch for batch in self.visible(self.account(request)) if since <= int(batch.created_at) <= until]
        if "status" in query:
            mine = [batch for batch in mine if batch.state.value in query.getall("status")]
        page, has_more = page_of(mine, query.get("after"), limit)
        await self.look_at_all(page)
        return web.json_response(
            {
                "object": "list",
                "data": [self.batch_object(batch) for batch in page],
                "first_id": page[0].id if page else None,
                "last_id": page[-1].id if page else None,
                "has_more": has_more,
            }
        )

    async def delete(self, request: web.Request) -> web.Response:
        batch = self.find(request)
        if not batch.ended:
            raise Refused(409, "An in-flight batch cannot be deleted.")
        self.store.forget(batch.id)
        return web.json_response({"id": batch.id, "object": "batch", "deletion": {"openrouter": "deleted"}})

    def no_batch(self, batch_id: str) -> Refused:
        return Refused(404, "Batch not found")

    def error_body(self, refusal: Refusal) -> Any:
        return {"error": {"message": refusal.message, "code": refusal.status}}

    def bad_key(self, refusal: Refusal) -> Refusal:
        return Refusal(401, "User not found.")

    def batch_object(self, batch: Batch) -> dict[str, Any]:
        done, failed = (batch.succeeded, batch.errors) if batch.ended else (self.progress(batch), 0)
        error = {"message": batch.flaws[0].message, "code": batch.flaws[0].code} if batch.flaws else None
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.endpoint,
            "model": batch.model,
            "completion_window": "24h",
            "status": self.status(batch),
            "created_at": seconds(batch.created_at),
            "finalized_at": seconds(batch.at.get(batch.state.value, batch.created_at + age(batch)))
            if batch.ended
            else None,
            "request_counts": {"total": batch.total, "completed": done, "failed": batch.total if error else failed},
            "usage": self.usage(batch) if batch.state is State.COMPLETED else None,
            "results": None,
            "error": error,
        }

    def status(self, batch: Batch) -> str:
        if batch.state is State.IN_PROGRESS and self.batch.odd_status is not None:
            return self.batch.odd_status
        return "completed" if batch.state is State.PARTIAL else batch.state.value

    def usage(self, batch: Batch) -> dict[str, Any]:
        given, taken = batch.usage.get("input", 0), batch.usage.get("output", 0)
        return {
            "prompt_tokens": given,
            "completion_tokens": taken,
            "total_tokens": given + taken,
            "cost": (given + taken) * PRICE,
            "is_byok": False,
        }

    def asked(self, line: dict[str, Any], batch: Batch) -> Asked:
        return Asked(line["custom_id"], {"model": batch.model, **line["body"]})

    def check(self, path: Any, batch: Batch) -> Checked:
        return Checked(super().check(path, batch).total, batch.model)

    def row(self, outcome: Outcome, batch: Batch) -> dict[str, Any] | None:
        head = {"id": f"batch_req_{secrets.token_hex(12)}", "custom_id": outcome.custom_id}
        if outcome.ending is not Ending.ANSWERED:
            return None
        if not outcome.ok:
            return {**head, "response": None, "error": {**outcome.error, "code": outcome.status or 502}}
        usage = (outcome.body or {}).get("usage") or {}
        body: Any = {**(outcome.body or {}), "usage": {**usage, "cost": usage.get("total_tokens", 0) * PRICE}}
        body = json.dumps(body) if outcome.body_as_string else body
        response = {"status_code": 200, "request_id": secrets.token_hex(16), "body": body}
        return {**head, "response": response, "error": None}


def check_requests(requests: Any, model: str) -> None:
    """Raises: Refused for what is wrong at the submit; the rest fails the batch or its rows."""
    if not isinstance(requests, list) or not requests:
        raise Refused(400, "requests must be a non-empty array")
    seen: set[str] = set()
    for one in requests:
        custom_id = one.get("custom_id") if isinstance(one, dict) else None
        if not custom_id or not isinstance(one.get("body"), dict):
            raise Refused(400, "Each batch request needs a custom_id and a body.")
        if custom_id in seen:
            raise Refused(422, f"Duplicate custom_id: {custom_id}")
        seen.add(custom_id)
        if one["body"].get("model", model) != model:
            raise Refused(400, "Each batch request body model must match the top-level model.")


def is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
