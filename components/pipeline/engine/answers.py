"""What models answered to a step that asks them in its own way, kept as it comes until the step is done."""

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from components.errors import ConfigError
from components.llms.meter import metered
from components.pipeline.engine.outcome import Outcome, as_cell, to_json
from components.pipeline.ledger.names import beside

if TYPE_CHECKING:
    from components.pipeline.engine.engine import Engine


class Answers:
    """The answers to one step that needs all rows: begun anew after a pause or a crash, it gets them for nothing.

    A question is known again by the model as configured, the prompt and the parameters. Where a step asks the same
    several times, each time has an answer of its own.
    """

    def __init__(self, engine: "Engine", step: str) -> None:
        self._engine, self._step = engine, step
        self._kept: set[str] = set()
        self._asked: Counter[str] = Counter()

    async def look_up(self) -> None:
        """Find out what was answered before; the step begins anew."""
        engine = self._engine
        self._kept = set(await engine.backend.in_thread(engine.ledger.standing, engine.run_id, beside(self._step)))
        self._asked.clear()

    async def answer(self, llm: Any, question: Mapping[str, Any], ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer that is kept, or a new one once it is committed."""
        engine = self._engine
        key = hashlib.blake2b(
            to_json([llm.signature(), question], f"A question of step '{self._step}'"), digest_size=16
        ).hexdigest()
        name = f"{key}.{self._asked[key]:08d}"
        self._asked[key] += 1
        if name in self._kept:
            return (await engine.backend.in_thread(engine.ledger.output, engine.run_id, beside(self._step), name))[0]
        with metered() as meter, engine.paying():
            outcome = Outcome(meter=meter, model=llm.model_name)
            try:
                outcome.rows = [await ask()]
                cell = as_cell(engine.run_id, beside(self._step), name, "", outcome)
            except BaseException as error:
                if meter.attempts:
                    engine.books.book(engine.run_id, self._step, meter.used)
                meter.release()
                if isinstance(error, ConfigError) and outcome.rows:
                    # An answer of an odd kind cannot be kept, but the step may know what to do with it.
                    return outcome.rows[0]
                raise
            try:
                await engine.recorder.record(cell)
            finally:
                meter.release()
        return outcome.rows[0]
