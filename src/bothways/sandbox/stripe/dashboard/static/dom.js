// Elements. Values become text, never markup: whatever a customer is called, it is shown and does nothing.

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && typeof value === "boolean") made[key] = value;
    else if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

// Puts the children in place of what is there; the focus stays on the element of the same id.
export function fill(place, ...children) {
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  place.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  if (focused) document.getElementById(focused)?.focus();
}

// A table: `columns` are [heading, class or undefined], `rows` are lists of cells.
export function table(caption, columns, rows, empty) {
  if (!rows.length) return el("p", { class: "empty" }, empty);
  const head = columns.map(([heading, kind]) => el("th", { scope: "col", class: kind }, heading));
  const cells = (row) => row.map((cell, at) => el("td", { class: columns[at][1] }, cell ?? ""));
  return el(
    "div",
    { class: "wide" },
    el(
      "table",
      {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, head)),
      el("tbody", {}, rows.map((row) => el("tr", {}, cells(row)))),
    ),
  );
}

export const json = (value) => el("pre", { tabindex: "0" }, JSON.stringify(value, null, 2));
export const mark = (text, kind) => el("span", { class: `mark ${kind ?? ""}` }, text);

export function time(seconds) {
  const at = new Date(seconds * 1000);
  const today = at.toDateString() === new Date().toDateString();
  const shown = today ? at.toLocaleTimeString() : at.toLocaleString();
  return el("time", { datetime: at.toISOString(), title: at.toLocaleString() }, shown);
}

let fading = 0;

// Says something that happened; an error stays until the next word.
export function say(text, kind = "done") {
  const notice = document.getElementById("notice");
  clearTimeout(fading);
  notice.textContent = text;
  notice.className = kind;
  if (kind === "done") fading = setTimeout(() => say("", ""), 4000);
}

// An error of the view before says nothing about this one.
export function settle() {
  if (document.getElementById("notice").className === "error") say("", "");
}

// Runs what a person asked for, and says what became of it.
export async function attempt(work, done) {
  try {
    const result = await work();
    if (done) say(done);
    return result;
  } catch (error) {
    say(error.message, "error");
    return undefined;
  }
}

// Asks before something that cannot be taken back; true when it is to be done.
export function confirmed(question, verb) {
  const dialog = el("dialog", { "aria-labelledby": "question" });
  const answer = (value) => () => dialog.close(value);
  dialog.append(
    el("p", { id: "question" }, question),
    el(
      "div",
      { class: "actions" },
      el("button", { type: "button", onclick: answer("") }, "Cancel"),
      el("button", { type: "button", class: "danger", onclick: answer("yes") }, verb),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    }),
  );
}
