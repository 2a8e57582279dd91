// The photo with the measured pairs drawn on it. A click, or Enter at the keyboard's cross, picks a point.
const stage = element.querySelector(".measure-stage");
const photo = element.querySelector(".measure-photo");
const svg = element.querySelector(".measure-lines");
const empty = element.querySelector(".figure-empty");
const SVG = "http://www.w3.org/2000/svg";
const readout = element.querySelector(".measure-depth");
let cross = null;
let depth = null; // {src, rows, columns, step, values}

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
  if (depth?.src !== value.depth.src) fetchDepth(value.depth);
  svg.setAttribute("viewBox", `0 0 ${value.width} ${value.height}`);
  svg.replaceChildren();
  const unit = Math.max(value.width, value.height) / 100; // 1 % of the longer side
  for (const { a, b, text } of value.lines) {
    node("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1], class: "measure-halo", "stroke-width": unit * 0.9 });
    node("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1], class: "measure-line", "stroke-width": unit * 0.4 });
    const x = Math.min(Math.max((a[0] + b[0]) / 2, unit * 7), value.width - unit * 7);
    const y = Math.max((a[1] + b[1]) / 2 - unit * 2.5, unit * 3);
    node("text", { x, y, class: "measure-text", "font-size": unit * 3, "stroke-width": unit * 0.7 }, text);
  }
  for (const [x, y] of value.points) {
    node("circle", { cx: x, cy: y, r: unit * 1.1, class: "measure-halo", "stroke-width": unit * 0.9 });
    node("circle", { cx: x, cy: y, r: unit * 1.1, class: "measure-point", "stroke-width": unit * 0.4 });
  }
  if (cross) {
    const [x, y] = cross;
    for (const kind of ["measure-halo", "measure-cross"]) {
      const width = unit * (kind === "measure-halo" ? 0.9 : 0.4);
      node("path", { d: `M${x - unit * 3} ${y}h${unit * 6}M${x} ${y - unit * 3}v${unit * 6}`, class: kind, "stroke-width": width });
    }
  }
}

async function fetchDepth(about) {
  depth = { ...about, values: null };
  const answer = await fetch(about.src).catch(() => null);
  if (!answer?.ok) return; // clicks still measure
  const view = new DataView(await answer.arrayBuffer());
  const values = Float32Array.from({ length: about.rows * about.columns }, (_, i) => view.getUint16(2 * i, true) * about.step);
  if (depth.src === about.src) depth.values = values;
}

// Show the depth of the photo's pixel (x, y) beside it.
function read(x, y, spoken) {
  const { width, height } = props.value;
  const row = Math.min(depth.rows - 1, Math.floor(((y + 0.5) / height) * depth.rows));
  const column = Math.min(depth.columns - 1, Math.floor(((x + 0.5) / width) * depth.columns));
  const metres = depth.values?.[row * depth.columns + column];
  readout.hidden = metres === undefined;
  if (readout.hidden) return;
  readout.setAttribute("aria-live", spoken ? "polite" : "off");
  readout.textContent = metres ? `${metres.toFixed(2)} m` : "no depth";
  readout.style.left = `${(100 * (x + 0.5)) / width}%`;
  readout.style.top = `${(100 * (y + 0.5)) / height}%`;
  readout.dataset.side = `${x > 0.8 * width ? "left" : "right"} ${y < 0.12 * height ? "below" : "above"}`;
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
  if (props.value) read(...under(event), false);
});
stage.addEventListener("pointerleave", () => {
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
