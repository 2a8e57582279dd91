// Live depth inside gr.HTML (js_on_load): the camera's newest frame goes to the server once the last answer is there, so
// nothing queues up. Stops when the page or its tab is hidden, when the camera goes, and by the button.
const place = element.querySelector(".live");
const [start, stop, mirror] = ["start", "stop", "mirror"].map((act) => place.querySelector(`[data-act=${act}]`));
const said = place.querySelector(".live-said");
const video = place.querySelector("video");
const canvas = place.querySelector("canvas");
const url = new URL(place.dataset.url, document.baseURI);
const formatting = import(new URL("metres.js", new URL(place.dataset.assets, document.baseURI)));
const SIDE = 320; // pixels of the longer side that are sent
let stream = null;
let run = 0; // counts starts: a loop of an older one ends

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
    if (range) url.search = new URLSearchParams(range);
    const answer = await fetch(url, { method: "POST", body });
    if (!answer.ok)
      return halt((await answer.json().catch(() => null))?.error ?? `The page answered ${answer.status}.`);
    const picture = await createImageBitmap(await answer.blob());
    if (mine !== run) return;
    canvas.width = picture.width;
    canvas.height = picture.height;
    shown.drawImage(picture, 0, 0);
    const [near, far, center] = ["Near", "Far", "Center"].map((name) => Number(answer.headers.get(`X-Depth-${name}`)));
    const doubt = JSON.parse(answer.headers.get("X-Depth-Uncertainty"));
    const [from, to, middle] = [near, far, center].map((value) => metres(value, doubt));
    range = { near, far };
    const ms = performance.now() - began;
    rate = rate ? 0.8 * rate + 200 / ms : 1000 / ms;
    say(
      `${rate.toFixed(1)} frames per second, ${ms.toFixed(0)} ms behind · middle ${middle} · colors ${from} to ${to}`,
    );
    place.dataset.frames = Number(place.dataset.frames ?? 0) + 1;
  }
}

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
