"""What can be found out about models before a run: which there are, whether one answers, what runs on this machine."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from components.errors import ConfigError, StillroomError, WrongAddress
from components.llms.chat import is_reasoning
from components.llms.endpoint import Site, checked_base_url, open_endpoint
from components.llms.learned import habits_of
from components.llms.llm import LLM, AsyncLLM
from components.llms.output import as_output
from components.llms.providers import PRESETS, Preset, preset_at
from components.llms.remote import RemoteLLM

GREETING = [{"role": "user", "content": "Say hello in one word."}]
PROBE_TOKENS = 16
PROBE_TOKENS_OF_A_THINKER = 1_024


@dataclass(frozen=True)
class Probe:
    """What came of one tiny request."""

    ok: bool
    message: str
    """What to tell the person: the answer, or what to do."""
    seconds: float = 0.0
    text: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    refused: tuple[str, ...] = ()
    """Parameters that this model was found not to take."""


@dataclass(frozen=True)
class Found:
    """A server on this machine that lists its models."""

    preset: Preset
    base_url: str
    models: tuple[str, ...]


async def list_models(
    base_url: str | Preset, key: str | SecretStr | None = None, *, timeout: float = 10.0, connect: float = 5.0
) -> list[str]:
    """The names of the models at a provider or an address, sorted.

    Raises: CredentialError, WrongAddress and the other errors of a call.
    """
    from components.llms.http import get_json

    own = base_url if isinstance(base_url, Preset) else preset_at(base_url)
    url = base_url.base_url if isinstance(base_url, Preset) else checked_base_url(base_url)
    site = Site(url, own.base_url, own)
    if not url:
        raise ConfigError(f"{own.title} needs a base_url to list its models.")
    secret = SecretStr(key) if isinstance(key, str) else key
    endpoint = open_endpoint(own, site, secret, {})
    reply = await get_json(
        url + own.models_path, headers=endpoint.headers, timeout=timeout, connect=connect, provider=site.title
    )
    names = _names(reply.data)
    if names is None:
        raise WrongAddress(f"{site.title} answers, but not with a list of models. Check base_url.")
    return sorted(set(names))


async def probe(llm: LLM) -> Probe:
    """Ask a model for one word, once and without retries; what goes wrong is in the message."""
    started = time.monotonic()
    thinks = is_reasoning(llm.model_name)
    length = PROBE_TOKENS_OF_A_THINKER if thinks else PROBE_TOKENS
    fields = llm.generation_model().model_fields
    limit = {name: length for name in ("max_new_tokens", "max_tokens") if name in fields}
    try:
        if isinstance(llm, AsyncLLM):
            output = await llm.agenerate(GREETING, num_generations=1, **limit)
        else:
            output = (await asyncio.to_thread(llm.generate, [GREETING], 1, **limit))[0]
        output = as_output(output, type(llm).__name__)
    except StillroomError as error:
        return Probe(False, error.message, time.monotonic() - started, refused=_refused(llm))
    text = output["generations"][0] or ""
    statistics = output["statistics"]
    return Probe(
        True,
        f"It answers: {' '.join(text.split())[:80]}" if text.strip() else "It answers, with no text.",
        time.monotonic() - started,
        text,
        sum(statistics.get("input_tokens") or ()),
        sum(statistics.get("output_tokens") or ()),
        _refused(llm),
    )


async def detect_local_servers(timeout: float = 0.5, presets: Iterable[Preset] | None = None) -> list[Found]:
    """Servers on this machine that answer where such servers usually listen, within `timeout` seconds."""

    async def look(preset: Preset) -> Found | None:
        try:
            names = await list_models(preset, "none", timeout=timeout, connect=timeout)
        except StillroomError:
            return None
        return Found(preset, preset.base_url, tuple(names))

    usual = [one for one in PRESETS.values() if one.is_local] if presets is None else presets
    return [found for found in await asyncio.gather(*(look(one) for one in usual)) if found is not None]


def _names(data: Any) -> list[str] | None:
    """The ids in a model list: OpenAI's object, a bare array, or Gemini's `models`; None where it is no such list."""
    rows = data
    if isinstance(data, dict):
        rows = data.get("data", data.get("models", ...)) or []
    if not isinstance(rows, list):
        return None
    names = [
        row.get("id") or row.get("name") if isinstance(row, dict) else row
        for row in rows
        if not (isinstance(row, dict) and row.get("active") is False)
    ]
    return [name.removeprefix("models/") for name in names if isinstance(name, str)]


def _refused(llm: LLM) -> tuple[str, ...]:
    if not isinstance(llm, RemoteLLM):
        return ()
    try:
        habits = habits_of(llm.account, llm.model_name)
    except StillroomError:
        return ()
    several = ("n",) if habits.answers_one else ()
    return (*sorted(habits.refused | habits.warned), *several)
