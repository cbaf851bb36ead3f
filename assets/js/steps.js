// The steps of a pipeline as a column of cards, joined by lines.

import { button, el, icon, iconButton } from "./dom.js";
import { meet } from "./mount.js";
import { plural } from "./words.js";

/** Shows props.value = {steps, selected}; each act becomes an event: step_select, step_move, step_remove, step_add. */
export function mount(target) {
  const { host, props, watch, trigger } = meet(target, "sr-steps");
  const paint = () => renderSteps(host, props.value ?? { steps: [] }, trigger);
  watch("value", paint);
  paint();
}

/** Draws the cards into host and tells onEvent(kind, detail) what the person does. */
export function renderSteps(host, value, onEvent) {
  const focused = host.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const steps = value.steps ?? [];
  const list = el("ol", "sr-step-list");
  list.setAttribute("aria-label", "Steps");
  steps.forEach((step, index) => list.append(card(step, index, steps, value, onEvent)));
  host.replaceChildren(steps.length ? list : nothing(value, onEvent));
  host.dataset.ready = "1";
  if (focused) host.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function nothing(value, onEvent) {
  const box = el("div", "sr-empty");
  box.append(icon("build"));
  el("h2", "", "No steps yet", box);
  el("p", "", "Add the first one: most pipelines begin by loading a file.", box);
  const add = () => onEvent("step_add", { index: 0 });
  if (value.insertable) box.append(button("Add a step here", { glyph: "plus", className: "sr-button sr-primary", onClick: add }));
  return box;
}

function card(step, index, steps, value, onEvent) {
  const item = el("li", "sr-step");
  const box = el("div", "sr-step-card", "", item);
  box.classList.toggle("is-selected", step.name === value.selected);
  box.classList.toggle("is-wrong", step.errors.length > 0);
  box.append(face(step, index, steps, value, onEvent), tools(step, index, steps, onEvent));
  if (step.errors.length) box.append(errors(step));
  const joint = el("div", "sr-step-joint", "", item);
  if (value.insertable) joint.append(adder(index + 1, onEvent));
  return item;
}

function face(step, index, steps, value, onEvent) {
  const node = el("button", "sr-step-face");
  node.type = "button";
  node.dataset.key = `step-${step.name}`;
  if (step.name === value.selected) node.setAttribute("aria-current", "true");
  const tile = el("span", "sr-tile", "", node);
  tile.dataset.icon = step.icon || step.category || "";
  tile.append(icon(step.icon || "flask"));
  const words = el("span", "sr-step-words", "", node);
  el("span", "sr-step-name", step.name, words);
  el("span", "sr-step-title", [step.title || step.component, step.summary].filter(Boolean).join(" · "), words);
  const flow = columnsLine(step);
  if (flow) el("span", "sr-step-flow", flow, words);
  node.addEventListener("click", () => onEvent("step_select", { name: step.name }));
  node.addEventListener("keydown", (event) => keys(event, step, index, steps, node, onEvent));
  return node;
}

function columnsLine(step) {
  const named = (names) => (names.length > 4 ? `${names.slice(0, 4).join(", ")} and ${names.length - 4} more` : names.join(", "));
  const parts = [];
  if (step.inputs?.length) parts.push(`uses ${named(step.inputs)}`);
  if (step.outputs?.length) parts.push(`makes ${named(step.outputs)}`);
  return parts.join(" · ");
}

function tools(step, index, steps, onEvent) {
  const row = el("span", "sr-step-tools");
  const add = (name, glyph, kind, detail, isEnabled) => {
    const node = iconButton(`${name} ${step.name}`, glyph, () => onEvent(kind, { name: step.name, ...detail }));
    node.disabled = !isEnabled;
    node.dataset.key = `${kind}-${detail.by ?? ""}-${step.name}`;
    row.append(node);
  };
  add("Move up", "up", "step_move", { by: -1 }, index > 0);
  add("Move down", "down", "step_move", { by: 1 }, index < steps.length - 1);
  add("Remove", "remove", "step_remove", {}, true);
  return row;
}

function errors(step) {
  const box = el("ul", "sr-step-errors");
  box.setAttribute("aria-label", plural(step.errors.length, "problem"));
  for (const message of step.errors) {
    const line = el("li", "", "", box);
    line.append(icon("warning"));
    el("span", "", message, line);
  }
  return box;
}

function adder(at, onEvent) {
  return iconButton("Add a step here", "plus", () => onEvent("step_add", { index: at }));
}

function keys(event, step, index, steps, node, onEvent) {
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (by && event.altKey) {
    if (steps[index + by]) onEvent("step_move", { name: step.name, by });
  } else if (by) {
    const near = steps[index + by];
    if (near) node.closest(".sr-step-list").querySelector(`[data-key="${CSS.escape(`step-${near.name}`)}"]`).focus();
  } else if (event.key === "Delete" || event.key === "Backspace") {
    onEvent("step_remove", { name: step.name });
  } else return;
  event.preventDefault();
}
