// One slider of distance with four uses: cut out, focus, fog, bands. `Play.mount(element)` fills `element`; `update` takes the
// value of a 3D photo. Events on `element`: "play:drawn" and "play:save" {use, distance_m, aperture}; the server writes the
// file at the photo's own size.
import { bands, blur, cutOut, fog } from "./effects.js";
import { depthAt, loadScene, pixels, refineFront } from "./photo3d.js";
import { depthOf } from "./send.js";

const LIVE_SIDE = 640; // pixels, while the slider moves
const BEHIND = 1.06; // times the depth of the place clicked, where a cut-out ends: the place itself stays whole
const BANDS_M = [0.05, 2]; // the slider's ends
const USES = {
  cutout: { title: "Cut out", told: (d) => `Keeps what is nearer than ${d} m` },
  focus: { title: "Focus", told: (d) => `Sharp at ${d} m, blurred before and behind` },
  fog: { title: "Fog", told: (d) => `Half of the contrast is left at ${d} m` },
  bands: { title: "Bands", told: (d) => `A line every ${d} m` },
};

// The picture of one use. distance_m in metres; aperture a share of the width.
export function picture(use, photo, depth, { distance_m: distance, aperture }) {
  if (use === "cutout") return cutOut(photo, depth, distance);
  if (use === "fog") return fog(photo, depth, distance);
  if (use === "bands") return bands(photo, depth, distance);
  return blur(photo, depth, distance, aperture);
}

export class Play {
  static mount(element) {
    return new Play(element);
  }

  constructor(element) {
    Object.assign(this, { element, turn: 0 });
    const uses = Object.entries(USES).map(
      ([name, { title }], i) =>
        `<label><input type="radio" name="use" value="${name}" ${i ? "" : "checked"}> ${title}</label>`,
    );
    element.innerHTML = `
<fieldset class="play-uses"><legend>What the distance does</legend>${uses.join("")}</fieldset>
<canvas class="play-picture" role="img" aria-label="The photo with the effect"></canvas>
<label class="play-distance">Distance <input type="range" name="distance" min="0" max="1" step="0.005" value="0.5">
  <output></output></label>
<label class="play-aperture" hidden>Aperture
  <input type="range" name="aperture" min="0.005" max="0.08" step="0.005" value="0.03"></label>
<div class="play-files"><button type="button" class="figure-button" data-save="picture">Download at full size</button>
<button type="button" class="figure-button" data-save="contours" hidden>Download contour lines (SVG)</button>
<span data-hint>Click the picture to take the distance from it.</span></div>
<p class="play-message" role="status"></p>`;
    for (const name of ["picture", "message", "aperture"]) this[name] = element.querySelector(`.play-${name}`);
    element.addEventListener("input", () => this.changed());
    this.picture.addEventListener("click", (event) => this.pick(event));
    element.addEventListener("click", (event) => {
      const kind = event.target.closest("[data-save]")?.dataset.save;
      if (kind) this.save(kind);
    });
  }

  // Show another photo; resolves to true when it is drawn, to false if a newer one came or it failed.
  async update(value) {
    const turn = ++this.turn;
    try {
      const scene = await loadScene(value);
      if (turn !== this.turn) return false;
      refineFront(scene);
      this.take(scene);
      this.message.textContent = "";
      return true;
    } catch (error) {
      if (turn === this.turn) this.message.textContent = `The photo can't be shown here: ${error.message}.`;
      return false;
    }
  }

  take(scene) {
    this.scene = scene;
    const { naturalWidth, naturalHeight } = scene.photo;
    const ratio = Math.min(1, LIVE_SIDE / Math.max(naturalWidth, naturalHeight));
    const [width, height] = [Math.round(naturalWidth * ratio), Math.round(naturalHeight * ratio)];
    const photo = { width, height, data: pixels(scene.photo, width, height) };
    this.live = { photo, depth: depthOf(scene, width, height) };
    const sorted = Float32Array.from(this.live.depth).sort();
    this.range = [0.005, 0.995].map((share) => sorted[Math.floor(share * sorted.length)]);
    this.changed();
  }

  get use() {
    return this.element.querySelector("[name=use]:checked").value;
  }

  get settings() {
    const of = (name) => Number(this.element.querySelector(`[name=${name}]`).value);
    const [from, to] = this.use === "bands" ? BANDS_M : this.range;
    return { use: this.use, distance_m: from * (to / from) ** of("distance"), aperture: of("aperture") };
  }

  changed() {
    if (!this.live) return;
    const { use, distance_m: distance } = this.settings;
    const worth = this.scene.value.meta?.worth;
    const told = USES[use].told(distance.toFixed(2)) + (worth ? ` (${worth})` : "");
    this.aperture.hidden = use !== "focus";
    this.element.querySelector("[data-save=contours]").hidden = use !== "bands";
    this.element.querySelector("[data-hint]").hidden = use === "bands";
    this.element.querySelector("output").textContent = told;
    this.element.querySelector("[name=distance]").setAttribute("aria-valuetext", told);
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const made = picture(this.use, this.live.photo, this.live.depth, this.settings);
    [this.picture.width, this.picture.height] = [made.width, made.height];
    this.picture.getContext("2d").putImageData(new ImageData(made.data, made.width), 0, 0);
    this.emit("drawn", this.settings);
  }

  // Take the distance of the place clicked.
  pick(event) {
    if (!this.live || this.use === "bands") return;
    const box = this.picture.getBoundingClientRect();
    const place = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const metres = depthAt(this.scene, ...place) * (this.use === "cutout" ? BEHIND : 1);
    const [near, far] = this.range;
    const share = Math.log(metres / near) / Math.log(far / near);
    this.element.querySelector("[name=distance]").value = Math.min(1, Math.max(0, share));
    this.changed();
  }

  save(kind) {
    if (!this.live) return;
    this.message.textContent = "The file is being written …";
    this.emit("save", kind === "contours" ? { ...this.settings, use: kind } : this.settings);
  }

  // Hand the visitor a file that the server wrote.
  saved({ url, name }) {
    const link = Object.assign(document.createElement("a"), { href: url, download: name, textContent: name });
    this.message.replaceChildren("Downloaded: ", link);
    link.click();
  }

  emit(kind, detail) {
    this.element.dispatchEvent(new CustomEvent(`play:${kind}`, { detail, bubbles: true }));
  }
}
