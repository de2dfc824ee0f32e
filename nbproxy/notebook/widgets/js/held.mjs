// The queue of flows that are held: what to do with each, and how long they will wait.

import { button, countText, make } from "./dom.mjs";

export class HeldQueue {
  /** `act(name, id)` for resume, kill, edit, answer; `show(id)` to see one. */
  constructor({ act, show }) {
    this.act = act;
    this.show = show;
    this.held = [];
    this.key = "";
    this.list = make("ul", { class: "nbi-held-list", "aria-label": "Held flows" });
    this.title = make("span", { class: "nbi-held-title" });
    this.all = button("Resume all", () => this.act("resume_all"), { kind: "nbi-main", title: "Let all of them go on" });
    this.element = make(
      "section",
      { class: "nbi-queue", "aria-label": "Intercepted flows", hidden: true },
      make("div", { class: "nbi-queue-head" }, this.title, make("span", { class: "nbi-gap" }), this.all),
      this.list,
    );
  }

  close() {
    clearInterval(this.timer);
  }

  update(held, selected) {
    const key = JSON.stringify([held.map(({ id, side, until }) => [id, side, until]), held.map(({ id }) => selected.has(id))]);
    if (key === this.key) return;
    this.key = key;
    this.held = held;
    this.element.hidden = !held.length;
    this.title.textContent = `${countText(held.length)} held`;
    this.all.hidden = held.length < 2;
    this.list.replaceChildren(...held.map((each) => this.item(each, selected.has(each.id))));
    clearInterval(this.timer);
    if (held.length) this.timer = setInterval(() => this.tick(), 1000);
    this.tick();
  }

  item(flow, isSelected) {
    const act = (name) => () => this.act(name, flow.id);
    return make(
      "li",
      { class: "nbi-held-item", data: { id: String(flow.id) }, "aria-current": isSelected ? "true" : null },
      make("button", { class: "nbi-held-what", title: "Show it", on: { click: () => this.show(flow.id) } }, make("b", { text: flow.side === "response" ? "response" : "request" }), make("span", { class: "nbi-held-method", text: flow.method }), make("span", { class: "nbi-held-url", text: flow.url })),
      make("span", { class: "nbi-held-left", data: { until: String(flow.until ?? 0) } }),
      button("Resume", act("resume"), { kind: "nbi-main" }),
      button("Edit…", act("edit")),
      button("Answer…", act("answer"), { title: "Answer it from here; the server is not asked" }),
      button("Drop", act("kill"), { kind: "nbi-danger", title: "End it: the client's connection is cut" }),
    );
  }

  /** Say how long each will wait. */
  tick() {
    for (const element of this.list.querySelectorAll(".nbi-held-left")) {
      const until = Number(element.dataset.until);
      const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
      element.textContent = until ? `${left} s` : "";
      element.title = until ? `released unchanged in ${left} s` : "";
    }
  }
}
