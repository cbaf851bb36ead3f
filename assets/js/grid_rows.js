// What a row and the header look like.

import { chip, el, icon } from "./dom.js";
import { outcome, text } from "./words.js";

const WORTH_A_MARK = new Set(["confirmed", "corrected", "human_only", "unsure"]);

/** Fills the header; calls onSort(name) and onResize(event, column) of the grid. */
export function paintHead(head, columns, query, { onSort, onResize }) {
  head.replaceChildren();
  headCell(head, "sr-g-pos", sorter("#", "", query, onSort), sortOf("", query));
  headCell(head, "sr-g-state", el("span", "", "State"));
  for (const column of columns) {
    const cell = headCell(head, "", sorter(column.name, column.name, query, onSort), sortOf(column.name, query));
    if (column.kind === "number") cell.classList.add("sr-num");
    const grip = el("span", "sr-g-grip", "", cell);
    grip.addEventListener("pointerdown", (event) => onResize(event, column));
  }
}

function headCell(head, className, content, sort = "") {
  const cell = el("div", `sr-g-cell ${className}`, "", head);
  cell.setAttribute("role", "columnheader");
  cell.setAttribute("aria-colindex", String(head.children.length));
  if (sort) cell.setAttribute("aria-sort", sort);
  cell.append(content);
  return cell;
}

function sorter(label, name, query, onSort) {
  const node = el("button", "sr-g-sort", "");
  node.type = "button";
  node.tabIndex = -1;
  el("span", "", label, node);
  if (sortOf(name, query)) node.append(icon(query.desc ? "down" : "up"));
  node.title = name ? `Sort by ${name}` : "Sort by position";
  node.addEventListener("click", () => onSort(name));
  return node;
}

function sortOf(name, query) {
  if (query.sort !== name) return "";
  if (!name && !query.desc) return "";
  return query.desc ? "descending" : "ascending";
}

/** Fills a row element; without a row it is still on its way. */
export function paintRow(node, row, columns, idOf) {
  node.replaceChildren();
  node.dataset.state = row?.settled ? "settled" : row?.state ?? "";
  node.classList.toggle("is-loading", !row);
  node.setAttribute("aria-busy", String(!row));
  if (!row) {
    const cell = gridCell(node, "sr-g-pos", idOf(0), 1);
    el("span", "sr-g-ghost", "", cell);
    el("span", "sr-hidden-text", "Loading", cell);
    return;
  }
  gridCell(node, "sr-g-pos", idOf(0), 1).textContent = Number(row.position + 1).toLocaleString("en-US");
  gridCell(node, "sr-g-state", idOf(1), 2).append(stateChip(row));
  const [from, span] = noteRange(row, columns);
  for (const [i, column] of columns.entries()) {
    if (i === from) noteCell(node, row, idOf(i + 2), i + 3, span);
    else if (i < from || i >= from + span) valueCell(node, row, column, idOf(i + 2), i + 3);
  }
}

/** The state of a row; of one that a person settled, how. */
export function stateChip(row) {
  if (!row.settled) return chip(row.state);
  const said = Object.values(row.label_state).filter((state) => WORTH_A_MARK.has(state));
  const node = chip(said.find((state) => state !== "confirmed") ?? said[0] ?? "corrected");
  node.title = `Settled by a person. The model's answer: ${row.state.replaceAll("_", " ")}`;
  return node;
}

// The reason stands where the answer would: in the first empty answer, or else in the empty columns at the end.
function noteRange(row, columns) {
  if (row.settled || !outcome(row)) return [-1, 0];
  const empty = columns.map((column) => text(row.values[column.name]) === "");
  let from = columns.findIndex((column, i) => column.editable && empty[i]);
  if (from < 0) from = empty.lastIndexOf(false) + 1;
  const next = empty.indexOf(false, from);
  const end = next < 0 ? columns.length : next;
  return end > from ? [from, end - from] : [-1, 0];
}

function noteCell(node, row, id, index, span) {
  const cell = gridCell(node, "sr-g-note", id, index);
  cell.setAttribute("aria-colspan", String(span));
  cell.style.gridColumn = `${index} / span ${span}`;
  cell.textContent = outcome(row);
  cell.title = row.message ?? outcome(row);
}

function valueCell(node, row, column, id, index) {
  const cell = gridCell(node, kindClass(column), id, index);
  const value = text(row.values[column.name]);
  const state = row.label_state?.[column.name];
  el("span", "sr-g-value", value.slice(0, 400), cell);
  if (column.name in (row.original ?? {})) {
    const was = el("del", "sr-g-was", text(row.original[column.name]).slice(0, 200), cell);
    was.title = "The model's answer";
  }
  if (WORTH_A_MARK.has(state)) {
    const mark = el("span", "sr-g-mark", "", cell);
    mark.append(icon(state === "unsure" ? "warning" : state === "corrected" ? "text" : "check"));
    mark.title = state.replaceAll("_", " ");
    el("span", "sr-hidden-text", mark.title, mark);
  }
}

function kindClass(column) {
  const classes = [column.kind === "number" ? "sr-num" : ""];
  if (column.editable) classes.push("is-answer");
  if (column.isMain) classes.push("is-main");
  return classes.join(" ");
}

function gridCell(node, className, id, index) {
  const cell = el("div", `sr-g-cell ${className}`, "", node);
  cell.id = id;
  cell.setAttribute("role", "gridcell");
  cell.setAttribute("aria-colindex", String(index));
  return cell;
}
