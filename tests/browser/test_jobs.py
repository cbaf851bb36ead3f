"""The Jobs page, and what is done there about jobs that are out, ended early or lost."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.app.batches import a_batch_server, batch_model
from tests.app.pipelines import asking
from tests.browser.night import choose_overnight, counts_add_up, open_run_dialog, submit, until, watch_counts
from tests.browser.person import is_no_wider_than_the_screen, ready
from tests.browser.test_pages import barriers
from tests.servers.batch.openai_batch_server import OpenAIBatchServer

ROWS = 12
COST = {"input_price": 500.0, "output_price": 1500.0}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIBatchServer]:
    """One with half the price for batches, where none is done until a test says so."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "sk-loopback")
    with a_batch_server(dialect="azure", polls_until_done=1_000, done_when_stopped=4) as server:
        yield server


@pytest.fixture
def watched(context: BrowserContext, page: Page) -> Page:
    """A page that notes every count it shows, and says yes when it is asked whether one is sure."""
    watch_counts(context)
    page.on("dialog", lambda dialog: dialog.accept())
    return page


def night_of(app, provider: OpenAIBatchServer) -> str:
    """A pipeline of twelve rows that are asked at a provider; returns its id."""
    place = provider.origin  # Answers to the same prompt would be kept from an earlier test.
    llm = batch_model(provider, use="AzureOpenAILLM", use_offline_batch_generation=False, **COST)
    return app.studio.pipelines.add(asking([f"{place} row-{n} please" for n in range(ROWS)], llm)).id


def begin(page: Page, app, provider: OpenAIBatchServer) -> tuple[str, str]:
    """Submit from the dialog; returns the ids of the run and of the provider's batch."""
    dialog = open_run_dialog(page, night_of(app, provider))
    choose_overnight(dialog)
    run_id = submit(page, dialog)
    expect(page.get_by_role("region", name="Batches")).to_contain_text(f"Submitted {ROWS} of {ROWS} rows")
    return run_id, provider.batches[-1].id


def line(page: Page, provider_id: str) -> Locator:
    """The line of a job in the table."""
    return page.locator("tr[data-job]", has=page.get_by_text(provider_id, exact=True))


def open_jobs(page: Page) -> None:
    page.goto("/jobs")
    ready(page, "sr-jobs")


def open_job(job: Locator) -> Locator:
    job.locator(".sr-link").click()
    drawer = job.page.locator(".sr-job-drawer[open]")
    expect(drawer.locator(".sr-timeline li").first).to_be_visible()
    return drawer


def test_a_job_from_the_dialog_to_its_last_row(app, watched: Page, provider: OpenAIBatchServer) -> None:
    page = watched
    dialog = open_run_dialog(page, night_of(app, provider))
    ways = dialog.get_by_role("group", name="answer")
    prices = ways.locator(".sr-way-price")
    expect(prices.first).to_contain_text("$")
    now, overnight = prices.all_inner_texts()
    assert now != overnight
    expect(dialog.get_by_role("button", name="Start the run")).to_be_visible()
    choose_overnight(dialog)
    expect(dialog).to_contain_text("50% off for this model")
    expect(dialog).to_contain_text("Saves $")
    assert barriers(page) == []
    assert provider.batches == [], "Nothing is sent before the click that shows a price."
    run_id = submit(page, dialog)

    receipt = page.get_by_role("region", name="Batches")
    expect(receipt).to_contain_text(f"Submitted {ROWS} of {ROWS} rows")
    expect(receipt).to_contain_text("You can close this tab and your laptop.")
    (batch,) = provider.batches
    expect(receipt.locator(".sr-mono")).to_have_text(batch.id)
    counts_add_up(page, ROWS)

    assert barriers(page) == []
    receipt.get_by_role("link", name="See the jobs").click()
    ready(page, "sr-jobs")
    job = line(page, batch.id)
    expect(job).to_contain_text(f"0 ok · {ROWS} waiting")
    expect(job).to_contain_text(re.compile(r"Expires in (24 h|23 h 5\d min)"))
    expect(job).to_contain_text(re.compile(r"at most \$\d"))
    expect(job.get_by_role("link")).to_have_attribute("href", re.compile(f"run\\?id={run_id}$"))
    asked = len(provider.calls("GET", "/openai"))
    job.get_by_role("button", name="Refresh").click()
    expect(page.locator(".sr-toast")).to_contain_text("The provider is asked now.")
    until(lambda: len(provider.calls("GET", "/openai")) > asked)

    drawer = open_job(job)
    expect(drawer.locator(".sr-timeline")).to_contain_text("planned")
    expect(drawer.locator(".sr-timeline")).to_contain_text("submitted")
    assert barriers(page) == []
    drawer.get_by_role("button", name="Refresh").click()
    expect(drawer.locator(".sr-toast")).to_contain_text("The provider is asked now.")
    drawer.get_by_role("button", name="Cancel").click()
    expect(drawer.locator(".sr-chip").first).to_have_text("closed", timeout=60_000)
    expect(drawer).to_contain_text(re.compile(f"{ROWS} rows: 4 ok · {ROWS - 4} missing"))
    expect(drawer).to_contain_text(re.compile(r"\$[\d.]+ saved"))
    drawer.get_by_role("button", name="Close").click()
    counts_add_up(page)

    job.get_by_role("link").click()
    ready(page, "sr-run")
    back = page.get_by_role("region", name="What came back")
    expect(back).to_contain_text(re.compile(f"Your run finished: 4 ok · {ROWS - 4} failed"))
    expect(page.locator(".sr-run-summary")).to_contain_text(f"{ROWS} / {ROWS}")
    expect(back.get_by_role("button", name=re.compile("Retry failed overnight"))).to_contain_text("8 rows, about $")
    expect(back.get_by_role("button", name=re.compile("Finish online"))).to_contain_text("8 rows, about $")
    expect(page.get_by_role("button", name=re.compile("^Retry 8"))).to_have_count(0)


