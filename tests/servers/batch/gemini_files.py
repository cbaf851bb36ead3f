"""Gemini's Files API: the resumable upload, and downloads."""

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.servers.batch.batches import BatchesProvider
from tests.servers.batch.provider import Refused, iso, whole
from tests.servers.batch.store import StoredFile
from tests.servers.batch.troubles import CHUNK, guarded, send_file

KIND = "application/jsonl"


@dataclass
class Upload:
    """One that is under way."""

    account: str
    file_id: str
    name: str
    draft: Path
    received: int = 0


class GeminiFiles(BatchesProvider):
    file_days = 2

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.uploads: dict[str, Upload] = {}

    def files_table(self) -> list[web.RouteDef]:
        files = f"{self.prefix}/files"
        download = guarded(self.batch, "download", self.download)
        return [
            web.post(f"/upload{files}", guarded(self.batch, "upload", self.upload)),
            web.get(f"/download{files}/{{id}}:download", download),
            web.get(f"{files}/{{id}}:download", download),
            web.get(f"{files}/{{id}}", self.retrieve_file),
            web.get(files, self.list_files),
            web.delete(f"{files}/{{id}}", self.delete_file),
        ]

    def file_id(self) -> str:
        return f"files/{secrets.token_hex(6)}"

    def is_upload(self, request: web.Request) -> bool:
        return "upload_id" in request.query

    async def upload(self, request: web.Request) -> web.StreamResponse:
        commands = {part.strip() for part in request.headers.get("X-Goog-Upload-Command", "").split(",")}
        if "start" in commands:
            return await self.start(request)
        upload = self.uploads.get(request.query.get("upload_id", ""))
        if upload is None:
            raise Refused(404, "Upload not found.")
        if "query" in commands:
            received = {"X-Goog-Upload-Status": "active", "X-Goog-Upload-Size-Received": str(upload.received)}
            return web.json_response({}, headers=received)
        return await self.receive(request, upload, final="finalize" in commands)

    async def start(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("X-Goog-Upload-Protocol") != "resumable":
            raise Refused(400, "Invalid upload protocol.")
        size = int(request.headers.get("X-Goog-Upload-Header-Content-Length") or 0)
        if size > self.byte_limit:
            raise Refused(400, f"The file is larger than {self.byte_limit} bytes.")
        body = json.loads(await request.read() or b"{}")
        given = body.get("file") or {}
        name = given.get("displayName") or given.get("display_name") or ""
        upload_id = secrets.token_urlsafe(24)
        self.uploads[upload_id] = Upload(
            self.account(request), given.get("name") or self.file_id(), name, self.store.draft()
        )
        url = request.url.with_query(upload_id=upload_id, upload_protocol="resumable")
        return web.json_response({}, headers={"X-Goog-Upload-URL": str(url), "X-Goog-Upload-Status": "active"})

    async def receive(self, request: web.Request, upload: Upload, *, final: bool) -> web.StreamResponse:
        offset = int(request.headers.get("X-Goog-Upload-Offset") or 0)
        if offset != upload.received:
            raise Refused(400, f"Invalid offset {offset}: {upload.received} bytes were received.")
        with upload.draft.open("ab") as file:
            async for piece in request.content.iter_chunked(CHUNK):
                file.write(piece)
                upload.received += len(piece)
        if upload.received > self.byte_limit:
            raise Refused(400, f"The file is larger than {self.byte_limit} bytes.")
        if not final:
            return web.json_response({}, headers={"X-Goog-Upload-Status": "active"})
        now = time.time()
        stored = StoredFile(upload.file_id, upload.account, upload.name, "batch", upload.received, now)
        stored.expires_at = now + self.file_days * 86_400
        self.store.keep(stored, upload.draft)
        return web.json_response({"file": self.file_object(stored)}, headers={"X-Goog-Upload-Status": "final"})

    def file_object(self, stored: StoredFile) -> dict[str, Any]:
        return {
            "name": stored.id,
            "displayName": stored.filename,
            "mimeType": KIND,
            "sizeBytes": str(stored.bytes),
            "createTime": iso(stored.created_at),
            "updateTime": iso(stored.created_at),
            "expirationTime": iso(stored.expires_at),
            "uri": f"https://generativelanguage.googleapis.com/v1beta/{stored.id}",
            "state": "ACTIVE",
            "source": "GENERATED" if stored.purpose == "batch_output" else "UPLOADED",
        }

    def file_of(self, account: str, file_id: str) -> StoredFile:
        stored = self.store.files.get(file_id)
        if stored is None or stored.account != account:
            message = f"You do not have permission to access the File {file_id} or it may not exist."
            raise Refused(403, message)
        return stored

    async def retrieve_file(self, request: web.Request) -> web.Response:
        stored = self.file_of(self.account(request), f"files/{request.match_info['id']}")
        return web.json_response(self.file_object(stored))

    async def list_files(self, request: web.Request) -> web.Response:
        size = whole(request.query.get("pageSize"), "pageSize", 1, 100, 10)
        start = int(request.query.get("pageToken") or 0)
        mine = [
            stored
            for stored in reversed(self.store.files.values())
            if stored.account == self.account(request) and stored.purpose == "batch"
        ]
        page: dict[str, Any] = {"files": [self.file_object(stored) for stored in mine[start : start + size]]}
        return web.json_response(page | ({"nextPageToken": str(start + size)} if start + size < len(mine) else {}))

    async def download(self, request: web.Request) -> web.StreamResponse:
        stored = self.file_of(self.account(request), f"files/{request.match_info['id']}")
        if request.query.get("alt") != "media":
            raise Refused(400, "Only alt=media is supported.")
        return await send_file(request, stored, self.store.blob(stored.id), KIND)

    async def delete_file(self, request: web.Request) -> web.Response:
        stored = self.file_of(self.account(request), f"files/{request.match_info['id']}")
        if stored.purpose == "batch_output":
            raise Refused(400, "The file name is not valid.")
        self.store.drop(stored.id)
        return web.json_response({})
