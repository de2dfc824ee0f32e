// The rows in the browser: typed columns with a place ("slot") for each flow, filled by batches.
//
// A slot keeps its flow for ever, and a batch may name any slots in any order and again: see
// `feed.py`. Text is a number into `strings`. Which slots are shown, and in what order, is `view`.

export const TLS = 1, FAILED = 2, UNDER_WAY = 4, HELD = 8, RECEIVING = 16;
export const NO = 0, YES = 1, UNKNOWN = 2;

const ARRAYS = { f8: Float64Array, f4: Float32Array, u4: Uint32Array, u2: Uint16Array, u1: Uint8Array, t4: Uint32Array, t2: Uint16Array };
const NUMBERS = { time: Float64Array, sent: Float64Array, received: Float64Array, duration: Float32Array, ttfb: Float32Array, id: Uint32Array, status: Uint16Array, flags: Uint8Array };
const TEXTS = ["method", "scheme", "host", "path", "type", "version", "client", "server", "error", "mark", "comment", "origin"];
const MISSING = 0, HERE = 1, GONE = 2;

/** A copy of the bytes of a buffer that starts at an aligned place, as typed arrays need. */
export function bytesOf(buffer) {
  const view = buffer instanceof ArrayBuffer ? new Uint8Array(buffer) : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  return view.slice().buffer;
}

export class Mirror {
  constructor() {
    this.reset(-1);
  }

  /** Forget all rows; batches of another epoch begin anew. */
  reset(epoch) {
    this.epoch = epoch;
    this.total = 0; // slots there are
    this.here = 0; // slots that were filled
    this.kept = 0; // flows there were when a notebook was saved
    this.left = 0; // slots that the kernel has still to send
    this.serial = 0;
    this.isFiltered = false;
    this.asking = 0; // flows the filter was not put to yet
    this.ascending = true; // ids grow with slots
    this.capacity = 0;
    this.bytes = 0;
    this.failed = 0;
    this.strings = [""];
    this.codes = new Map([["", 0]]);
    this.column = {};
    this.state = new Uint8Array(0);
    this.match = new Uint8Array(0);
    this.version = (this.version ?? 0) + 1;
    this.grow(256);
  }

  grow(count) {
    if (count <= this.capacity) return;
    const capacity = Math.max(count, 2 * this.capacity);
    const larger = (Type, old) => {
      const fresh = new Type(capacity);
      if (old) fresh.set(old);
      return fresh;
    };
    for (const [name, Type] of Object.entries(NUMBERS)) this.column[name] = larger(Type, this.column[name]);
    for (const name of TEXTS) this.column[name] = larger(Uint32Array, this.column[name]);
    this.state = larger(Uint8Array, this.state);
    const known = this.match.length;
    this.match = larger(Uint8Array, this.match);
    this.match.fill(UNKNOWN, known);
    this.capacity = capacity;
  }

  /** The text of a column in a slot. */
  text(name, slot) {
    return this.strings[this.column[name][slot]];
  }

  isHere(slot) {
    return this.state[slot] === HERE;
  }

  /** Whether a flow is marked, as far as is known here. */
  isMarked(id) {
    const slot = this.find(id);
    return slot >= 0 && this.text("mark", slot) !== "";
  }

  /** Take in a batch from the kernel. */
  apply(batch, buffers) {
    if (batch.epoch !== this.epoch) this.reset(batch.epoch);
    this.grow(batch.total);
    this.total = batch.total;
    this.left = batch.left ?? 0;
    this.filterBy(batch.serial, batch.asking !== undefined);
    this.asking = batch.asking ?? 0;
    if (batch.rows) this.fill(batch.rows, new Uint32Array(bytesOf(buffers[batch.rows.slots])), buffers[batch.rows.bytes]);
    for (const slot of batch.gone ?? []) this.remove(slot);
    if (batch.match) this.take(batch.match, buffers);
    this.version += 1;
  }

  /** Another filter holds from now on, or none; what it says of rows comes with batches. */
  filterBy(serial, isFiltered) {
    if (serial === this.serial && isFiltered === this.isFiltered) return;
    this.serial = serial;
    this.isFiltered = isFiltered;
    this.asking = isFiltered ? this.total : 0;
    this.match.fill(UNKNOWN);
    this.version += 1;
  }

  /** Show the rows that a saved notebook kept. */
  restore(snapshot) {
    this.grow(snapshot.count);
    this.total = snapshot.count;
    this.kept = snapshot.total; // of so many
    this.fill(snapshot, Uint32Array.from({ length: snapshot.count }, (_, row) => row), snapshot.data);
    this.version += 1;
  }

