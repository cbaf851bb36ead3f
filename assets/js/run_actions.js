// The buttons of a run, and what they would cost.

import { button, el } from "./dom.js";
import { count, LIVE_STATES, money } from "./words.js";

const ENDED = new Set(["done", "done_with_failures"]);
// One that reached its cap goes on below, where the cap is raised.
const STARTABLE = new Set(["paused", "stopped"]);

/** Pause or Continue, Stop, Retry failed: those that fit the state. */
export function actionButtons(run, busy, act) {
  const row = el("div", "sr-run-actions");
  const isLive = LIVE_STATES.has(run.state);
  const failed = run.steps.reduce((sum, step) => sum + troubled(step), 0);
  const add = (text, glyph, action, isEnabled, className = "sr-button") => {
    const node = button(text, { glyph, className, onClick: () => act(action) });
    node.disabled = busy || !isEnabled;
    node.dataset.key = action;
    row.append(node);
  };
  if (STARTABLE.has(run.state)) add(withPrice("Continue", run, (step) => step.pending), "play", "continue", true, "sr-button sr-primary");
  if (isLive) add("Pause", "pause", "pause", run.state === "running" || run.state === "queued");
  if (isLive || run.state === "paused") add("Stop", "stop", "stop", true);
  // What batches left over is offered below, now and overnight, each at its own price.
  const isOfferedBelow = run.has_batches && ENDED.has(run.state);
  if (!isLive && failed && !isOfferedBelow) add(withPrice(`Retry ${count(failed)} failed`, run, troubled), "retry", "retry", true);
  return row;
}

const troubled = (step) => step.failed + (step.expired ?? 0);

/** A label with what `rowsOf(step)` rows of each step will cost, going by the rows done so far. */
export function withPrice(label, run, rowsOf) {
  if (run.rehearsal) return label;
  if (!run.cost_known) return `${label} (price unknown)`;
  const price = run.steps.reduce((sum, step) => {
    const done = step.ok + step.failed + step.needs_review;
    return sum + (done ? (step.cost / done) * rowsOf(step) : 0);
  }, 0);
  return price > 0 ? `${label} (about ${money(price)})` : label;
}
