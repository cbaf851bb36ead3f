"""A key goes in and never comes out: not in a page, its settings, a browser's storage or an answer of the server."""

import httpx
from playwright.sync_api import Page, expect

from tests.browser.person import choose, choose_step, ready, start_with

CANARY = "sk-canary-5f2c9e77d1"


def everything_the_page_knows(page: Page) -> str:
    return page.evaluate("""() => [
        document.documentElement.outerHTML,
        JSON.stringify(window.gradio_config),
        JSON.stringify({...localStorage}), JSON.stringify({...sessionStorage}), document.cookie,
        [...document.querySelectorAll("input, textarea")].map((field) => field.value).join(),
    ].join()""")


def test_a_saved_key_is_found_nowhere(page: Page, app) -> None:
    answers: list[str] = []
    page.goto("/models")
    ready(page, "sr-models")
    page.on(
        "response", lambda response: answers.append(response.text()) if "component_server" in response.url else None
    )
    card = page.locator("[data-provider='deepseek']")
    card.get_by_label("Key", exact=True).fill(CANARY)
    card.get_by_role("button", name="Save key").click()
    expect(page.locator("[data-provider='deepseek']")).to_contain_text("key …77d1")
    expect(card.get_by_label("New key")).to_have_value("")
    page.reload()
    ready(page, "sr-models")
    expect(page.locator("[data-provider='deepseek'] .sr-chip").first).to_have_text("key saved")

    assert CANARY not in everything_the_page_knows(page) + "".join(answers)
    for path in ("/config", "/models", "/gradio_api/info"):
        assert CANARY not in httpx.get(app.url + path).text
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("[data-provider='deepseek']").get_by_role("button", name="Forget").click()
    expect(page.locator("[data-provider='deepseek'] .sr-chip").first).to_have_text("key missing")


def test_a_key_can_be_saved_while_choosing_a_model(page: Page, app) -> None:
    start_with(page, "Label rows")
    choose_step(page, "label")
    choose(page, "f-llm-place", "Cerebras · key missing")
    expect(page.locator("#f-llm-key")).to_contain_text("CEREBRAS_API_KEY")
    page.locator("#f-llm-key input").fill(CANARY)
    page.get_by_role("button", name="Save key").click()
    expect(page.locator("#f-llm-place input")).to_have_value("Cerebras · key …77d1")
    assert CANARY not in everything_the_page_knows(page)
    draft = app.studio.pipelines.get(page.url.partition("pipeline=")[2])
    assert draft.spec.step("label")["llm"]["connection"] == "cerebras"
    assert CANARY not in draft.spec.to_yaml()


def test_what_is_no_key_is_refused_at_once(page: Page) -> None:
    page.goto("/models")
    ready(page, "sr-models")
    card = page.locator("[data-provider='mistral']")
    card.get_by_label("Key", exact=True).fill("two words")
    card.get_by_role("button", name="Save key").click()
    expect(page.locator(".sr-toast")).to_contain_text("This is not a key")


def test_a_server_is_connected_tested_and_forgotten(page: Page, models) -> None:
    page.goto("/models")
    ready(page, "sr-models")
    form = page.locator(".sr-server-form")
    form.get_by_label("Address").fill(models.base_url)
    form.get_by_role("button", name="Connect").dblclick()
    card = page.locator("[data-provider='custom']")
    expect(card).to_contain_text(models.base_url)
    line = card.locator(".sr-connection", has_text=models.base_url)
    expect(line).to_have_count(1)
    page.once("dialog", lambda dialog: dialog.accept())
    line.get_by_role("button", name="Forget").click()
    expect(line).to_have_count(0)


def test_each_of_several_servers_can_be_tested(page: Page, models, app) -> None:
    nowhere = app.studio.connections.add("custom", "", base_url="http://127.0.0.1:9/v1")
    here = app.studio.connections.add("custom", "", base_url=models.base_url)
    page.goto("/models")
    ready(page, "sr-models")
    card = page.locator("[data-provider='custom']")
    card.get_by_label("Connection").select_option(here.name)
    card.get_by_label("Model").fill("tiny")
    card.get_by_role("button", name="Test", exact=True).click()
    expect(card.locator(".sr-said")).to_contain_text("It answers")
    for one in (nowhere, here):
        app.studio.connections.remove(one.id)


def test_a_provider_s_models_are_found_and_one_is_asked_for_a_word(page: Page, models, app) -> None:
    app.studio.connections.add("openai", CANARY, base_url=models.base_url)
    page.goto("/models")
    ready(page, "sr-models")
    card = page.locator("[data-provider='openai']")
    card.get_by_role("button", name="Find models").click()
    expect(card.locator(".sr-said")).to_contain_text("models found")
    card.get_by_label("Model").fill("tiny")
    card.get_by_role("button", name="Test", exact=True).click()
    expect(card.locator(".sr-said")).to_contain_text("It answers")
    app.studio.connections.remove(app.studio.connections.named("openai").id)
