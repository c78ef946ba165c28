// What was asked of the API, and how it was answered.

import { el, fill, mark, table, time } from "./dom.js";
import { get } from "./talk.js";

const COLUMNS = [["method"], ["path"], ["answer"], ["idempotency key", "id spare"], ["request", "id spare"], ["time"]];

function outcome(each) {
  if (each.dropped) return mark("answer lost", "bad");
  const fault = each.fault ? ` (${each.fault})` : "";
  const replayed = each.replayed ? ", replayed" : "";
  return mark(`${each.status}${replayed}${fault}`, each.status < 400 ? "good" : "bad");
}

export function requests(place) {
  const found = el("div");
  place.append(found);
  return async () => {
    const { data } = await get("log?limit=100");
    const rows = data.map((each) => [
      each.method,
      each.path,
      outcome(each),
      each.idempotency_key ?? "",
      each.request_id,
      time(each.arrived_at),
    ]);
    fill(found, table("The last hundred, the newest first", COLUMNS, rows, "Nothing was asked of the API yet."));
  };
}
