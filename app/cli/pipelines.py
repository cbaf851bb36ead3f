"""What the commands about pipelines do: run, rehearse, check and convert."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.cli.forecast import forecast, in_a_line
from app.cli.home import SHORT, opened
from app.cli.pipeline_file import read
from app.cli.program import DONE, DONE_WITH_FAILURES, FAILED
from app.cli.rehearsal import rehearsal_of
from app.cli.screen import Screen, WrongUse, count, money
from app.cli.working import checked_out, report, work
from app.studio import Studio
from components.pipeline import files
from components.pipeline.checks import check
from components.pipeline.convert import convert, is_old
from components.pipeline.problem import raise_errors
from components.pipeline.running import RunOptions, create_run
from components.pipeline.spec import PipelineSpec
from components.steps.step import METADATA
from components.vault import lend

ORIGIN = "cli"


@dataclass(frozen=True)
class Wishes:
    """How a pipeline is to be run, as the command line says."""

    settings: Sequence[str] = ()
    data: Path | None = None
    out: Path | None = None
    cap: float | None = None
    concurrency: int | None = None
    limit: int | None = None
    use_cache: bool = True
    overnight: Sequence[str] = ()


def run(path: Path, wishes: Wishes, screen: Screen, home: Path | None) -> int:
    """Run a pipeline to its end."""
    out, cap = checked_out(wishes.out), checked_cap(wishes.cap)
    spec = read(path, screen, settings=wishes.settings, data=wishes.data)
    with opened(home) as studio:
        options = RunOptions(
            origin=ORIGIN,
            cap=cap,
            concurrency=wishes.concurrency or studio.settings.concurrency,
            row_limit=wishes.limit,
            use_cache=wishes.use_cache,
        )
        _check(studio, spec)
        spec, plan = forecast(studio, spec, wishes.overnight, rows=wishes.limit, concurrency=options.concurrency)
        studio.overnight.check_cap(plan, cap)
        run_id = _begin(studio, spec, options)
        limit = "no spending cap" if cap is None else f"spends {money(cap)} at most"
        screen.note(f"Run {run_id[:SHORT]}: {spec.name}, {limit}.")
        screen.note(in_a_line(plan))
        work(studio, run_id, screen)
        return report(studio, run_id, screen, home, out)


def rehearse(path: Path, wishes: Wishes, screen: Screen, home: Path | None) -> int:
    """Run the first rows with made-up answers, and show them."""
    out = checked_out(wishes.out)
    spec = rehearsal_of(read(path, screen, settings=wishes.settings, data=wishes.data))
    with opened(home) as studio:
        options = RunOptions(kind="dry_run", origin=ORIGIN, row_limit=wishes.limit, use_cache=False)
        _check(studio, spec)
        run_id = _begin(studio, spec, options)
        work(studio, run_id, screen)
        return report(studio, run_id, screen, home, out, results=_results(studio, run_id))


def check_file(path: Path, wishes: Wishes, screen: Screen, home: Path | None) -> int:
    """Say everything that keeps a pipeline from running."""
    spec = read(path, screen, settings=wishes.settings, data=wishes.data)
    with opened(home) as studio, lend(studio.connections.vault()):
        problems = check(spec)
    n_errors = sum(problem.severity == "error" for problem in problems)
    fields = ("step", "field", "message", "severity")
    told = [{name: value for name, value in dataclasses.asdict(one).items() if name in fields} for one in problems]
    lines = [one.message if one.severity == "error" else f"Warning: {one.message}" for one in problems]
    verdict = f"{spec.name} has {count(n_errors, 'problem')}." if n_errors else f"{spec.name} can run."
    screen.answer({"name": spec.name, "ok": not n_errors, "problems": told}, "\n".join([*lines, verdict]))
    return FAILED if n_errors else DONE


def convert_file(old: Path, new: Path, screen: Screen) -> int:
    """Write a pipeline file of the older library anew; says what could not be taken over."""
    document = files.read(old)
    if not is_old(document):
        raise WrongUse(f"{old} is no pipeline of the older library, so there is nothing to convert.")
    if new.exists():
        raise WrongUse(f"{new} is there already. Choose another name, or remove it first.")
    spec, notes = convert(document)
    spec.save(new)
    screen.answer({"out": str(new), "notes": notes}, "\n".join([*notes, f"The pipeline is in {new}."]))
    return DONE_WITH_FAILURES if notes else DONE


def checked_cap(cap: float | None) -> float | None:
    """Raises: WrongUse for what is no amount of money."""
    if cap is not None and not (math.isfinite(cap) and cap >= 0):
        raise WrongUse(f"--cap {cap}: a cap is an amount in US dollars, such as 2.50.")
    return cap


def _check(studio: Studio, spec: PipelineSpec) -> None:
    with lend(studio.connections.vault()):
        raise_errors(check(spec))


def _begin(studio: Studio, spec: PipelineSpec, options: RunOptions) -> str:
    with lend(studio.connections.vault()):
        graph = spec.build()
        # Written down as it is built, so that values have the types of their fields.
        return create_run(studio.ledger, graph, PipelineSpec.of(graph, spec.name, spec.description), options)


def _results(studio: Studio, run_id: str) -> dict[str, list[dict[str, Any]]]:
    leaves = [record.step for record in studio.ledger.steps(run_id) if record.is_leaf]
    return {leaf: [_row(result) for result in studio.results.table(run_id, leaf).results.all()] for leaf in leaves}


def _row(result: Any) -> dict[str, Any]:
    values = {name: value for name, value in result.values.items() if name != METADATA}
    return {"row": result.row, "state": result.state, "message": result.message, "values": values}
