"""Batch jobs at OpenAI and at every provider that copies its files and batches."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

import orjson

from components.errors import BatchGone, BatchOutcomeUnknown, ProviderDown, ProviderError, RequestRefused
from components.llms.batch.calls import Call
from components.llms.batch.inline import enclosed, encoded_line
from components.llms.batch.json_stream import items
from components.llms.batch.protocol import BatchLine, Caps, Remote, UnreadableLine
from components.llms.batch.quirks import Order, Paging, Quirks, Results
from components.llms.batch.refusals import LinesRefused
from components.llms.batch.remotes import refused_lines, remote_of, settled, xai_remote
from components.llms.batch.result_files import fetch, read_lines, result_file
from components.llms.batch.rows import reply_line
from components.llms.failures import retry_after

if TYPE_CHECKING:
    from components.llms.batch.wire import Wire


PAGE = 100
MOST_PAGES = 200


class OpenAIFamilyBatch:
    """Batch jobs of one account; what differs between providers is in its quirks."""

    def __init__(self, wire: "Wire", quirks: Quirks, caps: Caps, account: str) -> None:
        self.caps = caps
        self.account = account
        self._wire = wire
        self._quirks = quirks

    def line(self, custom_id: str, path: str, body: Mapping[str, Any]) -> bytes:
        """One line of the input file."""
        quirks = self._quirks
        if not quirks.has_model:
            body = {name: value for name, value in body.items() if name != "model"}
        request: dict[str, Any] = {"custom_id": custom_id}
        if quirks.has_url:
            request |= {"method": "POST", "url": quirks.prefix + path}
        return encoded_line({**request, "body": body})

    def read_line(self, line: bytes) -> tuple[str, dict[str, Any]]:
        """The name and the body in a line."""
        data = orjson.loads(line)
        return str(data["custom_id"]), data["body"]

    def upload(self, file: Path, name: str) -> str:
        """Send the input file; nothing to send where requests go inside the batch.

        Raises: LinesRefused where the provider checks the lines right away.
        """
        quirks = self._quirks
        if quirks.results is Results.INSIDE:
            return ""
        fields = {"purpose": quirks.purpose} | ({"file_name": name} if quirks.names_file else {})
        try:
            data = self._wire.upload(quirks.upload, file, name, fields).data
        except RequestRefused as error:
            lines = refused_lines(str(error)) if error.status in (400, 422) else ()
            if not lines:
                raise
            refused = LinesRefused(str(error), lines, provider=error.provider, status=error.status)
        else:
            if isinstance(data, Mapping) and data.get("id"):
                return str(data["id"])
            raise ProviderDown(f"{self._wire.title} took a file without giving it an id.", provider=self._wire.title)
        raise refused

    def create(self, input_ref: str, *, file: Path, tag: str, model: str, path: str, n: int, window: str) -> Remote:
        """Make the batch with one request."""
        quirks, endpoint = self._quirks, self._quirks.prefix + path
        if quirks.results is Results.INSIDE:
            # The server reads as it comes and wants these two before the requests.
            content, length = enclosed(file, {"endpoint": endpoint, "model": model})
            data = self._wire.create(quirks.batches, content, length).data
        else:
            order = Order(input_ref, tag, model, endpoint, window)
            data = self._wire.create(quirks.batches, orjson.dumps(quirks.order(order))).data
        remote = self._remote(data.get("job", data)) if isinstance(data, Mapping) else None
        if remote is None:
            raise BatchOutcomeUnknown(f"{self._wire.title} made something that is no batch.", provider=self._wire.title)
        return remote

    def get(self, batch_id: str) -> Remote:
        """How a batch is doing."""
        path = self._address(batch_id)
        if self._quirks.results is Results.INSIDE:
            fields: dict[str, Any] = {}
            self._wire.read(path, lambda pieces: self._pass_over(pieces, fields))
            return self._known(fields)
        answer = self._wire.get(path)
        return self._known(answer.data, answer.headers)

    def recent(self, since: float) -> Iterator[Remote]:
        """Batches made since a moment, newest first."""
        place: dict[str, str | int] = {}
        for page in range(MOST_PAGES):
            data = self._wire.get(self._quirks.batches, Call.LOOK, **self._page_size(since), **place).data
            listed = data if isinstance(data, list) else data.get("data") or data.get("batches") or []
            remotes = [self._remote(one) for one in listed if isinstance(one, Mapping)]
            found = [remote for remote in remotes if remote is not None]
            yield from (one for one in found if one.created_at is None or one.created_at >= since)
            place = self._next_page(data, found, page)
            if not place or (found[-1].created_at or since) < since:
                return

    def cancel(self, batch_id: str) -> Remote:
        """Cancel a batch; one that has ended already is given as it is."""
        if self._quirks.cancel is None:
            raise RequestRefused(f"{self._wire.title} cannot cancel a batch.", provider=self._wire.title)
        try:
            return self._known(self._wire.post(self._address(batch_id) + self._quirks.cancel).data)
        except ProviderError as error:
            if error.status not in (400, 409):
                raise
            refused = error
        remote = self.get(batch_id)
        if not remote.has_ended:
            raise refused
        return remote

    def results(self, remote: Remote, folder: Path) -> Iterator[BatchLine | UnreadableLine]:
        """Every line there is, of output and errors alike."""
        if self._quirks.results is Results.FILES:
            yield from self._results_of_files(remote, folder)
            return
        pour = self._pour_inside if self._quirks.results is Results.INSIDE else self._pour_pages
        file = result_file(folder, remote.id, "output")
        for line in read_lines(fetch(file, lambda handle: pour(remote.id, handle))):
            yield line if isinstance(line, UnreadableLine) else self._line(line)

    def _results_of_files(self, remote: Remote, folder: Path) -> Iterator[BatchLine | UnreadableLine]:
        gone: BatchGone | None = None
        for kind in ("output", "error"):
            handle = remote.handles.get(f"{kind}_file")
            if not handle:
                continue
            path = f"/files/{quote(handle, safe='')}/content"
            try:
                file = fetch(result_file(folder, remote.id, kind), partial(self._pour_file, path))
            except BatchGone as error:
                # The other file may still be there.
                gone = error
                continue
            for line in read_lines(file):
                yield line if isinstance(line, UnreadableLine) else self._line(line)
        if gone is not None:
            raise gone

    def _line(self, data: Mapping[str, Any]) -> BatchLine:
        title = self._wire.title
        if "batch_request_id" in data:
            result = data.get("batch_result")
            result = result if isinstance(result, Mapping) else {}
            answers = result.get("response")
            body = next(iter(answers.values()), None) if isinstance(answers, Mapping) else None
            return reply_line(data["batch_request_id"], None, body, result.get("error"), title)
        response = data.get("response")
        if isinstance(response, Mapping) and ("body" in response or "status_code" in response):
            status, body = response.get("status_code"), response.get("body")
        else:
            status, body = None, response
        return reply_line(data.get("custom_id"), status, body, data.get("error"), title)

    def _pour_file(self, path: str, handle: BinaryIO) -> None:
        self._wire.read(path, lambda pieces: handle.writelines(pieces))

    def _pour_inside(self, batch_id: str, handle: BinaryIO) -> None:
        def pour(pieces: Iterator[bytes]) -> None:
            handle.writelines(orjson.dumps(row) + b"\n" for row in self._read(pieces, {}))

        self._wire.read(self._address(batch_id), pour)

    def _pour_pages(self, batch_id: str, handle: BinaryIO) -> None:
        path, token = f"{self._address(batch_id)}/results", ""
        while True:
            fields: dict[str, Any] = {}

            def pour(pieces: Iterator[bytes], fields: dict[str, Any] = fields) -> None:
                handle.writelines(orjson.dumps(row) + b"\n" for row in self._read(pieces, fields))

            self._wire.read(path, pour, limit=PAGE, **({"pagination_token": token} if token else {}))
            following = str(fields.get("pagination_token") or "")
            if not following or following == token:
                return
            token = following

    def _pass_over(self, pieces: Iterator[bytes], fields: dict[str, Any]) -> None:
        for _ in self._read(pieces, fields):
            pass

    def _read(self, pieces: Iterator[bytes], fields: dict[str, Any]) -> Iterator[Any]:
        try:
            yield from items(pieces, "results", fields)
        except ValueError as error:
            reason = str(error)
        else:
            return
        raise ProviderDown(f"{self._wire.title} sent results that are not whole: {reason}", provider=self._wire.title)

    def _address(self, batch_id: str) -> str:
        return f"{self._quirks.batches}/{quote(batch_id, safe='')}"

    def _page_size(self, since: float) -> dict[str, str | int]:
        match self._quirks.paging:
            case Paging.PAGE:
                after = datetime.fromtimestamp(since, UTC).isoformat()
                return {"page_size": PAGE, "created_after": after, "order_by": "-created"}
            case Paging.NONE:
                return {}
            case _:
                return {"limit": PAGE}

    def _next_page(self, data: Any, found: list[Remote], page: int) -> dict[str, str | int]:
        """Where the list goes on; nowhere when this was the end of it."""
        if not found or not isinstance(data, Mapping):
            return {}
        match self._quirks.paging:
            case Paging.AFTER:
                return {"after": found[-1].id} if data.get("has_more") else {}
            case Paging.PAGE:
                return {"page": page + 1} if len(found) == PAGE else {}
            case Paging.TOKEN:
                token = data.get("pagination_token")
                return {"pagination_token": str(token)} if token else {}
            case Paging.NONE:
                return {}

    def _remote(self, data: Mapping[str, Any]) -> Remote | None:
        if self._quirks.results is Results.PAGES:
            remote = xai_remote(data, self.caps)
            return settled(remote, data, self.account) if remote else None
        return remote_of(data, self.caps)

    def _known(self, data: Any, headers: Mapping[str, str] | None = None) -> Remote:
        remote = self._remote(data) if isinstance(data, Mapping) else None
        if remote is None:
            raise ProviderDown(f"{self._wire.title} sent a reply that is no batch.", provider=self._wire.title)
        return replace(remote, retry_after=retry_after(headers)) if headers else remote
