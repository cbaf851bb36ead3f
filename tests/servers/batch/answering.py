"""The answer to one request of a batch, by the same rules and reply function as the online server's."""

from collections.abc import Sequence
from typing import Any

from tests.servers import answers, fault_replies, refusals
from tests.servers.chat_routes import ChatRoutes
from tests.servers.faults import Fault
from tests.servers.journal import Received
from tests.servers.refusals import Refusal


class Answering:
    """Runs outside the event loop; latency is a matter of the batch, not of its rows."""

    def __init__(self, routes: ChatRoutes) -> None:
        self.routes = routes

    def __call__(self, body: dict[str, Any], record: Received, endpoint: str) -> dict[str, Any] | Refusal:
        behavior = self.routes.behavior
        if refused := malformed(body) or refusals.refusal(body, behavior):
            return refused
        if endpoint.endswith("/embeddings"):
            return answers.embeddings(body)
        try:
            replies = self.routes.replies(body, record)
        except Exception as error:
            self.routes.broken_replies.append(error)
            return Refusal(500, f"The test's reply function failed: {error!r}", "server_error")
        fault = Fault(record.fault) if record.fault else None
        if fault and (refused := fault_replies.refused_by_fault(fault, body, behavior)):
            return refused
        return self.completion(body, replies, record, fault, endpoint)

    def completion(
        self,
        body: dict[str, Any],
        replies: Sequence[answers.Reply],
        record: Received,
        fault: Fault | None,
        endpoint: str,
    ) -> dict[str, Any]:
        behavior = self.routes.behavior
        reasoning = behavior.is_reasoning(body["model"])
        most = answers.budget(body, reasoning)
        cut = [answers.shortened(fault_replies.spoiled(fault, reply, behavior), body, most) for reply in replies]
        if endpoint.endswith("/completions") and not endpoint.endswith("/chat/completions"):
            return answers.completion(body, cut, record.seq)
        whole = fault_replies.spoiled_body(fault, answers.chat_completion(body, cut, record.seq, reasoning))
        # A provider that answers with the tool it was told to use has to know its name.
        return {**whole, "forced_tool": body["forced_tool"]} if "forced_tool" in body else whole


def malformed(body: dict[str, Any]) -> Refusal | None:
    """Messages that are none, which nothing else here could read."""
    messages = body.get("messages")
    if messages is None and ("prompt" in body or "input" in body):
        return None
    if isinstance(messages, list) and messages and all(isinstance(one, dict) for one in messages):
        return None
    return Refusal(400, "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
