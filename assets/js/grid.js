// The results of a run as a grid: any number of rows, only those on the screen in the page.

import { postJSON } from "./api.js";
import { button, el, toast } from "./dom.js";
import { MOST_COLUMNS } from "./grid_columns.js";
import { detailDrawer } from "./grid_detail.js";
import { openEditor } from "./grid_edit.js";
import { gridKeys } from "./grid_keys.js";
import { Pages } from "./grid_pages.js";
import { toolbar } from "./grid_toolbar.js";
import { narrow, View } from "./grid_view.js";
import { meet, runOf } from "./mount.js";
import { poll } from "./poll.js";
import { LIVE_STATES, plural } from "./words.js";

const LIVE_PACE = 1500;
const FIXED_COLUMNS = 2;
let grids = 0;

/** Shows the rows of a run: data-run on the host, or the run_id property, or ?run= of the page. */
export function mount(target) {
  const { host, props, watch } = meet(target, "sr-grid");
  let grid = new Grid(host, props);
  const again = () => {
    grid.end();
    host.replaceChildren();
    grid = new Grid(host, props);
  };
  host.stillroomEnd = () => grid.end();
  watch("run_id", again);
  watch("step", again);
  watch("live", () => grid.setLive(Boolean(props.live)));
}

class Grid {
  constructor(host, props) {
    this.host = host;
    this.run = runOf(host, props);
    this.path = `/api/runs/${encodeURIComponent(this.run)}`;
    this.row = -1;
    this.column = FIXED_COLUMNS;
    this.listeners = new AbortController();
    this.pages = new Pages(`${this.path}/rows`, () => this.paint(), (sentence) => this.complain(sentence));
    this.pages.query.step = this.step = host.dataset.step || props.step || "";
    this.build();
    this.listen();
    if (this.run) this.pages.reset();
    this.setLive(Boolean(props.live) || host.dataset.live === "true");
  }

  build() {
    this.bar = toolbar(this.host, {
      onSearch: (q) => this.filter({ q }),
      onFilter: (state) => this.filter({ state, reason: "", step: this.step }),
    });
    this.problem = el("p", "sr-g-problem", "", this.host);
    this.problem.setAttribute("role", "alert");
    this.view = new View(this.host, `sr-grid-${++grids}`, this.pages, {
      onSort: (name) => this.sort(name),
      onScroll: () => this.paint(),
    });
    this.empty = el("div", "sr-g-empty", "", this.host);
    this.empty.hidden = true;
    this.drawer = detailDrawer(this.host, {
      path: (row) => `${this.path}/rows/${encodeURIComponent(row.row)}`,
      onMove: (by) => this.moveDrawer(by),
      onSave: (row, column, value, note, step) => this.correct(row, column, value, note, step),
      onClose: () => this.view.focus(),
    });
  }

  listen() {
    const { signal } = this.listeners;
    this.view.scroller.addEventListener("keydown", (event) => gridKeys(this, event));
    this.view.body.addEventListener("click", (event) => this.clicked(event));
    this.view.body.addEventListener("dblclick", (event) => this.clicked(event, true));
    document.addEventListener("sr:run", ({ detail }) => detail.id === this.run && this.heard(detail), { signal });
    document.addEventListener("sr:filter", ({ detail }) => detail.run === this.run && this.sentTo(detail), { signal });
  }

  end() {
    this.listeners.abort();
    this.view.end();
    this.pages.end();
    this.stopPolling?.();
    this.closeEditor?.();
  }

  // Following a run

  heard({ state }) {
    const changed = this.state !== undefined && this.state !== state;
    this.state = state;
    this.setLive(LIVE_STATES.has(state));
    if (changed) this.refresh();
  }

  sentTo({ step, reason }) {
    this.bar.clear();
    this.filter({ step, reason, state: "", q: "" });
    this.host.scrollIntoView({ block: "start", behavior: "smooth" });
  }

  setLive(isLive) {
    if (isLive === Boolean(this.stopPolling)) return;
    this.stopPolling?.();
    const turn = () => (this.host.isConnected ? this.refresh() : this.end());
    this.stopPolling = isLive ? poll(turn, () => LIVE_PACE) : null;
    if (!isLive) this.refresh();
  }

  refresh() {
    if (this.pages.total !== null) this.pages.refresh(...this.view.span());
  }

  // Showing

  paint() {
    const { total, counts, query } = this.pages;
    if (total === null) return;
    if (this.view.readColumns()) this.column = FIXED_COLUMNS + Math.max(0, this.view.columns.findIndex((column) => column.editable));
    this.follow();
    this.view.paint();
    this.view.mark(this.row, this.column);
    this.bar.update(counts, query, this.sentence());
    this.paintEmpty();
    this.host.dataset.ready = "1";
  }

