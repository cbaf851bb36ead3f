// The results of a run as files, always in the same place, also while it is under way.

import { root } from "./api.js";
import { call } from "./calls.js";
import { button, el, icon, toast } from "./dom.js";
import { go } from "./go.js";

const FILES = [
  ["csv", "CSV", "for spreadsheets"],
  ["jsonl", "JSON Lines", "for programs"],
  ["parquet", "Parquet", "for large data"],
];

/** The menu; step() names the step whose rows are wanted. */
export function exportMenu(run, server, step) {
  const menu = el("details", "sr-menu");
  const head = el("summary", "sr-button sr-primary", "", menu);
  head.append(icon("export"));
  el("span", "", "Export", head);
  const list = el("div", "sr-menu-list", "", menu);
  for (const [ending, name, purpose] of FILES) {
    const link = el("a", "sr-menu-item", "", list);
    el("strong", "", name, link);
    el("span", "sr-note", purpose, link);
    link.dataset.format = ending;
    // Where Stillroom does not answer, the download fails and the page stays.
    link.download = "";
    link.href = address(run, ending, "");
    link.addEventListener("click", () => {
      link.href = address(run, ending, step());
      menu.open = false;
    });
  }
  const close = (then) => () => {
    menu.open = false;
    then();
  };
  list.append(
    item("Hugging Face Hub…", "private unless you say so", close(() => publishDialog(menu, run, server))),
    item("Delete this run…", "with its results", close(() => forget(run, server))),
  );
  document.addEventListener("click", (event) => !menu.contains(event.target) && (menu.open = false));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    head.focus();
  });
  return menu;
}

function address(run, ending, step) {
  const query = step ? `?${new URLSearchParams({ step })}` : "";
  return `${root()}/api/runs/${encodeURIComponent(run)}/export.${ending}${query}`;
}

function item(name, purpose, onClick) {
  const node = el("button", "sr-menu-item");
  node.type = "button";
  el("strong", "", name, node);
  el("span", "sr-note", purpose, node);
  node.addEventListener("click", onClick);
  return node;
}

async function forget(run, server) {
  if (!confirm("Delete this run, its results and what you corrected in it?")) return;
  try {
    await call(server.delete_run, { run });
    go("runs");
  } catch (error) {
    toast(error.message, "bad");
  }
}

function publishDialog(menu, run, server) {
  const dialog = el("dialog", "sr-modal", "", menu.parentElement);
  dialog.setAttribute("aria-labelledby", "sr-publish-title");
  dialog.addEventListener("close", () => dialog.remove());
  const form = el("form", "sr-modal-form", "", dialog);
  el("h2", "sr-h2", "Publish on the Hugging Face Hub", form).id = "sr-publish-title";
  el("p", "sr-note", "The rows, a dataset card and the pipeline as stillroom.yaml. No key is in them.", form);
  const name = el("label", "sr-modal-field", "", form);
  el("span", "sr-modal-name", "Dataset name", name);
  const repo = el("input", "sr-input", "", name);
  repo.placeholder = "owner/name";
  repo.spellcheck = false;
  const hides = el("label", "sr-modal-check", "", form);
  const isPrivate = el("input", "", "", hides);
  isPrivate.type = "checkbox";
  isPrivate.checked = true;
  el("span", "", "Private: only you can see it", hides);
  const said = el("p", "sr-said", "", form);
  said.setAttribute("role", "status");
  const foot = el("div", "sr-modal-foot", "", form);
  const send = button("Publish", { className: "sr-button sr-primary" });
  send.type = "submit";
  foot.append(button("Close", { onClick: () => dialog.close() }), send);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    said.dataset.tone = "";
    said.textContent = "Uploading …";
    try {
      const { url } = await call(server.push_run, { run, repo_id: repo.value, private: isPrivate.checked });
      said.dataset.tone = "ok";
      said.replaceChildren("It is there: ");
      const link = el("a", "", url, said);
      if (/^https?:/.test(url)) link.href = url;
      link.target = "_blank";
      link.rel = "noopener noreferrer";
    } catch (error) {
      said.dataset.tone = "bad";
      said.textContent = error.message;
    }
    send.disabled = false;
  });
  dialog.showModal();
}
