// Repeats a task while someone is looking.

/** Runs task, then again after wait() milliseconds, never while the page is hidden. Returns a function that stops it.
 *  Its `again()` runs task at once, as after a click, and counts the wait from there. */
export function poll(task, wait) {
  let timer = 0;
  let stopped = false;
  let current = null;
  const next = () => {
    clearTimeout(timer);
    if (!stopped && !document.hidden) timer = setTimeout(turn, wait());
  };
  const run = async () => {
    try {
      await task();
    } finally {
      current = null;
      next();
    }
  };
  const turn = () => {
    clearTimeout(timer);
    if (!stopped) current ??= run();
    return current;
  };
  const onShow = () => (document.hidden ? clearTimeout(timer) : turn());
  document.addEventListener("visibilitychange", onShow);
  turn();
  const stop = () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onShow);
  };
  // What is on its way may have been asked before the click.
  stop.again = async () => {
    await current;
    await turn();
  };
  return stop;
}
