"""What tokens cost. An unknown price stays unknown."""

from dataclasses import dataclass
from functools import cache
from typing import Any

PROBE_TOKENS = 1_000
PICTURE_TOKENS = 2_000


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float

    @property
    def is_free(self) -> bool:
        return self.input == 0 and self.output == 0

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """US dollars for these tokens."""
        return (input_tokens * self.input + output_tokens * self.output) / 1_000_000

    @staticmethod
    def look_up(provider: str, model: str, tier: str = "") -> "Price | None":
        """The list price of a model, from the price table that ships with genai-prices; None where it has none."""
        return _look_up(provider, model, tier)


@cache
def _look_up(provider: str, model: str, tier: str) -> Price | None:
    from genai_prices import Usage, calc_price

    def per_million(usage: Any) -> float:
        context = {"service_tier": tier} if tier else None
        price = calc_price(usage, model_ref=model, provider_id=provider, price_context=context).total_price
        return float(price) * 1_000_000 / PROBE_TOKENS

    try:
        return Price(per_million(Usage(input_tokens=PROBE_TOKENS)), per_million(Usage(output_tokens=PROBE_TOKENS)))
    except LookupError:
        return None


def estimate_tokens(input: Any) -> int:
    """About how many tokens a prompt has: a third of its bytes, more than most tokenizers count."""
    if isinstance(input, tuple):
        input = input[0]
    if isinstance(input, str):
        return _bytes(input) // 3 + 8
    total = 0
    for message in input:
        content = message.get("content") or ""
        for part in [content] if isinstance(content, str) else content:
            text = part if isinstance(part, str) else part.get("text")
            total += PICTURE_TOKENS if text is None else _bytes(str(text)) // 3
        total += 8
    return total


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
