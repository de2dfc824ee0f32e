// The tab Timing: what happened when, as bars on one line of time.

import { durationText, make } from "./dom.mjs";
import { pairTable } from "./body.mjs";

/** A part of a duration: exact where it is short. */
const exact = (milliseconds) => (milliseconds < 10 ? `${milliseconds.toFixed(2)} ms` : milliseconds < 100 ? `${milliseconds.toFixed(1)} ms` : durationText(milliseconds));

export function timingView(timing) {
  const whole = Math.max(timing.end, 0.001);
  const percent = (at) => `${((100 * at) / whole).toFixed(2)}%`;
  const rows = timing.spans.map(([name, kind, begin, end]) => {
    const bar = make("i", { class: `nbi-span nbi-span-${kind}` });
    bar.style.left = percent(begin);
    bar.style.width = `max(2px, ${percent(end - begin)})`;
    return make(
      "div",
      { class: "nbi-time-row", role: "listitem" },
      make("span", { class: "nbi-time-name", text: name }),
      make("span", { class: "nbi-time-line" }, bar),
      make("span", { class: "nbi-time-value", text: exact(end - begin) }),
    );
  });
  const moments = timing.moments.map(([name, at]) => [name, `+${exact(at)}`]);
  return make(
    "div",
    { class: "nbi-timing" },
    make("div", { class: "nbi-hint", text: `Began ${timing.start}${timing.total === null || timing.total === undefined ? "" : ` · ${exact(timing.total)} in all`}${timing.reused ? " · on a connection that was open already" : ""}` }),
    make("div", { class: "nbi-times", role: "list", "aria-label": "Phases" }, ...rows),
    pairTable(moments, { css: "nbi-moments" }),
  );
}
