// The photo with what is measured drawn on it. A click, a tap, or Enter at the keyboard's cross picks a point.
const stage = element.querySelector(".measure-stage");
const photo = element.querySelector(".measure-photo");
const svg = element.querySelector(".measure-lines");
const empty = element.querySelector(".figure-empty");
const SVG = "http://www.w3.org/2000/svg";
const readout = element.querySelector(".measure-depth");
const assets = new URL(element.querySelector(".measure").dataset.assets, document.baseURI);
const formatting = import(new URL("metres.js", assets));
let metres = null;
let cross = null;
let depth = null; // {src, map}
let depthMap = null; // the module
let resting = null; // the photo's pixel under the pointer

formatting.then((module) => {
  metres = module.metres;
  if (resting) read(...resting, false);
});

function node(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  svg.appendChild(made);
  return made;
}

function draw() {
  const value = props.value;
  stage.hidden = !value;
  empty.hidden = !!value;
  if (!value) return;
  if (photo.getAttribute("src") !== value.src) {
    photo.src = value.src;
    cross = null;
    readout.hidden = true;
  }
  if (depth?.src !== value.depth) fetchDepth(value.depth);
  svg.setAttribute("viewBox", `0 0 ${value.width} ${value.height}`);
  svg.replaceChildren();
  const unit = Math.max(value.width, value.height) / 100; // 1 % of the longer side
  for (const shape of value.shapes) drawLine(shape, unit);
  for (const shape of value.shapes) drawPoints(shape, unit);
  const placed = [];
  for (const shape of value.shapes) drawText(shape, unit, value, placed);
  if (cross) {
    const [x, y] = cross;
    for (const kind of ["measure-halo", "measure-cross"]) {
      const width = unit * (kind === "measure-halo" ? 0.9 : 0.4);
      node("path", {
        d: `M${x - unit * 3} ${y}h${unit * 6}M${x} ${y - unit * 3}v${unit * 6}`,
        class: kind,
        "stroke-width": width,
      });
    }
  }
}

function drawLine({ points, closed, known }, unit) {
  if (points.length < 2) return;
  const d = `M${points.map((point) => point.join(" ")).join("L")}${closed ? "Z" : ""}`;
  const own = known ? "measure-line measure-known" : "measure-line";
  node("path", { d, class: "measure-halo", "stroke-width": unit * 0.9 });
  node("path", { d, class: closed ? `${own} measure-area` : own, "stroke-width": unit * 0.4 });
}

function drawPoints({ points, unsure }, unit) {
  points.forEach(([cx, cy], number) => {
    const own = unsure[number] ? "measure-point measure-unsure" : "measure-point";
    node("circle", { cx, cy, r: unit * 1.1, class: "measure-halo", "stroke-width": unit * 0.9 });
    node("circle", { cx, cy, r: unit * 1.1, class: own, "stroke-width": unit * 0.4 });
  });
}

// The number stands at the middle of the points, within the picture, above the line, and below numbers `placed` there.
function drawText({ points, text }, unit, { width, height }, placed) {
  if (!text) return;
  const size = unit * Math.max(3, 1400 / Math.max(stage.clientWidth, 320)); // at least 14 px on a phone
  const [half, line] = [text.length * size * 0.3, 1.35 * size];
  const mean = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  const x = Math.min(Math.max(mean(0), half), width - half);
  let y = Math.min(Math.max(mean(1) - unit * 2.5, size), height - unit);
  for (const other of placed) {
    if (Math.abs(other.y - y) < line && Math.abs(other.x - x) < other.half + half) y = other.y + line;
  }
  placed.push({ x, y, half });
  node("text", { x, y, class: "measure-text", "font-size": size, "stroke-width": unit * 0.7 }, text);
}

async function fetchDepth(src) {
  depth = { src, map: null };
  depthMap ??= await import(new URL("depth_map.js", assets));
  const map = await depthMap.loadMap(src).catch(() => null); // without it clicks still measure
  if (depth.src !== src) return;
  depth.map = map;
  if (resting) read(...resting, false);
}

// Show the depth of the photo's pixel (x, y) next to it, on a side where it covers no number.
function read(x, y, spoken) {
  const { width, height, uncertainty } = props.value;
  const found = depth.map ? depthMap.valueAt(depth.map, (x + 0.5) / width, (y + 0.5) / height) : undefined;
  readout.hidden = found === undefined || !metres;
  if (readout.hidden) return;
  readout.setAttribute("aria-live", spoken ? "polite" : "off");
  readout.textContent = found ? metres(found, uncertainty) : "no depth";
  readout.style.left = `${(100 * (x + 0.5)) / width}%`;
  readout.style.top = `${(100 * (y + 0.5)) / height}%`;
  const across = x > 0.6 * width ? ["left", "right"] : ["right", "left"];
  const along = y < 0.12 * height ? ["below", "above"] : ["above", "below"];
  const texts = [...svg.querySelectorAll("text")].map((text) => text.getBoundingClientRect());
  for (const side of [`${across[0]} ${along[0]}`, `${across[0]} ${along[1]}`, `${across[1]} ${along[0]}`]) {
    readout.dataset.side = side;
    const own = readout.getBoundingClientRect();
    if (!texts.some((text) => overlap(text, own))) return;
  }
}

function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

// The photo's pixel under the pointer.
function under(event) {
  const frame = photo.getBoundingClientRect();
  const { width, height } = props.value;
  const x = ((event.clientX - frame.left) / frame.width) * width - 0.5;
  const y = ((event.clientY - frame.top) / frame.height) * height - 0.5;
  return [Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)];
}

function pick(x, y) {
  trigger("pick", { x: Math.round(x), y: Math.round(y) });
}

stage.addEventListener("click", (event) => {
  if (props.value) pick(...under(event));
});
stage.addEventListener("pointermove", (event) => {
  if (!props.value) return;
  resting = under(event);
  read(...resting, false);
});
stage.addEventListener("pointerleave", () => {
  resting = null;
  readout.hidden = true;
});

stage.addEventListener("keydown", (event) => {
  if (!props.value) return;
  const { width, height } = props.value;
  const step = Math.max(1, Math.round(Math.max(width, height) / (event.shiftKey ? 500 : 60)));
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  if (moves[event.key]) {
    event.preventDefault();
    cross ??= [Math.round(width / 2), Math.round(height / 2)];
    cross = [
      Math.min(Math.max(cross[0] + moves[event.key][0], 0), width - 1),
      Math.min(Math.max(cross[1] + moves[event.key][1], 0), height - 1),
    ];
    draw();
    read(...cross, true);
  } else if (event.key === "Enter" && cross) {
    event.preventDefault();
    pick(...cross);
  }
});

watch("value", draw);
draw();
