// A body, window by window. What it says is text, or an image of a kind that can hold nothing active.

import { button, countText, make, sizeText } from "./dom.mjs";

// none of which can hold anything active
const IMAGE = /^data:image\/(?:png|jpeg|gif|webp|avif|bmp|x-icon|vnd\.microsoft\.icon);base64,[A-Za-z0-9+/=]*$/;
const OPEN_NODES = 400; // so many nodes of a tree are open at first

/** What views are called on their buttons. */
const LABELS = { json: "JSON", "json source": "Source", xml: "XML", html: "HTML", css: "CSS", javascript: "JavaScript", graphql: "GraphQL", jwt: "JWT", cbor: "CBOR", msgpack: "MessagePack", grpc: "gRPC", base64: "Base64" };
const labelOf = (view) => LABELS[view] ?? view.slice(0, 1).toUpperCase() + view.slice(1);

// -- source in colour

const TOKENS = {
  json: [/("(?:[^"\\]|\\.)*")(?=\s*:)/, "key", /"(?:[^"\\]|\\.)*"?/, "string", /\b(?:true|false|null)\b/, "word", /-?\b\d[\d.eE+-]*/, "number"],
  xml: [/<!--[^]*?(?:-->|$)/, "note", /<[/!?]?[\w:.-]+|\/?>/, "key", /[\w:-]+(?==)/, "word", /"[^"]*"|'[^']*'/, "string", /&[#\w]+;/, "number"],
  css: [/\/\*[^]*?(?:\*\/|$)/, "note", /"[^"\n]*"|'[^'\n]*'/, "string", /[\w-]+(?=\s*:)/, "key", /#[\da-fA-F]{3,8}\b|-?\b\d[\d.]*[a-z%]*/, "number", /@[\w-]+/, "word"],
  javascript: [/\/\/[^\n]*|\/\*[^]*?(?:\*\/|$)/, "note", /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/, "string", /\b(?:const|let|var|function|return|if|else|for|while|do|new|class|extends|import|export|from|default|async|await|try|catch|finally|throw|typeof|instanceof|in|of|this|null|true|false|undefined|switch|case|break|continue)\b/, "word", /\b\d[\d.xa-fA-F]*\b/, "number"],
  yaml: [/(?<![^\n])[ \t]*#[^\n]*/, "note", /"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/, "string", /(?<![^\n])[ \t-]*[\w.$/-]+(?=:(?:\s|$))/, "key", /\b(?:true|false|null)\b/, "word", /-?\b\d[\d.]*\b/, "number"],
  graphql: [/#[^\n]*/, "note", /"(?:[^"\\]|\\.)*"/, "string", /\b(?:query|mutation|subscription|fragment|on|true|false|null)\b/, "word", /[$@]\w+/, "key", /\b\d[\d.]*\b/, "number"],
};
TOKENS.html = TOKENS.xml;
const COLOURED = 200000; // characters: more is shown plain

/** Text with its parts in colour, as nodes. */
function coloured(text, language) {
  const rules = TOKENS[language];
  if (!rules || text.length > COLOURED) return [text];
  const parts = rules.filter((_, index) => index % 2 === 0);
  const kinds = rules.filter((_, index) => index % 2 === 1);
  const pattern = new RegExp(parts.map((part, index) => `(?<k${index}>${part.source})`).join("|"), "g");
  const found = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    if (!match[0]) continue;
    if (match.index > end) found.push(text.slice(end, match.index));
    const index = kinds.findIndex((_, each) => match.groups[`k${each}`] !== undefined);
    found.push(make("span", { class: `nbi-j-${kinds[index]}`, text: match[0] }));
    end = match.index + match[0].length;
  }
  found.push(text.slice(end));
  return found;
}

// -- trees

const COLOURS = { string: "string", number: "number", integer: "number", float: "number", boolean: "word", null: "word" };

/** A node and what is below it; `room` says how many more may be open. */
function treeNode(node, depth, room) {
  const { key, type, value, count, children = [], also = [], continued } = node;
  const isParent = children.length > 0 || type === "object" || type === "array";
  const row = make("div", { class: "nbi-node" });
  row.style.paddingLeft = `${Math.min(depth, 40) * 14 + 16}px`;
  if (key !== null && key !== undefined) row.append(make("span", { class: typeof key === "number" ? "nbi-j-index" : "nbi-j-key", text: String(key) }), ": ");
  if (type === "string") row.append(make("span", { class: "nbi-j-string", text: `"${value}"` }));
  else if (value) row.append(make("span", { class: `nbi-j-${COLOURS[type] ?? "other"}`, text: value }));
  if (isParent) row.append(make("span", { class: "nbi-hint", text: `${value ? " " : ""}${type === "array" ? `[${countText(count)}]` : `{${countText(count)}}`}${continued ? " continued" : ""}` }));
  else if (!COLOURS[type] && type) row.append(make("span", { class: "nbi-hint", text: `  ${type}` }));
  for (const [name, text] of also) row.append(make("span", { class: "nbi-hint", text: `  ${name} ${text}` }));
  if (!children.length) return [row];
  room.left -= children.length;
  const below = make("div", { role: "group" });
  const fill = () => below.append(...children.flatMap((child) => treeNode(child, depth + 1, room)));
  const isOpen = depth < 1 || room.left > 0;
  const fold = make("button", { class: "nbi-fold", "aria-label": "Fold", "aria-expanded": String(isOpen), tabindex: "-1" });
  fold.style.left = `${Math.min(depth, 40) * 14}px`;
  fold.addEventListener("click", () => {
    const wasOpen = fold.getAttribute("aria-expanded") === "true";
    fold.setAttribute("aria-expanded", String(!wasOpen));
    below.hidden = wasOpen;
    if (!wasOpen && !below.hasChildNodes()) {
      room.left = OPEN_NODES;
      fill();
    }
  });
  row.prepend(fold);
  below.hidden = !isOpen;
  if (isOpen) fill();
  return [row, below];
}

/** Pairs of name and value as a table, or rows under titles. */
export function pairTable(pairs, { titles = null, css = "" } = {}) {
  const rows = pairs.map((cells) =>
    make("tr", {}, ...cells.map((text, index) => make(index ? "td" : "th", { scope: index ? null : "row", text }))),
  );
  const head = titles ? make("thead", {}, make("tr", {}, ...titles.map((text) => make("th", { scope: "col", text })))) : null;
  return make("table", { class: `nbi-pairs ${css}`.trim() }, head, make("tbody", {}, ...rows));
}

export class BodyView {
  /** `chosen` is the view that somebody chose before, if there was one; `onChoose` is told of another. */
  constructor(link, flow, side, message, { reveal, chosen = null, onChoose = () => {} }) {
    this.link = link;
    this.flow = flow;
    this.side = side;
    this.message = message;
    this.reveal = reveal;
    this.onChoose = onChoose;
    this.view = message.views.includes(chosen) ? chosen : message.views[0] ?? null;
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
      make("button", { class: "nbi-switch", text: labelOf(view), "aria-pressed": String(view === this.view), on: { click: () => this.choose(view) } }),
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
    this.onChoose(view);
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
      if (asked !== this.asked) return;
      this.content.removeAttribute("aria-busy");
      this.content.replaceChildren(make("div", { class: "nbi-hint nbi-failed", text: error.message }));
      return;
    }
    if (asked !== this.asked) return;
    this.content.removeAttribute("aria-busy");
    if (!offset) this.content.replaceChildren();
    this.content.querySelector(".nbi-more")?.remove();
    this.content.append(...this.draw(part, offset));
  }

  draw(part, offset) {
    const { problem } = part;
    const found = [problem && !offset ? make("div", { class: "nbi-hint nbi-failed nbi-problem-line", role: "status", text: problem }) : null, this.contentOf(part)];
    found.push(...(part.notes ?? []).filter((text) => text !== problem).map((text) => make("div", { class: "nbi-hint nbi-note-line", text })));
    if (part.next !== null && part.next !== undefined && part.next > offset) found.push(this.more(part));
    return found.filter(Boolean);
  }

  contentOf(part) {
    const { kind } = part;
    if (kind === "image") {
      if (!IMAGE.test(part.image)) return null;
      const size = part.width && part.height ? ` ${part.width} × ${part.height}` : "";
      return make("figure", { class: "nbi-figure" }, make("img", { class: "nbi-image", alt: `The ${this.side}'s body`, src: part.image }), make("figcaption", { class: "nbi-hint", text: `${part.media_type}${size}` }));
    }
    if (kind === "tree") return part.tree ? make("div", { class: "nbi-tree", role: "group", "aria-label": "Tree" }, ...treeNode(part.tree, 0, { left: OPEN_NODES })) : null;
    if (kind === "table" || kind === "events") return part.rows.length ? pairTable(part.rows, { titles: part.columns.length ? part.columns : null, css: "nbi-form" }) : null;
    if (!part.text) return null;
    return make("pre", { class: `nbi-pre${kind === "hex" ? " nbi-hex" : ""}`, tabindex: "0" }, ...coloured(part.text, part.language));
  }

  more(part) {
    const whole = part.total === null ? "" : ` of ${countText(part.total)}`;
    const text = `Show more: ${countText(part.next)}${whole} ${part.unit} so far`;
    return make("div", { class: "nbi-more" }, button(text, () => this.load(part.next)));
  }
}
