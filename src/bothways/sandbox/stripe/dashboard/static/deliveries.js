// Webhooks on their way.

import { attempt, el, mark, table, time } from "./dom.js";
import { post } from "./talk.js";

const COLUMNS = [["event"], ["to", "spare"], ["what became of it"], ["tries", "number"], ["begun", "spare"], [""]];

function fate(each) {
  const fault = each.fault ? ` (${each.fault})` : "";
  if (each.taken > 1) return mark(`taken ${each.taken} times${fault}`, "good");
  if (each.taken) return mark(`taken, ${each.status}${fault}`, "good");
  if (each.over && each.fault === "dropped") return mark("dropped on purpose", "bad");
  const last = each.status ?? each.reason ?? "not tried yet";
  return each.over ? mark(`given up: ${last}${fault}`, "bad") : mark(`under way: ${last}${fault}`, "busy");
}

export function deliveryTable(deliveries) {
  const rows = deliveries.map((each) => {
    const again = () => attempt(() => post("resend", { event: each.event, endpoint: each.endpoint }), "Sent once more.");
    return [
      el("a", { href: `#/events/${encodeURIComponent(each.event)}`, id: `delivery-${each.number}` }, each.type),
      each.url,
      fate(each),
      String(each.tries),
      time(each.began_at),
      el("button", { type: "button", id: `resend-${each.number}`, onclick: again }, "Resend"),
    ];
  });
  return table("The newest first", COLUMNS, rows, "Nothing was to be delivered.");
}
