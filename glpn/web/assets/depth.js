// The depth picture: a photo and one or more maps side by side or under a slider, in the same view, with a color bar at
// the edge of each map and the value under the cursor. Nothing is asked of the server but the pictures' files.
//
// Value: {key, name, size: [width, height], look, panes: [{kind: "photo" | "depth" | "difference", label, url, scale,
// uncertainty, of: [i, j], relative}], sure}; a difference is pane i minus pane j. `look` is {colors, range, near}; the
// event "glpn:look" on `document` brings another one. `sure` is {url, unsure, legend}: how far estimates of the depth are
// apart, which is hatched over it from `unsure` on, and crosswise from twice that.
import {
  colorTable,
  depthRange,
  difference,
  errorRange,
  hatching,
  loadMap,
  loadSpread,
  maskAbove,
  painted,
  sharpened,
  ticks,
  valueAt,
} from "./depth_map.js";
import { metres } from "./metres.js";

const MOST_ZOOM = 16;
const HATCH = 10; // CSS pixels from line to line
const TOOLS = `
<div class="depth-tools" role="group" aria-label="Depth picture">
  <span class="depth-modes"><button type="button" class="figure-button" data-act="side">Side by side</button>
  <button type="button" class="figure-button" data-act="wipe">Slider</button></span>
  <button type="button" class="figure-button depth-sharpen" data-act="sharpen" aria-pressed="false"
    title="For the eye: values stay those of the model">Sharpen edges with the photo</button>
  <span class="depth-zoom"><button type="button" class="figure-button" data-act="out" aria-label="Zoom out">−</button>
  <button type="button" class="figure-button" data-act="in" aria-label="Zoom in">+</button>
  <button type="button" class="figure-button" data-act="reset">Reset</button></span>
  <button type="button" class="figure-button" data-act="save">Save picture</button>
  <button type="button" class="figure-button" data-act="full">Full screen</button>
</div>
<div class="depth-panes" tabindex="0" role="application"></div>
<p class="depth-legend" hidden></p>
<p class="sr-only" role="status"></p>`;

export class DepthView {
  constructor(place, label) {
    this.place = place;
    this.view = { zoom: 1, x: 0.5, y: 0.5 };
    this.mode = "side";
    this.cut = 0.5;
    this.pair = [0, 1];
    this.pointers = new Map();
    this.turn = 0;
    place.innerHTML = TOOLS;
    this.tools = place.querySelector(".depth-tools");
    this.stage = place.querySelector(".depth-panes");
    this.spoken = place.querySelector("[role=status]");
    this.stage.setAttribute(
      "aria-label",
      `${label}. Arrow keys move the cross that reads a value, plus and minus zoom.`,
    );
    this.listen();
  }

  // Show another value; the old picture stays until the new one is there. Resolves to false if it failed or a newer came.
  async update(value) {
    const turn = ++this.turn;
    const loads = value.panes.map((pane) => {
      if (pane.kind === "photo") return loadPhoto(pane.url);
      return pane.kind === "depth" ? loadMap(pane.url, pane.scale) : null;
    });
    const [spread, ...loaded] = await Promise.all([value.sure ? loadSpread(value.sure.url) : null, ...loads]);
    if (turn !== this.turn) return false;
    const fresh = value.key !== this.value?.key;
    this.value = value;
    this.look = value.look;
    this.panes = value.panes.map((pane, i) => ({
      ...pane,
      photo: pane.kind === "photo" ? loaded[i] : null,
      map: pane.kind === "depth" ? loaded[i] : null,
    }));
    for (const pane of this.panes) {
      if (pane.kind === "difference")
        pane.map = difference(this.panes[pane.of[0]].map, this.panes[pane.of[1]].map, pane.relative);
    }
    if (fresh) this.view = { zoom: 1, x: 0.5, y: 0.5 };
    this.at = null;
    this.pair = [0, Math.min(1, this.panes.length - 1)];
    this.ranges = {};
    this.showSure(spread);
    this.build();
    this.paint();
    this.place.dataset.key = value.key;
    return true;
  }

