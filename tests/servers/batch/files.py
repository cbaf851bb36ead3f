"""The Files API: uploads go to disk as they come, downloads come from there."""

import asyncio
import time
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web

from tests.servers.batch.provider import Provider, Refused, seconds, whole
from tests.servers.batch.store import StoredFile
from tests.servers.batch.troubles import CHUNK, guarded, send_file


class FilesProvider(Provider):
    """A provider whose batches are made of files."""

    upload_path = "/files"
    purposes: tuple[str, ...] = ("batch",)  # the first is the one for batches
    field_needed = "purpose"  # which form field an upload must have, if any

    def file_object(self, stored: StoredFile) -> dict[str, Any]:
        return {
            "object": "file",
            "id": stored.id,
            "purpose": stored.purpose,
            "filename": stored.filename,
            "bytes": stored.bytes,
            "created_at": seconds(stored.created_at),
            "expires_at": seconds(stored.expires_at),
            "status": "processed",
            "status_details": None,
        }

    def files_table(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.post(f"{prefix}{self.upload_path}", guarded(self.batch, "upload", self.upload)),
            web.get(f"{prefix}/files", self.list_files),
            web.get(f"{prefix}/files/{{id}}", self.retrieve_file),
            web.get(f"{prefix}/files/{{id}}/content", guarded(self.batch, "download", self.download)),
            web.delete(f"{prefix}/files/{{id}}", self.delete_file),
        ]

    async def upload(self, request: web.Request) -> web.StreamResponse:
        draft = self.store.draft()
        try:
            form = await self.receive(request, draft)
            self.check_upload(form)
            size = draft.stat().st_size
            self.check_size(size)
            lines = await asyncio.to_thread(self.read_upload, draft)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        expires = form.get("expires_after[seconds]") or form.get("expires_after")
        now = time.time()
        stored = StoredFile(
            self.file_id(),
            self.account(request),
            form["file"],
            form.get("purpose", ""),
            size,
            now,
            lines,
            expires_at=now + (int(expires) if expires else self.file_days * 86_400),
        )
        return web.json_response(self.file_object(self.store.keep(stored, draft)))

    async def receive(self, request: web.Request, draft: Path) -> dict[str, str]:
        """The form's fields; its file lies at `draft` and its name is the field `file`."""
        if request.content_type != "multipart/form-data":
            raise Refused(400, "Expected a multipart form with a file.")
        form: dict[str, str] = {}
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.name != "file":
                form[part.name or ""] = await part.text()
                continue
            form["file"] = part.filename or "upload"
            with draft.open("wb") as file:
                while piece := await part.read_chunk(CHUNK):
                    file.write(piece)
        if "file" not in form:
            raise Refused(400, "'file' is a required property", param="file")
        return form

    def check_upload(self, form: dict[str, str]) -> None:
        needed = self.field_needed
        if needed and needed not in form:
            raise Refused(400, f"'{needed}' is a required property", param=needed)

    def check_size(self, size: int) -> None:
        if size > self.byte_limit:
            raise Refused(400, "File is too large.")

    def read_upload(self, path: Path) -> int | None:
        """How many lines it has, for a provider that counts or checks them at once."""
        return None

    def file_of(self, request: web.Request) -> StoredFile:
        file_id = request.match_info["id"]
        stored = self.store.files.get(file_id)
        if stored is None or stored.account != self.account(request):
            raise self.no_file(file_id)
        return stored

    def no_file(self, file_id: str) -> Refused:
        return Refused(404, f"No such File object: {file_id}", param="id")

    async def retrieve_file(self, request: web.Request) -> web.Response:
        return web.json_response(self.file_object(self.file_of(request)))

    async def list_files(self, request: web.Request) -> web.Response:
        purpose, order = request.query.get("purpose"), request.query.get("order", "desc")
        limit = whole(request.query.get("limit"), "limit", 1, 10_000, 10_000)
        mine = [
            stored
            for stored in sorted(
                self.store.files.values(), key=lambda stored: stored.created_at, reverse=order != "asc"
            )
            if stored.account == self.account(request) and purpose in (None, stored.purpose)
        ]
        after = request.query.get("after")
        start = next((place + 1 for place, stored in enumerate(mine) if stored.id == after), 0)
        page = mine[start : start + limit]
        return web.json_response(self.files_page(page, has_more=start + limit < len(mine)))

    def files_page(self, page: list[StoredFile], *, has_more: bool) -> dict[str, Any]:
        return {
            "object": "list",
            "data": [self.file_object(stored) for stored in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": has_more,
        }

    async def download(self, request: web.Request) -> web.StreamResponse:
        stored = self.file_of(request)
        return await send_file(request, stored, self.store.blob(stored.id), "application/octet-stream")

    async def delete_file(self, request: web.Request) -> web.Response:
        stored = self.file_of(request)
        self.store.drop(stored.id)
        return web.json_response({"object": "file", "deleted": True, "id": stored.id})
