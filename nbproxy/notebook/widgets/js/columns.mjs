// The columns of the table: what each shows of a row, and how wide it is.

import { clockText, durationText, make, markText, momentText, setText, sizeText } from "./dom.mjs";
import { FAILED, HELD, RECEIVING, TLS, UNDER_WAY } from "./mirror.mjs";

/** What a row says of its state: a word, and the class that repeats it in colour. */
export function stateOf(mirror, slot) {
  const flags = mirror.column.flags[slot];
  const status = mirror.column.status[slot];
  if (flags & HELD) return ["held", "nbi-held"];
  if (flags & FAILED && !status) return ["error", "nbi-s5"];
  if (!status) return ["…", "nbi-open"];
  const hundreds = Math.floor(status / 100);
  return [String(status), hundreds >= 2 && hundreds <= 5 ? `nbi-s${hundreds}` : "nbi-s0"];
}

const textColumn = (key, title, width, more = {}) => ({
  key,
  title,
  width,
  draw: (cell, mirror, slot) => setText(cell.text, mirror.text(key, slot)),
  hint: (mirror, slot) => mirror.text(key, slot),
  ...more,
});

const notesOf = (mirror, slot) => [markText(mirror.text("mark", slot)), mirror.text("comment", slot)].filter(Boolean).join(" ");

const log = (value) => Math.log10(1 + value);

/** A number with a bar below it, and the part of it that was waiting; both from 0 to 1. */
function drawBar(cell, text, share, waiting = 0) {
  setText(cell.text, text);
  const width = share > 0 ? Math.max(2, Math.round(100 * Math.min(1, share))) : 0;
  const wait = Math.round(100 * waiting);
  if (cell.width !== width) cell.bar.style.width = `${(cell.width = width)}%`;
  if (cell.waiting !== wait) cell.wait.style.width = `${(cell.waiting = wait)}%`;
}

