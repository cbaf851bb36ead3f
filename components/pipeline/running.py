"""Start a run, go on with one, and hand back what it made."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import catalog
from components.errors import ConfigError, RunPaused, StillroomError
from components.pipeline.artifacts import folder_of_run
from components.pipeline.distiset import Distiset
from components.pipeline.engine import Engine
from components.pipeline.engine.identity import step_signature
from components.pipeline.graph import Graph
from components.pipeline.ledger import Ledger, Run, shared_ledger
from components.pipeline.spec import PipelineSpec
from components.states import LIVE_STATES, RunState
from components.steps.step import AnyStep, GeneratorStep, GlobalStep
from components.steps.tasks.task import GeneratorTask, Task
from components.vault import Vault, current_vault

if TYPE_CHECKING:
    from components.pipeline.pipeline import Pipeline

log = logging.getLogger("stillroom")

DEFAULT_CONCURRENCY = 64


@dataclass(frozen=True)
class RunOptions:
    """How a run is to be done."""

    kind: str = "run"
    origin: str = "script"
    owner: str = ""
    pipeline_id: str | None = None
    cap: float | None = None
    concurrency: int = DEFAULT_CONCURRENCY
    row_limit: int | None = None
    use_cache: bool = True


def create_run(ledger: Ledger, graph: Graph, spec: PipelineSpec, options: RunOptions) -> str:
    """Write a run down, ready to be worked on; returns its id.

    Raises: ConfigError for a cap that cannot be kept because a price is unknown.
    """
    check_options(graph, options)
    leaves = set(graph.leaves())
    steps = [
        {"step": name, "component": type(step).__name__, "kind": _kind(step), "is_leaf": name in leaves}
        for name, step in ((name, graph.steps[name]) for name in graph.order())
    ]
    run = {
        "name": spec.name,
        "kind": options.kind,
        "origin": options.origin,
        "owner": options.owner,
        "pipeline_id": options.pipeline_id,
        "state": RunState.QUEUED,
        "spec": spec.model_dump_json(),
        "spec_hash": spec.hash(),
        "is_portable": all(_is_in_catalog(step) for step in graph.steps.values()),
        "is_rehearsal": any(model.is_rehearsal for model in models_of(graph)),
        "use_cache": options.use_cache,
        "cap": options.cap,
        "concurrency": options.concurrency,
        "row_limit": options.row_limit,
    }
    return ledger.create_run(run, steps)


def check_options(graph: Graph, options: RunOptions) -> None:
    """Raises: ConfigError for options that cannot be kept."""
    if options.cap is not None:
        check_cap(graph, options.cap)
    if options.concurrency < 1:
        raise ConfigError(f"A run needs at least one call in flight, not {options.concurrency}.")
    if options.row_limit is not None and options.row_limit < 1:
        raise ConfigError(f"A run needs at least one row, not {options.row_limit}.")


def engine_for(
    ledger: Ledger, run: Run, *, graph: Graph | None = None, vault: Vault | None = None, **options: Any
) -> Engine:
    """An engine that goes on with a run. Raises: ConfigError when only the script that started it can do so."""
    if graph is None:
        if not run.is_portable:
            raise ConfigError("This run uses steps of the script that started it. Run the script again to continue.")
        graph = PipelineSpec.model_validate_json(run.spec).build()
    _keep_artifacts(graph, folder_of_run(ledger, run.id))
    return Engine(graph, ledger, run.id, vault=vault, **options)


def run_pipeline(
    pipeline: "Pipeline",
    *,
    parameters: Mapping[str, Any] | None = None,
    use_cache: bool = True,
    dataset: Sequence[dict[str, Any]] | None = None,
    dataset_batch_size: int = 50,
    cap: float | None = None,
    concurrency: int = DEFAULT_CONCURRENCY,
    dry_run_rows: int | None = None,
) -> Distiset:
    """Run a pipeline of a script to its end; an interrupted run of the very same pipeline is gone on with.

    Raises: RunPaused when the provider refuses the key, the account or the model.
    """
    graph = pipeline.graph_for(parameters or {}, dataset, dataset_batch_size)
    spec = PipelineSpec.of(graph, pipeline.name, pipeline.description)
    ledger = shared_ledger()
    options = RunOptions(
        kind="run" if dry_run_rows is None else "dry_run",
        cap=cap,
        concurrency=concurrency,
        row_limit=dry_run_rows,
        use_cache=use_cache and dry_run_rows is None,
    )
    run = _interrupted(ledger, graph, spec) if options.use_cache else None
    if run is None:
        run = ledger.run(create_run(ledger, graph, spec, options))
    else:
        check_options(graph, options)
        ledger.update_run(run.id, cap=cap, concurrency=concurrency)
        log.info("Going on with run %s, which was interrupted.", run.id)
    engine = engine_for(ledger, run, graph=graph, vault=current_vault(), keeps_metadata=pipeline.enable_metadata)
    state = engine.work()
    columns = {name: [*graph.steps[name].get_outputs()] for name in graph.leaves()}
    distiset = Distiset.from_run(ledger, run.id, with_metadata=pipeline.enable_metadata, columns=columns)
    if state is RunState.PAUSED:
        raise RunPaused(f"{distiset.state_reason} Run {run.id} goes on from here when you run it again.", run.id)
    if state not in (RunState.DONE, RunState.DONE_WITH_FAILURES):
        log.warning("Run %s is %s: %s%s", run.id, state, distiset.state_reason, _how_to_go_on(state))
    elif distiset.failures:
        log.warning("%d rows have no result; see `failures` of the result.", len(distiset.failures))
    return distiset


def _how_to_go_on(state: RunState) -> str:
    if state is not RunState.WAITING_BATCH:
        return ""
    return " Run this again to collect the answers, or leave it to the app or to `stillroom batches watch`."


def _keep_artifacts(graph: Graph, folder: Path) -> None:
    for step in graph.steps.values():
        step.keep_artifacts_in(folder)


def models_of(graph: Graph) -> list[Any]:
    """The models that a pipeline asks."""
    return [step.llm for step in graph.steps.values() if isinstance(step, (Task, GeneratorTask))]


def _interrupted(ledger: Ledger, graph: Graph, spec: PipelineSpec) -> Run | None:
    run = ledger.unfinished(spec.name, spec.hash())
    if run is None or (run.state in LIVE_STATES and run.origin != "script"):
        return None
    for record in ledger.steps(run.id):
        step = graph.steps[record.step]
        if isinstance(step, GeneratorStep) and record.signature not in ("", step_signature(step)):
            return None
    return run


def check_cap(graph: Graph, cap: float) -> None:
    """Raises: ConfigError when the cap cannot be kept because a price is unknown."""
    if not 0 <= cap < math.inf:
        raise ConfigError(f"A spending cap is an amount in US dollars, not {cap}.")
    for model in models_of(graph):
        if model.price is None:
            raise ConfigError(
                f"The price of {model.model_name} is unknown, so a cap in dollars cannot be kept. Set input_price and "
                "output_price (US dollars per million tokens) on the model, or run without a cap."
            )


def _is_in_catalog(step: AnyStep) -> bool:
    parts = [step, step.llm] if isinstance(step, (Task, GeneratorTask)) else [step]
    for part in parts:
        try:
            if catalog.get(type(part).__name__) is not type(part):
                return False
        except StillroomError:
            return False
    return True


def _kind(step: AnyStep) -> str:
    if isinstance(step, GeneratorStep):
        return "source"
    if isinstance(step, GlobalStep):
        return "global"
    return "task" if isinstance(step, Task) else "step"
