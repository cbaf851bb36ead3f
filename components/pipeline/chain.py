"""Pipelines that do not branch, as one column of steps from top to bottom."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from components import catalog
from components.pipeline.spec import PipelineSpec
from components.steps.step import GeneratorStep

Data = Mapping[str, Any]
# Others may take the rows of several steps too, but joining tables is what these are for.
JOINING = ("CombineOutputs", "GroupColumns")


def chain_of(spec: PipelineSpec) -> list[str] | None:
    """The steps from first to last, the sources in front; None where the rows branch or come together.

    A step that is connected to nothing takes its place too, as long as there is a source that it can get rows from.
    """
    steps = {str(step["name"]): step for step in spec.steps}
    edges = list(dict.fromkeys(spec.edges()))
    if spec.routing or len(steps) != len(spec.steps) or any(name not in steps for edge in edges for name in edge):
        return None
    sources = [name for name, step in steps.items() if is_source(step)]
    between = [edge for edge in edges if edge[0] not in sources]
    following, before = dict(between), {downstream: upstream for upstream, downstream in between}
    fed = {downstream for upstream, downstream in edges if upstream in sources}
    heads = [name for name in steps if name not in sources and name not in before]
    if len(following) < len(between) or len(before) < len(between) or before.keys() & sources:
        return None
    if len(fed) > 1 or not fed.issubset(heads) or (len(heads) > 1 and not sources):
        return None
    feeding = {upstream for upstream, downstream in edges if downstream in fed}
    if any(len(feeding) != (len(sources) if steps[name]["use"] in JOINING else 1) for name in fed):
        return None
    rest: list[str] = []
    for head in sorted(heads, key=lambda name: name not in fed):
        name: str | None = head
        while name is not None:
            rest.append(name)
            name = following.get(name)
    # A step that is missing here goes around in a loop.
    found = [*sorted(sources, key=lambda name: name in feeding), *rest]
    return found if len(found) == len(steps) else None


def in_front(steps: Sequence[Data]) -> list[Data]:
    """The same steps with the sources first."""
    return sorted(steps, key=lambda step: not is_source(step))


def links(steps: Sequence[Data]) -> list[tuple[str, str]]:
    """How a column of steps is connected.

    The first step gets the rows of the source right above it; of all of them where it is there to join them.
    """
    sources = [str(step["name"]) for step in steps if is_source(step)]
    rest = [step for step in steps if not is_source(step)]
    feeding = sources if rest and rest[0]["use"] in JOINING else sources[-1:]
    first = [(source, str(rest[0]["name"])) for source in feeding if rest]
    return [*first, *pairwise(str(step["name"]) for step in rest)]


def is_source(step: Data) -> bool:
    """Whether a step makes rows out of nothing."""
    return step["use"] in catalog.names(GeneratorStep)
