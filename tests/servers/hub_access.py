"""Who may see and write what on the fake Hub, and its errors."""

import json

from aiohttp import web

from tests.servers.hub_store import Account, HubStore, Repo


class HubError(web.HTTPException):
    """A Hub error: the words in the body, the kind in X-Error-Code, which is what the clients read."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        self.status_code = status
        headers = {"X-Error-Message": message}
        if code:
            headers["X-Error-Code"] = code
        super().__init__(headers=headers, text=json.dumps({"error": message}), content_type="application/json")


class HubAccess:
    """The rules of the Hub as its clients meet them."""

    def __init__(self, store: HubStore) -> None:
        self.store = store

    def account(self, request: web.Request) -> Account | None:
        """None for a visitor without a token; a wrong token is an error, never a visitor."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not token:
            return None
        if token not in self.store.accounts:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.store.accounts[token]

    def signed_in(self, request: web.Request) -> Account:
        account = self.account(request)
        if account is None:
            raise HubError(401, "Invalid username or password.")
        return account

    def readable(self, request: web.Request, kind: str) -> Repo:
        """The repository of the URL; one that may not be seen does not exist."""
        account = self.account(request)
        repo_id = f"{request.match_info['namespace']}/{request.match_info['name']}"
        repo = self.store.repos.get((kind, repo_id))
        if repo is None or (repo.private and not self.belongs(account, repo.namespace)):
            # To a visitor the Hub does not even say whether it exists.
            raise HubError(404 if account else 401, "Repository not found", "RepoNotFound")
        return repo

    def downloadable(self, request: web.Request, kind: str) -> Repo:
        repo = self.readable(request, kind)
        account = self.account(request)
        if repo.gated and not self.belongs(account, repo.namespace):
            message = f"Access to {kind} {repo.id} is restricted and you are not in the authorized list."
            raise HubError(403 if account else 401, message, "GatedRepo")
        return repo

    def writable(self, request: web.Request, kind: str) -> Repo:
        account = self.signed_in(request)
        repo = self.readable(request, kind)
        self.may_write(account, repo.namespace, kind)
        return repo

    def may_write(self, account: Account, namespace: str, kind: str) -> None:
        if account.role != "write" or not self.belongs(account, namespace):
            raise HubError(403, f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"')

    @staticmethod
    def belongs(account: Account | None, namespace: str) -> bool:
        return account is not None and namespace in (account.name, *account.orgs)