  fill({ count, columns, strings }, slots, buffer) {
    const codes = Uint32Array.from(strings, (text) => this.code(text));
    for (let row = 0; row < count; row += 1) this.account(slots[row], -1);
    const bytes = bytesOf(buffer);
    let offset = 0;
    for (const [name, type, constant] of columns) {
      const target = this.column[name];
      const isText = type[0] === "t";
      if (constant !== undefined) {
        const value = isText ? codes[constant] : constant;
        for (let row = 0; row < count; row += 1) target[slots[row]] = value;
        continue;
      }
      const values = new ARRAYS[type](bytes, offset, count);
      offset += values.byteLength;
      if (isText) for (let row = 0; row < count; row += 1) target[slots[row]] = codes[values[row]];
      else for (let row = 0; row < count; row += 1) target[slots[row]] = values[row];
    }
    for (let row = 0; row < count; row += 1) {
      const slot = slots[row];
      if (this.state[slot] !== HERE) this.here += 1;
      this.state[slot] = HERE;
      this.account(slot, 1);
    }
    if (this.ascending) this.ascending = this.checkOrder(slots);
  }

  /** Add a row to the totals, or take it out. */
  account(slot, sign) {
    if (this.state[slot] !== HERE) return;
    this.bytes += sign * (this.column.sent[slot] + this.column.received[slot]);
    if (this.column.flags[slot] & FAILED) this.failed += sign;
  }

  checkOrder(slots) {
    const { id } = this.column;
    for (const slot of slots) {
      if (slot && this.state[slot - 1] === HERE && id[slot - 1] > id[slot]) return false;
      if (slot + 1 < this.total && this.state[slot + 1] === HERE && id[slot + 1] < id[slot]) return false;
    }
    return true;
  }

  code(text) {
    let code = this.codes.get(text);
    if (code === undefined) {
      code = this.strings.length;
      this.strings.push(text);
      this.codes.set(text, code);
    }
    return code;
  }

  remove(slot) {
    this.account(slot, -1);
    if (this.state[slot] === HERE) this.here -= 1;
    this.state[slot] = GONE;
  }

  /** Take in what the filter said of some slots. */
  take({ base, slots, bytes }, buffers) {
    const answers = new Uint8Array(bytesOf(buffers[bytes]));
    if (base !== undefined) {
      this.match.set(answers, base);
    } else {
      const places = new Uint32Array(bytesOf(buffers[slots]));
      for (let index = 0; index < places.length; index += 1) this.match[places[index]] = answers[index];
    }
  }

  isShown(slot) {
    return this.state[slot] !== GONE && (!this.isFiltered || this.match[slot] === YES);
  }

  /** The slots that are shown, in order; null for all as they are. `sort` is `{key, down}` or null. */
  view(sort) {
    if (!sort && !this.isFiltered && this.ascending && this.here + this.left >= this.total) return null;
    const found = new Uint32Array(this.total);
    let count = 0;
    for (let slot = 0; slot < this.total; slot += 1) if (this.isShown(slot)) found[count++] = slot;
    const view = found.subarray(0, count);
    if (sort) return this.sorted(view, sort);
    return this.ascending ? view : this.sorted(view, { key: "id", down: false });
  }

  sorted(view, { key, down }) {
    const sign = down ? -1 : 1;
    const { id } = this.column;
    const value = this.sortValue(key);
    return view.sort((a, b) => {
      const x = value(a), y = value(b);
      if (x < y) return -sign;
      if (x > y) return sign;
      return sign * (id[a] - id[b]);
    });
  }

  sortValue(key) {
    const column = this.column[key];
    if (TEXTS.includes(key)) return (slot) => this.strings[column[slot]];
    if (key === "duration" || key === "ttfb") return (slot) => (column[slot] >= 0 ? column[slot] : -1); // not NaN
    if (key === "size") return (slot) => this.column.sent[slot] + this.column.received[slot];
    return (slot) => column[slot];
  }

  /** The slot of a flow, -1 if it is not here. */
  find(id) {
    const ids = this.column.id;
    if (this.ascending && this.here === this.total) {
      let low = 0, high = this.total;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (ids[middle] < id) low = middle + 1;
        else high = middle;
      }
      return low < this.total && ids[low] === id && this.state[low] === HERE ? low : -1;
    }
    for (let slot = this.total - 1; slot >= 0; slot -= 1) if (this.state[slot] === HERE && ids[slot] === id) return slot;
    return -1;
  }

  /** How many of the newest flows began in each of some spans of time: all, and failed ones. */
  traffic(buckets, newest = 2000) {
    let first = Infinity, last = 0;
    const { time, flags, status } = this.column;
    const from = Math.max(0, this.total - newest);
    for (let slot = from; slot < this.total; slot += 1) {
      const at = time[slot];
      if (this.state[slot] !== HERE || !at) continue;
      if (at < first) first = at;
      if (at > last) last = at;
    }
    const all = new Uint32Array(buckets), bad = new Uint32Array(buckets);
    if (!last) return { all, bad, first: 0, width: 0 };
    const width = Math.max(1000, (last - first + 1) / buckets);
    const start = last - width * buckets + 1;
    for (let slot = from; slot < this.total; slot += 1) {
      if (this.state[slot] !== HERE || !time[slot]) continue;
      const bucket = Math.min(buckets - 1, Math.floor((time[slot] - start) / width));
      if (bucket < 0) continue;
      all[bucket] += 1;
      if (flags[slot] & FAILED || status[slot] >= 500) bad[bucket] += 1;
    }
    return { all, bad, first: start, width };
  }
}
