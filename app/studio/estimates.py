"""What a run will take before it is started: calls, tokens, money and time, as ranges; unknown stays unknown."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.studio.checks import Checks
from app.studio.connections import Connections
from app.studio.datasets import Datasets
from app.studio.measures import Range, measure
from app.studio.stand_ins import Sample, after, of_source
from components.errors import StillroomError
from components.llms.llm import LLM, AsyncLLM
from components.llms.pricing import Price
from components.pipeline.engine.identity import step_signature
from components.pipeline.graph import Graph
from components.pipeline.ledger import Ledger
from components.pipeline.spec import PipelineSpec
from components.steps.load.files import open_table
from components.steps.step import AnyStep, GeneratorStep
from components.steps.tasks.task import GeneratorTask, Task
from components.vault import lend

CAP_MARGIN = 1.5
READ_AS = ("filetype", "encoding", "delimiter")
SMALLEST_CAP = 0.01


@dataclass(frozen=True)
class StepEstimate:
    """What one step will take."""

    step: str
    model: str
    basis: str
    """`measured`, `guessed` from the length of prompts, or `unknown`."""
    calls: int | None = None
    tokens_in: Range | None = None
    tokens_out: Range | None = None
    cost: Range | None = None
    """US dollars; None where nobody knows the price."""
    is_free: bool = False
    seconds: float | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Estimate:
    """What a run will take."""

    sentence: str
    rows: int | None = None
    calls: int | None = None
    tokens: Range | None = None
    cost: Range | None = None
    """US dollars; None where a price or a number of rows is unknown, which is never shown as 0."""
    is_free: bool = False
    basis: str = "unknown"
    suggested_cap: float | None = None
    """None where no cap is needed, or none can be kept."""
    seconds: float | None = None
    """Only where it was measured."""
    steps: list[StepEstimate] = field(default_factory=list)


class Estimates:
    """Reckons; asks no model and starts nothing."""

    def __init__(self, ledger: Ledger, datasets: Datasets, connections: Connections, checks: Checks) -> None:
        self._ledger, self._datasets = ledger, datasets
        self._connections, self._checks = connections, checks

    def estimate(
        self,
        spec: PipelineSpec,
        *,
        rows: int | None = None,
        concurrency: int = 64,
        saved: Mapping[str, float] | None = None,
    ) -> Estimate:
        """What a run over all rows, or the first `rows`, will take; never raises for an unfinished pipeline.

        `saved` is the share of its price that a step saves because it is done as a batch.
        """
        unfinished = Estimate("Finish the pipeline to see what a run will take.")
        if any(self._checks.foreign_files(spec)):
            return unfinished
        with lend(self._connections.vault()):
            try:
                return self._of(spec.build(), rows, max(1, concurrency), saved or {})
            except StillroomError:
                return unfinished

    def row_count(self, step: GeneratorStep) -> int | None:
        """How many rows a source makes, where that can be known without asking anybody."""
        count: int | None = None
        if isinstance(getattr(step, "data", None), list):
            count = len(step.data)  # type: ignore[attr-defined]
        elif getattr(step, "data_files", None):
            files = step.data_files  # type: ignore[attr-defined]
            known = [self._rows_in(path, step) for path in ([files] if isinstance(files, str) else files)]
            count = None if None in known else sum(rows for rows in known if rows is not None)
        most = getattr(step, "num_examples", None)
        return min(count, most) if count is not None and most else count

    def _rows_in(self, path: str, step: GeneratorStep) -> int | None:
        info = self._datasets.at(path)
        if info is not None:
            return info.n_rows
        try:
            read_as: dict[str, Any] = {name: getattr(step, name, None) for name in READ_AS}
            return open_table(path, **read_as).count()
        except StillroomError:
            # What is wrong with the file is said when it is read for the run.
            return None

    def _of(self, graph: Graph, rows: int | None, concurrency: int, saved: Mapping[str, float]) -> Estimate:
        counts: dict[str, int | None] = {}
        samples: dict[str, Sample] = {}
        steps: list[StepEstimate] = []
        for name in graph.order():
            step, before = graph.steps[name], graph.predecessors(name)
            if isinstance(step, GeneratorStep):
                known = self.row_count(step)
                counts[name] = rows if known is None else min(known, rows if rows is not None else known)
                samples[name] = of_source(step)
                if isinstance(step, GeneratorTask):
                    steps.append(StepEstimate(name, step.llm.model_name, "unknown", is_free=_price(step.llm) == FREE))
                continue
            arriving = [counts[one] for one in before]
            counts[name] = None if None in arriving else max((one for one in arriving if one is not None), default=0)
            found = None
            if isinstance(step, Task):
                found = self._step(step, counts[name], [samples[one] for one in before], concurrency)
                steps.append(_as_batch(found, saved[name]) if name in saved else found)
                if not step.group_generations and counts[name] is not None:
                    counts[name] = (counts[name] or 0) * (step.num_generations or 1)
            written = found.tokens_out if found and found.calls else None
            samples[name] = after(step, [samples[one] for one in before], written, found.calls if found else None)
        sources = [counts[name] for name in graph.sources()]
        total = None if not sources or None in sources else max(one for one in sources if one is not None)
        return _sum(total, steps)

    def _step(self, step: Task, rows: int | None, samples: Sequence[Sample], concurrency: int) -> StepEstimate:
        price = _price(step.llm)
        generations = step.num_generations or 1
        calls = None if rows is None else rows * (1 if _gives_many(step.llm) else generations)
        known = measure(self._ledger, _signature(step))
        if known is not None:
            read, written, basis = known.tokens_in, known.tokens_out, "measured"
        else:
            guess = Sample.tokens(step, samples)
            if guess is None:
                return StepEstimate(step.name, step.llm.model_name, "unknown", calls, is_free=price == FREE, rows=rows)
            (read, written), basis = guess, "guessed"
            read = read if _gives_many(step.llm) else read * generations
        tokens_in = None if rows is None else read * rows
        tokens_out = None if rows is None else written * rows
        cost = None
        if price is not None and tokens_in is not None and tokens_out is not None:
            cost = Range(_cost(price, tokens_in.low, tokens_out.low), _cost(price, tokens_in.high, tokens_out.high))
        seconds = None
        if known is not None and rows is not None:
            seconds = known.seconds * rows / min(concurrency, max(1, rows))
        return StepEstimate(
            step.name, step.llm.model_name, basis, calls, tokens_in, tokens_out, cost, price == FREE, seconds, rows
        )


FREE = Price(0, 0)


def _as_batch(step: StepEstimate, discount: float) -> StepEstimate:
    # How long a batch takes is its provider's affair.
    return replace(step, cost=None if step.cost is None else step.cost * (1 - discount), seconds=None)


def _price(llm: LLM) -> Price | None:
    try:
        return FREE if llm.is_rehearsal else llm.price
    except StillroomError:
        # Without its connection nobody knows where the model is, nor what it costs there.
        return None


def _gives_many(llm: LLM) -> bool:
    try:
        return not isinstance(llm, AsyncLLM) or llm.gives_many
    except StillroomError:
        return True


def _signature(step: AnyStep) -> str:
    try:
        return step_signature(step)
    except StillroomError:
        return ""


def _cost(price: Price, read: float, written: float) -> float:
    return (read * price.input + written * price.output) / 1_000_000


def _sum(rows: int | None, steps: list[StepEstimate]) -> Estimate:
    if not steps:
        return Estimate("No model is asked, so nothing is paid.", rows, 0, None, Range(0, 0), True, "measured")
    is_free = all(step.is_free for step in steps)
    calls = None if any(step.calls is None for step in steps) else sum(step.calls or 0 for step in steps)
    costs = [Range(0, 0) if step.is_free else step.cost for step in steps]
    cost = None
    if all(one is not None for one in costs):
        cost = sum((one for one in costs if one is not None), Range(0, 0))
    tokens = [part for step in steps for part in (step.tokens_in, step.tokens_out)]
    total = None if None in tokens else sum((part for part in tokens if part is not None), Range(0, 0))
    bases = {step.basis for step in steps}
    basis = next(one for one in ("unknown", "guessed", "measured") if one in bases)
    seconds = None if any(step.seconds is None for step in steps) else max(step.seconds or 0 for step in steps)
    cap = None if cost is None or is_free else rounded_up(cost.high * CAP_MARGIN)
    return Estimate(
        _sentence(rows, calls, total, cost, is_free),
        rows,
        calls,
        total,
        cost,
        is_free,
        basis,
        cap,
        seconds,
        steps,
    )


def rounded_up(amount: float) -> float:
    """To cents, to tenths from $1 on, to dollars from $20 on."""
    unit = 0.01 if amount < 1 else 0.1 if amount < 20 else 1
    return max(SMALLEST_CAP, round(math.ceil(amount / unit - 1e-9) * unit, 2))


def _sentence(rows: int | None, calls: int | None, tokens: Range | None, cost: Range | None, is_free: bool) -> str:
    parts = ["rows unknown" if rows is None else f"{rows:,} row{'' if rows == 1 else 's'}"]
    parts.append("calls unknown" if calls is None else f"{calls:,} call{'' if calls == 1 else 's'}")
    if tokens is not None:
        parts.append(f"about {_about((tokens.low + tokens.high) / 2)} tokens")
    if is_free:
        parts.append("free")
    elif cost is None:
        parts.append("price unknown")
    else:
        low, high = _money(cost.low), _money(cost.high)
        parts.append(low if low == high else f"{low} to {high}")
    return ", ".join(parts)


def _about(count: float) -> str:
    if count < 1000:
        return f"{count:.0f}"
    digits = 10 ** (len(str(int(count))) - 2)
    return f"{round(count / digits) * digits:,.0f}"


def _money(amount: float) -> str:
    if amount and amount < 0.005:
        return "under $0.01"
    return f"${amount:,.2f}"
