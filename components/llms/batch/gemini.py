"""Gemini's batches: a file of requests, one job for a model, and a file of responses."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import orjson

from components.errors import (
    BatchGone,
    BatchOutcomeUnknown,
    CredentialError,
    ProviderDown,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
)
from components.llms.batch.calls import Call
from components.llms.batch.inline import encoded_line
from components.llms.batch.moments import days_after, moment
from components.llms.batch.protocol import BatchLine, Caps, LineError, Outcome, Remote, UnreadableLine
from components.llms.batch.refusals import LinesRefused
from components.llms.batch.remotes import refused_lines
from components.llms.batch.result_files import fetch, read_lines, result_file
from components.llms.batch.rows import failed_line, reply_line
from components.llms.failures import retry_after

if TYPE_CHECKING:
    from components.llms.batch.wire import Wire


OUTCOMES: dict[str, Outcome] = {
    "SUCCEEDED": "completed",
    "PARTIALLY_SUCCEEDED": "completed",
    "FAILED": "failed",
    "EXPIRED": "expired",
    "CANCELLED": "cancelled",
}
PREFIX = re.compile(r"^(?:JOB|BATCH)_STATE_")
PAGE = 100
MOST_PAGES = 200
KIND = "application/jsonl"


class GeminiBatch:
    """Batch jobs of one account at Google's Gemini API."""

    def __init__(self, wire: "Wire", caps: Caps, account: str) -> None:
        self.caps = caps
        self.account = account
        self._wire = wire

    def line(self, custom_id: str, path: str, body: Mapping[str, Any]) -> bytes:
        """One line of the input file."""
        return encoded_line({"key": custom_id, "request": body})

    def read_line(self, line: bytes) -> tuple[str, dict[str, Any]]:
        """The name and the body in a line."""
        data = orjson.loads(line)
        return str(data["key"]), data["request"]

    def upload(self, file: Path, name: str) -> str:
        """Send the input file: ask for a place, then fill it."""
        size = str(file.stat().st_size)
        asked = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": size,
            "X-Goog-Upload-Header-Content-Type": KIND,
        }
        body = {"file": {"displayName": name}}
        place = self._wire.post(self._beside("upload", "/files"), body, Call.SEND, asked).headers.get(
            "x-goog-upload-url"
        )
        if not place:
            raise ProviderDown(f"{self._wire.title} gave no place for the file.", provider=self._wire.title)
        sent = {"X-Goog-Upload-Offset": "0", "X-Goog-Upload-Command": "upload, finalize", "Content-Type": KIND}
        data = self._wire.send(place, file, sent).data
        stored = data.get("file") if isinstance(data, Mapping) else None
        if not isinstance(stored, Mapping) or not stored.get("name"):
            raise ProviderDown(f"{self._wire.title} took a file without naming it.", provider=self._wire.title)
        return str(stored["name"])

    def create(self, input_ref: str, *, file: Path, tag: str, model: str, path: str, n: int, window: str) -> Remote:
        """Make the batch with one request. Raises: LinesRefused for a malformed row, which refuses them all."""
        body = {"batch": {"displayName": tag, "inputConfig": {"fileName": input_ref}}}
        name = quote(model.removeprefix("models/"), safe="")
        try:
            data = self._wire.create(f"/models/{name}:batchGenerateContent", orjson.dumps(body)).data
        except QuotaExhausted as error:
            # Google says the same of a full queue as of an empty purse; only the second has another status.
            if error.status != 429:
                raise
            refused: Exception = RateLimited(
                str(error), provider=error.provider, status=429, retry_after=error.retry_after
            )
        except RequestRefused as error:
            lines = refused_lines(str(error)) if error.status == 400 else ()
            if not lines:
                raise
            refused = LinesRefused(str(error), lines, provider=error.provider, status=error.status)
        else:
            remote = self._remote(data)
            if remote is not None:
                return remote
            refused = BatchOutcomeUnknown(
                f"{self._wire.title} made something that is no batch.", provider=self._wire.title
            )
        raise refused

    def get(self, batch_id: str) -> Remote:
        """How a batch is doing."""
        answer = self._wire.get(self._address(batch_id))
        remote = self._remote(answer.data)
        if remote is None:
            raise ProviderDown(f"{self._wire.title} sent a reply that is no batch.", provider=self._wire.title)
        return replace(remote, retry_after=retry_after(answer.headers))

    def recent(self, since: float) -> Iterator[Remote]:
        """Batches made since a moment, newest first."""
        place: dict[str, str | int] = {}
        for _ in range(MOST_PAGES):
            data = self._wire.get("/batches", Call.LOOK, pageSize=PAGE, **place).data
            for one in data.get("operations") or data.get("batches") or []:
                remote = self._remote(one)
                if remote is not None and remote.created_at is not None and remote.created_at < since:
                    return
                if remote is not None:
                    yield remote
            if not data.get("nextPageToken"):
                return
            place = {"pageToken": str(data["nextPageToken"])}

    def cancel(self, batch_id: str) -> Remote:
        """Cancel a batch; one that has ended already is given as it is."""
        self._wire.post(f"{self._address(batch_id)}:cancel")
        return self.get(batch_id)

    def results(self, remote: Remote, folder: Path) -> Iterator[BatchLine | UnreadableLine]:
        """Every line of the responses, which hold errors too."""
        handle = remote.handles.get("output_file")
        if not handle:
            return
        path = self._beside("download", f"/{quote(handle, safe='/')}:download")

        def pour(to: Any) -> None:
            try:
                self._wire.read(path, to.writelines, alt="media")
            except CredentialError as error:
                # A file that is gone and one of somebody else are the same to Google.
                if "may not exist" not in str(error):
                    raise
                gone = BatchGone(f"{self._wire.title} no longer has the results.", provider=self._wire.title)
            else:
                return
            raise gone

        for line in read_lines(fetch(result_file(folder, remote.id, "output"), pour)):
            yield line if isinstance(line, UnreadableLine) else self._line(line)

    def _line(self, data: Mapping[str, Any]) -> BatchLine:
        name, title = str(data.get("key") or ""), self._wire.title
        error = data.get("error") or data.get("status")
        if error:
            return failed_line(name, None, error, title)
        return reply_line(name, None, data.get("response"), None, title)

    def _beside(self, service: str, path: str) -> str:
        """An address of the same host whose path begins with another service, as Google has for files."""
        parts = urlsplit(self._wire.root)
        return f"{parts.scheme}://{parts.netloc}/{service}{parts.path}{path}"

    def _address(self, batch_id: str) -> str:
        return f"/batches/{quote(batch_id.removeprefix('batches/'), safe='')}"

    def _remote(self, data: Any) -> Remote | None:
        if not isinstance(data, Mapping) or not data.get("name"):
            return None
        given = data.get("metadata")
        about: Mapping[str, Any] = given if isinstance(given, Mapping) else data
        status = PREFIX.sub("", str(about.get("state") or ""))
        outcome = OUTCOMES.get(status)
        error = data.get("error")
        errors: tuple[LineError, ...] = ()
        if outcome == "failed" and isinstance(error, Mapping):
            errors = (LineError(str(error.get("message") or ""), str(error.get("code") or "")),)
        created = moment(about.get("createTime"))
        return Remote(
            str(data["name"]),
            status,
            outcome=outcome,
            counts=_counts(about.get("batchStats")),
            handles=_handles(data, about),
            errors=errors,
            created_at=created,
            expires_at=created + self.caps.worst_hours * 3600 if created and self.caps.worst_hours else None,
            results_expire_at=days_after(created, self.caps.results_days),
            tag=str(about.get("displayName") or ""),
            input_ref=str((about.get("inputConfig") or {}).get("fileName") or ""),
        )


def _counts(stats: Any) -> dict[str, int]:
    """Google writes numbers as texts, and leaves those out that are 0."""
    names = {"total": "requestCount", "completed": "successfulRequestCount", "failed": "failedRequestCount"}
    given = stats if isinstance(stats, Mapping) else {}
    return {ours: int(given.get(theirs) or 0) for ours, theirs in names.items()}


def _handles(data: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, str]:
    for place in (about.get("output"), data.get("response"), about.get("dest")):
        file = (place.get("responsesFile") or place.get("fileName")) if isinstance(place, Mapping) else None
        if isinstance(file, str) and file:
            return {"output_file": file}
    return {}
