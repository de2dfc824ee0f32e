// The table: a pool of rows that moves over 100,000 and more.
//
// It scrolls a tall empty element and draws the few rows that are in sight. Browsers stop at some 16
// million pixels; beyond `TALLEST` a pixel of scrolling stands for more than one.

import { COLUMNS, DISPENSABLE, USUAL, makeCell } from "./columns.mjs";
import { make, uniqueId } from "./dom.mjs";
import { HELD, FAILED } from "./mirror.mjs";

export const ROW = 23;
const HEAD = 26;
const TALLEST = 12e6;
const BASE = 10000; // rows
const FLEXIBLE = 150; // what the flexible column has at least
const SPARE = 6; // rows drawn beyond what is in sight
const SORT_AGAIN_MS = 800;
const REST_MS = 40; // scrolling rests
const MISSED_MS = 1000; // before the same rows are asked for again
const LARGEST_FIRST = new Set(["duration", "received", "sent", "ttfb", "status"]);
const STORE = "nbproxy.inspector.columns";

function remembered() {
  try {
    const found = JSON.parse(localStorage.getItem(STORE) ?? "null");
    return found && typeof found === "object" ? found : {};
  } catch {
    return {};
  }
}

export class Grid {
  /** `onSelect(ids, cursor, from)` when the selection changes, `onSelectAll()` when all rows are to be selected, `onFollow(isFollowing, unseen)` when scrolled, `onAbsent(slots)` where rows are in sight that have not come yet, `onMenu(id, point)` where a menu is asked for. */
  constructor(mirror, { onSelect, onSelectAll, onFollow, onColumns, onAbsent, onMenu }) {
    this.mirror = mirror;
    this.onSelect = onSelect;
    this.onSelectAll = onSelectAll;
    this.onFollow = onFollow;
    this.onColumns = onColumns;
    this.onAbsent = onAbsent;
    this.onMenu = onMenu;
    this.missed = { slots: "", at: 0, timer: 0 }; // what was asked for last
    this.sort = null;
    this.view = null; // slots in order, null for all
    this.viewed = -1; // the mirror's version it was made of
    this.sortedAt = 0;
    this.selected = new Set(); // ids
    this.cursor = -1; // id of the row that has the focus
    this.anchor = -1; // id where a range of selected rows begins
    this.follow = true;
    this.unseen = 0;
    this.seenTotal = 0;
    this.seenEpoch = -1;
    this.rows = [];
    this.stamp = 0; // another number whenever rows must be drawn again
    const kept = remembered();
    const known = new Set(COLUMNS.map((column) => column.key));
    this.chosen = Array.isArray(kept.chosen) && kept.chosen.every((key) => known.has(key)) && kept.chosen.length ? kept.chosen : null;
    this.widths = { ...(kept.widths ?? {}) };
    this.build();
  }

