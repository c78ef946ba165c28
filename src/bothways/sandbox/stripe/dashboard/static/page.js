// The page: which view is shown, and when it looks anew.

import { el, fill, say, settle } from "./dom.js";
import { eventList, oneEvent } from "./events.js";
import { faults } from "./faults.js";
import { oneRecord, recordList } from "./records.js";
import { requests } from "./requests.js";
import { follow, get, Refused } from "./talk.js";
import { webhooks } from "./webhooks.js";

const main = document.getElementById("main");
const standing = document.getElementById("standing");
let forms = {};
let look = async () => {};
let turn = 0;

// `#/customer/cus_1` → a view: it fills its place at once or later, and returns what looks anew.
function view(parts, place) {
  const [name, id] = parts;
  if (name === "events") return id ? oneEvent(place, id) : eventList(place);
  if (name === "webhooks") return webhooks(place, forms.webhook_endpoint);
  if (name === "requests") return requests(place);
  if (name === "faults") return faults(place);
  if (name in forms) return id ? oneRecord(place, forms[name], id === "new" ? null : id) : recordList(place, forms[name]);
  return async () => fill(place, el("p", { class: "empty" }, "There is no such view."));
}

async function show() {
  const parts = (location.hash.slice(2) || "customer").split("/").map(decodeURIComponent);
  const mine = ++turn;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${parts[0]}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const place = el("div");
  settle();
  look = view(parts, place);
  await refresh();
  if (mine === turn) main.replaceChildren(place);
}

async function refresh() {
  const [state] = await Promise.all([get("state"), look().catch(told)]);
  const { objects, deliveries, faults: rules } = state;
  const active = rules.filter((each) => each.rule.times === null || each.happened < each.rule.times).length;
  const said = [
    counted(objects.customer, "customer"),
    counted(objects.product, "product"),
    counted(objects.event, "event"),
    `${counted(deliveries.pending, "webhook")} under way`,
    ...(active ? [`${counted(active, "fault")} on`] : []),
  ];
  standing.className = active ? "faulty" : "";
  standing.textContent = said.join(" · ");
}

const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function told(error) {
  if (!(error instanceof Refused)) throw error;
  say(error.message, "error");
}

function lost(error) {
  standing.className = "lost";
  standing.textContent = `The sandbox does not answer: ${error.message}`;
}

async function begin() {
  try {
    forms = await get("forms");
    await show();
  } catch (error) {
    lost(error);
    setTimeout(begin, 1000);
    return;
  }
  addEventListener("hashchange", () => show().then(() => main.focus({ preventScroll: true }), lost));
  follow(refresh, lost);
}

begin();
