"""OpenAI's check of an input file, line by line and only as far as the first bad one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.batch.provider import Checked
from tests.servers.batch.store import Flaw
from tests.servers.behavior import Behavior

EMBEDDING_INPUTS = 50_000
BOM = b"\xef\xbb\xbf"


@dataclass
class Validation:
    """`codes` gives a provider's own name for a code, where it has one."""

    endpoint: str
    behavior: Behavior
    max_requests: int
    codes: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    model: str = ""
    inputs: int = 0

    def check(self, path: Path) -> Checked:
        total = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                total += 1
                flaw = next(self.flaws(line, number, total), None)
                if flaw is not None:
                    return self.flawed(flaw)
        if not total:
            return self.flawed(Flaw("empty_file", "The input file is empty. Please ensure that it has requests."))
        return Checked(total, self.model)

    def flawed(self, flaw: Flaw) -> Checked:
        flaw.code = self.codes.get(flaw.code, flaw.code)
        return Checked(0, self.model, flaw)

    def flaws(self, line: bytes, number: int, total: int) -> Iterator[Flaw]:
        if total > self.max_requests:
            message = f"The batch input file contains more than the maximum of {self.max_requests} requests."
            yield Flaw("too_many_tasks", message)
        if number == 1 and line.startswith(BOM):
            yield self.byte_order_mark()
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            yield Flaw("invalid_json_line", "This line is not parseable as valid JSON.", line=number)
            return
        yield from self.envelope(request, number)
        body = request.get("body")
        if not isinstance(body, dict):
            yield Flaw("missing_required_parameter", "Missing required parameter: 'body'.", "body", number)
            return
        yield from self.body(body, number)

    def byte_order_mark(self) -> Flaw:
        return Flaw("invalid_json_line", "This line is not parseable as valid JSON.", line=1)

    def unknown_model(self, model: str) -> str:
        return f"The provided model '{model}' is not supported by the Batch API."

    def envelope(self, request: dict[str, Any], number: int) -> Iterator[Flaw]:
        custom_id = request.get("custom_id")
        if not isinstance(custom_id, str) or not custom_id:
            message = "Missing required parameter: 'custom_id'."
            yield Flaw("missing_required_parameter", message, "custom_id", number)
            return
        if custom_id in self.seen:
            message = (
                f"The custom_id '{custom_id}' is used by another request. Each custom_id must be unique in a batch."
            )
            yield Flaw("duplicate_custom_id", message, "custom_id", number)
        self.seen.add(custom_id)
        if request.get("method") != "POST":
            yield Flaw("invalid_method", "The method of each request must be 'POST'.", "method", number)
        if request.get("url") != self.endpoint:
            message = f"The URL provided for this request does not match the batch endpoint '{self.endpoint}'."
            yield Flaw("invalid_url", message, "url", number)

    def body(self, body: dict[str, Any], number: int) -> Iterator[Flaw]:
        model = body.get("model")
        if not model:
            yield Flaw("invalid_request", "you must provide a model parameter", "body.model", number)
        if self.behavior.models is not None and model not in self.behavior.models:
            yield Flaw("model_not_found", self.unknown_model(str(model)), "body.model", number)
        self.model = self.model or str(model)
        if model != self.model:
            message = f"The provided model '{model}' does not match '{self.model}', the model of the batch."
            yield Flaw("mismatched_model", message, "body.model", number)
        if body.get("stream"):
            message = "Streaming is not supported in the Batch API."
            yield Flaw("streaming_unsupported", message, "body.stream", number)
        if self.endpoint.endswith("/embeddings"):
            given = body.get("input")
            self.inputs += (
                len(given) if isinstance(given, list) and not all(isinstance(one, int) for one in given) else 1
            )
            if self.inputs > EMBEDDING_INPUTS:
                message = f"The batch has more than {EMBEDDING_INPUTS} embedding inputs."
                yield Flaw("too_many_tasks", message, "body.input", number)
