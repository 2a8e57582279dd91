// The numbers of a depth picture: reading the file, the range, colors and sharpening.
// A map is {rows, cols, values}: one Float32Array row by row, metres (or metres and percent of a difference), NaN where
// nothing was measured.
import { decodeDepth } from "./photo3d_layers.js";

const RADIUS = 0.02; // of the guided filter, share of the longer side
const SMOOTHNESS = 4e-4; // variance of color, 0 to 1, below which the photo counts as flat

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error("the depth is not here any more; estimate the photo again");
  return decodeDepth(await answer.arrayBuffer());
}

// Fetch a PNG of glpn/scene/photo3d.py; `scale` is metres per metre of the file.
export async function loadMap(url, scale = 1) {
  const { rows, cols, steps, facts } = await fetched(url);
  const { levels, far_per_m: far, near_per_m: near } = facts;
  const metres = (step) => (step > levels ? NaN : scale / (far + ((near - far) * step) / levels));
  return { rows, cols, values: Float32Array.from(steps, metres) };
}

// Fetch how far estimates are apart: values are shares, 0.1 for 10 %.
export async function loadSpread(url) {
  const { rows, cols, steps, facts } = await fetched(url);
  return { rows, cols, values: Float32Array.from(steps, (step) => step * facts.step) };
}

// The value at a place of the picture, x and y from 0 to 1.
export function valueAt({ rows, cols, values }, x, y) {
  const row = Math.min(rows - 1, Math.max(0, Math.floor(y * rows)));
  return values[row * cols + Math.min(cols - 1, Math.max(0, Math.floor(x * cols)))];
}

// `map` minus `reference`, in metres or in percent of the reference.
export function difference(map, reference, relative) {
  const { rows, cols } = map;
  const values = new Float32Array(rows * cols);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++, i++) {
      const truth = valueAt(reference, (col + 0.5) / cols, (row + 0.5) / rows);
      values[i] = relative ? (100 * (map.values[i] - truth)) / truth : map.values[i] - truth;
    }
  }
  return { rows, cols, values };
}

// ------------------------------------------------------------------------------------------------ range and colors

function measured(maps) {
  const all = new Float32Array(maps.reduce((count, map) => count + map.values.length, 0));
  let count = 0;
  for (const map of maps) for (const value of map.values) if (!Number.isNaN(value)) all[count++] = value;
  return all.subarray(0, count).sort();
}

const percentile = (sorted, share) => sorted[Math.round(share * (sorted.length - 1))];

// [near, far] of several maps together, as depth_range in glpn/scene/geometry.py: "robust", "full" or two metres.
export function depthRange(maps, range) {
  if (Array.isArray(range)) return range;
  const sorted = measured(maps);
  if (!sorted.length) return [0, 1];
  const [near, far] =
    range === "full" ? [sorted[0], sorted.at(-1)] : [percentile(sorted, 0.02), percentile(sorted, 0.98)];
  return far - near > 1e-6 * far ? [near, far] : [0.95 * near, 1.05 * far];
}

// The same error to both sides.
export function errorRange(map) {
  const sizes = measured([{ values: map.values.map(Math.abs) }]);
  const limit = (sizes.length && percentile(sizes, 0.98)) || 0.01;
  return [-limit, limit];
}

// 256 colors, three bytes each, from the range's first end to its second. `maps`: name -> [[place, "#rrggbb"], …].
export function colorTable(maps, name, reversed) {
  const stops = maps[name].map(([place, hex]) => [
    place,
    ...[1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)),
  ]);
  const table = new Uint8ClampedArray(768);
  for (let i = 0; i < 256; i++) {
    const place = (reversed ? 255 - i : i) / 255;
    const after = Math.max(
      1,
      stops.findIndex((stop) => stop[0] >= place),
    );
    const [from, to] = [stops[after - 1], stops[after]];
    const share = (place - from[0]) / (to[0] - from[0] || 1);
    for (let k = 0; k < 3; k++) table[3 * i + k] = from[k + 1] + share * (to[k + 1] - from[k + 1]);
  }
  return table;
}

