// What the scripts of the page share: what is known, elements of the page, one request to the service.
"use strict";

const SECONDS = 90;
const known = { token: "", schema: null, model: null, options: null, files: new Map(), turn: 0, stop: null };
const at = (id) => document.getElementById(id);

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

class Trouble extends Error {
  constructor(message, document_ = null, status = 0) {
    super(message);
    this.document = document_;
    this.status = status;
  }
}

async function ask(address, options = {}, stop = new AbortController(), bytes = false) {
  const clock = setTimeout(() => stop.abort(), SECONDS * 1000);
  const headers = { ...(options.headers ?? {}), ...(known.token ? { Authorization: `Bearer ${known.token}` } : {}) };
  let found;
  let text;
  try {
    found = await fetch(address, { ...options, headers, signal: stop.signal, cache: "no-store", credentials: "omit", redirect: "error" });
    if (bytes && found.ok) return await found.arrayBuffer();
    text = await found.text();
  } catch (error) {
    const late = error.name === "AbortError";
    throw new Trouble(late ? `There was no answer within ${SECONDS} seconds. What you entered is kept: try again.`
      : "The service cannot be reached. What you entered is kept: try again when the connection is back.");
  } finally {
    clearTimeout(clock);
  }
  let document_ = null;
  try {
    document_ = JSON.parse(text);
  } catch {
    throw new Trouble(`The service answers something that cannot be read (status ${found.status}).`, null, found.status);
  }
  if (!found.ok) throw new Trouble(document_?.error?.message ?? `The service refuses with status ${found.status}.`, document_, found.status);
  return document_;
}

function trouble(message) {
  at("trouble").textContent = message;
  at("trouble").hidden = !message;
}

const figure = (value, digits) => Number(value.toPrecision(digits)).toString();
