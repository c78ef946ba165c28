// What happened: a list, and one event with its deliveries.

import { attempt, el, fill, json, mark, table, time } from "./dom.js";
import { deliveryTable } from "./deliveries.js";
import { finder } from "./records.js";
import { get } from "./talk.js";

const STEP = 50;
const COLUMNS = [["event"], ["of"], ["what changed", "spare"], ["made by"], ["time"]];

function about(event) {
  const { object } = event.data;
  const name = object.name ?? object.nickname ?? object.id;
  return el("a", { href: `#/${object.object}/${encodeURIComponent(object.id)}` }, name || object.id);
}

// An event without a request was made by hand.
function maker({ request }) {
  if (!request.id) return mark("dashboard", "hand");
  return el("span", { title: request.idempotency_key ?? "no idempotency key" }, mark("API"), " ", request.id);
}

export function eventTable(events) {
  const rows = events.map((event) => [
    el("a", { href: `#/events/${encodeURIComponent(event.id)}`, id: `to-${event.id}` }, event.type),
    about(event),
    Object.keys(event.data.previous_attributes ?? {}).join(", "),
    maker(event),
    time(event.created),
  ]);
  return table("The newest first", COLUMNS, rows, "Nothing has happened yet.");
}

export function eventList(place) {
  const found = el("div");
  let limit = STEP;
  const look = async () => {
    const asked = `events?limit=${limit}&contains=${encodeURIComponent(input.value)}`;
    const { data, has_more: hasMore } = await get(asked);
    fill(found, eventTable(data), hasMore ? el("button", { type: "button", id: "more", onclick: more }, "Show more") : null);
  };
  const more = () => {
    limit += STEP;
    attempt(look);
  };
  const { input, line } = finder(() => attempt(look));
  place.append(line, found);
  return look;
}

export function oneEvent(place, id) {
  const head = el("div");
  const tries = el("div");
  const raw = el("div");
  place.append(head, tries, raw);
  let drawn = "";
  return async () => {
    const { event, deliveries } = await get(`event/${encodeURIComponent(id)}`);
    fill(head, el("h2", {}, event.type), el("p", {}, about(event), " · ", maker(event), " · ", time(event.created)));
    fill(tries, el("h3", {}, "Deliveries"), deliveryTable(deliveries));
    if (drawn !== (drawn = JSON.stringify(event))) fill(raw, el("h3", {}, "The event"), json(event));
  };
}
