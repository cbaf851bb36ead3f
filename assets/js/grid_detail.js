// Everything about one row, in a drawer: each step's prompt, raw answer, values, model, cost and time, and its corrections.

import { getJSON } from "./api.js";
import { button, chip, copyButton, el, iconButton } from "./dom.js";
import { openEditor } from "./grid_edit.js";
import { stateChip } from "./grid_rows.js";
import { count, duration, moment, money, REASONS, text } from "./words.js";

/** The drawer of a grid. path(row) is its endpoint; onMove(by) asks for the neighbor; onSave corrects a value. */
export function detailDrawer(host, { path, onMove, onSave, onClose }) {
  const dialog = el("dialog", "sr-drawer", "", host);
  const head = el("header", "sr-drawer-head", "", dialog);
  const title = el("h2", "sr-h2", "", head);
  title.tabIndex = -1;
  title.autofocus = true;
  const place = el("span", "sr-drawer-chip", "", head);
  head.append(iconButton("Previous row", "up", () => onMove(-1)));
  head.append(iconButton("Next row", "down", () => onMove(1)));
  head.append(iconButton("Close", "close", () => dialog.close()));
  const body = el("div", "sr-drawer-body", "", dialog);
  body.tabIndex = 0;
  let aborter = new AbortController();
  let closeEditor = null;

  dialog.addEventListener("close", () => {
    aborter.abort();
    closeEditor?.();
    onClose();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    const by = { j: 1, k: -1 }[event.key.toLowerCase()];
    if (!by) return;
    event.preventDefault();
    onMove(by);
  });

  async function show(row, columns) {
    closeEditor?.();
    aborter.abort();
    aborter = new AbortController();
    const { signal } = aborter;
    title.textContent = `Row ${count(row.position + 1)}`;
    place.replaceChildren(chip(row.state), ...(row.settled ? [" ", stateChip(row)] : []));
    if (!dialog.open) dialog.showModal();
    body.setAttribute("aria-busy", "true");
    try {
      const { body: detail } = await getJSON(path(row), { signal });
      if (!signal.aborted) paint(detail, row, columns);
    } catch (error) {
      if (signal.aborted) return;
      body.replaceChildren(el("p", "sr-field-error", error.message));
    }
    body.setAttribute("aria-busy", "false");
  }

  function paint(detail, row, columns) {
    body.replaceChildren();
    body.scrollTop = 0;
    if (detail.corrections?.length) body.append(corrections(detail.corrections));
    const steps = [...detail.steps].reverse();
    steps.forEach((step, i) => body.append(stepSection(step, i === 0, edits(row, columns, step))));
  }

  // A value may be corrected in the step that made it: the last one that has the column.
  function edits(row, columns, step) {
    return (name, anchor) => {
      const column = columns.find((known) => known.name === name && known.editable);
      if (!column || (column.step && column.step !== step.step)) return null;
      return button("Correct", {
        className: "sr-button sr-small",
        onClick: () => {
          closeEditor?.();
          closeEditor = openEditor({
            anchor: anchor(),
            column,
            value: row.values[name],
            onSave: (value, note) => onSave(row, column, value, note, step.step),
            onClose: () => (closeEditor = null),
          });
        },
      });
    };
  }

  return { show, isOpen: () => dialog.open, close: () => dialog.close() };
}

// What a person said stands first, then what the model said, then what else was said on the way.
function corrections(list) {
  const section = el("section", "sr-drawer-part");
  el("h3", "", "What people said", section);
  for (const column of new Set(list.map((item) => item.column))) {
    const said = list.filter((item) => item.column === column);
    const last = said.at(-1);
    const line = el("p", "sr-correction", "", section);
    el("span", "sr-note", `${column}: `, line);
    el("strong", "", text(last.value) || "nothing", line);
    line.append(" ", chip(last.label_state === "llm_only" ? "undone" : last.label_state));
    el("span", "sr-note", ` ${moment(last.at)}${last.note ? ` · ${last.note}` : ""}`, line);
    el("p", "sr-note sr-correction", `The model said: ${text(said[0].was) || "nothing"}`, section);
    for (const item of said.slice(0, -1).reverse()) {
      const before = el("p", "sr-correction", "", section);
      el("del", "sr-g-was", text(item.value) || "nothing", before);
      el("span", "sr-note", ` ${moment(item.at)}${item.note ? ` · ${item.note}` : ""}`, before);
    }
  }
  return section;
}

function stepSection(step, isOpen, edit) {
  const part = el("details", "sr-drawer-part");
  part.open = isOpen;
  const head = el("summary", "", "", part);
  el("h3", "", step.step, head);
  head.append(chip(step.state));
  if (step.rehearsal) head.append(chip("rehearsal"));
  if (facts(step)) el("p", "sr-note", facts(step), part);
  if (step.reason || step.message) {
    const box = el("div", "sr-notice", "", part);
    box.dataset.tone = step.state === "failed" ? "bad" : "warn";
    el("span", "sr-grow", [REASONS[step.reason], step.message].filter(Boolean).join(" "), box);
  }
  values(part, step.values ?? {}, edit);
  for (const message of step.prompt ?? []) block(part, `Prompt · ${message.role}`, text(message.content));
  const raw = step.raw ?? [];
  raw.forEach((answer, i) => block(part, raw.length > 1 ? `Raw answer ${i + 1}` : "Raw answer", text(answer)));
  return part;
}

function facts(step) {
  const tokens = (step.tokens_in ?? 0) + (step.tokens_out ?? 0);
  const list = [];
  if (step.model) list.push(step.model);
  if (tokens) list.push(`${count(step.tokens_in)} tokens in, ${count(step.tokens_out)} out`);
  if (step.rehearsal) list.push("no model was asked");
  else if (tokens) list.push(step.cost_known ? money(step.cost) : "price unknown");
  if (step.model && step.seconds !== null && step.seconds !== undefined) list.push(duration(step.seconds));
  if (step.attempts > 1) list.push(`${step.attempts} attempts`);
  if (step.finished_at) list.push(moment(step.finished_at));
  return list.join(" · ");
}

function values(part, entries, edit) {
  const list = el("dl", "sr-values");
  for (const [name, value] of Object.entries(entries)) {
    el("dt", "", name, list);
    const cell = el("dd", "", "", list);
    const shown = readable(value);
    const words = el("span", "sr-value", shown || "empty", cell);
    words.classList.toggle("is-empty", !shown);
    words.classList.toggle("is-json", typeof value === "object" && value !== null);
    const change = edit(name, () => cell);
    if (change) cell.append(change);
  }
  if (list.children.length) part.append(list);
}

function readable(value) {
  const short = text(value);
  return typeof value === "object" && short.length > 72 ? JSON.stringify(value, null, 2) : short;
}

function block(part, name, content) {
  const head = el("div", "sr-block-head", "", part);
  el("h4", "", name, head);
  head.append(copyButton(`Copy ${name.toLowerCase()}`, content));
  el("pre", "sr-pre", content || "empty", part);
}
