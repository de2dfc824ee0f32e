// Editing a message: as head and body in text, the way it goes over the wire.
//
// Secrets stay masked here as well: the kernel puts back what a mask stands for, so that a request
// can be changed and sent without its credentials being shown.

import { button, make, uniqueId } from "./dom.mjs";

/** A labelled field. */
function labelled(text, control, css = "") {
  control.id = uniqueId("edit");
  return make("label", { class: `nbi-edit-field ${css}`.trim(), for: control.id }, make("span", { text }), control);
}

function area(value, rows) {
  const element = make("textarea", { class: "nbi-field nbi-area", rows: String(rows), spellcheck: "false", wrap: "off" });
  element.value = value;
  return element;
}

function line(value, width = "") {
  const element = make("input", { class: `nbi-field ${width}`.trim(), spellcheck: "false" });
  element.value = value;
  return element;
}

export class Editor {
  /**
   * `message` is what `editable` gives: `{side, method, url, status, reason, headers, body, binary}`;
   * `buttons` are `{label, kind, action(edited)}`.
   */
  constructor(message, buttons, { title, onLeave, note = "" }) {
    this.message = message;
    const isRequest = message.side === "request";
    this.first = isRequest
      ? { method: line(message.method, "nbi-short"), url: line(message.url) }
      : { status: line(String(message.status), "nbi-short"), reason: line(message.reason) };
    this.headers = area(message.headers.map(([name, value]) => `${name}: ${value}`).join("\n"), 7);
    this.body = message.binary ? null : area(message.body, 7);
    const fields = isRequest
      ? [labelled("Method", this.first.method, "nbi-narrow"), labelled("URL", this.first.url)]
      : [labelled("Status", this.first.status, "nbi-narrow"), labelled("Reason", this.first.reason)];
    this.actions = buttons.map((each, index) => button(each.label, () => this.run(each), { kind: each.kind ?? "", title: each.title ?? "", key: index ? "" : "Ctrl+Enter" }));
    this.fault = make("div", { class: "nbi-problem", role: "alert", hidden: true });
    this.element = make(
      "form",
      {
        class: "nbi-edit",
        "aria-label": title,
        on: {
          submit: (event) => event.preventDefault(),
          keydown: (event) => {
            event.stopPropagation();
            if (event.key === "Escape") onLeave();
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
              event.preventDefault();
              this.run(buttons[0]);
            }
          },
        },
      },
      make("div", { class: "nbi-edit-head" }, make("b", { text: title }), make("span", { class: "nbi-gap" }), ...this.actions, button("Cancel", onLeave, { key: "Esc" })),
      this.fault,
      make("div", { class: "nbi-edit-line" }, ...fields),
      make(
        "div",
        { class: "nbi-edit-parts" },
        labelled("Headers, one a line", this.headers, "nbi-grows"),
        this.body
          ? labelled("Body", this.body, "nbi-grows")
          : make("div", { class: "nbi-hint", text: message.body_note || "The body is not text, and stays as it is." }),
      ),
      make("div", { class: "nbi-hint", text: note || "What is masked (***…) stays what it was, unless you write over it." }),
    );
  }

  focus() {
    (this.body && this.message.side === "response" ? this.body : Object.values(this.first)[0]).focus();
  }

  /** What is in the fields. */
  get edited() {
    const first = Object.fromEntries(Object.entries(this.first).map(([name, input]) => [name, input.value.trim()]));
    const headers = [];
    for (const text of this.headers.value.split("\n")) {
      if (!text.trim()) continue;
      const colon = text.indexOf(":", 1);
      if (colon < 1) throw new Error(`a header is "name: value": ${text.slice(0, 60)}`);
      headers.push([text.slice(0, colon).trim(), text.slice(colon + 1).trim()]);
    }
    return { side: this.message.side, ...first, headers, body: this.body && this.body.value !== this.message.body ? this.body.value : null };
  }

  /** It is too late for what this was begun for; the text stays, to be read and copied. */
  lapse(text) {
    this.hasLapsed = true;
    for (const each of this.actions) each.disabled = true;
    this.say(text);
  }

  async run({ action }) {
    if (this.hasLapsed) return;
    this.say("");
    try {
      await action(this.edited);
    } catch (error) {
      this.say(error.message);
    }
  }

  say(text) {
    this.fault.textContent = text;
    this.fault.hidden = !text;
  }
}
