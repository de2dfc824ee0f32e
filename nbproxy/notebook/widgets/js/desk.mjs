// What all views of one widget in this page share: the rows, the link to the kernel, the selection.

import { Link } from "./link.mjs";
import { Mirror, bytesOf } from "./mirror.mjs";

const WELCOME_MS = 1500;
const LOST = new Set(["restarting", "autorestarting", "dead", "terminating"]);

export class Desk {
  constructor(model) {
    this.model = model;
    this.mirror = new Mirror();
    this.link = new Link(model);
    this.views = new Set();
    this.session = "";
    this.modelId = "";
    this.last = 0; // number of the last batch
    this.filter = "";
    this.selected = [];
    this.state = { listening: null, url: "", held: [], intercept: "" };
    this.phase = "connecting"; // connecting, live, saved, restarted, stopped
    this.began = performance.now();
    const { link } = this;
    link.on("welcome", (message) => this.welcome(message));
    link.on("batch", (message, buffers) => this.batch(message, buffers));
    link.on("filter", ({ source, serial }) => this.setFilter(source, serial));
    link.on("select", ({ ids }) => this.select(ids, null));
    link.on("select_all", (_, [ids]) => this.keep([...new Uint32Array(bytesOf(ids))], null));
    link.on("state", ({ state }) => this.setState(state));
    link.on("stopped", () => this.setPhase("stopped"));
    link.on("pending", () => this.tell("pending"));
    this.onLive = () => this.checkAlive();
    model.on("comm_live_update", this.onLive);
    this.watchKernel();
    const snapshot = model.get("snapshot");
    if (snapshot?.count) this.mirror.restore(snapshot);
    this.timer = setTimeout(() => {
      if (this.phase === "connecting") this.setPhase(link.isAlive && this.kernelStatus === "busy" ? "waiting" : "saved");
    }, WELCOME_MS);
  }

  get kernelStatus() {
    return this.link.kernel?.status ?? "";
  }

  /** Say hello, when there is somebody to look. */
  hello() {
    this.link.call("hello", { have: this.last, session: this.session }).catch(() => {});
  }

  watchKernel() {
    const { kernel } = this.link;
    if (!kernel?.statusChanged) return;
    this.kernel = kernel;
    this.onStatus = (_, status) => {
      if (LOST.has(status)) this.lose();
      this.tell("pending");
    };
    kernel.statusChanged.connect(this.onStatus);
  }

  checkAlive() {
    // the model proxy hides the flag, but the event comes when it changes: ask the manager
    if (LOST.has(this.kernelStatus)) this.lose();
  }

  /** The kernel that this belonged to is gone. */
  lose() {
    if (this.phase === "restarted") return;
    this.link.isAlive = false;
    for (const id of [...this.link.pending.keys()]) this.link.settle({ id, error: "the kernel was restarted" });
    this.state = { ...this.state, held: [], listening: false };
    this.setPhase("restarted");
  }

  setPhase(phase) {
    this.phase = phase;
    this.tell("phase");
  }

  welcome(message) {
    clearTimeout(this.timer);
    if (message.session !== this.session && this.session) this.mirror.reset(-1);
    if (message.session !== this.session) this.last = 0;
    this.session = message.session;
    this.modelId = message.model_id;
    this.link.access = message.access;
    this.link.isAlive = true;
    this.setPhase("live");
    this.setState(message.state);
    this.setFilter(message.filter, message.serial);
    if (message.selected.join() !== this.selected.join()) this.select(message.selected, null);
  }

  batch(message, buffers) {
    if (this.session && message.session !== this.session) return;
    this.mirror.apply(message, buffers);
    const missed = message.number > this.last + 1 && this.last > 0;
    const before = this.last;
    this.last = Math.max(this.last, message.number);
    if (missed) this.link.call("resend", { have: before }).catch(() => {});
    else this.link.acknowledge(message.number);
    if (this.phase === "connecting" || this.phase === "waiting") this.setPhase("live");
    this.tell("rows");
  }

  setFilter(source, serial) {
    this.filter = source;
    this.mirror.filterBy(serial, Boolean(source));
    this.tell("filter");
  }

  setState(state) {
    this.state = { ...this.state, ...state };
    this.tell("state");
  }

  /** Select flows; `view` did it, null for the kernel. */
  select(ids, view) {
    this.selected = ids;
    if (view) this.link.call("select", { ids }).catch(() => {});
    for (const each of this.views) if (each !== view) each.selectedElsewhere(ids);
  }

  /** Select all rows that are shown, of which `ids` are here: the kernel says which others there are. */
  selectAll(ids, view) {
    this.link.call("select_all").catch(() => {});
    this.keep(ids, view);
  }

  /** These are selected now; nothing moves for that. */
  keep(ids, view) {
    this.selected = ids;
    for (const each of this.views) if (each !== view) each.selectedElsewhere(ids, "all");
  }

  tell(what) {
    for (const view of this.views) view.changed(what);
  }

  add(view) {
    this.views.add(view);
    if (this.views.size === 1) this.hello();
  }

  remove(view) {
    this.views.delete(view);
    if (!this.views.size && this.link.isAlive) this.link.call("bye").catch(() => {});
  }

  close() {
    clearTimeout(this.timer);
    this.model.off("comm_live_update", this.onLive);
    this.kernel?.statusChanged?.disconnect(this.onStatus);
    this.link.close();
  }
}
