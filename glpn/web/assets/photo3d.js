// A photo that moves in depth. `Photo3D.mount(element, {photoUrl, depthUrl, meta})` fills `element`; `update` shows another
// photo on the same canvas, the old one staying until the new one is there; `dispose` ends it. Value: photoUrl a JPEG,
// depthUrl the PNG of glpn/scene/photo3d.py, meta {alt, scale}: what the photo shows, and metres per metre of the file.
//
// Events on `element`: "photo3d:ready" {ms, moving} at the first frame and when it may move, "photo3d:pivot" {x, y,
// depth_m}, "photo3d:flat" {reason} without WebGL, "photo3d:error" {message}.
import { background, decodeDepth, grow, relativeNearness, sharpen } from "./photo3d_layers.js";
import { NoWebGL, Renderer } from "./photo3d_renderer.js";

const PERIOD_S = 6.5; // one sway there and back
const EASE_S = 0.16; // in which the camera goes two thirds of its way
const TILT_DEG = 18; // of the phone that make full sway
const SLOW_MS = 45; // frames longer than this make the picture coarser
const MAGMA = "#000004,#3b0f70,#8c2981,#de4968,#fe9f6d,#fcfdbf"; // magma (S. van der Walt, N. Smith, CC0), far to near
const HINT = {
  mouse: "Move the mouse to look around. Click what should stay in place.",
  touch: "Swipe sideways to look around. Tap to move freely.",
};

export class Photo3D {
  static mount(element, value, options = {}) {
    return new Photo3D(element, value, options);
  }

  constructor(element, value, { strength = 1 } = {}) {
    this.element = element;
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.coarse = window.matchMedia("(pointer: coarse)").matches;
    this.strength = strength;
    this.playing = !this.calm.matches;
    this.eye = { x: 0, y: 0 };
    this.target = { x: 0, y: 0 };
    this.pivot = { now: 1, goal: 1 };
    this.held = false; // by pointer, keys or tilt
    this.coarseness = 1;
    this.turn = 0;
    this.ending = new AbortController();
    element.innerHTML = markup();
    for (const name of ["stage", "still", "canvas", "hint", "tools", "flat", "message"]) {
      this[name] = element.querySelector(`.photo3d-${name}`);
    }
    this.listen();
    this.showTools();
    if (value) this.update(value);
  }

  // Show another photo; resolves to true when it may move, to false if a newer one came or it failed.
  async update(value) {
    const turn = ++this.turn;
    const stale = () => turn !== this.turn || this.ending.signal.aborted;
    this.message.hidden = true;
    try {
      const scene = await loadScene(value);
      if (stale()) return false;
      const start = performance.now();
      this.present(scene);
      this.emit("ready", { ms: performance.now() - start, moving: false });
      for (const step of [refineFront, refineBack]) {
        await nextTask();
        if (stale()) return false;
        step(scene);
      }
      this.upload();
      this.element.dataset.state = this.renderer ? "moving" : "flat";
      this.emit("ready", { ms: performance.now() - start, moving: Boolean(this.renderer) });
      this.wake();
      return true;
    } catch (error) {
      if (!stale()) this.fail(error);
      return false;
    }
  }

  // The first frame: at rest, so that edges need no care yet.
  present(scene) {
    this.scene = scene;
    this.element.dataset.state = "loading";
    this.stage.hidden = false;
    this.still.src = scene.value.photoUrl;
    this.still.alt = scene.value.meta?.alt ?? "The photo";
    this.stage.style.setProperty("--aspect", scene.photo.naturalWidth / scene.photo.naturalHeight);
    this.eye = { x: 0, y: 0 };
    this.pivot = { now: 1, goal: 1 };
    this.started = null;
    this.open();
    if (!this.renderer) return this.showFlat();
    this.upload();
    this.resize();
    this.draw();
    this.canvas.hidden = false;
    this.invite();
  }

  open() {
    if (this.renderer || this.reason) return;
    try {
      this.renderer = new Renderer(this.canvas);
      if (this.renderer.software) this.coarseness = 0.75;
    } catch (error) {
      if (!(error instanceof NoWebGL)) throw error;
      this.reason = error.message;
    }
  }

  upload() {
    const { scene, renderer } = this;
    if (!renderer || !scene) return;
    renderer.setFront(scene.photo, scene.facts, scene.front);
    if (scene.refined) renderer.setBack(scene.back, scene.rgba);
  }

