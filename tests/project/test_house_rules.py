"""The rules of the house that no linter checks."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = sorted(path for top in ("app", "components") for path in (ROOT / top).rglob("*.py"))
LONGEST_FILE = 400
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
FORBIDDEN_CALLS = {"eval", "exec", "__import__"}
FORBIDDEN_IMPORTS = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "unittest"}

# Put together here, so that this file does not break its own rule.
REGISTRY_HOSTS = [
    ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs"), ("deb", "debian"))
]
WORKPLACE_PATHS = [r"(?<![\w.])/wo" + r"rk/", r"(?<![\w/-])(\.\./)*sha" + r"red/", r"\.lib" + r"rary\b"]


def tracked_files() -> list[Path]:
    """Every file that git knows, or would take with the next commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    """The tracked files that are text, with their content."""
    for path in tracked_files():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def places(pattern: str) -> list[str]:
    """Where in the tracked text files a pattern stands, as file:line."""
    found = re.compile(pattern)
    return [
        f"{name}:{number}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if found.search(line)
    ]


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Every piece of syntax of the source, with its place."""
    for path in SOURCE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node


def imported_packages(node: ast.AST) -> list[str]:
    """The top-level packages that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").partition(".")[0]]
    return []


def plain_name(requirement: str) -> str:
    """The package that a requirement asks for, in the spelling that all its spellings share."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


def test_there_is_source_to_check() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in SOURCE} == {"app", "components"}


def test_no_source_file_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [path for path in SOURCE if VAGUE_NAMES & {path.stem, path.parent.name}]
    assert vague == []


def test_imports_are_absolute() -> None:
    assert [place for place, node in nodes() if isinstance(node, ast.ImportFrom) and node.level] == []


def test_nothing_is_evaluated_and_nothing_is_unpickled() -> None:
    calls = [
        f"{place} {node.func.id}"
        for place, node in nodes()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS
    ]
    imported = [
        f"{place} {name}" for place, node in nodes() for name in imported_packages(node) if name in FORBIDDEN_IMPORTS
    ]
    assert calls + imported == []


@pytest.mark.parametrize("host", REGISTRY_HOSTS)
def test_no_file_names_a_package_registry(host: str) -> None:
    assert places(re.escape(host)) == []


@pytest.mark.parametrize("pattern", WORKPLACE_PATHS)
def test_no_file_names_a_path_of_one_machine(pattern: str) -> None:
    assert places(pattern) == []


def test_every_constraint_is_one_exact_version() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    exact = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+( ; [a-z_]+ [<>=!]+ \"[\w.]+\")?")
    assert pins and [pin for pin in pins if not exact.fullmatch(pin)] == []


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["local"],
        *project["optional-dependencies"]["dev"],
    ]
    pinned = {plain_name(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    assert [name for name in wanted if plain_name(name) not in pinned] == []


def test_every_font_has_a_license_and_a_source() -> None:
    fonts = [path for path in tracked_files() if path.suffix in {".woff", ".woff2", ".ttf", ".otf"}]
    notice = ROOT / "assets" / "NOTICE.md"
    told = notice.read_text(encoding="utf-8") if fonts else ""
    assert [font.name for font in fonts if font.name not in told] == []
