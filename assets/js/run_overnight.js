// Now or overnight, step by step, with both prices and the plan of what is chosen.

import { el } from "./dom.js";

/** Shows the choices in `host`; what a person chose meanwhile keeps the focus. */
export function overnightChoices(host, choices, sentences) {
  const focused = host.contains(document.activeElement) ? document.activeElement.id : "";
  host.replaceChildren(...choices.map(stepChoice));
  if (sentences.length) el("p", "sr-note", sentences.join(" "), host);
  if (focused) document.getElementById(focused)?.focus();
}

/** The steps chosen for the night. */
export function chosenSteps(host) {
  return [...host.querySelectorAll("input[value='overnight']:checked")].map((field) => field.dataset.step);
}

function stepChoice(choice, index) {
  const box = el("fieldset", "sr-choice");
  el("legend", "", `${choice.step} · ${choice.model}`, box);
  const name = `sr-when-${index}`;
  const add = (value, title, [price, time], isChosen, isPossible) => {
    const label = el("label", "sr-way", "", box);
    const field = el("input", "", "", label);
    Object.assign(field, { type: "radio", name, value, id: `${name}-${value}`, checked: isChosen, disabled: !isPossible });
    field.dataset.step = choice.step;
    el("strong", "", title, label);
    el("span", "sr-way-price", price, label);
    el("span", "sr-note", time, label);
  };
  add("now", "Now", [choice.now, "streams into the table"], !choice.is_overnight, true);
  add("overnight", "Overnight", [choice.overnight, choice.time], choice.is_overnight, choice.is_possible);
  if (!choice.is_possible) el("p", "sr-note", choice.why_not, box);
  else if (choice.is_overnight) el("p", "sr-note", choice.details.join(" "), box);
  return box;
}
