// Numbers, times and states in the words people read. The sentences are those of components/states.py.

export const LIVE_STATES = new Set(["queued", "running", "waiting_batch", "collecting"]);

export const REASONS = {
  bad_key: "The provider did not accept the key.",
  rate_limit: "The provider was too busy for this account.",
  context_too_long: "The row is longer than the model can read.",
  refused: "The model or its provider declined to answer.",
  unparseable: "The answer came in the wrong form.",
  cut_off: "The answer was cut off at its token limit.",
  not_in_labels: "The answer is not one of your labels.",
  provider_error: "The provider or the step had an error.",
  timeout: "The provider took too long.",
  expired: "The batch ended before this row was done.",
  capped: "The spending cap was reached before this row.",
};

const LEADS = { failed: "Failed", needs_review: "Needs review", expired: "Expired" };

/** What became of a row, such as "Failed: the answer came in the wrong form". */
export function outcome(row) {
  const lead = LEADS[row.state];
  if (!lead) return "";
  const sentence = REASONS[row.reason] ?? row.message ?? "";
  if (!sentence) return lead;
  const body = /^[A-Z][a-z ]/.test(sentence) ? sentence[0].toLowerCase() + sentence.slice(1) : sentence;
  return `${lead}: ${body.replace(/\.$/, "")}`;
}

export const count = (value) => Number(value ?? 0).toLocaleString("en-US");

/** "1 row", "1,240 rows". */
export const plural = (value, noun) => `${count(value)} ${noun}${Number(value) === 1 ? "" : "s"}`;

/** Dollars: two decimals, more where two would show nothing. */
export function money(value) {
  const amount = Number(value ?? 0);
  if (amount === 0) return "$0.00";
  if (amount >= 0.01) return `$${amount.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  if (amount < 0.000001) return "under $0.000001";
  return `$${Number(amount.toPrecision(2)).toFixed(7).replace(/0+$/, "")}`;
}

/** Time left or taken: "40 s", "4 min", "3 h 20 min". */
export function duration(seconds) {
  if (seconds < 10 && seconds !== Math.round(seconds)) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

/** A moment in the reader's own time zone. */
export function moment(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return String(iso ?? "");
  return date.toLocaleString("en-US", { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
}

/** Any value of a cell as text. */
export function text(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value) && value.every((item) => typeof item !== "object")) return value.join(", ");
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}
