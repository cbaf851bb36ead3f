// Runs as a table, each with a way to its page.

import { root } from "./api.js";
import { chip, el } from "./dom.js";
import { count, moment, money } from "./words.js";

/** The table of `runs`, as the list of runs tells them. */
export function runsTable(runs) {
  const wrap = el("div", "sr-table-wrap");
  wrap.tabIndex = 0;
  wrap.setAttribute("role", "region");
  wrap.setAttribute("aria-label", "Runs");
  const table = el("table", "sr-table sr-run-table", "", wrap);
  const head = el("tr", "", "", el("thead", "", "", table));
  for (const name of ["Run", "State", "Rows", "Failed", "Spent", "Started"]) {
    const cell = el("th", ["Rows", "Failed", "Spent"].includes(name) ? "sr-num" : "", name, head);
    cell.scope = "col";
  }
  const body = el("tbody", "", "", table);
  for (const run of runs) body.append(line(run));
  return wrap;
}

function line(run) {
  const row = el("tr");
  row.dataset.run = run.id;
  const link = el("a", "", run.name || "Without a name", el("td", "", "", row));
  link.href = `${root()}/run?id=${encodeURIComponent(run.id)}`;
  const state = el("td", "", "", row);
  state.append(chip(run.state));
  if (run.rehearsal) state.append(" ", chip("rehearsal"));
  el("td", "sr-num", rows(run), row);
  const failed = el("td", "sr-num", run.failed ? count(run.failed) : "", row);
  failed.dataset.name = "failed";
  el("td", "sr-num", spent(run), row);
  el("td", "sr-when", moment(run.started_at ?? run.created_at), row);
  return row;
}

// While rows are still being loaded nobody knows how many there will be.
function rows(run) {
  if (run.rows_total === null) return run.rows_done ? `${count(run.rows_done)} so far` : "";
  return run.rows_total ? `${count(run.rows_done)} / ${count(run.rows_total)}` : count(run.rows_done);
}

function spent(run) {
  if (run.rehearsal) return "rehearsal";
  if (!run.cost_known) return run.spent > 0 ? `at least ${money(run.spent)}` : "unknown";
  return money(run.spent);
}
