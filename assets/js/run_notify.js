// Tells by a notification of the browser that a run has ended; asks whether it may only when a person wants it.

import { getJSON } from "./api.js";
import { button, toast } from "./dom.js";
import { LIVE_STATES } from "./words.js";

const KEY = "stillroom-notify";
const SLOW = 20_000;
const ENDS = { done: "is done", done_with_failures: "is done, with failures", stopped: "was stopped", capped: "reached its cap", paused: "is paused" };

/** A button that turns notifications about a run on and off; its `heard(run)` is to be called with each news of it. */
export function notifyButton(id) {
  const node = button("Notify me", { className: "sr-button", glyph: "clock", onClick: toggle });
  node.hidden = true;
  let run = null;
  let timer = 0;
  const isAllowed = () => "Notification" in window && Notification.permission === "granted" && wanted();

  async function toggle() {
    if (isAllowed()) {
      keep("");
    } else if ((await Notification.requestPermission()) === "granted") {
      keep("1");
      toast("This browser tells you when the run ends, as long as this tab is open.");
    } else {
      toast("The browser does not allow notifications here. A webhook works without.", "bad");
    }
    paint();
  }

  function paint() {
    node.hidden = !("Notification" in window) || !run || !LIVE_STATES.has(run.state);
    node.setAttribute("aria-pressed", String(isAllowed()));
    node.lastChild.textContent = isAllowed() ? "Will notify" : "Notify me";
  }

  function tell(next) {
    const words = ENDS[next.state] ?? "has ended";
    const made = new Notification(next.name || "Stillroom", { body: `The run ${words}.`, tag: `stillroom-${id}` });
    made.addEventListener("click", () => window.focus());
  }

  function heard(next) {
    const wasLive = run && LIVE_STATES.has(run.state);
    run = next;
    if (wasLive && !LIVE_STATES.has(next.state) && isAllowed()) tell(next);
    paint();
  }

  // A hidden tab is not asked to look all the time, but somebody who wants to be told has it look now and then.
  async function look() {
    if (!node.isConnected) return clearInterval(timer);
    if (!document.hidden || !isAllowed() || !run || !LIVE_STATES.has(run.state)) return;
    const answer = await getJSON(`/api/runs/${encodeURIComponent(id)}`).catch(() => null);
    if (answer?.body) heard(answer.body);
  }
  timer = setInterval(look, SLOW);
  node.heard = heard;
  return node;
}

function wanted() {
  try {
    return localStorage.getItem(KEY) === "1";
  } catch {
    return false;
  }
}

function keep(value) {
  try {
    localStorage.setItem(KEY, value);
  } catch {
    /* refused in private windows */
  }
}
