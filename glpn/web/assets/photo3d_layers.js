// The data of a 3D photo: reads the depth PNG and splits the photo into two layers, as glpn/scene/layers.py does.
// A grid is {rows, cols, values}: one Float32Array, row by row.

const RINGS = [1, 2, 4, 7]; // grid samples
const ROUNDS = 2;
const LIKENESS = 0.07; // difference in color, 0 to 1
const EDGE = 0.03; // step of relative nearness between neighboring samples
const REACH = 0.06; // share of the width
const SHUN = 3; // times REACH, within which nothing near is used to fill in
const MARGIN = 3; // grid samples

// ------------------------------------------------------------------------------------------------ the depth file

// Decode a 16-bit gray PNG of `depth_png`: {rows, cols, steps: Uint16Array, facts}. Canvas would keep 8 of the 16 bits.
export async function decodeDepth(buffer) {
  const view = new DataView(buffer);
  if (view.byteLength < 57 || view.getUint32(0) !== 0x89504e47) throw new Error("the depth file is not a PNG");
  const parts = [];
  let cols = 0;
  let rows = 0;
  let facts = null;
  for (let at = 8; at + 12 <= view.byteLength; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...new Uint8Array(buffer, at + 4, 4));
    const data = new Uint8Array(buffer, at + 8, length);
    if (kind === "IHDR") {
      cols = view.getUint32(at + 8);
      rows = view.getUint32(at + 12);
      if (data[8] !== 16 || data[9] !== 0 || data[12] !== 0) throw new Error("the depth file is not a 16-bit gray PNG");
    } else if (kind === "tEXt") {
      const text = new TextDecoder("latin1").decode(data);
      if (text.startsWith("glpn-photo3d\0")) facts = JSON.parse(text.slice(13));
    } else if (kind === "IDAT") parts.push(data);
    at += 12 + length;
  }
  if (!facts) throw new Error("the depth file does not state its scale");
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const lines = new Uint8Array(await new Response(stream).arrayBuffer());
  return { rows, cols, steps: unfiltered(lines, rows, cols), facts };
}

// Undo PNG's filters (specification, 9.2) of 16-bit gray rows.
function unfiltered(lines, rows, cols) {
  const width = 2 * cols;
  if (lines.length !== rows * (width + 1)) throw new Error("the depth file is cut off");
  const steps = new Uint16Array(rows * cols);
  let above = new Uint8Array(width);
  for (let row = 0; row < rows; row++) {
    const line = lines.subarray(row * (width + 1) + 1, (row + 1) * (width + 1));
    unfilter(line, above, lines[row * (width + 1)]);
    for (let col = 0; col < cols; col++) steps[row * cols + col] = (line[2 * col] << 8) | line[2 * col + 1];
    above = line;
  }
  return steps;
}

function unfilter(line, above, filter) {
  const predict = [
    () => 0,
    (left) => left,
    (_left, up) => up,
    (left, up) => (left + up) >> 1,
    (left, up, corner) => {
      const guess = left + up - corner;
      const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
      return a <= b && a <= c ? left : b <= c ? up : corner;
    },
  ][filter];
  for (let i = 0; i < line.length; i++) {
    line[i] += predict(i > 1 ? line[i - 2] : 0, above[i], i > 1 ? above[i - 2] : 0);
  }
}

// Relative nearness, without outliers and rim: 1 at the pivot, 2 at half its depth.
export function relativeNearness({ rows, cols, steps, facts }) {
  const { levels, far_per_m: far, near_per_m: near, pivot_m: pivot, low, high } = facts;
  const values = Float32Array.from(steps, (step) => {
    const nearness = far + ((near - far) * step) / levels;
    return Math.min(Math.max(nearness, low), high) * pivot;
  });
  return withoutRim({ rows, cols, values });
}

// Replace the outer 1.5 %, where networks are off by several percent, by what lies inside; as glpn/scene/photo3d.py.
function withoutRim({ rows, cols, values }) {
  const rim = Math.max(1, Math.round(0.015 * Math.max(rows, cols)));
  if (Math.min(rows, cols) < 8 * rim) return { rows, cols, values };
  const inner = values.slice();
  for (let row = 0; row < rows; row++) {
    const from = Math.min(Math.max(row, rim), rows - 1 - rim) * cols;
    for (let col = 0; col < cols; col++)
      inner[row * cols + col] = values[from + Math.min(Math.max(col, rim), cols - 1 - rim)];
  }
  return { rows, cols, values: inner };
}

