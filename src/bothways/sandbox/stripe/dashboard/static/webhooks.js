// Webhook endpoints, and the deliveries to them.

import { attempt, confirmed, el, fill, mark, say, table } from "./dom.js";
import { deliveryTable } from "./deliveries.js";
import { changesOf, inputs } from "./form.js";
import { get, post } from "./talk.js";

const COLUMNS = [["url"], ["events"], ["status"], [""]];

function row(endpoint) {
  const enabled = endpoint.status === "enabled";
  const edit = (more) => post("edit", { object: "webhook_endpoint", id: endpoint.id, ...more });
  const turn = () => attempt(() => edit({ params: { disabled: enabled } }), enabled ? "Disabled." : "Enabled.");
  const drop = async () => {
    if (await confirmed(`Delete the endpoint ${endpoint.url}?`, "Delete")) attempt(() => edit({ delete: true }), "Deleted.");
  };
  return [
    endpoint.url,
    endpoint.enabled_events.join(", "),
    mark(endpoint.status, enabled ? "good" : ""),
    el(
      "div",
      { class: "actions" },
      el("button", { type: "button", id: `turn-${endpoint.id}`, onclick: turn }, enabled ? "Disable" : "Enable"),
      el("button", { type: "button", id: `drop-${endpoint.id}`, class: "danger", onclick: drop }, "Delete"),
    ),
  ];
}

export function webhooks(place, form) {
  const endpoints = el("div");
  const deliveries = el("div");
  const secret = el("p", { class: "note", hidden: true });
  const further = el("div");
  const blank = () => {
    const made = inputs(form.create.filter((field) => field.first || field.required), {});
    const save = async (event) => {
      event.preventDefault();
      const params = changesOf(made);
      const endpoint = await attempt(() => post("edit", { object: "webhook_endpoint", params }));
      if (!endpoint) return;
      say("Created.");
      secret.replaceChildren("Its signing secret, shown this once: ", el("code", {}, endpoint.secret));
      secret.hidden = false;
      blank();
    };
    const button = el("button", { type: "submit", class: "main" }, "Add endpoint");
    const entry = el("form", { onsubmit: save, novalidate: true }, made.element, el("div", { class: "actions" }, button));
    fill(further, el("details", {}, el("summary", {}, "New endpoint"), entry));
  };
  blank();
  place.append(el("h2", {}, "Endpoints"), endpoints, secret, further, el("h2", {}, "Deliveries"), deliveries);
  return async () => {
    const [found, made] = await Promise.all([get("records/webhook_endpoint"), get("deliveries?limit=100")]);
    fill(endpoints, table("At most 16", COLUMNS, found.data.map(row), "No endpoint: nobody is told of events."));
    fill(deliveries, deliveryTable(made.data));
  };
}
