"""Now or overnight, as the dialog before a run offers it: for each step both prices, the plan and the worst time."""

from collections.abc import Sequence
from typing import Any, Final

from app.studio.measures import Range
from app.studio.overnight import OvernightPlan, StepPlan
from app.ui.run_offer import money

MEGABYTE: Final = 1_000_000


def choices_of(plan: OvernightPlan) -> list[dict[str, Any]]:
    """The steps that ask a model, each with both ways."""
    return [
        {
            "step": step.step,
            "model": step.model,
            "is_overnight": step.is_overnight,
            "is_possible": step.is_possible,
            "now": _price(step.now, step.is_free),
            "overnight": _price(step.overnight, step.is_free),
            "time": _time(step),
            "details": _details(step) if step.is_possible else [],
            "why_not": step.why_not,
        }
        for step in plan.steps
    ]


def sentences_of(plan: OvernightPlan) -> list[str]:
    """What holds for all that was chosen together."""
    chosen = [step for step in plan.steps if step.is_overnight]
    if not chosen:
        return []
    said = [_worst(plan, chosen)]
    if plan.saving is not None and plan.saving.high > 0:
        said.append(f"Saves {money(plan.saving.low)} to {money(plan.saving.high)}.")
    if plan.most > 0:
        said.append(
            f"At most {money(plan.most)} if every answer is as long as it may be; the cap leaves room for that, as a "
            "batch cannot be halted halfway."
        )
    if any(step.is_local for step in chosen):
        said.append("You can close this tab, but this machine does the work and has to stay on.")
    else:
        said.append("Once it is submitted, you can close this tab and your laptop.")
    return said


def _worst(plan: OvernightPlan, chosen: Sequence[StepPlan]) -> str:
    if plan.worst_hours is None:
        open_end = next(step for step in chosen if step.worst_hours is None)
        return f"{open_end.provider} promises no time."
    longest = max(step.worst_hours or 0 for step in chosen)
    if plan.worst_hours > longest:
        return f"A later step is sent when the earlier one is back: {plan.worst_hours} h at the worst."
    return f"{plan.worst_hours} h at the worst."


def _time(step: StepPlan) -> str:
    if step.is_local:
        return "at low priority"
    return f"within {step.worst_hours} h" if step.worst_hours is not None else "no time promised"


def _details(step: StepPlan) -> list[str]:
    discount = f"{step.discount:.0%} off for this model" if step.discount else "no discount for this model"
    if step.is_local:
        discount = "no discount, as no provider has a batch API for it"
    said = [f"{step.provider}: {discount}."]
    if step.files is not None and step.requests is not None:
        files = f"{step.files:,} file{'s' if step.files > 1 else ''}"
        size = f", about {_size(step.bytes)}" if step.bytes else ""
        said.append(f"{files}, {step.requests:,} requests{size}.")
    limits = f"Limits: {step.max_requests:,} requests and {_size(step.max_bytes)} a file"
    said.append(limits + (f", looked up {step.looked_up}." if step.looked_up and not step.is_local else "."))
    if step.results_days is not None:
        said.append(f"Results are kept there for {step.results_days} days, and fetched as soon as they are there.")
    return said


def _price(cost: Range | None, is_free: bool) -> str:
    if is_free:
        return "free"
    if cost is None:
        return "price unknown"
    low, high = money(cost.low), money(cost.high)
    return low if low == high else f"{low} to {high}"


def _size(count: int | None) -> str:
    millions = (count or 0) / MEGABYTE
    return f"{millions:,.0f} MB" if millions >= 10 else f"{max(millions, 0.1):.1f} MB"
