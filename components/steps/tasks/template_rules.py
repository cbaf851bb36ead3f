"""What a prompt template may contain. Everything that is not on these lists is refused before it runs."""

import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import chain

from jinja2 import nodes

from components.errors import TemplateError, did_you_mean

LONGEST_TEMPLATE = 50_000
MOST_NODES = 300
DEEPEST = 10
ROW = "row"
"""The whole row, for columns whose names are no identifiers: `row["Ticket text"]`."""
RESERVED = frozenset({"self", "super", "loop", "caller", "varargs", "kwargs"})
LOOP_FACTS = frozenset({"index", "index0", "first", "last", "length"})
FILTER_OPTIONS = {
    "trim": 0,
    "upper": 0,
    "lower": 0,
    "length": 0,
    "first": 0,
    "last": 0,
    "tojson": 0,
    "join": 1,
    "default": 1,
    "truncate": 1,
    "round": 1,
    "replace": 2,
}
"""the filters, with how many options each takes."""
TESTS = frozenset({"defined", "undefined", "none"})

STRUCTURE = (nodes.Template, nodes.Output, nodes.TemplateData)
LOGIC = (nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.List, nodes.Tuple, nodes.Const)
TITLES: dict[type[nodes.Node], str] = {
    nodes.Call: "calls such as name(...)",
    nodes.Mul: "*",
    nodes.Pow: "**",
    nodes.Mod: "%",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Neg: "-",
    nodes.Pos: "+",
    nodes.Concat: "~",
    nodes.Slice: "slices such as [1:2]",
    nodes.Dict: "dictionaries",
    nodes.Assign: "{% set %}",
    nodes.AssignBlock: "{% set %}",
    nodes.FilterBlock: "{% filter %}",
    nodes.CallBlock: "{% call %}",
    nodes.Macro: "{% macro %}",
    nodes.Import: "{% import %}",
    nodes.FromImport: "{% from %}",
    nodes.Include: "{% include %}",
    nodes.Extends: "{% extends %}",
    nodes.Block: "{% block %}",
    nodes.With: "{% with %}",
}


