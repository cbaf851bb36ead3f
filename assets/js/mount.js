// How a module meets its place on the page, inside Gradio's HTML component or on a plain page.

/** The host element, its properties, and ways to hear of changes and to send events. Ends what was mounted there before. */
export function meet(target, className) {
  const given = target instanceof Element ? { element: target } : target;
  const { element } = given;
  const host = element.classList.contains(className) ? element : element.querySelector(`.${className}`);
  if (!host) throw new Error(`There is no .${className} to mount into.`);
  host.stillroomEnd?.();
  host.replaceChildren();
  return { host, props: given.props ?? {}, watch: given.watch ?? (() => {}), trigger: given.trigger ?? (() => {}) };
}

/** The run a host shows: its data-run, its run_id property, or the page's ?run=. */
export function runOf(host, props) {
  return host.dataset.run || props.run_id || new URLSearchParams(location.search).get("run") || "";
}
