from playwright.sync_api import Page, expect

from tests.browser.person import choose, choose_step, field, fill, open_build, problem, start_with


def test_what_is_typed_is_there_after_a_reload(page: Page, app) -> None:
    start_with(page, "Label rows")
    choose_step(page, "label")
    fill(page, "available_labels", "billing: money\ndelivery: parcels\nother")
    fill(page, "context", "Tickets of a shop.")
    fill(page, "llm.generation_kwargs.temperature", "0.3")
    choose(page, "f-llm-place", "Rehearsal")
    expect(page.get_by_text("No model is asked.")).to_be_visible()

    page.reload()
    open_build(page)
    choose_step(page, "label")

    expect(field(page, "available_labels")).to_have_value("billing: money\ndelivery: parcels\nother")
    expect(field(page, "context")).to_have_value("Tickets of a shop.")
    expect(page.locator("#f-llm-place input")).to_have_value("Rehearsal · no model, made-up answers")
    draft = app.studio.pipelines.get(page.url.partition("pipeline=")[2])
    assert draft.spec.step("label")["available_labels"] == {"billing": "money", "delivery": "parcels", "other": ""}


def test_a_wrong_value_is_told_at_its_field_and_on_its_card(page: Page) -> None:
    start_with(page, "Label rows")
    choose_step(page, "label")

    fill(page, "n", "0")
    expect(problem(page, "n")).to_have_text("Input should be greater than or equal to 1.")
    expect(field(page, "n")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".sr-step-card.is-wrong .sr-step-errors")).to_contain_text("greater than or equal to 1")

    fill(page, "n", "2")
    expect(problem(page, "n")).to_have_count(0)


def test_a_wrong_generation_parameter_is_told_at_its_field(page: Page) -> None:
    start_with(page, "Generate training data")
    choose_step(page, "answer")
    fill(page, "llm.generation_kwargs.temperature", "7")
    expect(problem(page, "llm.generation_kwargs.temperature")).to_have_text("Input should be less than or equal to 2.")
    fill(page, "llm.generation_kwargs.temperature", "hot")
    expect(problem(page, "llm.generation_kwargs.temperature")).to_contain_text("valid number")
    fill(page, "llm.generation_kwargs.temperature", "")
    expect(problem(page, "llm.generation_kwargs.temperature")).to_have_count(0)


def test_all_settings_can_be_shown(page: Page) -> None:
    start_with(page, "Generate training data")
    choose_step(page, "answer")
    expect(page.locator("#f-use_cache")).to_have_count(0)
    page.get_by_role("button", name="All settings").click()
    expect(page.locator("#f-use_cache")).to_be_visible()
    expect(page.locator("#f-llm-generation_kwargs-top_p")).to_be_visible()
