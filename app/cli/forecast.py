"""What a run will take, said before it begins, and which of its steps are done overnight."""

from collections.abc import Sequence

from app.cli.screen import WrongUse
from app.studio import Studio
from app.studio.checks import Checks
from app.studio.estimates import Estimates
from app.studio.overnight import Overnight, OvernightPlan, StepPlan, overnight_steps, with_overnight
from components.errors import did_you_mean
from components.pipeline.spec import PipelineSpec

EVERY = "all"


def forecast(
    studio: Studio, spec: PipelineSpec, names: Sequence[str], *, rows: int | None, concurrency: int
) -> tuple[PipelineSpec, OvernightPlan]:
    """The pipeline with the named steps done overnight too, and what it will take. Raises: WrongUse."""
    checks = Checks(studio.settings, studio.connections, reads_any_file=True)
    estimates = Estimates(studio.ledger, studio.datasets, studio.connections, checks)
    overnight = Overnight(estimates, studio.connections, checks)
    chosen = overnight_steps(spec)
    if names:
        chosen |= _chosen(names, spec.step_names(), overnight.plan(spec, rows=rows).steps)
    spec = with_overnight(spec, chosen)
    return spec, overnight.plan(spec, rows=rows, concurrency=concurrency)


def in_a_line(plan: OvernightPlan) -> str:
    """Rows, calls and price; what is done overnight, by when, and what that costs at most."""
    line = f"{plan.estimate.sentence.removesuffix('.')}."
    steps = [f"{step.step} ({step.provider}, {_by_when(step)})" for step in plan.steps if step.is_overnight]
    if steps:
        most = f", at most ${plan.most:,.2f}" if plan.most >= 0.01 else ""
        line += f" Overnight: {', '.join(steps)}{most}."
    return line


def _chosen(names: Sequence[str], known: Sequence[str], plans: Sequence[StepPlan]) -> set[str]:
    found = {plan.step: plan for plan in plans}
    chosen: set[str] = set()
    for name in names:
        if name == EVERY and name not in known:
            chosen |= {plan.step for plan in plans if plan.is_possible}
        elif name not in known:
            raise WrongUse(f"--overnight {name}: there is no step '{name}'.{did_you_mean(name, known)}")
        elif name not in found:
            raise WrongUse(f"--overnight {name}: this step asks no model.")
        elif not found[name].is_possible:
            raise WrongUse(f"--overnight {name}: {found[name].why_not}")
        else:
            chosen.add(name)
    if not chosen:
        reasons = list(dict.fromkeys(plan.why_not for plan in plans if plan.why_not))
        raise WrongUse(" ".join(["--overnight: no step of this pipeline can be done overnight.", *reasons]))
    return chosen


def _by_when(step: StepPlan) -> str:
    if step.is_local:
        return "as long as it is on"
    return f"within {step.worst_hours} h" if step.worst_hours is not None else "no time promised"
