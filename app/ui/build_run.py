"""Check, preview and run: what the three buttons of the Build page do."""

from typing import Any, Final

import gradio as gr

from app.studio.overnight import with_overnight
from app.ui.desk import ASK, EDIT, Desk, told
from app.ui.module import go, module
from app.ui.overnight_offer import choices_of, sentences_of
from app.ui.run_offer import PREVIEWED, amount_of, facts_of, whole_number
from app.ui.workbench import Chosen, Workbench
from components.errors import StillroomError
from components.pipeline.problem import Problem

LOOK_SECONDS: Final = 0.7


class RunControls:
    """What the buttons show below the cards."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.studio = desk, desk.studio
        self.found = module("problems", events=["problem_open"])
        self.preview = module("preview", render=False)
        self.dialog = module("run_dialog", events=["run_price", "run_confirm"])
        self.go = go()
        self.clock = gr.Timer(LOOK_SECONDS, active=False)
        self.preview_id = gr.State("")
        self.previewed = gr.State(0)
        """The revision that the latest preview of this window shows."""
        self.turn = gr.State(0)
        """Counts the times that the dialog was opened."""
        self.preview_parts = [self.preview, self.clock, self.preview_id]

    def wire(self, check: gr.Button, preview: gr.Button, run: gr.Button) -> None:
        """Connect the buttons of the header."""
        desk, dialog = self.desk, self.dialog
        check.click(told(self.check), desk.bench, self.found, **EDIT)
        known = [desk.bench, self.previewed, self.preview_id]
        preview.click(told(self.start_preview), known, [*self.preview_parts, self.previewed, self.found], **EDIT)
        self.clock.tick(told(self.look), self.preview_id, self.preview_parts, **ASK)
        run.click(told(self.ask), [desk.bench, self.turn], [dialog, self.turn, self.found], **EDIT)
        dialog.run_price(told(self.price), [desk.bench, self.turn], dialog, **ASK)
        dialog.run_confirm(told(self.start), [desk.bench, self.turn], [dialog, self.go], **EDIT)
        self.found.problem_open(told(self.show), [desk.bench, desk.chosen], desk.parts, **EDIT)

    def check(self, bench: Workbench | None) -> Any:
        """Say what is wrong, or that all is well."""
        return gr.skip() if bench is None else gr.update(value=_findings(bench.problems(asks_sources=True)))

    def start_preview(self, bench: Workbench | None, previewed: int, preview_id: str) -> Any:
        """Send the first rows through the real engine; a second click while they are on their way pays for nothing."""
        faults = self._faults(bench)
        if bench is None or faults:
            return faults or gr.skip()
        if previewed == bench.revision and not self.studio.previews.result(preview_id)["is_done"]:
            return gr.skip()
        run_id = self.studio.previews.start(bench.spec, rows=PREVIEWED, pipeline_id=bench.id)
        return self.look(run_id) | {self.previewed: bench.revision, self.found: gr.update(value={"sentence": ""})}

    def last_preview(self, bench: Workbench | None) -> Any:
        """The last preview of the pipeline, as after a reload."""
        runs = self.studio.runs.recent(50, kinds=("preview",)) if bench is not None else []
        last = next((run["id"] for run in runs if bench and run["pipeline_id"] == bench.id), "")
        return self.look(last)

    def look(self, run_id: str) -> Any:
        """What the preview has by now; the clock ticks until it is done."""
        if not run_id:
            return gr.skip()
        result = self.studio.previews.result(run_id)
        ticks = gr.update(active=not result["is_done"])
        return {self.preview: gr.update(value=result), self.clock: ticks, self.preview_id: run_id}

    def ask(self, bench: Workbench | None, turn: int) -> Any:
        """Open the dialog with what the run will take."""
        faults = self._faults(bench)
        if bench is None or faults:
            return faults or gr.skip()
        return {self.dialog: self._offered(bench, turn + 1), self.turn: turn + 1}

    def price(self, bench: Workbench, turn: int, event: gr.EventData) -> Any:
        """What fewer rows will take, or what it takes overnight."""
        overnight = _steps(event)
        try:
            return self._offered(bench, turn, whole_number(event.rows, "Rows"), overnight)
        except StillroomError as error:
            return self._offered(bench, turn, overnight=overnight, error=error.message)

    def start(self, bench: Workbench, turn: int, event: gr.EventData) -> Any:
        """Start the run, and go to its page."""
        rows, overnight = None, _steps(event)
        try:
            rows, cap = whole_number(event.rows, "Rows"), amount_of(event.cap)
            concurrency = whole_number(event.concurrency, "Calls in flight")
            webhook = str(getattr(event, "webhook", "") or "").strip()
            if webhook:
                self.studio.webhooks.check(webhook)
            plan = self.studio.overnight.plan(bench.spec, overnight=overnight, rows=rows)
            self.studio.overnight.check_cap(plan, cap)
            spec = with_overnight(bench.spec, plan.chosen)
            run_id = self.studio.runs.start(
                spec, pipeline_id=bench.id, cap=cap, concurrency=concurrency, row_limit=rows
            )
            if webhook:
                self.studio.webhooks.set(run_id, webhook)
        except StillroomError as error:
            return {self.dialog: self._offered(bench, turn, rows, overnight, error.message)}
        return {self.go: gr.update(value={"to": f"run?id={run_id}"})}

    def show(self, bench: Workbench, chosen: Chosen, event: gr.EventData) -> Any:
        """Open the form of the step that a problem is about."""
        return self.desk.redrawn(bench, Chosen(str(event.step), chosen.shows_all))

    def _faults(self, bench: Workbench | None) -> dict[Any, Any]:
        """What keeps the pipeline from running, as an update; empty where nothing does."""
        problems = bench.problems(asks_sources=True) if bench is not None else []
        return {self.found: gr.update(value=_findings(problems))} if _errors(problems) else {}

    def _offered(
        self,
        bench: Workbench,
        turn: int,
        rows: int | None = None,
        overnight: list[str] | None = None,
        error: str = "",
    ) -> Any:
        concurrency = self.studio.settings.concurrency
        plan = self.studio.overnight.plan(bench.spec, overnight=overnight, rows=rows, concurrency=concurrency)
        cap = plan.suggested_cap
        offer = {
            "turn": turn,
            "facts": facts_of(plan.estimate),
            "choices": choices_of(plan),
            "sentences": sentences_of(plan),
            "cap": "" if cap is None else f"{cap:.2f}",
            "is_free": plan.estimate.is_free,
            "concurrency": concurrency,
            "button": "Submit overnight" if plan.chosen else "Start the run",
            "error": error,
        }
        return gr.update(value=offer)


def _steps(event: gr.EventData) -> list[str] | None:
    """The steps that were chosen for the night; None where the dialog did not say."""
    chosen = getattr(event, "overnight", None)
    return [str(name) for name in chosen] if isinstance(chosen, list) else None


def _errors(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == "error"]


def _findings(problems: list[Problem]) -> dict[str, Any]:
    count = len(_errors(problems))
    ready = "Everything is in order. The pipeline can run."
    sentence = ready if not count else f"{count} thing{'s' if count > 1 else ''} to put right before this can run."
    lines = [{"step": one.step, "message": one.message, "severity": one.severity} for one in problems]
    return {"sentence": sentence, "problems": lines}
