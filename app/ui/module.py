"""A place on a page that one of our scripts fills: data goes in as properties and comes out as text, never as HTML."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import gradio as gr

# Gradio runs what stands in a template or in js_on_load, so both are fixed and data travels in properties alone.
_LOAD: Final = """
import(new URL(`assets/js/${props.script}.js`, document.baseURI))
  .then((script) => script.mount({ element, trigger, props, watch, server }))
  .catch((error) => { element.textContent = `This part of the page could not be loaded. ${error}`; });
"""


def module(
    script: str,
    value: Any = None,
    *,
    css_class: str = "",
    elem_id: str = "",
    events: Sequence[str] = (),
    calls: Sequence[Callable[..., Any]] = (),
    render: bool = True,
) -> Any:
    """An element that a script of assets/js fills; `value` is its main property.

    What a person does there arrives as the named `events`, each of which is a listener of the component; `calls` are
    functions that the script may call as `server.name(argument)`.
    """
    # Not a subclass of gr.HTML: Gradio would write a stub file beside this one. A plain gr.HTML knows its own events
    # by finding their quoted names here.
    names = " ".join(f'"{name}"' for name in events)
    return gr.HTML(
        value,
        html_template=f'<div class="{css_class or f"sr-{script}".replace("_", "-")}"></div>',
        js_on_load=f"{_LOAD}// {names}",
        css_template="",
        apply_default_css=False,
        padding=False,
        container=False,
        elem_id=elem_id or script.replace("_", "-"),
        server_functions=list(calls),
        script=script,
        render=render,
    )


def step_cards() -> Any:
    """The steps of a pipeline as cards."""
    return module("steps", events=("step_select", "step_add", "step_move", "step_remove"))


def go() -> Any:
    """Leads to another page of the app: give it `{"to": "run?id=…"}`."""
    return module("go")
