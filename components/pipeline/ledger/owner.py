"""Which process holds a run or a batch job, and whether it still lives."""

import os
import socket

import psutil

_at_their_end: set[str] = set()
"""Owners of this process that work no more; the ledger names them all the same where it could not be told."""


def process_name() -> str:
    """This machine and process, told apart from an earlier process of the same number."""
    return f"{socket.gethostname()}:{os.getpid()}:{int(psutil.Process().create_time())}"


def is_process_alive(owner: str) -> bool:
    """Whether the process that holds a lease still runs; one on another machine is given the benefit of the doubt."""
    host, pid, started, _ = owner.rsplit(":", 3)
    if host != socket.gethostname():
        return True
    try:
        return int(psutil.Process(int(pid)).create_time()) == int(started)
    except psutil.NoSuchProcess:
        return False


def is_at_work(owner: str) -> bool:
    """Whether the owner of a run still works on it: its process lives, and did not say that it has come to its end."""
    return owner not in _at_their_end and is_process_alive(owner)


def begins(owner: str) -> None:
    """An owner of this process begins to work."""
    _at_their_end.discard(owner)


def ends(owner: str) -> None:
    """An owner of this process works no more, whether or not the ledger could be told."""
    _at_their_end.add(owner)
