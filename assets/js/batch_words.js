// Batch jobs in words: what came of their rows, what they cost, and when something happens.

import { count, duration, money, plural } from "./words.js";

const OUTCOMES = [
  ["failed", "failed"],
  ["expired", "expired"],
  ["missing", "missing"],
  ["inflight", "waiting"],
  ["resent", "sent again"],
];
const WORKING = new Set(["submitted", "running", "ended", "ingesting"]);

/** Every outcome that there is, such as "9 ok · 1 failed"; the numbers always add up to all rows. */
export function outcomes(counts) {
  const parts = [`${count(counts.ok)} ok`];
  for (const [state, word] of OUTCOMES) if (counts[state]) parts.push(`${count(counts[state])} ${word}`);
  return parts.join(" · ");
}

/** What the provider says beside our own state; nothing where it adds nothing. */
export function said(job) {
  const { total, completed, failed } = job.progress ?? {};
  if (WORKING.has(job.state) && total && (completed || failed)) {
    return `${count((completed ?? 0) + (failed ?? 0))} of ${count(total)} done there`;
  }
  if (job.cancel_requested_at && job.state !== "closed") return "being canceled";
  const word = job.status?.replaceAll("_", " ").replace("cancelled", "canceled").replace("cancelling", "being canceled") ?? "";
  return word && word !== job.state ? word : "";
}

/** What a job costs at most, and what it did cost. */
export function prices(job) {
  if (job.is_free) return ["free"];
  if (!job.cost_known) return ["price unknown"];
  const lines = [];
  if (job.cost !== null && job.cost !== undefined) lines.push(money(job.cost));
  if (job.estimate !== null && job.estimate !== undefined) lines.push(`at most ${money(job.estimate)}`);
  if (job.saving > 0) lines.push(`${money(job.saving)} saved`);
  return lines.length ? lines : ["price unknown"];
}

/** "2 rows, about $0.03" */
export function rowsAndPrice(rows, price, isFree) {
  if (isFree || price === 0) return plural(rows, "row");
  return `${plural(rows, "row")}, ${price === null || price === undefined ? "price unknown" : `about ${money(price)}`}`;
}

/** "in 3 h", "2 min ago" */
export function away(iso) {
  const seconds = (new Date(iso).getTime() - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return "";
  if (Math.abs(seconds) < 5) return "now";
  const words = Math.abs(seconds) < 172_800 ? duration(Math.round(Math.abs(seconds))) : `${Math.round(Math.abs(seconds) / 86_400)} days`;
  return seconds > 0 ? `in ${words}` : `${words} ago`;
}

/** Bytes: "820 kB", "61.2 MB". */
export const size = (bytes) =>
  bytes < 1_000_000 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1_000_000).toFixed(bytes < 1e8 ? 1 : 0)} MB`;
