// The scrolling part of the grid: the header, and as many row elements as fit on the screen.

import { el } from "./dom.js";
import { measure, widths } from "./grid_columns.js";
import { paintHead, paintRow } from "./grid_rows.js";

const ROW = 40;
const CARD = 108;
const SPARE = 6;
const SAMPLE = 60;
export const narrow = matchMedia("(max-width: 720px)");

export class View {
  /** Draws what `pages` holds into host. onSort(name), onLayout() when the room has changed, onScroll(). */
  constructor(host, id, pages, { onSort, onScroll }) {
    this.host = host;
    this.id = id;
    this.pages = pages;
    this.onSort = onSort;
    this.columns = [];
    this.chosenWidths = {};
    this.nodes = new Map();
    this.scroller = el("div", "sr-gv", "", host);
    this.scroller.tabIndex = 0;
    this.scroller.setAttribute("role", "grid");
    this.scroller.setAttribute("aria-label", "Rows");
    this.head = el("div", "sr-g-head", "", this.scroller);
    this.head.setAttribute("role", "row");
    this.head.setAttribute("aria-rowindex", "1");
    this.body = el("div", "sr-g-body", "", this.scroller);
    this.body.setAttribute("role", "rowgroup");
    let frame = 0;
    const later = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(onScroll);
    };
    this.scroller.addEventListener("scroll", later, { passive: true });
    this.sizes = new ResizeObserver(() => {
      this.layout();
      later();
    });
    this.sizes.observe(this.scroller);
  }

  end() {
    this.sizes.disconnect();
  }

  /** The height of a row in pixels: the same for all, so that any row's place is known. */
  get height() {
    return narrow.matches ? CARD : ROW;
  }

  /** How many rows a page key moves. */
  get pageLength() {
    return Math.max(1, Math.floor(this.scroller.clientHeight / this.height) - 2);
  }

  /** The first and last index on the screen, with a few to spare. */
  span() {
    const first = Math.floor(this.scroller.scrollTop / this.height) - SPARE;
    const last = first + Math.ceil(this.scroller.clientHeight / this.height) + 2 * SPARE;
    return [Math.max(0, first), Math.max(0, Math.min((this.pages.total ?? 0) - 1, last))];
  }

  layout() {
    this.host.classList.toggle("is-cards", narrow.matches);
    const sizes = widths(this.columns, this.scroller.clientWidth, this.chosenWidths);
    this.scroller.style.setProperty("--columns", sizes.map((size) => `${size}px`).join(" "));
    this.scroller.style.setProperty("--wide", `${sizes.reduce((sum, size) => sum + size, 0)}px`);
    this.scroller.style.setProperty("--row", `${this.height}px`);
  }

  /** Takes over the columns of the answer when they are new; says whether they were. */
  readColumns() {
    const names = JSON.stringify(this.pages.columns);
    if (names === this.columnNames || !this.pages.columns.length) return false;
    this.columnNames = names;
    const sample = Array.from({ length: SAMPLE }, (_, i) => this.pages.row(i)).filter(Boolean);
    this.columns = measure(this.pages.columns, sample);
    this.scroller.setAttribute("aria-colcount", String(this.columns.length + 2));
    for (const node of this.nodes.values()) node.remove();
    this.nodes.clear();
    this.paintHead();
    this.layout();
    return true;
  }

  paintHead() {
    paintHead(this.head, this.columns, this.pages.query, {
      onSort: this.onSort,
      onResize: (event, column) => this.resize(event, column),
    });
  }

  resize(event, column) {
    event.preventDefault();
    const from = event.clientX;
    const start = widths(this.columns, this.scroller.clientWidth, this.chosenWidths)[this.columns.indexOf(column) + 2];
    const grip = event.target;
    grip.setPointerCapture(event.pointerId);
    grip.onpointermove = (move) => {
      this.chosenWidths[column.name] = Math.max(60, Math.round(start + move.clientX - from));
      this.layout();
    };
    grip.onpointerup = () => (grip.onpointermove = null);
  }

  paint() {
    const { total } = this.pages;
    this.body.style.height = `${total * this.height}px`;
    this.scroller.setAttribute("aria-rowcount", String(total + 1));
    const [first, last] = this.span();
    for (const [index, node] of this.nodes) {
      if (index >= first && index <= last && index < total) continue;
      node.remove();
      this.nodes.delete(index);
    }
    if (total) this.pages.want(first, last);
    for (let index = first; index <= last && index < total; index++) this.paintOne(index);
  }

  paintOne(index) {
    const row = this.pages.row(index);
    const node = this.nodes.get(index) ?? this.add(index);
    if (node.shownRow === row && node.shownHeight === this.height) return;
    node.shownRow = row;
    node.shownHeight = this.height;
    node.style.top = `${index * this.height}px`;
    paintRow(node, row, this.columns, (cell) => `${this.id}-${index}-${cell}`);
  }

  add(index) {
    const node = el("div", "sr-g-row", "", this.body);
    node.setAttribute("role", "row");
    node.setAttribute("aria-rowindex", String(index + 2));
    node.dataset.index = String(index);
    node.shownHeight = 0;
    this.nodes.set(index, node);
    return node;
  }

  /** Draws a row anew although it is the same object. */
  forget(row) {
    for (const node of this.nodes.values()) if (node.shownRow === row) node.shownHeight = 0;
  }

  /** The element of a cell; the last one of its row when a note covers the rest. */
  cell(index, column) {
    const node = this.nodes.get(index);
    return node?.children[column] ?? node?.lastElementChild ?? null;
  }

  /** Scrolls no further than needed to show a row. */
  reveal(index) {
    const top = index * this.height;
    const room = this.scroller.clientHeight - this.head.offsetHeight;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + this.height > this.scroller.scrollTop + room) this.scroller.scrollTop = top + this.height - room;
  }

  mark(index, column) {
    for (const [at, node] of this.nodes) node.setAttribute("aria-selected", String(at === index));
    this.body.querySelector(".is-current")?.classList.remove("is-current");
    const cell = this.cell(index, column);
    if (!cell) return this.scroller.removeAttribute("aria-activedescendant");
    cell.classList.add("is-current");
    this.scroller.setAttribute("aria-activedescendant", cell.id);
  }

  focus() {
    this.scroller.focus({ preventScroll: true });
  }
}
