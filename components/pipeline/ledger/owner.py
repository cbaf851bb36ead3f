"""Which process holds a run or a batch job, and whether it still lives."""

import os
import socket

import psutil


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
