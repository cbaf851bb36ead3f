// Everything about one batch job, in a drawer: its facts, what can be done, and what happened to it.

import { getJSON, root } from "./api.js";
import { jobButtons } from "./batch_actions.js";
import { away, outcomes, prices, said, size } from "./batch_words.js";
import { button, chip, el, iconButton } from "./dom.js";
import { idLine, rowsBar } from "./jobs_table.js";
import { count, moment } from "./words.js";

/** The drawer of a page. run(job, action, body) does something about a job, and resolves once it is done. */
export function jobDrawer(host, run) {
  const dialog = el("dialog", "sr-drawer sr-job-drawer", "", host);
  const head = el("header", "sr-drawer-head", "", dialog);
  const title = el("h2", "sr-h2", "", head);
  title.tabIndex = -1;
  title.autofocus = true;
  const place = el("span", "sr-drawer-chip", "", head);
  head.append(iconButton("Close", "close", () => dialog.close()));
  const body = el("div", "sr-drawer-body", "", dialog);
  body.tabIndex = 0;
  let shown = "";
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

  async function refresh() {
    if (!dialog.open || !shown) return;
    try {
      const { body: job } = await getJSON(`/api/jobs/${encodeURIComponent(shown)}`);
      if (job.key === shown) paint(job);
    } catch (error) {
      body.replaceChildren(el("p", "sr-field-error", error.message));
    }
  }

  function paint(job) {
    title.textContent = `${job.provider}, ${job.model}`;
    place.replaceChildren(chip(job.state));
    // Somebody who types an id must not lose it to the next look, nor to an id that is refused.
    if (body.querySelector("form:focus-within")) return;
    const typed = body.querySelector(".sr-adopt input")?.value ?? "";
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const top = body.scrollTop;
    body.replaceChildren(facts(job), actions(job, async (...given) => {
      if (await run(...given)) refresh();
    }), timeline(job));
    const field = body.querySelector(".sr-adopt input");
    if (field) field.value = typed;
    body.scrollTop = top;
    if (focused) body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  return {
    open(job) {
      shown = job.key;
      body.replaceChildren();
      title.textContent = job.provider;
      place.replaceChildren();
      dialog.showModal();
      refresh();
    },
    refresh,
  };
}

function facts(job) {
  const part = el("section", "sr-drawer-part");
  if (job.message) {
    const notice = el("div", "sr-notice", "", part);
    notice.dataset.tone = job.needs_person ? "bad" : "warn";
    el("span", "sr-grow", job.message, notice);
  }
  part.append(rowsBar(job));
  el("p", "sr-note", `${count(job.n)} rows: ${outcomes(job.counts)}`, part);
  const list = el("dl", "sr-facts", "", part);
  const add = (name, value) => {
    if (!value) return;
    el("dt", "", name, list);
    const told = el("dd", "", "", list);
    told.append(value);
  };
  add("Provider id", idLine(job));
  add("Run", job.run_id ? runLink(job) : "a script");
  add("Step", job.step);
  add("There", said(job));
  add("File", job.bytes ? `${size(job.bytes)}${job.attempt > 1 ? `, try ${job.attempt}` : ""}` : "");
  add("Sent", job.submitted_at && moment(job.submitted_at));
  add("Ended", job.ended_at && moment(job.ended_at));
  add("Expires", !job.ended_at && job.expires_at && `${moment(job.expires_at)}, ${away(job.expires_at)}`);
  add("Results kept until", job.results_until && moment(job.results_until));
  add("Next look", job.next_look_at && away(job.next_look_at));
  add("Cost", prices(job).join(", "));
  if (job.limits) add("Limits", limits(job.limits));
  return part;
}

function runLink(job) {
  const link = el("a", "", job.run_name || "Without a name");
  link.href = `${root()}/run?id=${encodeURIComponent(job.run_id)}`;
  return link;
}

function limits(known) {
  const facts = [`${count(known.max_requests)} requests and ${size(known.max_bytes)} a file`];
  facts.push(known.worst_hours ? `done within ${known.worst_hours} h` : "no time promised");
  if (known.discount) facts.push(`${Math.round(known.discount * 100)}% off`);
  if (known.looked_up) facts.push(`looked up ${known.looked_up}`);
  return facts.join(", ");
}

function actions(job, run) {
  const part = el("section", "sr-drawer-part sr-job-actions");
  el("h3", "", "What you can do", part);
  const row = el("div", "sr-job-buttons", "", part);
  row.append(...jobButtons(job, run, { all: true }));
  if (job.can.includes("adopt")) part.append(adoptForm(job, run));
  if (!row.childElementCount && !job.can.includes("adopt")) el("p", "sr-note", "Nothing is left to do.", part);
  return part;
}

function adoptForm(job, run) {
  const form = el("form", "sr-adopt", "", null);
  const label = el("label", "sr-modal-field", "", form);
  el("span", "sr-modal-name", "Re-attach by the provider's id", label);
  const field = el("input", "sr-input sr-mono", "", label);
  field.type = "text";
  field.autocomplete = "off";
  field.spellcheck = false;
  field.placeholder = "batch_…";
  field.required = true;
  el("span", "sr-note", "Find it on the provider's own page of batches.", label);
  const send = button("Re-attach", { className: "sr-button sr-small" });
  send.type = "submit";
  form.append(send);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    document.activeElement?.blur();
    run(job, "adopt", { id: field.value });
  });
  return form;
}

function timeline(job) {
  const part = el("section", "sr-drawer-part");
  el("h3", "", "What happened", part);
  const list = el("ol", "sr-timeline", "", part);
  for (const event of job.events) {
    const item = el("li", "", "", list);
    el("span", "sr-note", moment(event.at), item);
    el("strong", "", event.kind === "note" ? "" : event.kind.replaceAll("_", " "), item);
    if (event.message) el("span", "", event.message, item);
  }
  return part;
}
