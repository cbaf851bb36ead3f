"""The Hub's JSON API for accounts and repositories."""

from typing import Any

from aiohttp import web

from tests.servers.hub_access import HubAccess, HubError
from tests.servers.hub_store import Blob, Commit, HubStore, Repo

FORBIDDEN_IN_NAMES = ("..", "--", " ")


class HubApi:
    """whoami, create, settings, delete, list, info, refs, commits, tree, paths-info."""

    def __init__(self, store: HubStore, access: HubAccess) -> None:
        self.store = store
        self.access = access

    def table(self) -> list[web.RouteDef]:
        repo = "/api/{kind:models|datasets|spaces}/{namespace}/{name}"
        return [
            web.get("/api/whoami-v2", self.whoami),
            web.post("/api/validate-yaml", self.validate_yaml),
            web.post("/api/repos/create", self.create),
            web.delete("/api/repos/delete", self.delete),
            web.get("/api/{kind:models|datasets|spaces}", self.listing),
            web.get(repo, self.info),
            web.get(repo + "/revision/{revision}", self.info),
            web.put(repo + "/settings", self.settings),
            web.get(repo + "/refs", self.refs),
            web.get(repo + "/commits/{revision}", self.commits),
            web.get(repo + "/tree/{revision}", self.tree),
            web.get(repo + "/tree/{revision}/{path:.*}", self.tree),
            web.post(repo + "/paths-info/{revision}", self.paths_info),
        ]

    async def whoami(self, request: web.Request) -> web.Response:
        account = self.access.signed_in(request)
        return web.json_response(
            {
                "type": "user",
                "id": f"id-{account.name}",
                "name": account.name,
                "fullname": account.name.title(),
                "email": f"{account.name}@example.com",
                "isPro": False,
                "orgs": [{"type": "org", "id": f"id-{org}", "name": org} for org in account.orgs],
                "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": account.role}},
            }
        )

    async def validate_yaml(self, request: web.Request) -> web.Response:
        return web.json_response({"errors": [], "warnings": []})

    async def create(self, request: web.Request) -> web.Response:
        account = self.access.signed_in(request)
        asked = await request.json()
        namespace = asked.get("organization") or account.name
        kind = asked.get("type") or "model"
        name = asked["name"]
        if any(part in name for part in FORBIDDEN_IN_NAMES) or len(name) > 96:
            raise HubError(400, f"Invalid repo name: {name}")
        self.access.may_write(account, namespace, kind)
        repo_id = f"{namespace}/{name}"
        url = f"{request.url.origin()}/{'' if kind == 'model' else kind + 's/'}{repo_id}"
        if (kind, repo_id) in self.store.repos:
            body = {"error": f"You already created this {kind} repo: {repo_id}", "url": url}
            return web.json_response(body, status=409)
        private = asked.get("visibility", "private" if asked.get("private") else "public") == "private"
        repo = self.store.add(repo_id, kind, private=private)
        return web.json_response({"url": url, "name": repo.id, "id": f"id-{repo.id}"})

    async def delete(self, request: web.Request) -> web.Response:
        account = self.access.signed_in(request)
        asked = await request.json()
        namespace = asked.get("organization") or account.name
        kind = asked.get("type") or "model"
        self.access.may_write(account, namespace, kind)
        if self.store.repos.pop((kind, f"{namespace}/{asked['name']}"), None) is None:
            raise HubError(404, "Repository not found", "RepoNotFound")
        return web.Response()

    async def settings(self, request: web.Request) -> web.Response:
        repo = self.access.writable(request, kind_of(request))
        asked = await request.json()
        if "visibility" in asked:
            repo.private = asked["visibility"] == "private"
        if "gated" in asked:
            repo.gated = bool(asked["gated"])
        return web.json_response({})

    async def listing(self, request: web.Request) -> web.Response:
        account = self.access.account(request)
        author, search = request.query.get("author"), request.query.get("search", "").lower()
        found = [
            info_of(repo, repo.head)
            for (kind, _), repo in self.store.repos.items()
            if kind == kind_of(request)
            and author in (None, repo.namespace)
            and search in repo.id.lower()
            and (not repo.private or self.access.belongs(account, repo.namespace))
        ]
        return web.json_response(found[: int(request.query.get("limit", len(found)))])

    async def info(self, request: web.Request) -> web.Response:
        repo = self.access.readable(request, kind_of(request))
        return web.json_response(info_of(repo, commit_of(request, repo)))

    async def refs(self, request: web.Request) -> web.Response:
        repo = self.access.readable(request, kind_of(request))
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head.sha}
        return web.json_response({"branches": [main], "converts": [], "tags": [], "pullRequests": []})

    async def commits(self, request: web.Request) -> web.Response:
        repo = self.access.readable(request, kind_of(request))
        newest_first = repo.commits[: repo.commits.index(commit_of(request, repo)) + 1][::-1]
        return web.json_response(
            [
                {
                    "id": commit.sha,
                    "title": commit.title,
                    "message": "",
                    "date": stamp(commit),
                    "authors": [{"user": commit.author}],
                }
                for commit in newest_first
            ]
        )

    async def tree(self, request: web.Request) -> web.Response:
        repo = self.access.readable(request, kind_of(request))
        commit = commit_of(request, repo)
        folder = request.match_info.get("path", "").strip("/")
        inside = {path: blob for path, blob in commit.files.items() if not folder or path.startswith(folder + "/")}
        if folder and not inside:
            raise HubError(404, f"{folder} does not exist on revision {commit.sha}", "EntryNotFound")
        depth = folder.count("/") + 1 if folder else 0
        deep = request.query.get("recursive", "").lower() in ("1", "true")
        folders = sorted(
            {
                "/".join(path.split("/")[: level + 1])
                for path in inside
                for level in range(depth, path.count("/") if deep else min(depth + 1, path.count("/")))
            }
        )
        entries = [folder_entry(path, commit) for path in folders]
        entries += [file_entry(path, b, commit) for path, b in inside.items() if deep or path.count("/") == depth]
        return web.json_response(sorted(entries, key=lambda entry: entry["path"]))

    async def paths_info(self, request: web.Request) -> web.Response:
        repo = self.access.readable(request, kind_of(request))
        commit = commit_of(request, repo)
        if request.content_type == "application/json":
            paths = (await request.json())["paths"]
        else:
            paths = (await request.post()).getall("paths", [])
        found: list[dict[str, Any]] = []
        for path in (str(one).strip("/") for one in ([paths] if isinstance(paths, str) else paths)):
            if path in commit.files:
                found.append(file_entry(path, commit.files[path], commit))
            elif path and any(name.startswith(path + "/") for name in commit.files):
                found.append(folder_entry(path, commit))
        return web.json_response(found)


