// The parts of the inspector's JavaScript that need no page, run by Node's own test runner.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const part = (name) => import(pathToFileURL(`${process.env.NBPROXY_JS}/${name}.mjs`));
const { Mirror, FAILED, NO, YES, UNKNOWN } = await part("mirror");
const { clockText, countText, durationText, momentText, sizeText } = await part("dom");
const { stateOf, COLUMNS, USUAL, DISPENSABLE } = await part("columns");
const { Link } = await part("link");

/** A batch with these rows, `{slot, id, path, status, ...}`. */
function batch(rows, more = {}) {
  const strings = [""];
  const code = (text) => (strings.includes(text) ? strings.indexOf(text) : strings.push(text) - 1);
  const columns = [
    ["time", "f8", Float64Array.from(rows, (row) => row.time ?? 1000)],
    ["received", "f8", Float64Array.from(rows, (row) => row.received ?? 0)],
    ["duration", "f4", Float32Array.from(rows, (row) => row.duration ?? NaN)],
    ["id", "u4", Uint32Array.from(rows, (row) => row.id)],
    ["status", "u2", Uint16Array.from(rows, (row) => row.status ?? 200)],
    ["path", "t2", Uint16Array.from(rows, (row) => code(row.path ?? "/"))],
    ["flags", "u1", Uint8Array.from(rows, (row) => row.flags ?? 0)],
  ];
  const parts = columns.map(([, , values]) => new Uint8Array(values.buffer));
  const bytes = new Uint8Array(1 + parts.reduce((sum, each) => sum + each.length, 0));
  let offset = 1; // buffers from a comm begin anywhere
  for (const each of parts) {
    bytes.set(each, offset);
    offset += each.length;
  }
  const layout = [...columns.map(([name, type]) => [name, type]), ["method", "t2", code("GET")], ["ttfb", "f4", 3]];
  const slots = new Uint8Array(Uint32Array.from(rows, (row) => row.slot).buffer);
  const content = { epoch: 0, serial: 0, total: Math.max(...rows.map((row) => row.slot + 1)), gone: [], left: 0, ...more };
  content.rows = { count: rows.length, columns: layout, strings, slots: 0, bytes: 1 };
  return [content, [new DataView(slots.buffer), new DataView(bytes.buffer, 1)]];
}

const rowsOf = (mirror, sort = null) => {
  const view = mirror.view(sort) ?? Uint32Array.from({ length: mirror.total }, (_, slot) => slot);
  return [...view].map((slot) => mirror.column.id[slot]);
};

test("rows land in their slots, with text and constants", () => {
  const mirror = new Mirror();
  mirror.apply(...batch([{ slot: 0, id: 5, path: "/a" }, { slot: 1, id: 6, path: "/b", status: 404 }]));
  assert.equal(mirror.text("path", 1), "/b");
  assert.equal(mirror.text("method", 0), "GET");
  assert.equal(mirror.column.status[1], 404);
  assert.equal(mirror.column.ttfb[0], 3);
  assert.equal(mirror.view(null), null);
  assert.equal(mirror.find(6), 1);
  assert.equal(mirror.find(7), -1);
});

test("the newest come first, the others are absent until they come", () => {
  const mirror = new Mirror();
  mirror.apply(...batch([{ slot: 999, id: 1999 }], { left: 999 }));
  assert.equal(mirror.total, 1000);
  assert.equal(mirror.view(null), null);
  assert.ok(!mirror.isHere(0) && mirror.isHere(999));
  assert.equal(mirror.find(1999), 999);
  assert.equal(mirror.find(1000), -1);
});

test("a row that is sent again replaces itself in the totals", () => {
  const mirror = new Mirror();
  mirror.apply(...batch([{ slot: 0, id: 0, received: 10, flags: FAILED }]));
  assert.deepEqual([mirror.bytes, mirror.failed, mirror.here], [10, 1, 1]);
  mirror.apply(...batch([{ slot: 0, id: 0, received: 30 }]));
  assert.deepEqual([mirror.bytes, mirror.failed, mirror.here], [30, 0, 1]);
});

test("removed rows go, and another epoch begins anew", () => {
  const mirror = new Mirror();
  mirror.apply(...batch([{ slot: 0, id: 0, received: 1 }, { slot: 1, id: 1, received: 2 }]));
  mirror.apply({ epoch: 0, serial: 0, total: 2, gone: [0] }, []);
  assert.deepEqual(rowsOf(mirror), [1]);
  assert.equal(mirror.bytes, 2);
  mirror.apply({ epoch: 1, serial: 0, total: 0, gone: [] }, []);
  assert.deepEqual(rowsOf(mirror), []);
  assert.equal(mirror.bytes, 0);
});

test("late rows are shown in the order of ids", () => {
  const mirror = new Mirror();
  mirror.apply(...batch([{ slot: 0, id: 5 }, { slot: 1, id: 3 }, { slot: 2, id: 9 }]));
  assert.deepEqual(rowsOf(mirror), [3, 5, 9]);
  assert.equal(mirror.find(3), 1);
});

