// Leads the browser to another page of the app.

import { root } from "./api.js";
import { meet } from "./mount.js";

/** Goes where props.value = {to: "run?id=…"} says, once it says so. */
export function mount(target) {
  const { props, watch } = meet(target, "sr-go");
  watch("value", () => {
    if (props.value?.to) go(props.value.to);
  });
}

/** Goes to a page of the app. */
export function go(page) {
  location.assign(`${root()}/${page}`);
}
