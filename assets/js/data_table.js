// The first rows of a data file, with what the person should know about it.

import { el, icon } from "./dom.js";
import { meet } from "./mount.js";
import { plural, text } from "./words.js";

const MOST_COLUMNS = 40;

/** Shows props.value = {columns, rows, n_rows, warnings}. */
export function mount(target) {
  const { host, props, watch } = meet(target, "sr-data-table");
  const paint = () => {
    host.replaceChildren();
    if (props.value?.columns) host.append(...tableParts(props.value));
    host.dataset.ready = "1";
  };
  watch("value", paint);
  paint();
}

/** Warnings, the table, and how much of the file it shows. */
export function tableParts(value) {
  const columns = value.columns.slice(0, MOST_COLUMNS);
  const wrap = el("div", "sr-table-wrap sr-data-rows");
  wrap.tabIndex = 0;
  wrap.setAttribute("role", "region");
  wrap.setAttribute("aria-label", "First rows");
  const table = el("table", "sr-table", "", wrap);
  const head = el("tr", "", "", el("thead", "", "", table));
  for (const name of columns) el("th", "", name, head).scope = "col";
  const body = el("tbody", "", "", table);
  for (const row of value.rows) {
    const line = el("tr", "", "", body);
    columns.forEach((_, at) => {
      const words = text(row[at]);
      const cell = el("td", typeof row[at] === "number" ? "sr-num" : "", words, line);
      if (words.length > 60) cell.title = words;
    });
  }
  return [...value.warnings.map(warning), wrap, el("p", "sr-note", shown(value, columns))];
}

function shown(value, columns) {
  const more = value.columns.length > columns.length ? `, first ${columns.length} of ${value.columns.length} columns` : "";
  return `First ${value.rows.length.toLocaleString("en-US")} of ${plural(value.n_rows, "row")}${more}`;
}

function warning(sentence) {
  const box = el("div", "sr-notice");
  box.dataset.tone = "warn";
  box.append(icon("warning"));
  el("span", "sr-grow", sentence, box);
  return box;
}
