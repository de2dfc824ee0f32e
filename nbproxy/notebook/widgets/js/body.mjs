// A body, window by window. What it says is text, or an image of a kind that can hold nothing active.

import { button, countText, make, sizeText } from "./dom.mjs";

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d[\d.eE+-]*)|([{}[\],])/g;
const IMAGE = /^data:image\/(png|jpeg|gif|webp|avif|x-icon|vnd\.microsoft\.icon);base64,[A-Za-z0-9+/=]*$/;

/** A line of JSON with its parts in colour. */
function jsonLine(line) {
  const parts = [];
  let end = 0;
  for (const match of line.matchAll(TOKEN)) {
    if (match.index > end) parts.push(line.slice(end, match.index));
    const [all, string, colon, word, number] = match;
    if (string !== undefined) {
      parts.push(make("span", { class: colon ? "nbi-j-key" : "nbi-j-string", text: string }));
      if (colon) parts.push(colon);
    } else if (word !== undefined || number !== undefined) {
      parts.push(make("span", { class: word ? "nbi-j-word" : "nbi-j-number", text: all }));
    } else {
      parts.push(all);
    }
    end = match.index + all.length;
  }
  parts.push(line.slice(end));
  return parts;
}

const indentOf = (line) => /^ */.exec(line)[0].length;

/** Indented JSON as lines that fold: a line that opens something folds what is deeper below it. */
function jsonTree(text) {
  const lines = text.split("\n");
  const elements = lines.map((line) => make("div", { class: "nbi-line" }, ...jsonLine(line)));
  lines.forEach((line, index) => {
    if (!/[{[]$/.test(line)) return;
    const indent = indentOf(line);
    let end = index + 1;
    while (end < lines.length && indentOf(lines[end]) > indent) end += 1;
    if (end === index + 1) return;
    const fold = make("button", { class: "nbi-fold", "aria-label": "Fold", "aria-expanded": "true", tabindex: "-1" });
    fold.addEventListener("click", () => {
      const isOpen = fold.getAttribute("aria-expanded") === "true";
      fold.setAttribute("aria-expanded", String(!isOpen));
      elements[index].classList.toggle("nbi-folded", isOpen);
      refold(lines, elements);
    });
    elements[index].prepend(fold);
  });
  return make("div", { class: "nbi-tree" }, ...elements);
}

/** Hide what lies inside folded lines. */
function refold(lines, elements) {
  let hiddenAbove = -1; // indentation of the folded line that hides what follows
  lines.forEach((line, index) => {
    const indent = indentOf(line);
    if (hiddenAbove >= 0 && indent > hiddenAbove) {
      elements[index].hidden = true;
      return;
    }
    hiddenAbove = -1;
    elements[index].hidden = false;
    if (elements[index].classList.contains("nbi-folded")) hiddenAbove = indent;
  });
}

/** Pairs of name and value as a table. */
export function pairTable(pairs, { titles = null, css = "" } = {}) {
  const rows = pairs.map((cells) =>
    make("tr", {}, ...cells.map((text, index) => make(index ? "td" : "th", { scope: index ? null : "row", text }))),
  );
  const head = titles ? make("thead", {}, make("tr", {}, ...titles.map((text) => make("th", { scope: "col", text })))) : null;
  return make("table", { class: `nbi-pairs ${css}`.trim() }, head, make("tbody", {}, ...rows));
}

export class BodyView {
  constructor(link, flow, side, message, reveal) {
    this.link = link;
    this.flow = flow;
    this.side = side;
    this.message = message;
    this.reveal = reveal;
    this.view = message.views[0] ?? null;
    this.wrap = true;
    this.content = make("div", { class: "nbi-content" });
    this.bar = make("div", { class: "nbi-body-bar" });
    this.element = make("section", { class: "nbi-body", "aria-label": "Body" }, this.bar, this.content);
    this.drawBar();
    if (this.view) this.load(0);
    else this.content.append(make("div", { class: "nbi-hint", text: message.missing ? "The body was not recorded." : "No body." }));
  }

  drawBar() {
    const { type, size, encoding, views } = this.message;
    const facts = [type, views.length ? sizeText(size) : "", encoding].filter(Boolean).join(" · ");
    const switches = views.map((view) =>
      make("button", { class: "nbi-switch", text: view, "aria-pressed": String(view === this.view), on: { click: () => this.choose(view) } }),
    );
    this.bar.replaceChildren(
      make("span", { class: "nbi-part", text: "Body" }),
      make("span", { class: "nbi-facts", text: facts }),
      make("span", { class: "nbi-gap" }),
      make("span", { class: "nbi-switches", role: "group", "aria-label": "View of the body" }, ...switches),
    );
  }

  choose(view) {
    this.view = view;
    this.drawBar();
    this.load(0);
  }

  async load(offset) {
    const asked = (this.asked = (this.asked ?? 0) + 1);
    if (!offset) this.content.setAttribute("aria-busy", "true");
    let part;
    try {
      part = await this.link.call("body", { flow: this.flow, side: this.side, view: this.view, offset, reveal: this.reveal });
    } catch (error) {
      if (asked === this.asked) this.content.replaceChildren(make("div", { class: "nbi-hint nbi-failed", text: error.message }));
      return;
    }
    if (asked !== this.asked) return;
    this.content.removeAttribute("aria-busy");
    if (!offset) this.content.replaceChildren();
    this.content.querySelector(".nbi-more")?.remove();
    this.content.append(...this.draw(part, offset));
  }

  draw(part, offset) {
    const found = (part.notes ?? []).map((text) => make("div", { class: "nbi-hint", text }));
    if (part.kind === "image" && IMAGE.test(part.image)) {
      found.push(make("img", { class: "nbi-image", alt: `The ${this.side}'s body`, src: part.image }));
    } else if (part.kind === "rows") {
      found.push(pairTable(part.rows, { css: "nbi-form" }));
    } else if (part.text) {
      const isTree = part.language === "json" && !offset && part.next === null;
      found.push(isTree ? jsonTree(part.text) : make("pre", { class: `nbi-pre${part.view === "Hex" ? " nbi-hex" : ""}`, tabindex: "0", text: part.text }));
    }
    if (part.next !== null && part.next !== undefined) found.push(this.more(part));
    return found;
  }

  more(part) {
    const text = `Show more: ${countText(part.next)} of ${countText(part.total)} ${part.unit} so far`;
    return make("div", { class: "nbi-more" }, button(text, () => this.load(part.next)));
  }
}
