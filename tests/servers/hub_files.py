"""The Hub's files: preupload, commit, large file storage, and downloads by resolve."""

import base64
import hashlib
import json
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.servers.hub_access import HubAccess, HubError
from tests.servers.hub_api import commit_of, kind_of
from tests.servers.hub_store import KINDS, Blob, HubStore, is_large


class HubFiles:
    """Large files go the classic LFS way (`HF_HUB_DISABLE_XET=1`) and are downloaded by a redirect.

    The redirect goes to `localhost` and not 127.0.0.1, since the clients tell a CDN by its other host: they follow it
    only to download, and take no key along.
    """

    def __init__(self, store: HubStore, access: HubAccess) -> None:
        self.store = store
        self.access = access

    def table(self) -> list[web.RouteDef]:
        api = "/api/{kind:models|datasets|spaces}/{namespace}/{name}"
        routes = [
            web.post(api + "/preupload/{revision}", self.preupload),
            web.post(api + "/commit/{revision}", self.commit),
            web.put("/lfs/{oid}", self.upload),
            web.get("/cdn/{oid}", self.cdn),
        ]
        # Datasets and spaces first: a model's route would take "datasets" for a namespace.
        for kind, prefix in sorted(KINDS.items(), key=lambda item: -len(item[1])):
            repo = f"/{prefix}{{namespace}}/{{name}}"
            routes.append(web.post(repo + ".git/info/lfs/objects/batch", self.lfs_batch(kind)))
            routes.append(web.get(repo + "/resolve/{revision}/{path:.+}", self.resolve(kind)))
        return routes

    async def preupload(self, request: web.Request) -> web.Response:
        repo = self.access.writable(request, kind_of(request))
        files = commit_of(request, repo).files
        asked = (await request.json())["files"]
        return web.json_response(
            {
                "files": [
                    {
                        "path": one["path"],
                        "uploadMode": "lfs" if is_large(one["path"], one["size"]) else "regular",
                        "shouldIgnore": False,
                        "oid": files[one["path"]].etag if one["path"] in files else None,
                    }
                    for one in asked
                ]
            }
        )

    async def commit(self, request: web.Request) -> web.Response:
        repo = self.access.writable(request, kind_of(request))
        account = self.access.signed_in(request)
        if request.match_info["revision"] != "main":
            raise HubError(404, f"Invalid rev id: {request.match_info['revision']}", "RevisionNotFound")
        files = dict(repo.files)
        title = ""
        for line in (await request.text()).splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "header":
                title = value["summary"]
                if value.get("parentCommit", repo.head.sha) != repo.head.sha:
                    raise HubError(412, "A commit has happened since. Please refresh and try again.")
            else:
                self.apply(operation["key"], value, files)
        commit = repo.commit(files, title=title, author=account.name)
        url = f"{request.url.origin()}/{KINDS[repo.kind]}{repo.id}/commit/{commit.sha}"
        return web.json_response({"success": True, "commitOid": commit.sha, "commitUrl": url, "hookOutput": ""})

    def apply(self, operation: str, value: dict[str, str], files: dict[str, Blob]) -> None:
        path = value["path"]
        match operation:
            case "file":
                files[path] = Blob(base64.b64decode(value["content"]), lfs=False)
            case "lfsFile":
                if value["oid"] not in self.store.uploads:
                    raise HubError(400, f"LFS pointer pointed to a file that does not exist: {path}")
                files[path] = Blob(self.store.uploads[value["oid"]], lfs=True)
            case "deletedFile":
                if files.pop(path, None) is None:
                    raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            case "deletedFolder":
                for name in [name for name in files if name.startswith(path.rstrip("/") + "/")]:
                    del files[name]
            case _:
                raise HubError(400, f"Unknown operation {operation}")

    def lfs_batch(self, kind: str) -> Handler:
        async def batch(request: web.Request) -> web.Response:
            self.access.writable(request, kind)
            asked = await request.json()
            objects = []
            for one in asked["objects"]:
                known = one["oid"] in self.store.uploads
                href = f"{request.url.origin()}/lfs/{one['oid']}"
                actions = {} if known else {"actions": {"upload": {"href": href, "header": {}}}}
                objects.append({"oid": one["oid"], "size": one["size"], "authenticated": True, **actions})
            body = {"transfer": "basic", "objects": objects}
            return web.json_response(body, content_type="application/vnd.git-lfs+json")

        return batch

    async def upload(self, request: web.Request) -> web.Response:
        data = await request.read()
        if hashlib.sha256(data).hexdigest() != request.match_info["oid"]:
            raise HubError(400, "The content does not match its sha256")
        self.store.uploads[request.match_info["oid"]] = data
        return web.Response(headers={"ETag": f'"{request.match_info["oid"]}"'})

    def resolve(self, kind: str) -> Handler:
        async def file(request: web.Request) -> web.StreamResponse:
            repo = self.access.downloadable(request, kind)
            commit = commit_of(request, repo)
            path = request.match_info["path"]
            blob = commit.files.get(path)
            headers = {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes"}
            if blob is None:
                error = HubError(404, "Entry not found", "EntryNotFound")
                error.headers["X-Repo-Commit"] = commit.sha
                raise error
            if blob.lfs:
                self.store.uploads[blob.sha256] = blob.data
                headers |= {
                    "X-Linked-Etag": f'"{blob.etag}"',
                    "X-Linked-Size": str(len(blob.data)),
                    "Location": f"{request.url.origin().with_host('localhost')}/cdn/{blob.sha256}?file={quote(path)}",
                }
                return web.Response(status=302, headers=headers)
            return ranged(request, blob.data, headers | {"ETag": f'"{blob.etag}"'})

        return file

    async def cdn(self, request: web.Request) -> web.Response:
        data = self.store.uploads.get(request.match_info["oid"])
        if data is None:
            raise HubError(404, "Not found")
        return ranged(request, data, {"ETag": f'"{request.match_info["oid"]}"', "Accept-Ranges": "bytes"})


def ranged(request: web.Request, data: bytes, headers: dict[str, str]) -> web.Response:
    """The whole file, or the part that a Range header asks for."""
    wanted = request.http_range
    if wanted.start is None and wanted.stop is None:
        return web.Response(body=data, headers=headers)
    start, stop, _ = wanted.indices(len(data))
    if start >= len(data):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers = headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
    return web.Response(status=206, body=data[start:stop], headers=headers)
