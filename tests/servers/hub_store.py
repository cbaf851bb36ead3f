"""Repositories of the fake Hub: files by path, one commit after another on main."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

KINDS = {"model": "", "dataset": "datasets/", "space": "spaces/"}
LARGE = 1_000_000
LARGE_ENDINGS = (".parquet", ".gguf", ".safetensors", ".bin", ".arrow", ".zip", ".png", ".jpg")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Blob:
    """A file's content; `lfs` says that the repository itself holds only a pointer to it."""

    data: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @property
    def oid(self) -> str:
        stored = self.pointer if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True)
class Commit:
    sha: str
    title: str
    author: str
    at: datetime
    files: dict[str, Blob]


@dataclass
class Repo:
    """`files` and `read` show main; `commits` is oldest first."""

    kind: str
    id: str
    private: bool = False
    gated: bool = False
    pipeline_tag: str | None = None
    providers: dict[str, str] = field(default_factory=dict)  # inference provider -> its own name for the model
    commits: list[Commit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.commit({}, title="initial commit", author=self.namespace)

    @property
    def namespace(self) -> str:
        return self.id.split("/")[0]

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    @property
    def files(self) -> dict[str, Blob]:
        return self.head.files

    def read(self, path: str) -> bytes:
        return self.files[path].data

    def at(self, revision: str) -> Commit | None:
        if revision in ("main", "refs/heads/main", "HEAD"):
            return self.head
        return next((commit for commit in self.commits if commit.sha.startswith(revision)), None)

    def commit(self, files: dict[str, Blob], *, title: str, author: str) -> Commit:
        at = EPOCH + timedelta(seconds=len(self.commits))
        names = "".join(f"{path}:{blob.oid};" for path, blob in sorted(files.items()))
        sha = hashlib.sha1(f"{self.kind}:{self.id}:{len(self.commits)}:{title}:{names}".encode()).hexdigest()
        self.commits.append(Commit(sha, title, author, at, files))
        return self.head

    def card_data(self) -> dict[str, Any]:
        """The YAML at the head of README.md."""
        if "README.md" not in self.files:
            return {}
        parts = self.read("README.md").decode().split("---", 2)
        return (yaml.safe_load(parts[1]) or {}) if len(parts) == 3 and not parts[0].strip() else {}


@dataclass(frozen=True)
class Account:
    """Who a token belongs to; `role` is read or write."""

    name: str
    orgs: tuple[str, ...] = ()
    role: str = "write"


class HubStore:
    """All repositories, accounts and uploaded large files."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self.accounts = dict(accounts)
        self.repos: dict[tuple[str, str], Repo] = {}
        self.uploads: dict[str, bytes] = {}

    def add(self, repo_id: str, kind: str = "model", files: Mapping[str, Any] | None = None, **settings: Any) -> Repo:
        """A new repository with files given as bytes, text or a path."""
        repo = Repo(kind, repo_id, **settings)
        self.repos[kind, repo_id] = repo
        if files:
            blobs = {path: blob_of(path, content) for path, content in files.items()}
            repo.commit(blobs, title="Add files", author=repo.namespace)
        return repo


def is_large(path: str, size: int) -> bool:
    """What the Hub keeps in large file storage."""
    return size > 0 and (size >= LARGE or path.endswith(LARGE_ENDINGS))


def blob_of(path: str, content: bytes | str | Path) -> Blob:
    data = content.read_bytes() if isinstance(content, Path) else content
    data = data.encode() if isinstance(data, str) else data
    return Blob(data, is_large(path, len(data)))
