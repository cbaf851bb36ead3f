// Puts what is wrong at the field it is about, for the eye and for screen readers.

import { el } from "./dom.js";
import { meet } from "./mount.js";

/** Shows props.value = {id of a field's element: sentence}. */
export function mount(target) {
  const { host, props, watch } = meet(target, "sr-field-errors");
  const form = host.closest(".sr-inspector") ?? document.body;
  let asked = 0;
  const paint = () => {
    asked = 0;
    if (!host.isConnected) return watcher.disconnect();
    const wanted = new Map(Object.entries(props.value ?? {}));
    for (const old of form.querySelectorAll(".sr-field-error[data-field]")) {
      if (wanted.get(old.dataset.field) !== old.textContent) clear(old);
    }
    for (const [id, sentence] of wanted) show(id, sentence);
    host.dataset.ready = "1";
  };
  const soon = () => {
    asked ||= requestAnimationFrame(paint);
  };
  // Sections that fold make their fields only when they are opened.
  const watcher = new MutationObserver(soon);
  watcher.observe(form, { childList: true, subtree: true });
  host.stillroomEnd = () => watcher.disconnect();
  watch("value", soon);
  paint();
}

const controls = (block) => block.querySelectorAll("input, textarea, [contenteditable='true']");

function show(id, sentence) {
  const block = document.getElementById(id);
  if (!block || block.querySelector(":scope > .sr-field-error")) return;
  const line = el("p", "sr-field-error", sentence, block);
  line.id = `${id}-error`;
  line.dataset.field = id;
  for (const control of controls(block)) {
    control.setAttribute("aria-invalid", "true");
    control.setAttribute("aria-describedby", line.id);
  }
}

function clear(line) {
  for (const control of controls(line.parentElement)) {
    control.removeAttribute("aria-invalid");
    control.removeAttribute("aria-describedby");
  }
  line.remove();
}
