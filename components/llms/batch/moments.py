"""When something happened, however a provider writes it."""

import re
from datetime import UTC, datetime
from typing import Any

DAY_SECONDS = 86_400.0
DAY = re.compile(r"\d{4}-\d\d-\d\d")


def moment(value: Any) -> float | None:
    """Seconds since 1970 of a number or an ISO date; None for what is neither.

    A day without a time is taken as its end, so that what was made today is never taken for older than it is.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(f"{value}T23:59:59" if DAY.fullmatch(value) else value)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def days_after(start: float | None, days: int | None) -> float | None:
    """The moment so many days later, where both are known."""
    return start + days * DAY_SECONDS if start and days else None
