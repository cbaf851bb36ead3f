import re

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.person import choose_step, field, fill, open_build, open_home, problem, ready, start_with

OLD = """distilabel: {version: 1.5.3}
pipeline:
  name: old
  steps:
    - name: load
      step:
        name: load
        weird: 3
        data: [{instruction: hello}]
        type_info: {module: distilabel.steps.generators.data, name: LoadDataFromDicts}
  connections:
    - {from: load, to: []}
"""


def steps(page: Page) -> list[str]:
    return page.locator(".sr-step-name").all_inner_texts()


def add(page: Page, component: str, *, at: int) -> None:
    """Press the plus below a card, and choose what the new step does."""
    page.get_by_role("button", name="Add a step here").nth(at).click()
    page.locator(f"#palette [data-use='{component}']").click()


def test_steps_are_added_moved_and_removed(page: Page, app) -> None:
    start_with(page, "Start blank")
    expect(page.locator("#palette")).to_be_visible()
    page.locator("#palette [data-use='LoadDataFromDicts']").click()
    expect(field(page, "name")).to_have_value("load_data_from_dicts_0")
    add(page, "KeepColumns", at=0)
    expect(field(page, "name")).to_have_value("keep_columns_0")
    expect(problem(page, "columns")).to_have_text("This needs a value.")
    add(page, "TextGeneration", at=0)
    expect(field(page, "name")).to_have_value("text_generation_0")
    assert steps(page) == ["load_data_from_dicts_0", "text_generation_0", "keep_columns_0"]

    page.get_by_role("button", name="Move down text_generation_0").click()
    expect(page.locator(".sr-step-name").last).to_have_text("text_generation_0")
    page.get_by_role("button", name="Remove keep_columns_0").click()
    expect(page.locator(".sr-step-name")).to_have_text(["load_data_from_dicts_0", "text_generation_0"])

    spec = app.studio.pipelines.get(page.url.partition("pipeline=")[2]).spec
    assert spec.edges() == [("load_data_from_dicts_0", "text_generation_0")]


def test_another_source_can_take_the_place_of_the_first(page: Page, app) -> None:
    open_home(page)
    page.get_by_role("button", name="Try with sample tickets").click()
    page.wait_for_url("**/build?pipeline=*")
    open_build(page)
    add(page, "LoadDataFromDicts", at=1)
    expect(page.locator(".sr-step-name")).to_have_text(["load_data_from_dicts_0", "load_data", "label"])
    page.get_by_role("button", name="Remove load_data", exact=True).click()
    expect(page.locator(".sr-step-name")).to_have_text(["load_data_from_dicts_0", "label"])
    expect(page.get_by_text("needs a step before it")).to_have_count(0)
    spec = app.studio.pipelines.get(page.url.partition("pipeline=")[2]).spec
    assert spec.edges() == [("load_data_from_dicts_0", "label")]


def test_a_step_and_the_pipeline_can_be_renamed(page: Page) -> None:
    start_with(page, "Label rows")
    choose_step(page, "label")
    fill(page, "name", "sort")
    expect(page.locator(".sr-step-name").last).to_have_text("sort")
    fill(page, "query_title", "Ticket")
    name = page.get_by_label("Pipeline name")
    name.fill("Support <b>tickets</b> ${1} {{2}}")
    name.blur()
    expect(page.locator(".sr-saved .sr-subtitle")).to_contain_text("Saved")

    page.reload()
    open_build(page)
    expect(page.get_by_label("Pipeline name")).to_have_value("Support <b>tickets</b> ${1} {{2}}")
    choose_step(page, "sort")
    expect(field(page, "query_title")).to_have_value("Ticket")
    open_home(page)
    expect(page.get_by_role("link", name="Support <b>tickets</b> ${1} {{2}}", exact=True)).to_be_visible()


def test_another_component_keeps_the_settings_that_both_have(page: Page) -> None:
    start_with(page, "Transform a table")
    choose_step(page, "transform")
    page.get_by_role("button", name="All settings").click()
    page.locator("#f-use input").click()
    page.get_by_role("option", name="Text classification").click()
    expect(page.locator("#f-available_labels")).to_be_visible()
    expect(field(page, "name")).to_have_value("transform")
    expect(field(page, "llm.generation_kwargs.max_new_tokens")).to_have_value("512")