// ---------------------------------------------------------------------------------------------------- the layers

// Move the edges of the grid onto those of `guide` (RGBA bytes of the same size): a joint bilateral filter on rings.
export function sharpen({ rows, cols, values }, guide) {
  const likeness = new Float32Array(766);
  for (let i = 0; i < 766; i++) likeness[i] = Math.exp(-((i / (3 * 255 * LIKENESS)) ** 2));
  for (let round = 0; round < ROUNDS; round++) {
    const total = Float32Array.from(values);
    const weight = new Float32Array(values.length).fill(1);
    for (const ring of RINGS) {
      for (const [dy, dx] of [
        [0, ring],
        [ring, 0],
        [ring, ring],
        [ring, -ring],
      ]) {
        const offset = dy * cols + dx;
        for (let row = 0; row < rows - dy; row++) {
          const end = row * cols + Math.min(cols, cols - dx);
          for (let i = row * cols + Math.max(0, -dx); i < end; i++) {
            const j = i + offset;
            const p = 4 * i;
            const q = 4 * j;
            const unlike =
              Math.abs(guide[p] - guide[q]) +
              Math.abs(guide[p + 1] - guide[q + 1]) +
              Math.abs(guide[p + 2] - guide[q + 2]);
            const say = likeness[unlike];
            total[i] += say * values[j];
            weight[i] += say;
            total[j] += say * values[i];
            weight[j] += say;
          }
        }
      }
    }
    values = total.map((sum, i) => sum / weight[i]);
  }
  return { rows, cols, values };
}

// Widen what is near by one sample, so that an object's rim moves with it, and round off the steps of the grid.
export function grow(grid) {
  const wide = eachWay(grid, Math.max);
  return alongBoth(wide, (before, here, after) => (before + 2 * here + after) / 4);
}

// Fill in what near things hide: {back: grid, rgba: bytes}; alpha is how much of a pixel is filled in.
export function background(front, guide) {
  const { rows, cols, values } = front;
  const n = rows * cols;
  const edge = edges(front);
  let low = front;
  let high = front;
  for (let i = 0; i < 4; i++) [low, high] = [eachWay(low, Math.min), eachWay(high, Math.max)];
  const middle = pullPush(
    rows,
    cols,
    1,
    low.values.map((value, i) => (value + high.values[i]) / 2),
    edge,
  );
  const behind = (radius) => {
    const close = reach(rows, cols, edge, radius);
    const is = edge.map((on, i) => (close[i] > 0.5 && (values[i] > middle[i] || on > 0) ? 1 : 0));
    let grid = { rows, cols, values: is };
    for (let i = 0; i < MARGIN; i++) grid = eachWay(grid, Math.max);
    return grid.values;
  };
  const radius = Math.round(REACH * cols);
  const hidden = behind(radius);
  const unusable = behind(SHUN * radius);
  const known = new Float32Array(4 * n);
  for (let i = 0; i < n; i++) {
    known[4 * i] = values[i];
    for (let c = 0; c < 3; c++) known[4 * i + 1 + c] = guide[4 * i + c];
  }
  const filled = pullPush(
    rows,
    cols,
    4,
    known,
    unusable.map((is) => 1 - is),
  );
  const back = Float32Array.from(values, (value, i) => (hidden[i] ? Math.min(filled[4 * i], value) : value));
  const rgba = new Uint8ClampedArray(4 * n);
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < 3; c++) rgba[4 * i + c] = filled[4 * i + 1 + c];
    rgba[4 * i + 3] = 255 * hidden[i];
  }
  return { back: { rows, cols, values: back }, rgba };
}

