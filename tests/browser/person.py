"""What a person does on the pages, waiting for what they would wait for."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect


def ready(page: Page, css_class: str) -> Locator:
    """A part of the page that one of our scripts fills, once it is filled."""
    part = page.locator(f".{css_class}[data-ready]:not([data-ready=''])").first
    expect(part).to_be_attached()
    return part


def open_home(page: Page) -> None:
    page.goto("/")
    ready(page, "sr-home")


def start_with(page: Page, card: str) -> None:
    """Press one of the cards of Home and wait for the Build page with the form of its first step."""
    open_home(page)
    page.get_by_role("button", name=card).first.click()
    page.wait_for_url("**/build?pipeline=*")
    open_build(page)


def open_build(page: Page) -> None:
    ready(page, "sr-steps")
    expect(page.locator("#field-errors, #palette").first).to_be_attached()


def choose_step(page: Page, name: str) -> None:
    """Open the form of a step."""
    page.locator(f"[data-key='step-{name}']").click()
    expect(page.locator(f"[data-key='step-{name}']")).to_have_attribute("aria-current", "true")
    expect(field(page, "name")).to_have_value(name)


def field(page: Page, path: str) -> Locator:
    """The control of a field of the form, such as llm.generation_kwargs.temperature."""
    return page.locator(f"#f-{path.replace('.', '-')}").locator("input, textarea").first


def fill(page: Page, path: str, value: str) -> None:
    """Type into a field and leave it; returns once it is saved."""
    control = field(page, path)
    control.fill(value)
    control.blur()


def choose(page: Page, element: str, option: str) -> None:
    """Take an entry of one of Gradio's lists."""
    page.locator(f"#{element} input").click()
    page.get_by_role("option", name=option).first.click()


def problem(page: Page, path: str) -> Locator:
    """What is said to be wrong at a field."""
    return page.locator(f"#f-{path.replace('.', '-')}-error")


def upload(page: Page, element: str, path: Path) -> None:
    page.locator(f"#{element} input[type=file]").set_input_files(path)


def is_no_wider_than_the_screen(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
