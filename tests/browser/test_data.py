from playwright.sync_api import Page, expect

from tests.browser.person import open_build, ready, upload


def open_datasets(page: Page) -> None:
    page.goto("/datasets")
    ready(page, "sr-datasets")


def test_a_file_is_added_shown_and_deleted(page: Page, tmp_path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("id;note\n1;späť\n2;late\n", encoding="cp1250")
    open_datasets(page)
    upload(page, "dataset-upload", file)
    card = page.locator(".sr-file", has_text="orders.csv")
    expect(card).to_contain_text("2 rows · 2 columns")
    card.get_by_role("button", name="Show rows").click()
    expect(card.locator("td", has_text="late")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    card.get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)


def test_a_file_that_cannot_be_read_is_told_in_a_sentence_and_nothing_is_kept(page: Page, tmp_path, app) -> None:
    before = len(app.studio.datasets.list())
    empty = tmp_path / "header_only.csv"
    empty.write_text("id,text\n")
    open_datasets(page)
    upload(page, "dataset-upload", empty)
    expect(page.get_by_text("header_only.csv: the file has a header but no rows.")).to_be_visible()
    assert len(app.studio.datasets.list()) == before


def test_a_dataset_leads_to_labels(page: Page) -> None:
    open_datasets(page)
    page.get_by_role("button", name="Add the sample tickets").click()
    card = page.locator(".sr-file", has_text="Sample tickets.csv")
    card.get_by_role("button", name="Label it").click()
    page.wait_for_url("**/build?pipeline=*")
    open_build(page)
    expect(page.locator(".sr-step-card").first).to_contain_text("Sample tickets.csv, 200 rows")


def test_warnings_about_a_file_stand_by_its_rows(page: Page, tmp_path) -> None:
    file = tmp_path / "twice.csv"
    file.write_text("id,text,text\n1,a,b\n2,c,d\n")
    open_datasets(page)
    upload(page, "dataset-upload", file)
    card = page.locator(".sr-file", has_text="twice.csv")
    expect(card).to_contain_text("warning")
    card.get_by_role("button", name="Show rows").click()
    expect(card.locator(".sr-notice").first).to_be_visible()


def test_a_file_that_is_here_already_is_not_listed_twice(page: Page, tmp_path) -> None:
    file = tmp_path / "müll.csv"
    file.write_text("id,text\n1,listed once\n")
    open_datasets(page)
    upload(page, "dataset-upload", file)
    expect(page.locator(".sr-file", has_text="müll.csv")).to_have_count(1)
    upload(page, "dataset-upload", file)
    expect(page.get_by_text("You have this file already: müll.csv.")).to_be_visible()
    expect(page.locator(".sr-file", has_text="müll.csv")).to_have_count(1)
