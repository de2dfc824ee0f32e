// Traffic over time, in a few pixels.

import { clockText, countText, make } from "./dom.mjs";

const WIDTH = 150;
const HEIGHT = 22;
const BAR = 3;

export class Sparkline {
  constructor(mirror) {
    this.mirror = mirror;
    this.drawn = -1;
    this.drawnAt = 0;
    this.canvas = make("canvas", { class: "nbi-spark", role: "img", "aria-label": "Traffic over time" });
    this.element = this.canvas;
  }

  close() {
    clearTimeout(this.timer);
  }

  /** Draw it, at most twice a second. */
  update() {
    if (this.drawn === this.mirror.version) return;
    const wait = 500 - (performance.now() - this.drawnAt);
    if (wait > 0 && this.drawn >= 0) {
      this.timer ??= setTimeout(() => {
        this.timer = null;
        this.update();
      }, wait);
      return;
    }
    this.drawn = this.mirror.version;
    this.drawnAt = performance.now();
    this.draw();
  }

  draw() {
    const scale = globalThis.devicePixelRatio || 1;
    this.canvas.width = WIDTH * scale;
    this.canvas.height = HEIGHT * scale;
    const context = this.canvas.getContext("2d");
    if (!context) return;
    context.scale(scale, scale);
    const buckets = Math.floor(WIDTH / (BAR + 1));
    const { all, bad, first, width } = this.mirror.traffic(buckets);
    const most = Math.max(1, ...all);
    const style = getComputedStyle(this.canvas);
    const colours = [style.getPropertyValue("--nbi-accent").trim() || "#1976d2", style.getPropertyValue("--nbi-bad").trim() || "#cf222e"];
    for (let bucket = 0; bucket < buckets; bucket += 1) {
      const x = bucket * (BAR + 1);
      const height = all[bucket] ? Math.max(1.5, (all[bucket] / most) * (HEIGHT - 2)) : 0;
      context.fillStyle = colours[0];
      context.globalAlpha = 0.75;
      context.fillRect(x, HEIGHT - height, BAR, height);
      if (bad[bucket]) {
        const part = Math.max(1.5, (bad[bucket] / most) * (HEIGHT - 2));
        context.fillStyle = colours[1];
        context.globalAlpha = 1;
        context.fillRect(x, HEIGHT - part, BAR, part);
      }
    }
    context.globalAlpha = 0.25;
    context.fillStyle = style.color;
    context.fillRect(0, HEIGHT - 0.5, WIDTH, 0.5);
    const rate = width ? (most / width) * 1000 : 0;
    const text = width
      ? `Traffic from ${clockText(first)} to ${clockText(first + width * buckets)}: at most ${countText(most, "request")} in ${(width / 1000).toFixed(1)} s (${rate.toFixed(1)} a second)`
      : "No traffic yet";
    this.canvas.title = text;
    this.canvas.setAttribute("aria-label", text);
  }
}
