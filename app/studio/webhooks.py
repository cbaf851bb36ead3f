"""Tells a server that a run has ended: a few facts, never a row and never a key."""

import logging
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import orjson
from pydantic import SecretStr
from sqlalchemy import delete, insert, select, update

from app.settings import Settings
from app.studio.keyring import Keyring
from app.studio.outgoing import checked_address, post_json
from app.studio.runs import Runs
from app.tables import WEBHOOK
from components.errors import StillroomError
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.cells import RUN
from components.states import RunState

log = logging.getLogger("stillroom.webhooks")

LOOK_SECONDS = 2.0
ATTEMPTS = 3
PAUSES = (5.0, 30.0)
CLAIM_SECONDS = 60.0
TOLD_ENDS = (RunState.DONE, RunState.DONE_WITH_FAILURES, RunState.STOPPED, RunState.CAPPED)
COUNTED = ("ok", "needs_review", "failed", "expired", "skipped")
FORGOTTEN = "The address was kept in memory only, and Stillroom was started anew since."


class Webhooks:
    """One address for a run that wants one."""

    def __init__(self, settings: Settings, ledger: Ledger, runs: Runs) -> None:
        self._ledger, self._runs = ledger, runs
        self._allow_private = settings.allow_private_webhooks
        self._keyring = Keyring(settings.home) if settings.keys == "stored" else None
        self._in_memory: dict[str, SecretStr] = {}

    def check(self, url: str) -> str:
        """The address, if one may be told there. Raises: ConfigError."""
        return checked_address(url, allow_private=self._allow_private)

    def set(self, run_id: str, url: str) -> None:
        """Tell this address when the run ends; an empty one tells nobody. Raises: NotFound; ConfigError."""
        self._runs.get(run_id)
        forget = delete(WEBHOOK).where(WEBHOOK.c.run_id == run_id)
        self._in_memory.pop(run_id, None)
        if not url.strip():
            self._ledger.database.write(lambda connection: connection.execute(forget))
            return
        address = SecretStr(self.check(url))
        values = {
            "run_id": run_id,
            "host": urlsplit(address.get_secret_value()).hostname or "",
            "secret": self._keyring.seal(address) if self._keyring else None,
            "told": "",
            "attempts": 0,
            "next_at": 0.0,
            "message": "",
            "created_at": time.time(),
        }
        if self._keyring is None:
            self._in_memory[run_id] = address

        def write(connection: Any) -> None:
            connection.execute(forget)
            connection.execute(insert(WEBHOOK).values(**values))

        self._ledger.database.write(write)

    def get(self, run_id: str) -> dict[str, Any] | None:
        """The host that is told of a run, and whether it was; never the whole address."""
        with self._ledger.database.read() as connection:
            row = connection.execute(select(WEBHOOK).where(WEBHOOK.c.run_id == run_id)).mappings().first()
        return {"host": row["host"], "told": row["told"], "message": row["message"]} if row else None

    def watch(self, stop: threading.Event) -> None:
        """Tell until told to stop."""
        while not stop.wait(LOOK_SECONDS):
            try:
                self.tell()
            except Exception:
                log.exception("The ends of runs could not be told. It is tried again in a moment.")

    def tell(self) -> int:
        """Tell every end that is due, once; returns how many were tried."""
        due = select(WEBHOOK, RUN.c.state.label("state")).join(RUN, RUN.c.id == WEBHOOK.c.run_id)
        ends = [str(state) for state in TOLD_ENDS]
        where = (RUN.c.state.in_(ends), WEBHOOK.c.told != RUN.c.state, WEBHOOK.c.next_at <= time.time())
        with self._ledger.database.read() as connection:
            found = [dict(row) for row in connection.execute(due.where(*where)).mappings()]
        return sum(self._told(hook) for hook in found)

    def _told(self, hook: dict[str, Any]) -> bool:
        if not self._claimed(hook):
            return False
        address = self._address(hook)
        attempts, problem = hook["attempts"] + 1, FORGOTTEN
        if address is not None:
            try:
                body = orjson.dumps(self._facts(hook["run_id"]))
                post_json(address.get_secret_value(), body, allow_private=self._allow_private)
                problem = ""
            except StillroomError as error:
                problem = str(error)
        if problem:
            log.warning("%s was not told that run %s ended: %s", hook["host"], hook["run_id"], problem)
        is_over = not problem or attempts >= ATTEMPTS or address is None
        values: dict[str, Any] = {"message": problem, "attempts": 0, "told": hook["state"], "next_at": 0.0}
        if not is_over:
            values |= {"attempts": attempts, "told": hook["told"], "next_at": time.time() + PAUSES[attempts - 1]}
        self._change(hook["run_id"], **values)
        return True

    def _claimed(self, hook: dict[str, Any]) -> bool:
        """Whether this process tells; of several that look, one does."""
        query = update(WEBHOOK).where(WEBHOOK.c.run_id == hook["run_id"], WEBHOOK.c.next_at == hook["next_at"])
        query = query.values(next_at=time.time() + CLAIM_SECONDS)
        return self._ledger.database.write(lambda connection: bool(connection.execute(query).rowcount == 1))

    def _change(self, run_id: str, **values: Any) -> None:
        query = update(WEBHOOK).where(WEBHOOK.c.run_id == run_id).values(**values)
        self._ledger.database.write(lambda connection: connection.execute(query))

    def _address(self, hook: dict[str, Any]) -> SecretStr | None:
        if hook["secret"] is not None and self._keyring is not None:
            return self._keyring.unseal(hook["secret"])
        return self._in_memory.get(hook["run_id"])

    def _facts(self, run_id: str) -> dict[str, Any]:
        run = self._runs.progress(run_id)
        last = run["steps"][-1] if run["steps"] else dict.fromkeys(COUNTED, 0)
        return {
            "event": "run.ended",
            "run": run["id"],
            "name": run["name"],
            "state": run["state"],
            "rows": run["rows_total"],
            **{state: last[state] for state in COUNTED},
            "spent": run["spent"],
            "cost_known": run["cost_known"],
            "finished_at": run["finished_at"],
        }