// A canvas with the map in colors; clear where nothing was measured.
export function painted({ rows, cols, values }, [low, high], table) {
  const canvas = Object.assign(document.createElement("canvas"), { width: cols, height: rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(cols, rows);
  const factor = 255 / (high - low);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (Number.isNaN(value)) continue;
    const shade = 3 * Math.round(Math.min(255, Math.max(0, (value - low) * factor)));
    image.data[4 * i] = table[shade];
    image.data[4 * i + 1] = table[shade + 1];
    image.data[4 * i + 2] = table[shade + 2];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// A canvas that is opaque where a map exceeds `limit`, clear elsewhere.
export function maskAbove({ rows, cols, values }, limit) {
  const canvas = Object.assign(document.createElement("canvas"), { width: cols, height: rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(cols, rows);
  values.forEach((value, i) => {
    image.data[4 * i + 3] = value > limit ? 255 : 0;
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

// Diagonal lines, `period` pixels apart: black with a white rim, so that they are seen on any color.
export function hatching(context, period, falling) {
  const tile = new OffscreenCanvas(period, period);
  const lines = tile.getContext("2d");
  if (falling) lines.setTransform(-1, 0, 0, 1, period, 0);
  for (const [color, width] of Object.entries({ white: period / 3, black: period / 7 })) {
    lines.strokeStyle = color;
    lines.lineWidth = width;
    for (const at of [-period, 0, period]) {
      lines.beginPath();
      lines.moveTo(at - period, 2 * period);
      lines.lineTo(at + 2 * period, -period);
      lines.stroke();
    }
  }
  return context.createPattern(tile, "repeat");
}

// Round numbers between low and high, about `count` of them.
export function ticks([low, high], count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++)
    found.push((i * step).toFixed(decimals));
  return found;
}

// ----------------------------------------------------------------------------------------------------- sharpening

// Move the edges of a map onto those of the photo: the guided filter with a color guide (K. He, J. Sun, X. Tang, 2010),
// whose coefficients are found on the map's grid and applied at the size of `photo` (ImageData). Works on 1 / depth.
export function sharpened({ rows, cols, values }, photo) {
  const guide = shrunk(photo, rows, cols);
  const nearness = values.map((value) => 1 / value);
  const [low, high] = nearness.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, 0]);
  const coefficients = guidedCoefficients(guide, nearness, rows, cols);
  const out = new Float32Array(photo.width * photo.height);
  const at = new Float32Array(4);
  for (let y = 0, i = 0; y < photo.height; y++) {
    for (let x = 0; x < photo.width; x++, i++) {
      bilinear(
        coefficients,
        rows,
        cols,
        ((x + 0.5) * cols) / photo.width - 0.5,
        ((y + 0.5) * rows) / photo.height - 0.5,
        at,
      );
      const p = 4 * i;
      const value = at[3] + (at[0] * photo.data[p] + at[1] * photo.data[p + 1] + at[2] * photo.data[p + 2]) / 255;
      out[i] = 1 / Math.min(high, Math.max(low, value));
    }
  }
  return { rows: photo.height, cols: photo.width, values: out };
}

// The photo's three colors, 0 to 1, on a grid.
function shrunk(photo, rows, cols) {
  const source = new OffscreenCanvas(photo.width, photo.height);
  source.getContext("2d").putImageData(photo, 0, 0);
  const context = new OffscreenCanvas(cols, rows).getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, cols, rows);
  const { data } = context.getImageData(0, 0, cols, rows);
  return [0, 1, 2].map((k) => Float32Array.from({ length: rows * cols }, (_, i) => data[4 * i + k] / 255));
}

// For each sample the three factors of the colors, and what is added: p ≈ a · color + b within RADIUS.
function guidedCoefficients(guide, p, rows, cols) {
  const radius = Math.max(2, Math.round(RADIUS * Math.max(rows, cols)));
  const mean = (values) => boxMean(values, rows, cols, radius);
  const product = (a, b) => a.map((value, i) => value * b[i]);
  const color = guide.map(mean);
  const meanP = mean(p);
  const withP = guide.map((channel) => mean(product(channel, p)));
  const pairs = [
    [0, 0],
    [0, 1],
    [0, 2],
    [1, 1],
    [1, 2],
    [2, 2],
  ].map(([a, b]) => [a, b, mean(product(guide[a], guide[b]))]);
  const out = [0, 1, 2, 3].map(() => new Float32Array(p.length));
  for (let i = 0; i < p.length; i++) {
    const [rr, rg, rb, gg, gb, bb] = pairs.map(
      ([a, b, values]) => values[i] - color[a][i] * color[b][i] + (a === b ? SMOOTHNESS : 0),
    );
    const [r, g, b] = withP.map((values, k) => values[i] - color[k][i] * meanP[i]);
    const [c0, c1, c2] = [gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg];
    const determinant = rr * c0 + rg * c1 + rb * c2;
    out[0][i] = (c0 * r + c1 * g + c2 * b) / determinant;
    out[1][i] = (c1 * r + (rr * bb - rb * rb) * g + (rg * rb - rr * gb) * b) / determinant;
    out[2][i] = (c2 * r + (rg * rb - rr * gb) * g + (rr * gg - rg * rg) * b) / determinant;
    out[3][i] = meanP[i] - out[0][i] * color[0][i] - out[1][i] * color[1][i] - out[2][i] * color[2][i];
  }
  return out.map(mean);
}

// The mean over (2 radius + 1)² samples, fewer at the border.
function boxMean(values, rows, cols, radius) {
  const across = boxMeanLines(values, rows, cols, cols, 1, radius);
  return boxMeanLines(across, cols, rows, 1, cols, radius);
}

function boxMeanLines(values, lines, length, lineStep, step, radius) {
  const out = new Float32Array(values.length);
  for (let line = 0; line < lines; line++) {
    const start = line * lineStep;
    let sum = 0;
    let count = 0;
    for (let i = -radius; i < length; i++) {
      const enters = i + radius;
      if (enters < length) {
        sum += values[start + enters * step];
        count++;
      }
      const leaves = i - radius - 1;
      if (leaves >= 0) {
        sum -= values[start + leaves * step];
        count--;
      }
      if (i >= 0) out[start + i * step] = sum / count;
    }
  }
  return out;
}

function bilinear(maps, rows, cols, x, y, out) {
  const left = Math.min(cols - 1, Math.max(0, Math.floor(x)));
  const top = Math.min(rows - 1, Math.max(0, Math.floor(y)));
  const right = Math.min(cols - 1, left + 1);
  const bottom = Math.min(rows - 1, top + 1);
  const wx = Math.min(1, Math.max(0, x - left));
  const wy = Math.min(1, Math.max(0, y - top));
  for (let k = 0; k < maps.length; k++) {
    const map = maps[k];
    const above = map[top * cols + left] * (1 - wx) + map[top * cols + right] * wx;
    const below = map[bottom * cols + left] * (1 - wx) + map[bottom * cols + right] * wx;
    out[k] = above * (1 - wy) + below * wy;
  }
}
