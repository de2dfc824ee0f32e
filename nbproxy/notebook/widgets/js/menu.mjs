// Menus, questions, and short messages.

import { make, uniqueId } from "./dom.mjs";

/** A button that opens a menu. `items()` gives `{label, action, checked, hint}` or "-" for a line. */
export function menuButton(label, items, { title = "", name = "", css = "" } = {}) {
  const id = uniqueId("menu");
  const list = make("div", { class: "nbi-menu", role: "menu", id, hidden: true, "aria-label": name || title || label });
  const opener = make("button", {
    class: `nbi-button ${css}`.trim(),
    text: label,
    title: title || null,
    "aria-label": name || null,
    "aria-haspopup": "menu",
    "aria-expanded": "false",
    "aria-controls": id,
  });
  const root = make("span", { class: "nbi-menu-root" }, opener, list);
  const isOpen = () => !list.hidden;
  const outside = (event) => {
    if (!root.contains(event.target)) close(false);
  };
  function close(refocus = true) {
    if (!isOpen()) return;
    list.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", outside, true);
    if (refocus) opener.focus();
  }
  function fill() {
    list.replaceChildren(
      ...items().map((item) => {
        if (item === "-") return make("div", { class: "nbi-menu-line", role: "separator" });
        return make(
          "button",
          {
            class: "nbi-menu-item",
            role: item.checked === undefined ? "menuitem" : "menuitemcheckbox",
            "aria-checked": item.checked === undefined ? null : String(item.checked),
            disabled: item.disabled,
            tabindex: "-1",
            on: {
              click: () => {
                if (item.stays) {
                  item.action();
                  const index = [...list.children].indexOf(document.activeElement);
                  fill();
                  list.children[index]?.focus();
                } else {
                  close();
                  item.action();
                }
              },
            },
          },
          make("span", { text: item.label }),
          item.hint ? make("kbd", { text: item.hint }) : null,
        );
      }),
    );
  }
  function open() {
    fill();
    list.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    place();
    document.addEventListener("pointerdown", outside, true);
    list.querySelector("button:not(:disabled)")?.focus();
  }
  /** To the left or right, above or below: where there is room inside the inspector. */
  function place() {
    const frame = (root.closest(".nbi") ?? document.body).getBoundingClientRect();
    const from = opener.getBoundingClientRect();
    list.classList.toggle("nbi-to-left", from.left + list.offsetWidth > frame.right - 4);
    list.classList.toggle("nbi-upwards", from.bottom + list.offsetHeight > frame.bottom - 4 && from.top - list.offsetHeight > frame.top);
  }
  opener.addEventListener("click", () => (isOpen() ? close() : open()));
  opener.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && !isOpen()) {
      event.preventDefault();
      event.stopPropagation();
      open();
    }
  });
  list.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape" || event.key === "Tab") {
      if (event.key === "Escape") event.preventDefault();
      close();
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...list.querySelectorAll("button:not(:disabled)")];
    const here = buttons.indexOf(document.activeElement);
    buttons[(here + step + buttons.length) % buttons.length]?.focus();
  });
  root.opener = opener;
  return root;
}

/** Short messages in a corner; they go by themselves and are read aloud. */
export class Toasts {
  constructor() {
    this.element = make("div", { class: "nbi-toasts", role: "status", "aria-live": "polite" });
  }

  say(text, isFault = false) {
    const toast = make("div", { class: `nbi-toast${isFault ? " nbi-toast-bad" : ""}`, text });
    this.element.append(toast);
    while (this.element.children.length > 3) this.element.firstChild.remove();
    setTimeout(() => toast.remove(), isFault ? 8000 : 3500);
  }
}

/** A small form over the inspector; a promise of the values by name, null if it was left. */
export function ask(host, { title, fields, confirm = "OK", note = "" }) {
  return new Promise((resolve) => {
    const inputs = fields.map((field) => {
      const id = uniqueId("field");
      const input = make(field.rows ? "textarea" : "input", {
        id,
        class: "nbi-field",
        rows: field.rows ?? null,
        spellcheck: "false",
        placeholder: field.placeholder ?? null,
        readonly: field.readonly,
      });
      input.value = field.value ?? "";
      return { field, input, row: make("label", { class: "nbi-field-row", for: id }, make("span", { text: field.label }), input) };
    });
    const before = document.activeElement;
    const done = (value) => {
      sheet.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      resolve(value);
    };
    const values = () => Object.fromEntries(inputs.map(({ field, input }) => [field.name, input.value]));
    const form = make(
      "form",
      {
        class: "nbi-sheet",
        role: "dialog",
        "aria-modal": "true",
        "aria-label": title,
        on: {
          submit: (event) => {
            event.preventDefault();
            done(values());
          },
          keydown: (event) => {
            event.stopPropagation();
            if (event.key === "Escape") {
              event.preventDefault();
              done(null);
            }
          },
        },
      },
      make("b", { text: title }),
      ...inputs.map(({ row }) => row),
      note ? make("div", { class: "nbi-hint", text: note }) : null,
      make(
        "div",
        { class: "nbi-sheet-buttons" },
        make("button", { class: "nbi-button", text: "Cancel", on: { click: () => done(null) } }),
        make("button", { class: "nbi-button nbi-main", type: "submit", text: confirm }),
      ),
    );
    const sheet = make("div", { class: "nbi-veil" }, form);
    host.append(sheet);
    (inputs[0]?.input ?? form.querySelector("button")).focus();
    inputs[0]?.input.select?.();
  });
}