def test_two_windows_never_overwrite_each_other_unseen(context: BrowserContext, page: Page) -> None:
    start_with(page, "Label rows")
    choose_step(page, "label")
    other = context.new_page()
    other.goto(page.url)
    open_build(other)
    choose_step(other, "label")
    fill(other, "context", "Written in the other window.")
    expect(other.locator(".sr-saved .sr-subtitle")).to_contain_text("Saved")
    other.reload()
    open_build(other)
    choose_step(other, "label")
    expect(field(other, "context")).to_have_value("Written in the other window.")

    fill(page, "context", "Written here.")
    expect(page.get_by_text("This pipeline was changed in another window.")).to_be_visible()


def test_check_says_what_is_wrong_and_leads_there(page: Page) -> None:
    start_with(page, "Label rows")
    page.get_by_role("button", name="Check").click()
    found = ready(page, "sr-problems")
    expect(found).to_contain_text("to put right before this can run")
    expect(found).to_contain_text("needs a data file")
    found.locator(".sr-notice", has_text="needs a model").get_by_role("button", name="Show").click()
    expect(page.locator("#f-llm-place")).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_one_click_leads_to_labeled_samples_and_they_stay_after_a_reload(page: Page) -> None:
    open_home(page)
    page.get_by_role("button", name="Try with sample tickets").click()
    page.wait_for_url("**/build?pipeline=*")
    open_build(page)
    page.get_by_role("button", name="Check").click()
    expect(ready(page, "sr-problems")).to_contain_text("The pipeline can run.")
    page.locator("#preview-button").click()
    expect(page.locator(".sr-preview")).to_have_attribute("data-ready", "done")
    expect(page.locator(".sr-preview-head")).to_contain_text("rehearsal")
    before = page.locator(".sr-preview-rows").inner_text()

    page.reload()
    open_build(page)
    expect(page.locator(".sr-preview")).to_have_attribute("data-ready", "done")
    assert page.locator(".sr-preview-rows").inner_text() == before
    expect(page.locator(".sr-cost")).to_contain_text("200 rows, 200 calls")
    expect(page.locator(".sr-cost")).to_contain_text("free")


def test_fewer_rows_are_priced_anew_before_the_run(page: Page) -> None:
    open_home(page)
    page.get_by_role("button", name="Try with sample tickets").click()
    page.wait_for_url("**/build?pipeline=*")
    open_build(page)
    page.get_by_role("button", name="Run", exact=True).click()
    dialog = page.get_by_role("dialog", name="Run this pipeline")
    dialog.get_by_label("Rows", exact=False).first.fill("7")
    expect(dialog.locator(".sr-facts")).to_contain_text("Calls7", use_inner_text=False)
    dialog.get_by_label("Rows", exact=False).first.fill("some")
    expect(dialog.get_by_role("alert")).to_have_text("Rows: type a whole number, 1 or more, or leave it empty.")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_pipeline_that_is_gone_is_told_in_a_sentence(page: Page) -> None:
    page.goto("/build?pipeline=p_nothing")
    expect(page.get_by_text("There is no pipeline 'p_nothing'.")).to_be_visible()


def test_what_a_model_writes_is_never_taken_for_markup(page: Page, models, app, tmp_path) -> None:
    evil = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>${window.hit=1}{{window.hit}}'
    file = tmp_path / "evil.csv"
    file.write_text(f'"{evil.replace(chr(34), chr(34) * 2)}",text\n1,"{evil.replace(chr(34), chr(34) * 2)}"\n')
    models.behavior.reply = lambda body: evil
    dataset = app.studio.datasets.add(file)
    connection = app.studio.connections.add("custom", "", base_url=models.base_url)
    draft = app.studio.pipelines.create("transform", dataset_id=dataset.id)
    step = next(step for step in draft.spec.steps if step["name"] == "transform")
    step["llm"] = app.studio.providers.llm("m", connection=connection.name)
    app.studio.pipelines.save(draft.id, draft.spec, draft.revision)

    page.goto(f"/build?pipeline={draft.id}")
    open_build(page)
    expect(page.locator(".sr-data-table")).to_contain_text("<img src=x")
    page.locator("#preview-button").click()
    expect(page.locator(".sr-preview")).to_have_attribute("data-ready", "done")
    expect(page.locator(".sr-preview-block").filter(has_text="Raw answer").locator("pre")).to_have_text(evil)
    run = app.studio.runs.start(pipeline_id=draft.id)
    page.goto(f"/run?id={run}")
    expect(page.locator(".sr-g-row").first).to_contain_text("<img src=x")
    assert page.evaluate("window.hit") is None


