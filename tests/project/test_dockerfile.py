"""All that can be said of the image without an engine to build it."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NEVER_IN_THE_IMAGE = [
    ".venv/bin/python",
    ".git/config",
    ".env",
    "app/.env",
    "data/stillroom.db",
    "stillroom.db",
    "stillroom.db-wal",
    "tests/__init__.py",
    "app/__pycache__/cli.pyc",
]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, rest), with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def all_of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def only(name: str) -> str:
    (rest,) = all_of(name)
    return rest


def copies() -> list[tuple[list[str], str]]:
    """Each COPY as (sources, target)."""
    return [(words[:-1], words[-1]) for words in map(shlex.split, all_of("COPY"))]


def command() -> list[str]:
    words: list[str] = json.loads(only("CMD"))
    return words


def health_check() -> list[str]:
    words: list[str] = json.loads(only("HEALTHCHECK").partition("CMD ")[2])
    return words


def is_ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last pattern that fits it, or a folder above it, decides."""
    ignored = False
    parts = path.split("/")
    ways_to_name_it = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        patterns = [pattern, pattern.removeprefix("**/")]
        if any(fnmatch.fnmatchcase(way, pattern) for way in ways_to_name_it for pattern in patterns):
            ignored = not line.startswith("!")
    return ignored


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A clean folder that holds what the image's work folder would hold."""
    work = tmp_path / "image"
    work.mkdir()
    for sources, target in copies():
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(
                    ROOT / source, work / target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                folder = work / target
                folder.mkdir(exist_ok=True)
                shutil.copy(ROOT / source, folder)
    return work


def in_the_image(work: Path, words: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the image in the clean folder, which stands before this checkout on the import path."""
    return subprocess.run(
        here(words), cwd=work, env=environment(work, **more), capture_output=True, text=True, timeout=120
    )


def here(words: list[str]) -> list[str]:
    """The same command with this environment's Python; the entry point is what pyproject.toml names."""
    if words[0] == "stillroom":
        return [sys.executable, "-c", "from app.cli import main; main()", *words[1:]]
    return [sys.executable, *words[1:]]


def environment(work: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(work), "NO_COLOR": "1", "COLUMNS": "200", **more}


def is_alive(server: subprocess.Popen[bytes]) -> bool:
    """Whether a process still runs after a moment more."""
    try:
        server.wait(timeout=0.3)
    except subprocess.TimeoutExpired:
        return True
    return False


def test_every_source_that_is_copied_exists_and_is_let_in() -> None:
    sources = [source for sources, _ in copies() for source in sources]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if is_ignored(source)] == []


@pytest.mark.parametrize("path", NEVER_IN_THE_IMAGE)
def test_dockerignore_keeps_private_and_bulky_things_out(path: str) -> None:
    assert is_ignored(path)


def test_the_packages_are_installed_with_the_command_of_make_run() -> None:
    (pip,) = [rest for rest in all_of("RUN") if "pip install" in rest]
    setup = (ROOT / "scripts" / "setup.sh").read_text(encoding="utf-8")
    assert "-c constraints.txt -e" in setup
    assert "scripts/setup.sh local" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert shlex.split(pip)[-4:] == ["-c", "constraints.txt", "-e", ".[local]"]


def test_the_work_folder_imports_from_itself_alone(image: Path) -> None:
    found = in_the_image(
        image, ["python", "-c", "import app.cli, components; print(app.__file__, components.__file__)"]
    )
    assert found.returncode == 0, found.stderr
    assert all(path.startswith(str(image)) for path in found.stdout.split())


def test_the_command_knows_each_of_its_options(image: Path) -> None:
    program, *_ = command()
    told = in_the_image(image, [program, "serve", "--help"])
    options = [word for word in command() if word.startswith("--")]
    assert told.returncode == 0, told.stderr
    assert options and [option for option in options if option not in told.stdout] == []


def test_the_command_serves_what_the_health_check_asks_for(image: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    serve = [{"0.0.0.0": "127.0.0.1", "7860": port}.get(word, word) for word in command()]
    check = [word.replace("7860", port) for word in health_check()]
    log = tmp_path / "serve.log"
    with log.open("w") as output:
        home = {"STILLROOM_HOME": str(tmp_path / "data")}
        server = subprocess.Popen(here(serve), cwd=image, env=environment(image, **home), stdout=output, stderr=output)
        try:
            healthy = False
            while not healthy and is_alive(server):
                healthy = in_the_image(image, check).returncode == 0
        finally:
            server.terminate()
            server.wait(timeout=60)
    assert healthy, log.read_text()


def test_the_health_check_fails_when_nothing_answers(image: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        checked = in_the_image(image, [word.replace("7860", port) for word in health_check()])
    assert checked.returncode == 1


def test_the_app_runs_as_a_user_that_cannot_change_its_code() -> None:
    steps = instructions()
    names = [name for name, _ in steps]
    assert only("USER") == "1000"
    assert not [rest for rest in all_of("COPY") if "--chown" in rest]
    assert max(index for index, name in enumerate(names) if name in {"COPY", "RUN"}) < names.index("USER")
    assert any("go-w" in rest for rest in all_of("RUN"))


def test_what_must_last_is_kept_in_the_volume() -> None:
    (settings,) = all_of("ENV")
    kept = dict(pair.split("=", 1) for pair in shlex.split(settings))
    assert only("VOLUME") == "/data"
    assert kept["STILLROOM_HOME"] == "/data"
    assert kept["HF_HOME"].startswith("/data/")
    assert any("install -d -o 1000 -g 1000 /data" in rest for rest in all_of("RUN"))


def test_one_port_is_meant_throughout() -> None:
    assert only("EXPOSE") == "7860"
    assert command()[command().index("--port") + 1] == "7860"
    assert any("7860" in word for word in health_check())


def test_nothing_secret_and_nothing_from_an_address_gets_in() -> None:
    assert all_of("ADD") == []
    assert all_of("ARG") == []
    secret = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSPHRASE", re.IGNORECASE)
    assert [rest for rest in all_of("ENV") if secret.search(rest)] == []
    assert "://" not in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_readme_presents_the_image_as_a_space() -> None:
    _, front, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    space = yaml.safe_load(front)
    assert space["sdk"] == "docker"
    assert space["app_port"] == int(only("EXPOSE"))
    assert space["license"] == "apache-2.0"
