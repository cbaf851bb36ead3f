"""The commands that the README and CI rely on."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TARGETS = ["run", "test", "check", "format", "bench", "torture", "screenshots", "docs"]


def make(*words: str) -> str:
    """What make would run, without running it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", *words], cwd=ROOT, env=clean, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_sets_up_what_it_needs_before_it_does_anything(target: str) -> None:
    first, *rest = make("-n", target).splitlines()
    assert re.fullmatch(r"scripts/setup\.sh (local|dev)", first)
    assert rest


def test_make_alone_lists_every_target() -> None:
    listed = re.findall(r"^  make (\w+) +\S", make(), flags=re.MULTILINE)
    assert sorted(listed) == sorted([*TARGETS, "help", "lint"])


def test_run_passes_options_to_the_app() -> None:
    assert "stillroom serve --port 8000" in make("-n", "run", "ARGS=--port 8000")


def test_every_test_but_the_long_ones_runs_with_make_test() -> None:
    # Each test is either among those that run side by side, or among those that need the machine for themselves.
    planned = make("-n", "test")
    assert 'pytest -n 2 -m "not browser and not crash and not torture"' in planned
    assert 'pytest -m "(browser or crash) and not torture"' in planned


def test_ci_runs_what_people_run() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in script if line and not line.startswith("#")] == [
        'cd "$(dirname "$0")/.." && exec make test'
    ]


def test_pre_commit_fetches_nothing() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in hooks["repos"]] == ["local"]
    assert {hook["language"] for hook in hooks["repos"][0]["hooks"]} == {"system"}


@pytest.mark.parametrize("script", ["scripts/setup.sh", "scripts/browser.sh", ".ci/run"])
def test_a_script_is_plain_shell_and_may_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / script).read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", ROOT / script], check=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the files that set-up reads, and no environment yet."""
    (tmp_path / "scripts").mkdir()
    for name in ("pyproject.toml", "constraints.txt", "scripts/setup.sh", "scripts/browser.sh"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def script(checkout: Path, name: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", f"scripts/{name}.sh"],
        cwd=checkout,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )


def fake_program(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_an_old_python_is_refused_in_one_sentence(checkout: Path) -> None:
    old = fake_program(checkout / "old-python", "exit 1")
    done = script(checkout, "setup", PYTHON=old)
    assert done.returncode == 1
    assert done.stderr == f"PYTHON={old} is not Python 3.11 or newer. Point it at one, or leave it unset.\n"
    assert not (checkout / ".venv").exists()


def test_a_browser_that_does_not_start_is_refused_in_one_sentence(checkout: Path) -> None:
    broken = fake_program(checkout / "broken-browser", "exit 1")
    done = script(checkout, "browser", STILLROOM_CHROMIUM=broken)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"STILLROOM_CHROMIUM={broken} does not start. Point it at a Chromium, or leave it unset.\n"


def test_the_browser_that_is_asked_for_is_the_one_that_is_used(checkout: Path) -> None:
    chosen = fake_program(checkout / "my-browser", "echo Chromium 1")
    assert script(checkout, "browser", STILLROOM_CHROMIUM=chosen).stdout == f"{chosen}\n"


def test_a_browser_on_the_path_is_found(checkout: Path) -> None:
    found = fake_program(checkout / "chromium", "echo Chromium 1")
    path = f"{checkout}{os.pathsep}{os.environ['PATH']}"
    assert script(checkout, "browser", PATH=path, STILLROOM_CHROMIUM="").stdout == f"{found}\n"


def test_the_lowest_python_is_said_alike_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["requires-python"] == ">=3.11"
    assert project["tool"]["ruff"]["target-version"] == "py311"
    assert "sys.version_info < (3, 11)" in (ROOT / "scripts" / "setup.sh").read_text(encoding="utf-8")
    assert "FROM python:3.11-slim" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
