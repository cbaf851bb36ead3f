"""The live panel of a run in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from components.states import Reason
from tests.assets.fake_run import FakeRun, Site

pytestmark = pytest.mark.browser
Serve = Callable[..., Site]
PANEL = '<div class="sr-run" data-run="r1"></div>'
MOUNT = 'const {mount} = await import("./assets/js/run.js"); mount(document.querySelector(".sr-run"));'


def open_panel(serve: Serve, page: Page) -> None:
    page.goto(f"{serve(PANEL, MOUNT).url}/page")
    page.wait_for_selector(".sr-run[data-ready='1']")


def failed(reason: Reason, count: int) -> dict[str, object]:
    said = {"sentence": reason.sentence, "button": reason.button}
    return {"reason": reason, **said, "count": count, "step": "label_tickets"}


def test_a_live_run_says_how_far_what_it_cost_and_that_the_tab_may_be_closed(
    serve: Serve, page: Page, run: FakeRun
) -> None:
    run.state = "running"
    open_panel(serve, page)
    expect(page.locator(".sr-run-summary")).to_have_text("1,240 / 2,000 · 9 failed · $0.31 of $0.90 · 4 min left")
    expect(page.get_by_text("You can close this tab. The run goes on.")).to_be_visible()
    expect(page.get_by_role("progressbar", name="label_tickets")).to_have_attribute("aria-valuenow", "1240")


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("running", ["Pause", "Stop"]),
        ("paused", ["Continue (about $0.19)", "Stop", "Retry 9 failed (about $0.0023)"]),
        ("stopped", ["Continue (about $0.19)", "Retry 9 failed (about $0.0023)"]),
        ("done_with_failures", ["Retry 9 failed (about $0.0023)"]),
    ],
)
def test_the_buttons_fit_the_state_and_say_what_they_cost(
    serve: Serve, page: Page, run: FakeRun, state: str, buttons: list[str]
) -> None:
    run.state = state
    open_panel(serve, page)
    assert page.locator(".sr-run-actions button").all_inner_texts() == buttons


def test_pause_pauses_and_the_button_becomes_continue(serve: Serve, page: Page, run: FakeRun) -> None:
    run.state = "running"
    open_panel(serve, page)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
    assert run.posted == [("pause", {})]


def test_a_refused_action_says_why(serve: Serve, page: Page, run: FakeRun) -> None:
    run.refusal = "The run is being worked on elsewhere."
    open_panel(serve, page)
    page.get_by_role("button", name="Retry 9 failed").click()
    expect(page.get_by_text(run.refusal)).to_be_visible()
    expect(page.get_by_role("button", name="Retry 9 failed")).to_be_enabled()


def test_each_cause_has_its_sentence_and_its_one_button(serve: Serve, page: Page, run: FakeRun) -> None:
    run.errors = [failed(reason, 3) for reason in Reason]
    open_panel(serve, page)
    for reason in Reason:
        box = page.locator(".sr-notice", has_text=reason.sentence)
        expect(box).to_have_count(1)
        expect(box.locator("button, a")).to_have_count(1)
        expect(box.locator("button, a")).to_contain_text(reason.button)


def test_retry_of_one_cause_retries_only_that_cause(serve: Serve, page: Page, run: FakeRun) -> None:
    run.errors = [failed(Reason.TIMEOUT, 4), failed(Reason.UNPARSEABLE, 5)]
    open_panel(serve, page)
    page.locator(".sr-notice", has_text=Reason.TIMEOUT.sentence).get_by_role("button").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert run.posted == [("retry", {"reason": "timeout", "step": "label_tickets"})]


def test_see_the_rows_tells_the_grid_which(serve: Serve, page: Page, run: FakeRun) -> None:
    run.errors = [failed(Reason.REFUSED, 4)]
    open_panel(serve, page)
    page.evaluate("document.addEventListener('sr:filter', (event) => (window.sent = event.detail))")
    page.get_by_role("button", name="See the rows").click()
    assert page.evaluate("window.sent") == {"run": "r1", "step": "label_tickets", "reason": "refused"}


def test_a_raised_cap_must_be_above_what_was_spent(serve: Serve, page: Page, run: FakeRun) -> None:
    run.state, run.errors = "capped", [failed(Reason.CAPPED, 4)]
    open_panel(serve, page)
    field = page.get_by_label("New cap, $")
    expect(field).to_have_value("1.35")
    field.fill("0.10")
    page.get_by_role("button", name="Raise the cap").click()
    assert run.posted == []
    field.fill("2.50")
    page.get_by_role("button", name="Raise the cap").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert run.posted == [("continue", {"cap": 2.5})]


def test_a_rehearsal_is_called_so_and_costs_nothing(serve: Serve, page: Page, run: FakeRun) -> None:
    run.rehearsal = True
    open_panel(serve, page)
    expect(page.locator(".sr-run-facts")).to_contain_text("rehearsal")
    expect(page.locator(".sr-run-summary")).to_contain_text("no cost, rehearsal")
    expect(page.locator(".sr-run-panel")).not_to_contain_text("$")


def test_the_focus_stays_on_a_button_while_the_numbers_change(serve: Serve, page: Page, run: FakeRun) -> None:
    run.state = "running"
    open_panel(serve, page)
    page.get_by_role("button", name="Stop").focus()
    run.rehearsal = True
    expect(page.locator(".sr-run-facts")).to_contain_text("rehearsal")
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
