// A 360° photo from inside, in gr.HTML (js_on_load): drag, swipe or arrow keys look around, the metres along the ray
// stand at the pointer. The value is {key, photoUrl, depthUrl, uncertainty, look} or null; photoUrl is an equirectangular
// JPEG, depthUrl the PNG of glpn/scene/photo3d.py with the distances. "glpn:look" on `document` brings other colors.
const place = element.querySelector(".around");
const [empty, stage, canvas, cross, read, hint, said] = [
  ".figure-empty",
  ".around-stage",
  "canvas",
  ".depth-cross",
  ".depth-read",
  ".photo3d-hint",
  ".around-said",
].map((name) => element.querySelector(name));
const bar = { ramp: place.querySelector(".depth-ramp"), ticks: place.querySelector(".depth-ticks") };
bar.mark = place.querySelector(".depth-mark");
const assets = new URL(place.dataset.assets, document.baseURI);
const tools = Promise.all(
  ["depth_map.js", "metres.js", "photo3d_renderer.js"].map((name) => import(new URL(name, assets))),
);
const FOV = { least: 30, most: 110, first: 90 }; // degrees, along the longer side
const TALLEST = 85; // degrees up and down
const VERTEX = `
attribute vec2 corner;
varying vec2 at;
void main() { at = corner; gl_Position = vec4(corner, 0.0, 1.0); }`;
const FRAGMENT = `
precision highp float;
varying vec2 at;
uniform vec2 span; // tangents of half the angles of view
uniform mat3 turn; // the view's axes (x right, y down, z ahead) to the sphere's
uniform sampler2D picture;
void main() {
  vec3 ray = turn * vec3(at.x * span.x, -at.y * span.y, 1.0);
  vec2 uv = vec2(atan(ray.x, ray.z) / 6.2831853 + 0.5, 0.5 + asin(ray.y / length(ray)) / 3.1415927);
  gl_FragColor = vec4(texture2D(picture, uv).rgb, 1.0);
}`;
const view = { yaw: 0, pitch: 0, fov: FOV.first }; // degrees; yaw to the right, pitch up
const pointers = new Map();
let shown = null; // {value, photo, map, look, painted, range}
let gl = null;
let flat = false; // no WebGL: the whole picture as it is stored
let mode = "photo";
let at = null; // where the distance is read, 0 to 1 of the stage
let frame = 0;
let drag = null;

// ------------------------------------------------------------------------------------------------------- the picture

function setUp({ programOf }) {
  gl = canvas.getContext("webgl2", { alpha: false }) || canvas.getContext("webgl", { alpha: false });
  if (!gl) {
    flat = true;
    said.textContent = "This browser has no WebGL, so the photo is shown flat, as it is stored.";
    return;
  }
  const program = programOf(gl, VERTEX, FRAGMENT, ["corner"]);
  gl.useProgram(program);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, "drawBuffers" in gl ? gl.REPEAT : gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  gl.place = (name) => gl.getUniformLocation(program, name);
}

function picture() {
  return mode === "photo" ? shown.photo : shown.painted;
}

// Bring the photo, or the distances in colors, onto the sphere.
function upload() {
  if (gl) gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, within(picture()));
  wake();
}

// The picture, no wider than the graphics take.
function within(source) {
  const [width, most] = [source.naturalWidth ?? source.width, gl.getParameter(gl.MAX_TEXTURE_SIZE)];
  if (width <= most) return source;
  const small = new OffscreenCanvas(most, most / 2);
  small.getContext("2d").drawImage(source, 0, 0, most, most / 2);
  return small;
}

function span() {
  const half = Math.tan((view.fov * Math.PI) / 360);
  const longer = Math.max(canvas.width, canvas.height);
  return [(half * canvas.width) / longer, (half * canvas.height) / longer];
}

// Columns of the matrix that turns the view's axes to the sphere's.
function turn() {
  const [yaw, pitch] = [view.yaw, view.pitch].map((degrees) => (degrees * Math.PI) / 180);
  const [a, b, c, d] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  return [a, 0, -b, b * d, c, a * d, b * c, -d, a * c];
}

