"""The OpenAI routes: chat completions, completions, embeddings, models."""

import asyncio
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tests.servers import answers, fault_replies, refusals
from tests.servers.answers import Reply
from tests.servers.behavior import Behavior
from tests.servers.faults import BILLED, Fault
from tests.servers.journal import Journal, Received
from tests.servers.rate_limit import TokenBucket
from tests.servers.refusals import Refusal
from tests.servers.schema_answer import schema_answer, schema_in_text

ROOM_FOR_AN_ECHO = 16
NEVER_200: dict[Fault, int | None] = {Fault.HTML_503: 503, Fault.TIMEOUT: None, Fault.DROPPED: None}


class ChatRoutes:
    """Mounted by every server here that answers for a model."""

    def __init__(self, behavior: Behavior, journal: Journal) -> None:
        self.behavior = behavior
        self.journal = journal
        self.bucket = TokenBucket(1.0, 1.0)
        self.broken_replies: list[Exception] = []
        self.computing: set[asyncio.Task[Any]] = set()

    def table(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.post(f"{prefix}/chat/completions", self.generate),
            web.post(f"{prefix}/completions", self.generate),
            web.post(f"{prefix}/embeddings", self.generate),
            web.get(f"{prefix}/models", self.models),
        ]

    def raise_broken_replies(self) -> None:
        if self.broken_replies:
            raise self.broken_replies[0]

    async def generate(self, request: web.Request) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            refused = Refusal(400, "We could not parse the JSON body of your request.")
            return web.json_response(refused.body(), status=400)
        content = self.content(request.path, body)
        record = self.journal.open(
            request.method, request.path, request.headers, body, tag=self.tag(body), content=content
        )
        left = False
        try:
            return await self.respond(request, body, record, content)
        except asyncio.CancelledError:
            left = True
            raise
        finally:
            self.journal.leave(record, client_left=left)

    async def respond(
        self, request: web.Request, body: dict[str, Any], record: Received, content: str
    ) -> web.StreamResponse:
        refused = refusals.key_refusal(record.key, self.behavior) or self.limited()
        if refused := refused or refusals.refusal(body, self.behavior):
            return self.refuse(record, refused)
        fault = self.behavior.faults(record, content)
        record.fault = fault
        if fault and (refused := fault_replies.refused_by_fault(fault, body, self.behavior)):
            return self.refuse(record, refused)
        # Shielded: a model goes on computing, and is charged for, when the client hangs up.
        task = asyncio.ensure_future(self.compute(body, record, content))
        self.computing.add(task)
        task.add_done_callback(self.computing.discard)
        answer = await asyncio.shield(task)
        if isinstance(answer, Refusal):
            return self.refuse(record, answer)
        return await fault_replies.send(Fault(record.fault) if record.fault else None, request, answer)

    async def compute(self, body: dict[str, Any], record: Received, content: str) -> dict[str, Any] | Refusal:
        try:
            replies = self.replies(body, record)
        except Exception as error:
            self.broken_replies.append(error)
            return Refusal(500, f"The test's reply function failed: {error!r}", "server_error")
        fault = Fault(record.fault) if record.fault else None
        if fault and (refused := fault_replies.refused_by_fault(fault, body, self.behavior)):
            return refused
        await asyncio.sleep(self.seconds(content, fault, replies))
        reasoning = self.behavior.is_reasoning(body["model"])
        most = answers.budget(body, reasoning)
        replies = [
            answers.shortened(fault_replies.spoiled(fault, reply, self.behavior), body, most) for reply in replies
        ]
        if record.path.endswith("/embeddings"):
            answer = (self.behavior.embed or answers.embeddings)(body)
            if isinstance(answer, Refusal):
                return answer
        elif record.path.endswith("/chat/completions"):
            whole = answers.chat_completion(body, replies, record.seq, reasoning)
            answer = fault_replies.spoiled_body(fault, whole)
        else:
            answer = answers.completion(body, replies, record.seq)
        status = NEVER_200.get(fault, 200) if fault else 200
        self.journal.answer(record, status, billed=fault is None or fault in BILLED)
        return answer

    def refuse(self, record: Received, refused: Refusal) -> web.Response:
        self.journal.answer(record, refused.status)
        return web.json_response(refused.body(), status=refused.status, headers=refused.headers)

    def limited(self) -> Refusal | None:
        if self.behavior.rps is None:
            return None
        if (self.bucket.rate, self.bucket.burst) != (self.behavior.rps, self.behavior.burst):
            self.bucket = TokenBucket(self.behavior.rps, self.behavior.burst)
        wait = self.bucket.take()
        if not wait:
            return None
        headers = {"retry-after-ms": str(round(wait * 1000) + 1)}
        return Refusal(429, "Rate limit reached for requests.", "requests", None, "rate_limit_exceeded", headers)

    def seconds(self, content: str, fault: Fault | None, replies: Sequence[Reply]) -> float:
        share = int(content[:8], 16) / 2**32
        wait = self.behavior.latency_ms + self.behavior.jitter_ms * share
        wait += max((reply.delay_ms for reply in replies), default=0.0)
        return wait / 1000 + (self.behavior.slow_s if fault is Fault.SLOW else 0.0)

    def replies(self, body: dict[str, Any], record: Received) -> list[Reply]:
        if "messages" not in body and "prompt" not in body:
            return []
        count = body.get("n") or 1
        given = self.behavior.reply(body) if self.behavior.reply else None
        several = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given] * count
        if len(several) != count:
            raise ValueError(f"the reply function gave {len(several)} replies, the request asked for n={count}")
        found = []
        for index, one in enumerate(several):
            if isinstance(one, Fault):
                record.fault = one
                one = None
            if one is None:
                one = self.default_text(body, index)
            found.append(one if isinstance(one, Reply) else Reply(one))
        return found

    def default_text(self, body: dict[str, Any], index: int) -> str:
        user = answers.last_user_text(body)
        turn = f" ({index + 1})" if index else ""
        said = "\n".join(answers.message_text(message) for message in body.get("messages") or [])
        schema = self.schema(body, said)
        if schema is not None:
            return json.dumps(schema_answer(schema, said + turn), ensure_ascii=False)
        if (body.get("response_format") or {}).get("type") == "json_object":
            return json.dumps({"answer": f"echo: {user}{turn}"}, ensure_ascii=False)
        most = answers.budget(body, self.behavior.is_reasoning(body["model"]))
        words = answers.tokens(user)
        # A model that keeps to its budget: it says less, rather than being cut off.
        if most is not None and most >= ROOM_FOR_AN_ECHO and len(words) + 6 > most:
            user = "… " + "".join(words[-(most - 8) :]).strip()
        return f"echo: {user}{turn}"

    def schema(self, body: dict[str, Any], said: str) -> dict[str, Any] | None:
        """From response_format in OpenAI's shape, Together's (`schema`) or TGI's (`value`), or from the prompt."""
        wanted = body.get("response_format") or {}
        schema = (wanted.get("json_schema") or {}).get("schema") or wanted.get("schema") or wanted.get("value")
        if schema is None and (wanted.get("type") == "json_object" or self.behavior.reads_schema_in_prompt):
            schema = schema_in_text(said)
        return schema

    def tag(self, body: dict[str, Any]) -> str:
        text = answers.last_user_text(body)
        found = re.search(self.behavior.tag_pattern, text)
        return found.group(0) if found else text.strip()[:200]

    @staticmethod
    def content(path: str, body: dict[str, Any]) -> str:
        asked = [path, body.get("model"), body.get("messages"), body.get("prompt"), body.get("input")]
        return hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=16).hexdigest()

    async def models(self, request: web.Request) -> web.StreamResponse:
        record = self.journal.open(request.method, request.path, request.headers, None)
        try:
            if not self.behavior.lists_models:
                return self.refuse(record, Refusal(404, "Unknown request URL: GET /v1/models."))
            if refused := refusals.key_refusal(record.key, self.behavior):
                return self.refuse(record, refused)
            self.journal.answer(record, 200)
            listing = answers.models(self.behavior.models or answers.MODELS)
            return web.json_response(listing["data"] if self.behavior.model_list_is_bare else listing)
        finally:
            self.journal.leave(record)
