"""Now or overnight: what each step of a pipeline would take as a batch, before anything is sent."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from app.studio.batch_terms import Terms, is_on_this_machine, provider_title, terms_of
from app.studio.checks import Checks
from app.studio.connections import Connections
from app.studio.estimates import Estimate, Estimates, StepEstimate, rounded_up
from app.studio.measures import Range
from app.studio.stand_ins import COUNTED_TOO_HIGH
from components.errors import ConfigError, StillroomError
from components.llms.batch.local import LocalBatch
from components.llms.batch.protocol import BatchProvider
from components.llms.remote import RemoteLLM
from components.pipeline.graph import Graph
from components.pipeline.spec import PipelineSpec
from components.steps.tasks.task import Task
from components.vault import lend

FIELD = "use_offline_batch_generation"
BYTES_PER_TOKEN = 5
BYTES_PER_REQUEST = 400
"""What stands around a prompt in a line of a batch file, about."""


@dataclass(frozen=True)
class StepPlan:
    """One step that asks a model, now and overnight."""

    step: str
    model: str
    provider: str = ""
    is_overnight: bool = False
    """What was chosen."""
    is_possible: bool = True
    why_not: str = ""
    is_local: bool = False
    """The rows are asked from this machine, a few at a time, so it has to stay on."""
    is_free: bool = False
    now: Range | None = None
    """US dollars; None where nobody knows."""
    overnight: Range | None = None
    most: float | None = None
    """US dollars that its batch costs if every answer is as long as it may be; a cap has to leave room for this."""
    discount: float = 0.0
    """The share that a batch of this very model saves."""
    requests: int | None = None
    files: int | None = None
    bytes: int | None = None
    """About."""
    max_requests: int = 0
    max_bytes: int = 0
    worst_hours: int | None = None
    """None where the provider promises no time."""
    results_days: int | None = None
    looked_up: str = ""


@dataclass(frozen=True)
class OvernightPlan:
    """A pipeline as chosen."""

    estimate: Estimate
    """With the discount of the steps that are to be done overnight."""
    steps: list[StepPlan] = field(default_factory=list)
    worst_hours: int | None = 0
    """0 where nothing is done overnight; None where nobody promises a time."""
    saving: Range | None = None
    suggested_cap: float | None = None
    """With room for what batches cost at most; None where no cap is needed, or none can be kept."""

    @property
    def most(self) -> float:
        """US dollars that all batches together cost at most, as far as prices are known."""
        return sum(step.most or 0.0 for step in self.steps if step.is_overnight and not step.is_free)

    @property
    def chosen(self) -> list[str]:
        """The steps to be done overnight."""
        return [step.step for step in self.steps if step.is_overnight]


class Overnight:
    """Plans; asks no model and starts nothing."""

    def __init__(self, estimates: Estimates, connections: Connections, checks: Checks) -> None:
        self._estimates, self._connections, self._checks = estimates, connections, checks

    def plan(
        self,
        spec: PipelineSpec,
        *,
        overnight: Collection[str] | None = None,
        rows: int | None = None,
        concurrency: int = 64,
    ) -> OvernightPlan:
        """What the steps take now and overnight; `overnight` names those to be done so, else what the pipeline says.

        Never raises for an unfinished pipeline.
        """
        now = self._estimates.estimate(spec, rows=rows, concurrency=concurrency)
        if any(self._checks.foreign_files(spec)):
            return OvernightPlan(now)
        with lend(self._connections.vault()):
            try:
                graph = spec.build()
            except StillroomError:
                return OvernightPlan(now)
            found = {step.step: step for step in now.steps}
            chosen = overnight_steps(spec) if overnight is None else set(overnight)
            plans = [
                _planned(step, found.get(name), name in chosen)
                for name in graph.order()
                if isinstance(step := graph.steps[name], Task)
            ]
        saved = {plan.step: plan.discount for plan in plans if plan.is_overnight}
        chosen_estimate = now
        if saved:
            chosen_estimate = self._estimates.estimate(spec, rows=rows, concurrency=concurrency, saved=saved)
        plan = OvernightPlan(chosen_estimate, plans, _worst_hours(graph, plans), _saving(now, chosen_estimate))
        return replace(plan, suggested_cap=_cap(plan))

    def check_cap(self, plan: OvernightPlan, cap: float | None) -> None:
        """Raises: ConfigError for a cap below what batches may cost; once sent, nothing can halt them at an amount."""
        if cap is not None and plan.most > cap:
            raise ConfigError(
                f"The batches cost up to ${plan.most:,.2f} if every answer is as long as it may be, and the cap is "
                f"${cap:,.2f}. A batch cannot be halted at an amount once it is sent. Raise the cap, allow fewer new "
                "tokens, or run fewer rows."
            )


def overnight_steps(spec: PipelineSpec) -> set[str]:
    """The steps that the pipeline itself says are to be done overnight."""
    return {step["name"] for step in spec.steps if isinstance(step.get("llm"), Mapping) and step["llm"].get(FIELD)}


def with_overnight(spec: PipelineSpec, steps: Collection[str]) -> PipelineSpec:
    """The pipeline with just these steps done overnight, and all others now."""
    changed = []
    for step in spec.steps:
        llm = step.get("llm")
        wanted = step["name"] in steps
        if isinstance(llm, Mapping) and bool(llm.get(FIELD)) != wanted:
            kept = {name: value for name, value in llm.items() if name != FIELD}
            step = {**step, "llm": {**kept, FIELD: True} if wanted else kept}
        changed.append(step)
    return spec.model_copy(update={"steps": changed})


def _planned(step: Task, estimate: StepEstimate | None, is_chosen: bool) -> StepPlan:
    plain = StepPlan(step.name, step.llm.model_name, is_free=estimate is not None and estimate.is_free)
    plain = replace(plain, now=estimate.cost if estimate else None)
    if type(step).process is not Task.process:
        return replace(plain, is_possible=False, why_not="This step asks its model in a way of its own.")
    try:
        provider = step.llm.batch_provider()
        # Some servers have to be asked whether they have a batch API, which is no use before somebody wants it.
        if is_chosen and isinstance(step.llm, RemoteLLM) and not step.llm.has_batch_api:
            provider = LocalBatch(step.llm)
        terms = terms_of(provider, step.llm, count=step.num_generations or 1)
    except StillroomError as error:
        return replace(plain, is_possible=False, why_not=str(error))
    return replace(_on_terms(plain, provider, terms, estimate), is_overnight=is_chosen)


def _on_terms(plan: StepPlan, provider: BatchProvider, terms: Terms, estimate: StepEstimate | None) -> StepPlan:
    caps = terms.caps
    is_local = is_on_this_machine(provider.account)
    discount = terms.discount
    requests = estimate.calls if estimate else None
    size = None
    if estimate is not None and requests is not None and estimate.tokens_in is not None:
        size = math.ceil(estimate.tokens_in.high * BYTES_PER_TOKEN + requests * BYTES_PER_REQUEST)
    files = None
    if requests is not None:
        files = max(1, math.ceil(requests / caps.max_requests), math.ceil((size or 0) / caps.max_bytes))
    return replace(
        plan,
        provider=provider_title(provider.account),
        is_local=is_local,
        overnight=None if plan.now is None else plan.now * (1 - discount),
        most=_most(terms, estimate),
        discount=discount,
        requests=requests,
        files=files,
        bytes=size,
        max_requests=caps.max_requests,
        max_bytes=caps.max_bytes,
        worst_hours=caps.worst_hours,
        results_days=caps.results_days,
        looked_up=caps.looked_up,
    )


def _most(terms: Terms, estimate: StepEstimate | None) -> float | None:
    if terms.price is None or estimate is None or estimate.rows is None or estimate.tokens_in is None:
        return None
    read = estimate.tokens_in.high / COUNTED_TOO_HIGH
    return terms.price.cost(math.ceil(read), estimate.rows * terms.most_written) * (1 - terms.discount)


def _cap(plan: OvernightPlan) -> float | None:
    cap = plan.estimate.suggested_cap
    return None if cap is None else max(cap, rounded_up(plan.most))


def _worst_hours(graph: Graph, plans: list[StepPlan]) -> int | None:
    """A batch of a later step is made when the earlier one is back, so their times add up along the way."""
    by_name = {plan.step: plan for plan in plans if plan.is_overnight}
    if any(plan.worst_hours is None for plan in by_name.values()):
        return None
    hours: dict[str, int] = {}
    for name in graph.order():
        before = max((hours[one] for one in graph.predecessors(name)), default=0)
        own = by_name[name].worst_hours if name in by_name else 0
        hours[name] = before + (own or 0)
    return max(hours.values(), default=0)


def _saving(now: Estimate, chosen: Estimate) -> Range | None:
    if now.cost is None or chosen.cost is None:
        return None
    return Range(now.cost.low - chosen.cost.low, now.cost.high - chosen.cost.high)
