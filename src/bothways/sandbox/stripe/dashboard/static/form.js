// Forms, made of what the sandbox says can be written. Only what was changed is sent, as by Stripe's dashboard.
//
// Every part is {element, changed()}: `changed` is what to send, undefined for nothing. An empty value unsets (null).

import { el } from "./dom.js";

let count = 0;

const words = (name) => name.replaceAll("_", " ");
const shownAs = (value) => (value === null || value === undefined ? "" : String(value));

// The inputs of these fields over what the record holds now: {element, parts: name → part}.
export function inputs(fields, record) {
  const parts = {};
  const first = [];
  const rest = [];
  for (const field of fields) {
    parts[field.name] = part(field, record?.[field.name]);
    (field.first ? first : rest).push(parts[field.name].element);
  }
  const folded = rest.length ? el("details", {}, el("summary", {}, "More fields"), rest) : null;
  return { element: el("div", { class: "fields" }, first, folded), parts };
}

// Name → value of what was changed.
export function changesOf({ parts }) {
  const changed = {};
  for (const [name, each] of Object.entries(parts)) {
    const value = each.changed();
    if (value !== undefined) changed[name] = value;
  }
  return changed;
}

function part(field, value) {
  if (field.kind === "hash") return hash(field, value);
  if (field.kind === "metadata") return metadata(field, value ?? {});
  if (field.kind === "lines") return lines(field, value ?? []);
  return single(field, shownAs(value));
}

function single(field, before) {
  const input = inputFor(field, before);
  input.value = before;
  const changed = () => (input.value === before ? undefined : input.value || null);
  return { element: labelled(field, input), changed, value: () => input.value };
}

function inputFor(field, before) {
  if (field.kind === "choice") {
    const options = before && !field.required ? field.words : ["", ...field.words];
    return el("select", {}, options.map((word) => el("option", { value: word }, word || "–")));
  }
  if (field.kind === "long") return el("textarea", { rows: "2", maxlength: field.most });
  const numeric = field.kind === "whole" || field.kind === "number";
  return el("input", { type: "text", inputmode: numeric ? "decimal" : undefined, maxlength: field.most < 5000 && !numeric ? field.most : undefined });
}

function labelled(field, input) {
  input.id = `input-${++count}`;
  input.name = field.name;
  input.setAttribute("autocomplete", "off");
  const needed = field.required ? el("span", { class: "needed" }, " (needed)") : null;
  return el("div", { class: "field" }, el("label", { for: input.id }, words(field.name), needed), input);
}

function lines(field, items) {
  const before = items.join("\n");
  const input = el("textarea", { rows: "2" });
  input.value = before;
  const changed = () => {
    if (input.value === before) return undefined;
    const wanted = input.value.split("\n").map((line) => line.trim()).filter(Boolean);
    return wanted.length ? wanted : null;
  };
  return { element: labelled({ ...field, name: `${field.name}, one a line` }, input), changed };
}

// `whole`: what is not sent would be unset, so that all of it is sent when any of it changes.
function hash(field, before) {
  const { element, parts } = inputs(field.fields.map((each) => ({ ...each, first: true })), before);
  const changed = () => {
    const changes = changesOf({ parts });
    if (!Object.keys(changes).length) return undefined;
    if (!field.whole) return changes;
    const all = Object.fromEntries(Object.entries(parts).map(([name, each]) => [name, each.all ? each.all() : each.value()]));
    return Object.values(all).some(Boolean) ? all : null;
  };
  const all = () => Object.fromEntries(Object.entries(parts).map(([name, each]) => [name, each.value()]));
  return { element: el("fieldset", {}, el("legend", {}, words(field.name)), element), changed, all };
}

function metadata(field, before) {
  const rows = el("div", { class: "pairs" });
  const add = (key, value) => {
    const name = el("input", { type: "text", "aria-label": "metadata key", maxlength: field.key, autocomplete: "off" });
    const held = el("input", { type: "text", "aria-label": `metadata value`, maxlength: field.value, autocomplete: "off" });
    name.value = key;
    held.value = value;
    const row = el("div", { class: "pair" }, name, held);
    row.append(el("button", { type: "button", "aria-label": "Remove this pair", onclick: () => row.remove() }, "×"));
    rows.append(row);
    return name;
  };
  for (const [key, value] of Object.entries(before)) add(key, value);
  const changed = () => {
    const now = {};
    for (const row of rows.children) {
      const [name, held] = row.querySelectorAll("input");
      if (name.value) now[name.value] = held.value;
    }
    const changes = {};
    for (const key of Object.keys(before)) if (!now[key]) changes[key] = null;
    for (const [key, value] of Object.entries(now)) if (value && value !== before[key]) changes[key] = value;
    return Object.keys(changes).length ? changes : undefined;
  };
  const more = el("button", { type: "button", onclick: () => add("", "").focus() }, "Add metadata");
  return { element: el("fieldset", {}, el("legend", {}, words(field.name)), rows, more), changed };
}
