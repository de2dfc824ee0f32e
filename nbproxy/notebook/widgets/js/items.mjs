// What stands in the larger menus: that of a row, that of the columns.

import { COLUMNS, USUAL } from "./columns.mjs";
import { countText } from "./dom.mjs";

/** Of a row, by the right button or the menu key: what the details' buttons do, at hand. `run(name, args)` does what one says; `count` flows are selected. */
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

/** Which columns there are, and which are shown. */
export function columnItems(grid) {
  const shown = new Set(grid.keys);
  const items = COLUMNS.map(({ key, title, name }) => ({
    label: name ? `${title} (${name})` : title,
    checked: shown.has(key),
    stays: true,
    action: () => {
      const keys = new Set(grid.keys);
      if (!keys.delete(key)) keys.add(key);
      if (keys.size) grid.choose([...keys]);
    },
  }));
  const isUsual = grid.chosen === null || (grid.chosen.length === USUAL.length && USUAL.every((key) => shown.has(key)));
  return [...items, "-", { label: "The usual ones", disabled: isUsual && grid.chosen === null, action: () => grid.choose(null) }];
}
