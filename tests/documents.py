"""Documents as tests see them: their blocks of code, and what comes of running one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def blocks(path: str, language: str) -> list[str]:
    """The blocks of one language in a document, in order."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def execute(code: str, **names: Any) -> dict[str, Any]:
    """The names that a block defines, as a script would; `names` are there before it."""
    namespace: dict[str, Any] = {"__name__": "__main__", **names}
    for _ in outcomes(code, namespace):
        pass
    return namespace


def outcomes(code: str, namespace: dict[str, Any]) -> Iterator[Any]:
    """Runs a block statement by statement, and gives the value of each that is an expression."""
    for statement in ast.parse(code).body:
        if isinstance(statement, ast.Expr):
            yield eval(compile(ast.Expression(statement.value), "<block>", "eval"), namespace)
        else:
            exec(compile(ast.Module([statement], []), "<block>", "exec"), namespace)


def attempts(code: str, namespace: dict[str, Any]) -> list[Any]:
    """The value of each expression of a block, or the exception it raised."""
    found: list[Any] = []
    for statement in ast.parse(code).body:
        try:
            found += outcomes(ast.unparse(statement), namespace)
        except Exception as error:
            found.append(error)
    return found
