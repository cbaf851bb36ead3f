"""The results grid in a real browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.assets.conftest import MOUNT_GRID
from tests.assets.fake_run import FakeRun, Site

pytestmark = pytest.mark.browser
Serve = Callable[..., Site]


@pytest.fixture
def grid(serve: Serve, page: Page) -> Page:
    open_page(page, serve())
    return page


def open_page(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/page")
    page.wait_for_selector(".sr-g-row[data-state='ok']")


def row(page: Page, index: int) -> Locator:
    return page.locator(f".sr-g-row[data-index='{index}']")


def tab(page: Page, name: str) -> Locator:
    return page.locator(".sr-g-tab", has_text=name)


def test_a_hundred_thousand_rows_need_few_elements(serve: Serve, page: Page, run: FakeRun) -> None:
    run.total = 100_000
    open_page(page, serve())
    scroller = page.locator(".sr-gv")
    expect(scroller).to_have_attribute("aria-rowcount", "100001")
    scroller.focus()
    for key in ("End", "Home", "PageDown", "End"):
        page.keyboard.press(key)
    expect(row(page, 99_999)).to_contain_text("T-99999")
    assert page.locator(".sr-g-row").count() < 60
    assert run.pages_sent < 8


def test_far_pages_are_forgotten(serve: Serve, page: Page, run: FakeRun) -> None:
    run.total = 6_000
    script = """
      const {Pages} = await import("./assets/js/grid_pages.js");
      const pages = new Pages("/api/runs/r1/rows", () => {}, () => {});
      for (let at = 0; at < 60; at++) await pages.fetch(at);
      document.title = `${pages.pages.size} ${pages.row(0)} ${pages.row(5999).row}`;
    """
    page.goto(f"{serve(script=script).url}/page")
    page.wait_for_function("document.title !== 'Run'")
    assert page.title() == "30 undefined 00005999"


def test_keys_move_the_selection_and_tell_screen_readers_the_cell(grid: Page) -> None:
    scroller = grid.locator(".sr-gv")
    scroller.focus()
    for key in ("j", "ArrowDown", "j", "k"):
        grid.keyboard.press(key)
    expect(row(grid, 1)).to_have_attribute("aria-selected", "true")
    expect(grid.locator("[aria-selected='true']")).to_have_count(1)
    active = scroller.get_attribute("aria-activedescendant")
    assert active and grid.locator(f"#{active}").get_attribute("role") == "gridcell"


def test_text_of_models_is_never_markup(serve: Serve, page: Page, run: FakeRun) -> None:
    run.text = '<img src=x onerror="alert(1)"><script>alert(2)</script>${alert(3)}'
    open_page(page, serve())
    expect(row(page, 0)).to_contain_text(run.text)
    row(page, 0).dblclick()
    expect(page.locator(".sr-drawer .sr-pre").first).to_contain_text(run.text)
    assert page.locator(".sr-grid img, .sr-grid script").count() == 0


def test_a_failed_row_tells_its_reason(grid: Page) -> None:
    expect(row(grid, 5)).to_contain_text("Failed: the answer came in the wrong form")
    expect(row(grid, 11)).to_contain_text("Needs review: the answer is not one of your labels")


def test_a_filter_shows_only_rows_in_that_state(grid: Page) -> None:
    tab(grid, "Failed").click()
    expect(row(grid, 0).locator(".sr-g-pos")).to_have_text("6")
    expect(row(grid, 1).locator(".sr-g-pos")).to_have_text("46")
    expect(grid.locator(".sr-g-shown")).to_have_text("50 rows found")
    tab(grid, "All").click()
    expect(row(grid, 1).locator(".sr-g-pos")).to_have_text("2")


def test_search_finds_rows_and_says_when_there_are_none(grid: Page) -> None:
    grid.get_by_label("Search rows").fill("Ticket 1321 ")
    expect(row(grid, 0)).to_contain_text("T-1321")
    grid.get_by_label("Search rows").fill("nothing like this")
    expect(grid.get_by_text("No rows match.")).to_be_visible()
    grid.get_by_role("button", name="Show all rows").click()
    expect(row(grid, 0)).to_contain_text("T-0")


def test_a_click_on_a_header_sorts_and_a_second_one_turns_it(grid: Page) -> None:
    header = grid.get_by_role("columnheader", name="score")
    header.get_by_role("button").click()
    expect(row(grid, 1)).to_contain_text("T-7")
    expect(grid.get_by_role("columnheader", name="score")).to_have_attribute("aria-sort", "ascending")
    grid.get_by_role("columnheader", name="score").get_by_role("button").click()
    expect(row(grid, 0).locator(".sr-num")).to_have_text("6")


def correct(page: Page, label: str) -> None:
    page.locator(".sr-gv").focus()
    page.keyboard.press("Home")
    page.keyboard.press("e")
    page.locator(".sr-editor select").select_option(label)
    page.get_by_label("Why (optional)").fill("He asks for the parcel")
    with page.expect_response("**/corrections"):
        page.get_by_role("button", name="Save").click()


def test_a_correction_shows_beside_what_the_model_said(grid: Page, run: FakeRun) -> None:
    correct(grid, "delivery")
    expect(row(grid, 0).locator(".is-answer .sr-g-value")).to_have_text("delivery")
    expect(row(grid, 0).locator("del")).to_have_text("billing")
    expect(grid.locator(".sr-gv")).to_be_focused()
    body = {"row": "00000000", "step": "", "column": "labels", "value": "delivery", "note": "He asks for the parcel"}
    assert run.posted == [("corrections", body)]


def test_a_correction_that_is_refused_goes_back_and_says_why(grid: Page, run: FakeRun) -> None:
    run.refusal = "The row is being worked on."
    correct(grid, "delivery")
    expect(grid.get_by_text("Not saved. The row is being worked on.")).to_be_visible()
    expect(row(grid, 0).locator(".is-answer .sr-g-value")).to_have_text("billing")
    expect(row(grid, 0).locator("del")).to_have_count(0)


def test_escape_leaves_the_value_as_it_was(grid: Page, run: FakeRun) -> None:
    row(grid, 0).locator(".is-answer").dblclick()
    grid.locator(".sr-editor select").select_option("account")
    grid.keyboard.press("Escape")
    expect(grid.locator(".sr-editor")).to_have_count(0)
    expect(row(grid, 0).locator(".is-answer .sr-g-value")).to_have_text("billing")
    assert run.posted == []


def test_the_drawer_shows_where_an_answer_comes_from_and_moves_on(grid: Page) -> None:
    grid.locator(".sr-gv").focus()
    grid.keyboard.press("j")
    grid.keyboard.press("Enter")
    drawer = grid.get_by_role("dialog")
    expect(drawer).to_contain_text("Prompt of Ticket 0")
    expect(drawer).to_contain_text("small-model · 120 tokens in, 3 out · $0.00012 · 1.4 s · 2 attempts")
    grid.keyboard.press("j")
    expect(drawer).to_contain_text("Raw Ticket 1 ")
    grid.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(grid.locator(".sr-gv")).to_be_focused()


def test_a_correction_in_the_drawer_names_its_step(grid: Page, run: FakeRun) -> None:
    row(grid, 3).locator(".is-main").dblclick()
    grid.get_by_role("button", name="Correct").click()
    grid.locator(".sr-editor select").select_option("account")
    with grid.expect_response("**/corrections"):
        grid.keyboard.press("Enter")
    expect(row(grid, 3).locator(".is-answer .sr-g-value")).to_have_text("account")
    assert [(body["row"], body["step"]) for _, body in run.posted] == [("00000003", "label_tickets")]


def test_a_row_to_review_that_a_person_settled_says_so(grid: Page, run: FakeRun) -> None:
    expect(row(grid, 11).locator(".sr-chip")).to_have_text("needs review")
    row(grid, 11).locator(".is-main").dblclick()
    grid.get_by_role("button", name="Correct").click()
    grid.locator(".sr-editor select").select_option("account")
    with grid.expect_response("**/corrections"):
        grid.keyboard.press("Enter")
    drawer = grid.get_by_role("dialog")
    expect(drawer.locator(".sr-drawer-head .sr-chip")).to_have_text(["needs review", "human only"])
    expect(drawer).to_contain_text("labels: account")
    expect(drawer).to_contain_text("The model said: nothing")
    grid.keyboard.press("Escape")
    expect(row(grid, 11).locator(".sr-chip")).to_have_text("human only")
    expect(row(grid, 11)).not_to_contain_text("Needs review")


def test_new_rows_of_a_live_run_arrive_without_moving_the_reader(serve: Serve, page: Page, run: FakeRun) -> None:
    run.total, run.state = 500, "running"
    open_page(page, serve('<div class="sr-grid" data-run="r1" data-live="true"></div>'))
    page.locator(".sr-gv").focus()
    for _ in range(3):
        page.keyboard.press("PageDown")
    chosen = page.locator("[aria-selected='true'] .sr-g-pos").inner_text()
    place = page.evaluate("document.querySelector('.sr-gv').scrollTop")
    run.total = 900
    expect(page.locator(".sr-gv")).to_have_attribute("aria-rowcount", "901")
    expect(tab(page, "All")).to_contain_text("900")
    expect(page.locator("[aria-selected='true'] .sr-g-pos")).to_have_text(chosen)
    assert page.evaluate("document.querySelector('.sr-gv').scrollTop") == place


def test_a_live_grid_asks_no_page_twice_that_has_not_changed(serve: Serve, page: Page, run: FakeRun) -> None:
    run.total = 50
    site = serve('<div class="sr-grid" data-run="r1" data-live="true"></div>')
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status) if "/rows?" in answer.url else None)
    open_page(page, site)
    with page.expect_response(lambda answer: "/rows?" in answer.url and answer.status == 304):
        pass
    assert answers.count(200) == 1


def test_a_server_that_fails_is_named_and_forgotten_when_it_is_back(serve: Serve, page: Page, run: FakeRun) -> None:
    run.is_down = True
    page.goto(f"{serve().url}/page")
    expect(page.get_by_role("alert")).to_have_text("Stillroom could not do that (error 502).")
    run.is_down = False
    expect(row(page, 0)).to_contain_text("T-0", timeout=20_000)
    expect(page.locator(".sr-g-problem")).to_have_text("")


def test_mounting_twice_leaves_one_grid(serve: Serve, page: Page) -> None:
    open_page(page, serve(script=MOUNT_GRID + 'mount(document.querySelector(".sr-grid"));'))
    assert page.locator(".sr-gv").count() == 1
    page.locator(".sr-gv").focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(row(page, 1)).to_have_attribute("aria-selected", "true")


def test_the_grid_finds_its_data_below_a_path(serve: Serve, page: Page) -> None:
    open_page(page, serve(below="/studio"))
    expect(row(page, 0)).to_contain_text("T-0")


def test_on_a_phone_rows_are_cards_and_a_tap_opens_one(serve: Serve, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, serve())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert row(page, 0).bounding_box()["height"] > 90
    row(page, 0).click()
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text("Prompt of Ticket 0")
    assert drawer.bounding_box()["width"] == 390


def test_long_texts_give_way_so_that_answers_stay_in_sight(serve: Serve, page: Page, run: FakeRun) -> None:
    run.text = "A long complaint about a parcel. " * 20
    page.set_viewport_size({"width": 900, "height": 800})
    open_page(page, serve())
    box = row(page, 0).locator(".sr-g-cell").last.bounding_box()
    assert box["x"] + box["width"] <= 900
    assert page.locator(".sr-gv").evaluate("(view) => view.scrollWidth <= view.clientWidth")


def test_a_panel_can_send_the_grid_to_the_rows_of_one_cause(grid: Page) -> None:
    detail = "{run: 'r1', step: 'label_tickets', reason: 'not_in_labels'}"
    grid.evaluate(f"document.dispatchEvent(new CustomEvent('sr:filter', {{detail: {detail}}}))")
    expect(row(grid, 0).locator(".sr-g-pos")).to_have_text("12")
    why = grid.get_by_role("button", name="The answer is not one of your labels. label_tickets")
    expect(why).to_have_attribute("aria-pressed", "true")
    expect(tab(grid, "All")).to_have_attribute("aria-pressed", "false")
    expect(grid.get_by_role("status")).to_contain_text("50 rows found")
    why.click()
    expect(why).to_be_hidden()
    expect(row(grid, 0).locator(".sr-g-pos")).to_have_text("1")


def test_a_column_can_be_made_wider_by_dragging(grid: Page) -> None:
    before = row(grid, 0).locator(".sr-g-cell").nth(2).bounding_box()["width"]
    grip = grid.locator(".sr-g-grip").first.bounding_box()
    grid.mouse.move(grip["x"] + 4, grip["y"] + 8)
    grid.mouse.down()
    grid.mouse.move(grip["x"] + 84, grip["y"] + 8)
    grid.mouse.up()
    assert row(grid, 0).locator(".sr-g-cell").nth(2).bounding_box()["width"] == pytest.approx(before + 80, abs=2)


def test_a_state_that_is_rare_gets_its_filter_only_when_it_occurs(grid: Page) -> None:
    names = grid.locator(".sr-g-tabs .sr-g-tab > span:first-child").all_inner_texts()
    assert names == ["All", "OK", "Needs review", "Failed"]
    assert all(re.fullmatch(r"[\d,]+", text) for text in grid.locator(".sr-g-n").all_inner_texts())
