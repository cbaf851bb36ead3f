"""Pictures of a pipeline, drawn here: Mermaid text, or an SVG that needs nothing from outside."""

from collections.abc import Mapping
from html import escape

from components.errors import StillroomError
from components.pipeline.graph import Graph

WIDTH, HEIGHT, GAP_ALONG, GAP_ACROSS, MARGIN = 210, 52, 70, 24, 24
INK, LINE, GROUND, GREEN = "#24312b", "#b9b2a3", "#fbf9f4", "#3c6e57"
FONT = "system-ui, sans-serif"


def mermaid(graph: Graph, *, top_to_bottom: bool = False, show_edge_labels: bool = True) -> str:
    """The pipeline as Mermaid text."""
    ids = {name: f"s{number}" for number, name in enumerate(graph.steps)}
    lines = [f"flowchart {'TB' if top_to_bottom else 'LR'}"]
    for name, step in graph.steps.items():
        lines.append(f'  {ids[name]}["{_entities(name)}<br/>{_entities(type(step).__name__)}"]')
    for upstream, downstream in graph.edges:
        label = ", ".join(_columns(graph, upstream)) if show_edge_labels else ""
        arrow = f'-- "{_entities(label)}" -->' if label else "-->"
        lines.append(f"  {ids[upstream]} {arrow} {ids[downstream]}")
    return "\n".join(lines) + "\n"


def svg(graph: Graph, *, top_to_bottom: bool = False, show_edge_labels: bool = True) -> str:
    """The pipeline as an SVG picture."""
    places = _places(graph, top_to_bottom)
    width = max((x for x, _ in places.values()), default=0) + WIDTH + MARGIN
    height = max((y for _, y in places.values()), default=0) + HEIGHT + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="{FONT}" font-size="13" role="img">',
        f'<rect width="100%" height="100%" fill="{GROUND}"/>',
    ]
    parts += [_edge(places[one], places[other], top_to_bottom) for one, other in graph.edges]
    for name, step in graph.steps.items():
        columns = ", ".join(_columns(graph, name)) if show_edge_labels else ""
        parts.append(_box(places[name], name, type(step).__name__, columns))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _places(graph: Graph, top_to_bottom: bool) -> Mapping[str, tuple[int, int]]:
    """The corner of each step's box: as far along as its longest way from a source."""
    along: dict[str, int] = {}
    across: dict[int, int] = {}
    places = {}
    for name in graph.order():
        along[name] = max((along[before] + 1 for before in graph.predecessors(name)), default=0)
        row = across[along[name]] = across.get(along[name], -1) + 1
        column = along[name]
        if top_to_bottom:
            row, column = column, row
        step_x, step_y = (GAP_ACROSS, GAP_ALONG) if top_to_bottom else (GAP_ALONG, GAP_ACROSS)
        places[name] = (MARGIN + column * (WIDTH + step_x), MARGIN + row * (HEIGHT + step_y))
    return places


def _edge(start: tuple[int, int], end: tuple[int, int], top_to_bottom: bool) -> str:
    if top_to_bottom:
        x1, y1, x2, y2 = start[0] + WIDTH // 2, start[1] + HEIGHT, end[0] + WIDTH // 2, end[1]
        bend = f"{x1},{(y1 + y2) // 2} {x2},{(y1 + y2) // 2}"
    else:
        x1, y1, x2, y2 = start[0] + WIDTH, start[1] + HEIGHT // 2, end[0], end[1] + HEIGHT // 2
        bend = f"{(x1 + x2) // 2},{y1} {(x1 + x2) // 2},{y2}"
    line = f'<path d="M{x1},{y1} C{bend} {x2},{y2}" fill="none" stroke="{LINE}" stroke-width="1.5"/>'
    return f'{line}<circle cx="{x2}" cy="{y2}" r="3" fill="{GREEN}"/>'


def _box(place: tuple[int, int], name: str, component: str, columns: str) -> str:
    x, y = place
    title = f"<title>{escape(columns)}</title>" if columns else ""
    return (
        f'<g>{title}<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff" stroke="{LINE}"/>'
        f'<text x="{x + 14}" y="{y + 22}" fill="{INK}" font-weight="600">{escape(_short(name))}</text>'
        f'<text x="{x + 14}" y="{y + 40}" fill="{GREEN}">{escape(_short(component))}</text></g>'
    )


def _columns(graph: Graph, name: str) -> list[str]:
    try:
        return list(graph.steps[name].get_outputs())
    except StillroomError:
        # A source whose file is not there can be drawn all the same.
        return []


def _short(text: str) -> str:
    return text if len(text) <= 26 else f"{text[:25]}…"


def _entities(text: str) -> str:
    return escape(text).replace("[", "&#91;").replace("]", "&#93;").replace("\n", " ")
