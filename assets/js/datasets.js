// The data files that were added, with their first rows.

import { call } from "./calls.js";
import { tableParts } from "./data_table.js";
import { button, el, icon, toast } from "./dom.js";
import { go } from "./go.js";
import { meet } from "./mount.js";
import { moment, plural } from "./words.js";

/** Shows what server.list_datasets tells; a `sr:datasets` event on the document asks for the list anew. */
export function mount(target) {
  const { host } = meet(target, "sr-datasets");
  const { server } = target;
  const listeners = new AbortController();
  let opened = null;
  const refresh = async () => {
    try {
      const { datasets } = await call(server.list_datasets);
      host.replaceChildren(datasets.length ? list(datasets) : nothing());
    } catch (error) {
      host.replaceChildren(el("p", "sr-said", error.message));
    }
    host.dataset.ready = "1";
  };
  const act = async (serverFunction, argument) => {
    try {
      return await call(serverFunction, argument);
    } catch (error) {
      toast(error.message, "bad");
      return null;
    }
  };
  document.addEventListener("sr:datasets", refresh, { signal: listeners.signal });
  host.stillroomEnd = () => listeners.abort();

  function list(datasets) {
    const box = el("div", "sr-files");
    for (const one of datasets) box.append(fileCard(one));
    return box;
  }

  function fileCard(one) {
    const card = el("article", "sr-card sr-file");
    card.dataset.dataset = one.id;
    const top = el("div", "sr-file-top", "", card);
    const tile = el("span", "sr-tile", "", top);
    tile.dataset.icon = "datasets";
    tile.append(icon("datasets"));
    const words = el("div", "sr-grow", "", top);
    el("h2", "sr-h2", one.name, words);
    el("p", "sr-note", facts(one), words);
    const place = el("div", "sr-file-rows", "", card);
    const show = button(opened === one.id ? "Hide rows" : "Show rows", { className: "sr-button sr-small", onClick: () => toggle(one, place, show) });
    show.setAttribute("aria-expanded", String(opened === one.id));
    top.append(
      show,
      button("Label it", { className: "sr-button sr-small", onClick: () => use(one) }),
      button("Delete", { className: "sr-button sr-small sr-danger", onClick: () => forget(one) }),
    );
    if (opened === one.id) fill(one, place);
    return card;
  }

  async function toggle(one, place, show) {
    opened = opened === one.id ? null : one.id;
    show.setAttribute("aria-expanded", String(opened === one.id));
    show.lastChild.textContent = opened === one.id ? "Hide rows" : "Show rows";
    if (opened === one.id) await fill(one, place);
    else place.replaceChildren();
  }

  async function fill(one, place) {
    const table = await act(server.preview_dataset, { id: one.id });
    if (table) place.replaceChildren(...tableParts(table));
  }

  async function use(one) {
    const made = await act(server.label_dataset, { id: one.id });
    if (made) go(made.to);
  }

  async function forget(one) {
    if (!confirm(`Delete “${one.name}”? Pipelines that use it will need another file.`)) return;
    await act(server.delete_dataset, { id: one.id });
    refresh();
  }

  refresh();
}

function nothing() {
  const box = el("div", "sr-empty");
  box.append(icon("datasets"));
  el("h2", "", "No data yet", box);
  el("p", "", "Drop a file above, or add the sample tickets to look around.", box);
  return box;
}

function facts(one) {
  const list = [plural(one.n_rows, "row"), plural(one.columns.length, "column"), size(one.bytes), `added ${moment(one.created_at)}`];
  if (one.warnings.length) list.push(plural(one.warnings.length, "warning"));
  return list.join(" · ");
}

const size = (bytes) => (bytes < 1_000_000 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`);
