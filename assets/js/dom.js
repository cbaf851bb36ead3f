// Building blocks of the page. Text always goes through textContent, so data can never become markup.

const SVG = "http://www.w3.org/2000/svg";
const symbols = await fetchSymbols();

// Loaded once and copied: references into another file are drawn late or not at all in hidden parts of a page.
async function fetchSymbols() {
  try {
    const answer = await fetch(new URL("../icons.svg", import.meta.url));
    const sprite = new DOMParser().parseFromString(await answer.text(), "image/svg+xml");
    return new Map([...sprite.querySelectorAll("symbol")].map((symbol) => [symbol.id, symbol]));
  } catch {
    return new Map();
  }
}

/** An element with a class, a text and a parent. */
export function el(tag, className = "", text = "", parent = null) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== "") node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

/** One of the icons of icons.svg, as decoration. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "sr-icon");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const symbol = symbols.get(name) ?? symbols.get("flask");
  for (const shape of symbol?.children ?? []) svg.append(document.importNode(shape, true));
  return svg;
}

/** A state in words and color. */
export function chip(state, text = "") {
  const node = el("span", "sr-chip", text || state.replaceAll("_", " "));
  node.dataset.state = state;
  return node;
}

/** A button with a text, an icon before it, and what it does. */
export function button(text, { glyph = "", className = "sr-button", onClick } = {}) {
  const node = el("button", className);
  node.type = "button";
  if (glyph) node.append(icon(glyph));
  if (text) el("span", "", text, node);
  if (onClick) node.addEventListener("click", onClick);
  return node;
}

/** A button that shows only an icon; its name is there for tooltips and screen readers. */
export function iconButton(name, glyph, onClick) {
  const node = button("", { glyph, className: "sr-icon-button", onClick });
  node.title = name;
  node.setAttribute("aria-label", name);
  return node;
}

/** A line for what goes wrong above a list that stays as it was last seen; empty, it takes no room. */
export function problemLine(parent) {
  const line = el("p", "sr-said sr-problem-line", "", parent);
  line.dataset.tone = "bad";
  line.setAttribute("role", "alert");
  return line;
}

let shownToast = null;
let toastTimer = 0;

/** Says one sentence at the foot of the page for a few seconds. */
export function toast(text, tone = "") {
  // What stands outside an open dialog is behind its veil, and screen readers pass over it.
  const place = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.querySelector(".gradio-container") ?? document.body;
  if (shownToast?.parentElement !== place) {
    shownToast?.remove();
    shownToast = el("div", "sr-toast", "", place);
    shownToast.setAttribute("role", "status");
  }
  const node = shownToast;
  node.dataset.tone = tone;
  node.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => node.remove(), 7000);
}

/** A small button that copies a text, and says so where the browser forbids it. */
export function copyButton(name, content) {
  return iconButton(name, "copy", async () => {
    try {
      await navigator.clipboard.writeText(content);
      toast("Copied.");
    } catch {
      toast("The browser does not allow copying here. Select the text and copy it by hand.", "bad");
    }
  });
}
