// The inspector's face: toolbar, table, queue of held flows, details.

import { Desk } from "./desk.mjs";
import { DetailPane } from "./detail.mjs";
import { button, countText, make, sizeText } from "./dom.mjs";
import { FilterBox } from "./filterbox.mjs";
import { Grid } from "./grid.mjs";
import { HeldQueue } from "./held.mjs";
import { columnItems, rowItems } from "./items.mjs";
import { Toasts, menuButton, openMenu } from "./menu.mjs";
import { Orders } from "./orders.mjs";
import { Sparkline } from "./sparkline.mjs";

const LAYOUT = "nbproxy.inspector.layout";

/** One view of it. */
class View {
  constructor(desk, root) {
    this.desk = desk;
    this.root = root;
    this.due = new Set();
    this.expected = null; // the id of a flow that is to be shown once its row is here
    this.build();
    this.desk.add(this);
    for (const what of ["phase", "state", "filter", "rows"]) this.changed(what);
    if (desk.selected.length) this.grid.setSelected(desk.selected);
  }

  build() {
    const { desk, root } = this;
    root.classList.add("nbi");
    root.style.height = `${desk.model.get("height")}px`;
    this.toasts = new Toasts();
    this.orders = new Orders(this);
    this.filter = new FilterBox(desk.link, { onLeave: () => this.grid.element.focus() });
    this.grid = new Grid(desk.mirror, {
      onSelect: (ids, cursor, from) => this.selected(ids, cursor, from),
      onSelectAll: () => this.selectAll(),
      onFollow: (isFollowing, unseen) => this.following(isFollowing, unseen),
      onAbsent: (slots) => desk.link.call("want", { slots }).catch(() => {}),
      onMenu: (id, point) => this.openRowMenu(id, point),
    });
    this.detail = new DetailPane(desk.link, {
      run: (name, args) => this.orders.run(name, args),
      onClose: () => this.closeDetail(),
      say: (text, isFault) => this.toasts.say(text, isFault),
    });
    this.queue = new HeldQueue({ act: (name, id) => this.orders.held(name, id), show: (id) => this.show(id), leave: () => this.grid.element.focus() });
    this.spark = new Sparkline(desk.mirror);
    this.light = make("span", { class: "nbi-light", "aria-hidden": "true" });
    this.where = make("span", { class: "nbi-where" });
    this.intercept = make("button", { class: "nbi-button nbi-intercept", text: "Intercept", "aria-pressed": "false", title: "Hold flows that match, to look at and change them (i)", "aria-keyshortcuts": "i", on: { click: () => this.orders.toggleIntercept() } });
    this.dock = make("button", { class: "nbi-button nbi-icon nbi-dock", title: "Details below or beside the table", "aria-label": "Details below or beside the table", text: "◧", on: { click: () => this.setDock(!this.isBeside) } });
    const menu = menuButton("Columns", () => columnItems(this.grid), { title: "Choose columns", name: "Columns" });
    this.toolbar = make(
      "div",
      { class: "nbi-toolbar", role: "toolbar", "aria-label": "Inspector" },
      make("span", { class: "nbi-status" }, this.light, this.where),
      this.filter.element,
      this.spark.element,
      this.intercept,
      menu,
      this.dock,
    );
    this.newer = button("", () => this.grid.toEnd(), { kind: "nbi-newer" });
    this.newer.hidden = true;
    this.banner = make("div", { class: "nbi-banner", role: "status", hidden: true });
    this.splitter = make("div", { class: "nbi-splitter", role: "separator", tabindex: "0", "aria-label": "Height of the details", "aria-orientation": "horizontal", hidden: true });
    this.counts = make("span", { class: "nbi-counts", role: "status", "aria-live": "polite" });
    this.progress = make("span", { class: "nbi-progress" });
    this.keys = make("span", { class: "nbi-keys", "aria-hidden": "true", text: "↑↓ move · Ctrl+A all · / filter · r replay · e edit · i intercept · Esc back" });
    const table = make("div", { class: "nbi-table" }, this.grid.element, this.newer);
    this.main = make("div", { class: "nbi-main-area" }, table, this.splitter, this.detail.element);
    root.replaceChildren(this.toolbar, this.banner, this.queue.element, this.main, make("div", { class: "nbi-footer" }, this.counts, this.progress, make("span", { class: "nbi-gap" }), this.keys), this.toasts.element);
    this.onKey = (event) => this.key(event);
    root.addEventListener("keydown", this.onKey);
    this.splitter.addEventListener("pointerdown", (event) => this.split(event));
    this.splitter.addEventListener("keydown", (event) => this.splitKey(event));
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(root);
    this.restoreLayout();
    this.hideStatic();
  }

