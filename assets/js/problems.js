// What Check found: one line for each problem, each with a way to its step.

import { button, el, icon } from "./dom.js";
import { meet } from "./mount.js";

/** Shows props.value = {sentence, problems: [{step, message, severity}]}; `problem_open` asks for a step's form. */
export function mount(target) {
  const { host, props, watch, trigger } = meet(target, "sr-problems");
  const paint = () => {
    host.replaceChildren();
    const { sentence, problems = [] } = props.value ?? {};
    if (sentence) host.append(frame(sentence, problems, trigger));
    host.dataset.ready = "1";
  };
  watch("value", paint);
  paint();
}

function frame(sentence, problems, trigger) {
  const box = el("section", "sr-notices");
  box.setAttribute("role", "status");
  box.append(line(sentence, problems.some((problem) => problem.severity === "error") ? "bad" : "ok"));
  for (const problem of problems) {
    const node = line(problem.message, problem.severity === "error" ? "bad" : "warn");
    if (problem.step) node.append(button("Show", { className: "sr-button sr-small", onClick: () => trigger("problem_open", { step: problem.step }) }));
    box.append(node);
  }
  return box;
}

function line(words, tone) {
  const node = el("div", "sr-notice");
  node.dataset.tone = tone;
  node.append(icon(tone === "ok" ? "check" : "warning"));
  el("span", "sr-grow", words, node);
  return node;
}
