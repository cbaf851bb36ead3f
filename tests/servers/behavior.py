"""How a server behaves: what it answers, whom it lets in, what it does not support, what goes wrong."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.servers.answers import Reply
from tests.servers.faults import Fault, Faults, Plan

Answer = str | Reply | Fault | None
Replier = Callable[[dict[str, Any]], Answer | Sequence[Answer]]


@dataclass
class Behavior:
    """Every field may be changed while the server runs; the next request sees it.

    `reply(body)` gives the text, a `Reply`, a `Fault` to have it fail, a list of those (one for each of n), or None
    for the default answer. Without it an answer is `echo: <last user text>`, or JSON that fits the schema asked for.
    """

    reply: Replier | None = None
    embed: Callable[[dict[str, Any]], Any] | None = None  # the body of an embeddings answer, or a Refusal
    keys: Collection[str] | None = None  # None lets anyone in, even without a key
    models: Sequence[str] | None = None  # None takes any model name
    lists_models: bool = True
    model_list_is_bare: bool = False  # as Together does: an array, no object around it
    faults: Plan = field(default_factory=Faults)
    latency_ms: float = 0.0
    jitter_ms: float = 0.0  # up to this much more, decided by the content
    slow_s: float = 2.0
    rps: float | None = None
    burst: float = 1.0
    retry_after_s: float = 1.0
    retry_after_ms: int = 20
    context_tokens: int | None = None
    has_json_schema: bool = True
    has_json_object: bool = True
    checks_schemas: bool = True  # OpenAI's own rules for names and strict schemas
    reads_schema_in_prompt: bool = False  # answers JSON to a schema written out in the prompt, with no response_format
    has_n: bool = True
    refuses: Collection[str] = ()  # parameters answered with 400
    reasoning: tuple[str, ...] = ("o1", "o3", "o4", "gpt-5")
    huge_bytes: int = 10_000_000
    tag_pattern: str = r"\brow-\w+"  # the first match in the last user text names the row; else the whole text does

    def is_reasoning(self, model: str) -> bool:
        return model.startswith(self.reasoning)
