// The live panel of a run: its state, the progress of each step, what failed and why, and the buttons.

import { getJSON, postJSON } from "./api.js";
import { chip, el, toast } from "./dom.js";
import { meet, runOf } from "./mount.js";
import { poll } from "./poll.js";
import { actionButtons } from "./run_actions.js";
import { errorGroups } from "./run_errors.js";
import { count, duration, LIVE_STATES, money, plural } from "./words.js";

const WAITING = new Set(["waiting_batch", "collecting"]);
const PARTS = ["ok", "needs_review", "failed", "expired", "skipped"];

/** Shows a run and keeps it current. */
export function mount(target) {
  const { host, props, watch } = meet(target, "sr-run");
  const panel = el("section", "sr-run-panel", "", host);
  panel.setAttribute("aria-label", "Progress");
  const announcer = el("p", "sr-hidden-text", "", host);
  announcer.setAttribute("role", "status");
  let run = null;
  let etag = null;
  let problem = "";
  let busy = false;

  async function load() {
    const id = runOf(host, props);
    if (!host.isConnected) return host.stillroomEnd?.();
    if (!id) return;
    try {
      const answer = await getJSON(`/api/runs/${encodeURIComponent(id)}`, { etag });
      if (problem) {
        problem = "";
        if (run) paint();
      }
      if (answer.status === 304) return;
      etag = answer.etag;
      show(answer.body);
    } catch (error) {
      if (error.status === 404) return document.dispatchEvent(new CustomEvent("sr:gone", { detail: { id, sentence: error.message } }));
      problem = error.message;
      paint();
    }
  }

  function show(next) {
    if (run && run.state !== next.state) announcer.textContent = `The run is now ${next.state.replaceAll("_", " ")}.`;
    run = next;
    paint();
    document.dispatchEvent(new CustomEvent("sr:run", { detail: run }));
  }

  async function act(action, body = {}) {
    busy = true;
    paint();
    try {
      await postJSON(`/api/runs/${encodeURIComponent(run.id)}/${action}`, body);
      etag = null;
    } catch (error) {
      toast(error.message, "bad");
    }
    busy = false;
    await stop.again();
    paint();
  }

  function paint() {
    // Replacing the panel each second would drop the focus of whoever tabs through its buttons.
    const focused = panel.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    if (panel.querySelector("form:focus-within")) return;
    panel.replaceChildren();
    if (problem) panel.append(notice(problem));
    if (run) panel.append(top(run, busy, act), ...closing(run), steps(run), errorGroups(run, busy, act) ?? "");
    if (focused) panel.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    host.dataset.ready = run ? "1" : "";
  }

  const again = ({ detail }) => {
    if (detail.id !== runOf(host, props)) return;
    etag = null;
    stop.again();
  };
  document.addEventListener("sr:look", again);
  const stop = poll(load, () => (run && !LIVE_STATES.has(run.state) ? 5000 : problem ? 3000 : 1000));
  host.stillroomEnd = () => {
    stop();
    document.removeEventListener("sr:look", again);
  };
  watch("run_id", () => {
    run = null;
    etag = null;
    load();
  });
}

function top(run, busy, act) {
  const bar = el("div", "sr-run-top");
  const facts = el("div", "sr-run-facts", "", bar);
  facts.append(chip(run.state));
  if (run.rehearsal) facts.append(chip("rehearsal"));
  el("strong", "sr-run-summary", summary(run), facts);
  bar.append(actionButtons(run, busy, act));
  return bar;
}

/** "1,240 / 2,000 · 9 failed · $0.31 of $0.90 · 4 min left" */
export function summary(run) {
  const last = run.steps.at(-1);
  const failed = run.steps.reduce((sum, step) => sum + step.failed, 0);
  const facts = [last ? ofTotal(done(last), run.rows_total) : "0 so far"];
  if (failed) facts.push(`${count(failed)} failed`);
  const expired = run.steps.reduce((sum, step) => sum + (step.expired ?? 0), 0);
  if (expired) facts.push(`${count(expired)} expired`);
  facts.push(spent(run));
  if (LIVE_STATES.has(run.state) && run.seconds_left !== null) facts.push(`${duration(run.seconds_left)} left`);
  return facts.join(" · ");
}

// While rows are still being loaded, or made out of others, nobody knows how many there will be.
const ofTotal = (part, total) => (total === null ? `${count(part)} so far` : `${count(part)} / ${count(total)}`);

function spent(run) {
  if (run.rehearsal) return "no cost, rehearsal";
  const sum = run.cost_known ? money(run.spent) : run.spent > 0 ? `at least ${money(run.spent)}` : "price unknown";
  return run.cap === null || run.cap === undefined ? sum : `${sum} of ${money(run.cap)}`;
}

const done = (step) => PARTS.reduce((sum, part) => sum + (step[part] ?? 0), 0);

function closing(run) {
  // What a run waits for is told job by job, below.
  const isSaid = run.state_reason === `${run.state[0].toUpperCase()}${run.state.slice(1)}.`;
  if (run.state_reason && !isSaid && !(run.has_batches && WAITING.has(run.state))) return [notice(run.state_reason, "warn")];
  if (!LIVE_STATES.has(run.state)) return [];
  if (run.has_batches && WAITING.has(run.state)) return [];
  const facts = ["You can close this tab. The run goes on."];
  if (run.in_flight) facts.push(`${plural(run.in_flight, "call")} in flight.`);
  if (run.rate_per_minute) facts.push(`${count(Math.round(run.rate_per_minute))} rows a minute.`);
  return [el("p", "sr-note", facts.join(" "))];
}

function notice(text, tone = "bad") {
  const box = el("div", "sr-notice");
  box.dataset.tone = tone;
  if (tone === "bad") box.setAttribute("role", "alert");
  el("span", "sr-grow", text, box);
  return box;
}

function steps(run) {
  const list = el("ol", "sr-run-steps");
  for (const step of run.steps) {
    const item = el("li", "", "", list);
    el("span", "sr-run-name", step.name, item).title = step.component;
    item.append(bar(step));
    el("span", "sr-count", ofTotal(done(step), step.total), item);
    el("span", "sr-note", detail(step, run), item);
  }
  return list;
}

function bar(step) {
  const track = el("span", "sr-bar");
  track.setAttribute("role", "progressbar");
  track.setAttribute("aria-label", step.name);
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuetext", ofTotal(done(step), step.total));
  if (step.total !== null) {
    track.setAttribute("aria-valuemax", String(step.total));
    track.setAttribute("aria-valuenow", String(done(step)));
  }
  for (const part of PARTS) {
    const piece = el("span", "", "", track);
    piece.dataset.state = part;
    piece.style.width = `${step.total ? (100 * (step[part] ?? 0)) / step.total : 0}%`;
  }
  return track;
}

function detail(step, run) {
  const facts = [];
  if (step.failed) facts.push(`${count(step.failed)} failed`);
  if (step.expired) facts.push(`${count(step.expired)} expired`);
  if (step.needs_review) facts.push(`${count(step.needs_review)} to review`);
  if (step.skipped) facts.push(`${count(step.skipped)} skipped`);
  if (step.in_flight) facts.push(`${count(step.in_flight)} in flight`);
  const tokens = step.tokens_in + step.tokens_out;
  if (tokens) facts.push(`${count(tokens)} tokens`);
  if (tokens && !run.rehearsal) facts.push(step.cost || run.cost_known ? money(step.cost) : "price unknown");
  return facts.join(" · ");
}
