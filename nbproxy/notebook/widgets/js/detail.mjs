// The detail pane: one flow, in tabs.

import { BodyView, pairTable } from "./body.mjs";
import { Editor } from "./edit.mjs";
import { button, countText, durationText, fill, make, markText, sizeText, uniqueId } from "./dom.mjs";
import { menuButton } from "./menu.mjs";
import { timingView } from "./timing.mjs";

const TABS = [
  ["request", "Request"],
  ["response", "Response"],
  ["websocket", "Messages"],
  ["timing", "Timing"],
  ["connection", "Connection"],
  ["cookies", "Cookies"],
  ["changes", "Changes"],
];

export class DetailPane {
  /** `run(name, args)` does what a button says. */
  constructor(link, { run, onClose, say }) {
    this.link = link;
    this.run = run;
    this.say = say;
    this.onClose = onClose;
    this.tab = "response";
    this.id = -1;
    this.flow = null;
    this.revealed = false;
    this.views = {}; // side to the view of its body that was chosen
    this.editor = null;
    this.prefix = uniqueId("tab");
    this.build();
  }

  build() {
    this.tabs = make("div", { class: "nbi-tabs", role: "tablist", "aria-label": "Details" });
    this.buttons = TABS.map(([key, title]) =>
      make("button", {
        class: "nbi-tab",
        role: "tab",
        id: `${this.prefix}-${key}`,
        "aria-controls": `${this.prefix}-panel`,
        text: title,
        hidden: key === "websocket",
        data: { key },
        on: { click: () => this.choose(key), keydown: (event) => this.tabKey(event) },
      }),
    );
    this.tabs.append(...this.buttons);
    this.actions = make("div", { class: "nbi-actions", role: "toolbar", "aria-label": "Actions on the flow" });
    this.headline = make("div", { class: "nbi-headline" });
    this.panel = make("div", { class: "nbi-panel", role: "tabpanel", id: `${this.prefix}-panel`, tabindex: "0" });
    this.element = make(
      "section",
      { class: "nbi-detail", "aria-label": "Details of the selected flow", hidden: true },
      make("div", { class: "nbi-detail-bar" }, this.tabs, this.actions),
      this.headline,
      this.panel,
    );
    this.drawActions();
  }

  drawActions() {
    const { run } = this;
    this.replay = button("↻ Replay", () => run("replay"), { title: "Send the request again", key: "r" });
    this.edit = button("Edit…", () => run("edit"), { title: "Edit and replay: change the request, and send it", key: "e" });
    this.revealButton = make("button", { class: "nbi-button", text: "Reveal", title: "Show the secrets of this flow", "aria-pressed": "false", on: { click: () => this.toggleReveal() } });
    this.mark = make("button", { class: "nbi-button", text: "★", title: "Mark", "aria-label": "Mark", "aria-pressed": "false", on: { click: () => run("mark") } });
    this.actions.replaceChildren(
      this.replay,
      this.edit,
      menuButton("Copy ▾", () => [
        { label: "as curl", action: () => run("curl") },
        { label: "URL", action: () => run("url") },
        { label: "as requests code", action: () => run("copy_code", { library: "requests" }) },
        { label: "as httpx code", action: () => run("copy_code", { library: "httpx" }) },
      ], { title: "Copy the request", name: "Copy" }),
      menuButton("To cell ▾", () => [
        { label: "requests", action: () => run("to_cell", { library: "requests" }) },
        { label: "httpx", action: () => run("to_cell", { library: "httpx" }) },
      ], { title: "Make a new cell that sends it", name: "To cell" }),
      this.mark,
      menuButton("⋯", () => [
        { label: "Comment…", action: () => run("comment") },
        { label: "Save…", action: () => run("save") },
        { label: this.revealed ? "Mask secrets" : "Reveal secrets", action: () => this.toggleReveal() },
        "-",
        { label: "Remove from the flows", action: () => run("remove") },
      ], { title: "More", name: "More" }),
      this.revealButton,
      make("button", { class: "nbi-button nbi-close", text: "✕", title: "Close the details (Esc)", "aria-label": "Close the details", on: { click: () => this.onClose() } }),
    );
  }

  tabKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const shown = this.buttons.filter((each) => !each.hidden);
    const next = shown[(shown.indexOf(event.currentTarget) + step + shown.length) % shown.length];
    this.choose(next.dataset.key);
    next.focus();
  }

  get isOpen() {
    return !this.element.hidden;
  }

  /** Show a flow; `count` are selected. */
  open(id, count = 1) {
    const isOther = id !== this.id;
    this.id = id;
    this.element.hidden = false;
    this.count = count;
    if (isOther) {
      this.revealed = false;
      this.views = {};
      this.leaveEditor();
    }
    if (this.editor) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(), isOther && this.flow ? 40 : 0);
  }

  close() {
    this.element.hidden = true;
    this.id = -1;
    this.flow = null;
    this.leaveEditor();
    clearTimeout(this.timer);
    this.panel.replaceChildren();
  }

  /** The flow has changed: fetch it again, unless somebody is editing or reading a fixed body. */
  refresh() {
    if (this.isOpen && !this.editor) this.fetch();
  }

  async fetch() {
    const { id, revealed } = this;
    const asked = (this.asked = (this.asked ?? 0) + 1);
    let flow;
    try {
      flow = await this.link.call("detail", { flow: id, reveal: revealed });
    } catch (error) {
      if (asked === this.asked) {
        this.flow = null;
        this.drawHeadline();
        this.panel.replaceChildren(make("div", { class: "nbi-hint nbi-failed", text: error.message }));
      }
      return;
    }
    if (asked !== this.asked || this.editor) return;
    const before = this.flow;
    this.flow = flow;
    // the same content again (a refresh while it is under way) must not scroll away
    const same = before && JSON.stringify(before) === JSON.stringify(flow);
    if (same) this.drawHeadline(); // how many are selected may differ
    else this.draw(before?.id === flow.id);
  }

  toggleReveal() {
    this.revealed = !this.revealed;
    this.flow = null;
    this.fetch();
  }

  choose(key) {
    this.tab = key;
    if (this.flow) this.draw(false);
  }

  get shownTab() {
    const { flow, tab } = this;
    if (tab === "websocket" && !flow?.websocket) return "response";
    return tab;
  }

  drawTabs() {
    const { flow } = this;
    const chosen = this.shownTab;
    for (const each of this.buttons) {
      const { key } = each.dataset;
      each.hidden = key === "websocket" && !flow?.websocket;
      each.setAttribute("aria-selected", String(key === chosen));
      each.tabIndex = key === chosen ? 0 : -1;
      if (key === chosen) this.panel.setAttribute("aria-labelledby", each.id);
    }
    const count = flow ? flow.changes.length + flow.handler_errors.length : 0;
    this.badge("changes", count);
    this.badge("cookies", flow ? flow.cookies.request.length + flow.cookies.response.length : 0);
    this.badge("websocket", flow?.websocket?.count ?? 0);
  }

  badge(key, count) {
    const tab = this.buttons.find((each) => each.dataset.key === key);
    const title = TABS.find(([name]) => name === key)[1];
    tab.replaceChildren(title, ...(count ? [make("span", { class: "nbi-badge", text: countText(count) })] : []));
  }

  drawHeadline() {
    const { flow } = this;
    if (!flow) {
      this.headline.replaceChildren(make("span", { class: "nbi-hint", text: `Flow ${this.id}` }));
      return;
    }
    const hundreds = Math.floor((flow.status ?? 0) / 100);
    const state = flow.held ? "held" : flow.status ?? (flow.error ? "error" : "…");
    const css = flow.held ? "nbi-held" : flow.error && !flow.status ? "nbi-s5" : flow.status ? `nbi-s${hundreds >= 2 && hundreds <= 5 ? hundreds : 0}` : "nbi-open";
    fill(
      this.headline,
      make("span", { class: `nbi-chip ${css}`, text: String(state) }),
      make("b", { text: flow.method }),
      make("span", { class: "nbi-url", text: flow.url, title: flow.url }),
      this.count > 1 ? make("span", { class: "nbi-hint", text: `and ${countText(this.count - 1)} more selected` }) : null,
      flow.origin ? make("span", { class: "nbi-hint nbi-origin", text: `asked by ${flow.origin}` }) : null,
      flow.replay ? make("span", { class: "nbi-tag", text: `replayed ${flow.replay}` }) : null,
      flow.mark ? make("span", { class: "nbi-tag", text: markText(flow.mark) }) : null,
      flow.comment ? make("span", { class: "nbi-tag", text: flow.comment }) : null,
    );
    this.revealButton.textContent = this.revealed ? "Mask" : "Reveal";
    this.revealButton.setAttribute("aria-pressed", String(this.revealed));
    this.mark.setAttribute("aria-pressed", String(Boolean(flow.mark)));
  }

  draw(keepScroll) {
    const { flow } = this;
    const top = this.panel.scrollTop;
    this.drawTabs();
    this.drawHeadline();
    const views = {
      request: () => this.message("request", flow.request),
      response: () => (flow.response ? this.message("response", flow.response) : [this.fault() ?? make("div", { class: "nbi-hint", text: flow.held ? "It is held before it goes to the server." : "There is no response yet." })]),
      websocket: () => this.messages(),
      timing: () => [timingView(flow.timing)],
      connection: () => this.connections(),
      cookies: () => this.cookies(),
      changes: () => this.changes(),
    };
    fill(this.panel, ...views[this.shownTab]());
    this.panel.scrollTop = keepScroll ? top : 0;
  }

  fault() {
    const { flow } = this;
    return flow.error ? make("div", { class: "nbi-error", text: `✕ ${flow.error}` }) : null;
  }

  message(side, message) {
    const head = make(
      "section",
      { class: "nbi-head-view", "aria-label": "Head" },
      make("div", { class: "nbi-first-line" }, ...message.line.map((text, index) => make(index === 1 ? "b" : "span", { text }))),
      pairTable(message.headers, { css: "nbi-headers" }),
    );
    const parts = [side === "response" ? this.fault() : null, head];
    if (message.query?.length) parts.push(this.part("Query", pairTable(message.query, { css: "nbi-form" })));
    const { [side]: chosen } = this.views;
    const onChoose = (view) => (this.views[side] = view);
    parts.push(new BodyView(this.link, this.id, side, message, { reveal: this.revealed, chosen, onChoose }).element);
    if (message.trailers) parts.push(this.part("Trailers", pairTable(message.trailers, { css: "nbi-headers" })));
    return parts;
  }

  part(title, ...content) {
    return make("section", { class: "nbi-section", "aria-label": title }, make("div", { class: "nbi-part", text: title }), ...content);
  }

  connections() {
    return this.flow.connections.map(({ title, facts, certificates }) =>
      this.part(
        title,
        facts.length ? pairTable(facts) : make("div", { class: "nbi-hint", text: "Nothing is known of it." }),
        ...certificates.map((certificate, index) => this.part(index ? `Certificate ${index + 1}, the issuer's` : "Certificate", pairTable(certificate))),
      ),
    );
  }

  cookies() {
    const { request, response } = this.flow.cookies;
    const found = [];
    if (request.length) found.push(this.part("Sent", pairTable(request, { titles: ["name", "value"] })));
    if (response.length) found.push(this.part("Set by the response", pairTable(response, { titles: ["name", "value", "attributes"] })));
    return found.length ? found : [make("div", { class: "nbi-hint", text: "No cookies." })];
  }

  changes() {
    const { changes, handler_errors: errors, notes } = this.flow;
    const found = [];
    if (changes.length) found.push(this.part("Changed by handlers", pairTable(changes, { titles: ["by", "field", "before", "after"], css: "nbi-changes" })));
    if (errors.length) found.push(this.part("Failed in handlers", ...errors.map((text) => make("pre", { class: "nbi-pre nbi-failed", text }))));
    if (notes.length) found.push(this.part("Notes", pairTable(notes)));
    return found.length ? found : [make("div", { class: "nbi-hint", text: "No handler is known to have changed it." })];
  }

  messages() {
    const { websocket } = this.flow;
    const rows = websocket.messages.map(([fromClient, , size, text, state, when]) =>
      make(
        "div",
        { class: `nbi-ws ${fromClient ? "nbi-ws-up" : "nbi-ws-down"}`, role: "listitem" },
        make("span", { class: "nbi-ws-way", text: fromClient ? "↑" : "↓", title: fromClient ? "from the client" : "from the server" }),
        make("span", { class: "nbi-ws-when", text: durationText(when) }),
        make("pre", { class: "nbi-pre", text }),
        make("span", { class: "nbi-ws-size", text: `${sizeText(size)}${state ? ` · ${state}` : ""}` }),
      ),
    );
    const left = websocket.count - rows.length;
    return [
      left > 0 ? make("div", { class: "nbi-hint", text: `The last ${countText(rows.length)} of ${countText(websocket.count)} messages` }) : null,
      make("div", { role: "list", "aria-label": "Messages" }, ...rows),
      websocket.closed ? make("div", { class: "nbi-hint", text: `Closed with ${websocket.closed} ${websocket.reason}` }) : null,
    ];
  }

  // -- editing

  /** Edit a message in place of the tabs. */
  startEditor(message, buttons, options) {
    const back = () => {
      this.leaveEditor();
      this.fetch();
      this.panel.focus();
    };
    this.editor = new Editor(message, buttons, { ...options, onLeave: back });
    this.panel.replaceChildren(this.editor.element);
    this.element.classList.add("nbi-editing");
    this.editor.focus();
  }

  leaveEditor() {
    if (!this.editor) return;
    this.editor = null;
    this.flow = null;
    this.element.classList.remove("nbi-editing");
  }
}
