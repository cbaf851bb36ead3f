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


def test_a_run_that_is_not_there_is_told_in_a_sentence(page: Page, troubles: list[str]) -> None:
    page.goto("/run?id=r_nothing")
    expect(page.get_by_role("alert").first).to_contain_text("There is no run 'r_nothing'.")
    page.close()
    troubles[:] = [trouble for trouble in troubles if "404" not in trouble]


def test_a_page_without_a_run_leads_to_all_of_them(page: Page) -> None:
    page.goto("/run")
    page.get_by_role("link", name="See all runs").click()
    ready(page, "sr-runs")
