// The way to the kernel and back.
//
// From the kernel: messages on the widget's comm, which come at any time. To the kernel: commands
// with an id, answered by a message. While a cell runs the kernel may not hear the comm. So a
// command that is not answered soon goes to the control endpoint on the proxy's port as well:
// straight to it if this page is on the same machine, or by way of jupyter-server-proxy. It is done
// once, however often it arrives. One that takes its time is answered at first by saying so.

const AGAIN_MS = [150, 700, 2500];
const GIVE_UP_MS = 20000;
const SLOW_MS = 1200;
const WORKING_MS = 10000;

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

function randomId() {
  return `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 12)}`;
}

/** The base URL of the Jupyter server that this page is from, or null. */
function jupyterBase() {
  const config = document.getElementById("jupyter-config-data");
  try {
    return config ? JSON.parse(config.textContent).baseUrl : document.body.dataset.baseUrl ?? null;
  } catch {
    return null;
  }
}

export class Link {
  constructor(model) {
    this.model = model;
    this.client = randomId();
    this.listeners = new Map();
    this.pending = new Map();
    this.access = null;
    this.route = null; // the address by which the endpoint was reached
    this.isAlive = true;
    this.ackedAt = 0;
    this.onMessage = (content, buffers) => this.receive(content, buffers ?? []);
    model.on("msg:custom", this.onMessage);
  }

  close() {
    this.model.off("msg:custom", this.onMessage);
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(new Error("the inspector was closed"));
    }
    this.pending.clear();
  }

  on(kind, listener) {
    this.listeners.set(kind, listener);
  }

  receive(content, buffers) {
    if (content.kind === "result") this.settle(content);
    else if (content.kind === "working") this.working(content);
    else this.listeners.get(content.kind)?.(content, buffers);
  }

  settle({ id, value, error }) {
    const waiting = this.pending.get(id);
    if (!waiting) return;
    this.pending.delete(id);
    clearTimeout(waiting.timer);
    this.listeners.get("pending")?.(this.oldest());
    if (error) waiting.reject(new Error(error));
    else waiting.resolve(value);
  }

  /** The kernel is at it, however long that takes. */
  working({ id }) {
    const waiting = this.pending.get(id);
    if (!waiting) return;
    waiting.isWorking = true;
    this.listeners.get("pending")?.(this.oldest());
  }

  /** How long the oldest command waits that the kernel is not at, in ms; 0 if none does. */
  oldest() {
    let began = Infinity;
    for (const waiting of this.pending.values()) if (!waiting.isWorking) began = Math.min(began, waiting.began);
    return began === Infinity ? 0 : performance.now() - began;
  }

  get isSlow() {
    return this.oldest() > SLOW_MS;
  }

  /** Ask the kernel to do something; a promise of the answer. */
  call(name, args = {}) {
    if (!this.isAlive) return Promise.reject(new Error("the kernel of this inspector is gone; run its cell again"));
    const message = { kind: "do", id: randomId(), name, args };
    return new Promise((resolve, reject) => {
      const waiting = { resolve, reject, began: performance.now(), tries: 0, timer: 0, isWorking: false };
      this.pending.set(message.id, waiting);
      this.post(message);
      const again = () => {
        if (!waiting.isWorking && performance.now() - waiting.began > GIVE_UP_MS) {
          this.settle({ id: message.id, error: "the kernel does not answer: a cell is running that blocks it" });
          return;
        }
        this.knock(message);
        this.listeners.get("pending")?.(this.oldest());
        waiting.tries += 1;
        waiting.timer = setTimeout(again, waiting.isWorking ? WORKING_MS : AGAIN_MS[Math.min(waiting.tries, AGAIN_MS.length - 1)]);
      };
      waiting.timer = setTimeout(again, AGAIN_MS[0]);
    });
  }

  /** Say how far batches have come. */
  acknowledge(number) {
    const message = { kind: "ack", number };
    this.post(message);
    const now = performance.now();
    if (this.isBusy && now - this.ackedAt > 250) {
      this.ackedAt = now;
      this.knock(message);
    }
  }

  get isBusy() {
    const status = this.kernel?.status;
    return status === "busy" || this.isSlow;
  }

  /** The kernel's connection, where the widget manager has one. */
  get kernel() {
    try {
      return this.model.widget_manager?.kernel ?? null;
    } catch {
      return null;
    }
  }

  post(message) {
    try {
      this.model.send(message);
    } catch {
      // the comm is closed: the endpoint may still be there
    }
  }

  addresses() {
    if (!this.access) return [];
    const { port, path } = this.access;
    const found = [];
    if (LOOPBACK.has(location.hostname)) found.push(`http://127.0.0.1:${port}${path}`);
    const base = jupyterBase();
    if (base) found.push(`${location.origin}${base.replace(/\/?$/, "/")}proxy/${port}${path}`);
    return this.route ? [this.route, ...found.filter((each) => each !== this.route)] : found;
  }

  /** Try the control endpoint; quietly, for it may not be reachable from here. */
  async knock(message) {
    for (const address of this.addresses()) {
      try {
        const answer = await fetch(address, {
          method: "POST",
          headers: { "content-type": "application/json", "x-nbproxy-token": this.access.token },
          body: JSON.stringify(message),
          credentials: address.startsWith(location.origin) ? "same-origin" : "omit",
          cache: "no-store",
        });
        if (answer.status === 204) {
          this.route = address;
          return;
        }
      } catch {
        // the next way
      }
    }
    this.route = null;
  }
}
