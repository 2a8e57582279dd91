// Something to send, made from a 3D photo in the browser without an upload. Each maker takes the Photo3D and options and
// gives {blob, name}; `Send.mount(element, photo3d)` is the panel with buttons, progress, preview, download and share.
import { anaglyph, blur } from "./effects.js";
import { depthAt, paintDepth, pixels } from "./photo3d.js";

const GIF_FPS = 10;
const VIDEO_FPS = 25;
const VIDEO_BYTES = 120_000_000; // of pictures before they are recorded; large ones are fewer
const EYES = 0.5; // distance of the two eyes, as a share of full sway to one side
const DOLLY = 0.1; // pivot depths
const HTML_BYTES = 1_500_000;

// The camera's places of a loop at `share` of it, 0 to 1.
export function onPath(motion, share) {
  const angle = 2 * Math.PI * share;
  if (motion === "dolly") return { x: 0, y: 0, z: DOLLY * Math.sin(angle) };
  return { x: Math.sin(angle), y: 0.3 * Math.cos(angle), z: 0 };
}

export async function gif(view, { motion = "sway", seconds = 2, side = 600 } = {}, progress = () => {}) {
  const { scene } = view;
  const frames = [];
  const count = Math.round(seconds * GIF_FPS);
  const { width, height } = await withRenderer(view, side, async (draw, size) => {
    for (let i = 0; i < count; i++) {
      frames.push(readBack(draw(onPath(motion, i / count))).data.buffer);
      progress((0.5 * (i + 1)) / count);
      await pause();
    }
    return size;
  });
  const bytes = await inWorker({ width, height, delay: 1000 / GIF_FPS, frames }, (share) =>
    progress(0.5 + 0.5 * share),
  );
  return named(scene, new Blob([bytes], { type: "image/gif" }), "3d.gif");
}

function inWorker(job, progress) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("gif.js", import.meta.url), { type: "module" });
    worker.onerror = (event) => {
      worker.terminate();
      reject(new Error(`The GIF could not be written: ${event.message || "the encoder did not load"}.`));
    };
    worker.onmessage = ({ data }) => {
      if (!data.bytes) return progress(data.progress);
      worker.terminate();
      resolve(data.bytes);
    };
    worker.postMessage(job, job.frames);
  });
}

// The first video type that this browser records, MP4 before WebM because more phones play it; null for none.
export function videoType() {
  const types = ["video/mp4;codecs=avc1.42E01E", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];
  return (window.MediaRecorder && types.find((type) => MediaRecorder.isTypeSupported(type))) || null;
}

// A loop. A browser records in real time, so all pictures are drawn first, where drawing may be slow, and shown then.
export async function video(view, { motion = "sway", seconds = 2, side = 600 } = {}, progress = () => {}) {
  const { scene } = view;
  const type = videoType();
  if (!type) throw new Error("This browser can't record video. Save a GIF instead.");
  const pictures = await withRenderer(view, side, async (draw, { width, height }) => {
    const count = Math.min(seconds * VIDEO_FPS, Math.floor(VIDEO_BYTES / (4 * width * height)));
    const drawn = [];
    for (let i = 0; i < count; i++) {
      drawn.push(await createImageBitmap(draw(onPath(motion, i / count))));
      progress((0.7 * (i + 1)) / count);
      await pause();
    }
    return drawn;
  });
  const blob = await recorded(pictures, { seconds, type }, (share) => progress(0.7 + 0.3 * share));
  for (const picture of pictures) picture.close();
  return named(scene, blob, type.startsWith("video/mp4") ? "3d.mp4" : "3d.webm");
}

async function recorded(pictures, { seconds, type }, progress) {
  const canvas = Object.assign(document.createElement("canvas"), {
    width: pictures[0].width,
    height: pictures[0].height,
  });
  const context = canvas.getContext("2d");
  const stream = canvas.captureStream(VIDEO_FPS);
  const recorder = new MediaRecorder(stream, { mimeType: type, videoBitsPerSecond: 6_000_000 });
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const ended = new Promise((resolve, reject) => {
    recorder.onstop = resolve;
    recorder.onerror = () => reject(new Error("The browser stopped recording. Save a GIF instead."));
  });
  context.drawImage(pictures[0], 0, 0);
  recorder.start();
  const start = performance.now();
  for (let share = 0; share < 1; share = (performance.now() - start) / 1000 / seconds) {
    context.drawImage(pictures[Math.floor(share * pictures.length)], 0, 0);
    progress(share);
    await new Promise((resolve) => setTimeout(resolve, 500 / VIDEO_FPS));
  }
  recorder.stop();
  await ended;
  return new Blob(parts, { type: type.split(";")[0] });
}

