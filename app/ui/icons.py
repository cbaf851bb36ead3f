"""Line icons, drawn for this project: one sprite that pages inline and scripts refer to."""

from functools import cache
from html import escape
from xml.etree import ElementTree

from app.ui.assets import ASSETS

_SVG = "{http://www.w3.org/2000/svg}"


@cache
def _drawings() -> dict[str, str]:
    sprite = ElementTree.parse(ASSETS / "icons.svg").getroot()
    return {symbol.attrib["id"]: "".join(map(_shape, symbol)) for symbol in sprite}


def _shape(element: ElementTree.Element) -> str:
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in element.attrib.items())
    return f"<{element.tag.removeprefix(_SVG)}{attributes}/>"


def icon_names() -> tuple[str, ...]:
    """Every icon there is."""
    return tuple(_drawings())


def icon(name: str, label: str = "") -> str:
    """The icon as inline SVG; without a label it is decoration that screen readers skip.

    Raises: ValueError when there is no icon of that name.
    """
    if name not in _drawings():
        raise ValueError(f"There is no icon '{name}'. There are: {', '.join(icon_names())}.")
    meaning = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    return f'<svg class="sr-icon" viewBox="0 0 24 24" {meaning}>{_drawings()[name]}</svg>'
