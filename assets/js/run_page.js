// The page of a run: how far it is, its rows, and its results as files.

import { root } from "./api.js";
import { el } from "./dom.js";
import { mount as mountGrid } from "./grid.js";
import { meet } from "./mount.js";
import { mountBatches } from "./run_batches.js";
import { exportMenu } from "./run_export.js";
import { notifyButton } from "./run_notify.js";
import { mount as mountRun } from "./run.js";

/** Shows the run that ?id= of the page names. */
export function mount(target) {
  const { host } = meet(target, "sr-run-page");
  const { server } = target;
  const query = new URLSearchParams(location.search);
  const id = query.get("id") ?? query.get("run") ?? "";
  if (!id) return nothing(host, "Which run?", "The address of this page names no run.");
  const panel = el("div", "sr-run", "", host);
  panel.dataset.run = id;
  const batches = el("div", "sr-run-batches", "", host);
  batches.dataset.run = id;
  const heardBatches = mountBatches(batches, () => document.dispatchEvent(new CustomEvent("sr:look", { detail: { id } })));
  const bar = el("div", "sr-run-bar", "", host);
  const chooser = stepChooser(bar);
  const pipeline = el("a", "sr-button", "Open its pipeline", bar);
  pipeline.hidden = true;
  const notify = notifyButton(id);
  bar.append(notify, exportMenu(id, server, () => chooser.value));
  const grid = el("div", "sr-grid", "", host);
  grid.dataset.run = id;
  const listeners = new AbortController();
  host.stillroomEnd = () => {
    listeners.abort();
    for (const part of [panel, batches, grid]) part.stillroomEnd?.();
  };
  document.addEventListener("sr:gone", ({ detail }) => detail.id === id && gone(detail.sentence), { signal: listeners.signal });
  document.addEventListener("sr:run", ({ detail }) => detail.id === id && heard(detail), { signal: listeners.signal });
  chooser.addEventListener("change", () => {
    grid.dataset.step = chooser.value;
    mountGrid(grid);
  });
  mountRun(panel);
  mountGrid(grid);
  host.dataset.ready = "1";

  function gone(sentence) {
    host.stillroomEnd();
    host.replaceChildren();
    nothing(host, "No such run", sentence);
  }

  function heard(run) {
    heardBatches(run);
    notify.heard(run);
    const title = document.querySelector(".sr-title");
    if (title && title.textContent !== run.name) title.textContent = run.name || "Run";
    if (run.pipeline_id) {
      pipeline.hidden = false;
      pipeline.href = `${root()}/build?pipeline=${encodeURIComponent(run.pipeline_id)}`;
    }
    fillSteps(chooser, run.steps);
  }
}

function stepChooser(bar) {
  const label = el("label", "sr-step-choice", "", bar);
  el("span", "sr-note", "Rows after", label);
  const field = el("select", "sr-input", "", label);
  label.hidden = true;
  return field;
}

// The last step is what people came for; the others are there to look into.
function fillSteps(field, steps) {
  if (field.options.length === steps.length) return;
  field.replaceChildren();
  for (const step of steps) el("option", "", step.name, field).value = step.name;
  field.value = steps.at(-1)?.name ?? "";
  field.parentElement.hidden = steps.length < 2;
}

function nothing(host, title, sentence) {
  const box = el("div", "sr-empty", "", host);
  box.setAttribute("role", "alert");
  el("h2", "", title, box);
  el("p", "", sentence, box);
  el("a", "sr-button", "See all runs", box).href = `${root()}/runs`;
  host.dataset.ready = "1";
}