// Left and right eye as pictures {width, height, data}.
export function stereoPair(view, { side = 1200 } = {}) {
  return withRenderer(view, side, async (draw) => [-EYES / 2, EYES / 2].map((x) => readBack(draw({ x }))));
}

export async function glasses(view, options) {
  const { scene } = view;
  const [left, right] = await stereoPair(view, options);
  return named(scene, await png(canvasOf(anaglyph(left, right))), "anaglyph.png");
}

// Two full pictures, left eye first, as VR players and 3D televisions read from the name; crossed for the naked eye.
export async function sideBySide(view, { crossed = false, ...options } = {}) {
  const { scene } = view;
  const pair = await stereoPair(view, options);
  const [one, other] = crossed ? pair.reverse() : pair;
  const canvas = Object.assign(document.createElement("canvas"), { width: 2 * one.width, height: one.height });
  const context = canvas.getContext("2d");
  context.putImageData(new ImageData(one.data, one.width), 0, 0);
  context.putImageData(new ImageData(other.data, other.width), one.width, 0);
  return named(scene, await png(canvas), crossed ? "cross-eyed.png" : "LRF_Full_SBS.png");
}

// Sharp at the depth that stays in place, or at focus_m.
export async function depthOfField({ scene, pivot }, { side = 1200, focus_m = null } = {}) {
  const { width, height } = sizeOf(scene, side);
  const photo = { width, height, data: pixels(scene.photo, width, height) };
  const focus = focus_m ?? (scene.facts.pivot_m * scene.scale) / pivot.goal;
  const blurred = canvasOf(blur(photo, depthOf(scene, width, height), focus));
  return named(scene, await encoded(blurred, "image/jpeg"), "focus.jpg");
}

// The photo next to its depth, with a scale in metres and one line.
export async function postcard({ scene }, { line = scene.value.meta?.line ?? "Depth estimated from one photo" } = {}) {
  const [gap, bar] = [24, 16];
  const { width, height } = sizeOf(scene, 640, 640);
  const canvas = Object.assign(document.createElement("canvas"), { width: 2 * width + 3 * gap, height: height + 132 });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(scene.photo, gap, gap, width, height);
  const depth = paintDepth(document.createElement("canvas"), scene.front);
  context.drawImage(depth, 2 * gap + width, gap, width, height);
  const { far, near } = depthRange(scene);
  const scale = paintDepth(document.createElement("canvas"), ramp());
  context.drawImage(scale, 2 * gap + width, gap + height + 12, width, bar);
  context.fillStyle = "#0f172a";
  context.font = "18px sans-serif";
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const metres = 1 / (1 / far + share * (1 / near - 1 / far));
    context.textAlign = share === 0 ? "left" : share === 1 ? "right" : "center";
    context.fillText(`${metres.toFixed(1)} m`, 2 * gap + width * (1 + share), gap + height + 50);
  }
  context.textAlign = "left";
  context.font = "20px sans-serif";
  context.fillText(line, gap, canvas.height - 24, canvas.width - 2 * gap);
  return named(scene, await png(canvas), "postcard.png");
}

function ramp() {
  return { rows: 2, cols: 256, values: Float32Array.from({ length: 512 }, (_, i) => i % 256) };
}

// Metres at the ends of the depth picture's colors.
function depthRange({ front, facts, scale }) {
  const sorted = Float32Array.from(front.values).sort();
  const at = (share) => (facts.pivot_m * scale) / sorted[Math.floor(share * (sorted.length - 1))];
  return { far: at(0.02), near: at(0.98) };
}

// One page with photo, depth and viewer inside: it moves offline.
export async function page({ scene }, { title = "A photo in 3D" } = {}) {
  const text = async (name) => (await fetch(new URL(name, import.meta.url))).text();
  const modules = await Promise.all(["photo3d_layers.js", "photo3d_renderer.js", "photo3d.js"].map(text));
  const script = modules.map((source) => source.replace(/^import .*;$/gm, "").replace(/^export /gm, "")).join("\n");
  const css = await text("photo3d.css");
  const depth = await asDataUrl(await (await fetch(scene.value.depthUrl)).blob());
  let photo = await asDataUrl(await (await fetch(scene.value.photoUrl)).blob());
  const room = HTML_BYTES - depth.length - script.length - css.length - 4000;
  for (let side = 1600; photo.length > room; side *= 0.8) photo = jpeg(scene, side);
  const value = JSON.stringify({ photoUrl: photo, depthUrl: depth, meta: scene.value.meta ?? {} });
  const escaped = title.replace(/[&<]/g, (sign) => ({ "&": "&amp;", "<": "&lt;" })[sign]);
  const html = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escaped}</title>
