// Switches for what can go wrong.

import { attempt, el, fill, table } from "./dom.js";
import { get, post, remove } from "./talk.js";

// Fault → what it does, and what can be set about it.
const REQUESTS = {
  slow: ["Slow", "waits before it does anything", "seconds"],
  slow_answer: ["Slow answer", "does it, tells the webhooks, then waits before it answers", "seconds"],
  rate_limit: ["429, rate limit", "refuses; nothing is done"],
  lock_timeout: ["429, lock time-out", "refuses; nothing is done"],
  unavailable: ["503, unavailable", "refuses; nothing is done", "status"],
  error_before: ["500 before the effect", "nothing is done, and the failure is stored under the key", "status"],
  error_after: ["500 after the effect", "it is done, and the failure is stored under the key", "status"],
  drop_before: ["Connection lost before", "nothing is done, and nobody is told"],
  drop_after: ["Answer lost", "it is done, and the connection breaks before the answer"],
};
const WEBHOOKS = {
  late: ["Late", "delivered so much later", "seconds"],
  doubled: ["Doubled", "delivered twice"],
  reordered: ["Reordered", "held back until the next one has overtaken it", "seconds"],
  dropped: ["Dropped", "never delivered"],
};
const HOW_OFTEN = [
  ["every time", {}],
  ["the next one only", { times: 1 }],
  ["one in two", { probability: 0.5 }],
  ["one in ten", { probability: 0.1 }],
];

const isOver = ({ rule, happened }) => rule.times !== null && happened >= rule.times;

function line(name, [title, what, setting], rules) {
  const often = el("select", { "aria-label": `${title}: how often` }, HOW_OFTEN.map(([word], at) => el("option", { value: at }, word)));
  const amount = setting
    ? el("input", { type: "number", class: "amount", "aria-label": `${title}: ${setting}`, value: setting === "seconds" ? "1" : name === "unavailable" ? "503" : "500", min: "0", step: "any" })
    : null;
  const happened = el("output", {});
  const turn = () =>
    attempt(async () => {
      if (!toggle.checked) {
        for (const each of rules()) if (each.rule.fault === name) await remove(`faults/${each.id}`);
        return;
      }
      const rule = { fault: name, ...HOW_OFTEN[Number(often.value)][1] };
      if (amount) rule[setting] = Number(amount.value);
      const added = await attempt(() => post("faults", rule));
      if (!added) toggle.checked = false;
    });
  const toggle = el("input", { type: "checkbox", role: "switch", id: `fault-${name}`, onchange: turn });
  const label = el("label", { for: `fault-${name}` }, el("strong", {}, title), " ", el("span", {}, what));
  const element = el("li", { class: "fault" }, toggle, label, el("span", { class: "settings" }, often, amount, setting ? ` ${setting}` : null, happened));
  const show = () => {
    const mine = rules().filter((each) => each.rule.fault === name);
    const on = mine.some((each) => !isOver(each));
    toggle.checked = on;
    often.disabled = on;
    if (amount) amount.disabled = on;
    const times = mine.reduce((sum, each) => sum + each.happened, 0);
    happened.textContent = mine.length ? (times === 1 ? "once" : `${times} times`) : "";
  };
  return { element, show };
}

// Rules with conditions of their own, made by programs (or below).
function ruleTable(rules) {
  const columns = [["fault"], ["where"], ["how often"], ["happened", "number"], [""]];
  const rows = rules.map(({ id, rule, happened }) => [
    rule.fault,
    [rule.method, rule.path, rule.type, rule.contains && `holds ${rule.contains}`].filter((each) => each && each !== "*").join(" ") || "anywhere",
    (rule.times === null ? "every time" : `${rule.times} times`) + (rule.probability < 1 ? `, chance ${rule.probability}` : "") + (rule.skip ? `, after ${rule.skip}` : ""),
    String(happened),
    el("button", { type: "button", id: `end-${id}`, onclick: () => attempt(() => remove(`faults/${id}`), "Ended.") }, "End"),
  ]);
  return table("In the order in which they are asked", columns, rows, "All is well.");
}

export function faults(place) {
  let standing = [];
  const group = (entries) => Object.entries(entries).map(([name, entry]) => line(name, entry, () => standing));
  const [ofRequests, ofWebhooks] = [group(REQUESTS), group(WEBHOOKS)];
  const list = (lines) => el("ul", { class: "faults" }, lines.map((each) => each.element));
  const rules = el("div");
  const all = el("button", { type: "button", onclick: () => attempt(() => remove("faults"), "All faults are off.") }, "All off");
  place.append(
    el("h2", {}, "Requests to the API"),
    list(ofRequests),
    el("h2", {}, "Webhooks"),
    list(ofWebhooks),
    el("div", { class: "line" }, el("h2", {}, "Rules"), all),
    rules,
  );
  return async () => {
    standing = (await get("faults")).faults;
    for (const each of [...ofRequests, ...ofWebhooks]) each.show();
    fill(rules, ruleTable(standing));
  };
}
