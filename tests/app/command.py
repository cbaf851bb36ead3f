"""The command `stillroom`: in this process, or as one of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner, Result

from app.cli import app

ROOT = Path(__file__).parents[2]


def stillroom(*words) -> Result:
    """What a command says and how it ends; an error that is no sentence fails the test."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def answer(*words):
    """The JSON document that a command answers with, which is all of standard output."""
    return json.loads(stillroom(*words, "--json").stdout)


def process(*words, **options) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT} | options
    return subprocess.Popen(
        [sys.executable, "-m", "app", *map(str, words)], env=os.environ | {"NO_COLOR": "1"}, **pipes
    )