<style>body { margin: 0; padding: 16px; font-family: system-ui, sans-serif; background: #0b1020; color: #f1f5f9; --photo3d-height: 86vh; }
.figure-button { font: inherit; padding: 4px 12px; border-radius: 6px; color: inherit; background: #1e293b; border: 1px solid #475569; }
${css}</style>
<main id="photo"></main>
<script type="module">
${script}
Photo3D.mount(document.getElementById("photo"), ${value.replace(/</g, "\\u003c")});
</script></html>
`;
  return named(scene, new Blob([html], { type: "text/html" }), "3d.html");
}

function jpeg(scene, side) {
  const { width, height } = sizeOf(scene, side);
  const data = pixels(scene.photo, width, height);
  return canvasOf({ width, height, data }).toDataURL("image/jpeg", 0.86);
}

// ------------------------------------------------------------------------------------------------------- helpers

// Run `work(draw, size, canvas)` with a renderer of its own; x and y of draw are shares of full sway.
async function withRenderer(view, side, work) {
  if (!view.renderer) throw new Error("This browser has no WebGL, so nothing can be drawn from another viewpoint.");
  if (!view.scene?.refined) throw new Error("The 3D photo is not ready yet. Try again in a moment.");
  const size = sizeOf(view.scene, side);
  const renderer = view.exporter(size.width, size.height);
  const [reach, pivot] = [view.reach, view.pivot.goal];
  const draw = ({ x = 0, y = 0, z = 0 }) => renderer.draw({ x: x * reach, y: y * reach, z }, { pivot });
  try {
    return await work(draw, size, renderer.canvas);
  } finally {
    renderer.dispose();
  }
}

// Even sizes, which video needs, no larger than the photo.
function sizeOf({ photo }, side, fixed = null) {
  const { naturalWidth: width, naturalHeight: height } = photo;
  const ratio = fixed ? fixed / Math.max(width, height) : Math.min(1, side / Math.max(width, height));
  return { width: 2 * Math.round((width * ratio) / 2), height: 2 * Math.round((height * ratio) / 2) };
}

// Metres at each pixel of a picture of width × height.
export function depthOf(scene, width, height) {
  const metres = new Float32Array(width * height);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) metres[i] = depthAt(scene, (x + 0.5) / width, (y + 0.5) / height);
  }
  return metres;
}

// The pixels of a canvas that was drawn just now, top row first.
function readBack(canvas) {
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  return context.getImageData(0, 0, copy.width, copy.height);
}

export function canvasOf({ width, height, data }) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(new ImageData(data, width), 0, 0);
  return canvas;
}

function png(canvas) {
  return encoded(canvas, "image/png");
}

function encoded(canvas, type) {
  return new Promise((resolve) => canvas.toBlob(resolve, type, 0.92));
}

function asDataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

function named(scene, blob, ending) {
  return { blob, name: `${scene.value.meta?.name ?? "photo"}_${ending}` };
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve));
}

// --------------------------------------------------------------------------------------------------------- panel

const MAKERS = {
  gif: ["GIF", "A moving picture for any chat", gif],
  video: ["Video", "MP4 or WebM, whichever this browser records", video],
  glasses: ["3D glasses", "For red-cyan glasses", glasses],
  sbs: ["Side by side", "For VR viewers and 3D screens", sideBySide],
  crossed: [
    "Cross-eyed",
    "For the naked eye, squinting",
    (view, options) => sideBySide(view, { ...options, crossed: true }),
  ],
  focus: ["Focus", "Sharp at the depth that stays in place, blurred elsewhere", depthOfField],
  postcard: ["Postcard", "Photo, depth and a scale in metres", (view) => postcard(view)],
  page: ["Web page", "One file that moves offline", (view) => page(view)],
};

export class Send {
  static mount(element, view) {
    return new Send(element, view);
  }

  constructor(element, view) {
    Object.assign(this, { element, view, url: null, busy: false });
    const buttons = Object.entries(MAKERS).map(
      ([name, [text, title]]) =>
        `<button type="button" class="figure-button" data-make="${name}" title="${title}">${text}</button>`,
    );
    const select = (label, name, options) =>
      `<label>${label} <select name="${name}">${options.map(([value, text, chosen]) => `<option value="${value}" ${chosen ? "selected" : ""}>${text}</option>`).join("")}</select></label>`;
    element.innerHTML = `
<div class="send-buttons" role="group" aria-label="Make something to send">${buttons.join("")}</div>
<div class="send-settings" role="group" aria-label="GIF and video">
  ${select("Motion", "motion", [
    ["sway", "Sway"],
    ["dolly", "Dolly"],
  ])}
  ${select("Duration", "seconds", [
    ["1.5", "1.5 s"],
    ["2", "2 s", true],
    ["4", "4 s"],
  ])}
  ${select("Size", "side", [
    ["400", "400 px"],
    ["600", "600 px", true],
    ["900", "900 px"],
  ])}
</div>
<progress class="send-progress" max="1" value="0" aria-label="How much of it is made" hidden></progress>
<p class="send-message" role="status"></p>
<div class="send-result" hidden></div>`;
    for (const name of ["progress", "message", "result"]) this[name] = element.querySelector(`.send-${name}`);
    element.addEventListener("click", (event) => {
      const make = event.target.closest("[data-make]")?.dataset.make;
      if (make) this.make(make);
    });
    view.element.addEventListener("photo3d:ready", () => this.view.scene !== this.scene && this.clear());
  }

  get options() {
    const of = (name) => this.element.querySelector(`[name=${name}]`).value;
    return { motion: of("motion"), seconds: Number(of("seconds")), side: Number(of("side")) };
  }

  // Make one of MAKERS, and show it; resolves to {blob, name}, or null when it failed or another photo came.
  async make(name) {
    if (this.busy) return null;
    const [title, , maker] = MAKERS[name];
    const { scene } = this.view;
    this.clear();
    this.scene = scene;
    this.wait(true);
    this.message.textContent = `${title} is being made …`;
    try {
      const options = name === "gif" || name === "video" ? this.options : {};
      const made = await maker(this.view, options, (share) => (this.progress.value = share));
      if (scene !== this.view.scene) return null;
      this.show(made);
      return made;
    } catch (error) {
      this.message.textContent = error.message;
      return null;
    } finally {
      this.wait(false);
    }
  }

  // Buttons stay focusable, or a keyboard's user would lose the place.
  wait(on) {
    this.busy = on;
    this.view.rest(on);
    this.progress.hidden = !on;
    this.progress.value = 0;
    for (const button of this.element.querySelectorAll("[data-make]")) button.setAttribute("aria-disabled", String(on));
  }

  clear() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
    this.result.hidden = true;
    this.result.replaceChildren();
    this.message.textContent = "";
  }

  show({ blob, name }) {
    this.url = URL.createObjectURL(blob);
    const kind = blob.type.split("/")[0];
    const preview =
      kind === "image" ? document.createElement("img") : kind === "video" ? document.createElement("video") : null;
    if (preview)
      Object.assign(preview, { src: this.url, alt: name, loop: true, muted: true, autoplay: true, playsInline: true });
    const link = Object.assign(document.createElement("a"), {
      href: this.url,
      download: name,
      className: "figure-button",
    });
    link.textContent = `Download ${name.split(".").pop().toUpperCase()}, ${(blob.size / 1e6).toFixed(1)} MB`;
    link.title = name;
    const actions = Object.assign(document.createElement("div"), { className: "send-actions" });
    actions.append(...[this.shareButton(new File([blob], name, { type: blob.type })), link].filter(Boolean));
    this.result.replaceChildren(...[actions, preview].filter(Boolean));
    this.result.hidden = false;
    this.message.textContent = `${name} is ready.`;
    const reveal = () => this.result.scrollIntoView({ block: "nearest" });
    for (const ready of ["load", "loadeddata"]) preview?.addEventListener(ready, reveal, { once: true });
    reveal();
  }

  shareButton(file) {
    if (!navigator.canShare?.({ files: [file] })) return null;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "figure-button" });
    button.textContent = "Share";
    button.addEventListener("click", async () => {
      try {
        await navigator.share({ files: [file] });
      } catch (error) {
        if (error.name !== "AbortError") this.message.textContent = "Sharing failed. Download the file instead.";
      }
    });
    return button;
  }
}
