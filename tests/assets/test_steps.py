"""The column of step cards in a real browser."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.assets.fake_run import Site

pytestmark = pytest.mark.browser
Serve = Callable[..., Site]
MOUNT = """
  const {renderSteps} = await import("./assets/js/steps.js");
  window.sent = [];
  const host = document.querySelector(".sr-steps");
  window.show = (value) => renderSteps(host, value, (kind, detail) => sent.push([kind, detail]));
  show(%s);
"""


def step(name: str, **fields: Any) -> dict[str, Any]:
    plain = {
        "component": "KeepColumns",
        "title": "Keep columns",
        "category": "columns",
        "icon": "columns",
        "summary": "",
    }
    return {"name": name, **plain, "errors": [], "inputs": ["a"], "outputs": ["b", "c"], **fields}


STEPS = {"steps": [step("load"), step("label", errors=["Choose a model."]), step("keep")], "selected": "label"}


def open_steps(serve: Serve, page: Page, value: dict[str, Any]) -> None:
    page.goto(f"{serve('<div class=sr-steps></div>', MOUNT % json.dumps(value)).url}/page")
    page.wait_for_selector(".sr-steps[data-ready='1']")


def sent(page: Page) -> Any:
    return page.evaluate("window.sent")


def test_each_step_is_a_card_and_the_selected_one_is_marked(serve: Serve, page: Page) -> None:
    open_steps(serve, page, STEPS)
    expect(page.locator(".sr-step-card")).to_have_count(3)
    expect(page.locator("[aria-current='true']")).to_contain_text("label")
    expect(page.locator(".sr-step-card").nth(1)).to_contain_text("Choose a model.")
    expect(page.locator(".sr-step-card").first).to_contain_text("uses a · makes b, c")


def test_a_click_or_enter_selects(serve: Serve, page: Page) -> None:
    open_steps(serve, page, STEPS)
    page.locator(".sr-step-face").first.click()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert sent(page) == [["step_select", {"name": "load"}], ["step_select", {"name": "label"}]]


def test_buttons_move_and_remove_a_step(serve: Serve, page: Page) -> None:
    open_steps(serve, page, STEPS)
    page.get_by_role("button", name="Move up label").click()
    page.get_by_role("button", name="Move down load").click()
    page.get_by_role("button", name="Remove keep").click()
    assert sent(page) == [
        ["step_move", {"name": "label", "by": -1}],
        ["step_move", {"name": "load", "by": 1}],
        ["step_remove", {"name": "keep"}],
    ]


def test_the_first_cannot_go_up_nor_the_last_down(serve: Serve, page: Page) -> None:
    open_steps(serve, page, STEPS)
    expect(page.get_by_role("button", name="Move up load")).to_be_disabled()
    expect(page.get_by_role("button", name="Move down keep")).to_be_disabled()
    page.locator(".sr-step-face").first.focus()
    page.keyboard.press("Alt+ArrowUp")
    page.keyboard.press("Alt+ArrowDown")
    assert sent(page) == [["step_move", {"name": "load", "by": 1}]]


def test_the_focus_stays_on_a_step_that_was_drawn_anew(serve: Serve, page: Page) -> None:
    open_steps(serve, page, STEPS)
    page.locator(".sr-step-face").nth(2).focus()
    page.evaluate("(value) => show(value)", {"steps": STEPS["steps"], "selected": "keep"})
    expect(page.locator("[aria-current='true']")).to_be_focused()


def test_names_and_messages_stay_text(serve: Serve, page: Page) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    open_steps(serve, page, {"steps": [step(hostile, title=hostile, errors=[hostile], icon=hostile)], "selected": None})
    expect(page.locator(".sr-step-name")).to_have_text(hostile)
    assert page.locator(".sr-steps img").count() == 0


def test_an_empty_pipeline_says_how_to_begin(serve: Serve, page: Page) -> None:
    open_steps(serve, page, {"steps": [], "selected": None, "insertable": True})
    expect(page.get_by_text("No steps yet")).to_be_visible()
    page.get_by_role("button", name="Add a step here").click()
    assert sent(page) == [["step_add", {"index": 0}]]
