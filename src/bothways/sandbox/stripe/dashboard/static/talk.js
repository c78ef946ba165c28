// Requests to the sandbox.

// The sandbox answered, and said no; the message says why in its own words.
export class Refused extends Error {}

async function ask(method, path, body) {
  const answer = await fetch(`/_sandbox/${path}`, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const document = await answer.json();
  if (!answer.ok) throw new Refused(document.error?.message ?? `The sandbox answered ${answer.status}.`);
  return document;
}

export const get = (path) => ask("GET", path);
export const post = (path, body) => ask("POST", path, body);
export const remove = (path) => ask("DELETE", path);

// Calls `look` now and after every change, at most three times a second; `lost` while the sandbox does not answer.
export async function follow(look, lost) {
  let revision = 0;
  for (;;) {
    try {
      revision = (await get(`changes?after=${revision}`)).revision;
      await look();
      await pause(300);
    } catch (error) {
      lost(error);
      await pause(1000);
      revision = 0;
    }
  }
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
