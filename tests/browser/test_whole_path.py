"""The path of a person who has never seen the app: from a file to exported labels."""

import csv
import io
import json
import re
import threading
from collections import Counter

import pyarrow.parquet as pq
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.person import choose, choose_step, field, fill, ready, start_with, upload
from tests.servers.answers import last_user_text
from tests.servers.openai_server import OpenAIServer

LABELS = "billing: money\ndelivery: parcels\naccount: logging in\ndefect: something broken\nquestion: wants to know"
NAMES = ("billing", "delivery", "account", "defect", "question")
ROWS = 40
BAD = (17, 23)


class Labeler:
    """Answers with the label that stands in the ticket; two tickets get an answer of the wrong form the first time."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()
        self.prompts: list[str] = []
        self.lock = threading.Lock()

    def __call__(self, body: dict) -> str:
        text = last_user_text(body)
        number = int(text.rpartition("ticket number ")[2].split()[0])
        with self.lock:
            self.asked[number] += 1
            self.prompts.append(text)
            if number in BAD and self.asked[number] == 1:
                return '{"answer": 5}'
        return json.dumps({"labels": NAMES[number % 5]})


def tickets(path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "message"])
        for number in range(ROWS):
            writer.writerow([f"T-{number}", f"=HELP, this is ticket number {number} about {NAMES[number % 5]}"])


def connect(page: Page, models: OpenAIServer) -> None:
    choose(page, "f-llm-place", "Another server")
    field(page, "llm-address").fill(models.base_url)
    page.get_by_role("button", name="Connect").dblclick()
    expect(page.locator("#f-llm-place input")).to_have_value(re.compile(rf"^{models.base_url} ·.*no key needed$"))
    page.get_by_role("button", name="List models").click()
    expect(page.locator("#f-llm-said")).to_contain_text("models found")
    fill(page, "llm.model", "tiny-labeler")
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.locator("#f-llm-said")).to_contain_text("It answers")


def test_from_a_file_to_exported_labels(
    context: BrowserContext, page: Page, models: OpenAIServer, app, tmp_path
) -> None:
    file = tmp_path / "support.csv"
    tickets(file)
    start_with(page, "Label rows")
    upload(page, "data-upload", file)
    expect(page.locator("#data-preview, #data-table")).to_contain_text("ticket number 0")
    expect(page.locator(".sr-step-card").first).to_contain_text(f"support.csv, {ROWS} rows")

    choose_step(page, "label")
    expect(page.locator("#f-input_mappings-text input")).to_have_value("message")
    fill(page, "available_labels", LABELS)
    connect(page, models)
    labeler = Labeler()
    models.behavior.reply = labeler
    fill(page, "llm.generation_kwargs.temperature", "0")
    fill(page, "llm.generation_kwargs.max_new_tokens", "32")
    page.get_by_role("button", name="All settings").click()
    fill(page, "llm.input_price", "2")
    fill(page, "llm.output_price", "8")
    expect(page.locator(".sr-cost")).to_contain_text(f"{ROWS} rows, {ROWS} calls")
    expect(page.locator(".sr-cost")).to_contain_text("$0.0")
    expect(page.locator("#preview-button")).to_contain_text("under $0.01 at most")

    page.locator("#preview-button").click()
    expect(page.locator(".sr-preview")).to_have_attribute("data-ready", "done")
    expect(page.locator(".sr-preview-row")).to_have_count(5)
    assert len(labeler.prompts) == 5
    shown = page.locator(".sr-preview-row").first
    expect(shown.locator(".sr-preview-block", has_text="Prompt · user").locator("pre")).to_have_text(
        next(prompt for prompt in labeler.prompts if "ticket number 0 " in prompt), use_inner_text=True
    )
    expect(shown).to_contain_text('{"labels": "billing"}')

    models.behavior.latency_ms = 150
    page.locator("#run-button").click()
    dialog = page.get_by_role("dialog", name="Run this pipeline")
    expect(dialog).to_contain_text("measured in earlier calls")
    expect(dialog).to_contain_text(str(ROWS))
    expect(dialog.get_by_label("Spending cap, US dollars")).to_have_value(re.compile(r"0\.0\d"))
    dialog.get_by_label("Calls in flight").fill("2")
    assert len(labeler.prompts) == 5, "Nothing is asked before the click that shows a price."
    dialog.get_by_role("button", name="Start the run").click()
    page.wait_for_url("**/run?id=*")
    address = page.url
    page.close()

    again = context.new_page()
    again.goto(address)
    ready(again, "sr-run")
    expect(again.locator(".sr-title")).to_have_text(re.compile(r"^Label rows( \d+)?$"))
    expect(again.locator(".sr-run-summary")).to_contain_text(f"{ROWS} / {ROWS} · 2 failed")
    causes = again.locator(".sr-notices")
    expect(causes).to_contain_text("The answer came in the wrong form.")
    again.locator(".sr-g-tab", has_text="Failed").click()
    expect(again.locator(".sr-g-row", has_text="Failed: the answer came in the wrong form")).to_have_count(2)

    causes.get_by_role("button", name=re.compile(r"^Retry these rows \(about \$")).click()
    expect(again.locator(".sr-chip[data-state=done]")).to_be_visible()
    expect(causes).to_have_count(0)
    assert all(labeler.asked[number] == (2 if number in BAD else 1) for number in range(ROWS))

    correct_first_label(again)
    check_exports(again)


def correct_first_label(page: Page) -> None:
    page.locator(".sr-g-tab", has_text="All").click()
    row = page.locator(".sr-g-row[data-index='0']")
    expect(row).to_contain_text("billing")
    row.get_by_text("billing", exact=True).dblclick()
    editor = page.get_by_role("dialog", name="Correct labels")
    editor.locator("select").select_option("defect")
    editor.get_by_label("Why (optional)").fill("It is broken.")
    editor.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("defect")
    expect(row.locator(".sr-g-was")).to_have_text("billing")


def download(page: Page, name: str) -> bytes:
    page.locator(".sr-menu > summary").click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name=name).click()
    return waiting.value.path().read_bytes()


def check_exports(page: Page) -> None:
    rows = [json.loads(line) for line in download(page, "JSON Lines").splitlines()]
    assert [row["id"] for row in rows] == [f"T-{number}" for number in range(ROWS)]
    assert [row["labels"] for row in rows] == ["defect", *(NAMES[number % 5] for number in range(1, ROWS))]
    assert rows[0]["labels_model"] == "billing" and rows[0]["labels_state"] == "corrected"
    assert {row["stillroom_state"] for row in rows} == {"ok"}

    table = pq.read_table(io.BytesIO(download(page, "Parquet"))).to_pylist()
    assert [row["labels"] for row in table] == [row["labels"] for row in rows]

    lines = list(csv.DictReader(io.StringIO(download(page, "CSV").decode("utf-8-sig"))))
    assert [line["labels"] for line in lines] == [row["labels"] for row in rows]
    assert lines[0]["message"].startswith("'=HELP"), "A formula must not run in a spreadsheet."
