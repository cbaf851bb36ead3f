// The components that a step can be made of, shelf by shelf.

import { el, icon } from "./dom.js";
import { meet } from "./mount.js";

/** Shows props.value = {shelves: [{name, components: [{use, title, doc, icon}]}]}; choosing one is `component_pick`. */
export function mount(target) {
  const { host, props, watch, trigger } = meet(target, "sr-palette");
  let isPicked = false;
  // A second click would add a second step.
  const pick = (use) => {
    if (!isPicked) trigger("component_pick", { use });
    isPicked = true;
  };
  const paint = () => {
    isPicked = false;
    host.replaceChildren(...(props.value?.shelves ?? []).map((shelf) => shelfOf(shelf, pick)));
    host.dataset.ready = "1";
  };
  watch("value", paint);
  paint();
}

function shelfOf(shelf, pick) {
  const section = el("section", "sr-shelf");
  el("h3", "sr-h3", shelf.name, section);
  const list = el("ul", "", "", section);
  for (const component of shelf.components) {
    const node = el("button", "sr-shelf-item", "", el("li", "", "", list));
    node.type = "button";
    node.dataset.use = component.use;
    const tile = el("span", "sr-tile", "", node);
    tile.dataset.icon = component.icon;
    tile.append(icon(component.icon));
    const words = el("span", "", "", node);
    el("strong", "", component.title, words);
    el("span", "sr-note", component.doc, words);
    node.addEventListener("click", () => pick(component.use));
  }
  return section;
}
