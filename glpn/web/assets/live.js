// Live depth inside gr.HTML (js_on_load): the camera's newest frame goes to the server once the last answer is there, so
// nothing queues up. Shown are the depth's colors, or the frame itself as a 3D photo that sways and follows the pointer.
// Stops when the page or its tab is hidden, when the camera goes, and by the button.
const place = element.querySelector(".live");
const [start, stop, mirror, deep] = ["start", "stop", "mirror", "deep"].map((act) =>
  place.querySelector(`[data-act=${act}]`),
);
const said = place.querySelector(".live-said");
const video = place.querySelector("video");
const canvas = place.querySelector(".live-colors");
const stage = place.querySelector(".live-deep");
const url = new URL(place.dataset.url, document.baseURI);
const script = (name) => import(new URL(name, new URL(place.dataset.assets, document.baseURI)));
const formatting = script("metres.js");
const SIDE = 320; // pixels of the longer side that are sent
const PERIOD_S = 5; // of one sway there and back
const SHARE = 0.2; // by which zoom and sway follow a new frame's
let stream = null;
let run = 0; // counts starts: a loop of an older one ends
let space = null; // {renderer, lens, zoom} of the frame as a 3D photo
let pointer = null; // where it looks from, -1 to 1 of full sway
let frames = 0; // pending animation frame

const PROBLEMS = {
  NotAllowedError: "The camera was not allowed. Allow it in the browser's address bar, then press Start again.",
  NotFoundError: "There is no camera here. Connect one, then press Start again.",
  NotReadableError: "Another program uses the camera. Close it, then press Start again.",
};

function say(text) {
  said.textContent = text;
}

function halt(text) {
  run += 1;
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  video.srcObject = null;
  start.disabled = false;
  stop.disabled = true;
  if (text) say(text);
}

async function begin() {
  start.disabled = true;
  const mine = ++run;
  if (!navigator.mediaDevices)
    return halt("This browser gives the camera to pages over https or on this machine only.");
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, facingMode: "environment" } });
  } catch (error) {
    return halt(PROBLEMS[error.name] ?? `The camera could not be started (${error.name}).`);
  }
  if (mine !== run) return halt();
  stream.getVideoTracks()[0].addEventListener("ended", () => halt("The camera went away. Press Start to continue."));
  video.srcObject = stream;
  await video.play();
  stop.disabled = false;
  loop(mine).catch(() => halt("The page does not answer. Press Start to try again."));
}

async function loop(mine) {
  const { metres } = await formatting;
  const frame = new OffscreenCanvas(1, 1);
  const shown = canvas.getContext("2d");
  let range = null;
  let rate = 0;
  while (mine === run) {
    const began = performance.now();
    const factor = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
    frame.width = Math.round(video.videoWidth * factor);
    frame.height = Math.round(video.videoHeight * factor);
    frame.getContext("2d").drawImage(video, 0, 0, frame.width, frame.height);
    const body = await frame.convertToBlob({ type: "image/jpeg", quality: 0.8 });
    const moves = stage.hidden ? null : await spaceFor3d();
    url.search = new URLSearchParams({ ...range, as: moves ? "depth" : "colors" });
    const answer = await fetch(url, { method: "POST", body });
    if (!answer.ok)
      return halt((await answer.json().catch(() => null))?.error ?? `The page answered ${answer.status}.`);
    if (moves) await move(frame, await answer.arrayBuffer());
    else {
      const picture = await createImageBitmap(await answer.blob());
      canvas.width = picture.width;
      canvas.height = picture.height;
      shown.drawImage(picture, 0, 0);
    }
    if (mine !== run) return;
    const [near, far, center] = ["Near", "Far", "Center"].map((name) => Number(answer.headers.get(`X-Depth-${name}`)));
    const doubt = JSON.parse(answer.headers.get("X-Depth-Uncertainty"));
    const [from, to, middle] = [near, far, center].map((value) => metres(value, doubt));
    range = { near, far };
    const ms = performance.now() - began;
    rate = rate ? 0.8 * rate + 200 / ms : 1000 / ms;
    say(
      `${rate.toFixed(1)} frames per second, ${ms.toFixed(0)} ms behind · middle ${middle} · ${moves ? "from" : "colors"} ${from} to ${to}`,
    );
    place.dataset.frames = Number(place.dataset.frames ?? 0) + 1;
  }
}

// The renderer of 3D photos on its canvas, made when it is first asked for; null, and colors instead, without WebGL.
async function spaceFor3d() {
  if (space) return space;
  const { NoWebGL, Renderer } = await script("photo3d_renderer.js");
  try {
    space = { renderer: new Renderer(stage) };
  } catch (error) {
    if (!(error instanceof NoWebGL)) throw error;
    show3d(false);
    deep.disabled = true;
    deep.title = "This browser has no WebGL.";
  }
  return space;
}

// Take the frame and its depth. Zoom and sway change slowly, so that the picture doesn't jump with them.
async function move(frame, png) {
  const [{ decodeDepth, relativeNearness }, { refineFront }] = await Promise.all(
    ["photo3d_layers.js", "photo3d.js"].map(script),
  );
  const depth = await decodeDepth(png);
  const scene = { photo: frame, front: relativeNearness(depth) };
  refineFront(scene);
  const { renderer, lens } = space;
  const slowly = (old, value) => (old === undefined ? value : old + SHARE * (value - old));
  space.lens = { ...depth.facts, sway_deg: slowly(lens?.sway_deg, depth.facts.sway_deg) };
  [stage.width, stage.height] = [2 * frame.width, 2 * frame.height];
  renderer.setFront(frame, space.lens, scene.front);
  space.zoom = slowly(space.zoom, renderer.zoom);
  sway();
}

function sway(now = performance.now()) {
  cancelAnimationFrame(frames);
  if (!space?.lens || stage.hidden) return;
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const angle = (now / 1000 / PERIOD_S) * 2 * Math.PI;
  const { x, y } = pointer ?? { x: calm ? 0 : Math.sin(angle), y: calm ? 0 : 0.3 * Math.sin(2 * angle) };
  const reach = Math.tan((space.lens.sway_deg * Math.PI) / 180);
  space.renderer.draw({ x: x * reach, y: y * reach }, { zoom: space.zoom });
  if (stream) frames = requestAnimationFrame(sway);
}

function show3d(on) {
  stage.hidden = !on;
  canvas.hidden = on;
  deep.ariaPressed = String(on);
}

deep.addEventListener("click", () => show3d(stage.hidden));
stage.addEventListener("pointermove", (event) => {
  const box = stage.getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  pointer = { x: (2 * x - 1) * (place.classList.contains("live-mirrored") ? -1 : 1), y: 2 * y - 1 };
});
stage.addEventListener("pointerleave", () => {
  pointer = null;
});
stage.addEventListener("webglcontextlost", () => {
  space = null;
  show3d(false);
});
start.addEventListener("click", begin);
stop.addEventListener("click", () => halt("Stopped. Nothing was stored."));
mirror.addEventListener("click", () => {
  mirror.ariaPressed = String(place.classList.toggle("live-mirrored"));
});
document.addEventListener(
  "visibilitychange",
  () => document.hidden && stream && halt("Stopped, because the page was hidden."),
);
new IntersectionObserver((entries) => {
  if (!entries.at(-1).isIntersecting && stream && !place.offsetParent)
    halt("Stopped, because another page was opened.");
}).observe(place);
