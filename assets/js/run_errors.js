// What failed in a run, grouped by cause, each group with its one button.

import { root } from "./api.js";
import { button, el, icon } from "./dom.js";
import { withPrice } from "./run_actions.js";
import { count, LIVE_STATES } from "./words.js";

const SEEN_IN_GRID = new Set(["refused", "context_too_long", "cut_off", "not_in_labels"]);
const TO_REVIEW = new Set(["cut_off", "not_in_labels"]);

/** One notice for each cause, in one frame; null when nothing failed. */
export function errorGroups(run, busy, act) {
  if (!run.errors?.length) return null;
  const frame = el("section", "sr-notices");
  frame.setAttribute("aria-label", "What failed");
  frame.append(...run.errors.map((group) => notice(group, run, busy, act)));
  return frame;
}

function notice(group, run, busy, act) {
  const box = el("div", "sr-notice");
  box.dataset.tone = TO_REVIEW.has(group.reason) ? "warn" : "bad";
  box.append(icon("warning"));
  el("span", "sr-count", count(group.count), box);
  const words = el("span", "sr-grow", group.sentence, box);
  if (group.step) el("span", "sr-note", ` ${group.step}`, words);
  box.append(remedy(group, run, busy, act));
  return box;
}

function remedy(group, run, busy, act) {
  if (group.reason === "bad_key") {
    const link = el("a", "sr-button sr-small", group.button);
    link.href = `${root()}/models`;
    link.dataset.key = "bad_key";
    return link;
  }
  if (group.reason === "capped") return capForm(group, run, busy, act);
  const isShown = SEEN_IN_GRID.has(group.reason);
  const { step, reason } = group;
  const onClick = isShown
    ? () => document.dispatchEvent(new CustomEvent("sr:filter", { detail: { run: run.id, step, reason } }))
    : () => act("retry", { reason, step });
  const rows = (step) => (step.name === group.step ? group.count : 0);
  const node = button(isShown ? group.button : withPrice(group.button, run, rows), { className: "sr-button sr-small", onClick });
  node.disabled = busy || (!isShown && LIVE_STATES.has(run.state));
  node.dataset.key = `remedy-${group.reason}-${group.step}`;
  return node;
}

function capForm(group, run, busy, act) {
  const form = el("form", "sr-cap");
  const label = el("label", "sr-note", "New cap, $", form);
  const field = el("input", "sr-input", "", label);
  field.type = "text";
  field.inputMode = "decimal";
  field.value = String(Math.max(0.1, Math.round((run.cap ?? 0) * 150) / 100));
  field.dataset.key = "cap";
  const send = button(group.button, { className: "sr-button sr-small" });
  send.type = "submit";
  send.disabled = busy || LIVE_STATES.has(run.state);
  form.append(send);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const cap = Number(field.value);
    if (!(cap > (run.spent ?? 0))) {
      field.setCustomValidity("Type an amount above what was spent already.");
      field.reportValidity();
      field.setCustomValidity("");
      return;
    }
    document.activeElement?.blur();
    act("continue", { cap });
  });
  return form;
}
