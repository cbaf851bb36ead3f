// Batch jobs at providers, live: every one that was sent, whoever sent it.

import { getJSON, root } from "./api.js";
import { act } from "./batch_actions.js";
import { el, icon, problemLine } from "./dom.js";
import { jobDrawer } from "./job_drawer.js";
import { jobsTable } from "./jobs_table.js";
import { meet } from "./mount.js";
import { poll } from "./poll.js";

const OVER = new Set(["closed", "lost", "rejected", "orphaned"]);

/** Shows all jobs and keeps them current. */
export function mount(target) {
  const { host } = meet(target, "sr-jobs");
  const problem = problemLine(host);
  const list = el("div", "sr-jobs-list", "", host);
  const drawer = jobDrawer(host, run);
  let etag = null;
  let isLive = true;

  async function load() {
    if (!host.isConnected) return host.stillroomEnd();
    try {
      const answer = await getJSON("/api/jobs", { etag });
      problem.textContent = "";
      if (answer.status !== 304) {
        etag = answer.etag;
        isLive = answer.body.jobs.some((job) => !OVER.has(job.state));
        paint(answer.body.jobs);
      }
      await drawer.refresh();
    } catch (error) {
      problem.textContent = error.message;
    }
    host.dataset.ready = "1";
  }

  async function run(job, action, body) {
    const worked = await act(job, action, body);
    etag = null;
    await host.stillroomEnd.again();
    return worked;
  }

  function paint(jobs) {
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    list.replaceChildren(jobs.length ? jobsTable(jobs, { run, open: drawer.open }) : nothing());
    if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  host.stillroomEnd = poll(load, () => (isLive ? 2000 : 8000));
}

function nothing() {
  const box = el("div", "sr-empty");
  box.append(icon("jobs"));
  el("h2", "", "No batch jobs yet", box);
  el("p", "", "Press Run on a pipeline and choose Overnight for a step: its rows go out as a batch, at half price where the provider offers it, and come back here.", box);
  el("a", "sr-button sr-primary", "Start a pipeline", box).href = `${root()}/`;
  return box;
}
