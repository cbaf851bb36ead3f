"""What rows are called: by their place in the source, and below that by their place among the rows made of one."""

BESIDE = "/"


def row_name(position: int) -> str:
    """The name of the row at a position of a source."""
    return f"{position:08d}"


def in_words(row: str) -> str:
    """A row as people count them, from 1."""
    position = row.partition(".")[0]
    return f"Row {int(position) + 1}" if position.isdecimal() else "A row"


def child(row: str, index: int, count: int) -> str:
    """The name of one of the rows made of a row: its own where there is one, numbered where there are several."""
    # Names are sorted as text, so all the rows made of one have numbers of the same length.
    return row if count == 1 else f"{row}.{index:0{max(4, len(str(count - 1)))}d}"


def children(row: str, count: int) -> list[str]:
    """The names of all the rows made of a row, in order."""
    return [row] if count == 1 else [child(row, index, count) for index in range(count)]


def beside(step: str) -> str:
    """Where answers are kept that are no rows of a step yet: under a name that no step can have."""
    return f"{step}{BESIDE}answers"


def step_of(name: str) -> str:
    """The step that a name is of, or is beside."""
    return name.partition(BESIDE)[0]
