// The app's own REST endpoints, wherever the app is mounted.

/** The path the app lives under: "" or such as "/studio". Only the path: a proxy may have changed host and scheme. */
export function root() {
  const base = window.gradio_config?.root || new URL(".", document.baseURI).href;
  return new URL(base, location.href).pathname.replace(/\/+$/, "");
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(root() + path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("Stillroom does not answer. Check that it is still running.");
  }
  if (response.status === 304) return { status: 304, body: null, etag: null };
  const body = await response.json().catch(() => null);
  if (!response.ok) {
    const error = new Error(said(body) || `Stillroom could not do that (error ${response.status}).`);
    error.status = response.status;
    throw error;
  }
  return { status: response.status, body, etag: response.headers.get("etag") };
}

const said = (body) => [body?.error, body?.detail].find((words) => typeof words === "string") ?? "";

/** A JSON answer; with an etag, status 304 and no body when nothing has changed. */
export function getJSON(path, { etag = null, signal = undefined } = {}) {
  return ask(path, { signal, cache: "no-store", headers: etag ? { "If-None-Match": etag } : {} });
}

/** Sends JSON. An answer of {"ok": false, "error": …} is an error like any other. */
export async function postJSON(path, body) {
  const { body: answer } = await ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer?.ok === false) throw new Error(said(answer) || "That did not work. Try again.");
  return answer;
}
