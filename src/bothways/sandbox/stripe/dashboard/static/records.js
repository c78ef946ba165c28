// The objects of one kind, and one of them with its form.

import { attempt, confirmed, el, fill, json, mark, table, time } from "./dom.js";
import { eventTable } from "./events.js";
import { changesOf, inputs } from "./form.js";
import { get, post } from "./talk.js";

const STEP = 50;
const COLUMNS = {
  customer: [["name"], ["email"], ["phone", "spare"], ["created", "spare"], ["id", "id"]],
  product: [["name"], ["description", "spare"], ["active"], ["created", "spare"], ["id", "id"]],
  price: [["nickname"], ["unit_amount", "number"], ["currency"], ["product", "id spare"], ["id", "id"]],
};

const address = (kind, id) => `#/${kind}/${encodeURIComponent(id)}`;

function cell(record, column) {
  const value = record[column];
  if (column === "created") return time(value);
  if (column === "active") return value ? mark("active", "good") : mark("archived");
  if (column === "id" || value === null || value === "") return String(value ?? "");
  return String(value);
}

function row(record, columns) {
  return columns.map(([column], at) => {
    const shown = cell(record, column);
    if (at > 0) return shown;
    return el("a", { href: address(record.object, record.id), id: `to-${record.id}` }, shown || "(no name)");
  });
}

// A line above a list: what is looked for, and further things to do.
export function finder(look, ...more) {
  const input = el("input", { type: "search", "aria-label": "Find", placeholder: "Find …", oninput: look });
  return { input, line: el("div", { class: "line" }, input, ...more) };
}

export function recordList(place, form) {
  const columns = COLUMNS[form.object];
  const found = el("div");
  let limit = STEP;
  const look = async () => {
    const asked = `records/${form.object}?limit=${limit}&contains=${encodeURIComponent(input.value)}`;
    const { data, has_more: hasMore, count } = await get(asked);
    const empty = input.value ? "Nothing has that in it." : `No ${form.noun} yet.`;
    fill(
      found,
      table(`${count} in all, the newest first`, columns, data.map((each) => row(each, columns)), empty),
      hasMore ? el("button", { type: "button", id: "more", onclick: more }, "Show more") : null,
    );
  };
  const more = () => {
    limit += STEP;
    attempt(look);
  };
  const made = el("a", { class: "button", href: `#/${form.object}/new` }, `New ${form.noun}`);
  const { input, line } = finder(() => attempt(look), made);
  place.append(line, found);
  return look;
}

export function oneRecord(place, form, id) {
  const title = el("h2");
  const body = el("div");
  const history = el("div");
  place.append(title, body, history);
  return id ? existing(form, id, title, body, history) : creation(form, title, body);
}

function creation(form, title, body) {
  title.textContent = `New ${form.noun}`;
  const made = inputs(form.create, {});
  const save = async (event) => {
    event.preventDefault();
    const params = changesOf(made);
    const record = await attempt(() => post("edit", { object: form.object, params }), "Created.");
    if (record) location.hash = address(record.object, record.id);
  };
  body.append(el("form", { onsubmit: save, novalidate: true }, made.element, actions("Create")));
  return async () => {};
}

function existing(form, id, title, body, history) {
  let shown = null;
  let made = null;
  const raw = el("div");
  const note = el("p", { class: "note", hidden: true, role: "status" });

  const save = async (event) => {
    event.preventDefault();
    const params = changesOf(made);
    if (!Object.keys(params).length) return;
    const work = () => post("edit", { object: form.object, id, params });
    const record = await attempt(work, "Saved, as an edit in the dashboard.");
    if (record) draw(record);
  };
  const drop = async () => {
    if (!(await confirmed(`Delete the ${form.noun} ${id} for good?`, "Delete"))) return;
    const work = () => post("edit", { object: form.object, id, delete: true });
    if (await attempt(work, "Deleted.")) location.hash = `#/${form.object}`;
  };
  const draw = (record) => {
    shown = record;
    made = inputs(form.update, record);
    note.hidden = true;
    const deletion = el("button", { type: "button", class: "danger", onclick: drop }, "Delete");
    const buttons = actions("Save", form.deletable ? deletion : null);
    fill(body, el("form", { onsubmit: save, novalidate: true }, made.element, note, buttons), raw);
  };

  return async () => {
    const { record, events } = await get(`record/${form.object}/${encodeURIComponent(id)}`);
    title.textContent = record?.name ?? record?.nickname ?? id;
    fill(history, el("h3", {}, "Events"), eventTable(events));
    if (record === null) {
      fill(body, el("p", { class: "empty" }, events.length ? "Deleted." : `There is no such ${form.noun}.`));
      return;
    }
    fill(raw, el("details", { open: raw.firstChild?.open ?? false }, el("summary", {}, "As the API shows it"), json(record)));
    if (JSON.stringify(record) === JSON.stringify(shown)) return;
    if (made && Object.keys(changesOf(made)).length) {
      note.textContent = "It was changed elsewhere meanwhile. Saving writes only the fields that you changed.";
      note.hidden = false;
    } else draw(record);
  };
}

const actions = (verb, ...more) =>
  el("div", { class: "actions" }, el("button", { type: "submit", class: "main" }, verb), ...more);
