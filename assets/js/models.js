// Where models come from: one card for each provider. Keys are typed in and sent, and never come back.

import { call } from "./calls.js";
import { chip, el, toast } from "./dom.js";
import { meet } from "./mount.js";
import { providerCard, serverForm } from "./models_card.js";

/** Shows what server.list_providers tells. */
export function mount(target) {
  const { host } = meet(target, "sr-models");
  const { server } = target;

  async function act(serverFunction, argument, done = "") {
    try {
      const answer = await call(serverFunction, argument);
      if (done) toast(done);
      return answer;
    } catch (error) {
      toast(error.message, "bad");
      return null;
    }
  }

  async function refresh() {
    const answer = await act(server.list_providers, {});
    if (!answer) return;
    host.replaceChildren(local(answer), ...shelf("Ready", answer, true), ...shelf("Not set up", answer, false));
    const other = el("section", "sr-section", "", host);
    el("h2", "sr-h2", "Another server", other);
    other.append(serverForm(server, act, refresh));
    host.dataset.ready = "1";
  }

  function shelf(title, answer, isReady) {
    const cards = answer.providers.filter((one) => !one.is_local && one.is_ready === isReady);
    if (!cards.length) return [];
    const part = el("section", "sr-section");
    el("h2", "sr-h2", title, part);
    const grid = el("div", "sr-grid-cards", "", part);
    for (const one of cards) grid.append(providerCard(one, server, act, refresh));
    return [part];
  }

  function local(answer) {
    const part = el("section", "");
    el("h2", "sr-h2", "On this machine", part);
    const list = el("ul", "sr-locals", "", part);
    for (const one of answer.providers.filter((provider) => provider.is_local)) {
      const line = el("li", "", "", list);
      el("strong", "", one.title, line);
      line.append(chip(one.is_ready ? "ok" : "draft", one.state_words));
      el("span", "sr-note", one.is_ready ? models(one.models) : one.base_url, line);
    }
    el("p", "sr-note", "Servers that run here are found by themselves. Rehearsal needs none: it makes answers up, to check the wiring.", part);
    return part;
  }

  // The cards are there at once; what runs on this machine is looked for meanwhile.
  refresh().then(() => act(server.find_servers, {})).then((found) => found?.servers.length && refresh());
}

function models(names) {
  const first = names.slice(0, 4).join(", ");
  return names.length > 4 ? `${first} and ${names.length - 4} more` : first || "no models yet";
}