def test_rows_without_an_answer_are_sent_again_or_finished_online(
    app, watched: Page, provider: OpenAIBatchServer
) -> None:
    page = watched
    fates = {"row-3": ["400"] * 2, "row-7": ["400"], "row-9": ["missing"], "row-10": ["expired"]}
    provider.batch.change(polls_until_done=0, rows=fates)
    run_id, first = begin(page, app, provider)
    out, back = page.get_by_role("region", name="Batches"), page.get_by_role("region", name="What came back")
    out.get_by_role("button", name="Collect now").click()
    expect(out).to_contain_text("8 ok · 2 failed · 1 missing · 1 waiting")
    until(lambda: len(provider.batches) > 1)
    expect(out).to_contain_text(provider.batches[1].id)
    out.get_by_role("button", name="Collect now").click()
    expect(back).to_contain_text("Your run finished: 9 ok · 3 failed")
    counts_add_up(page, ROWS)

    open_jobs(page)
    job = line(page, first)
    expect(job).to_contain_text("8 ok · 2 failed · 1 missing · 1 sent again")
    expect(line(page, provider.batches[1].id)).to_contain_text("1 ok")
    drawer = open_job(job)
    with page.expect_popup() as opened:
        drawer.get_by_role("link", name="Error lines").click()
    errors = [json.loads(said) for said in opened.value.locator("body").inner_text().splitlines() if said]
    opened.value.close()
    assert [error["response"]["status_code"] for error in errors if error.get("response")].count(400) == 2
    assert {error["row"] for error in errors if error.get("state") == "missing"}

    drawer.get_by_role("button", name=re.compile(r"^Retry failed \(3 rows, about \$")).click()
    expect(page.locator(".sr-toast")).to_contain_text("Sent again: 3 rows.")
    drawer.get_by_role("button", name="Close").click()
    expect(job).to_contain_text("8 ok · 4 sent again")
    until(lambda: len(provider.batches) > 2)
    last = line(page, provider.batches[2].id)
    last.get_by_role("button", name="Refresh").click()
    expect(last).to_contain_text("2 ok · 1 failed")
    counts_add_up(page)

    page.goto(f"/run?id={run_id}")
    expect(back).to_contain_text("Your run finished: 11 ok · 1 failed")
    back.get_by_role("button", name=re.compile(r"^Finish online \(1 row, about \$")).click()
    expect(back).to_contain_text(f"Your run finished: {ROWS} ok")
    expect(page.locator(".sr-chip[data-state=done]")).to_be_visible()
    assert len(provider.batches) == 3
    assert all(provider.paid(f"row-{n}") == 1 for n in range(ROWS)), "Every answer is paid for once."


def test_a_job_whose_id_was_lost_is_attached_again(
    app, watched: Page, provider: OpenAIBatchServer, troubles: list[str]
) -> None:
    page = watched
    provider.batch.change(polls_until_done=0, on_create="land_500", on_list="500")
    dialog = open_run_dialog(page, night_of(app, provider))
    choose_overnight(dialog)
    run_id = submit(page, dialog)
    until(lambda: bool(provider.batches))
    expect(page.get_by_role("region", name="Batches")).to_contain_text(f"Sending 0 of {ROWS} rows")
    open_jobs(page)
    job = page.locator("tr[data-job]", has=page.locator(f"a[href$='{run_id}']"))
    expect(job).to_contain_text("no id yet")
    job.get_by_role("button", name="Re-attach").click()
    drawer = page.locator(".sr-job-drawer[open]")
    field = drawer.get_by_label("Re-attach by the provider's id")
    field.fill("batch_of_somebody_else")
    drawer.get_by_role("button", name="Re-attach").click()
    expect(page.locator(".sr-toast")).to_contain_text("knows no such batch job")
    expect(field).to_have_value("batch_of_somebody_else")
    troubles[:] = [one for one in troubles if "Failed to load resource" not in one]

    field.fill(provider.batches[0].id)
    drawer.get_by_role("button", name="Re-attach").click()
    expect(page.locator(".sr-toast")).to_contain_text("Attached.")
    expect(drawer.locator(".sr-id .sr-mono")).to_have_text(provider.batches[0].id)
    expect(drawer.locator(".sr-chip").first).to_have_text("closed")
    expect(drawer).to_contain_text(f"{ROWS} rows: {ROWS} ok")
    counts_add_up(page)
    assert len(provider.batches) == 1, "Nothing was made a second time."


def test_the_page_says_how_to_begin_where_no_job_is(app, page: Page) -> None:
    page.route("**/api/jobs", lambda route: route.fulfill(json={"jobs": []}))
    open_jobs(page)
    expect(page.get_by_role("heading", name="No batch jobs yet")).to_be_visible()
    page.get_by_role("link", name="Start a pipeline").click()
    ready(page, "sr-home")


def test_the_page_fits_a_phone(app, phone: Page, provider: OpenAIBatchServer) -> None:
    begin(phone, app, provider)
    assert is_no_wider_than_the_screen(phone)
    open_jobs(phone)
    expect(line(phone, provider.batches[0].id)).to_be_visible()
    assert is_no_wider_than_the_screen(phone)