def test_the_second_click_of_two_does_nothing(page: Page, app) -> None:
    start_with(page, "Start blank")
    page.locator("#palette [data-use='LoadDataFromDicts']").dblclick()
    expect(field(page, "name")).to_have_value("load_data_from_dicts_0")
    add(page, "KeepColumns", at=0)
    expect(field(page, "name")).to_have_value("keep_columns_0")
    assert steps(page) == ["load_data_from_dicts_0", "keep_columns_0"]
    page.get_by_role("button", name="Remove keep_columns_0").dblclick()
    expect(page.locator(".sr-step-name")).to_have_text(["load_data_from_dicts_0"])
    add(page, "TextGeneration", at=0)
    expect(field(page, "name")).to_have_value("text_generation_0")
    expect(page.locator(".toast-body")).to_have_count(0)


def test_two_clicks_on_preview_pay_for_one(page: Page, models, app) -> None:
    connection = app.studio.connections.add("custom", "", base_url=models.base_url)
    draft = app.studio.pipelines.create("transform", dataset_id=app.studio.datasets.add_sample().id)
    step = next(step for step in draft.spec.steps if step["name"] == "transform")
    step["llm"] = app.studio.providers.llm("m", connection=connection.name)
    app.studio.pipelines.save(draft.id, draft.spec, draft.revision)
    models.behavior.latency_ms = 800
    page.goto(f"/build?pipeline={draft.id}")
    open_build(page)
    page.locator("#preview-button").dblclick()
    expect(page.locator(".sr-preview")).to_have_attribute("data-ready", "done")
    assert len(models.requests) == 5


def test_what_is_wrong_with_json_can_be_read(page: Page) -> None:
    start_with(page, "Start blank")
    page.locator("#palette [data-use='LoadDataFromDicts']").click()
    page.locator("#f-data .cm-content").click()
    page.keyboard.insert_text('[{"instruction": "hello"}, oops')
    page.locator("#f-name input, #f-name textarea").first.click()
    said = problem(page, "data")
    expect(said).to_have_text("This is not valid JSON (line 1).")
    assert is_uncovered(said)


def test_what_is_wrong_with_a_model_can_be_read(page: Page) -> None:
    start_with(page, "Label rows")
    choose_step(page, "label")
    said = problem(page, "llm-model")
    said.scroll_into_view_if_needed()
    assert is_uncovered(said)


def is_uncovered(element: Locator) -> bool:
    """Whether a person can see the middle and the foot of an element."""
    return bool(
        element.evaluate(
            """node => {
              const { left, width, top, height } = node.getBoundingClientRect();
              const seen = (y) => node.contains(document.elementFromPoint(left + Math.min(20, width / 2), y));
              return seen(top + height / 2) && seen(top + height - 3);
            }"""
        )
    )


def test_the_form_of_another_step_begins_at_its_top(page: Page) -> None:
    start_with(page, "Label rows")
    choose_step(page, "label")
    inspector = page.locator("#inspector")
    inspector.evaluate("form => form.scrollTo(0, 600)")
    choose_step(page, "load_data")
    assert inspector.evaluate("form => form.scrollTop") == 0


def test_a_reload_opens_the_pipeline_that_was_open(page: Page, app) -> None:
    start_with(page, "Label rows")
    page.goto("/build")
    open_build(page)
    expect(page).to_have_url(re.compile("/build\\?pipeline=p_"))
    address = page.url
    app.studio.pipelines.create("blank")
    page.reload()
    open_build(page)
    expect(page).to_have_url(address)


def test_a_model_of_another_stillroom_is_told_before_it_is_asked(page: Page, app) -> None:
    draft = app.studio.pipelines.create("label_rows", dataset_id=app.studio.datasets.add_sample().id)
    step = next(step for step in draft.spec.steps if step["name"] == "label")
    step["llm"] = {"use": "OpenAILLM", "model": "m", "connection": "elsewhere"}
    app.studio.pipelines.save(draft.id, draft.spec, draft.revision)
    page.goto(f"/build?pipeline={draft.id}")
    open_build(page)
    page.locator("#run-button").click()
    expect(ready(page, "sr-problems")).to_contain_text("by the connection 'elsewhere', which is not here")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_an_older_file_held_that_is_gone_is_listed(page: Page) -> None:
    open_home(page)
    page.get_by_label("Pipeline file").set_input_files(
        {"name": "old.yaml", "mimeType": "text/yaml", "buffer": OLD.encode()}
    )
    dialog = page.get_by_role("dialog", name="Not everything could be taken over")
    expect(dialog.get_by_role("listitem")).to_contain_text(["'weird' has no counterpart and was left out. It was 3."])
    dialog.get_by_role("button", name="Open the pipeline").click()
    page.wait_for_url("**/build?pipeline=*")
    open_build(page)
    assert steps(page) == ["load"]
