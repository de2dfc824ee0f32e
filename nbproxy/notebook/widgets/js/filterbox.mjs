// The filter box: the filter language with completion, errors marked where they are, and history.
// What a filter means is the kernel's business; here is only typing.

import { make, uniqueId } from "./dom.mjs";

const WAIT_MS = 140;
const KEPT = 40;
const HISTORY = "nbproxy.inspector.filters";

function readHistory() {
  try {
    const found = JSON.parse(localStorage.getItem(HISTORY) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each === "string").slice(0, KEPT) : [];
  } catch {
    return [];
  }
}

export class FilterBox {
  constructor(link, { onLeave }) {
    this.link = link;
    this.onLeave = onLeave;
    this.choices = [];
    this.chosen = -1;
    this.asked = 0;
    this.applied = "";
    this.history = readHistory();
    this.place = -1; // in the history
    this.build();
  }

  build() {
    const list = uniqueId("choices");
    this.input = make("input", {
      class: "nbi-filter-input",
      type: "text",
      placeholder: "Filter, such as ~d example.org & ~c 5xx",
      spellcheck: "false",
      autocomplete: "off",
      autocapitalize: "off",
      role: "combobox",
      title: "Arrow down: operators and earlier filters (/ to come here)",
      "aria-label": "Filter flows",
      "aria-keyshortcuts": "/",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": list,
      on: {
        input: () => this.typed(),
        keydown: (event) => this.key(event),
        blur: () => setTimeout(() => this.close(), 120),
        scroll: () => this.align(),
        click: () => this.align(),
      },
    });
    this.marked = make("div", { class: "nbi-filter-mark", "aria-hidden": "true" });
    this.list = make("ul", { class: "nbi-choices", id: list, role: "listbox", "aria-label": "Completions", hidden: true });
    this.clearButton = make("button", {
      class: "nbi-clear",
      text: "✕",
      title: "Remove the filter",
      "aria-label": "Remove the filter",
      hidden: true,
      on: { click: () => this.set("", true) },
    });
    this.problem = make("div", { class: "nbi-problem", role: "alert", hidden: true });
    this.element = make("div", { class: "nbi-filter" }, make("div", { class: "nbi-filter-box" }, this.marked, this.input, this.clearButton), this.list, this.problem);
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  /** The filter is this one now: it was set elsewhere, or here. */
  show(source) {
    this.applied = source;
    if (document.activeElement !== this.input || this.input.value.trim() === source) this.input.value = source;
    this.fault(null);
    this.dress();
  }

  /** Put a filter in, as if it had been typed. */
  set(source, now = false) {
    this.input.value = source;
    this.typed(now);
  }

  dress() {
    this.clearButton.hidden = !this.input.value;
    this.element.classList.toggle("nbi-active", Boolean(this.applied));
  }

  typed(now = false) {
    this.place = -1;
    this.dress();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.submit(), now ? 0 : WAIT_MS);
    if (this.input.value && document.activeElement === this.input) {
      this.narrow();
      this.complete();
    } else this.close();
  }

  async submit(keep = false) {
    const source = this.input.value;
    const asked = (this.asked += 1);
    if (keep && source.trim()) this.remember(source.trim());
    let answer;
    try {
      answer = await this.link.call("filter", { source, by: this.link.client });
    } catch (error) {
      answer = { ok: false, problem: error.message, position: null };
    }
    if (asked !== this.asked) return; // typed on meanwhile
    this.fault(answer.ok ? null : answer, source);
    if (answer.ok && answer.warnings?.length) this.say(answer.warnings.join("; "), false);
  }

  /** Mark where an expression cannot be read. */
  fault(answer, source = "") {
    this.element.classList.toggle("nbi-wrong", Boolean(answer));
    this.input.setAttribute("aria-invalid", String(Boolean(answer)));
    this.marked.replaceChildren();
    if (!answer) {
      this.say("", false);
      return;
    }
    const at = answer.position ?? 0;
    const rest = source.slice(at) || " ";
    const word = /^\S+/.exec(rest)?.[0] ?? " ";
    this.marked.append(source.slice(0, at), make("b", { text: word }), rest.slice(word.length));
    this.align();
    this.say(`${answer.problem}${answer.hint ? ` — ${answer.hint}` : ""}`, true);
  }

  say(text, isFault) {
    this.problem.textContent = text;
    this.problem.hidden = !text;
    this.problem.classList.toggle("nbi-warning", !isFault);
  }

  align() {
    this.marked.scrollLeft = this.input.scrollLeft;
  }

  // -- completion and history