// Fill in values (n a sample) where weight is below 1, from the nearest known ones (Gortler et al. 1996).
export function pullPush(rows, cols, n, values, weight) {
  if (Math.max(rows, cols) === 1 || weight.every((w) => w >= 1)) return values;
  const R = (rows + 1) >> 1;
  const C = (cols + 1) >> 1;
  const sums = new Float32Array(R * C);
  const means = new Float32Array(R * C * n);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const i = row * cols + col;
      const k = (row >> 1) * C + (col >> 1);
      sums[k] += weight[i];
      for (let c = 0; c < n; c++) means[k * n + c] += values[i * n + c] * weight[i];
    }
  }
  for (let k = 0; k < sums.length; k++) {
    for (let c = 0; c < n; c++) means[k * n + c] /= Math.max(sums[k], 1e-6);
    sums[k] = Math.min(sums[k], 1);
  }
  const coarse = pullPush(R, C, n, means, sums);
  return pushed({ rows, cols, n, R, C }, values, weight, coarse);
}

function pushed({ rows, cols, n, R, C }, values, weight, coarse) {
  const filled = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const r = row >> 1;
    const s = Math.min(R - 1, Math.max(0, row & 1 ? r + 1 : r - 1));
    for (let col = 0; col < cols; col++) {
      const i = row * cols + col;
      const w = weight[i];
      const k = col >> 1;
      const l = Math.min(C - 1, Math.max(0, col & 1 ? k + 1 : k - 1));
      for (let c = 0; c < n; c++) {
        let value = w > 0 ? w * values[i * n + c] : 0;
        if (w < 1) {
          const here = 0.75 * coarse[(r * C + k) * n + c] + 0.25 * coarse[(r * C + l) * n + c];
          const next = 0.75 * coarse[(s * C + k) * n + c] + 0.25 * coarse[(s * C + l) * n + c];
          value += (1 - w) * (0.75 * here + 0.25 * next);
        }
        filled[i * n + c] = value;
      }
    }
  }
  return filled;
}

// The change of a grid per width and per height at each sample: Float32Array of pairs.
export function slopes({ rows, cols, values }) {
  const slope = new Float32Array(2 * rows * cols);
  for (let row = 0; row < rows; row++) {
    const up = Math.max(0, row - 1) * cols;
    const down = Math.min(rows - 1, row + 1) * cols;
    for (let col = 0; col < cols; col++) {
      const i = row * cols + col;
      const left = Math.max(0, col - 1);
      const right = Math.min(cols - 1, col + 1);
      slope[2 * i] = ((values[row * cols + right] - values[row * cols + left]) / 2) * cols;
      slope[2 * i + 1] = ((values[down + col] - values[up + col]) / 2) * rows;
    }
  }
  return slope;
}

function edges(grid) {
  const slope = slopes(grid);
  const { rows, cols } = grid;
  return Float32Array.from({ length: rows * cols }, (_, i) =>
    Math.max(Math.abs(slope[2 * i]) / cols, Math.abs(slope[2 * i + 1]) / rows) > EDGE ? 1 : 0,
  );
}

function alongBoth({ rows, cols, values }, combine) {
  const across = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const i = row * cols + col;
      across[i] = combine(values[col ? i - 1 : i], values[i], values[col < cols - 1 ? i + 1 : i]);
    }
  }
  const both = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const i = row * cols + col;
      both[i] = combine(across[row ? i - cols : i], across[i], across[row < rows - 1 ? i + cols : i]);
    }
  }
  return { rows, cols, values: both };
}

function eachWay(grid, choose) {
  return alongBoth(grid, (before, here, after) => choose(before, choose(here, after)));
}

// Sums over squares of 2 radius + 1 samples.
function reach(rows, cols, values, radius) {
  const across = new Float32Array(values.length);
  const both = new Float32Array(values.length);
  runningSums(values, across, { lines: rows, length: cols, line: cols, step: 1, radius });
  runningSums(across, both, { lines: cols, length: rows, line: 1, step: cols, radius });
  return both;
}

function runningSums(from, to, { lines, length, line, step, radius }) {
  for (let k = 0; k < lines; k++) {
    const start = k * line;
    let sum = 0;
    for (let i = 0; i < Math.min(radius, length); i++) sum += from[start + i * step];
    for (let i = 0; i < length; i++) {
      if (i + radius < length) sum += from[start + (i + radius) * step];
      if (i - radius > 0) sum -= from[start + (i - radius - 1) * step];
      to[start + i * step] = sum;
    }
  }
}
