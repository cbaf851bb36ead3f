// Every run, live.

import { getJSON, root } from "./api.js";
import { el, icon, problemLine } from "./dom.js";
import { meet } from "./mount.js";
import { poll } from "./poll.js";
import { runsTable } from "./runs_table.js";
import { LIVE_STATES } from "./words.js";

/** Shows all runs and keeps them current. */
export function mount(target) {
  const { host } = meet(target, "sr-runs");
  const problem = problemLine(host);
  const list = el("div", "", "", host);
  let etag = null;
  let isLive = true;
  async function load() {
    if (!host.isConnected) return host.stillroomEnd();
    try {
      const answer = await getJSON("/api/runs", { etag });
      problem.textContent = "";
      if (answer.status === 304) return;
      etag = answer.etag;
      isLive = answer.body.runs.some((run) => LIVE_STATES.has(run.state));
      paint(list, answer.body.runs);
    } catch (error) {
      problem.textContent = error.message;
    }
    host.dataset.ready = "1";
  }
  host.stillroomEnd = poll(load, () => (isLive ? 1500 : 5000));
}

function paint(host, runs) {
  const focused = host.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  host.replaceChildren(runs.length ? runsTable(runs) : nothing());
  if (focused) host.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}

function nothing() {
  const box = el("div", "sr-empty");
  box.append(icon("runs"));
  el("h2", "", "No runs yet", box);
  el("p", "", "Build a pipeline, look at a preview, then press Run. Every run is kept here.", box);
  const link = el("a", "sr-button sr-primary", "Start a pipeline", box);
  link.href = `${root()}/`;
  return box;
}
