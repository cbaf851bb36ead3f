// The batches of a run: the receipt while they are out, and what is left to do once they are back.

import { getJSON, postJSON, root } from "./api.js";
import { away, outcomes, rowsAndPrice } from "./batch_words.js";
import { button, chip, el, toast } from "./dom.js";
import { idLine } from "./jobs_table.js";
import { poll } from "./poll.js";
import { count, LIVE_STATES, money, plural } from "./words.js";

const ENDED = new Set(["done", "done_with_failures"]);
const OVER = new Set(["closed", "lost", "rejected"]);
const MOST_SHOWN = 8;

/** Shows the batches of the run that `host` names, once it has any; changed() is called when something was done. */
export function mountBatches(host, changed) {
  const id = host.dataset.run;
  let run = null;
  let receipt = null;
  let etag = null;
  let busy = false;

  async function load() {
    if (!run?.has_batches) return;
    try {
      const answer = await getJSON(`/api/runs/${encodeURIComponent(id)}/receipt`, { etag });
      if (answer.status === 304) return;
      etag = answer.etag;
      receipt = answer.body;
      paint();
    } catch {
      // The panel of the run, beside this one, says what is wrong.
      etag = null;
    }
  }

  async function act(action, body, said) {
    busy = true;
    paint();
    try {
      toast(said(await postJSON(`/api/runs/${encodeURIComponent(id)}/${action}`, body)));
    } catch (error) {
      toast(error.message, "bad");
    }
    busy = false;
    etag = null;
    changed();
    await host.stillroomEnd.again();
    paint();
  }

  function paint() {
    const focused = host.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    host.replaceChildren();
    if (!receipt?.jobs.length) return;
    const isOut = receipt.jobs.some((job) => !OVER.has(job.state));
    if (isOut) host.append(waiting(receipt, busy, act));
    else if (ENDED.has(run.state)) host.append(finished(run, receipt, busy, act));
    if (focused) host.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  host.stillroomEnd?.();
  host.stillroomEnd = poll(load, () => (run && LIVE_STATES.has(run.state) ? 2000 : 10_000));
  return (next) => {
    const isNews = !run || run.state !== next.state || run.has_batches !== next.has_batches;
    run = next;
    if (isNews) {
      load();
      paint();
    }
  };
}

function waiting(receipt, busy, act) {
  const box = frame("Batches");
  const out = receipt.jobs.filter((job) => job.provider_id || OVER.has(job.state)).length;
  const sent = receipt.jobs.filter((job) => job.provider_id || OVER.has(job.state)).reduce((sum, job) => sum + job.n - job.counts.resent, 0);
  const title = receipt.is_submitted ? "Submitted" : "Sending";
  el("h2", "sr-h2", `${title} ${count(Math.min(sent, receipt.n))} of ${plural(receipt.n, "row")}`, box);
  el("p", "sr-note", advice(receipt, out), box);
  el("p", "sr-note", [`${outcomes(receipt.counts)}.`, cost(receipt), told(receipt.webhook)].filter(Boolean).join(" "), box);
  const list = el("ul", "sr-receipt", "", box);
  const open = receipt.jobs.filter((job) => !OVER.has(job.state));
  for (const job of open.slice(0, MOST_SHOWN)) list.append(jobLine(job));
  if (open.length > MOST_SHOWN) el("li", "sr-note", `and ${open.length - MOST_SHOWN} more`, list);
  const row = el("div", "sr-job-buttons", "", box);
  const collect = button("Collect now", {
    className: "sr-button sr-small",
    glyph: "retry",
    onClick: () => act("collect", {}, () => "The providers are asked now."),
  });
  collect.disabled = busy;
  collect.dataset.key = "collect";
  row.append(collect, ...links());
  return box;

  function links() {
    const saved = el("a", "sr-button sr-small", "Save the receipt");
    saved.href = `${root()}/api/runs/${encodeURIComponent(receipt.run.id)}/receipt?save=true`;
    saved.dataset.key = "receipt";
    return [jobsLink(), saved];
  }
}

function advice(receipt, out) {
  if (!receipt.is_submitted) {
    return `${count(out)} of ${plural(receipt.jobs.length, "job")} sent. Leave Stillroom running until all are sent; it goes on by itself.`;
  }
  if (receipt.is_local) return "You can close this tab. This machine does the work, so leave it on; it goes on where it was after a restart.";
  return "You can close this tab and your laptop. Results are collected when Stillroom runs again.";
}

function cost(receipt) {
  const sum = (name) => receipt.steps.reduce((total, step) => (total === null || step[name] === null ? null : total + step[name]), 0);
  if (receipt.steps.every((step) => step.is_free)) return "Free.";
  const estimate = sum("estimate");
  if (estimate === null) return "Price unknown.";
  const spent = sum("cost");
  const saving = sum("saving");
  const facts = [];
  if (spent) facts.push(`${money(spent)} spent`);
  if (saving) facts.push(`${money(saving)} saved`);
  const most = `At most ${money(estimate)}`;
  if (receipt.steps.some((step) => step.is_open) || !spent) return `${[most, ...facts].join(", ")}.`;
  return `${facts.join(", ")}. ${most} was expected.`;
}

function told(webhook) {
  if (!webhook) return "";
  const { host, message } = webhook;
  if (message) return webhook.told ? `${host} could not be told: ${message}` : `${host} is told again in a moment: ${message}`;
  return webhook.told ? `${host} was told.` : `${host} is told when the run ends.`;
}

function jobLine(job) {
  const item = el("li");
  item.append(idLine(job), chip(job.state));
  const facts = [job.provider, plural(job.n, "request")];
  if (job.expires_at) facts.push(`expires ${away(job.expires_at)}`);
  if (job.next_look_at) facts.push(`next look ${away(job.next_look_at)}`);
  el("span", "sr-note", facts.join(" · "), item);
  if (job.message) el("span", "sr-note sr-job-said", job.message, item).dataset.tone = job.needs_person ? "bad" : "";
  return item;
}

function finished(run, receipt, busy, act) {
  const box = frame("What came back");
  const last = run.steps.at(-1);
  const facts = [`${count(last.ok)} ok`];
  for (const [state, words] of [["failed", "failed"], ["expired", "expired"], ["needs_review", "to review"], ["skipped", "skipped"]]) {
    if (last[state]) facts.push(`${count(last[state])} ${words}`);
  }
  el("h2", "sr-h2", `Your run finished: ${facts.join(" · ")}`, box);
  el("p", "sr-note", [cost(receipt), told(receipt.webhook)].filter(Boolean).join(" "), box);
  const row = el("div", "sr-job-buttons", "", box);
  for (const step of receipt.steps) {
    const told = run.steps.find((one) => one.name === step.step);
    const rows = told ? told.failed + told.expired : 0;
    if (rows) row.append(...remedies(step, rows, receipt.steps.length > 1, busy, act));
  }
  row.append(jobsLink());
  return box;
}

function remedies(step, rows, isNamed, busy, act) {
  const price = (each) => (each === null ? null : each * rows);
  const of = isNamed ? ` of ${step.step}` : "";
  const made = [
    ["retry", `Retry failed${of} overnight (${rowsAndPrice(rows, price(step.each), step.is_free)})`, (answer) => `Sent again: ${plural(answer.count, "row")}.`],
    ["finish_online", `Finish${of} online (${rowsAndPrice(rows, price(step.each_online), step.is_free)})`, (answer) => `Being done now: ${plural(answer.count, "row")}.`],
  ];
  return made.map(([action, text, said]) => {
    const node = button(text, { className: "sr-button sr-small", onClick: () => act(action, { step: step.step }, said) });
    node.disabled = busy;
    node.dataset.key = `${action}-${step.step}`;
    return node;
  });
}

function jobsLink() {
  const link = el("a", "sr-button sr-small", "See the jobs");
  link.href = `${root()}/jobs`;
  link.dataset.key = "jobs";
  return link;
}

function frame(label) {
  const box = el("section", "sr-card sr-batches");
  box.setAttribute("aria-label", label);
  return box;
}
