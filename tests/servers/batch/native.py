"""The online routes of a provider that does not speak OpenAI's language."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.servers import refusals
from tests.servers.batch.answering import Answering
from tests.servers.chat_routes import NEVER_200, ChatRoutes
from tests.servers.faults import BILLED, Fault
from tests.servers.journal import Received
from tests.servers.refusals import Refusal


class Tongue(ABC):
    """Turns a provider's bodies into OpenAI's chat completions and back."""

    @abstractmethod
    def key(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str: ...

    @abstractmethod
    def chat(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        """A native body as a chat completion's; takes any JSON object."""

    @abstractmethod
    def refusal(self, body: dict[str, Any], *, in_batch: bool = False) -> Refusal | None:
        """What only this provider refuses."""

    @abstractmethod
    def reply(self, completion: dict[str, Any], *, in_batch: bool = False) -> dict[str, Any]: ...

    @abstractmethod
    def error_body(self, refusal: Refusal) -> dict[str, Any]: ...

    @abstractmethod
    def models(self, names: list[str]) -> dict[str, Any]: ...

    def bad_key(self, refusal: Refusal) -> Refusal:
        return refusal


class NativeRoutes(ChatRoutes):
    """Journal, faults, limits and replies are those of ChatRoutes; `tongue` is set by the server."""

    tongue: Tongue

    async def generate(self, request: web.Request) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            unread = Refusal(400, "The request body is not valid JSON.")
            return web.json_response(self.tongue.error_body(unread), status=400)
        chat = self.tongue.chat(body, request.match_info.get("model", ""))
        content = self.content(request.path, chat)
        record = self.journal.open(
            request.method, request.path, self.headers(request), body, tag=self.tag(chat), content=content
        )
        left = False
        try:
            if refusals.key_refusal(record.key, self.behavior) is None and (refused := self.tongue.refusal(body)):
                return self.refuse(record, refused)
            return await self.respond(request, chat, record, content)
        except asyncio.CancelledError:
            left = True
            raise
        finally:
            self.journal.leave(record, client_left=left)

    async def compute(self, body: dict[str, Any], record: Received, content: str) -> dict[str, Any] | Refusal:
        answer = Answering(self)(body, record, "/embeddings" if "input" in body else "/chat/completions")
        if isinstance(answer, Refusal):
            return answer
        fault = Fault(record.fault) if record.fault else None
        await asyncio.sleep(self.seconds(content, fault, ()))
        status = NEVER_200.get(fault, 200) if fault else 200
        self.journal.answer(record, status, billed=fault is None or fault in BILLED)
        return self.tongue.reply(answer)

    def refuse(self, record: Received, refused: Refusal) -> web.Response:
        if refusals.key_refusal(record.key, self.behavior) is not None:
            refused = self.tongue.bad_key(refused)
        self.journal.answer(record, refused.status)
        return web.json_response(self.tongue.error_body(refused), status=refused.status, headers=refused.headers)

    async def models(self, request: web.Request) -> web.StreamResponse:
        record = self.journal.open(request.method, request.path, self.headers(request), None)
        try:
            if refused := refusals.key_refusal(record.key, self.behavior):
                return self.refuse(record, refused)
            self.journal.answer(record, 200)
            return web.json_response(self.tongue.models(list(self.behavior.models or ("model-1",))))
        finally:
            self.journal.leave(record)

    def headers(self, request: web.Request) -> dict[str, str]:
        # The journal reads a key where most providers have it.
        return {**request.headers, "authorization": f"Bearer {self.tongue.key(request.headers, request.query)}"}


def schema_format(schema: Any) -> dict[str, Any]:
    """OpenAI's response_format for a schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
