// The menu of a row, by the right button or the menu key: what the details' buttons do, at hand.

import { countText } from "./dom.mjs";

/** The items. `run(name, args)` does what one says; `count` flows are selected. */
export function rowItems({ run, act, count, isHeld, isMarked }) {
  const many = count > 1 ? ` ${countText(count, "flow")}` : "";
  const copy = (library) => ({ label: `Copy as ${library} code`, action: () => run("copy_code", { library }) });
  const cell = (library) => ({ label: `New cell with ${library}`, action: () => run("to_cell", { library }) });
  return [
    ...(isHeld
      ? [
          { label: "Resume", action: () => act("resume") },
          { label: "Edit…", hint: "e", action: () => act("edit") },
          { label: "Answer…", action: () => act("answer") },
          { label: "Drop", action: () => act("kill") },
        ]
      : [
          { label: `Replay${many}`, hint: "r", action: () => run("replay") },
          { label: "Edit and replay…", hint: "e", action: () => run("edit") },
        ]),
    "-",
    { label: "Copy URL", action: () => run("url") },
    { label: "Copy as curl", action: () => run("curl") },
    copy("requests"),
    copy("httpx"),
    cell("requests"),
    cell("httpx"),
    "-",
    { label: `${isMarked ? "Unmark" : "Mark"}${many}`, action: () => run("mark") },
    { label: `Comment${many && ` on${many}`}…`, action: () => run("comment") },
    { label: `Save${many}…`, action: () => run("save") },
    { label: `Remove${many || " from the flows"}`, action: () => run("remove") },
  ];
}