  build() {
    this.head = make("div", { class: "nbi-row nbi-head", role: "row", "aria-rowindex": "1" });
    this.body = make("div", { class: "nbi-rows", role: "rowgroup" });
    this.space = make("div", { class: "nbi-space", "aria-hidden": "true" });
    this.empty = make("div", { class: "nbi-empty" });
    this.element = make(
      "div",
      { class: "nbi-grid", role: "grid", tabindex: "0", "aria-label": "Flows", "aria-multiselectable": "true", "aria-rowcount": "1" },
      this.head, this.space, this.body, this.empty,
    );
    this.prefix = uniqueId("row");
    this.element.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("mousedown", (event) => this.press(event));
    this.element.addEventListener("contextmenu", (event) => this.menu(event));
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.element);
    this.layOut();
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    clearTimeout(this.missed.timer);
  }

  // -- columns

  get keys() {
    return this.chosen ?? USUAL;
  }

  /** The columns that there is room for; those that somebody chose are all shown. */
  fitting() {
    const width = this.element.clientWidth || 900;
    const wanted = COLUMNS.filter((column) => this.keys.includes(column.key));
    if (this.chosen) return wanted;
    let room = width - 8;
    const kept = new Set();
    for (const key of DISPENSABLE) {
      const column = wanted.find((each) => each.key === key);
      if (!column) continue;
      room -= this.widths[key] ?? this.widthOf(column);
      if (room < 0 && kept.size >= 2) break;
      kept.add(key);
    }
    return wanted.filter((column) => kept.has(column.key));
  }

  layOut() {
    const columns = this.fitting();
    this.setTemplate(columns);
    const keys = columns.map((column) => column.key).join();
    if (keys !== this.laidOut) {
      this.laidOut = keys;
      this.columns = columns;
      this.rows = [];
      this.body.replaceChildren();
      this.element.setAttribute("aria-colcount", String(columns.length));
    }
    this.drawHead();
  }

  /** Say how wide the columns are; one of them takes what is left. */
  setTemplate(columns) {
    let least = 0;
    const template = columns.map((column) => {
      const width = this.widths[column.key] ?? this.widthOf(column);
      least += width;
      return column.flexible ? `minmax(${width}px, 1fr)` : `${width}px`;
    });
    if (!columns.some((column) => column.flexible)) template.push("1fr");
    this.element.style.setProperty("--nbi-columns", template.join(" "));
    this.element.style.setProperty("--nbi-least", `${least}px`);
  }

  drawHead() {
    const focused = this.head.contains(document.activeElement) ? document.activeElement.closest("[data-key]")?.dataset.key : null;
    this.head.replaceChildren(
      ...this.columns.map((column, index) => {
        const sorted = this.sort?.key === column.key ? (this.sort.down ? "descending" : "ascending") : "none";
        const press = make("button", {
          class: "nbi-title",
          text: column.title,
          title: `Sort by ${column.name ?? column.title.toLowerCase()}`,
          tabindex: (focused ? column.key === focused : index === 0) ? "0" : "-1",
          on: { click: () => this.sortBy(column.key), keydown: (event) => this.headKey(event, index) },
        });
        const mark = sorted === "none" ? null : make("span", { class: "nbi-arrow", "aria-hidden": "true", text: sorted === "ascending" ? "▲" : "▼" });
        const handle = make("span", { class: "nbi-handle", "aria-hidden": "true" });
        handle.addEventListener("pointerdown", (event) => this.resize(event, column));
        handle.addEventListener("dblclick", () => this.setWidth(column.key, null));
        return make(
          "div",
          { class: `nbi-cell nbi-hcell ${(column.kind ?? "").includes("number") ? "nbi-c-number" : ""}`, role: "columnheader", "aria-sort": sorted, "aria-colindex": String(index + 1), data: { key: column.key } },
          press, mark, handle,
        );
      }),
    );
    if (focused) this.head.querySelector(`[data-key="${focused}"] button`)?.focus();
  }

  headKey(event, index) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "ArrowDown") {
      event.preventDefault();
      this.element.focus();
    }
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const buttons = [...this.head.querySelectorAll("button")];
    const next = buttons[(index + step + buttons.length) % buttons.length];
    for (const each of buttons) each.tabIndex = each === next ? 0 : -1;
    next.focus();
  }

  resize(event, column) {
    event.preventDefault();
    event.stopPropagation();
    const handle = event.target;
    const began = event.clientX;
    const width = handle.parentElement.getBoundingClientRect().width;
    handle.setPointerCapture(event.pointerId);
    const move = (moved) => this.setWidth(column.key, Math.max(36, Math.round(width + moved.clientX - began)), false);
    const end = () => {
      handle.removeEventListener("pointermove", move);
      this.remember();
    };
    handle.addEventListener("pointermove", move);
    handle.addEventListener("lostpointercapture", end, { once: true });
    handle.addEventListener("pointerup", () => handle.releasePointerCapture(event.pointerId), { once: true });
  }

  setWidth(key, width, keep = true) {
    if (width === null) delete this.widths[key];
    else this.widths[key] = width;
    this.setTemplate(this.columns);
    if (keep) this.remember();
  }

  /** Show these columns, null for the usual ones. */
  choose(keys) {
    this.chosen = keys;
    this.remember();
    this.layOut();
    this.draw();
    this.onColumns?.();
  }

  remember() {
    try {
      localStorage.setItem(STORE, JSON.stringify({ chosen: this.chosen, widths: this.widths }));
    } catch {
      // private windows: it holds as long as the page does
    }
  }

  sortBy(key) {
    const { sort } = this;
    if (sort?.key !== key) this.sort = { key, down: LARGEST_FIRST.has(key) };
    else if (sort.down === LARGEST_FIRST.has(key)) this.sort = { key, down: !sort.down };
    else this.sort = null;
    this.viewed = -1;
    this.sortedAt = 0;
    this.follow = !this.sort;
    this.drawHead();
    this.update();
    if (this.sort) this.reveal(0);
  }

  // -- which rows

  get count() {
    return this.view ? this.view.length : this.mirror.total;
  }

  slotAt(index) {
    return this.view ? this.view[index] : index;
  }

  idAt(index) {
    return this.mirror.column.id[this.slotAt(index)];
  }

  /** Where a flow stands in the table, -1 if it is not shown. */
  indexOf(id) {
    const slot = this.mirror.find(id);
    if (slot < 0) return -1;
    return this.view ? this.view.indexOf(slot) : slot;
  }

  /** The mirror has changed. */
  update() {
    const { mirror } = this;
    if (mirror.version !== this.viewed) {
      const wait = this.sort && mirror.total > 5000 ? SORT_AGAIN_MS - (performance.now() - this.sortedAt) : 0;
      if (wait > 0) {
        this.timer ??= setTimeout(() => {
          this.timer = null;
          this.update();
        }, wait);
      } else {
        this.view = mirror.view(this.sort);
        this.viewed = mirror.version;
        this.stamp += 1;
        this.sortedAt = performance.now();
        this.countUnseen();
        this.widenIds();
      }
    }
    this.draw();
  }

  /** How many rows came since somebody scrolled away from the newest. */
  countUnseen() {
    const { mirror, view } = this;
    if (this.follow || mirror.epoch !== this.seenEpoch) {
      this.seenTotal = mirror.total;
      this.seenEpoch = mirror.epoch;
    }
    this.unseen = 0;
    if (!view) this.unseen = mirror.total - this.seenTotal;
    else for (let index = view.length - 1; index >= 0 && view[index] >= this.seenTotal; index -= 1) this.unseen += 1;
  }

  /** Ids grow: their column does as well. */
  widenIds() {
    const { mirror } = this;
    const digits = mirror.total ? String(mirror.column.id[mirror.total - 1]).length : 1;
    if (digits === this.digits) return;
    this.digits = digits;
    this.layOut();
  }

  /** How wide a column is if nobody has said it. */
  widthOf(column) {
    if (column.flexible) return FLEXIBLE;
    return column.key === "id" ? Math.max(column.width, 18 + 7.5 * (this.digits ?? 1)) : column.width;
  }

  // -- scrolling

  get height() {
    return this.count * ROW;
  }

  get inSight() {
    return Math.max(ROW, this.element.clientHeight - HEAD);
  }

  /** Pixels of rows for a pixel of scrolling. */
  get ratio() {
    const tall = Math.min(this.height, TALLEST);
    return tall <= this.inSight ? 1 : (this.height - this.inSight) / (tall - this.inSight);
  }

  get top() {
    return this.element.scrollTop * this.ratio;
  }

  scrolled() {
    if (this.placing) return;
    const atEnd = this.isAtEnd;
    this.follow = atEnd && !this.sort;
    if (this.follow) this.countUnseen();
    this.onFollow?.(this.follow, this.unseen);
    this.soon();
  }

  /** Whether the newest row is in sight. */
  get isAtEnd() {
    const { element } = this;
    return this.height <= this.inSight || element.scrollTop + element.clientHeight >= element.scrollHeight - 4;
  }

  soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.paint();
    });
  }

  /** Go on showing the newest. */
  toEnd() {
    this.follow = true;
    this.countUnseen();
    this.draw();
  }

  /** Bring a row into sight. */
  reveal(index) {
    const top = index * ROW;
    const { top: from, inSight, ratio } = this;
    if (top < from) this.element.scrollTop = top / ratio;
    else if (top + ROW > from + inSight) this.element.scrollTop = (top + ROW - inSight) / ratio;
    this.soon();
  }

  resized() {
    this.layOut();
    this.draw();
  }

  // -- drawing

  draw() {
    const tall = Math.min(this.height, TALLEST);
    const height = `${tall}px`;
    if (this.space.style.height !== height) {
      this.space.style.height = height;
      this.element.setAttribute("aria-rowcount", String(this.count + 1));
    }
    if (this.follow) {
      this.placing = true;
      this.element.scrollTop = this.element.scrollHeight;
      this.placing = false;
    }
    this.onFollow?.(this.follow, this.unseen);
    this.paint();
  }

  paint() {
    const { count, top, element } = this;
    const first = Math.max(0, Math.min(count, Math.floor(top / ROW)) - SPARE);
    const last = Math.min(count, Math.ceil((top + this.inSight) / ROW) + SPARE);
    while (this.rows.length < last - first) this.addRow();
    // Rows stand relative to a base that is near, for pixels far out are not exact; and to where
    // scrolling is, which is right also when a pixel stands for many.
    const base = first - (first % BASE);
    this.body.style.transform = `translateY(${(element.scrollTop - top + base * ROW).toFixed(2)}px)`;
    const stamp = `${this.stamp} ${base}`;
    const { length } = this.rows;
    let cursor = "";
    let isAbsent = false;
    for (let place = 0; place < length; place += 1) {
      // A row keeps its element while it is in sight: what scrolls in is all that must be drawn.
      const row = this.rows[place];
      const index = first + ((((place - first) % length) + length) % length);
      if (index >= last) {
        if (row.index >= 0) {
          row.element.hidden = true;
          this.dress(row, row.css, false);
        }
        row.index = -1;
        continue;
      }
      if (row.index !== index || row.stamp !== stamp) {
        row.element.style.transform = `translateY(${(index - base) * ROW}px)`;
        this.drawRow(row, index);
        row.stamp = stamp;
      }
      if (row.id < 0) isAbsent = true;
      else if (row.id === this.cursor) cursor = row.element.id;
    }
    if (isAbsent) this.miss();
    if (this.active !== cursor) {
      this.active = cursor;
      element.setAttribute("aria-activedescendant", cursor);
    }
  }

  /** Rows in sight have not come: once scrolling rests, ask for them, and not all the time. */
  miss() {
    const { missed, mirror } = this;
    if (missed.timer) return;
    missed.timer = setTimeout(() => {
      missed.timer = 0;
      const slots = this.rows.filter((row) => row.index >= 0 && !mirror.isHere(row.slot)).map((row) => row.slot);
      const key = slots.join();
      const now = performance.now();
      if (!slots.length || (key === missed.slots && now - missed.at < MISSED_MS)) return;
      missed.slots = key;
      missed.at = now;
      this.onAbsent?.(slots);
    }, REST_MS);
  }

  addRow() {
    const row = { element: null, cells: null, index: -1, id: -1, slot: -1, css: "", stamp: "" };
    row.cells = this.columns.map((column) => makeCell(column, this.mirror, row));
    row.element = make("div", { class: "nbi-row", role: "row", id: `${this.prefix}-${this.rows.length}` }, ...row.cells.map((cell) => cell.element));
    this.body.append(row.element);
    for (const each of this.rows) each.stamp = ""; // their places in the circle have changed
    this.rows.push(row);
  }

  drawRow(row, index) {
    const slot = (row.slot = this.slotAt(index));
    const { mirror } = this;
    const { element } = row;
    if (element.hidden) element.hidden = false;
    if (row.index !== index) {
      row.index = index;
      element.setAttribute("aria-rowindex", String(index + 2));
    }
    if (!mirror.isHere(slot)) {
      row.id = -1;
      this.dress(row, "nbi-row nbi-absent", false);
      for (const cell of row.cells) cell.text.nodeValue = "";
      return;
    }
    row.id = mirror.column.id[slot];
    const flags = mirror.column.flags[slot];
    let css = index % 2 ? "nbi-row nbi-odd" : "nbi-row";
    if (row.id === this.cursor) css += " nbi-cursor";
    if (flags & HELD) css += " nbi-is-held";
    else if (flags & FAILED || mirror.column.status[slot] >= 500) css += " nbi-is-bad";
    if (mirror.column.mark[slot]) css += " nbi-is-marked";
    this.dress(row, css, this.selected.has(row.id));
    for (const cell of row.cells) cell.column.draw(cell, mirror, slot);
  }

  dress(row, css, selected) {
    if (row.css !== css) row.element.className = row.css = css;
    const value = String(selected);
    if (row.element.getAttribute("aria-selected") !== value) row.element.setAttribute("aria-selected", value);
  }

  /** What stands where there are no rows. */
  say(text) {
    this.empty.textContent = text;
    this.empty.hidden = !text;
  }

  // -- selecting

  /** Select these flows; `from` is where it was said: by this "table" or for its "menu", "outside" of it, or "all" rows are meant, and nothing moves. */
  setSelected(ids, from = "outside") {
    this.selected = new Set(ids);
    this.stamp += 1;
    const last = ids.length ? ids[ids.length - 1] : -1;
    if (from === "outside") {
      this.cursor = this.anchor = last;
      const index = last >= 0 ? this.indexOf(last) : -1;
      if (index >= 0) {
        this.follow = false;
        this.reveal(index);
      }
    }
    this.paint();
    this.onSelect([...this.selected], this.cursor, from);
  }

  press(event) {
    if (event.button !== 0) return;
    const row = this.rows.find((each) => each.element.contains(event.target));
    if (!row || row.index < 0 || row.id < 0) return;
    const ids = this.range(row, event);
    this.cursor = row.id;
    this.follow = false;
    this.setSelected(ids, "table");
    this.onFollow?.(this.follow, this.unseen);
  }

  /** The menu of the row under the pointer or, by a key, of the one that has the focus. */
  menu(event) {
    const isPointed = event.button === 2 || event.target !== this.element;
    const shown = this.rows.filter((each) => each.index >= 0 && each.id >= 0);
    const row = shown.find((each) => (isPointed ? each.element.contains(event.target) : each.id === this.cursor));
    if (!row || (isPointed && event.shiftKey)) return; // the page's own, or the browser's
    event.preventDefault();
    event.stopPropagation();
    const { id, element } = row;
    if (!this.selected.has(id)) {
      this.cursor = this.anchor = id;
      this.follow = false;
      this.setSelected([id], "menu");
    }
    const { left, bottom } = element.getBoundingClientRect();
    this.element.focus({ preventScroll: true });
    this.onMenu?.(id, isPointed ? { x: event.clientX, y: event.clientY } : { x: left + 40, y: bottom });
  }

  range(row, { shiftKey, ctrlKey, metaKey }) {
    const from = shiftKey && this.anchor >= 0 ? this.indexOf(this.anchor) : -1;
    if (from >= 0) {
      const [low, high] = from < row.index ? [from, row.index] : [row.index, from];
      return this.idsOf(low, high);
    }
    this.anchor = row.id;
    if (!ctrlKey && !metaKey) return [row.id];
    const ids = new Set(this.selected);
    if (!ids.delete(row.id)) ids.add(row.id);
    return [...ids];
  }

  /** The ids of all rows that are shown and have come, in order. */
  get shown() {
    return this.idsOf(0, this.count - 1);
  }

  /** Those from one place to another, both included. */
  idsOf(low, high) {
    const ids = [];
    for (let index = low; index <= high; index += 1) if (this.mirror.isHere(this.slotAt(index))) ids.push(this.idAt(index));
    return ids;
  }

  key(event) {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "a") {
      event.preventDefault(); // else the text of the page would be selected
      event.stopPropagation();
      this.onSelectAll();
      return;
    }
    if (event.target !== this.element || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.inSight / ROW) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined || !this.count) return;
    event.preventDefault();
    event.stopPropagation();
    const here = this.cursor >= 0 ? this.indexOf(this.cursor) : -1;
    const from = here >= 0 ? here : step > 0 ? -1 : this.count;
    const index = Math.max(0, Math.min(this.count - 1, here < 0 && Math.abs(step) === Infinity ? (step > 0 ? this.count - 1 : 0) : from + step));
    if (!this.mirror.isHere(this.slotAt(index))) {
      this.follow = false;
      this.reveal(index); // which asks for it: the next press selects it
      return;
    }
    const id = this.idAt(index);
    const ids = event.shiftKey ? this.range({ id, index }, { shiftKey: true }) : [id];
    this.cursor = id;
    if (!event.shiftKey) this.anchor = id;
    this.follow = false;
    this.reveal(index);
    this.setSelected(ids, "table");
  }
}
