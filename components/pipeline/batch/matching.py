"""Which request serves which row: one that is out or answered already is never sent again."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from components.llms.typing import FormattedInput
from components.pipeline.batch.reading import BatchReader, Known
from components.pipeline.batch.states import RequestState

Groups = defaultdict[str, defaultdict[tuple[str, int], list[Known]]]


@dataclass(frozen=True)
class Want:
    """A row that wants an answer."""

    row: str
    key: str
    """Its identity; an answer with the same identity serves it."""
    prompt: Callable[[], FormattedInput]
    number: int
    """Its place among all rows of the step, which is its name in jobs that somebody else made."""
    attempts: int = 0
    """How often it was tried before somebody asked for it to be tried again."""


@dataclass(frozen=True)
class Place:
    """Where the request for a row is."""

    set_key: str
    idx: int
    attempts: int = 0
    """Tries of the row that came before this request and are counted already."""


@dataclass
class HandedIn:
    """Where the requests of rows are that wait for an answer."""

    places: dict[str, Place] = field(default_factory=dict)

    @property
    def sets(self) -> list[str]:
        """The sets that hold them."""
        return list(dict.fromkeys(place.set_key for place in self.places.values()))


def find(
    store: BatchReader, wants: Sequence[Want], *, run_id: str | None, step: str, reuses: bool
) -> tuple[HandedIn, list[Want]]:
    """Where the requests of rows are, and the rows that have none yet.

    `reuses`: requests of other runs may serve, as long as they did not fail there.
    """
    names = {name for want in wants for name in names_of(want)}
    groups: Groups = defaultdict(lambda: defaultdict(list))
    for known in store.known(list(names)):
        groups[known.cell_key][known.set_key, known.idx].append(known)
    handed, left = HandedIn(), list(wants)
    for serves in (_is_of_row, _is_of_anyone):
        waiting, left = left, []
        for want in waiting:
            place = _take(want, groups, serves, run_id, step, reuses)
            if place is None:
                left.append(want)
            else:
                handed.places[want.row] = place
    return handed, left


def names_of(want: Want) -> list[str]:
    """Under which names a row may have been asked; the last is that of its next request.

    One that is tried again has a name of its own, so that what it came to before is not taken for its answer.
    """
    return [want.key, *(f"{want.key}#{tried}" for tried in range(1, want.attempts + 1))]


def _take(
    want: Want,
    groups: Groups,
    serves: Callable[[Want, Sequence[Known]], bool],
    run_id: str | None,
    step: str,
    reuses: bool,
) -> Place | None:
    """The request that is to serve a row, newest name first; it serves no other."""
    for tried, name in reversed(list(enumerate(names_of(want)))):
        for place, group in groups.get(name, {}).items():
            is_ours = (group[0].run_id, group[0].step) == (run_id, step)
            if _is_good(want, group, tried, is_ours, reuses) and serves(want, group):
                del groups[name][place]
                return Place(*place, attempts=tried - want.attempts)
    return None


def _is_good(want: Want, group: Sequence[Known], tried: int, is_ours: bool, reuses: bool) -> bool:
    is_out = any(request.state == RequestState.INFLIGHT for request in group)
    if want.attempts:
        # What was tried before somebody asked for another try is no answer to it.
        return is_ours and (is_out or tried + max(request.attempt for request in group) > want.attempts)
    has_failed = any(request.state not in (RequestState.INFLIGHT, RequestState.OK) for request in group)
    return is_ours or (reuses and not has_failed)


def _is_of_row(want: Want, group: Sequence[Known]) -> bool:
    return group[0].row == want.row


def _is_of_anyone(_want: Want, _group: Sequence[Known]) -> bool:
    return True