  // Depth, in metres, of a place on the photo, x and y from 0 to 1.
  depthAt(x, y) {
    return depthAt(this.scene, x, y);
  }

  // How far the camera goes to either side, in pivot depths.
  get reach() {
    return Math.tan((this.scene.facts.sway_deg * Math.PI) / 180) * this.strength;
  }

  // Draw from `offset` {x, y: -1 to 1 of full sway, z: pivot depths} onto the shown canvas, and return it: read it at once.
  render({ x = 0, y = 0, z = 0 } = {}) {
    const reach = this.reach;
    return this.renderer.draw({ x: x * reach, y: y * reach, z }, { pivot: this.pivot.now });
  }

  // A renderer of this photo on a canvas of its own, for exports; call dispose() on it.
  exporter(width, height) {
    const { scene } = this;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const renderer = new Renderer(canvas);
    renderer.setFront(scene.photo, scene.facts, scene.front);
    if (scene.refined) renderer.setBack(scene.back, scene.rgba);
    return renderer;
  }

  draw() {
    if (!this.renderer || !this.scene || this.renderer.gl.isContextLost()) return;
    this.render(this.eye);
    this.marks?.place();
  }

  // Where on the stage, 0 to 1, a place on the photo is seen now: the renderer's projection.
  seenAt(x, y) {
    const { facts, front } = this.scene;
    const step = sample(front, x, y) - this.pivot.now;
    const u = x - facts.fx * this.eye.x * this.reach * step;
    const v = y - facts.fy * this.eye.y * this.reach * step;
    const { zoom } = this.renderer;
    return { x: (u - 0.5) * zoom + 0.5, y: (v - 0.5) * zoom + 0.5 };
  }

  // -------------------------------------------------------------------------------------------------- movement

  play(on = true) {
    this.playing = on;
    if (on) {
      this.held = false;
      this.started = null;
    }
    this.showTools();
    this.wake();
  }

  get visible() {
    return !document.hidden && !this.resting && this.onScreen !== false && this.element.isConnected;
  }

  // Stand still while something else needs the graphics.
  rest(on) {
    this.resting = on;
    this.wake();
  }

  wake() {
    if (this.frame || !this.visible || !this.scene?.refined || !this.renderer) return;
    this.before = null;
    this.frame = requestAnimationFrame((now) => this.step(now));
  }

  step(now) {
    this.frame = 0;
    if (!this.visible || this.ending.signal.aborted) return;
    const seconds = this.before === null ? 0 : Math.min((now - this.before) / 1000, 0.1);
    if (this.before !== null) this.keepPace(now - this.before);
    this.before = now;
    if (this.playing && !this.held) this.sway(now);
    const share = 1 - Math.exp(-seconds / EASE_S);
    const left = this.ease(share);
    this.draw();
    if ((this.playing && !this.held) || left > 1e-3) this.frame = requestAnimationFrame((next) => this.step(next));
  }

  sway(now) {
    this.started ??= now;
    const angle = ((now - this.started) / 1000 / PERIOD_S) * 2 * Math.PI;
    this.target = { x: Math.sin(angle), y: 0.3 * Math.sin(angle) * Math.cos(angle) * 2 };
  }

  // Go a share of the way to the target; return what is left of it.
  ease(share) {
    const { eye, target, pivot } = this;
    eye.x += (target.x - eye.x) * share;
    eye.y += (target.y - eye.y) * share;
    pivot.now += (pivot.goal - pivot.now) * share;
    return Math.max(Math.abs(target.x - eye.x), Math.abs(target.y - eye.y), Math.abs(pivot.goal - pivot.now));
  }

  keepPace(ms) {
    this.pace = 0.9 * (this.pace ?? ms) + 0.1 * ms;
    if (this.pace < SLOW_MS || this.coarseness <= 0.6) return;
    this.coarseness *= 0.8;
    this.pace = null;
    this.resize();
  }

  resize() {
    const width = this.stage.clientWidth;
    const height = this.stage.clientHeight;
    if (!width || !this.renderer) return;
    const dots = Math.min(window.devicePixelRatio || 1, 2) * this.coarseness;
    const photo = this.scene?.photo.naturalWidth ?? width;
    const ratio = Math.min(dots, Math.max(1, (1.25 * photo) / width) * this.coarseness);
    const size = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    if (this.canvas.width === size[0] && this.canvas.height === size[1]) return;
    [this.canvas.width, this.canvas.height] = size;
    this.draw();
  }

