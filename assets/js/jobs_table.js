// Batch jobs as a table; on a phone each is a card.

import { root } from "./api.js";
import { jobButtons } from "./batch_actions.js";
import { away, outcomes, prices, said } from "./batch_words.js";
import { chip, copyButton, el } from "./dom.js";
import { count, moment } from "./words.js";

const COLUMNS = ["Job", "Run", "State", "Rows", "Time", "Cost"];
const PARTS = ["ok", "failed", "expired", "missing", "resent"];

/** The table of `jobs`. run(job, action) does something, open(job) shows everything about one. */
export function jobsTable(jobs, { run, open }) {
  const wrap = el("div", "sr-table-wrap sr-jobs-wrap");
  wrap.tabIndex = 0;
  wrap.setAttribute("role", "region");
  wrap.setAttribute("aria-label", "Batch jobs");
  const table = el("table", "sr-table sr-jobs-table", "", wrap);
  const head = el("tr", "", "", el("thead", "", "", table));
  for (const name of COLUMNS) el("th", "", name, head).scope = "col";
  el("span", "sr-hidden-text", "Actions", el("td", "", "", head));
  const body = el("tbody", "", "", table);
  for (const job of jobs) body.append(...lines(job, run, open));
  return wrap;
}

function lines(job, run, open) {
  const row = el("tr");
  row.dataset.job = job.key;
  row.dataset.state = job.state;
  const cell = (name, className = "") => {
    const made = el("td", className, "", row);
    made.dataset.label = name;
    return made;
  };
  jobCell(cell("Job"), job, open);
  runCell(cell("Run"), job);
  stateCell(cell("State"), job);
  rowsCell(cell("Rows"), job);
  timeCell(cell("Time"), job);
  const cost = cell("Cost");
  prices(job).forEach((words, i) => el("span", i ? "sr-note sr-line" : "sr-line", words, cost));
  const acts = cell("", "sr-job-acts");
  acts.append(...jobButtons(job, run, { open }));
  return job.message ? [row, messageLine(job)] : [row];
}

// What a person should know has a line of its own: in a column it would be as tall as a page.
function messageLine(job) {
  const row = el("tr", "sr-job-message");
  row.dataset.state = job.state;
  row.dataset.tone = job.needs_person ? "bad" : "";
  const cell = el("td", "", job.message, row);
  cell.colSpan = COLUMNS.length + 1;
  return row;
}

function jobCell(cell, job, open) {
  const name = el("button", "sr-link", job.provider, cell);
  name.type = "button";
  name.dataset.key = `open-${job.key}`;
  name.disabled = job.state === "orphaned";
  name.addEventListener("click", () => open(job));
  cell.append(idLine(job));
}

/** The provider's id with a button that copies it. */
export function idLine(job) {
  const line = el("span", "sr-id sr-line");
  el("span", "sr-mono", job.provider_id || `no id yet (${job.key.slice(0, 8)})`, line);
  if (job.provider_id) {
    const copy = copyButton("Copy the id", job.provider_id);
    copy.dataset.key = `copy-${job.key}`;
    line.append(copy);
  }
  return line;
}

function runCell(cell, job) {
  if (job.run_id) {
    const link = el("a", "sr-line", job.run_name || "Without a name", cell);
    link.href = `${root()}/run?id=${encodeURIComponent(job.run_id)}`;
  } else {
    el("span", "sr-line", job.state === "orphaned" ? "lost" : "a script", cell);
  }
  el("span", "sr-note sr-line", [job.step, job.model].filter(Boolean).join(" · "), cell);
}

function stateCell(cell, job) {
  cell.append(chip(job.state));
  const words = said(job);
  if (words) el("span", "sr-note sr-line", words, cell);
}

function rowsCell(cell, job) {
  el("span", "sr-line sr-count", count(job.n), cell);
  cell.append(rowsBar(job));
  el("span", "sr-note sr-line", outcomes(job.counts), cell);
}

/** A bar of what came of the rows, and in a lighter shade how many the provider says are done. */
export function rowsBar({ counts, n, progress }) {
  const bar = el("span", "sr-bar sr-job-bar");
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", outcomes(counts));
  for (const part of PARTS) {
    const piece = el("span", "", "", bar);
    piece.dataset.state = part === "missing" ? "failed" : part;
    piece.style.width = `${n ? (100 * (counts[part] ?? 0)) / n : 0}%`;
  }
  const there = Math.min(counts.inflight ?? 0, (progress?.completed ?? 0) + (progress?.failed ?? 0));
  const ahead = el("span", "", "", bar);
  ahead.dataset.state = "there";
  ahead.style.width = `${n ? (100 * there) / n : 0}%`;
  return bar;
}

function timeCell(cell, job) {
  const add = (text, iso, className = "sr-line") => {
    el("span", className, text, cell).title = moment(iso);
  };
  const began = job.submitted_at ?? job.created_at;
  add(`${job.submitted_at ? "Sent" : "Planned"} ${moment(began)}`, began);
  if (job.ended_at) {
    add(`Ended ${moment(job.ended_at)}`, job.ended_at, "sr-note sr-line");
    if (job.results_until && new Date(job.results_until) > new Date()) {
      add(`Kept there until ${moment(job.results_until)}`, job.results_until, "sr-note sr-line");
    }
    return;
  }
  if (job.expires_at) add(`Expires ${away(job.expires_at)}`, job.expires_at, "sr-note sr-line");
  if (job.next_look_at) add(`Next look ${away(job.next_look_at)}`, job.next_look_at, "sr-note sr-line");
}
