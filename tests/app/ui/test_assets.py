"""What is shipped to the browser: complete, our own, readable in both modes, and safe for any text."""

import csv
import re
from itertools import product
from pathlib import Path

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.ui.assets import ASSETS, PUBLIC_FILES, asset_url, mount_assets
from app.ui.chips import cost_chip, state_chip
from app.ui.icons import icon, icon_names
from app.ui.shell import PLACES, heading_html, page_shell, rail_html
from app.ui.theme import HEAD, STYLESHEETS, THEME
from components.states import LIVE_STATES, CellState, Reason, RunState

SCRIPTS = sorted(ASSETS.glob("js/*.js"))
STYLES = sorted(ASSETS.glob("css/*.css"))
LABELS = {"billing", "delivery", "account", "defect", "question"}
PROMISED_ICONS = """
home build runs review jobs datasets models settings load text label judge columns structured chat play pause stop retry
check up down remove plus key search export sun moon more warning clock coin
"""
TONES = ("quiet", "ok", "busy", "wait", "warn", "bad")


def named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=path.name) for path in paths]


# What ships


def test_every_folder_and_file_is_named_in_the_notice() -> None:
    notice = (ASSETS / "NOTICE.md").read_text(encoding="utf-8")
    fonts = {f"fonts/{path.name}" for path in ASSETS.glob("fonts/*.woff2")}
    top = {f"{path.name}/" if path.is_dir() else path.name for path in ASSETS.iterdir()} - {"NOTICE.md", "fonts/"}
    assert [name for name in sorted(fonts | top) if f"`{name}`" not in notice] == []


@pytest.mark.parametrize("font", named(sorted(ASSETS.glob("fonts/*.woff2"))))
def test_a_font_comes_with_its_license_and_is_what_it_says(font: Path) -> None:
    family = font.name.split("-")[0]
    assert "SIL OPEN FONT LICENSE Version 1.1" in (font.parent / f"{family}-OFL.txt").read_text(encoding="utf-8")
    assert font.read_bytes()[:4] == b"wOF2"


@pytest.mark.parametrize("path", named([*SCRIPTS, *STYLES, *sorted(ASSETS.glob("*.svg"))]))
def test_nothing_points_outside(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"(?:https?:)?//[\w-]+\.[\w./-]+", text) == []


@pytest.mark.parametrize("path", named(STYLES))
def test_a_style_sheet_refers_only_to_files_that_are_there(path: Path) -> None:
    wanted = re.findall(r'url\("([^"]+)"\)', path.read_text(encoding="utf-8"))
    assert [name for name in wanted if not (path.parent / name).is_file()] == []


@pytest.mark.parametrize("path", named(SCRIPTS))
def test_a_script_imports_only_its_neighbors(path: Path) -> None:
    wanted = re.findall(r'from "([^"]+)"', path.read_text(encoding="utf-8"))
    assert [name for name in wanted if not (path.parent / name).is_file()] == []


@pytest.mark.parametrize("path", named(SCRIPTS))
def test_a_script_never_turns_text_into_markup_or_code(path: Path) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|text/html|srcdoc"
    assert re.findall(forbidden, path.read_text(encoding="utf-8")) == []


def test_every_style_sheet_is_loaded() -> None:
    assert {Path(sheet).name for sheet in STYLESHEETS} == {path.name for path in STYLES} - {"plain.css"}


# The words that scripts share with the core


def test_scripts_tell_reasons_in_the_words_of_the_core() -> None:
    words = (ASSETS / "js" / "words.js").read_text(encoding="utf-8")
    block = words.partition("REASONS = {")[2].partition("};")[0]
    assert dict(re.findall(r'(\w+): "([^"]+)"', block)) == {str(reason): reason.sentence for reason in Reason}


def test_scripts_and_core_agree_on_which_runs_are_live() -> None:
    words = (ASSETS / "js" / "words.js").read_text(encoding="utf-8")
    block = words.partition("LIVE_STATES = new Set([")[2].partition("]")[0]
    assert set(re.findall(r'"(\w+)"', block)) == {str(state) for state in LIVE_STATES}


# Contrast


def tokens(mode: str) -> dict[str, str]:
    sheet = (ASSETS / "css" / "app.css").read_text(encoding="utf-8")
    block = re.search((r":root" if mode == "light" else r"\.dark") + r" \{(.*?)\n\}", sheet, re.DOTALL)
    assert block
    return dict(re.findall(r"--sr-([\w-]+): (#[0-9a-f]{6});", block[1]))


def luminance(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("mode", "ink", "ground"),
    [
        *((mode, f"{tone}-ink", f"{tone}-wash") for mode, tone in product(("light", "dark"), TONES)),
        *((mode, f"{tone}-ink", "surface") for mode, tone in product(("light", "dark"), TONES)),
        *(
            (mode, ink, ground)
            for mode, ink, ground in product(
                ("light", "dark"), ("ink", "muted"), ("paper", "rail", "surface", "raised", "sunken", "green-wash")
            )
        ),
        *((mode, "green", ground) for mode, ground in product(("light", "dark"), ("paper", "surface", "green-soft"))),
        *((mode, "on-primary", ground) for mode, ground in product(("light", "dark"), ("primary", "primary-hover"))),
    ],
)
def test_text_stands_out_from_its_ground(mode: str, ink: str, ground: str) -> None:
    colors = tokens(mode)
    assert contrast(colors[ink], colors[ground]) >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_focus_ring_stands_out_from_the_page(mode: str) -> None:
    colors = tokens(mode)
    assert min(contrast(colors["focus"], colors[ground]) for ground in ("paper", "surface", "sunken")) >= 3


