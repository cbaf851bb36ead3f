"""Providers that say what OpenAI says, but for a few words: Azure, Groq, Doubleword."""

import secrets
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web

from tests.servers.batch.behavior import NoErrors
from tests.servers.batch.openai_provider import OpenAIProvider
from tests.servers.batch.provider import Checked, Refused
from tests.servers.batch.rows import Lines
from tests.servers.batch.store import Batch, Flaw, State
from tests.servers.batch.troubles import send_file
from tests.servers.batch.validation import Validation
from tests.servers.chat_routes import ChatRoutes


class AzureProvider(OpenAIProvider):
    """The v1 paths at /openai/v1, the classic ones at /openai with an api-version; the model is a deployment."""

    prefix = "/openai/v1"
    endpoints = ("/v1/chat/completions", "/chat/completions")
    max_requests = 100_000
    no_errors = NoErrors.EMPTY_FILE
    codes: ClassVar[dict[str, str]] = {
        "mismatched_model": "model_mismatch",
        "invalid_url": "url_mismatch",
        "missing_required_parameter": "invalid_request",
        "streaming_unsupported": "invalid_request",
        "invalid_method": "invalid_request",
    }

    def table(self) -> list[web.RouteDef]:
        return [
            *super().table(),
            web.post("/openai/deployments/{deployment}/chat/completions", self.chat.generate),
            *self.files_table("/openai"),
            *self.batches_table("/openai"),
        ]

    def key(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        return headers.get("api-key") or super().key(headers, query)

    def file_id(self) -> str:
        return f"file-{uuid.uuid4().hex}"

    def batch_id(self) -> str:
        return f"batch_{uuid.uuid4()}"

    def counts(self, batch: Batch) -> dict[str, Any]:
        if batch.state in (State.VALIDATING, State.FAILED):
            return {"total": None, "completed": None, "failed": None}
        return super().counts(batch)

    def check(self, path: Path, batch: Batch) -> Checked:
        return AzureValidation(batch.endpoint, self.online, self.request_limit, self.codes).check(path)


class AzureValidation(Validation):
    def byte_order_mark(self) -> Flaw:
        # Azure reads the mark as part of the line and then blames the deployment.
        message = "The provided deployment name was not found. Please ensure that it exists for this resource."
        return Flaw("model_not_found", message, "body.model", 1)


class GroqProvider(OpenAIProvider):
    prefix = "/openai/v1"
    endpoints = ("/v1/chat/completions",)
    windows = "24h|[2-7]d"
    max_bytes = 100_000_000

    def batch_id(self) -> str:
        return f"batch_{secrets.token_hex(13)}"


class DoublewordProvider(OpenAIProvider):
    """The output file has its id from the start; what is not in it yet is told by X-Incomplete and X-Last-Line."""

    windows = r"\d+h"

    def new_batch(self, account: str, body: dict[str, Any], input_file_id: str, endpoint: str) -> Batch:
        batch = super().new_batch(account, body, input_file_id, endpoint)
        batch.output_file_id = self.file_id()
        return self.store.save(batch)

    async def download(self, request: web.Request) -> web.StreamResponse:
        file_id = request.match_info["id"]
        if file_id not in self.store.files:
            owners = {batch.output_file_id: batch for batch in self.store.batches.values()}
            if file_id not in owners or owners[file_id].account != self.account(request):
                raise self.no_file(file_id)
            incomplete = str(not owners[file_id].ended).lower()
            return web.Response(body=b"", headers={"X-Incomplete": incomplete, "X-Last-Line": "0"})
        stored = self.file_of(request)
        path = self.store.blob(file_id)
        offset = request.query.get("offset", "0")
        if not offset.isdigit():
            raise Refused(400, "Invalid 'offset': expected a line number.", param="offset")
        lines = Lines(path)
        if int(offset) == 0:
            response = await send_file(request, stored, path, "application/x-ndjson", {"X-Last-Line": str(len(lines))})
        else:
            start = lines.offsets[int(offset)] if int(offset) < len(lines) else stored.bytes
            with path.open("rb") as file:
                file.seek(start)
                response = web.Response(body=file.read(), headers={"X-Last-Line": str(len(lines))})
        return response


class DeploymentRoutes(ChatRoutes):
    """The online routes, for a key that comes as `api-key`."""

    async def generate(self, request: web.Request) -> web.StreamResponse:
        return await super().generate(with_bearer(request))

    async def models(self, request: web.Request) -> web.StreamResponse:
        return await super().models(with_bearer(request))


def with_bearer(request: web.Request) -> web.Request:
    key = request.headers.get("api-key")
    if not key or "Authorization" in request.headers:
        return request
    return request.clone(headers={**request.headers, "Authorization": f"Bearer {key}"})
