"""Anthropic's Message Batches: requests go inside the batch, and nothing but its id tells one batch from another."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from components.errors import BatchOutcomeUnknown, ProviderDown, ProviderError, WrongAddress
from components.llms.batch.calls import Call
from components.llms.batch.inline import enclosed, encoded_line
from components.llms.batch.moments import days_after, moment
from components.llms.batch.protocol import BatchLine, Caps, Outcome, Remote, UnreadableLine
from components.llms.batch.result_files import fetch, read_lines, result_file
from components.llms.batch.rows import failed_line, reply_line
from components.llms.failures import retry_after

if TYPE_CHECKING:
    from components.llms.batch.wire import Wire


BATCHES = "/messages/batches"
PAGE = 100
MOST_PAGES = 200


class AnthropicBatch:
    """Batch jobs of one account at Anthropic."""

    def __init__(self, wire: "Wire", caps: Caps, account: str) -> None:
        self.caps = caps
        self.account = account
        self._wire = wire

    def line(self, custom_id: str, path: str, body: Mapping[str, Any]) -> bytes:
        """One request; it is put into the batch as it is."""
        return encoded_line({"custom_id": custom_id, "params": body})

    def read_line(self, line: bytes) -> tuple[str, dict[str, Any]]:
        """The name and the body in a line."""
        data = orjson.loads(line)
        return str(data["custom_id"]), data["params"]

    def upload(self, file: Path, name: str) -> str:
        """Nothing: the requests go inside the batch."""
        return ""

    def create(self, input_ref: str, *, file: Path, tag: str, model: str, path: str, n: int, window: str) -> Remote:
        """Make the batch with one request, which holds all the others."""
        content, length = enclosed(file, {})
        remote = self._remote(self._wire.create(BATCHES, content, length).data)
        if remote is None:
            raise BatchOutcomeUnknown(f"{self._wire.title} made something that is no batch.", provider=self._wire.title)
        return remote

    def get(self, batch_id: str) -> Remote:
        """How a batch is doing."""
        answer = self._wire.get(self._address(batch_id))
        return replace(self._known(answer.data), retry_after=retry_after(answer.headers))

    def recent(self, since: float) -> Iterator[Remote]:
        """Batches made since a moment, newest first."""
        place: dict[str, str | int] = {}
        for _ in range(MOST_PAGES):
            data = self._wire.get(BATCHES, Call.LOOK, limit=PAGE, **place).data
            listed = data.get("data") or [] if isinstance(data, Mapping) else []
            for one in listed:
                remote = self._remote(one)
                if remote is not None and remote.created_at is not None and remote.created_at < since:
                    return
                if remote is not None:
                    yield remote
            if not listed or not data.get("has_more") or not data.get("last_id"):
                return
            place = {"after_id": str(data["last_id"])}

    def cancel(self, batch_id: str) -> Remote:
        """Cancel a batch; one that has ended already is given as it is."""
        try:
            return self._known(self._wire.post(f"{self._address(batch_id)}/cancel").data)
        except ProviderError as error:
            if error.status not in (400, 409):
                raise
            refused = error
        remote = self.get(batch_id)
        if not remote.has_ended:
            raise refused
        return remote

    def results(self, remote: Remote, folder: Path) -> Iterator[BatchLine | UnreadableLine]:
        """Every line of the results, which hold errors too."""
        path = self._results_path(remote)
        file = fetch(
            result_file(folder, remote.id, "output"),
            lambda handle: self._wire.read(path, lambda pieces: handle.writelines(pieces)),
        )
        for line in read_lines(file):
            yield line if isinstance(line, UnreadableLine) else self._line(line)

    def _line(self, data: Mapping[str, Any]) -> BatchLine:
        name, result, title = str(data.get("custom_id") or ""), data.get("result"), self._wire.title
        result = result if isinstance(result, Mapping) else {}
        kind = str(result.get("type") or "")
        if kind == "succeeded":
            return reply_line(name, 200, result.get("message"), None, title)
        if kind in ("expired", "canceled"):
            return failed_line(name, None, {"code": kind}, title)
        return failed_line(name, None, result.get("error") or {"message": f"The result is of kind '{kind}'."}, title)

    def _address(self, batch_id: str) -> str:
        return f"{BATCHES}/{quote(batch_id, safe='')}"

    def _results_path(self, remote: Remote) -> str:
        """Where the results are; what is said of another host, as behind a gateway, does not lead the key there."""
        url = remote.handles.get("results_url", "")
        try:
            return self._wire.address(url) if "://" in url else f"{self._address(remote.id)}/results"
        except WrongAddress:
            return f"{self._address(remote.id)}/results"

    def _known(self, data: Any) -> Remote:
        remote = self._remote(data)
        if remote is None:
            raise ProviderDown(f"{self._wire.title} sent a reply that is no batch.", provider=self._wire.title)
        return remote

    def _remote(self, data: Any) -> Remote | None:
        if not isinstance(data, Mapping) or not data.get("id"):
            return None
        given = data.get("request_counts")
        counts = {name: count for name, count in (given or {}).items() if isinstance(count, int)}
        status = str(data.get("processing_status") or "")
        outcome: Outcome | None = None
        if status == "ended":
            stopped = "cancelled" if data.get("cancel_initiated_at") else "completed"
            outcome = "expired" if counts.get("expired") else stopped  # type: ignore[assignment]
        created, url = moment(data.get("created_at")), data.get("results_url")
        return Remote(
            str(data["id"]),
            status,
            outcome=outcome,
            counts={
                "total": sum(counts.values()),
                "completed": counts.get("succeeded", 0),
                "failed": counts.get("errored", 0),
            },
            handles={"results_url": url} if isinstance(url, str) and url else {},
            created_at=created,
            expires_at=moment(data.get("expires_at")),
            results_expire_at=days_after(created, self.caps.results_days),
        )
