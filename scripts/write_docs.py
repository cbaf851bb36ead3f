"""Write what the docs say of components and settings anew from the code: `make docs`."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from app.cli.gallery import KINDS, Field, columns_in_words, fields_of, named
from app.settings import PREFIX, Settings
from components import catalog

ROOT = Path(__file__).resolve().parents[1]
COMPONENTS = ROOT / "docs" / "components.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- settings: written by make docs -->", "<!-- end of settings -->"
HEAD = """# Components

Written by `make docs` from the components themselves; `stillroom components NAME` prints the same. A field that is
*needed* has no default. Columns in parentheses may be missing.
"""
SHARED = {
    "source": "Fields of every source",
    "task": "Fields of every task",
    "step": "Fields of every step",
    "llm": "Fields of every model",
    "embeddings": "Fields of every embedding model",
}


def components() -> str:
    """The page of all components."""
    parts = [HEAD]
    for kind, title in KINDS.items():
        names = named(kind)
        parts.append(f"## {title}\n")
        parts.extend(_component(name) for name in names)
        shared = _shared(names)
        parts += [f"### {SHARED[kind]}\n\n{_table(shared)}"] if shared else []
    return "\n".join(parts)


def settings() -> str:
    """The table of settings."""
    lines = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        lines.append(
            f"| `{PREFIX}{name.upper()}` | {_default(name, field.default)} | {_cell(field.description or '')} |"
        )
    return "\n".join(lines)


def readme(text: str) -> str:
    """The README with the table of settings as it is now."""
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise SystemExit(f"README.md needs the lines {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{settings()}\n\n{END}{after}"


def _default(name: str, value: Any) -> str:
    if name == "home":
        return "`~/.stillroom`"
    return "" if value in (PydanticUndefined, None, "", ()) else f"`{value}`"


def _component(name: str) -> str:
    description = catalog.describe(name)
    lines = [f"### {name}\n", description["doc"] + "\n"]
    if description["source"]:
        lines.append(f"Source: {description['source']}\n")
    if description["kind"] in ("task", "step"):
        inputs, outputs = columns_in_words(description["inputs"]), columns_in_words(description["outputs"])
        lines.append(f"Columns in: {inputs}. Columns out: {outputs}.\n")
    own = [field for field in fields_of(name) if field.is_own]
    return "\n".join([*lines, *([_table(own)] if own else [])])


def _shared(names: Sequence[str]) -> list[Field]:
    found: dict[str, Field] = {}
    for name in names:
        found |= {field.name: field for field in fields_of(name) if not field.is_own and field.name not in found}
    return list(found.values())


def _table(fields: Sequence[Field]) -> str:
    return "\n".join(["| field | what it takes | default | what it is |", "|---|---|---|---|", *_rows(fields)]) + "\n"


def _rows(fields: Sequence[Field]) -> Iterator[str]:
    for field in fields:
        default = f"`{field.default}`" if field.default not in ("", "needed") else field.default
        yield f"| `{field.name}` | {_cell(field.kind)} | {_cell(default)} | {_cell(field.doc)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    """Write the files, or with --check say which are stale."""
    wanted = {COMPONENTS: components(), README: readme(README.read_text(encoding="utf-8"))}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        if stale:
            raise SystemExit(f"Stale: {', '.join(path.name for path in stale)}. Run make docs.")
        return
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")


if __name__ == "__main__":
    main()