def test_the_theme_draws_no_font_from_elsewhere() -> None:
    assert re.findall(r"url\((?!.data:)[^)]*\)|@import", THEME._get_theme_css()) == []
    assert THEME._stylesheets == []


# Icons and chips


def test_all_promised_icons_are_drawn() -> None:
    assert set(PROMISED_ICONS.split()) <= set(icon_names())


def test_an_unknown_icon_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"no icon 'rocket'.*home"):
        icon("rocket")


def test_an_icon_label_cannot_leave_its_attribute() -> None:
    assert 'aria-label="&quot;&gt;&lt;script&gt;"' in icon("check", '"><script>')


def test_an_icon_without_a_label_is_decoration() -> None:
    assert 'aria-hidden="true"' in icon("check")


def test_a_chip_says_its_state_in_words() -> None:
    assert ">needs review</span>" in state_chip(CellState.NEEDS_REVIEW)
    assert ">done with failures</span>" in state_chip(RunState.DONE_WITH_FAILURES)


def test_a_cost_chip_takes_text_only() -> None:
    assert "&lt;b&gt;" in cost_chip("<b>")


# The page frame


def test_a_page_has_one_title_and_text_stays_text() -> None:
    html = heading_html("<img src=x>", "a & b")
    assert html.count("<h1") == 1
    assert "&lt;img src=x&gt;" in html
    assert "a &amp; b" in html


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.key)
def test_the_rail_marks_only_the_page_shown(place: object) -> None:
    html = rail_html(place.key)
    assert html.count('aria-current="page"') == 1
    assert f'<a href="{place.path}" aria-current="page">' in html


def test_the_rail_links_work_below_a_path() -> None:
    assert re.findall(r'href="(/|https?:)', rail_html("home")) == []


def test_a_page_outside_the_rail_is_refused() -> None:
    with gr.Blocks(), pytest.raises(ValueError, match="no page 'attic'"), page_shell("attic", "Attic"):
        pass


def test_a_page_gets_its_frame_and_a_row_for_buttons() -> None:
    with gr.Blocks() as blocks, page_shell("home", "Home", "Welcome") as shell:
        inside = gr.HTML("inside")
        with shell.actions:
            button = gr.Button("Run")
    assert button.parent is shell.actions
    assert inside.parent.elem_id == "sr-content"
    titles = [one.value for one in blocks.blocks.values() if isinstance(one, gr.HTML) and "<h1" in (one.value or "")]
    assert titles == [heading_html("Home", "Welcome")]


# Serving


def test_the_head_loads_only_our_files_by_their_content() -> None:
    addresses = re.findall(r'href="([^"]+)"', HEAD)
    assert len(addresses) == len(STYLESHEETS) + 2
    for address in addresses:
        name = re.fullmatch(r"assets/([\w/.-]+)\?v=[0-9a-f]{10}", address)
        assert name, address
        assert asset_url(name[1]) == address
    assert 'src="' not in HEAD


@pytest.fixture
def client() -> TestClient:
    app, gradio = FastAPI(), FastAPI()
    gradio.add_api_route("/assets/{path:path}", lambda path: {"gradio": path})
    mount_assets(app)
    app.mount("/", gradio)
    return TestClient(app)


@pytest.mark.parametrize("name", [*STYLESHEETS, *PUBLIC_FILES, "js/grid.js", "fonts/figtree-latin-wght-normal.woff2"])
def test_a_public_file_is_served_and_asked_for_again(client: TestClient, name: str) -> None:
    answer = client.get(f"/{asset_url(name)}")
    assert answer.content == (ASSETS / name).read_bytes()
    assert answer.headers["cache-control"] == "no-cache"


def test_an_unchanged_script_is_not_sent_again(client: TestClient) -> None:
    etag = client.get("/assets/js/api.js").headers["etag"]
    assert client.get("/assets/js/api.js", headers={"If-None-Match": etag}).status_code == 304


def test_scripts_are_served_as_scripts(client: TestClient) -> None:
    assert "javascript" in client.get("/assets/js/grid.js").headers["content-type"]


def test_gradio_keeps_its_own_assets(client: TestClient) -> None:
    assert client.get("/assets/index-1a2b.js").json() == {"gradio": "index-1a2b.js"}


@pytest.mark.parametrize("path", ["js/%2e%2e/NOTICE.md", "css/%2e%2e/%2e%2e/pyproject.toml"])
def test_no_path_leads_out_of_a_public_folder(client: TestClient, path: str) -> None:
    answer = client.get(f"/assets/{path}")
    assert answer.status_code == 404


def test_an_asset_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        asset_url("css/missing.css")


# Samples


def rows(name: str) -> list[dict[str, str]]:
    with (ASSETS / "samples" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_there_are_two_hundred_tickets_and_none_twice() -> None:
    tickets = rows("tickets.csv")
    assert list(tickets[0]) == ["id", "subject", "text", "channel", "created_at"]
    assert len(tickets) == len({row["id"] for row in tickets}) == len({row["text"] for row in tickets}) == 200
    assert all(row["text"].strip() for row in tickets)
    assert [row["created_at"] for row in tickets] == sorted(row["created_at"] for row in tickets)


def test_sixty_tickets_have_a_gold_label_evenly_over_the_five() -> None:
    gold = rows("tickets_gold.csv")
    known = {row["id"] for row in rows("tickets.csv")}
    assert len({row["id"] for row in gold}) == 60
    assert {row["id"] for row in gold} <= known
    assert {label: sum(row["label"] == label for row in gold) for label in LABELS} == dict.fromkeys(LABELS, 12)
