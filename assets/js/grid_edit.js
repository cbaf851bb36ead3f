// Correcting one value: a small form over the cell. Nothing is saved without Save or Enter; Esc leaves all as it was.

import { button, el } from "./dom.js";
import { text } from "./words.js";

/** Opens the form beside `anchor`; calls onSave(value, note). Returns a function that closes it. */
export function openEditor({ anchor, column, value, onSave, onClose }) {
  const form = el("form", "sr-editor", "", anchor.closest("dialog") ?? anchor.closest(".sr-grid"));
  form.setAttribute("role", "dialog");
  form.setAttribute("aria-label", `Correct ${column.name}`);
  el("span", "sr-editor-name", column.name, form);
  const control = column.choices ? choiceControl(column, value) : freeControl(value);
  control.field.setAttribute("aria-label", column.name);
  const note = el("input", "sr-input");
  note.type = "text";
  note.maxLength = 500;
  note.placeholder = "Why (optional)";
  note.setAttribute("aria-label", "Why (optional)");
  const problem = el("p", "sr-field-error");
  problem.setAttribute("role", "alert");
  const save = button("Save", { className: "sr-button sr-primary sr-small" });
  save.type = "submit";
  const cancel = button("Cancel", { className: "sr-button sr-small", onClick: () => close() });
  const foot = el("div", "sr-editor-foot");
  foot.append(save, cancel);
  form.append(control.field, note, problem, foot);
  place(form, anchor);
  control.field.focus();
  control.field.select?.();

  function close() {
    document.removeEventListener("pointerdown", outside, true);
    form.remove();
    onClose?.();
  }
  function outside(event) {
    if (!form.contains(event.target) && !note.value && control.isUnchanged()) close();
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    let chosen;
    try {
      chosen = control.read();
    } catch (error) {
      problem.textContent = error.message;
      return;
    }
    close();
    if (!control.isUnchanged() || note.value) onSave(chosen, note.value.trim());
  });
  form.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") {
      event.preventDefault();
      close();
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.target.tagName === "SELECT")) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  document.addEventListener("pointerdown", outside, true);
  return close;
}

function choiceControl(column, value) {
  const field = el("select", "sr-input");
  const many = Array.isArray(value);
  field.multiple = many;
  const chosen = (many ? value : [value]).map(text);
  const choices = [...column.choices.map(text), ...chosen.filter((item) => item && !column.choices.map(text).includes(item))];
  if (!many && !chosen[0]) el("option", "", "Choose…", field).value = "";
  for (const choice of choices) {
    const option = el("option", "", choice, field);
    option.value = choice;
    option.selected = chosen.includes(choice);
  }
  if (many) field.size = Math.min(8, choices.length);
  const original = (item) => column.choices.find((choice) => text(choice) === item) ?? item;
  const picked = () => [...field.selectedOptions].map((option) => option.value);
  return {
    field,
    isUnchanged: () => picked().join("\n") === (chosen.join("\n") || ""),
    read() {
      if (!many && !field.value) throw new Error("Choose one.");
      return many ? picked().map(original) : original(field.value);
    },
  };
}

function freeControl(value) {
  const isPlain = value === null || value === undefined || typeof value === "string";
  const before = isPlain ? (value ?? "") : JSON.stringify(value, null, typeof value === "object" ? 2 : 0);
  const field = el("textarea", "sr-input");
  field.rows = Math.min(8, Math.max(2, Math.ceil(before.length / 48)));
  field.value = before;
  return {
    field,
    isUnchanged: () => field.value === before,
    read: () => (isPlain ? field.value : parsed(field.value, value)),
  };
}

function parsed(words, like) {
  const kind = Array.isArray(like) ? "list" : typeof like;
  let value;
  try {
    value = JSON.parse(words);
  } catch {
    throw new Error(kind === "number" ? "Type a number." : `This is not valid JSON for a ${kind}.`);
  }
  if ((Array.isArray(value) ? "list" : typeof value) !== kind) throw new Error(kind === "number" ? "Type a number." : `This column holds a ${kind}.`);
  return value;
}

function place(form, anchor) {
  const at = anchor.getBoundingClientRect();
  const height = form.offsetHeight;
  const width = Math.min(340, innerWidth - 24);
  const below = at.bottom + 4 + height < innerHeight;
  form.style.width = `${width}px`;
  form.style.left = `${Math.max(12, Math.min(at.left, innerWidth - width - 12))}px`;
  form.style.top = `${below ? at.bottom + 4 : Math.max(12, at.top - height - 4)}px`;
}
