// What a person can do about a batch job, as buttons that say what they cost.

import { postJSON, root } from "./api.js";
import { button, el, toast } from "./dom.js";
import { rowsAndPrice } from "./batch_words.js";
import { plural } from "./words.js";

const SURE = {
  cancel: "Cancel this job? Rows that are done by now are collected, as they are paid for.",
  resubmit: "Make this job anew? If the provider made it after all, it is paid for twice. Look at the provider's own page first.",
};
const DONE = {
  refresh: () => "The provider is asked now.",
  cancel: () => "Canceled. What is done by now is collected.",
  retry: (answer) => `Sent again: ${plural(answer.count, "row")}.`,
  resubmit: () => "The job is made anew.",
  adopt: () => "Attached. Its results are collected as soon as they are there.",
  finish_online: (answer) => `Being done now: ${plural(answer.count, "row")}.`,
};
const URGENT = new Set(["ended", "ingesting", "blocked"]);

/** Does something about a job and says what came of it; true when it worked. */
export async function act(job, action, body = {}) {
  if (SURE[action] && !confirm(SURE[action])) return false;
  try {
    const path = action === "recover" ? "/api/jobs/recover" : `/api/jobs/${encodeURIComponent(job.key)}/${action}`;
    const answer = await postJSON(path, body);
    if (action === "recover") toast(recovered(answer));
    else if (DONE[action]) toast(DONE[action](answer));
    return true;
  } catch (error) {
    toast(error.message, "bad");
    return false;
  }
}

/** The buttons that fit a job: the few that matter in the list, all of them in its drawer. */
export function jobButtons(job, run, { all = false, open = null } = {}) {
  const may = new Set(job.can);
  const made = [];
  const add = (action, text, onClick = () => run(job, action), extra = "") => {
    const node = button(text, { className: `sr-button sr-small ${extra}`.trim(), onClick });
    node.dataset.key = `${action}-${job.key}`;
    made.push(node);
  };
  if (may.has("recover")) add("recover", "Recover", undefined, "sr-primary");
  if (may.has("adopt") && open && !all) add("adopt", "Re-attach", () => open(job));
  if (may.has("refresh") && (all || !URGENT.has(job.state))) add("refresh", "Refresh");
  if (may.has("collect") && (all || URGENT.has(job.state) || job.needs_person)) add("collect", "Collect");
  if (may.has("cancel")) add("cancel", "Cancel", undefined, "sr-danger");
  if (may.has("resubmit") && all) add("resubmit", "Resubmit", undefined, "sr-danger");
  if (may.has("retry")) {
    const { n, price, online_price } = job.retry;
    add("retry", `Retry failed (${rowsAndPrice(n, price, job.is_free)})`);
    if (all && job.run_id) add("finish_online", `Finish online (${rowsAndPrice(n, online_price, job.is_free)})`);
  }
  if (may.has("errors") && all) made.push(errorLink(job));
  return made;
}

function errorLink(job) {
  const link = el("a", "sr-button sr-small", "Error lines");
  link.href = `${root()}/api/jobs/${encodeURIComponent(job.key)}/errors`;
  link.target = "_blank";
  link.rel = "noopener";
  link.dataset.key = `errors-${job.key}`;
  return link;
}

function recovered(answer) {
  const lost = answer.without_input ? ` ${plural(answer.without_input, "job")} could not be: the requests are gone.` : "";
  return `Recovered: ${plural(answer.jobs, "job")}.${lost}`;
}
