// The queue of flows that are held: what to do with each, and how long they will wait.

import { button, countText, make } from "./dom.mjs";

export class HeldQueue {
  /** `act(name, id)` for resume, kill, edit, answer; `show(id)` to see one; `leave()` when the focus has nothing left here. */
  constructor({ act, show, leave }) {
    this.act = act;
    this.show = show;
    this.leave = leave;
    this.items = new Map(); // elements by flow and side
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

  /** These are held, of `count` in all. What stays keeps its element: somebody may be pressing a button of it. */
  update(held, selected, count = held.length) {
    const { list } = this;
    const focus = this.focus();
    const before = this.items;
    this.items = new Map(held.map((each) => {
      const key = `${each.id} ${each.side}`;
      return [key, before.get(key) ?? this.item(each)];
    }));
    for (const [key, element] of before) if (!this.items.has(key)) element.remove();
    let place = 0;
    for (const element of this.items.values()) {
      if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
      place += 1;
    }
    for (const each of held) this.dress(each, selected.has(each.id));
    this.element.hidden = !held.length;
    this.title.textContent = `${countText(count)} held${count > held.length ? `; the first ${countText(held.length)}:` : ""}`;
    this.all.hidden = count < 2;
    if (focus) this.refocus(focus);
    if (!held.length) clearInterval(this.timer);
    else if (!before.size) this.timer = setInterval(() => this.tick(), 1000);
    this.tick();
  }

  /** Where the focus is: on which button of which item. */
  focus() {
    const { activeElement } = document;
    if (activeElement === this.all) return { item: null, place: 0, name: "resume" };
    const item = activeElement?.closest?.(".nbi-held-item");
    return item && this.list.contains(item) ? { item, place: [...this.list.children].indexOf(item), name: activeElement.dataset.act } : null;
  }

  /** What had the focus is gone: the next one has it, or whoever comes after the queue. */
  refocus({ item, place, name }) {
    if (item ? item.isConnected : !this.all.hidden) return;
    const next = this.list.children[Math.min(place, this.list.children.length - 1)];
    if (next) next.querySelector(`[data-act="${name}"]`).focus();
    else this.leave();
  }

  item(flow) {
    const act = (name) => () => this.act(name, flow.id);
    const buttons = [
      button("Resume", act("resume"), { kind: "nbi-main" }),
      button("Edit…", act("edit")),
      button("Answer…", act("answer"), { title: "Answer it from here; the server is not asked" }),
      button("Drop", act("kill"), { kind: "nbi-danger", title: "End it: the client's connection is cut" }),
    ];
    ["resume", "edit", "answer", "kill"].forEach((name, index) => (buttons[index].dataset.act = name));
    return make(
      "li",
      { class: "nbi-held-item", data: { id: String(flow.id) } },
      make("button", { class: "nbi-held-what", title: "Show it", data: { act: "show" }, on: { click: () => this.show(flow.id) } }, make("b", { text: flow.side === "response" ? "response" : "request" }), make("span", { class: "nbi-held-method", text: flow.method }), make("span", { class: "nbi-held-url", text: flow.url })),
      make("span", { class: "nbi-held-left" }),
      ...buttons,
    );
  }

  dress({ id, side, until }, isSelected) {
    const element = this.items.get(`${id} ${side}`);
    if (isSelected) element.setAttribute("aria-current", "true");
    else element.removeAttribute("aria-current");
    element.querySelector(".nbi-held-left").dataset.until = String(until ?? 0);
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