  close() {
    this.observer.disconnect();
    this.root.removeEventListener("keydown", this.onKey);
    this.grid.close();
    this.queue.close();
    this.spark.close();
    this.style?.remove();
    this.desk.remove(this);
  }

  /** The plain table beside this widget is for places without widgets. */
  hideStatic() {
    const id = this.desk.model.get("static_id");
    if (!/^nbp-static-[0-9a-f]+$/.test(id ?? "")) return;
    this.style = make("style", { text: `.${id}{display:none}.jp-OutputArea-child:has(.${id}){display:none}` });
    document.head.append(this.style);
  }

  // -- what changed

  /** Something changed; the page is brought up to date with the next frame. */
  changed(what) {
    this.due.add(what);
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      const { due } = this;
      this.due = new Set();
      this.update(due);
    });
  }

  update(due) {
    const { desk } = this;
    if (due.has("phase") || due.has("pending") || due.has("state")) this.drawState();
    if (due.has("filter")) this.filter.show(desk.filter);
    if (due.has("rows") || due.has("filter")) {
      this.grid.update();
      this.spark.update();
      this.drawCounts();
      this.refreshDetail();
      if (this.expected !== null && desk.mirror.find(this.expected) >= 0) this.show(this.expected);
    }
    if (due.has("state")) {
      this.drawQueue();
      this.drawCounts();
      this.orders.checkEdited();
      const { body_views: views } = desk.state; // changes when scripts' views come and go
      if (views !== this.bodyViews && this.bodyViews !== undefined) this.detail.refresh();
      this.bodyViews = views;
      this.sayExpired();
    }
  }

  /** Nobody may be looking at the cell that is told that the time of a flow was up. */
  sayExpired() {
    const [count, last] = this.desk.state.expired ?? [];
    const more = count - (this.expired ?? count);
    this.expired = count ?? this.expired;
    if (more > 0) this.toasts.say(`${more === 1 ? `Flow ${last}` : countText(more, "flow")} went on unchanged: the time was up`, true);
  }

  drawQueue() {
    const { held = [], held_count: count } = this.desk.state;
    this.queue.update(held, this.grid.selected, held.length ? count : 0);
  }

  drawState() {
    const { phase, state, link, mirror } = this.desk;
    const texts = {
      connecting: mirror.total ? "" : "connecting…",
      waiting: "the kernel is busy",
      saved: "saved, not live",
      restarted: "kernel restarted",
      stopped: "stopped",
    };
    const isLive = phase === "live";
    this.where.textContent = isLive ? (state.listening ? state.url.replace("http://", "") : "proxy stopped") : texts[phase];
    this.light.className = `nbi-light ${isLive && state.listening ? "nbi-on" : isLive || phase === "connecting" ? "" : "nbi-off"}`;
    this.root.classList.toggle("nbi-dead", phase === "restarted" || phase === "saved");
    const banners = {
      restarted: "The kernel was restarted. This is what was known before; run the cell again for a live inspector.",
      saved: "This is what the notebook kept when it was saved. Run the cell for a live inspector.",
      stopped: "nbproxy was unloaded. Run %load_ext nbproxy and the cell again for a live inspector.",
    };
    const slow = isLive && link.isSlow ? (link.access ? "The kernel is busy; trying the proxy's own port…" : "The kernel is busy: it will answer when its cell has ended.") : "";
    const text = banners[phase] ?? slow;
    this.banner.textContent = text;
    this.banner.hidden = !text;
    const on = Boolean(state.intercept);
    this.intercept.setAttribute("aria-pressed", String(on));
    this.intercept.textContent = on ? `Intercepting ${state.intercept === "~all" ? "all" : state.intercept}` : "Intercept";
    this.intercept.disabled = !state.can_intercept && isLive;
  }

  drawCounts() {
    const { mirror, filter, state } = this.desk;
    const all = mirror.total - this.goneCount();
    const shown = this.grid.count;
    const parts = [mirror.kept > all ? `the last ${countText(all)} of ${countText(mirror.kept, "flow")}` : mirror.isFiltered ? `${countText(shown)} of ${countText(all, "flow")}` : countText(all, "flow"), sizeText(Math.max(0, mirror.bytes))];
    if (mirror.failed > 0) parts.push(countText(mirror.failed, "error"));
    if (this.grid.selected.size > 1) parts.push(`${countText(this.grid.selected.size)} selected`);
    const text = parts.join(" · ");
    if (this.counts.textContent !== text) this.counts.textContent = text;
    const [written, toWrite] = state.saving ?? [];
    this.progress.textContent = toWrite ? `saving ${countText(written)} of ${countText(toWrite, "flow")}…` : mirror.asking ? `asking ${countText(mirror.asking)}…` : mirror.left ? `${countText(mirror.left)} rows to come…` : "";
    this.grid.say(shown ? "" : mirror.asking ? "Looking…" : filter && all ? "No flow matches the filter." : "Nothing has passed yet.");
  }

  goneCount() {
    const { mirror } = this.desk;
    return Math.max(0, mirror.total - mirror.here - mirror.left);
  }

  following(isFollowing, unseen) {
    const isSorted = Boolean(this.grid?.sort);
    this.newer.hidden = isFollowing || isSorted || !this.desk.mirror.total || (!unseen && this.grid.isAtEnd);
    this.newer.textContent = unseen ? `↓ ${countText(unseen)} new` : "↓ newest";
  }

  // -- selection and details

  selected(ids, cursor, from) {
    this.expected = null;
    if (from === "table" || from === "menu") this.desk.select(ids, this);
    this.drawCounts();
    if (cursor >= 0 && ids.includes(cursor)) {
      if ((from !== "all" && from !== "menu") || this.detail.isOpen) this.openDetail(cursor, ids.length);
    } else if (!ids.length) this.closeDetail(false);
    this.drawQueue();
  }

  selectedElsewhere(ids, from = "outside") {
    this.grid.setSelected(ids, from);
  }

  /** The menu of a row: it is for all that are selected where one flow makes no difference. */
  openRowMenu(id, point) {
    const { ids } = this;
    const items = rowItems({
      run: (name, args = {}) => this.orders.attempt(() => this.orders[`do_${name}`](id, ids, args)),
      act: (name) => this.orders.held(name, id),
      count: ids.length,
      isHeld: (this.desk.state.held ?? []).some((each) => each.id === id),
      isMarked: this.desk.mirror.isMarked(id),
    });
    openMenu(this.root, () => items, { ...point, name: `Flow ${id}` });
  }

  selectAll() {
    const ids = this.grid.shown;
    this.desk.selectAll(ids, this);
    this.grid.setSelected(ids, "all");
  }

  show(id) {
    this.grid.setSelected([id]);
    this.desk.select([id], this);
  }

  openDetail(id, count) {
    const wasOpen = this.detail.isOpen;
    this.detail.open(id, count);
    this.splitter.hidden = false;
    this.seen = this.rowKey(id);
    if (!wasOpen) {
      this.grid.resized();
      const index = this.grid.indexOf(id);
      if (index >= 0) this.grid.reveal(index);
    }
  }

  closeDetail(refocus = true) {
    if (!this.detail.isOpen) return;
    this.detail.close();
    this.splitter.hidden = true;
    this.grid.resized();
    if (refocus) this.grid.element.focus();
  }

  /** What the row of a flow says: if it is something else the details are as well. */
  rowKey(id) {
    const { mirror } = this.desk;
    const slot = mirror.find(id);
    if (slot < 0) return "";
    const { flags, status, received, duration, mark, comment } = mirror.column;
    return [flags[slot], status[slot], received[slot], duration[slot], mark[slot], comment[slot]].join();
  }

  refreshDetail() {
    if (!this.detail.isOpen) return;
    const key = this.rowKey(this.detail.id);
    if (key === this.seen) return;
    this.seen = key;
    this.detail.refresh();
  }

  // -- keys

  key(event) {
    const { target } = event;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("input, textarea, select, .nbi-menu")) return;
    const keys = {
      "/": () => this.filter.focus(),
      r: () => this.orders.run("replay"),
      e: () => this.orders.run("edit"),
      i: () => this.orders.toggleIntercept(),
      Escape: () => this.back(),
    };
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  /** One step back: out of the details, the selection, the filter. */
  back() {
    if (this.detail.editor) {
      this.detail.leaveEditor();
      this.detail.fetch();
    } else if (this.detail.isOpen) {
      this.closeDetail();
    } else if (this.grid.selected.size) {
      this.grid.cursor = -1;
      this.grid.setSelected([], "table");
    } else if (this.desk.filter) {
      this.filter.set("", true);
    }
  }

  /** Show a flow as soon as its row is here, unless another one is selected meanwhile. */
  later(id) {
    this.expected = id;
    this.changed("rows");
  }

  get ids() {
    const { selected } = this.grid;
    return selected.size ? [...selected] : [];
  }

  // -- layout

  restoreLayout() {
    let layout = {};
    try {
      layout = JSON.parse(localStorage.getItem(LAYOUT) ?? "{}") ?? {};
    } catch {
      // as it comes
    }
    this.setShare(layout.share ?? 0.5, false);
    this.setDock(layout.beside ?? false, false);
  }

  remember() {
    try {
      localStorage.setItem(LAYOUT, JSON.stringify({ share: this.share, beside: this.isBeside }));
    } catch {
      // as long as the page
    }
  }

  setDock(isBeside, keep = true) {
    this.isBeside = isBeside;
    this.dock.setAttribute("aria-pressed", String(isBeside));
    if (keep) this.remember();
    this.resized();
  }

  setShare(share, keep = true) {
    this.share = Math.min(0.85, Math.max(0.15, share));
    this.main.style.setProperty("--nbi-share", `${(100 * this.share).toFixed(1)}%`);
    this.splitter.setAttribute("aria-valuenow", String(Math.round(100 * this.share)));
    if (keep) this.remember();
  }

  resized() {
    const width = this.root.clientWidth;
    const isBeside = this.isBeside && width > 640;
    this.root.classList.toggle("nbi-beside", isBeside);
    this.root.classList.toggle("nbi-narrow", width <= 640);
    this.root.classList.toggle("nbi-tiny", width <= 420);
    this.splitter.setAttribute("aria-orientation", isBeside ? "vertical" : "horizontal");
  }

  split(event) {
    event.preventDefault();
    const area = this.main.getBoundingClientRect();
    const move = ({ clientX, clientY }) => {
      const beside = this.root.classList.contains("nbi-beside");
      this.setShare(beside ? (area.right - clientX) / area.width : (area.bottom - clientY) / area.height, false);
    };
    this.splitter.setPointerCapture(event.pointerId);
    this.splitter.addEventListener("pointermove", move);
    this.splitter.addEventListener("pointerup", () => this.splitter.releasePointerCapture(event.pointerId), { once: true });
    this.splitter.addEventListener("lostpointercapture", () => {
      this.splitter.removeEventListener("pointermove", move);
      this.remember();
    }, { once: true });
  }

  splitKey(event) {
    const step = { ArrowUp: 0.05, ArrowLeft: 0.05, ArrowDown: -0.05, ArrowRight: -0.05 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    this.setShare(this.share + step);
  }
}

export default () => {
  let desk = null;
  return {
    initialize({ model }) {
      desk = new Desk(model);
      return () => desk.close();
    },
    render({ el }) {
      const view = new View(desk, make("div"));
      el.classList.add("nbi-host");
      el.append(view.root);
      return () => view.close();
    },
  };
};
