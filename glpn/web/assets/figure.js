// A Plotly figure inside gr.HTML. The value is the figure's JSON. What gr.Plot lacks: the viewing angle and the zoom
// outlive a new value of the same scene, the colors follow light and dark and the event "glpn:look" without a request,
// and plotly.js comes from the app itself, when the first figure is to be drawn.
const box = element.querySelector(".figure");
const plot = element.querySelector(".figure-plot");
const tools = element.querySelector(".figure-tools");
const empty = element.querySelector(".figure-empty");
const hint = element.querySelector(".figure-hint"); // of a scene
const touch = window.matchMedia("(pointer: coarse)").matches;
const config = {
  responsive: true,
  displaylogo: false,
  displayModeBar: touch ? false : "hover",
  showSendToCloud: false,
  scrollZoom: false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "resetCameraLastSave3d", "tableRotation"],
  toImageButtonOptions: { filename: "depth", scale: 2 },
};
let drawn = 0;
let look = null;
let stale = false;
let home = null;
let nudged = null; // the camera to come back to, while the scene swings

const NUDGE_S = 1.6;
const NUDGE_RAD = 0.12;

function plotlyUrl() {
  return new URL(box.dataset.plotly, document.baseURI).href;
}

function loadPlotly() {
  if (!window.glpnPlotly) {
    window.glpnPlotly = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = plotlyUrl();
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => {
        window.glpnPlotly = null;
        reject(new Error("plotly.js could not be loaded from this app"));
      };
      document.head.appendChild(script);
    });
  }
  return window.glpnPlotly;
}

function colors() {
  const style = getComputedStyle(document.body);
  const dark = document.body.classList.contains("dark");
  return {
    text: style.getPropertyValue("--body-text-color").trim() || (dark ? "#f1f5f9" : "#0f172a"),
    grid: dark ? "#475569" : "#cbd5e1",
    font: style.getPropertyValue("--font").trim() || "sans-serif",
    hover: dark ? "#0f172a" : "#ffffff",
  };
}

function scenes(layout) {
  return Object.keys(layout).filter((key) => /^scene\d*$/.test(key));
}

function themed(layout) {
  const c = colors();
  const axis = (old) => ({
    ...old,
    color: c.text,
    gridcolor: c.grid,
    zerolinecolor: c.grid,
    linecolor: c.grid,
    tickcolor: c.grid,
    tickfont: { ...old?.tickfont, color: c.text },
  });
  const out = {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...layout.font, color: c.text, family: c.font },
    hoverlabel: { bgcolor: c.hover, bordercolor: c.grid, font: { color: c.text, family: c.font, size: 14 } },
  };
  delete out.width;
  delete out.height;
  delete out.template;
  for (const key of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(key)) out[key] = axis(layout[key]);
  }
  for (const key of scenes(layout)) {
    const scene = { ...layout[key], bgcolor: "rgba(0,0,0,0)" };
    for (const name of ["xaxis", "yaxis", "zaxis"]) {
      scene[name] = { ...axis(scene[name]), showbackground: false };
    }
    out[key] = scene;
  }
  return out;
}

function keepView(layout) {
  const old = plot.layout;
  const same = old && old.uirevision !== undefined && old.uirevision === layout.uirevision;
  for (const key of scenes(layout)) {
    if (same && old[key]?.camera) layout[key] = { ...layout[key], camera: old[key].camera };
  }
  return same;
}

function readable(figure) {
  const c = colors();
  for (const trace of figure.data) {
    for (const bar of [trace.colorbar, trace.marker?.colorbar]) {
      if (bar) {
        bar.tickfont = { ...bar.tickfont, color: c.text };
        bar.outlinecolor = c.grid;
        if (bar.title && typeof bar.title === "object") bar.title.font = { ...bar.title.font, color: c.text };
      }
    }
  }
  return figure;
}

// The figure in the colors that the visitor has chosen since it was made.
function recolored(figure) {
  const axis = figure.layout.coloraxis;
  if (!look || !axis) return figure;
  const maps = JSON.parse(document.querySelector("[data-color-maps]").dataset.colorMaps);
  const [low, high] = Array.isArray(look.range) ? look.range : figure.layout.meta.ranges[look.range];
  Object.assign(axis, { colorscale: maps[look.colors], cmin: low, cmax: high, reversescale: look.near });
  return figure;
}

