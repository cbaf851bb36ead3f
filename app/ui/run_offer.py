"""What is said before a run, and how what a person types there is read."""

from typing import Any, Final

from app.studio.estimates import Estimate
from components.errors import ConfigError

PREVIEWED: Final = 5
"""How many rows a preview has."""


def facts_of(estimate: Estimate) -> list[tuple[str, str]]:
    """Rows, calls, tokens and price, each in words."""
    facts = [("Rows", "unknown until they are read" if estimate.rows is None else f"{estimate.rows:,}")]
    facts.append(("Calls", "unknown" if estimate.calls is None else f"{estimate.calls:,}"))
    if estimate.tokens is not None and estimate.calls:
        facts.append(("Tokens", f"{estimate.tokens.low:,.0f} to {estimate.tokens.high:,.0f}"))
    facts.append(("Price", price_words(estimate)))
    return facts


def price_words(estimate: Estimate) -> str:
    """What a run costs; unknown stays unknown."""
    if estimate.is_free:
        return "free"
    if estimate.cost is None:
        return "unknown, as nobody knows what this model costs"
    how = {"measured": "measured in earlier calls", "guessed": "guessed from the length of the prompts"}
    words = f"{money(estimate.cost.low)} to {money(estimate.cost.high)}"
    return f"{words}, {how[estimate.basis]}" if estimate.basis in how else words


def preview_words(estimate: Estimate) -> str:
    """What stands on the preview's button: nothing paid is started by a click that shows no price."""
    name = f"Preview {PREVIEWED}"
    if estimate.is_free or not estimate.rows or not estimate.calls:
        return name
    if estimate.cost is None:
        return f"{name} (price unknown)"
    share = min(1.0, PREVIEWED / estimate.rows)
    return f"{name} ({money(estimate.cost.high * share)} at most)"


def money(amount: float) -> str:
    """US dollars; a little is said to be little, never nothing."""
    return "under $0.01" if 0 < amount < 0.005 else f"${amount:,.2f}"


def whole_number(words: Any, name: str) -> int | None:
    """A number that a person typed; None for nothing. Raises: ConfigError."""
    text = str(words or "").replace(",", "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{name}: type a whole number, 1 or more, or leave it empty.")
    return int(text)


def amount_of(words: Any) -> float | None:
    """US dollars that a person typed; None for nothing. Raises: ConfigError."""
    text = str(words or "").replace("$", "").replace(",", "").strip()
    if not text:
        return None
    try:
        amount = float(text)
    except ValueError:
        raise ConfigError("The cap is an amount in US dollars, such as 2.50. Leave it empty for none.") from None
    if not 0 < amount < 1_000_000:
        raise ConfigError("The cap must be more than 0.")
    return amount