test("the filter hides what it refuses and what it has not been asked yet", () => {
  const mirror = new Mirror();
  mirror.apply(...batch([{ slot: 0, id: 0 }, { slot: 1, id: 1 }, { slot: 2, id: 2 }]));
  mirror.filterBy(1, true);
  assert.deepEqual(rowsOf(mirror), []);
  mirror.apply({ epoch: 0, serial: 1, total: 3, gone: [], asking: 1, match: { base: 0, bytes: 0 } }, [new DataView(Uint8Array.from([NO, YES, UNKNOWN]).buffer)]);
  assert.deepEqual(rowsOf(mirror), [1]);
  const slots = new DataView(Uint32Array.from([2]).buffer);
  mirror.apply({ epoch: 0, serial: 1, total: 3, gone: [], asking: 0, match: { slots: 0, bytes: 1 } }, [slots, new DataView(Uint8Array.from([YES]).buffer)]);
  assert.deepEqual(rowsOf(mirror), [1, 2]);
  mirror.filterBy(2, false);
  assert.deepEqual(rowsOf(mirror), [0, 1, 2]);
});

test("sorting by text, numbers, and what is missing", () => {
  const mirror = new Mirror();
  mirror.apply(...batch([{ slot: 0, id: 0, path: "/b", duration: 5 }, { slot: 1, id: 1, path: "/a" }, { slot: 2, id: 2, path: "/b", duration: 1 }]));
  assert.deepEqual(rowsOf(mirror, { key: "path", down: false }), [1, 0, 2]);
  assert.deepEqual(rowsOf(mirror, { key: "duration", down: true }), [0, 2, 1]);
  assert.deepEqual(rowsOf(mirror, { key: "duration", down: false }), [1, 2, 0]);
  assert.deepEqual(rowsOf(mirror, { key: "id", down: true }), [2, 1, 0]);
});

test("what a saved notebook kept", () => {
  const mirror = new Mirror();
  const [content, buffers] = batch([{ slot: 0, id: 90 }, { slot: 1, id: 91 }]);
  mirror.restore({ ...content.rows, total: 500, data: buffers[1] });
  assert.deepEqual(rowsOf(mirror), [90, 91]);
  assert.equal(mirror.kept, 500);
});

test("traffic over time", () => {
  const mirror = new Mirror();
  const rows = Array.from({ length: 10 }, (_, slot) => ({ slot, id: slot, time: 1e6 + 1000 * slot, status: slot === 9 ? 500 : 200 }));
  mirror.apply(...batch(rows));
  const { all, bad, width } = mirror.traffic(10);
  assert.equal(all.reduce((a, b) => a + b), 10);
  assert.equal(bad[9], 1);
  assert.equal(width, 1000);
  assert.equal(new Mirror().traffic(10).width, 0);
});

test("a hundred thousand rows", () => {
  const mirror = new Mirror();
  for (let begin = 80000; begin >= 0; begin -= 20000) {
    const rows = Array.from({ length: 20000 }, (_, index) => ({ slot: begin + index, id: begin + index, path: `/${(begin + index) % 5000}` }));
    mirror.apply(...batchOfMany(rows));
  }
  assert.equal(mirror.here, 100000);
  assert.equal(mirror.view(null), null);
  assert.equal(mirror.find(77777), 77777);
  assert.equal(mirror.strings.length, 5002);
});

/** As `batch`, with a map in place of a search, and all slots. */
function batchOfMany(rows) {
  const strings = [""], codes = new Map([["", 0]]);
  for (const { path } of rows) if (!codes.has(path)) codes.set(path, strings.push(path) - 1);
  const [content, buffers] = batch(rows.map((row) => ({ ...row, path: "" })), { total: 100000 });
  content.rows.strings = [...strings, "GET"];
  content.rows.columns = content.rows.columns.map((column) => (column[0] === "method" ? ["method", "t2", strings.length] : column));
  const bytes = new Uint8Array(buffers[1].buffer, 1);
  const offset = rows.length * (8 + 8 + 4 + 4 + 2);
  bytes.set(new Uint8Array(Uint16Array.from(rows, (row) => codes.get(row.path)).buffer), offset);
  return [content, buffers];
}

test("formats, as Python has them", () => {
  assert.deepEqual([0, 512, 999, 1000, 3400, 9949, 9950, 12e6, 999.6e6, 5e12].map(sizeText), ["0 B", "512 B", "999 B", "1.0 kB", "3.4 kB", "9.9 kB", "10 kB", "12 MB", "1.0 GB", "5.0 TB"]);
  assert.deepEqual([NaN, 0.2, 12, 1240, 185000].map(durationText), ["", "<1 ms", "12 ms", "1.24 s", "3 min 5 s"]);
  assert.equal(clockText(Date.UTC(2024, 0, 2, 3, 4, 5, 67)), "03:04:05.067");
  assert.equal(momentText(Date.UTC(2024, 0, 2, 3, 4, 5, 67)), "2024-01-02 03:04:05.067");
  assert.equal(clockText(0), "");
  assert.deepEqual([countText(1, "flow"), countText(1200, "flow")], ["1 flow", "1,200 flows"]);
});