function wake() {
  if (!frame) frame = requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  if (!shown || !stage.clientWidth) return;
  const dots = Math.min(window.devicePixelRatio || 1, 2);
  const size = [stage.clientWidth, stage.clientHeight].map((side) => Math.round(side * dots));
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  if (flat) {
    canvas.getContext("2d").drawImage(picture(), 0, 0, ...size);
  } else {
    gl.viewport(0, 0, ...size);
    gl.uniform2f(gl.place("span"), ...span());
    gl.uniformMatrix3fv(gl.place("turn"), false, turn());
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }
  tell();
  place.dataset.drawn = String(Number(place.dataset.drawn ?? 0) + 1);
}

// ------------------------------------------------------------------------------------------------------- the distance

// The place on the stored picture, 0 to 1, that is seen at (x, y) of the stage.
function storedAt({ x, y }) {
  if (flat) return [x, y];
  const [across, down] = span();
  const [u, v] = [(2 * x - 1) * across, (2 * y - 1) * down];
  const m = turn();
  const [X, Y, Z] = [0, 1, 2].map((row) => m[row] * u + m[row + 3] * v + m[row + 6]);
  return [Math.atan2(X, Z) / (2 * Math.PI) + 0.5, 0.5 + Math.asin(Y / Math.hypot(X, Y, Z)) / Math.PI];
}

function tell() {
  cross.hidden = bar.mark.hidden = !at;
  if (!at) return;
  const value = shown.valueAt(shown.map, ...storedAt(at));
  const [low, high] = shown.range;
  read.textContent = shown.metres(value, shown.value.uncertainty);
  read.dataset.side = `${at.x > 0.5 ? "left" : "right"} ${at.y < 0.15 ? "below" : "above"}`;
  [cross.style.left, cross.style.top] = [`${100 * at.x}%`, `${100 * at.y}%`];
  bar.mark.style.left = `${100 * Math.min(1, Math.max(0, (value - low) / (high - low)))}%`;
}

// Distances in the visitor's colors, and the scale below.
async function paint(look) {
  const [{ colorTable, depthRange, painted, ticks }] = await tools;
  shown.look = look;
  const range = depthRange([shown.map], look.range);
  const maps = JSON.parse(document.querySelector("[data-color-maps]").dataset.colorMaps);
  const table = colorTable(maps, look.colors, look.near);
  Object.assign(shown, { range, painted: painted(shown.map, range, table) });
  const steps = Array.from({ length: 17 }, (_, i) => 3 * Math.round((255 * i) / 16));
  bar.ramp.style.background = `linear-gradient(90deg, ${steps.map((i) => `rgb(${table[i]},${table[i + 1]},${table[i + 2]})`)})`;
  const texts = ticks(range, 5).map((text, i, all) => {
    const mark = document.createElement("span");
    mark.style.left = `${(100 * (Number(text) - range[0])) / (range[1] - range[0])}%`;
    mark.textContent = `${text}${i === all.length - 1 ? " m" : ""}`;
    return mark;
  });
  bar.ticks.replaceChildren(...texts);
  upload();
}

async function show() {
  const value = props.value;
  if (!value || value.key === shown?.value.key) return;
  try {
    const [{ loadMap, valueAt }, { metres }, renderer] = await tools;
    const photo = Object.assign(new Image(), { src: value.photoUrl });
    const [map] = await Promise.all([loadMap(value.depthUrl), photo.decode()]);
    if (value !== props.value) return;
    shown = { value, photo, map, valueAt, metres };
    place.hidden = false;
    empty.hidden = true;
    if (!gl && !flat) setUp(renderer);
    Object.assign(view, { yaw: 0, pitch: 0, fov: FOV.first });
    at = null;
    const touch = window.matchMedia("(pointer: coarse)").matches;
    hint.textContent = touch ? "Swipe sideways to look around. Tap to move freely." : "Drag to look around.";
    hint.hidden = flat;
    await paint(value.look);
    if (window.matchMedia("(max-width: 760px)").matches) place.scrollIntoView({ block: "start" }); // it stands below
  } catch (error) {
    place.hidden = true;
    empty.hidden = false;
    empty.textContent = `The view can't be drawn: ${error.message}.`;
  }
}