function inLanguage(figure) {
  return window.glpnLanguage?.figure?.(figure) ?? figure;
}

function height(layout) {
  const most = 0.74 * window.innerHeight;
  if (scenes(layout).length) return Math.max(260, Math.min(box.clientWidth / 1.3, most)); // shows the whole picture
  return null;
}

function place(layout) {
  const pixels = height(layout);
  if (pixels) plot.style.height = `${Math.round(pixels)}px`;
}

function bare() {
  empty.hidden = false;
  plot.hidden = true;
  if (tools) tools.hidden = true;
  if (hint) hint.hidden = true;
}

async function draw() {
  const turn = ++drawn;
  if (!props.value) return bare();
  try {
    const figure = inLanguage(JSON.parse(props.value));
    const Plotly = await loadPlotly();
    if (turn !== drawn || !document.contains(plot)) return;
    if (nudged) plot.layout[scenes(plot.layout)[0]].camera = nudged;
    nudged = null;
    readable(recolored(figure));
    const layout = themed(figure.layout);
    const first = scenes(layout)[0];
    if (!keepView(layout)) home = first ? structuredClone(layout[first].camera ?? null) : null;
    if (!first && touch) layout.dragmode = false; // a finger scrolls the page; a tap reads a pixel
    layout.autosize = true;
    empty.hidden = true;
    plot.hidden = false;
    if (tools) tools.hidden = false;
    if (hint) hint.hidden = !touch;
    place(layout);
    await Plotly.react(plot, figure.data, layout, config);
    if (plot.dataset.bound !== "yes") {
      plot.dataset.bound = "yes";
      plot.on("plotly_click", (event) => {
        const { x, y } = event.points[0];
        trigger("pick", { x, y });
      });
    }
    plot.dataset.revision = String(turn);
    if (first && box.clientWidth) nudge();
  } catch (error) {
    bare();
    empty.textContent = `The figure can't be drawn: ${error.message}.`;
  }
}

// ------------------------------------------------------------------------------------------------ viewing angles

// `gridM` is the distance of a plan's grid lines in metres; a plan shows no heights. Else Plotly chooses.
function setCamera(camera, gridM = null) {
  const update = {};
  for (const key of scenes(plot.layout)) {
    update[`${key}.camera`] = camera;
    for (const axis of ["xaxis", "yaxis"]) update[`${key}.${axis}.dtick`] = gridM;
    update[`${key}.zaxis.visible`] = gridM === null;
  }
  return window.Plotly.relayout(plot, update);
}

// Lines every half metre in a room; in a street they would be a black sheet.
function planGrid() {
  const { xaxis, yaxis } = plot._fullLayout[scenes(plot.layout)[0]];
  const span = Math.max(...[xaxis, yaxis].map(({ range }) => Math.abs(range[1] - range[0])));
  return span <= 15 ? 0.5 : 5;
}

function spherical(camera) {
  const { x, y, z } = camera.eye;
  return { r: Math.hypot(x, y, z), azimuth: Math.atan2(y, x), height: Math.asin(z / Math.hypot(x, y, z)) };
}

function turned(camera, turn, tilt = 0, zoom = 1) {
  const s = spherical(camera);
  const height = Math.max(-1.55, Math.min(1.55, s.height + tilt));
  const r = s.r * zoom;
  const eye = {
    x: r * Math.cos(height) * Math.cos(s.azimuth + turn),
    y: r * Math.cos(height) * Math.sin(s.azimuth + turn),
    z: r * Math.sin(height),
  };
  return { ...camera, eye };
}

