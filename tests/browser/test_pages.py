"""Every page, on a desk and on a phone, in light and in dark, and for people who cannot see it."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.person import choose_step, fill, is_no_wider_than_the_screen, open_build, problem, ready

PAGES = {
    "/": "sr-home",
    "/build": "sr-steps",
    "/runs": "sr-runs",
    "/jobs": "sr-jobs",
    "/datasets": "sr-datasets",
    "/models": "sr-models",
}


@pytest.fixture(scope="module", autouse=True)
def something_to_see(app) -> str:
    """A pipeline, a dataset and a finished run, so that no page is empty."""
    sample = app.studio.datasets.add_sample()
    draft = app.studio.pipelines.create("label_rows", dataset_id=sample.id, rehearses=True)
    return app.studio.runs.start(pipeline_id=draft.id, row_limit=20)


@pytest.fixture(params=[*PAGES, "/run"])
def address(request: pytest.FixtureRequest, something_to_see: str) -> str:
    return f"/run?id={something_to_see}" if request.param == "/run" else request.param


def visit(page: Page, address: str) -> None:
    page.goto(address)
    ready(page, PAGES.get(address, "sr-grid"))
    if address == "/build":
        open_build(page)


def test_a_page_has_one_heading_and_marks_its_place(page: Page, address: str) -> None:
    visit(page, address)
    expect(page.locator("h1")).to_have_count(1)
    expect(page.locator(".sr-nav a[aria-current='page']")).to_have_count(1)


def test_a_page_fits_a_phone(phone: Page, address: str) -> None:
    visit(phone, address)
    assert is_no_wider_than_the_screen(phone)


def test_a_page_is_dark_where_the_person_wants_it(page: Page, address: str) -> None:
    page.emulate_media(color_scheme="dark")
    visit(page, address)
    expect(page.locator("body")).to_have_class("dark")
    assert page.evaluate("getComputedStyle(document.querySelector('.sr-work')).color") == "rgb(230, 235, 231)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_has_no_serious_barrier(page: Page, address: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    visit(page, address)
    assert barriers(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_forms_previews_and_dialogs_have_no_serious_barrier(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    visit(page, "/build")
    choose_step(page, "label")
    page.get_by_role("button", name="All settings").click()
    expect(page.get_by_role("button", name="Fewer settings")).to_be_visible()
    fill(page, "n", "0")
    expect(problem(page, "n")).to_be_visible()
    assert barriers(page) == []
    fill(page, "n", "1")
    expect(problem(page, "n")).to_have_count(0)
    page.locator("#preview-button").click()
    expect(page.locator(".sr-preview")).to_have_attribute("data-ready", "done")
    assert barriers(page) == []
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("dialog", name="Run this pipeline")).to_be_visible()
    assert barriers(page) == []


def barriers(page: Page) -> list[str]:
    """What keeps somebody from using the page, as axe finds it."""
    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def test_the_form_of_a_task_fits_a_phone(phone: Page) -> None:
    visit(phone, "/build")
    choose_step(phone, "label")
    phone.get_by_role("button", name="All settings").click()
    expect(phone.get_by_role("button", name="Fewer settings")).to_be_visible()
    assert is_no_wider_than_the_screen(phone)


def test_the_theme_a_person_chose_is_kept(page: Page) -> None:
    visit(page, "/")
    page.get_by_role("button", name="Dark mode").click()
    expect(page.locator("body")).to_have_class("dark")
    visit(page, "/runs")
    expect(page.locator("body")).to_have_class("dark")


def test_a_tab_is_named_after_its_page(page: Page, address: str) -> None:
    visit(page, address)
    heading = page.locator("h1").inner_text()
    expect(page).to_have_title("Stillroom" if address == "/" else f"{heading} · Stillroom")


def test_the_header_stays_in_sight(page: Page, something_to_see: str) -> None:
    visit(page, f"/run?id={something_to_see}")
    page.set_viewport_size({"width": 1440, "height": 480})
    page.locator(".sr-grid").evaluate("grid => grid.scrollIntoView()")
    expect(page.locator("h1")).to_be_in_viewport(ratio=1)
    header, grid = page.locator(".sr-header").bounding_box(), page.locator(".sr-grid").bounding_box()
    assert header and grid and grid["y"] >= header["y"] + header["height"]


def test_the_results_can_be_saved_on_a_phone(phone: Page, something_to_see: str) -> None:
    visit(phone, f"/run?id={something_to_see}")
    phone.locator(".sr-menu > summary").click()
    expect(phone.get_by_role("link", name="Parquet")).to_be_in_viewport(ratio=1)


def test_a_run_that_is_not_there_is_told_in_a_sentence(page: Page, troubles: list[str]) -> None:
    page.goto("/run?id=r_nothing")
    expect(page.get_by_role("alert")).to_contain_text("There is no run 'r_nothing'.")
    expect(page.get_by_text("Export")).to_have_count(0)
    page.get_by_role("link", name="See all runs").click()
    ready(page, "sr-runs")
    page.close()
    troubles[:] = [trouble for trouble in troubles if "404" not in trouble]


def test_an_address_without_a_page_leads_home(page: Page, troubles: list[str]) -> None:
    page.goto("/no/such")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.get_by_role("link", name="Go to Home").click()
    ready(page, "sr-home")
    troubles[:] = [trouble for trouble in troubles if "404" not in trouble]


def test_what_is_private_looks_so(page: Page, something_to_see: str) -> None:
    visit(page, f"/run?id={something_to_see}")
    page.locator(".sr-menu > summary").click()
    page.get_by_role("button", name="Hugging Face Hub").click()
    box = page.get_by_role("checkbox", name="Private")
    expect(box).to_be_checked()
    ticked = box.evaluate("box => getComputedStyle(box).backgroundColor")
    box.uncheck()
    assert ticked == "rgb(47, 111, 94)" != box.evaluate("box => getComputedStyle(box).backgroundColor")


def test_a_page_without_a_run_leads_to_all_of_them(page: Page) -> None:
    page.goto("/run")
    page.get_by_role("link", name="See all runs").click()
    ready(page, "sr-runs")


@pytest.mark.parametrize("path", ["/runs", "/jobs"])
def test_a_list_stays_when_stillroom_does_not_answer(page: Page, troubles: list[str], path: str) -> None:
    visit(page, path)
    part = ready(page, PAGES[path])
    before = part.locator("h2, table").first.inner_text()
    page.route(f"**/api{path}", lambda route: route.abort())
    expect(part.get_by_role("alert")).to_have_text("Stillroom does not answer. Check that it is still running.")
    assert part.locator("h2, table").first.inner_text() == before
    page.unroute(f"**/api{path}")
    expect(part.locator(".sr-problem-line")).to_be_empty()
    troubles[:] = [trouble for trouble in troubles if "ERR_FAILED" not in trouble]