test("states", () => {
  const mirror = new Mirror();
  const states = [[200, 0], [404, 0], [500, 0], [0, 4], [0, 2], [0, 12], [101, 0]];
  mirror.apply(...batch(states.map(([status, flags], slot) => ({ slot, id: slot, status, flags }))));
  assert.deepEqual(states.map((_, slot) => stateOf(mirror, slot).join(" ")), ["200 nbi-s2", "404 nbi-s4", "500 nbi-s5", "… nbi-open", "error nbi-s5", "held nbi-held", "101 nbi-s0"]);
});

test("columns have names of their own, and the usual ones exist", () => {
  const keys = COLUMNS.map(({ key }) => key);
  assert.equal(new Set(keys).size, keys.length);
  assert.deepEqual(USUAL.filter((key) => !keys.includes(key)), []);
  assert.deepEqual([...DISPENSABLE].sort(), [...USUAL].sort());
});

// -- the link

class Model {
  constructor() {
    this.sent = [];
  }
  on(_, listener) {
    this.listener = listener;
  }
  off() {}
  send(message) {
    this.sent.push(message);
  }
}

const settled = (delay = 5) => new Promise((resolve) => setTimeout(resolve, delay));

test("a command is answered by its id", async () => {
  const model = new Model();
  const link = new Link(model);
  const [a, b] = [link.call("one", { x: 1 }), link.call("two")];
  const [first, second] = model.sent;
  assert.deepEqual([first.kind, first.name, first.args], ["do", "one", { x: 1 }]);
  model.listener({ kind: "result", id: second.id, error: "no" });
  model.listener({ kind: "result", id: first.id, value: 7 });
  model.listener({ kind: "result", id: first.id, value: 8 });
  assert.equal(await a, 7);
  await assert.rejects(b, /no/);
  link.close();
});

test("without an answer it knocks at the proxy's port, straight and through the Jupyter server", async (context) => {
  globalThis.location = { hostname: "localhost", origin: "http://localhost:8888" };
  globalThis.document = { getElementById: () => ({ textContent: '{"baseUrl": "/user/me/"}' }), body: { dataset: {} } };
  const asked = [];
  globalThis.fetch = async (address, options) => {
    asked.push([address, options.headers["x-nbproxy-token"], JSON.parse(options.body).name]);
    if (address.startsWith("http://127")) throw new TypeError("refused");
    return { status: 204 };
  };
  const model = new Model();
  const link = new Link(model);
  link.access = { port: 8080, path: "/-/nbproxy/x", token: "secret" };
  const answer = link.call("resume");
  while (asked.length < 2) await settled();
  assert.deepEqual(asked, [["http://127.0.0.1:8080/-/nbproxy/x", "secret", "resume"], ["http://localhost:8888/user/me/proxy/8080/-/nbproxy/x", "secret", "resume"]]);
  model.listener({ kind: "result", id: model.sent[0].id, value: null });
  await answer;
  assert.equal(link.route, "http://localhost:8888/user/me/proxy/8080/-/nbproxy/x");
  assert.equal(link.addresses()[0], link.route);
  link.close();
});

test("the kernel is heard to work on a command, however long that takes", async (context) => {
  globalThis.location = { hostname: "hub.example.org", origin: "https://hub.example.org" };
  globalThis.document = { getElementById: () => null, body: { dataset: {} } };
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 0;
  context.mock.method(performance, "now", () => now);
  const pass = (seconds) => {
    for (let step = 0; step < 10 * seconds; step += 1) {
      now += 100;
      context.mock.timers.tick(100);
    }
  };
  const model = new Model();
  const link = new Link(model);
  const [lost, saved] = [link.call("lost"), link.call("save")];
  const isLost = assert.rejects(lost, /does not answer/);
  model.listener({ kind: "working", id: model.sent[1].id });
  pass(2);
  assert.equal(link.isSlow, true);
  pass(28);
  await isLost;
  assert.equal(link.isSlow, false);
  model.listener({ kind: "result", id: model.sent[1].id, value: 7 });
  assert.equal(await saved, 7);
  link.close();
});

test("a page from elsewhere does not try its own machine", () => {
  globalThis.location = { hostname: "hub.example.org", origin: "https://hub.example.org" };
  globalThis.document = { getElementById: () => ({ textContent: '{"baseUrl": "/"}' }), body: { dataset: {} } };
  const link = new Link(new Model());
  assert.deepEqual(link.addresses(), []);
  link.access = { port: 8080, path: "/p", token: "t" };
  assert.deepEqual(link.addresses(), ["https://hub.example.org/proxy/8080/p"]);
  link.close();
});

test("when the kernel is gone nothing is asked of it", async () => {
  const link = new Link(new Model());
  link.isAlive = false;
  await assert.rejects(link.call("one"), /gone/);
  const waiting = new Link(new Model());
  const answer = waiting.call("one");
  waiting.close();
  await assert.rejects(answer, /closed/);
});
