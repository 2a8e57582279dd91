// A GIF encoder, in the page or as a worker: own, because a loop of one scene needs one palette for all frames and a dither
// that stands still (ordered, not error diffusion), which the small libraries don't offer; and it is 150 lines.
// As a worker it takes {width, height, delay, frames: [RGBA buffers]} and posts {progress: 0 to 1}, then {bytes}.

const BAYER = [
  0, 32, 8, 40, 2, 34, 10, 42, 48, 16, 56, 24, 50, 18, 58, 26, 12, 44, 4, 36, 14, 46, 6, 38, 60, 28, 52, 20, 62, 30, 54,
  22, 3, 35, 11, 43, 1, 33, 9, 41, 51, 19, 59, 27, 49, 17, 57, 25, 15, 47, 7, 39, 13, 45, 5, 37, 63, 31, 55, 23, 61, 29,
  53, 21,
];
const SPREAD = 14; // levels of 255 between the lightest and the darkest dither

// Encode frames (Uint8Array RGBA of width × height) that loop forever, `delay` milliseconds each.
export function encodeGif({ width, height, delay, frames }, progress = () => {}) {
  const palette = medianCut(histogram(frames), 256);
  const nearest = nearestTable(palette);
  const out = new Bytes();
  out.text("GIF89a");
  out.words(width, height);
  out.bytes(0xf7, 0, 0); // a palette of 256 for all frames
  for (let i = 0; i < 256; i++) out.bytes(...(palette[i] ?? [0, 0, 0]));
  out.bytes(0x21, 0xff, 11);
  out.text("NETSCAPE2.0");
  out.bytes(3, 1, 0, 0, 0);
  frames.forEach((frame, i) => {
    out.bytes(0x21, 0xf9, 4, 4);
    out.words(Math.round(delay / 10));
    out.bytes(0, 0, 0x2c);
    out.words(0, 0, width, height);
    out.bytes(0, 8);
    compress(dithered(frame, width, height, nearest), out);
    progress((i + 1) / frames.length);
  });
  out.bytes(0x3b);
  return out.done();
}

// Counts and color sums in cells of 5 bits a channel, of every fifth pixel.
function histogram(frames) {
  const cells = new Float64Array(4 * 32768);
  for (const frame of frames) {
    for (let p = 0; p < frame.length; p += 20) {
      const cell = 4 * (((frame[p] >> 3) << 10) | ((frame[p + 1] >> 3) << 5) | (frame[p + 2] >> 3));
      cells[cell] += 1;
      for (let c = 0; c < 3; c++) cells[cell + 1 + c] += frame[p + c];
    }
  }
  const colors = [];
  for (let cell = 0; cell < cells.length; cell += 4) {
    const count = cells[cell];
    if (count) colors.push([cells[cell + 1] / count, cells[cell + 2] / count, cells[cell + 3] / count, count]);
  }
  return colors;
}

// Heckbert's median cut: halve the box with the largest error until there are `most`; the means are the palette.
function medianCut(colors, most) {
  const boxes = [measured(colors)];
  while (boxes.length < most) {
    let worst = 0;
    boxes.forEach((box, i) => {
      if (box.error > boxes[worst].error) worst = i;
    });
    const box = boxes[worst];
    if (box.colors.length < 2 || box.error === 0) break;
    const sorted = box.colors.sort((a, b) => a[box.axis] - b[box.axis]);
    let count = 0;
    let cut = 0;
    while (cut < sorted.length - 1 && count < box.count / 2) count += sorted[cut++][3];
    cut = Math.max(1, cut);
    boxes.splice(worst, 1, measured(sorted.slice(0, cut)), measured(sorted.slice(cut)));
  }
  return boxes.map((box) => box.mean.map(Math.round));
}

function measured(colors) {
  let count = 0;
  const sum = [0, 0, 0];
  const squares = [0, 0, 0];
  for (const color of colors) {
    count += color[3];
    for (let c = 0; c < 3; c++) {
      sum[c] += color[3] * color[c];
      squares[c] += color[3] * color[c] ** 2;
    }
  }
  const spread = [0, 1, 2].map((c) => squares[c] - sum[c] ** 2 / count);
  const axis = spread.indexOf(Math.max(...spread));
  return { colors, count, axis, error: colors.length > 1 ? Math.max(...spread) : 0, mean: sum.map((s) => s / count) };
}

function nearestTable(palette) {
  const table = new Uint8Array(32768);
  for (let cell = 0; cell < 32768; cell++) {
    const [r, g, b] = [((cell >> 10) << 3) + 4, (((cell >> 5) & 31) << 3) + 4, ((cell & 31) << 3) + 4];
    let best = Infinity;
    for (let i = 0; i < palette.length; i++) {
      const [pr, pg, pb] = palette[i];
      const far = 2 * (r - pr) ** 2 + 4 * (g - pg) ** 2 + (b - pb) ** 2;
      if (far < best) [best, table[cell]] = [far, i];
    }
  }
  return table;
}

function dithered(frame, width, height, nearest) {
  const index = new Uint8Array(width * height);
  const level = (value) => (value < 0 ? 0 : value > 255 ? 31 : value >> 3);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const shift = (BAYER[((y & 7) << 3) | (x & 7)] / 63 - 0.5) * SPREAD;
      const p = 4 * i;
      index[i] =
        nearest[(level(frame[p] + shift) << 10) | (level(frame[p + 1] + shift) << 5) | level(frame[p + 2] + shift)];
    }
  }
  return index;
}

// LZW with codes of 8 to 12 bits, in blocks of 255 bytes (GIF89a, appendix F).
function compress(index, out) {
  const next = new Uint16Array(4096 << 8); // code and following byte -> longer code, 0 for none
  let [size, free, bits, room] = [9, 258, 0, 0];
  const block = [];
  const emit = (code) => {
    bits |= code << room;
    for (room += size; room >= 8; room -= 8, bits >>>= 8) {
      block.push(bits & 255);
      if (block.length === 255) out.bytes(255, ...block.splice(0));
    }
  };
  emit(256);
  let code = index[0];
  for (let i = 1; i < index.length; i++) {
    const key = (code << 8) | index[i];
    if (next[key]) {
      code = next[key];
      continue;
    }
    emit(code);
    if (free === 4096) {
      emit(256);
      next.fill(0);
      [size, free] = [9, 258];
    } else {
      if (free === 1 << size) size++;
      next[key] = free++;
    }
    code = index[i];
  }
  emit(code);
  emit(257);
  if (room) block.push(bits & 255);
  if (block.length) out.bytes(block.length, ...block);
  out.bytes(0);
}

class Bytes {
  constructor() {
    this.buffer = new Uint8Array(1 << 20);
    this.length = 0;
  }

  bytes(...values) {
    if (this.length + values.length > this.buffer.length) {
      const larger = new Uint8Array(2 * this.buffer.length);
      larger.set(this.buffer);
      this.buffer = larger;
    }
    this.buffer.set(values, this.length);
    this.length += values.length;
  }

  words(...values) {
    for (const value of values) this.bytes(value & 255, value >> 8);
  }

  text(text) {
    this.bytes(...[...text].map((letter) => letter.charCodeAt(0)));
  }

  done() {
    return this.buffer.slice(0, this.length);
  }
}

if (typeof WorkerGlobalScope !== "undefined" && self instanceof WorkerGlobalScope) {
  self.onmessage = ({ data }) => {
    const frames = data.frames.map((frame) => new Uint8Array(frame));
    const bytes = encodeGif({ ...data, frames }, (progress) => self.postMessage({ progress }));
    self.postMessage({ bytes }, [bytes.buffer]);
  };
}
