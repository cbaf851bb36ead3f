// Leads the browser to another page of the app.

import { root } from "./api.js";
import { meet } from "./mount.js";

/** Goes where props.value = {to: "run?id=…"} says, once it says so; with {at: …} only the address changes. */
export function mount(target) {
  const { props, watch } = meet(target, "sr-go");
  const follow = () => {
    const { to, at } = props.value ?? {};
    if (to) go(to);
    else if (at) history.replaceState(history.state, "", `${root()}/${at}`);
  };
  watch("value", follow);
  follow();
}

/** Goes to a page of the app. */
export function go(page) {
  location.assign(`${root()}/${page}`);
}