  // Look from (x, y), -1 to 1, until the pointer leaves, the next key or `play`.
  look(x, y) {
    this.held = true;
    this.target = { x: clamp(x), y: clamp(y) };
    this.wake();
  }

  // ------------------------------------------------------------------------------------------------------ input

  listen() {
    const { signal } = this.ending;
    const on = (target, kinds, act) => {
      for (const kind of kinds.split(" ")) target.addEventListener(kind, act.bind(this), { signal });
    };
    on(this.stage, "pointermove", this.onMove);
    on(this.stage, "pointerdown", this.onDown);
    on(this.stage, "pointerup", this.onUp);
    on(this.stage, "pointerleave pointercancel", this.onLeave);
    on(this.stage, "keydown", this.onKey);
    on(this.tools, "click", this.onTool);
    on(this.tools, "input", (event) => this.setStrength(Number(event.target.value) / 100));
    on(document, "visibilitychange", this.wake);
    on(document, "pointerdown", (event) => this.stage.contains(event.target) || this.engage(false));
    on(this.calm, "change", () => this.play(!this.calm.matches));
    on(this.canvas, "webglcontextlost", this.onLost);
    on(this.canvas, "webglcontextrestored", this.onRestored);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.stage);
    this.views = new IntersectionObserver((entries) => {
      this.onScreen = entries.at(-1).isIntersecting; // a slow machine tells several at once, the newest last
      this.wake();
    });
    this.views.observe(this.stage);
  }

  onMove(event) {
    if (!this.scene) return;
    const drags = event.buttons > 0 && this.from;
    if (event.pointerType === "mouse" && !drags) {
      if (this.calm.matches) return; // moves only what the visitor drags
      const box = this.stage.getBoundingClientRect();
      this.look(((event.clientX - box.left) / box.width) * 2 - 1, ((event.clientY - box.top) / box.height) * 2 - 1);
    } else if (drags) {
      const span = this.stage.clientWidth / 2.5;
      const { x, y, eye } = this.from;
      this.look(eye.x + (event.clientX - x) / span, eye.y + (event.clientY - y) / span);
    }
    this.hideHint();
  }

  onDown(event) {
    this.from = { x: event.clientX, y: event.clientY, eye: { ...this.eye } };
  }

  onUp(event) {
    const from = this.from;
    this.from = null;
    if (!from || Math.hypot(event.clientX - from.x, event.clientY - from.y) > 8) return;
    this.hideHint();
    if (event.pointerType === "touch" && !this.stage.classList.contains("engaged")) return this.engage(true);
    const box = this.stage.getBoundingClientRect();
    this.turnAbout((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  onLeave() {
    this.from = null;
    if (this.tilting) return;
    if (this.playing) this.play();
  }

  // While engaged, a finger moves the scene in all directions; before, an upward swipe scrolls the page.
  engage(on) {
    this.stage.classList.toggle("engaged", on);
  }

  // Keep in place what is seen at (x, y) of the stage, 0 to 1.
  turnAbout(x, y) {
    if (!this.scene || !this.renderer) return;
    const place = this.placeUnder(x, y);
    this.pivot.goal = sample(this.scene.front, place.x, place.y);
    this.emit("pivot", { ...place, depth_m: this.depthAt(place.x, place.y) });
    this.wake();
  }

  // The photo's place seen at (x, y) of the stage: the inverse of the renderer's projection, by iteration.
  placeUnder(x, y) {
    const { facts, front } = this.scene;
    const shift = { x: facts.fx * this.eye.x * this.reach, y: facts.fy * this.eye.y * this.reach };
    const { zoom } = this.renderer;
    const [u, v] = [(x - 0.5) / zoom + 0.5, (y - 0.5) / zoom + 0.5];
    const place = { x: u, y: v };
    for (let i = 0; i < 8; i++) {
      const step = sample(front, place.x, place.y) - this.pivot.now;
      place.x = u + shift.x * step;
      place.y = v + shift.y * step;
    }
    return { x: Math.min(1, Math.max(0, place.x)), y: Math.min(1, Math.max(0, place.y)) };
  }

  onKey(event) {
    const { x, y } = this.target;
    const acts = {
      ArrowLeft: () => this.look(x - 0.25, y),
      ArrowRight: () => this.look(x + 0.25, y),
      ArrowUp: () => this.look(x, y - 0.25),
      ArrowDown: () => this.look(x, y + 0.25),
      " ": () => this.play(!this.playing),
      "+": () => this.setStrength(this.strength + 0.1),
      "-": () => this.setStrength(this.strength - 0.1),
      Home: () => {
        this.pivot.goal = 1;
        this.look(0, 0);
      },
    };
    const act = acts[event.key];
    if (!act || event.target !== this.stage || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.hideHint();
    act();
  }

  setStrength(strength) {
    this.strength = Math.min(2, Math.max(0.1, Math.round(strength * 100) / 100));
    this.showTools();
    if (!this.frame) this.draw();
  }

  async onTool(event) {
    const act = event.target.closest("[data-act]")?.dataset.act;
    if (act === "play") this.play(!this.playing);
    else if (act === "full") document.fullscreenElement ? document.exitFullscreen() : this.stage.requestFullscreen?.();
    else if (act === "tilt") await this.toggleTilt();
  }

  // Follow the phone's tilt; iOS asks the visitor first, and only after a tap.
  async toggleTilt() {
    if (this.tilting) {
      this.tilting.abort();
      this.tilting = null;
      return this.play();
    }
    const ask = window.DeviceOrientationEvent.requestPermission;
    if (ask && (await ask.call(window.DeviceOrientationEvent).catch(() => "denied")) !== "granted") {
      return this.say("The phone did not allow its tilt to be read.");
    }
    this.tilting = new AbortController();
    let rest = null;
    const follow = ({ beta, gamma }) => {
      if (beta === null || gamma === null) return;
      rest ??= { beta, gamma };
      this.look((gamma - rest.gamma) / TILT_DEG, (beta - rest.beta) / TILT_DEG);
    };
    window.addEventListener("deviceorientation", follow, { signal: this.tilting.signal });
    this.showTools();
  }

  // ------------------------------------------------------------------------------------------- what is told, ends

  showTools() {
    const button = (act) => this.tools.querySelector(`[data-act=${act}]`);
    button("play").textContent = this.playing ? "Pause" : "Start";
    button("tilt").hidden = !(this.coarse && window.DeviceOrientationEvent);
    button("tilt").setAttribute("aria-pressed", String(Boolean(this.tilting)));
    button("full").hidden = !document.fullscreenEnabled;
    this.tools.querySelector("input").value = Math.round(this.strength * 100);
  }

  invite() {
    let seen = false;
    try {
      seen = localStorage.getItem("glpn-photo3d-hint") === "seen";
    } catch {} // storage is forbidden: the hint shows again
    if (seen || this.invited) return;
    this.invited = true;
    this.hint.textContent = HINT[this.coarse ? "touch" : "mouse"];
    this.hint.hidden = false;
  }

  hideHint() {
    if (this.hint.hidden) return;
    this.hint.hidden = true;
    try {
      localStorage.setItem("glpn-photo3d-hint", "seen");
    } catch {}
  }

  // Without WebGL: the photo next to a picture of its depth.
  showFlat() {
    const { scene, flat } = this;
    this.stage.hidden = this.tools.hidden = true;
    flat.hidden = false;
    const img = flat.querySelector("img");
    img.src = scene.value.photoUrl;
    img.alt = this.still.alt;
    paintDepth(flat.querySelector("canvas"), scene.front);
    this.emit("flat", { reason: this.reason });
  }

  onLost(event) {
    event.preventDefault(); // asks for the context back
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.canvas.hidden = true; // the still photo is below it
  }

  onRestored() {
    this.renderer.setUp();
    this.upload();
    this.draw();
    this.canvas.hidden = false;
    this.wake();
  }

  fail(error) {
    this.say(`The photo can't be shown in 3D: ${error.message}.`);
    this.emit("error", { message: error.message });
  }

  say(text) {
    this.message.textContent = text;
    this.message.hidden = false;
  }

  emit(kind, detail) {
    this.element.dispatchEvent(new CustomEvent(`photo3d:${kind}`, { detail, bubbles: true }));
  }

  dispose() {
    this.ending.abort();
    this.tilting?.abort();
    cancelAnimationFrame(this.frame);
    this.sizes.disconnect();
    this.views.disconnect();
    this.renderer?.dispose();
    this.element.replaceChildren();
  }
}

function markup() {
  const button = (act, text) => `<button type="button" class="figure-button" data-act="${act}">${text}</button>`;
  return `
<div class="photo3d-stage" tabindex="0" role="application" hidden
     aria-label="Photo in 3D. Arrow keys look around, space plays or pauses, plus and minus change the strength.">
  <img class="photo3d-still" alt="">
  <canvas class="photo3d-canvas" aria-hidden="true" hidden></canvas>
  <p class="photo3d-hint" hidden></p>
</div>
<div class="photo3d-flat" hidden>
  <figure><img alt=""><figcaption>Photo</figcaption></figure>
  <figure><canvas role="img" aria-label="Depth, near is bright"></canvas><figcaption>Depth: bright is near</figcaption></figure>
</div>
<p class="photo3d-message" role="status" hidden></p>
<div class="photo3d-tools">
  ${button("play", "Pause")}
  <label>Depth <input type="range" min="10" max="200" step="10" value="100" aria-label="Strength of the depth, percent"></label>
  ${button("tilt", "Follow the phone's tilt")}${button("full", "Full screen")}
</div>`;
}

// ------------------------------------------------------------------------------------------------------- helpers

// Fetch what a value names; the scene's edges are those of the depth file until `refineFront` moves them onto the photo's.
export async function loadScene(value) {
  const [photo, depth] = await Promise.all([loadPhoto(value.photoUrl), loadDepth(value.depthUrl)]);
  return {
    value,
    photo,
    facts: depth.facts,
    scale: value.meta?.scale ?? 1,
    front: relativeNearness(depth),
    refined: false,
  };
}

// Depth, in metres, of a place on the photo, x and y from 0 to 1.
export function depthAt({ facts, scale, front }, x, y) {
  return (facts.pivot_m * scale) / sample(front, x, y);
}

export function refineFront(scene) {
  scene.guide = pixels(scene.photo, scene.front.cols, scene.front.rows);
  scene.front = grow(sharpen(scene.front, scene.guide));
}

function refineBack(scene) {
  Object.assign(scene, background(scene.front, scene.guide), { refined: true });
}

async function loadPhoto(url) {
  const image = new Image();
  image.src = url;
  await image.decode().catch(() => {
    throw new Error("its picture could not be loaded");
  });
  return image;
}

async function loadDepth(url) {
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok) throw new Error("its depth could not be loaded");
  return decodeDepth(await answer.arrayBuffer());
}

// RGBA bytes of an image at another size; halved step by step, because browsers average 2 × 2 pixels at most.
export function pixels(image, width, height) {
  let from = image;
  let [w, h] = [image.naturalWidth ?? image.width, image.naturalHeight ?? image.height];
  do {
    [w, h] = [Math.max(width, Math.ceil(w / 2)), Math.max(height, Math.ceil(h / 2))];
    const canvas = Object.assign(document.createElement("canvas"), { width: w, height: h });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(from, 0, 0, w, h);
    from = canvas;
  } while (w > width || h > height);
  return from.getContext("2d").getImageData(0, 0, width, height).data;
}

// Bilinear, x and y from 0 to 1.
export function sample({ rows, cols, values }, x, y) {
  const col = Math.min(cols - 1, Math.max(0, x * cols - 0.5));
  const row = Math.min(rows - 1, Math.max(0, y * rows - 0.5));
  const [j, i] = [Math.floor(col), Math.floor(row)];
  const [k, l] = [Math.min(j + 1, cols - 1), Math.min(i + 1, rows - 1)];
  const upper = values[i * cols + j] * (1 - col + j) + values[i * cols + k] * (col - j);
  const lower = values[l * cols + j] * (1 - col + j) + values[l * cols + k] * (col - j);
  return upper * (1 - row + i) + lower * (row - i);
}

// Paint a grid of nearness, far dark and near bright; returns the canvas.
export function paintDepth(canvas, { rows, cols, values }) {
  const stops = MAGMA.split(",").map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const sorted = Float32Array.from(values).sort();
  const [far, near] = [sorted[Math.floor(0.02 * sorted.length)], sorted[Math.floor(0.98 * (sorted.length - 1))]];
  [canvas.width, canvas.height] = [cols, rows];
  const context = canvas.getContext("2d");
  const picture = context.createImageData(cols, rows);
  for (let i = 0; i < values.length; i++) {
    const share = Math.min(1, Math.max(0, (values[i] - far) / (near - far || 1))) * (stops.length - 1);
    const k = Math.min(stops.length - 2, Math.floor(share));
    for (let c = 0; c < 3; c++) picture.data[4 * i + c] = stops[k][c] + (share - k) * (stops[k + 1][c] - stops[k][c]);
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

function clamp(value) {
  return Math.min(1, Math.max(-1, value));
}

function nextTask() {
  return new Promise((resolve) => setTimeout(resolve));
}
