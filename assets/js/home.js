// The Home page: ways to begin, one's own pipelines, the latest runs and pipelines that are ready.

import { root } from "./api.js";
import { call } from "./calls.js";
import { button, el, icon, iconButton, toast } from "./dom.js";
import { go } from "./go.js";
import { meet } from "./mount.js";
import { runsTable } from "./runs_table.js";
import { moment, plural } from "./words.js";

const LARGEST_FILE = 2_000_000;

/** Shows what server.home_page tells; whatever is begun leads to the Build page. */
export function mount(target) {
  const { host } = meet(target, "sr-home");
  const { server } = target;
  const begin = async (serverFunction, argument) => {
    // A second click would make a second pipeline.
    if (host.getAttribute("aria-busy")) return;
    host.setAttribute("aria-busy", "true");
    try {
      const { to, notes = [] } = await call(serverFunction, argument);
      if (notes.length) await tellNotes(host, notes);
      go(to);
    } catch (error) {
      toast(error.message, "bad");
      host.removeAttribute("aria-busy");
    }
  };
  const refresh = async () => {
    try {
      paint(host, await call(server.home_page), server, begin, refresh);
      host.dataset.ready = "1";
      offerServers(host, server, begin);
    } catch (error) {
      host.replaceChildren(el("p", "sr-said", error.message));
    }
  };
  refresh();
  // The browser may bring the page back just as it was left.
  addEventListener("pageshow", () => host.removeAttribute("aria-busy"));
}

function paint(host, page, server, begin, refresh) {
  host.replaceChildren();
  el("p", "sr-lead", "Make, label and judge data with language models. You see every prompt and its price before you pay.", host);
  const cards = el("div", "sr-cards", "", host);
  for (const card of page.cards) cards.append(startCard(card, () => begin(server.make_pipeline, { template: card.key })));
  const offers = el("div", "sr-try", "", host);
  offers.append(button("Try with sample tickets, no key needed", { glyph: "play", onClick: () => begin(server.try_sample, {}) }));
  el("span", "sr-note", "A rehearsal: answers are made up, no model is asked.", offers);
  if (page.pipelines.length) host.append(pipelines(page.pipelines, server, begin, refresh));
  if (page.runs.length) section(host, "Recent runs").append(runsTable(page.runs));
  host.append(ready(page.ready, server, begin));
}

function section(host, title) {
  const part = el("section", "sr-section", "", host);
  el("h2", "sr-h2", title, part);
  return part;
}

function startCard(card, onClick) {
  const node = el("button", "sr-card sr-card-link");
  node.type = "button";
  node.dataset.template = card.key;
  const tile = el("span", "sr-tile", "", node);
  tile.dataset.icon = card.icon;
  tile.append(icon(card.icon));
  el("strong", "sr-card-title", card.title, node);
  el("span", "sr-card-text", card.description, node);
  node.addEventListener("click", onClick);
  return node;
}

async function offerServers(host, server, begin) {
  const { servers } = await call(server.local_servers).catch(() => ({ servers: [] }));
  const offers = host.querySelector(".sr-try");
  for (const found of servers.filter((one) => one.models.length)) {
    const model = found.models[0];
    const onClick = () => begin(server.try_sample, { provider: found.provider, model });
    offers?.append(button(`Try with ${model} on ${found.title}`, { glyph: "models", onClick }));
  }
}

function pipelines(list, server, begin, refresh) {
  const part = el("section", "sr-section");
  el("h2", "sr-h2", "Your pipelines", part);
  const wrap = el("div", "sr-table-wrap", "", part);
  const table = el("table", "sr-table sr-pipeline-table", "", wrap);
  const head = el("tr", "", "", el("thead", "", "", table));
  for (const name of ["Pipeline", "Steps", "Changed"]) el("th", name === "Steps" ? "sr-num" : "", name, head).scope = "col";
  el("span", "sr-hidden-text", "Actions", el("td", "", "", head));
  const body = el("tbody", "", "", table);
  for (const one of list) {
    const row = el("tr", "", "", body);
    el("a", "", one.name, el("td", "", "", row)).href = `${root()}/build?pipeline=${encodeURIComponent(one.id)}`;
    el("td", "sr-num", String(one.n_steps), row);
    el("td", "", moment(one.updated_at), row);
    const acts = el("td", "sr-acts", "", row);
    const file = iconLink(`Save ${one.name} as a file`, "export", `${root()}/api/pipelines/${encodeURIComponent(one.id)}/pipeline.yaml`);
    acts.append(
      file,
      iconButton(`Copy ${one.name}`, "copy", () => begin(server.copy_pipeline, { id: one.id })),
      iconButton(`Delete ${one.name}`, "remove", () => forget(one, server, refresh)),
    );
  }
  return part;
}

async function forget(one, server, refresh) {
  if (!confirm(`Delete the pipeline “${one.name}”? Its runs and their results stay.`)) return;
  try {
    await call(server.delete_pipeline, { id: one.id });
  } catch (error) {
    toast(error.message, "bad");
  }
  refresh();
}

function ready(list, server, begin) {
  const part = el("section", "sr-section");
  el("h2", "sr-h2", "Ready pipelines", part);
  const cards = el("div", "sr-cards", "", part);
  for (const one of list) {
    const node = el("button", "sr-card sr-card-link", "", cards);
    node.type = "button";
    node.dataset.ready = one.key;
    el("strong", "sr-card-title", one.name, node);
    el("span", "sr-card-text", one.description, node);
    el("span", "sr-note", plural(one.n_steps, "step"), node);
    node.addEventListener("click", () => begin(server.open_ready, { key: one.key }));
  }
  part.append(fileOpener(server, begin));
  return part;
}

// Resolves once the person has read what a file held that could not be taken over.
function tellNotes(host, notes) {
  // Not within the host, which takes no clicks while something is begun.
  const dialog = el("dialog", "sr-modal", "", host.parentElement);
  dialog.setAttribute("aria-labelledby", "sr-notes-title");
  const box = el("div", "sr-modal-form", "", dialog);
  el("h2", "sr-h2", "Not everything could be taken over", box).id = "sr-notes-title";
  const list = el("ul", "sr-notes", "", box);
  for (const note of notes) el("li", "", note, list);
  const foot = el("div", "sr-modal-foot", "", box);
  foot.append(button("Open the pipeline", { className: "sr-button sr-primary", onClick: () => dialog.close() }));
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", done, { once: true })).finally(() => dialog.remove());
}

function fileOpener(server, begin) {
  const box = el("p", "sr-try");
  const field = el("input", "sr-hidden-text", "", box);
  field.type = "file";
  field.accept = ".yaml,.yml,.json";
  field.tabIndex = -1;
  field.setAttribute("aria-label", "Pipeline file");
  field.addEventListener("change", async () => {
    const [file] = field.files;
    if (!file) return;
    if (file.size > LARGEST_FILE) toast(`${file.name} is too large for a pipeline.`, "bad");
    else await begin(server.read_pipeline, { name: file.name, text: await file.text() });
    field.value = "";
  });
  box.append(button("Open a pipeline file", { glyph: "load", onClick: () => field.click() }));
  el("span", "sr-note", "A stillroom.yaml, or a pipeline.yaml of the older library.", box);
  return box;
}

function iconLink(name, glyph, address) {
  const node = el("a", "sr-icon-button");
  node.href = address;
  node.title = name;
  node.setAttribute("aria-label", name);
  node.append(icon(glyph));
  return node;
}