// ------------------------------------------------------------------------------------------------------- movement

function look(right, up) {
  view.yaw = ((view.yaw + right + 540) % 360) - 180;
  view.pitch = Math.min(TALLEST, Math.max(-TALLEST, view.pitch + up));
  hint.hidden = true;
  wake();
}

function zoom(factor) {
  view.fov = Math.min(FOV.most, Math.max(FOV.least, view.fov / factor));
  wake();
}

function setMode(name) {
  mode = name;
  for (const button of place.querySelectorAll("[aria-pressed]"))
    button.ariaPressed = String(button.dataset.act === name);
  upload();
}

const shareOf = (event) => {
  const box = stage.getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
};

function spread() {
  const [a, b] = [...pointers.values()];
  return b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
}

stage.addEventListener("pointerdown", (event) => {
  const where = { x: event.clientX, y: event.clientY };
  pointers.set(event.pointerId, where);
  drag = { from: { ...where }, spread: spread(), moved: false };
  stage.setPointerCapture?.(event.pointerId);
});
stage.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (event.pointerType === "mouse") at = shareOf(event);
  if (last && drag) {
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    Object.assign(last, { x: event.clientX, y: event.clientY });
    drag.moved ||= Math.hypot(last.x - drag.from.x, last.y - drag.from.y) > 8;
    const degrees = view.fov / Math.max(stage.clientWidth, stage.clientHeight);
    if (pointers.size > 1) {
      const now = spread();
      if (drag.spread) zoom(now / drag.spread);
      drag.spread = now;
    } else if (drag.moved) look(-dx * degrees, dy * degrees);
  }
  wake();
});
for (const kind of ["pointerup", "pointercancel"]) {
  stage.addEventListener(kind, (event) => {
    pointers.delete(event.pointerId);
    if (kind === "pointerup" && drag && !drag.moved) {
      if (event.pointerType !== "mouse") stage.classList.add("engaged"); // a finger then moves the view in all directions
      at = shareOf(event);
      wake();
    }
    if (!pointers.size) drag = null;
  });
}
stage.addEventListener("pointerleave", (event) => {
  if (event.pointerType !== "mouse") return;
  at = null;
  wake();
});
document.addEventListener("pointerdown", (event) => {
  if (!stage.contains(event.target)) stage.classList.remove("engaged");
});
stage.addEventListener(
  "wheel",
  (event) => {
    if (!event.ctrlKey) return; // without Ctrl, or two fingers on a touch pad, the page scrolls
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 200));
  },
  { passive: false },
);
stage.addEventListener("keydown", (event) => {
  const step = view.fov / 10;
  const acts = {
    ArrowLeft: () => look(-step, 0),
    ArrowRight: () => look(step, 0),
    ArrowUp: () => look(0, step),
    ArrowDown: () => look(0, -step),
    "+": () => zoom(1.2),
    "-": () => zoom(1 / 1.2),
    Home: () => look(-view.yaw, -view.pitch),
  };
  if (!acts[event.key] || !shown || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  acts[event.key]();
  at = { x: 0.5, y: 0.5 };
  tell();
  const [right, up] = [view.yaw, view.pitch].map(Math.round);
  said.textContent = `${Math.abs(right)}° ${right < 0 ? "left" : "right"}, ${Math.abs(up)}° ${up < 0 ? "down" : "up"}: ${read.textContent}`;
});
place.querySelector(".depth-tools").addEventListener("click", (event) => {
  const acts = {
    photo: () => setMode("photo"),
    depth: () => setMode("depth"),
    in: () => zoom(1.2),
    out: () => zoom(1 / 1.2),
    full: () => (document.fullscreenElement ? document.exitFullscreen() : place.requestFullscreen?.()),
  };
  if (shown) acts[event.target.closest("button")?.dataset.act]?.();
});
canvas.addEventListener("webglcontextlost", (event) => event.preventDefault()); // asks for the context back
canvas.addEventListener("webglcontextrestored", async () => {
  setUp((await tools)[2]);
  upload();
});
document.addEventListener("glpn:look", (event) => shown && paint(event.detail));
new ResizeObserver(wake).observe(stage);
watch("value", show);
show();
