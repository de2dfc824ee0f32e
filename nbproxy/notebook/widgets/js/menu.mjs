// Menus, questions, and short messages.

import { make, uniqueId } from "./dom.mjs";

/** The list of a menu. `items()` gives `{label, action, checked, hint, disabled, stays}` or "-" for a line. */
class Menu {
  /** `inside` is what may be pressed while it is open; `place()` says where it stands; `onClose(refocus)` when it goes. */
  constructor(items, { name, id = null, inside, place, onClose }) {
    this.items = items;
    this.inside = inside;
    this.place = place;
    this.onClose = onClose;
    this.list = make("div", { class: "nbi-menu", role: "menu", id, hidden: true, "aria-label": name });
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.outside = (event) => {
      if (!this.inside().contains(event.target)) this.close(false);
    };
  }

  get isOpen() {
    return !this.list.hidden;
  }

  open() {
    this.fill();
    this.list.hidden = false;
    this.place(this.list);
    document.addEventListener("pointerdown", this.outside, true);
    this.buttons[0]?.focus();
  }

  close(refocus = true) {
    if (!this.isOpen) return;
    this.list.hidden = true;
    document.removeEventListener("pointerdown", this.outside, true);
    this.onClose(refocus);
  }

  get buttons() {
    return [...this.list.querySelectorAll("button:not(:disabled)")];
  }

  fill() {
    this.list.replaceChildren(
      ...this.items().map((item) => {
        if (item === "-") return make("div", { class: "nbi-menu-line", role: "separator" });
        return make(
          "button",
          {
            class: "nbi-menu-item",
            role: item.checked === undefined ? "menuitem" : "menuitemcheckbox",
            "aria-checked": item.checked === undefined ? null : String(item.checked),
            "aria-keyshortcuts": item.hint ?? null,
            disabled: item.disabled,
            tabindex: "-1",
            on: { click: () => this.choose(item) },
          },
          make("span", { text: item.label }),
          item.hint ? make("kbd", { text: item.hint, "aria-hidden": "true" }) : null,
        );
      }),
    );
  }

  choose(item) {
    if (!item.stays) {
      this.close();
      item.action();
      return;
    }
    item.action();
    const index = [...this.list.children].indexOf(document.activeElement);
    this.fill();
    this.list.children[index]?.focus();
  }

  key(event) {
    event.stopPropagation();
    if (event.key === "Escape" || event.key === "Tab") {
      if (event.key === "Escape") event.preventDefault();
      this.close();
      return;
    }
    const { buttons } = this;
    const here = buttons.indexOf(document.activeElement);
    const place = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: -1 }[event.key];
    if (place === undefined) return;
    event.preventDefault();
    buttons[(place + buttons.length) % buttons.length]?.focus();
  }
}

/** A button that opens a menu; `items` as for `Menu`. */
export function menuButton(label, items, { title = "", name = "", css = "" } = {}) {
  const id = uniqueId("menu");
  const opener = make("button", {
    class: `nbi-button ${css}`.trim(),
    text: label,
    title: title || null,
    "aria-label": name || null,
    "aria-haspopup": "menu",
    "aria-expanded": "false",
    "aria-controls": id,
  });
  const menu = new Menu(items, {
    name: name || title || label,
    id,
    inside: () => root,
    place,
    onClose: (refocus) => {
      opener.setAttribute("aria-expanded", "false");
      if (refocus) opener.focus();
    },
  });
  const root = make("span", { class: "nbi-menu-root" }, opener, menu.list);
  function open() {
    opener.setAttribute("aria-expanded", "true");
    menu.open();
  }
  /** To the left or right, above or below: where there is room inside the inspector. */
  function place(list) {
    const frame = (root.closest(".nbi") ?? document.body).getBoundingClientRect();
    const from = opener.getBoundingClientRect();
    list.classList.toggle("nbi-to-left", from.left + list.offsetWidth > frame.right - 4);
    list.classList.toggle("nbi-upwards", from.bottom + list.offsetHeight > frame.bottom - 4 && from.top - list.offsetHeight > frame.top);
  }
  opener.addEventListener("click", () => (menu.isOpen ? menu.close() : open()));
  opener.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && !menu.isOpen) {
      event.preventDefault();
      event.stopPropagation();
      open();
    }
  });
  root.opener = opener;
  return root;
}

/** A menu inside `host` at a point of the page, as by the right button; what had the focus has it again. */
export function openMenu(host, items, { x, y, name }) {
  const before = document.activeElement;
  const menu = new Menu(items, {
    name,
    inside: () => menu.list,
    place: (list) => {
      const frame = host.getBoundingClientRect();
      list.style.left = `${Math.max(2, Math.min(x - frame.left, host.clientWidth - list.offsetWidth - 2))}px`;
      list.style.top = `${Math.max(2, Math.min(y - frame.top, host.clientHeight - list.offsetHeight - 2))}px`;
    },
    onClose: (refocus) => {
      menu.list.remove();
      if (refocus && before instanceof HTMLElement && before.isConnected) before.focus();
    },
  });
  menu.list.classList.add("nbi-menu-free");
  menu.list.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    event.stopPropagation();
  });
  host.append(menu.list);
  menu.open();
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
            } else if (event.key === "Enter" && event.target instanceof HTMLTextAreaElement && !event.shiftKey && !event.isComposing) {
              event.preventDefault();
              form.requestSubmit(); // as in a field of one line
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
