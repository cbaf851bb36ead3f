// The card of one provider: its keys, its models and a tiny test.

import { button, chip, el } from "./dom.js";

let cards = 0;

/** A card; `act` calls a function of the server and says what goes wrong, `refresh` draws all cards anew. */
export function providerCard(one, server, act, refresh) {
  const card = el("article", "sr-card sr-provider");
  card.dataset.provider = one.id;
  const top = el("div", "sr-provider-top", "", card);
  el("h3", "sr-h2", one.title, top);
  top.append(chip(one.is_ready ? "ok" : "draft", one.state_words));
  for (const known of one.connections) card.append(connectionLine(known, server, act, refresh));
  if (one.variable && !one.connections.length && one.state !== "from_environment") el("p", "sr-note", `Add a key here, or set ${one.variable}.`, card);
  if (one.notes) el("p", "sr-note", one.notes, card);
  card.append(keyForm(one, server, act, refresh));
  if (one.is_ready) card.append(tester(one, server, act));
  return card;
}

/** The form for a server that is no provider of the list. */
export function serverForm(server, act, refresh) {
  const form = el("form", "sr-card sr-server-form");
  const address = labeled(form, "Address", "text", "http://localhost:8000/v1");
  const key = labeled(form, "Key", "password", "if it needs one");
  const add = button("Connect", { className: "sr-button" });
  add.type = "submit";
  form.append(add);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const sent = { address: address.value, key: key.value };
    key.value = "";
    add.disabled = true;
    if (await act(server.add_server, sent, "Connected.")) await refresh();
    add.disabled = false;
  });
  return form;
}

function connectionLine(known, server, act, refresh) {
  const line = el("div", "sr-connection", "", null);
  const words = [known.name, known.key_hint ? `key …${known.key_hint}` : known.state_words, known.address].filter(Boolean);
  el("span", "sr-grow", words.join(" · "), line);
  const forget = async () => {
    if (!confirm(`Forget “${known.name}” and its key?`)) return;
    if (await act(server.forget_connection, { id: known.id }, "Forgotten.")) refresh();
  };
  line.append(button("Forget", { className: "sr-button sr-small sr-danger", onClick: forget }));
  return line;
}

function keyForm(one, server, act, refresh) {
  const form = el("form", "sr-key-form");
  if (!one.takes_key) return form;
  const replaces = one.connections.length === 1 ? one.connections[0] : null;
  const address = one.base_url || replaces ? null : labeled(form, "Address", "text", "https://…");
  const key = labeled(form, replaces ? "New key" : "Key", "password", "");
  const save = button(replaces ? "Replace" : "Save key", { className: "sr-button" });
  save.type = "submit";
  form.append(save);
  if (one.key_page) {
    const link = el("a", "sr-note", "Get a key", form);
    link.href = one.key_page;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const sent = { provider: one.id, connection: replaces?.id ?? "", key: key.value, address: address?.value ?? "" };
    key.value = "";
    save.disabled = true;
    if (await act(server.save_key, sent, `The key for ${one.title} is saved. It is never shown again.`)) await refresh();
    save.disabled = false;
  });
  return form;
}

function tester(one, server, act) {
  const form = el("form", "sr-key-form");
  const chooser = one.connections.length > 1 ? connectionChooser(form, one.connections) : null;
  const [first] = one.connections;
  const place = () => (first ? { connection: chooser?.value ?? first.name } : { provider: one.id });
  const model = labeled(form, "Model", "text", "its name");
  const names = el("datalist", "", "", form);
  names.id = `sr-models-${++cards}`;
  model.setAttribute("list", names.id);
  const test = button("Test", { className: "sr-button" });
  test.type = "submit";
  const said = el("p", "sr-said");
  said.setAttribute("role", "status");
  const say = (words, tone) => {
    said.textContent = words;
    said.dataset.tone = tone;
  };
  const find = button("Find models", {
    className: "sr-button sr-small",
    onClick: async () => {
      const found = await act(server.find_models, place());
      if (!found) return;
      names.replaceChildren(...found.models.map((name) => Object.assign(el("option"), { value: name })));
      say(`${found.models.length.toLocaleString("en-US")} models found. Begin to type a name.`, "ok");
    },
  });
  say("Test sends one tiny request. A paid model asks a fraction of a cent for it.", "");
  form.append(test, find, said);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    test.disabled = true;
    say("Asking for one word …", "");
    const answer = await act(server.test_model, { ...place(), model: model.value });
    test.disabled = false;
    if (answer) say(answer.message, answer.works ? "ok" : "bad");
    else say("", "");
  });
  return form;
}

function connectionChooser(form, connections) {
  const label = el("label", "sr-modal-field", "", form);
  el("span", "sr-modal-name", "Connection", label);
  const field = el("select", "sr-input", "", label);
  for (const one of connections) el("option", "", [one.name, one.address].filter(Boolean).join(" · "), field).value = one.name;
  return field;
}

function labeled(form, name, type, placeholder) {
  const label = el("label", "sr-modal-field", "", form);
  el("span", "sr-modal-name", name, label);
  const field = el("input", "sr-input", "", label);
  field.type = type;
  field.placeholder = placeholder;
  field.autocomplete = type === "password" ? "new-password" : "off";
  field.spellcheck = false;
  return field;
}
