// Above the rows: search, and one filter for each state with how many rows are in it.

import { button, el, icon } from "./dom.js";
import { count, REASONS } from "./words.js";

const ALWAYS = ["ok", "needs_review", "failed"];
const SOMETIMES = ["settled", "expired", "skipped", "running", "pending"];
const WORDS = { "": "All", ok: "OK", needs_review: "Needs review", settled: "Settled by people", failed: "Failed", expired: "Expired", skipped: "Skipped" };
const PAUSE = 250;

/** Calls onSearch(text) once typing rests, and onFilter(state). update(counts, query, shown) keeps it current. */
export function toolbar(host, { onSearch, onFilter }) {
  const bar = el("div", "sr-g-bar", "", host);
  const box = el("label", "sr-g-search", "", bar);
  box.append(icon("search"));
  el("span", "sr-hidden-text", "Search rows", box);
  const field = el("input", "", "", box);
  field.type = "search";
  field.placeholder = "Search rows";
  let timer = 0;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => onSearch(field.value.trim()), PAUSE);
  });
  const tabs = el("div", "sr-g-tabs", "", bar);
  tabs.setAttribute("role", "group");
  tabs.setAttribute("aria-label", "Show rows");
  const why = button("", { className: "sr-g-tab sr-g-why", onClick: () => onFilter("") });
  why.hidden = true;
  why.title = "Show all rows";
  why.setAttribute("aria-pressed", "true");
  el("span", "", "", why);
  why.append(icon("close"));
  bar.append(why);
  const shown = el("span", "sr-g-shown", "", bar);
  shown.setAttribute("role", "status");
  el("span", "sr-g-keys", "J / K move · Enter open · E correct", bar);
  const known = new Map();

  function tab(state) {
    if (!known.has(state)) {
      const node = button(WORDS[state] ?? state, { className: "sr-g-tab", onClick: () => onFilter(state) });
      el("span", "sr-g-n", "", node);
      known.set(state, node);
    }
    return known.get(state);
  }

  return {
    clear() {
      clearTimeout(timer);
      field.value = "";
    },
    update(counts, { state: chosen, reason, step }, sentence) {
      why.hidden = !reason;
      if (reason) why.firstChild.textContent = `${REASONS[reason]} ${step}`;
      const states = ["", ...ALWAYS, ...SOMETIMES.filter((state) => counts[state] || state === chosen)];
      const nodes = states.map((state) => {
        const node = tab(state);
        node.lastChild.textContent = count(counts[state || "all"]);
        node.setAttribute("aria-pressed", String(state === chosen && !reason));
        return node;
      });
      if (nodes.some((node, i) => tabs.children[i] !== node) || tabs.children.length !== nodes.length) tabs.replaceChildren(...nodes);
      if (shown.textContent !== sentence) shown.textContent = sentence;
    },
  };
}
