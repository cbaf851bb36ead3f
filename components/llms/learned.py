"""What servers turned out not to take, remembered while the process lives so that it is asked for once only."""

import logging
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from components.errors import RequestRefused
from components.llms.chat import TOKEN_FIELDS
from components.llms.structured import Form, Rung

logger = logging.getLogger("stillroom.llm")

OPTIONAL = frozenset(
    {
        "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "stop", "seed", "random_seed",
        "logprobs", "top_logprobs", "reasoning_effort", "service_tier",
    }
)  # fmt: skip
"""Parameters a request can do without."""

REFUSING = re.compile(
    r"unsupported|not support|n't support|unrecognized|unknown|unexpected|extra (inputs|fields)|not permitted"
    r"|not allowed|only the default|only n = 1|not available|not implemented",
    re.IGNORECASE,
)
REFUSING_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden"})
ABOUT_FORM = re.compile(
    r"response_?format|json_?schema|json_?object|output_config|output_format|schema|structured|grammar|mime_?type|tool",
    re.IGNORECASE,
)
ABOUT_ONE_SCHEMA = re.compile(
    r"invalid schema|schema is invalid|schema is too|invalid_json_schema|unsupported schema", re.IGNORECASE
)
MOST_SCHEMAS = 1_000


@dataclass
class Habits:
    """What one account's model does not take."""

    refused: set[str] = field(default_factory=set)
    """Parameters to leave out."""
    answers_one: bool = False
    """Only one generation a call."""
    tokens_field: str = ""
    """The other name for the token limit, where the usual one was refused."""
    rung: int = 0
    """How far down the ladder of structured output to begin."""
    rungs: dict[str, int] = field(default_factory=dict)
    """The same for schemas that were refused one by one."""
    warned: set[str] = field(default_factory=set)

    def warn(self, names: Iterable[str]) -> None:
        """Say once that parameters are left out."""
        for name in names:
            if name not in self.warned:
                self.warned.add(name)
                logger.warning("The model does not take '%s', which is left out from now on.", name)

    def learn(self, error: RequestRefused, sent: Collection[str]) -> bool:
        """Take note of a parameter that was refused; False when the refusal is about something else."""
        name = refused_parameter(error, sent)
        if name == "n":
            self.answers_one = True
        elif name in TOKEN_FIELDS:
            self.tokens_field = TOKEN_FIELDS[1 - TOKEN_FIELDS.index(name)]
        elif name in OPTIONAL:
            self.refused.add(name)
            self.warn([name])
        else:
            return False
        return True

    def learn_rung(self, error: RequestRefused, form: Form, rung: Rung) -> bool:
        """Take note that a way to ask for a form was refused; False when it was something else."""
        if rung is Rung.PROMPT or not ABOUT_FORM.search(f"{error.parameter} {error.message}"):
            return False
        if ABOUT_ONE_SCHEMA.search(error.message):
            if len(self.rungs) >= MOST_SCHEMAS:
                self.rungs.clear()
            self.rungs[form.digest] = rung + 1
        else:
            self.rung = max(self.rung, rung + 1)
        return True


def refused_parameter(error: RequestRefused, sent: Collection[str]) -> str:
    """The parameter that a server refused to take at all, among those sent; empty when it refused something else."""
    known = [name for name in sent if name in OPTIONAL or name in TOKEN_FIELDS or name == "n"]
    message = error.message
    if not REFUSING.search(message) and not any(code in message for code in REFUSING_CODES):
        return ""
    if error.parameter:
        last = error.parameter.rsplit(".", 1)[-1]
        return last if last in known else ""
    quoted = [name for name in known if re.search(rf"[`'\"]{name}[`'\"]", message)]
    return quoted[0] if len(quoted) == 1 else ""


_habits: dict[tuple[str, str], Habits] = {}


def habits_of(account: str, model: str) -> Habits:
    """What is remembered of one account's model."""
    return _habits.setdefault((account, model), Habits())


def forget() -> None:
    """Begin anew, as after a server was replaced."""
    _habits.clear()
