// What came of the first rows: for each row and step the prompt, the raw answer, the new columns, tokens and cost.

import { chip, el } from "./dom.js";
import { meet } from "./mount.js";
import { count, duration, money, plural, text } from "./words.js";

/** Shows props.value, the result of a preview. What a person opened stays open while more arrives. */
export function mount(target) {
  const { host, props, watch } = meet(target, "sr-preview");
  const opened = new Map();
  let run = null;
  const paint = () => {
    const value = props.value;
    if (value?.id !== run) opened.clear();
    run = value?.id ?? null;
    host.replaceChildren();
    if (run) host.append(head(value), ...troubles(value), list(value, opened));
    host.dataset.ready = value?.is_done ? "done" : run ? "1" : "";
  };
  host.addEventListener("toggle", ({ target: node }) => node.dataset?.row && opened.set(node.dataset.row, node.open), true);
  watch("value", paint);
  paint();
}

function head(value) {
  const bar = el("header", "sr-preview-head");
  el("h2", "sr-h2", "Preview", bar);
  if (value.rehearsal) bar.append(chip("rehearsal"));
  if (!value.is_done) bar.append(chip("running"));
  el("p", "sr-note", facts(value), bar).setAttribute("role", "status");
  return bar;
}

function facts(value) {
  const list = [plural(value.rows.length, "row")];
  const tokens = value.tokens_in + value.tokens_out;
  if (tokens) list.push(`${count(value.tokens_in)} tokens in, ${count(value.tokens_out)} out`);
  if (value.rehearsal) list.push("no model was asked");
  else if (tokens) list.push(value.cost_known ? money(value.spent) : "price unknown");
  return list.join(" · ");
}

function troubles(value) {
  if (!value.state_reason || value.state === "done") return [];
  const box = el("div", "sr-notice");
  box.dataset.tone = "bad";
  box.setAttribute("role", "alert");
  el("span", "sr-grow", value.state_reason, box);
  return [box];
}

function list(value, opened) {
  const box = el("div", "sr-preview-rows");
  value.rows.forEach((row, at) => box.append(rowPart(row, opened.get(row.row) ?? at === 0)));
  return box;
}

function rowPart(row, isOpen) {
  const part = el("details", "sr-preview-row");
  part.open = isOpen;
  part.dataset.row = row.row;
  const line = el("summary", "", "", part);
  el("span", "sr-preview-n", `Row ${row.position + 1}`, line);
  el("span", "sr-preview-text", longest(row.values), line);
  const last = row.steps.at(-1);
  el("span", "sr-preview-answer", last ? answer(last) : "", line);
  line.append(chip(last?.state ?? "pending"));
  for (const step of row.steps) part.append(stepPart(step));
  return part;
}

function stepPart(step) {
  const part = el("section", "sr-preview-step");
  const line = el("h3", "", step.step, part);
  line.append(chip(step.state));
  if (step.rehearsal) line.append(chip("rehearsal"));
  const said = stepFacts(step);
  if (said) el("p", "sr-note", said, part);
  if (step.state !== "ok") el("p", "sr-said", [step.sentence, step.message].filter(Boolean).join(" "), part).dataset.tone = "bad";
  const columns = el("div", "sr-preview-columns", "", part);
  const asked = el("div", "", "", columns);
  for (const message of step.prompt) block(asked, `Prompt · ${message.role}`, text(message.content));
  const answered = step.prompt.length ? el("div", "", "", columns) : asked;
  step.raw.forEach((raw, at) => block(answered, step.raw.length > 1 ? `Raw answer ${at + 1}` : "Raw answer", text(raw)));
  const made = step.rows.length ? step.rows : [step.values];
  for (const values of made) parsed(answered, values);
  return part;
}

function stepFacts(step) {
  const list = step.model ? [step.model] : [];
  const tokens = step.tokens_in + step.tokens_out;
  if (tokens) list.push(`${count(step.tokens_in)} tokens in, ${count(step.tokens_out)} out`);
  if (tokens && !step.rehearsal) list.push(step.cost_known ? money(step.cost) : "price unknown");
  if (step.model && step.seconds !== null && !step.rehearsal) list.push(duration(step.seconds));
  if (step.reused) list.push("taken over from an earlier run");
  return list.join(" · ");
}

function block(parent, name, content) {
  const box = el("div", "sr-preview-block", "", parent);
  el("h4", "", name, box);
  const words = el("pre", "sr-pre", content || "empty", box);
  words.tabIndex = 0;
}

function parsed(parent, values) {
  const names = Object.keys(values).filter((name) => name !== "model_name");
  if (!names.length) return;
  const box = el("div", "sr-preview-block", "", parent);
  el("h4", "", "New columns", box);
  const terms = el("dl", "sr-values", "", box);
  for (const name of names) {
    el("dt", "", name, terms);
    el("dd", "", text(values[name]) || "empty", terms);
  }
}

const longest = (values) => Object.values(values).map(text).reduce((best, one) => (one.length > best.length ? one : best), "");

function answer(step) {
  const [name] = Object.keys(step.values).filter((column) => column !== "model_name");
  return name ? text(step.values[name]) : "";
}
