"""The contract of a task: a step that asks a model about each row."""

import asyncio
import hashlib
import json
import logging
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from components.component import Incidental, RuntimeParameter
from components.errors import CutOff, MissingColumn, ProviderError, ReplyError, StillroomError, did_you_mean
from components.llms.llm import LLM
from components.llms.loop import run_in_background
from components.llms.structured import Form, form_of, json_text
from components.llms.typing import FormattedInput, GenerateOutput
from components.states import CellState, Reason
from components.steps.step import METADATA, GeneratorStep, GlobalStep, Step, as_columns, snake_case
from components.steps.typing import Row, StepColumns, StepInput, StepOutput

log = logging.getLogger("stillroom.task")


@dataclass
class Answer:
    """What came of asking a model about one row."""

    rows: list[Row]
    state: CellState = CellState.OK
    reason: Reason | None = None
    message: str = ""
    prompt: Any = None
    raw: list[str | None] = field(default_factory=list)
    finish_reasons: list[str | None] = field(default_factory=list)
    model: str = ""


class Task(Step):
    """A step that asks a model about each row and reads the answer."""

    category: ClassVar[str] = "LLM tasks"
    shows_its_end: ClassVar[bool] = False
    """Whether an answer that can be read is whole, as JSON is; a text may have been cut off anywhere."""

    llm: LLM
    """The model that answers."""
    group_generations: bool = False
    """Put all answers to a row in one row, as lists, instead of one row for each answer."""
    add_raw_output: Incidental[RuntimeParameter[bool]] = True
    """Keep the model's words as they came."""
    add_raw_input: Incidental[RuntimeParameter[bool]] = True
    """Keep the exact prompt."""
    num_generations: RuntimeParameter[int] = Field(1, ge=1)
    """How many answers to ask for, for each row."""
    use_default_structured_output: bool = False
    """Have the provider force the answer into this task's form, where it can."""

    @property
    def outputs(self) -> StepColumns:
        return ["model_name"]

    @abstractmethod
    def format_input(self, input: Row) -> FormattedInput:
        """The prompt for a row."""

    @abstractmethod
    def format_output(self, output: str | None, input: Row | None = None) -> Row:
        """The new columns of a row, read from an answer.

        Raises: ReplyError when the answer is in the wrong form; NotInLabels when a person should look at it.
        """

    def read_answer(self, text: str | None, input: Row, finish_reason: str | None) -> Row:
        """Like `format_output`, for tasks that must know whether the answer was cut off ("length")."""
        return self.format_output(text, input)

    def structured_output_schema(self) -> Any:
        """The form of the answer as a JSON Schema, where the task has one."""
        return None

    def rehearse(self, input: Row) -> str:
        """An answer in the right form, made up without a model, to check the wiring of a pipeline."""
        return "This is a rehearsal: no model was asked."

    @property
    def can_force_form(self) -> bool:
        """Whether the model can be held to a form; if not, the prompt has to ask for it."""
        return "structured_output" in type(self.llm).model_fields

    def load(self) -> None:
        super().load()
        self.llm.load()

    def unload(self) -> None:
        self.llm.unload()
        super().unload()

    def missing_inputs(self, row: Row) -> list[str]:
        """Columns, as the rows call them, that the task needs and that are absent or empty in a row."""
        return [name for name, needed in self.get_inputs().items() if needed and row.get(name) is None]

    def prompt(self, row: Row) -> FormattedInput:
        """What the model is asked about a row."""
        return self._prompt(self._view(row))

    async def answer(self, row: Row) -> Answer:
        """Ask the model about one row and read what it says.

        Raises: ProviderError when the model could not be asked.
        """
        view = self._view(row)
        prompt = self._prompt(view)
        with self._rehearsal(view):
            output = await self.llm.complete(prompt, self.num_generations or 1, **self.llm.get_generation_kwargs())
        return self._read(row, view, prompt, output)

    def answer_from(self, row: Row, output: GenerateOutput) -> Answer:
        """What an output says about a row, whenever it came."""
        view = self._view(row)
        return self._read(row, view, self._prompt(view), output)

    def process(self, inputs: StepInput) -> StepOutput:
        """Ask the model about all rows at once, and yield them answered and in order.

        Raises: MissingColumn when a row does not have a column that the task needs.
        """
        for row in inputs:
            self._check_columns(row)
        if self.llm.use_offline_batch_generation:
            yield self._process_offline(inputs)
            return

        async def ask(row: Row) -> Answer:
            empty = self.missing_inputs(row)
            if empty:
                return self._empty(row, empty[0])
            try:
                return await self.answer(row)
            except ProviderError as error:
                if error.pauses_run:
                    raise
                return self._unanswered(row, CellState.FAILED, error.reason, str(error))

        async def ask_all() -> list[Answer]:
            return list(await asyncio.gather(*(ask(row) for row in inputs)))

        rows: list[Row] = []
        for answer in run_in_background(ask_all()):
            if answer.state is not CellState.OK:
                log.warning("%s: %s", self.name, answer.message)
            rows.extend(answer.rows)
        yield rows

    def _empty(self, row: Row, column: str) -> Answer:
        return self._unanswered(row, CellState.SKIPPED, None, f"Nothing to work on: '{column}' is empty.")

    def _check_columns(self, row: Row) -> None:
        for name, needed in self.get_inputs().items():
            if needed and name not in row:
                raise MissingColumn(f"Step '{self.name}' needs the column '{name}'.{did_you_mean(name, row)}")

    def _process_offline(self, inputs: Sequence[Row]) -> list[Row]:
        empty = {index: missing[0] for index, row in enumerate(inputs) if (missing := self.missing_inputs(row))}
        asked = [row for index, row in enumerate(inputs) if index not in empty]
        views = [self._view(row) for row in asked]
        prompts = [self._prompt(view) for view in views]
        options = {"num_generations": self.num_generations or 1, **self.llm.get_generation_kwargs()}
        outputs = self.llm.generate_outputs(inputs=prompts, **options) if prompts else []
        read = (self._read(*parts) for parts in zip(asked, views, prompts, outputs, strict=True))
        answers = [self._empty(row, empty[index]) if index in empty else next(read) for index, row in enumerate(inputs)]
        return [made for answer in answers for made in answer.rows]

    def apply(self, *inputs: Sequence[Row]) -> list[Row]:
        if type(self).process is Task.process:
            return [row for rows in self.process(list(inputs[0])) for row in rows]
        return super().apply(*inputs)

    @property
    def _takes_all_rows(self) -> bool:
        return super()._takes_all_rows or type(self).process is Task.process

    def _identity(self) -> dict[str, Any]:
        digest = _shipped_prompt(type(self).__name__)
        return super()._identity() | ({"prompt": digest} if digest else {})

    def _prompt(self, view: Row) -> FormattedInput:
        prompt = self.format_input(view)
        is_forced = self.use_default_structured_output and self.can_force_form
        schema = self.structured_output_schema() if is_forced else None
        if schema is not None and not isinstance(prompt, (tuple, str)):
            return prompt, {"format": "json", "schema": schema}
        return prompt

    def _rehearsal(self, view: Row) -> AbstractContextManager[None]:
        if not self.llm.is_rehearsal:
            return nullcontext()
        from components.llms.rehearsal import rehearsing

        return rehearsing(lambda _prompt, _index: self.rehearse(view))

    def _read(self, row: Row, view: Row, prompt: FormattedInput, output: GenerateOutput) -> Answer:
        texts = output["generations"] or [None]
        finish_reasons = list(output.get("finish_reasons") or [])
        # A task that asks for a form of its own, in the prompt, checks it too.
        form = None if isinstance(prompt, tuple) else form_of(getattr(self.llm, "structured_output", None))
        made: list[Row] = []
        errors: dict[int, ReplyError] = {}
        for index, text in enumerate(texts):
            try:
                made.append(self._columns_of(text, view, _item(finish_reasons, index), form))
            except ReplyError as error:
                errors[index] = error
                made.append(self._nothing())
        extras = {key: value for key, value in output.items() if key not in NOT_COLUMNS}
        rows = [
            {
                **view,
                **columns,
                **{f"llm_{self.name}_{key}": _item(value, index) for key, value in extras.items()},
                "model_name": self.llm.model_name,
                METADATA: self._metadata(row, prompt, output, index, texts[index], errors.get(index)),
            }
            for index, columns in enumerate(made)
        ]
        if self.group_generations:
            rows = [self._grouped(rows, [name for name in rows[0] if name not in view or name in made[0]])]
        answer = Answer(
            rows=[self._restored(item, row) for item in rows],
            prompt=prompt,
            raw=list(texts),
            finish_reasons=finish_reasons,
            model=self.llm.model_name,
        )
        doubts = errors or self._cut(texts, finish_reasons, form)
        if doubts:
            first = next(iter(doubts.values()))
            some = len(doubts) < len(texts)
            review = some or not errors or first.reason is Reason.NOT_IN_LABELS
            answer.state = CellState.NEEDS_REVIEW if review else CellState.FAILED
            answer.reason = first.reason
            answer.message = f"{len(doubts)} of {len(texts)} answers: {first}" if some else str(first)
        return answer

    def _cut(
        self, texts: Sequence[str | None], finish_reasons: Sequence[str | None], form: Form | None
    ) -> dict[int, ReplyError]:
        if self.shows_its_end or form is not None:
            return {}
        return {index: CutOff() for index in range(len(texts)) if _item(finish_reasons, index) == "length"}

    def _columns_of(self, text: str | None, view: Row, finish_reason: str | None, form: Form | None) -> Row:
        if form is not None and text is not None:
            text = json_text(text, finish_reason, form.given)
        try:
            return self.read_answer(text, view, finish_reason)
        except StillroomError:
            raise
        except Exception as error:
            # A task of somebody's own may stumble in any way; the answer was paid for and has to be kept.
            log.warning("Task '%s' could not read an answer", self.name, exc_info=error)
            raise ReplyError(
                f"{type(self).__name__} could not read the answer: {type(error).__name__}: {error}"
            ) from error

    def _nothing(self) -> Row:
        return {name: None for name in as_columns(self.outputs) if name != "model_name"}

    def _unanswered(self, row: Row, state: CellState, reason: Reason | None, message: str) -> Answer:
        metadata = {**(row.get(METADATA) or {}), f"error_{self.name}": message}
        made = {**self._view(row), **self._nothing(), "model_name": self.llm.model_name, METADATA: metadata}
        return Answer([self._restored(made, row)], state, reason, message)

    def _metadata(
        self,
        row: Row,
        prompt: FormattedInput,
        output: GenerateOutput,
        index: int,
        text: str | None,
        error: ReplyError | None,
    ) -> Row:
        metadata: Row = dict(row.get(METADATA) or {})
        if self.add_raw_output:
            metadata[f"raw_output_{self.name}"] = text
        if self.add_raw_input:
            metadata[f"raw_input_{self.name}"] = prompt[0] if isinstance(prompt, tuple) else prompt
        statistics = output.get("statistics") or {}
        metadata[f"statistics_{self.name}"] = {key: _item(value, index) for key, value in statistics.items()}
        if error is not None:
            metadata[f"error_{self.name}"] = str(error)
        return metadata

    def _grouped(self, rows: list[Row], new_columns: Iterable[str]) -> Row:
        grouped = dict(rows[0])
        for name in new_columns:
            if name not in {"model_name", METADATA}:
                grouped[name] = [row.get(name) for row in rows]
        grouped[METADATA] = dict(rows[0][METADATA])
        for kind in ("raw_output", "statistics", "error"):
            key = f"{kind}_{self.name}"
            if any(key in row[METADATA] for row in rows):
                grouped[METADATA][key] = [row[METADATA].get(key) for row in rows]
        return grouped


class GlobalTask(Task, GlobalStep):
    """A task that needs all rows before it can begin."""


class GeneratorTask(GeneratorStep):
    """A source that asks a model for its rows."""

    category: ClassVar[str] = "LLM tasks"

    llm: LLM
    """The model that answers."""
    num_generations: RuntimeParameter[int] = Field(1, ge=1)
    """How many answers to ask for, for each prompt."""

    def load(self) -> None:
        super().load()
        self.llm.load()

    def unload(self) -> None:
        self.llm.unload()
        super().unload()


NOT_COLUMNS = frozenset({"generations", "statistics", "finish_reasons"})


def _item(values: Any, index: int) -> Any:
    return values[index] if isinstance(values, list) and index < len(values) else None


def as_text(value: Any) -> str:
    """A value as it stands in a prompt: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@cache
def _shipped_prompt(task: str) -> str:
    """A hash of the prompt that ships with a task, so that other words are another task."""
    path = Path(__file__).parent / "prompts" / f"{snake_case(task)}.jinja"
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() if path.exists() else ""