@dataclass
class Inspection:
    """One walk over a template."""

    allowed: Collection[str] | None
    has_blocks: bool = False
    columns: dict[str, None] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    """Columns that may be empty, as the template asks about them or has a default."""
    loops: list[nodes.For] = field(default_factory=list)
    _count: int = 0
    _loop_names: list[str] = field(default_factory=list)
    _is_asking: bool = False

    def check(self, node: nodes.Node, depth: int = 0) -> None:
        """Raises: TemplateError naming the line and what is not allowed there."""
        self._count += 1
        if self._count > MOST_NODES:
            raise TemplateError(f"The template has more than {MOST_NODES} parts. Make it simpler.")
        if depth > DEEPEST:
            raise _refused(node, f"it is nested more than {DEEPEST} levels deep here")
        for child in self._children(node):
            self.check(child, depth + 1)

    def _children(self, node: nodes.Node) -> Iterator[nodes.Node]:
        match node:
            case nodes.Name():
                self._check_name(node)
                return iter(())
            case nodes.Getattr() | nodes.Getitem():
                return self._member(node)
            case nodes.Filter():
                return self._filtered(node)
            case nodes.Test():
                if node.name not in TESTS or node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
                    raise _refused(node, f"'is {node.name}' cannot be used", f"There are: {_list(TESTS)}.")
                return iter([node.node])
            case nodes.For():
                return self._loop(node)
            case nodes.If():
                return chain(self._asked(node.test), node.body, node.elif_, node.else_)
            case nodes.CondExpr():
                return chain(self._asked(node.test), [node.expr1], [node.expr2] if node.expr2 is not None else [])
            case nodes.Block() if self.has_blocks:
                return iter(node.body)
        if not isinstance(node, STRUCTURE + LOGIC):
            raise _refused(node, f"{TITLES.get(type(node), type(node).__name__)} cannot be used")
        return node.iter_child_nodes()

    def _check_name(self, node: nodes.Name) -> None:
        name = node.name
        if name in self._loop_names:
            return
        if name == ROW:
            raise _refused(node, 'say which column of the row is meant, as in row["text"]')
        if name in RESERVED or unicodedata.normalize("NFKC", name) != name:
            raise _refused(node, f"'{name}' cannot stand here", f'If it is a column, write row["{name}"].')
        self._use(node, name)

    def _use(self, node: nodes.Node, name: str) -> None:
        _check_key(node, name)
        if self.allowed is not None and name not in self.allowed:
            known = f"The columns are: {_list(self.allowed)}." if self.allowed else ""
            raise _refused(node, f"there is no column '{name}'", known + did_you_mean(name, self.allowed))
        self.columns[name] = None
        if self._is_asking:
            self.optional.add(name)

    def _member(self, node: nodes.Getattr | nodes.Getitem) -> Iterator[nodes.Node]:
        if isinstance(node, nodes.Getattr):
            key: object = node.attr
        else:
            key = node.arg.value if isinstance(node.arg, nodes.Const) else None
            if not isinstance(key, (str, int)) or isinstance(key, bool):
                raise _refused(node, "only a fixed name or number may stand in [...]")
        _check_key(node, key)
        owner = node.node
        if isinstance(owner, nodes.Name) and owner.name not in self._loop_names:
            if owner.name == ROW and isinstance(key, str):
                self._use(node, key)
                return iter(())
            if owner.name == "loop" and self._loop_names and key in LOOP_FACTS:
                return iter(())
        return iter([owner])

    def _filtered(self, node: nodes.Filter) -> Iterator[nodes.Node]:
        options = FILTER_OPTIONS.get(node.name)
        if options is None:
            hint = did_you_mean(node.name, FILTER_OPTIONS)
            raise _refused(
                node, f"there is no filter '{node.name}' for templates", f"There are: {_list(FILTER_OPTIONS)}.{hint}"
            )
        if node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise _refused(node, f"the filter '{node.name}' takes its options without names")
        if len(node.args) > options or not all(isinstance(option, nodes.Const) for option in node.args):
            raise _refused(node, f"the filter '{node.name}' takes at most {options} fixed options")
        if node.node is None:
            raise _refused(node, "{% filter %} cannot be used")
        return self._asked(node.node) if node.name == "default" else iter([node.node])

    def _asked(self, node: nodes.Node) -> Iterator[nodes.Node]:
        was_asking, self._is_asking = self._is_asking, True
        yield node
        self._is_asking = was_asking

    def _loop(self, node: nodes.For) -> Iterator[nodes.Node]:
        if self._loop_names:
            raise _refused(node, "a loop inside a loop cannot be used")
        if node.recursive:
            raise _refused(node, "'recursive' cannot be used")
        if not isinstance(node.target, nodes.Name):
            raise _refused(node, "a loop has one name before 'in'")
        name = node.target.name
        _check_key(node, name)
        if name in RESERVED or name == ROW or unicodedata.normalize("NFKC", name) != name:
            raise _refused(node, f"a loop cannot use the name '{name}'")
        if not isinstance(node.iter, (nodes.Name, nodes.Getattr, nodes.Getitem)):
            raise _refused(node, "a loop goes over a column and nothing else")
        self.loops.append(node)
        yield node.iter
        self._loop_names.append(name)
        yield from ([node.test] if node.test is not None else [])
        yield from node.body
        self._loop_names.pop()
        yield from node.else_


def _check_key(node: nodes.Node, key: object) -> None:
    if isinstance(key, str) and key.startswith("_"):
        raise _refused(node, f"names that begin with an underscore, such as '{key}', cannot be used")


def _refused(node: nodes.Node, what: str, hint: str = "") -> TemplateError:
    return TemplateError(f"Line {node.lineno} of the template: {what}. {hint}".rstrip())


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
