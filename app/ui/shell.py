"""The frame around every page: the rail on the left, the header with its title and actions, the content."""

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Final, NamedTuple

import gradio as gr

from app.ui.icons import icon


class Place(NamedTuple):
    """An entry of the rail."""

    key: str
    name: str
    path: str
    icon: str
    tail: str = ""
    """The part of the name that a phone has no room for."""


# Relative, so that links also work when the app lives below a path.
PLACES: Final = (
    Place("home", "Home", "./", "home"),
    Place("build", "Build", "build", "build"),
    Place("runs", "Runs", "runs", "runs"),
    Place("jobs", "Jobs", "jobs", "jobs"),
    Place("datasets", "Datasets", "datasets", "datasets"),
    Place("models", "Models", "models", "models", " and keys"),
)


class Shell(NamedTuple):
    """What a page may still fill: the heading (update its value with `heading_html`) and the row of buttons."""

    heading: gr.HTML
    actions: gr.Row


def rail_html(active: str) -> str:
    """The brand, the links and the theme switch; `active` is the key of the page shown."""
    links = "".join(_link(place, place.key == active) for place in PLACES)
    return (
        '<a class="sr-skip" href="#sr-content">Skip to content</a>'
        f'<div class="sr-brand">{icon("flask")}<span>Stillroom</span></div>'
        f'<nav class="sr-nav" aria-label="Pages">{links}</nav>'
        '<button type="button" class="sr-theme" data-sr-theme>'
        f'<span class="sr-when-light">{icon("moon")}<span class="sr-theme-word">Dark mode</span></span>'
        f'<span class="sr-when-dark">{icon("sun")}<span class="sr-theme-word">Light mode</span></span></button>'
    )


def heading_html(title: str, subtitle: str = "") -> str:
    """The page's one h1 and the quiet line beside it."""
    line = f'<p class="sr-subtitle">{escape(subtitle)}</p>' if subtitle else ""
    return f'<h1 class="sr-title">{escape(title)}</h1>{line}'


@contextmanager
def page_shell(active: str, title: str, subtitle: str = "") -> Iterator[Shell]:
    """Lay out a page inside the current Blocks; what is made within becomes its content.

    Raises: ValueError when `active` is no page of the rail.
    """
    if active not in {place.key for place in PLACES}:
        raise ValueError(f"There is no page '{active}'.")
    with gr.Column(elem_classes="sr-rail"):
        _fixed(rail_html(active))
    with gr.Column(elem_classes="sr-work"):
        with gr.Row(elem_classes="sr-header"):
            heading = _fixed(heading_html(title, subtitle), "sr-heading")
            actions = gr.Row(elem_classes="sr-actions")
        with gr.Column(elem_classes="sr-content", elem_id="sr-content"):
            yield Shell(heading, actions)


def _link(place: Place, is_active: bool) -> str:
    current = ' aria-current="page"' if is_active else ""
    tail = f'<span class="sr-tail">{escape(place.tail)}</span>' if place.tail else ""
    return f'<a href="{place.path}"{current}>{icon(place.icon)}<span>{escape(place.name)}{tail}</span></a>'


def _fixed(html: str, css_class: str = "") -> gr.HTML:
    return gr.HTML(html, elem_classes=css_class or None, apply_default_css=False, js_on_load=None, padding=False)
