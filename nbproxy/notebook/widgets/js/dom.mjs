// Elements and formats. Whatever came off the wire reaches the page through `text` and attributes
// set here: as text, never as markup.

const FOCUSABLE = new Set(["BUTTON", "INPUT", "TEXTAREA", "SELECT"]);

/** An element. Properties: `text`, `on` (listeners by name), `data`, and attributes; null is left out. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "on") for (const [event, f] of Object.entries(value)) element.addEventListener(event, f);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  if (element.tagName === "BUTTON" && !element.hasAttribute("type")) element.type = "button";
  if (FOCUSABLE.has(element.tagName) || element.hasAttribute("tabindex")) quiet(element);
  element.append(...children.filter(isThere));
  return element;
}

const isThere = (child) => child !== null && child !== undefined && child !== false;

/** Replace what is in an element; null is left out. */
export function fill(element, ...children) {
  element.replaceChildren(...children.filter(isThere));
}

/** Keep the notebook's shortcuts from what has the focus; it only works on that element itself. */
export function quiet(element) {
  element.dataset.lmSuppressShortcuts = "true";
  return element;
}

/** Put text into a node, if it is another one: writing is dear, comparing is not. */
export function setText(node, text) {
  if (node.nodeValue !== text) node.nodeValue = text;
}

/** A button with a word, and a hint that names its key. */
export function button(label, action, { title = "", kind = "", key = "", disabled = false } = {}) {
  return make("button", {
    class: `nbi-button ${kind}`.trim(),
    text: label,
    title: key ? `${title || label} (${key})` : title || null,
    "aria-keyshortcuts": key || null,
    disabled,
    on: { click: action },
  });
}

let numbers = 0;

/** An id that no other element of this page has. */
export function uniqueId(word) {
  numbers += 1;
  return `nbi-${word}-${numbers}-${Math.random().toString(36).slice(2, 8)}`;
}

// -- formats, the same as in `nbproxy/notebook/shown.py`

export function sizeText(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  let number = bytes;
  let unit = "";
  for (unit of ["kB", "MB", "GB", "TB"]) {
    number /= 1000;
    if (number < 999.5) break;
  }
  return `${number < 9.95 ? number.toFixed(1) : number.toFixed(0)} ${unit}`;
}

export function durationText(milliseconds) {
  if (!(milliseconds >= 0)) return "";
  if (milliseconds < 1) return "<1 ms";
  if (milliseconds < 999.5) return `${milliseconds.toFixed(0)} ms`;
  if (milliseconds < 59995) return `${(milliseconds / 1000).toFixed(2)} s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const two = (number) => String(number).padStart(2, "0");

export function clockText(time) {
  if (!time) return "";
  const moment = new Date(time);
  const rest = String(moment.getMilliseconds()).padStart(3, "0");
  return `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}.${rest}`;
}

export function momentText(time) {
  if (!time) return "";
  const moment = new Date(time);
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} ${clockText(time)}`;
}

const counts = new Intl.NumberFormat("en-US");

export function countText(number, noun = "") {
  const text = counts.format(number);
  return noun ? `${text} ${noun}${number === 1 ? "" : "s"}` : text;
}

/** How a mark is shown: the usual one, which has no name for people, as on its button. */
export const markText = (mark) => (mark === ":default:" ? "★" : mark);
