// What a run will take, and the one click that starts it.

import { button, el } from "./dom.js";
import { meet } from "./mount.js";
import { chosenSteps, overnightChoices } from "./run_overnight.js";

const PAUSE = 300;

/** Opens when props.value.turn counts up. `run_price` asks anew for fewer rows, `run_confirm` starts the run. */
export function mount(target) {
  const { host, props, watch, trigger } = meet(target, "sr-run-dialog");
  const dialog = el("dialog", "sr-modal", "", host);
  dialog.setAttribute("aria-labelledby", "sr-run-title");
  let turn = props.value?.turn ?? 0;
  let parts = null;
  const show = () => {
    const value = props.value ?? {};
    if (value.turn !== turn) {
      turn = value.turn;
      parts = build(dialog, value, trigger);
      if (!dialog.open) dialog.showModal();
    }
    parts?.update(value);
  };
  watch("value", show);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  host.dataset.ready = "1";
}

function build(dialog, value, trigger) {
  const form = el("form", "sr-modal-form");
  dialog.replaceChildren(form);
  const title = el("h2", "sr-h2", "Run this pipeline", form);
  title.id = "sr-run-title";
  const facts = el("dl", "sr-facts", "", form);
  const choices = el("div", "sr-overnight", "", form);
  const rows = field(form, "Rows", "all", "Leave it empty to run them all.");
  const cap = field(form, "Spending cap, US dollars", "no cap", "The run stops before it would spend more.");
  const calls = field(form, "Calls in flight", "", "How many rows are asked about at the same time.");
  const webhook = field(form, "Tell a webhook", "nobody", "Its state and counts are posted there when the run ends; never a row or a key.");
  webhook.inputMode = "url";
  const foot = el("div", "sr-modal-foot", "", form);
  // Beside the buttons, which stay in sight however long the form is.
  const problem = el("p", "sr-said", "", foot);
  problem.setAttribute("role", "alert");
  problem.dataset.tone = "bad";
  const start = button("Start the run", { className: "sr-button sr-primary" });
  start.type = "submit";
  foot.append(button("Cancel", { onClick: () => dialog.close() }), start);
  calls.value = value.concurrency ?? "";
  cap.value = value.cap ?? "";
  cap.parentElement.hidden = value.is_free;
  let wasCap = cap.value;
  let timer = 0;
  const reprice = () => trigger("run_price", { rows: rows.value, overnight: chosenSteps(choices) });
  rows.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(reprice, PAUSE);
  });
  choices.addEventListener("change", reprice);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    problem.textContent = "";
    start.disabled = true;
    trigger("run_confirm", {
      rows: rows.value,
      cap: value.is_free ? "" : cap.value,
      concurrency: calls.value,
      overnight: chosenSteps(choices),
      webhook: webhook.value,
    });
  });
  return {
    update(now) {
      facts.replaceChildren(...now.facts.flatMap(([name, words]) => [el("dt", "", name), el("dd", "", words)]));
      overnightChoices(choices, now.choices ?? [], now.sentences ?? []);
      problem.textContent = now.error ?? "";
      start.disabled = Boolean(now.busy);
      start.lastChild.textContent = now.button;
      // A cap that the person typed stays; the suggested one follows the number of rows.
      if (cap.value === wasCap && now.cap !== undefined) cap.value = wasCap = now.cap;
    },
  };
}

function field(form, name, placeholder, help) {
  const label = el("label", "sr-modal-field", "", form);
  el("span", "sr-modal-name", name, label);
  const control = el("input", "sr-input", "", label);
  control.type = "text";
  control.inputMode = "decimal";
  control.placeholder = placeholder;
  el("span", "sr-note", help, label);
  return control;
}
