// Pictures made from a photo and its depth, pixel by pixel; glpn/scene/effects.py does the same on the server.
// A picture is {width, height, data: RGBA bytes}; depth is a Float32Array of metres, one a pixel.

const SOFT = 0.03; // share of the distance over which a cut-out fades
const FOG = [222, 227, 233];
const LINE = [13, 148, 136];
const SHADE = 0.78; // brightness of every second band
const LEVELS = 4; // of blur, between which pixels are mixed
const MOST_BLUR = 0.02; // radius as a share of the width

function blank({ width, height }) {
  return { width, height, data: new Uint8ClampedArray(4 * width * height) };
}

function smoothstep(from, to, x) {
  const t = Math.min(1, Math.max(0, (x - from) / (to - from)));
  return t * t * (3 - 2 * t);
}

// What is nearer than distance_m, the rest transparent.
export function cutOut(photo, depth, distance) {
  const out = blank(photo);
  out.data.set(photo.data);
  for (let i = 0; i < depth.length; i++) {
    out.data[4 * i + 3] = 255 * (1 - smoothstep(distance * (1 - SOFT), distance * (1 + SOFT), depth[i]));
  }
  return out;
}

// Fog that takes half of the contrast at distance_m.
export function fog(photo, depth, distance) {
  const out = blank(photo);
  for (let i = 0; i < depth.length; i++) {
    const clear = 2 ** -((depth[i] / distance) ** 2);
    for (let c = 0; c < 3; c++) out.data[4 * i + c] = FOG[c] + (photo.data[4 * i + c] - FOG[c]) * clear;
    out.data[4 * i + 3] = 255;
  }
  return out;
}

// Bands of `every` metres, every second one darker, with a line between them.
export function bands(photo, depth, every) {
  const out = blank(photo);
  const { width, height } = photo;
  const band = Int32Array.from(depth, (metres) => Math.floor(metres / every));
  for (let i = 0; i < depth.length; i++) {
    const right = i % width < width - 1 ? band[i + 1] : band[i];
    const below = i < width * (height - 1) ? band[i + width] : band[i];
    const line = right !== band[i] || below !== band[i];
    const shade = band[i] & 1 ? SHADE : 1;
    for (let c = 0; c < 3; c++) out.data[4 * i + c] = line ? LINE[c] : photo.data[4 * i + c] * shade;
    out.data[4 * i + 3] = 255;
  }
  return out;
}

// Sharp at focus_m and blurred elsewhere, by `aperture` (share of the width at infinity) and at most MOST_BLUR.
export function blur(photo, depth, focus, aperture = 0.03) {
  const { width, height } = photo;
  const radius = Float32Array.from(depth, (metres) => {
    return Math.min(MOST_BLUR, aperture * Math.abs(1 - focus / metres)) * width;
  });
  const most = MOST_BLUR * width;
  let sharper = Float32Array.from(photo.data);
  const out = Float32Array.from(photo.data);
  for (let level = 1; level <= LEVELS; level++) {
    const size = (most * level) / LEVELS;
    const blurred = spread(photo, radius, size);
    const from = (most * (level - 1)) / LEVELS;
    for (let i = 0; i < radius.length; i++) {
      if (radius[i] <= from) continue;
      const share = Math.min(1, (radius[i] - from) / (size - from));
      for (let c = 0; c < 3; c++) {
        out[4 * i + c] = sharper[4 * i + c] + share * (blurred[4 * i + c] - sharper[4 * i + c]);
      }
    }
    sharper = blurred;
  }
  const picture = { width, height, data: new Uint8ClampedArray(out.length) };
  for (let i = 0; i < out.length; i++) picture.data[i] = i % 4 === 3 ? 255 : Math.round(out[i]);
  return picture;
}

// Average the colors over about `size` pixels around, by how blurred each one is itself: sharp ones don't bleed out.
function spread({ width, height, data }, radius, size) {
  let sums = new Float32Array(data.length);
  for (let i = 0, p = 0; i < radius.length; i++, p += 4) {
    const say = Math.min(1, radius[i] / size) + 1e-3;
    sums[p] = data[p] * say;
    sums[p + 1] = data[p + 1] * say;
    sums[p + 2] = data[p + 2] * say;
    sums[p + 3] = say;
  }
  const box = Math.max(1, Math.round(size * 0.6));
  for (let twice = 0; twice < 2; twice++) {
    sums = boxSums(sums, { lines: height, length: width, line: width, step: 1, box });
    sums = boxSums(sums, { lines: width, length: height, line: 1, step: width, box });
  }
  for (let p = 0; p < sums.length; p += 4) {
    const say = sums[p + 3];
    sums[p] /= say;
    sums[p + 1] /= say;
    sums[p + 2] /= say;
  }
  return sums;
}

// Running means over 2 box + 1 pixels of four channels; `line` and `step` lead from line to line and along one.
function boxSums(from, { lines, length, line, step, box }) {
  const to = new Float32Array(from.length);
  const per = 1 / (2 * box + 1);
  const stride = 4 * step;
  const reach = stride * box;
  for (let k = 0; k < lines; k++) {
    for (let c = 0; c < 4; c++) {
      const start = 4 * k * line + c;
      const end = start + stride * length;
      let sum = 0;
      for (let at = start; at < Math.min(start + reach, end); at += stride) sum += from[at];
      for (let at = start; at < end; at += stride) {
        if (at + reach < end) sum += from[at + reach];
        if (at - reach > start) sum -= from[at - reach - stride];
        to[at] = sum * per;
      }
    }
  }
  return to;
}

// Dubois' red-cyan anaglyph of two pictures of one size (E. Dubois 2001; matrices for LCD screens, on linear light).
const LEFT = [0.4561, 0.500484, 0.176381, -0.0400822, -0.0378246, -0.0157589, -0.0152161, -0.0205971, -0.00546856];
const RIGHT = [-0.0434706, -0.0879388, -0.00155529, 0.378476, 0.73364, -0.0184503, -0.0721527, -0.112961, 1.2264];
export function anaglyph(left, right) {
  const out = blank(left);
  const linear = Float32Array.from({ length: 256 }, (_, i) =>
    i <= 10.31 ? i / 255 / 12.92 : ((i / 255 + 0.055) / 1.055) ** 2.4,
  );
  const encode = (v) => 255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
  const coded = Uint8ClampedArray.from({ length: 4097 }, (_, i) => encode(i / 4096));
  for (let p = 0; p < out.data.length; p += 4) {
    for (let c = 0; c < 3; c++) {
      let sum = 0;
      for (let d = 0; d < 3; d++) {
        sum += LEFT[3 * c + d] * linear[left.data[p + d]] + RIGHT[3 * c + d] * linear[right.data[p + d]];
      }
      out.data[p + c] = coded[Math.round(4096 * Math.min(1, Math.max(0, sum)))];
    }
    out.data[p + 3] = 255;
  }
  return out;
}