  sentence() {
    const { total, columns, query } = this.pages;
    const facts = isFiltered(query) ? [`${plural(total, "row")} found`] : [];
    if (columns.length > MOST_COLUMNS) facts.push(`first ${MOST_COLUMNS} of ${columns.length} columns`);
    return facts.join(", ");
  }

  paintEmpty() {
    const { total, query } = this.pages;
    this.empty.hidden = total > 0;
    if (total > 0) return;
    this.empty.replaceChildren(el("p", "", isFiltered(query) ? "No rows match." : "No rows yet."));
    if (isFiltered(query)) this.empty.append(button("Show all rows", { className: "sr-button sr-small", onClick: () => this.showAll() }));
  }

  complain(sentence) {
    if (this.problem.textContent !== sentence) this.problem.textContent = sentence;
  }

  // Choosing a row and a cell

  select(index, column = this.column) {
    const total = this.pages.total ?? 0;
    if (!total) return;
    this.row = Math.max(0, Math.min(total - 1, index));
    this.column = Math.max(0, Math.min(this.view.columns.length + FIXED_COLUMNS - 1, column));
    this.chosenRow = this.pages.row(this.row)?.row;
    this.view.reveal(this.row);
    this.paint();
  }

  // Rows above may come or go while a filtered run is live: the selection stays on its row, not on its place.
  follow() {
    const there = this.row < 0 ? undefined : this.pages.row(this.row);
    if (!there) return;
    this.chosenRow ??= there.row;
    if (there.row === this.chosenRow) return;
    for (const index of this.view.nodes.keys()) if (this.pages.row(index)?.row === this.chosenRow) this.row = index;
  }

  clicked(event, isDouble = false) {
    const node = event.target.closest(".sr-g-row");
    if (!node) return;
    const cell = event.target.closest(".sr-g-cell");
    this.select(Number(node.dataset.index), cell ? [...node.children].indexOf(cell) : this.column);
    if (narrow.matches) this.open();
    else if (isDouble && this.chosenColumn()?.editable) this.edit();
    else if (isDouble) this.open();
  }

  chosenColumn() {
    return this.view.columns[this.column - FIXED_COLUMNS];
  }

  // Looking for rows

  filter(query) {
    this.row = -1;
    this.chosenRow = undefined;
    this.view.scroller.scrollTop = 0;
    this.pages.reset(query);
  }

  showAll() {
    this.bar.clear();
    this.filter({ q: "", state: "", reason: "", step: this.step });
  }

  sort(name) {
    const { sort, desc } = this.pages.query;
    this.filter({ sort: name, desc: sort === name ? !desc : false });
    this.view.paintHead();
  }

  // Opening and correcting

  open() {
    const row = this.pages.row(this.row);
    if (row) this.drawer.show(row, this.view.columns);
  }

  moveDrawer(by) {
    this.select(this.row + by);
    this.open();
  }

  edit() {
    const row = this.pages.row(this.row);
    const { columns } = this.view;
    const chosen = this.chosenColumn();
    const column = chosen?.editable ? chosen : columns.find((known) => known.editable);
    if (!row || !column) return;
    this.closeEditor?.();
    this.closeEditor = openEditor({
      anchor: this.view.cell(this.row, columns.indexOf(column) + FIXED_COLUMNS),
      column,
      value: row.values[column.name],
      onSave: (value, note) => this.correct(row, column, value, note),
      onClose: () => {
        this.closeEditor = null;
        this.view.focus();
      },
    });
  }

  // The new value shows at once and goes back if it could not be saved.
  async correct(row, column, value, note, step = column.step ?? this.pages.query.step) {
    const before = { values: row.values, original: row.original, label_state: row.label_state, settled: row.settled };
    const { name } = column;
    row.values = { ...row.values, [name]: value };
    row.original = { [name]: before.values[name], ...row.original };
    row.label_state = { ...row.label_state, [name]: labelState(value, row.original[name]) };
    this.repaint(row);
    try {
      const said = await postJSON(`${this.path}/corrections`, { row: row.row, step, column: name, value, note });
      row.settled = said.settled;
      this.refresh();
      if (this.drawer.isOpen()) this.drawer.show(row, this.view.columns);
    } catch (error) {
      Object.assign(row, before);
      this.repaint(row);
      toast(`Not saved. ${error.message}`, "bad");
    }
  }

  repaint(row) {
    this.view.forget(row);
    this.paint();
  }
}

function labelState(value, model) {
  if (value === "unsure") return "unsure";
  return model === null || model === undefined ? "human_only" : "corrected";
}

function isFiltered({ q, state, reason }) {
  return Boolean(q || state || reason);
}
