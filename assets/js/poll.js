// Repeats a task while someone is looking.

/** Runs task, then again after wait() milliseconds, never while the page is hidden. Returns a function that stops it. */
export function poll(task, wait) {
  let timer = 0;
  let stopped = false;
  let busy = false;
  const next = () => {
    clearTimeout(timer);
    if (!stopped && !document.hidden) timer = setTimeout(turn, wait());
  };
  const turn = async () => {
    if (busy || stopped) return;
    busy = true;
    try {
      await task();
    } finally {
      busy = false;
      next();
    }
  };
  const onShow = () => (document.hidden ? clearTimeout(timer) : turn());
  document.addEventListener("visibilitychange", onShow);
  turn();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onShow);
  };
}