// Once in a visit the scene swings a little and comes back, so that it is seen to be one. A touch of it ends that.
function nudge() {
  if (window.glpnNudged || window.matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const key = scenes(plot.layout)[0];
  const own = structuredClone(plot.layout[key]?.camera);
  if (!own) return; // a newer figure is being drawn
  window.glpnNudged = true;
  let share = 0;
  let before = performance.now();
  nudged = own;
  plot.dataset.swings = "yes";
  const swing = async (now) => {
    if (nudged !== own) return delete plot.dataset.swings;
    share = Math.min(1, share + Math.min((now - before) / 1000 / NUDGE_S, 1 / 12)); // slow machines swing slower
    before = now;
    const camera = share < 1 ? turned(own, NUDGE_RAD * Math.sin(2 * Math.PI * share)) : own;
    await window.Plotly.relayout(plot, { [`${key}.camera`]: camera });
    if (share === 1 && nudged === own) nudged = null;
    requestAnimationFrame(swing);
  };
  requestAnimationFrame(swing);
}

for (const kind of ["pointerdown", "wheel", "keydown"]) {
  box.addEventListener(kind, () => (nudged = null), { capture: true, passive: true });
}

// On a touch screen swipes scroll the page until the scene is tapped, and again after a tap elsewhere.
function rest(resting) {
  plot.classList.toggle("resting", resting);
  hint.textContent = resting ? "Tap to turn" : "Tap outside to scroll the page";
}

if (hint && touch) {
  rest(true);
  plot.addEventListener("click", () => rest(false));
  // Plotly notes where the mouse has left the camera, but not a finger.
  plot.addEventListener("touchend", () => {
    const key = scenes(plot.layout)[0];
    if (plot.classList.contains("resting")) return;
    window.Plotly.relayout(plot, { [`${key}.camera`]: plot._fullLayout[key]._scene.getCamera() });
  });
  document.addEventListener("pointerup", (event) => {
    if (!box.contains(event.target)) rest(true);
  });
}

// The scene's x is right, y away from the camera, z up.
const center = { x: 0, y: 0, z: 0 };
const perspective = { type: "perspective" };
const views = {
  front: { eye: { x: 0, y: -2.2, z: 0 }, up: { x: 0, y: 0, z: 1 }, center, projection: perspective },
  // A plan: no perspective, so that a metre is as long everywhere.
  top: { eye: { x: 0, y: -0.01, z: 2.4 }, up: { x: 0, y: 1, z: 0 }, center, projection: { type: "orthographic" } },
  side: { eye: { x: 2.2, y: 0, z: 0 }, up: { x: 0, y: 0, z: 1 }, center, projection: perspective },
  reset: { projection: perspective },
};

function act(name) {
  if (name === "full") {
    if (document.fullscreenElement) document.exitFullscreen();
    else box.requestFullscreen?.();
  } else if (home) {
    setCamera(structuredClone({ ...home, ...views[name] }), name === "top" ? planGrid() : null);
  }
}

element.addEventListener("click", (event) => {
  const name = event.target.closest("[data-act]")?.dataset.act;
  if (name) act(name);
});

plot.addEventListener("keydown", (event) => {
  if (!plot.layout || !scenes(plot.layout).length) return;
  const step = Math.PI / 24;
  const keys = {
    ArrowLeft: [-step, 0],
    ArrowRight: [step, 0],
    ArrowUp: [0, step],
    ArrowDown: [0, -step],
    "+": [0, 0, 0.9],
    "-": [0, 0, 1 / 0.9],
  };
  if (keys[event.key]) {
    event.preventDefault();
    setCamera(turned(plot.layout[scenes(plot.layout)[0]].camera, ...keys[event.key]));
  }
});

// --------------------------------------------------------------------------------------------- size, theme, value

// The box, not the plot: its width changes when a window or a hidden tab does, and the height follows from it.
let width = 0;
new ResizeObserver(() => {
  if (width === box.clientWidth || !box.clientWidth) return;
  width = box.clientWidth;
  drawIfSeen();
  if (!plot.layout || !window.Plotly || document.fullscreenElement) return;
  place(plot.layout);
  window.Plotly.Plots.resize(plot);
}).observe(box);
document.addEventListener("fullscreenchange", () => {
  if (plot.layout && box.clientWidth && window.Plotly) window.Plotly.Plots.resize(plot);
});

let dark = document.body.classList.contains("dark");
new MutationObserver(() => {
  if (dark !== document.body.classList.contains("dark")) {
    dark = !dark;
    draw();
  }
}).observe(document.body, { attributes: true, attributeFilter: ["class"] });

document.addEventListener("glpn:look", (event) => {
  look = event.detail;
  stale = true;
  drawIfSeen();
});

document.addEventListener("glpn:language", () => {
  stale = true;
  drawIfSeen();
});

// A figure of a tab that is not open is drawn when it is.
function drawIfSeen() {
  if (!stale || !box.clientWidth) return;
  stale = false;
  draw();
}

watch("value", () => {
  look = null; // the server draws as chosen
  draw();
});
if (props.value) draw();
