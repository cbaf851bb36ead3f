"""Gemini's batch API on loopback, with generateContent beside it.

    with GeminiBatchServer() as server:
        httpx.post(f"{server.base_url}/models/gemini-3.8-flash:batchGenerateContent", headers={"x-goog-api-key": "k"})

Files go through the resumable upload; results are `metadata.output.responsesFile`, in the order of the input. States
are BATCH_STATE_…, as the REST API says them, or with `states="JOB_STATE"` the SDK's, which know more. Requests inside
the create are not taken.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.servers.batch.batches import json_body
from tests.servers.batch.command import parser_of, serve
from tests.servers.batch.gemini_content import GeminiTongue, status_of
from tests.servers.batch.gemini_files import GeminiFiles
from tests.servers.batch.native import NativeRoutes
from tests.servers.batch.provider import Checked, Refused, iso, whole
from tests.servers.batch.rows import Asked, Ending, Outcome
from tests.servers.batch.server import BatchServer
from tests.servers.batch.store import Batch, State
from tests.servers.batch.troubles import guarded
from tests.servers.refusals import Refusal

STATES = {
    State.VALIDATING: "PENDING",
    State.IN_PROGRESS: "RUNNING",
    State.FINALIZING: "RUNNING",
    State.COMPLETED: "SUCCEEDED",
    State.PARTIAL: "PARTIALLY_SUCCEEDED",
    State.FAILED: "FAILED",
    State.EXPIRED: "EXPIRED",
    State.CANCELLING: "RUNNING",
    State.CANCELLED: "CANCELLED",
}
ERRORS = {State.CANCELLED: (13, "The operation was cancelled."), State.EXPIRED: (4, "The operation expired.")}


class GeminiProvider(GeminiFiles):
    prefix = "/v1beta"
    max_requests = 1_000_000
    max_bytes = 2_000_000_000
    in_order = True
    one_file = True
    states = "BATCH_STATE"
    tongue = GeminiTongue()

    def table(self) -> list[web.RouteDef]:
        models, batches = f"{self.prefix}/models", f"{self.prefix}/batches"
        create = guarded(self.batch, "create", self.create)
        return [
            web.post(f"{models}/{{model}}:generateContent", self.chat.generate),
            web.post(f"{models}/{{model}}:embedContent", self.chat.generate),
            web.post(f"{models}/{{model}}:batchGenerateContent", create),
            web.post(f"{models}/{{model}}:asyncBatchEmbedContent", create),
            web.get(models, self.chat.models),
            web.get(batches, guarded(self.batch, "list", self.list_batches)),
            web.post(f"{batches}/{{id}}:cancel", guarded(self.batch, "cancel", self.cancel)),
            web.get(f"{batches}/{{id}}", guarded(self.batch, "poll", self.retrieve)),
            web.delete(f"{batches}/{{id}}", self.delete),
            *self.files_table(),
        ]

    def key(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        return self.tongue.key(headers, query)

    def batch_id(self) -> str:
        return f"batches/{secrets.token_hex(20)}"

    async def create(self, request: web.Request) -> web.StreamResponse:
        model, account = request.match_info["model"], self.account(request)
        if self.online.models is not None and model not in self.online.models:
            raise Refused(404, f"models/{model} is not found for API version v1beta.")
        batch = (await json_body(request)).get("batch") or {}
        name = batch.get("displayName") or batch.get("display_name")
        given = batch.get("inputConfig") or batch.get("input_config") or {}
        file_id = given.get("fileName") or given.get("file_name")
        if not name or not file_id:
            raise Refused(400, "batch.displayName and batch.inputConfig.fileName are required.")
        path = self.store.blob(self.file_of(account, file_id).id)
        total = await asyncio.to_thread(self.count, path)
        is_embedding = request.path.endswith(":asyncBatchEmbedContent")
        made = self.new_batch(
            account, {"name": name, "model": f"models/{model}"}, file_id, "/embeddings" if is_embedding else "/content"
        )
        made.total = total
        return web.json_response(self.operation(self.store.save(made)))

    def count(self, path: Path) -> int:
        """Raises: Refused for the first malformed row, which rejects them all."""
        total = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                total += 1
                try:
                    request = json.loads(line)["request"]
                    refused = self.tongue.refusal(request)
                except (ValueError, KeyError, TypeError):
                    refused = Refusal(400, "not a request")
                if refused:
                    raise Refused(400, f"Invalid request in line {number}: {refused.message}")
        if not 0 < total <= self.request_limit:
            raise Refused(400, f"The file has {total} requests; it may have 1 to {self.request_limit}.")
        return total

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        batch = self.batch_of(self.account(request), f"batches/{request.match_info['id']}")
        await self.works.look(batch)
        return web.json_response(self.operation(batch))

    async def list_batches(self, request: web.Request) -> web.StreamResponse:
        size = whole(request.query.get("pageSize"), "pageSize", 1, 100, 10)
        start = int(request.query.get("pageToken") or 0)
        mine = self.visible(self.account(request))
        shown = mine[start : start + size]
        await self.look_at_all(shown)
        page: dict[str, Any] = {"operations": [self.operation(batch) for batch in shown]} if shown else {}
        return web.json_response(page | ({"nextPageToken": str(start + size)} if start + size < len(mine) else {}))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.batch_of(self.account(request), f"batches/{request.match_info['id']}")
        if not batch.ended:
            await self.works.cancel(batch)
        return web.json_response({})

    async def delete(self, request: web.Request) -> web.Response:
        batch = self.batch_of(self.account(request), f"batches/{request.match_info['id']}")
        if batch.output_file_id:
            self.store.drop(batch.output_file_id)
        self.store.forget(batch.id)
        return web.json_response({})

    def no_batch(self, batch_id: str) -> Refused:
        return Refused(404, "Requested entity was not found.")

    def error_body(self, refusal: Refusal) -> Any:
        return self.tongue.error_body(refusal)

    def bad_key(self, refusal: Refusal) -> Refusal:
        return self.tongue.bad_key(refusal)

    def operation(self, batch: Batch) -> dict[str, Any]:
        has_output = batch.output_file_id and batch.state in (State.COMPLETED, State.PARTIAL)
        output = {"responsesFile": batch.output_file_id} if has_output else None
        metadata: dict[str, Any] = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "name": batch.id,
            "model": batch.model,
            "displayName": batch.name,
            "inputConfig": {"fileName": batch.input_file_id},
            "createTime": iso(batch.created_at),
            "updateTime": iso(max(batch.at.values(), default=batch.created_at)),
            "batchStats": self.stats(batch),
            "state": self.state(batch),
        }
        if batch.ended:
            metadata["endTime"] = iso(batch.at.get(batch.state.value))
        if output:
            metadata["output"] = output
        found = {"name": batch.id, "metadata": metadata}
        if not batch.ended:
            return found
        if batch.state in ERRORS or batch.flaws:
            code, message = ERRORS.get(batch.state) or (8, batch.flaws[0].message)
            return {**found, "done": True, "error": {"code": code, "message": message}}
        kind = "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatchOutput"
        return {**found, "done": True, "response": {"@type": kind, **(output or {})}}

    def state(self, batch: Batch) -> str:
        if batch.state is State.IN_PROGRESS and self.batch.odd_status is not None:
            return self.batch.odd_status
        if batch.state is State.CANCELLING and self.states == "JOB_STATE":
            return "JOB_STATE_CANCELLING"
        return f"{self.states}_{STATES[batch.state]}"

    def stats(self, batch: Batch) -> dict[str, str]:
        """Numbers are strings, and those that are 0 are left out, but for the total."""
        lost = batch.missing if batch.state is State.PARTIAL else 0
        done = batch.succeeded - lost if batch.ended else self.progress(batch)
        pending = 0 if batch.ended else batch.total - done
        counts = {
            "successfulRequestCount": done,
            "failedRequestCount": batch.errors + lost,
            "pendingRequestCount": pending,
        }
        return {"requestCount": str(batch.total)} | {name: str(count) for name, count in counts.items() if count}

    def asked(self, line: dict[str, Any], batch: Batch) -> Asked:
        return Asked(line.get("key"), self.tongue.chat(line["request"], batch.model))

    def check(self, path: Path, batch: Batch) -> Checked:
        return Checked(batch.total, batch.model)

    def row(self, outcome: Outcome, batch: Batch) -> dict[str, Any] | None:
        if outcome.ok:
            return {"key": outcome.custom_id, "response": self.tongue.reply(outcome.body or {}, in_batch=True)}
        if outcome.ending is not Ending.ANSWERED:
            return {"key": outcome.custom_id, "error": {"code": 1, "message": "The operation was cancelled."}}
        _, code = status_of(outcome.status)
        return {"key": outcome.custom_id, "error": {"code": code, "message": outcome.error["message"]}}


class GeminiBatchServer(BatchServer):
    provider_class = GeminiProvider
    chat_class = NativeRoutes
    openai_rules = False

    def __init__(self, *arguments: Any, states: str = "BATCH_STATE", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        assert isinstance(self.routes, NativeRoutes) and isinstance(self.provider, GeminiProvider)
        self.routes.tongue = GeminiProvider.tongue
        self.provider.states = states


if __name__ == "__main__":
    command = parser_of("tests.servers.batch.gemini_batch_server", "Gemini's batch API.")
    command.add_argument("--states", choices=["BATCH_STATE", "JOB_STATE"], default="BATCH_STATE")
    serve(GeminiBatchServer, command)