  // --------------------------------------------------------------------------------------------------- elements

  build() {
    const [width, height] = this.value.size;
    this.stage.style.setProperty("--aspect", width / height);
    this.stage.dataset.count = this.panes.length;
    this.stage.replaceChildren(...this.panes.map((pane) => this.figureOf(pane)));
    this.divider = element("div", "depth-divider", {
      tabindex: 0,
      role: "slider",
      "aria-label": "Where the right picture begins",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    });
    this.divider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      this.cutAt(this.cut + step);
    });
    this.tools.querySelector(".depth-sharpen").hidden = !this.panes.some((pane) => pane.photo);
    this.tools.querySelector(".depth-modes").hidden = this.panes.length < 2;
    this.sizes?.disconnect();
    this.sizes = new ResizeObserver(() => this.draw());
    for (const pane of this.panes) this.sizes.observe(pane.frame);
    this.showMode();
  }

  figureOf(pane) {
    pane.figure = element("figure", "depth-pane", { "data-kind": pane.kind });
    pane.frame = element("div", "depth-frame");
    pane.canvas = element("canvas", "depth-canvas", { role: "img", "aria-label": pane.label });
    pane.name = element("span", "depth-name", {}, pane.label);
    pane.cross = element("span", "depth-cross", { hidden: "" });
    pane.read = element("output", "depth-read", { "aria-live": "off" });
    pane.cross.append(pane.read);
    pane.frame.append(pane.canvas, pane.name, pane.cross);
    pane.bar = element("figcaption", "depth-bar");
    if (pane.map) {
      pane.bar.innerHTML =
        '<span class="depth-ramp"><i class="depth-mark" hidden></i></span><span class="depth-ticks"></span>';
    }
    pane.figure.append(pane.frame, pane.bar);
    return pane.figure;
  }

  showMode() {
    const wipe = this.mode === "wipe" && this.panes.length > 1;
    this.stage.classList.toggle("wipe", wipe);
    for (const button of this.tools.querySelectorAll("[data-act=side], [data-act=wipe]")) {
      button.setAttribute("aria-pressed", String(button.dataset.act === (wipe ? "wipe" : "side")));
    }
    this.panes.forEach((pane, i) => {
      const side = wipe ? this.pair.indexOf(i) : 0;
      pane.figure.hidden = side < 0;
      pane.figure.classList.toggle("over", wipe && side === 1);
    });
    if (wipe) {
      this.panes[this.pair[1]].frame.append(this.divider);
      this.choosers();
    } else {
      this.divider.remove();
      this.tools.querySelector(".depth-pair")?.remove();
    }
    this.cutAt(this.cut);
    this.draw();
  }

  // With more than two pictures: which two the slider shows.
  choosers() {
    this.tools.querySelector(".depth-pair")?.remove();
    if (this.panes.length < 3) return;
    const box = element("span", "depth-pair");
    ["Left", "Right"].forEach((side, end) => {
      const select = element("select", "", { "aria-label": `${side} picture` });
      select.append(...this.panes.map((pane, i) => element("option", "", { value: i }, pane.label)));
      select.value = this.pair[end];
      select.addEventListener("change", () => {
        const chosen = Number(select.value);
        this.pair = this.pair.map((old, i) => (i === end ? chosen : old === chosen ? this.pair[end] : old));
        this.showMode();
      });
      box.append(select);
    });
    this.tools.querySelector(".depth-modes").after(box);
  }

  cutAt(share) {
    this.cut = Math.min(1, Math.max(0, share));
    this.stage.style.setProperty("--cut", `${100 * this.cut}%`);
    this.divider.setAttribute("aria-valuenow", Math.round(100 * this.cut));
  }

  // ---------------------------------------------------------------------------------------------------- drawing

  colorMaps() {
    this.maps ??= JSON.parse(document.querySelector("[data-color-maps]").dataset.colorMaps);
    return this.maps;
  }

  rangeOf(pane) {
    if (pane.kind === "difference") {
      pane.range ??= errorRange(pane.map);
      return pane.range;
    }
    const name = JSON.stringify(this.look.range);
    const depths = this.panes.filter((other) => other.kind === "depth").map((other) => other.map);
    this.ranges[name] ??= depthRange(depths, this.look.range);
    return this.ranges[name];
  }

  tableOf(pane) {
    const error = pane.kind === "difference";
    return colorTable(this.colorMaps(), error ? "errors" : this.look.colors, !error && this.look.near);
  }

  // Give the maps their colors, and draw.
  paint() {
    for (const pane of this.panes) {
      if (!pane.map) continue;
      const range = this.rangeOf(pane);
      const table = this.tableOf(pane);
      const map = this.sharpen && pane.kind === "depth" ? this.sharpMapOf(pane) : pane.map;
      pane.source = painted(map, range, table);
      this.drawBar(pane, range, table);
    }
    this.draw();
    this.read();
    this.place.dataset.painted = String(Number(this.place.dataset.painted ?? 0) + 1);
  }

  // Take how far estimates of the depth are apart, or null where nobody asked.
  showSure(spread) {
    this.apart = spread;
    this.masks = spread ? [1, 2].map((times) => maskAbove(spread, times * this.value.sure.unsure)) : [];
    const legend = this.place.querySelector(".depth-legend");
    legend.hidden = !spread;
    legend.textContent = spread ? this.value.sure.legend : "";
  }

  sharpMapOf(pane) {
    const { photo } = this.panes.find((other) => other.photo);
    pane.sharp ??= sharpened(pane.map, pixels(photo));
    return pane.sharp;
  }

  drawBar(pane, range, table) {
    const steps = Array.from({ length: 17 }, (_, i) => 3 * Math.round((255 * i) / 16));
    const stops = steps.map((at) => `rgb(${table[at]},${table[at + 1]},${table[at + 2]})`);
    pane.bar.querySelector(".depth-ramp").style.background = `linear-gradient(90deg, ${stops})`;
    const unit = pane.relative ? "%" : "m";
    const found = ticks(range, 5);
    const ends = found.map((text, i) => {
      const left = (100 * (Number(text) - range[0])) / (range[1] - range[0]);
      const sign = pane.kind === "difference" && Number(text) > 0 ? "+" : "";
      return element(
        "span",
        "",
        { style: `left: ${left}%` },
        `${sign}${text}${i === found.length - 1 ? ` ${unit}` : ""}`,
      );
    });
    pane.bar.querySelector(".depth-ticks").replaceChildren(...ends);
  }

  draw() {
    for (const pane of this.panes ?? []) {
      const source = pane.source ?? pane.photo;
      const width = pane.frame.clientWidth;
      if (!source || !width || pane.figure.hidden) continue;
      const dots = Math.min(window.devicePixelRatio || 1, 2);
      const size = [Math.round(width * dots), Math.round(pane.frame.clientHeight * dots)];
      if (pane.canvas.width !== size[0] || pane.canvas.height !== size[1])
        [pane.canvas.width, pane.canvas.height] = size;
      this.drawPane(pane.canvas.getContext("2d"), pane, 0, 0, ...size, dots);
    }
    this.stage.style.touchAction = this.view.zoom > 1 ? "none" : "pan-y";
    this.placeCross();
  }

  // Draw a pane with `dots` pixels for each of CSS, hatched where its depth is unsure.
  drawPane(context, pane, x, y, width, height, dots) {
    this.drawInto(context, pane.source ?? pane.photo, x, y, width, height);
    if (pane.kind !== "depth") return;
    this.masks.forEach((mask, level) => {
      const layer = new OffscreenCanvas(width, height);
      const lines = layer.getContext("2d");
      this.drawInto(lines, mask, 0, 0, width, height);
      lines.globalCompositeOperation = "source-in";
      lines.fillStyle = hatching(lines, Math.round(HATCH * dots), level === 1);
      lines.fillRect(0, 0, width, height);
      context.drawImage(layer, x, y);
    });
  }

  drawInto(context, source, x, y, width, height) {
    const { zoom } = this.view;
    const { left, top } = this.corner();
    const [w, h] = [source.naturalWidth ?? source.width, source.naturalHeight ?? source.height];
    context.imageSmoothingQuality = "high";
    context.clearRect(x, y, width, height);
    context.drawImage(source, left * w, top * h, w / zoom, h / zoom, x, y, width, height);
  }

  corner() {
    const { zoom, x, y } = this.view;
    const half = 0.5 / zoom;
    const within = (middle) => Math.min(1 - half, Math.max(half, middle)) - half;
    return { left: within(x), top: within(y) };
  }

  zoomTo(zoom, x = 0.5, y = 0.5) {
    const before = this.corner();
    const old = this.view.zoom;
    const next = Math.min(MOST_ZOOM, Math.max(1, zoom));
    const [left, top] = [before.left + x / old - x / next, before.top + y / old - y / next];
    this.view = { zoom: next, x: left + 0.5 / next, y: top + 0.5 / next };
    this.draw();
  }

  // ---------------------------------------------------------------------------------------------------- reading

  // The photo's place at (x, y) of a frame, all from 0 to 1.
  placeUnder(pane, event) {
    const box = pane.frame.getBoundingClientRect();
    const { left, top } = this.corner();
    const clamp = (share) => Math.min(0.9999, Math.max(0, share));
    return {
      x: left + clamp((event.clientX - box.left) / box.width) / this.view.zoom,
      y: top + clamp((event.clientY - box.top) / box.height) / this.view.zoom,
    };
  }

  textOf(pane) {
    const value = valueAt(pane.map, this.at.x, this.at.y);
    if (Number.isNaN(value)) return "not measured";
    if (pane.kind === "depth") {
      const text = pane.uncertainty ? metres(value, pane.uncertainty) : `${value.toFixed(2)} m`;
      return this.apart ? `${text}\n${this.sureText()}` : text;
    }
    return `${value > 0 ? "+" : ""}${pane.relative ? `${value.toFixed(0)} %` : `${value.toFixed(2)} m`}`;
  }

  sureText() {
    const share = valueAt(this.apart, this.at.x, this.at.y);
    return `${share > this.value.sure.unsure ? "unsure:" : "estimates"} ${Math.round(100 * share)} % apart`;
  }

  read(spoken = false) {
    const { at } = this;
    const first = this.panes.find((pane) => pane.map);
    for (const pane of this.panes) {
      pane.cross.hidden = !at;
      const mark = pane.bar.querySelector(".depth-mark");
      if (mark) mark.hidden = !at;
      if (!at || !first) continue;
      const shown = pane.map ? pane : first;
      const lines = this.textOf(shown).split("\n"); // texts of their own, for language.js
      pane.read.replaceChildren(...lines.map((line) => element("div", "", {}, line)));
      if (!mark) continue;
      const [low, high] = this.rangeOf(pane);
      const share = (valueAt(pane.map, at.x, at.y) - low) / (high - low);
      mark.hidden = Number.isNaN(share);
      mark.style.left = `${100 * Math.min(1, Math.max(0, share))}%`;
    }
    if (at && spoken) {
      const [width, height] = this.value.size;
      this.spoken.textContent = `x ${Math.floor(at.x * width)}, y ${Math.floor(at.y * height)}: ${this.textOf(first).replace("\n", "; ")}`;
    }
    this.placeCross();
  }

  placeCross() {
    if (!this.at) return;
    const { left, top } = this.corner();
    const [x, y] = [(this.at.x - left) * this.view.zoom, (this.at.y - top) * this.view.zoom];
    for (const { cross, read } of this.panes) {
      cross.style.left = `${100 * x}%`;
      cross.style.top = `${100 * y}%`;
      cross.style.visibility = x >= 0 && x <= 1 && y >= 0 && y <= 1 ? "" : "hidden";
      read.dataset.side = `${x > 0.5 ? "left" : "right"} ${y < 0.15 ? "below" : "above"}`;
    }
  }

  // ------------------------------------------------------------------------------------------------------- input

  listen() {
    this.tools.addEventListener("click", (event) => this.act(event.target.closest("button")?.dataset.act));
    const on = (kind, handler, options) => this.stage.addEventListener(kind, handler.bind(this), options);
    on("pointerdown", this.onDown);
    on("pointermove", this.onMove);
    on("pointerup", this.onUp);
    on("pointercancel", this.onUp);
    on("pointerleave", this.onLeave);
    on("dblclick", (event) => {
      const pane = this.paneOf(event);
      if (pane) this.zoomTo(this.view.zoom > 1 ? 1 : 3, ...this.shares(pane, event));
    });
    on("wheel", this.onWheel, { passive: false });
    on("keydown", this.onKey);
    document.addEventListener("glpn:look", (event) => this.setLook(event.detail));
    document.addEventListener("fullscreenchange", () => {
      this.tools.querySelector("[data-act=full]").textContent =
        document.fullscreenElement === this.place ? "Leave full screen" : "Full screen";
    });
  }

  setLook(look) {
    if (!this.panes) return;
    this.look = look;
    this.paint();
  }

  act(name) {
    const acts = {
      side: () => this.setMode("side"),
      wipe: () => this.setMode("wipe"),
      in: () => this.zoomTo(this.view.zoom * 1.5),
      out: () => this.zoomTo(this.view.zoom / 1.5),
      reset: () => this.zoomTo(1),
      sharpen: () => this.setSharpen(!this.sharpen),
      save: () => this.save(),
      full: () => (document.fullscreenElement ? document.exitFullscreen() : this.place.requestFullscreen?.()),
    };
    if (this.panes) acts[name]?.();
  }

  setMode(mode) {
    this.mode = mode;
    this.showMode();
  }

  setSharpen(on) {
    this.sharpen = on;
    this.tools.querySelector(".depth-sharpen").setAttribute("aria-pressed", String(on));
    this.paint();
  }

  paneOf(event) {
    return this.panes?.find((pane) => pane.frame.contains(event.target));
  }

  shares(pane, event) {
    const box = pane.frame.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  onDown(event) {
    const pane = this.paneOf(event);
    if (!pane) return;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const near = Math.abs(this.shares(pane, event)[0] - this.cut) * pane.frame.clientWidth;
    this.drag = {
      pane,
      view: this.view,
      corner: this.corner(),
      x: event.clientX,
      y: event.clientY,
      spread: this.spread(),
    };
    this.drag.cuts = this.stage.classList.contains("wipe") && near < 24;
    if (this.drag.cuts || this.view.zoom > 1) pane.frame.setPointerCapture?.(event.pointerId);
  }

  spread() {
    const [a, b] = [...this.pointers.values()];
    return b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
  }

  onMove(event) {
    const pane = this.paneOf(event);
    const down = this.pointers.get(event.pointerId);
    if (!pane) return;
    if (down) Object.assign(down, { x: event.clientX, y: event.clientY });
    if (down && this.drag) this.dragTo(event);
    if (event.pointerType === "mouse" && !down) {
      this.at = this.placeUnder(pane, event);
      this.read();
    }
  }

  dragTo(event) {
    const { pane, view, corner, x, y, spread, cuts } = this.drag;
    const box = pane.frame.getBoundingClientRect();
    if (cuts) return this.cutAt((event.clientX - box.left) / box.width);
    if (spread && this.pointers.size > 1) {
      const [a, b] = [...this.pointers.values()];
      const middle = { clientX: (a.x + b.x) / 2, clientY: (a.y + b.y) / 2 };
      return this.zoomTo(view.zoom * (this.spread() / spread), ...this.shares(pane, middle));
    }
    if (view.zoom > 1) {
      const [dx, dy] = [(event.clientX - x) / box.width / view.zoom, (event.clientY - y) / box.height / view.zoom];
      this.view = { zoom: view.zoom, x: corner.left - dx + 0.5 / view.zoom, y: corner.top - dy + 0.5 / view.zoom };
      this.draw();
    }
  }

  onUp(event) {
    const drag = this.drag;
    this.pointers.delete(event.pointerId);
    this.drag = null;
    const pane = this.paneOf(event);
    if (!drag || drag.cuts || !pane || event.type !== "pointerup" || event.pointerType === "mouse") return;
    if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 10) return;
    this.at = this.placeUnder(pane, event);
    this.read();
  }

  onLeave(event) {
    if (event.pointerType !== "mouse" || this.drag) return;
    this.at = null;
    this.read();
  }

  onWheel(event) {
    const pane = this.paneOf(event);
    if (!pane || !event.ctrlKey) return; // without Ctrl, or two fingers on a touch pad, the page scrolls
    event.preventDefault();
    this.zoomTo(this.view.zoom * Math.exp(-event.deltaY / 200), ...this.shares(pane, event));
  }

  onKey(event) {
    if (event.target !== this.stage || !this.panes || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const acts = { "+": "in", "-": "out", 0: "reset", Home: "reset" };
    if (!moves[event.key] && !acts[event.key]) return;
    event.preventDefault();
    if (acts[event.key]) return this.act(acts[event.key]);
    const step = (event.shiftKey ? 0.1 : 0.02) / this.view.zoom;
    const [dx, dy] = moves[event.key];
    const { x, y } = this.at ?? { x: 0.5, y: 0.5 };
    const clamp = (share) => Math.min(0.9999, Math.max(0, share));
    this.at = { x: clamp(x + dx * step), y: clamp(y + dy * step) };
    this.read(true);
  }

  // -------------------------------------------------------------------------------------------------- the picture

  // Save the panes as they are seen, with their color bars, as one PNG.
  save() {
    const shown = this.panes.filter((pane) => !pane.figure.hidden);
    const aspect = this.value.size[0] / this.value.size[1];
    const width = Math.round(Math.min(1000, 900 * aspect));
    const height = Math.round(width / aspect);
    const wipe = this.stage.classList.contains("wipe");
    const columns = wipe ? 1 : Math.min(2, shown.length);
    const rows = wipe ? 1 : Math.ceil(shown.length / columns);
    const [gap, foot] = [12, 60];
    const canvas = element("canvas", "", {
      width: columns * (width + gap) + gap,
      height: rows * (height + foot) + gap,
    });
    const context = canvas.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    shown.forEach((pane, i) => {
      const [x, y] = wipe
        ? [gap, gap]
        : [gap + (i % columns) * (width + gap), gap + Math.floor(i / columns) * (height + foot)];
      context.save();
      if (wipe && pane === this.panes[this.pair[1]]) {
        context.beginPath();
        context.rect(x + this.cut * width, y, width, height + foot);
        context.clip();
      }
      this.drawPane(context, pane, x, y, width, height, 1);
      context.restore();
      if (pane.map) this.saveBar(context, pane, x, y + height, width);
    });
    canvas.toBlob((blob) => download(blob, `${this.value.name}_depth_picture.png`), "image/png");
  }

  saveBar(context, pane, x, y, width) {
    const range = this.rangeOf(pane);
    const table = this.tableOf(pane);
    for (let i = 0; i < width; i++) {
      const at = 3 * Math.round((255 * i) / (width - 1));
      context.fillStyle = `rgb(${table[at]},${table[at + 1]},${table[at + 2]})`;
      context.fillRect(x + i, y + 8, 1, 14);
    }
    context.fillStyle = "#0f172a";
    context.font = "16px sans-serif";
    context.textAlign = "center";
    for (const text of ticks(range, 5)) {
      const place = (Number(text) - range[0]) / (range[1] - range[0]);
      context.fillText(
        `${text} ${pane.relative ? "%" : "m"}`,
        x + Math.min(width - 24, Math.max(24, place * width)),
        y + 42,
      );
    }
  }
}

function element(kind, name, attributes = {}, text = "") {
  const made = document.createElement(kind);
  if (name) made.className = name;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

async function loadPhoto(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

function pixels(photo) {
  const canvas = new OffscreenCanvas(photo.naturalWidth, photo.naturalHeight);
  const context = canvas.getContext("2d");
  context.drawImage(photo, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