def kind_of(request: web.Request) -> str:
    return request.match_info["kind"].removesuffix("s")


def commit_of(request: web.Request, repo: Repo) -> Commit:
    revision = request.match_info.get("revision", "main")
    commit = repo.at(revision)
    if commit is None:
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit


def stamp(commit: Commit) -> str:
    return commit.at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def info_of(repo: Repo, commit: Commit) -> dict[str, Any]:
    card = repo.card_data()
    return {
        "_id": f"id-{repo.id}",
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.namespace,
        "sha": commit.sha,
        "lastModified": stamp(commit),
        "createdAt": stamp(repo.commits[0]),
        "private": repo.private,
        "gated": "auto" if repo.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": card.get("tags", []),
        "cardData": card,
        "pipeline_tag": repo.pipeline_tag,
        "siblings": [{"rfilename": path} | sizes(blob) for path, blob in commit.files.items()],
        "inferenceProviderMapping": {
            provider: {"status": "live", "providerId": name, "task": "conversational"}
            for provider, name in repo.providers.items()
        },
    }


def sizes(blob: Blob) -> dict[str, Any]:
    found: dict[str, Any] = {"size": len(blob.data), "blobId": blob.oid}
    if blob.lfs:
        found["lfs"] = {"size": len(blob.data), "sha256": blob.sha256, "pointerSize": len(blob.pointer)}
    return found


def file_entry(path: str, blob: Blob, commit: Commit) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(blob.data), "oid": blob.oid}
    if blob.lfs:
        entry["lfs"] = {"oid": blob.sha256, "size": len(blob.data), "pointerSize": len(blob.pointer)}
    return entry | {"lastCommit": {"id": commit.sha, "title": commit.title, "date": stamp(commit)}}


def folder_entry(path: str, commit: Commit) -> dict[str, Any]:
    return {"type": "directory", "path": path, "size": 0, "oid": commit.sha}
