"""The steps of a pipeline and how rows flow between them."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Self

from components.errors import ConfigError, did_you_mean
from components.pipeline.routing import RoutingBatchFunction
from components.steps.step import AnyStep, GeneratorStep

MOST_STEPS = 1_000
MOST_CONNECTIONS = 5_000


class Graph:
    """Named steps and the connections between them, without loops."""

    def __init__(self) -> None:
        self.steps: dict[str, AnyStep] = {}
        self.routers: dict[str, RoutingBatchFunction] = {}
        self._after: dict[str, list[str]] = {}
        self._before: dict[str, list[str]] = {}

    @property
    def edges(self) -> list[tuple[str, str]]:
        """Every connection, in the order of the steps."""
        return [(name, successor) for name in self.steps for successor in self._after[name]]

    def add(self, step: AnyStep) -> None:
        """Raises: ConfigError when the name is taken or the pipeline is full."""
        if step.name in self.steps:
            raise ConfigError(f"A step called '{step.name}' is in the pipeline already. Give one of them another name.")
        if len(self.steps) >= MOST_STEPS:
            raise ConfigError(f"A pipeline can have {MOST_STEPS:,} steps at most.")
        self.steps[step.name] = step
        self._after[step.name], self._before[step.name] = [], []

    def connect(self, upstream: str, downstream: str) -> None:
        """Send the rows of one step to another.

        Raises: ConfigError for an unknown step, a step before a source, a second connection or a loop.
        """
        for name in (upstream, downstream):
            self._known(name)
        if isinstance(self.steps[downstream], GeneratorStep):
            raise ConfigError(
                f"Step '{downstream}' is a source and makes its own rows, so '{upstream}' cannot come before it."
            )
        if sum(map(len, self._after.values())) >= MOST_CONNECTIONS:
            raise ConfigError(f"A pipeline can have {MOST_CONNECTIONS:,} connections at most.")
        if downstream in self._after[upstream]:
            raise ConfigError(f"'{upstream}' is connected to '{downstream}' already.")
        if upstream == downstream or upstream in self.descendants(downstream):
            loop = find_loop({**self._after, upstream: [*self._after[upstream], downstream]})
            raise ConfigError(loop_sentence(loop))
        self._after[upstream].append(downstream)
        self._before[downstream].append(upstream)

    def route(self, upstream: str, router: RoutingBatchFunction) -> None:
        """Let a routing function choose, for each batch, which of the next steps get it."""
        self._known(upstream)
        if self.routers.setdefault(upstream, router) is not router:
            raise ConfigError(f"Step '{upstream}' has a routing function already: {self.routers[upstream].name}.")

    def predecessors(self, name: str) -> list[str]:
        """The steps whose rows a step gets, in the order they were connected."""
        return list(self._before[self._known(name)])

    def successors(self, name: str) -> list[str]:
        """The steps that get a step's rows, in the order they were connected."""
        return list(self._after[self._known(name)])

    def ancestors(self, name: str) -> set[str]:
        """All steps that rows pass before they reach a step."""
        return _reached(self._known(name), self._before)

    def descendants(self, name: str) -> set[str]:
        """All steps that a step's rows can reach."""
        return _reached(self._known(name), self._after)

    def order(self) -> list[str]:
        """All steps, each after those before it."""
        return list(TopologicalSorter(self._before).static_order())

    def sources(self) -> list[str]:
        """The steps that make rows out of nothing."""
        return [name for name, step in self.steps.items() if isinstance(step, GeneratorStep)]

    def roots(self) -> list[str]:
        """The steps with none before them; without a dataset they have to be sources."""
        return [name for name in self.steps if not self._before[name]]

    def leaves(self) -> list[str]:
        """The steps with none after them, whose rows are the results."""
        return [name for name in self.steps if not self._after[name]]

    def unused_name(self, stem: str) -> str:
        """`stem_0`, or the first number that is free."""
        return unused_name(stem, self.steps)

    def with_steps(self, steps: Mapping[str, AnyStep]) -> Self:
        """The same connections with other steps of the same names."""
        copy = type(self)()
        copy.steps = {name: steps.get(name, step) for name, step in self.steps.items()}
        copy.routers = dict(self.routers)
        copy._after = {name: list(names) for name, names in self._after.items()}
        copy._before = {name: list(names) for name, names in self._before.items()}
        return copy

    def _known(self, name: str) -> str:
        if name not in self.steps:
            raise ConfigError(f"There is no step '{name}' in the pipeline.{did_you_mean(name, self.steps)}")
        return name


def find_loop(after: Mapping[str, Iterable[str]]) -> list[str]:
    """The steps of a loop, the first also last; empty where there is none."""
    before: dict[str, list[str]] = {name: [] for name in after}
    for name, successors in after.items():
        for successor in successors:
            before.setdefault(successor, []).append(name)
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def loop_sentence(loop: list[str]) -> str:
    """What to say of a loop."""
    if len(set(loop)) == 1:
        return f"Step '{loop[0]}' cannot be connected to itself."
    return f"The steps {' -> '.join(loop)} form a loop, and rows would never come out. Remove one of the connections."


def unused_name(stem: str, taken: Iterable[str]) -> str:
    """`stem_0`, or the first number that is free."""
    names, number = set(taken), 0
    while f"{stem}_{number}" in names:
        number += 1
    return f"{stem}_{number}"


def _reached(name: str, following: Mapping[str, list[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(following[name])
    while waiting:
        step = waiting.pop()
        if step not in reached:
            reached.add(step)
            waiting += following[step]
    return reached