export const COLUMNS = [
  {
    key: "id",
    title: "#",
    name: "number",
    width: 38,
    kind: "number",
    draw: (cell, mirror, slot) => setText(cell.text, String(mirror.column.id[slot])),
  },
  {
    key: "time",
    title: "Time",
    width: 104,
    kind: "number dim",
    draw: (cell, mirror, slot) => setText(cell.text, clockText(mirror.column.time[slot])),
    hint: (mirror, slot) => momentText(mirror.column.time[slot]),
  },
  textColumn("method", "Method", 66, { kind: "code" }),
  {
    key: "status",
    title: "Status",
    width: 60,
    kind: "status",
    draw: (cell, mirror, slot) => {
      const [word, css] = stateOf(mirror, slot);
      setText(cell.text, word);
      if (cell.css !== css) cell.chip.className = cell.css = css;
    },
    hint: (mirror, slot) => mirror.text("error", slot) || (mirror.column.flags[slot] & UNDER_WAY ? "under way" : ""),
  },
  textColumn("scheme", "Scheme", 62),
  {
    key: "host",
    title: "Host",
    width: 150,
    kind: "host",
    draw: (cell, mirror, slot) => {
      setText(cell.text, mirror.text("host", slot));
      const isPlain = !(mirror.column.flags[slot] & TLS);
      if (cell.isPlain !== isPlain) cell.lock.hidden = !(cell.isPlain = isPlain);
    },
    hint: (mirror, slot) => mirror.text("host", slot),
  },
  {
    key: "path",
    title: "Path",
    width: 220,
    flexible: true,
    kind: "code path",
    draw: (cell, mirror, slot) => {
      setText(cell.text, mirror.text("path", slot) || mirror.text("host", slot));
      setText(cell.note, notesOf(mirror, slot));
      setText(cell.fault, mirror.text("error", slot));
    },
    hint: (mirror, slot) => [mirror.text("path", slot), mirror.text("error", slot), notesOf(mirror, slot)].filter(Boolean).join("\n"),
  },
  textColumn("type", "Type", 78),
  {
    key: "sent",
    title: "Sent",
    name: "request size",
    width: 74,
    kind: "number bar",
    draw: (cell, mirror, slot) => {
      const size = mirror.column.sent[slot];
      drawBar(cell, size ? sizeText(size) : "", log(size) / log(1e7));
    },
  },
  {
    key: "received",
    title: "Size",
    name: "response size",
    width: 68,
    kind: "number bar",
    draw: (cell, mirror, slot) => {
      const size = mirror.column.received[slot];
      drawBar(cell, mirror.column.status[slot] ? sizeText(size) : "", Math.min(1, log(size) / log(1e7)));
    },
  },
  {
    key: "duration",
    title: "Took",
    name: "duration",
    width: 74,
    kind: "number bar",
    draw: (cell, mirror, slot) => {
      const took = mirror.column.duration[slot];
      const waited = mirror.column.ttfb[slot];
      if (!(took >= 0)) {
        drawBar(cell, mirror.column.flags[slot] & (UNDER_WAY | RECEIVING) ? "…" : "", 0);
        return;
      }
      drawBar(cell, durationText(took), Math.min(1, log(took) / log(1e5)), took > 0 && waited >= 0 ? Math.min(1, waited / took) : 0);
    },
    hint: (mirror, slot) => {
      const took = mirror.column.duration[slot];
      return took >= 0 ? `${durationText(mirror.column.ttfb[slot])} until the first byte, ${durationText(took)} in all` : "";
    },
  },
  {
    key: "ttfb",
    title: "TTFB",
    name: "time to the first byte",
    width: 70,
    kind: "number dim",
    draw: (cell, mirror, slot) => setText(cell.text, durationText(mirror.column.ttfb[slot])),
  },
  textColumn("version", "Version", 72),
  textColumn("client", "Client", 128, { kind: "dim" }),
  textColumn("server", "Server", 128, { kind: "dim" }),
  textColumn("error", "Error", 180),
  textColumn("mark", "Mark", 80, {
    draw: (cell, mirror, slot) => setText(cell.text, markText(mirror.text("mark", slot))),
  }),
  textColumn("comment", "Comment", 140),
  textColumn("origin", "Asked by", 110, { name: "cell and function" }),
];

/** Shown at first; where it is narrow, those at the end of the second list go first. */
export const USUAL = ["id", "time", "method", "status", "host", "path", "type", "received", "duration"];
export const DISPENSABLE = ["status", "path", "method", "host", "duration", "received", "id", "type", "time"];

/** A cell of a pooled row, with the parts that its column draws into. */
export function makeCell(column, mirror, row) {
  const kind = column.kind ?? "";
  const text = document.createTextNode("");
  const element = make("div", { role: "gridcell", class: `nbi-cell ${kind.split(" ").map((word) => word && `nbi-c-${word}`).join(" ")}` });
  const cell = { element, text, column };
  if (column.hint) {
    element.addEventListener("pointerenter", () => {
      element.title = row.id >= 0 ? column.hint(mirror, row.slot) : "";
    });
  }
  if (kind === "status") {
    cell.chip = make("span", {}, text);
    element.append(cell.chip);
  } else if (kind.includes("bar")) {
    cell.wait = make("i", { class: "nbi-bar-wait" });
    cell.bar = make("i", { class: "nbi-bar", "aria-hidden": "true" }, cell.wait);
    element.append(make("span", {}, text), cell.bar);
  } else if (column.key === "path") {
    cell.note = document.createTextNode("");
    cell.fault = document.createTextNode("");
    element.append(text, make("span", { class: "nbi-fault" }, cell.fault), make("span", { class: "nbi-note" }, cell.note));
  } else if (column.key === "host") {
    cell.lock = make("span", { class: "nbi-plain", text: "http", title: "without TLS" });
    element.append(cell.lock, text);
  } else {
    element.append(text);
  }
  return cell;
}
