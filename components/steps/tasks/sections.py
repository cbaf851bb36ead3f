"""Answers in sections: `Rating: 4`, `Rationale: ...`, for one text after another."""

import re
from collections.abc import Sequence

from components.errors import ReplyError

HEADING = re.compile(r"^\W*(?:output\s+for\s+)?text\s+<?(\d+)>?\W*$", re.IGNORECASE)
RULE = re.compile(r"^\s*[-=*_]{3,}\s*$")


def read_sections(text: str, keys: Sequence[str], count: int) -> list[list[str]]:
    """The values of `keys` for each of `count` texts; a value may hold blank lines.

    Raises: ReplyError unless there is exactly one whole section for each text.
    """
    sections = _split(text, keys)
    if len(sections) != count:
        raise ReplyError(f"The answer judges {len(sections)} texts, and there are {count}.")
    numbers = [number for number, _ in sections if number is not None]
    if numbers and sorted(numbers) != list(range(1, count + 1)):
        raise ReplyError("The answer does not judge each text once.")
    if numbers:
        sections.sort(key=lambda section: section[0] or 0)
    return [_values(pairs, keys, index) for index, (_, pairs) in enumerate(sections, 1)]


Pairs = list[tuple[str, list[str]]]


def _split(text: str, keys: Sequence[str]) -> list[tuple[int | None, Pairs]]:
    line_of_key = re.compile(rf"^[\s>*_#-]*({'|'.join(set(keys))})[\s*_]*:[\s*_]*(.*)$", re.IGNORECASE)
    sections: list[tuple[int | None, Pairs]] = []
    for line in text.splitlines():
        if heading := HEADING.match(line):
            sections.append((int(heading[1]), []))
        elif found := line_of_key.match(line):
            is_new = not sections or (sections[-1][0] is None and len(sections[-1][1]) == len(keys))
            if is_new:
                sections.append((None, []))
            sections[-1][1].append((found[1].casefold(), [found[2]]))
        elif sections and sections[-1][1] and not RULE.match(line):
            sections[-1][1][-1][1].append(line)
    return sections


def _values(pairs: Pairs, keys: Sequence[str], index: int) -> list[str]:
    names = [name for name, _ in pairs]
    wanted = [key.casefold() for key in keys]
    if sorted(names) != sorted(wanted) or (names != wanted and len(set(wanted)) < len(wanted)):
        raise ReplyError(f"The answer to text {index} does not have the lines {', '.join(keys)}.")
    left = list(pairs)
    values = []
    for key in wanted:
        pair = next(pair for pair in left if pair[0] == key)
        left.remove(pair)
        values.append("\n".join(pair[1]).strip())
    return values
