"""Small marks that say where something stands, alike on every page."""

from html import escape

from app.ui.icons import icon


def state_chip(state: str) -> str:
    """A state in words and color. Takes any state of components.states."""
    return f'<span class="sr-chip" data-state="{escape(state)}">{escape(state.replace("_", " "))}</span>'


def cost_chip(cost: str) -> str:
    """What something costs, in words such as 'about $0.42' or 'price unknown'."""
    return f'<span class="sr-cost">{icon("coin")}{escape(cost)}</span>'