  async complete() {
    const source = this.input.value;
    const cursor = this.input.selectionStart ?? source.length;
    let found;
    try {
      found = await this.link.call("complete", { source, cursor });
    } catch {
      return;
    }
    if (source !== this.input.value || document.activeElement !== this.input) return;
    // where nothing was begun there is nothing to go on with, unless somebody asks
    this.offer(found.filter((each) => each.end > each.start || this.wanted).map((each) => ({ ...each, kind: "operator" })));
    this.wanted = false;
  }

  /** What is offered follows the typing at once; the kernel's answer to it comes later. */
  narrow() {
    if (!this.isOpen) return;
    const { value } = this.input;
    const cursor = this.input.selectionStart ?? value.length;
    const end = cursor + /^\w*/.exec(value.slice(cursor))[0].length;
    const isBegun = ({ start, text }) => cursor > start && text.startsWith(value.slice(start, cursor));
    this.offer(this.choices.filter((each) => each.kind === "operator" && isBegun(each)).map((each) => ({ ...each, end })));
  }

  /** Show choices; the one that was chosen stays so where it is among them. */
  offer(choices) {
    const before = this.choices[this.chosen]?.text;
    this.choices = choices.slice(0, 60);
    this.chosen = -1;
    this.list.replaceChildren(
      ...this.choices.map((choice, index) =>
        make(
          "li",
          { role: "option", id: `${this.list.id}-${index}`, "aria-selected": "false", on: { mousedown: (event) => this.take(event, index) } },
          make("code", { text: choice.text }),
          choice.argument ? make("i", { text: choice.argument }) : null,
          make("span", { text: choice.meaning }),
        ),
      ),
    );
    const isOpen = this.choices.length > 0;
    this.list.hidden = !isOpen;
    this.input.setAttribute("aria-expanded", String(isOpen));
    this.input.removeAttribute("aria-activedescendant");
    if (before !== undefined) this.choose(this.choices.findIndex((each) => each.text === before));
  }

  close() {
    this.offer([]);
  }

  get isOpen() {
    return !this.list.hidden;
  }

  move(step) {
    const { length } = this.choices;
    if (!length) return;
    this.choose((this.chosen + step + length + (this.chosen < 0 && step < 0 ? 1 : 0)) % length);
  }

  choose(index) {
    if (index < 0) return;
    this.chosen = index;
    [...this.list.children].forEach((each, place) => each.setAttribute("aria-selected", String(place === index)));
    const item = this.list.children[index];
    item.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", item.id);
  }

  take(event, index) {
    event?.preventDefault();
    const choice = this.choices[index];
    if (!choice) return;
    if (choice.kind === "history") {
      this.input.value = choice.text;
    } else {
      const { value } = this.input;
      const text = choice.argument ? `${choice.text} ` : choice.text;
      this.input.value = value.slice(0, choice.start) + text + value.slice(choice.end);
      const cursor = choice.start + text.length;
      this.input.setSelectionRange(cursor, cursor);
    }
    this.close();
    this.input.focus();
    this.dress();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.submit(), WAIT_MS);
  }

  remember(source) {
    this.history = [source, ...this.history.filter((each) => each !== source)].slice(0, KEPT);
    try {
      localStorage.setItem(HISTORY, JSON.stringify(this.history));
    } catch {
      // as long as the page
    }
  }

  /** Operators and earlier filters, for an arrow down. */
  async offerAll() {
    if (this.input.value) {
      this.wanted = true;
      this.complete();
      return;
    }
    const earlier = this.history.slice(0, 8).map((text) => ({ text, argument: "", meaning: "used before", kind: "history" }));
    let operators = [];
    try {
      operators = await this.link.call("complete", { source: "", cursor: 0 });
    } catch {
      // the history alone
    }
    this.offer([...earlier, ...operators.map((each) => ({ ...each, kind: "operator" }))]);
  }

  key(event) {
    event.stopPropagation();
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      if (this.isOpen) this.move(key === "ArrowDown" ? 1 : -1);
      else if (key === "ArrowDown") this.offerAll();
      else this.recall();
    } else if (key === "Tab" && this.isOpen && !event.shiftKey) {
      event.preventDefault();
      this.take(null, Math.max(0, this.chosen));
    } else if (key === "Enter") {
      event.preventDefault();
      if (this.isOpen && this.chosen >= 0) {
        this.take(null, this.chosen);
        return;
      }
      this.close();
      clearTimeout(this.timer);
      this.submit(true);
      this.onLeave();
    } else if (key === "Escape") {
      event.preventDefault();
      if (this.isOpen) this.close();
      else if (this.input.value) this.set("", true);
      else this.onLeave();
    }
  }

  /** Earlier filters one by one. */
  recall() {
    if (!this.history.length) return;
    const place = Math.min(this.place + 1, this.history.length - 1);
    this.set(this.history[place]);
    this.place = place;
    this.close();
  }
}
