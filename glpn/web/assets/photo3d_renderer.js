// Draws a 3D photo with WebGL: a mesh of the photo over a mesh of the filled-in background. No page, no events.
//
// The camera moves by (x, y, z) pivot depths and its picture plane stays parallel to the photo, shifted so that the pivot
// stays in place (an off-axis projection, as of two eyes before one screen). A place p on the photo with relative
// nearness r goes to (p - c - f · xy · r) (1 - z · pivot) / (1 - z · r) + f · xy · pivot + c.
import { slopes } from "./photo3d_layers.js";

const RIM = 0.06; // share of the width by which the mesh continues outside the photo, mirrored
const ZOOM = [1.02, 1.08]; // least and most, to hide what lies outside the photo
const SLOW_VERTICES = 26_000; // of a layer where the processor draws; graphics cards draw all
const FADE = [1.6, 3.0]; // stretch of the mesh at which the background begins to show, and shows alone

const VERTEX = `
attribute vec2 place;
attribute vec3 near; // relative nearness, its change per width and per height
uniform vec3 eye;
uniform vec2 focal, center;
uniform float pivot, zoom, most;
varying vec2 at;
varying float stretch;
void main() {
  at = place;
  vec2 shift = focal * eye.xy;
  stretch = 1.0 - dot(shift, near.yz);
  vec2 seen = (place - center - shift * near.x) * (1.0 - eye.z * pivot) / (1.0 - eye.z * near.x) + shift * pivot + center;
  gl_Position = vec4((seen - 0.5) * vec2(2.0, -2.0) * zoom, 0.98 - 1.9 * near.x / most, 1.0);
}`;
const FRAGMENT = `
precision mediump float;
varying vec2 at;
varying float stretch;
uniform sampler2D photo, fill;
uniform float layer; // 0 background, 1 front, 2 front without a background
uniform vec2 fade;
void main() {
  vec2 uv = 1.0 - abs(1.0 - abs(at)); // mirrored outside the photo
  vec3 color = texture2D(photo, uv).rgb;
  float alpha = 1.0;
  if (layer < 0.5) {
    vec4 filled = texture2D(fill, uv);
    color = mix(color, filled.rgb, filled.a);
  } else if (layer < 1.5) {
    alpha = 1.0 - smoothstep(fade.x, fade.y, stretch);
    if (alpha < 0.02) discard;
  }
  gl_FragColor = vec4(color * alpha, alpha);
}`;

export class NoWebGL extends Error {}

// Whether WebGL is drawn by the processor. Asked of a context of its own, for it decides how the others are made.
let software = null;
function drawnInSoftware() {
  if (software === null) {
    const gl = document.createElement("canvas").getContext("webgl");
    const info = gl?.getExtension("WEBGL_debug_renderer_info");
    const name = String(gl?.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
    software = /swiftshader|llvmpipe|software|basic render/i.test(name);
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
  return software;
}
// Compile shaders to a program whose `attributes` have the locations 0, 1, …
export function programOf(gl, vertex, fragment, attributes) {
  const program = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  for (const [location, name] of attributes.entries()) gl.bindAttribLocation(program, location, name);
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new NoWebGL(`the shaders don't compile: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}

export class Renderer {
  // Raises NoWebGL where the browser has none.
  constructor(canvas = document.createElement("canvas")) {
    this.canvas = canvas;
    this.software = drawnInSoftware();
    const wanted = { alpha: false, antialias: !this.software, powerPreference: "low-power" };
    const gl = canvas.getContext("webgl2", wanted) || canvas.getContext("webgl", wanted);
    if (!gl) throw new NoWebGL("this browser has no WebGL");
    this.gl = gl;
    if (!("drawElementsInstanced" in gl) && !gl.getExtension("OES_element_index_uint")) {
      throw new NoWebGL("this browser's WebGL has no large meshes");
    }
    this.setUp();
  }

  // Make what lives on the graphics card; also after a lost context came back.
  setUp() {
    const { gl } = this;
    const program = programOf(gl, VERTEX, FRAGMENT, ["place", "near"]);
    gl.useProgram(program);
    this.uniform = new Proxy({}, { get: (kept, name) => (kept[name] ??= gl.getUniformLocation(program, name)) });
    this.buffers = Object.fromEntries(
      ["place", "front", "back", "index", "backIndex"].map((name) => [name, gl.createBuffer()]),
    );
    this.textures = [0, 1].map((unit) => this.texture(unit));
    gl.uniform1i(this.uniform.photo, 0);
    gl.uniform1i(this.uniform.fill, 1);
    gl.uniform2f(this.uniform.fade, ...FADE);
    gl.enableVertexAttribArray(0);
    gl.enableVertexAttribArray(1);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.clearColor(0, 0, 0, 1);
    this.meshSize = "";
    this.hasBack = false;
  }

  texture(unit) {
    const { gl } = this;
    const texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    return texture;
  }

  // Take a photo (image, bitmap or canvas; null keeps the last), its lens {fx, fy, cx, cy, sway_deg} and the front grid.
  setFront(photo, lens, front) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0);
    if (photo) gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, photo);
    this.lens = lens;
    this.every = this.software ? Math.max(1, Math.round(Math.sqrt((front.rows * front.cols) / SLOW_VERTICES))) : 1;
    const grid = thinned(front, this.every, Math.max); // so that a near thing keeps its rim
    this.mesh(grid.rows, grid.cols);
    this.fillBuffer(this.buffers.front, grid);
    this.most = grid.values.reduce((most, value) => Math.max(most, value), 0);
    this.zoom = zoomFor(front, lens);
    this.hasBack = false;
  }

  // Take the background: its grid, and RGBA bytes whose alpha says where it is filled in. Only that is drawn.
  setBack(back, rgba) {
    const { gl } = this;
    const grid = thinned(back, this.every, Math.min);
    this.fillBuffer(this.buffers.back, grid);
    const index = quads(grid.rows + 2, grid.cols + 2, filledIn(grid, back, rgba));
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.backIndex);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, index, gl.STATIC_DRAW);
    this.backCount = index.length;
    gl.activeTexture(gl.TEXTURE1);
    const bytes = new Uint8Array(rgba.buffer);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, back.cols, back.rows, 0, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    this.hasBack = true;
  }

  // Vertices in the middle of the samples, and a ring of them outside.
  mesh(rows, cols) {
    const size = `${rows}x${cols}`;
    if (size === this.meshSize) return;
    this.meshSize = size;
    const { gl, buffers } = this;
    const [R, C] = [rows + 2, cols + 2];
    const along = (i, n) => (i === 0 ? -RIM : i === n + 1 ? 1 + RIM : (i - 0.5) / n);
    const place = new Float32Array(2 * R * C);
    for (let i = 0, k = 0; i < R; i++) {
      for (let j = 0; j < C; j++) {
        place[k++] = along(j, cols);
        place[k++] = along(i, rows);
      }
    }
    const index = quads(R, C);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers.place);
    gl.bufferData(gl.ARRAY_BUFFER, place, gl.STATIC_DRAW);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffers.index);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, index, gl.STATIC_DRAW);
    this.frontCount = index.length;
  }

  fillBuffer(buffer, grid) {
    const { gl } = this;
    const { rows, cols, values } = grid;
    const slope = slopes(grid);
    const [R, C] = [rows + 2, cols + 2];
    const near = new Float32Array(3 * R * C);
    for (let i = 0; i < R; i++) {
      const row = Math.min(rows - 1, Math.max(0, i - 1));
      for (let j = 0; j < C; j++) {
        const from = row * cols + Math.min(cols - 1, Math.max(0, j - 1));
        const to = 3 * (i * C + j);
        near[to] = values[from];
        near[to + 1] = slope[2 * from];
        near[to + 2] = slope[2 * from + 1];
      }
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, near, gl.STATIC_DRAW);
  }

  // Draw from the camera's place {x, y, z}, pivot depths; `pivot` is the relative nearness that stays in place.
  draw({ x = 0, y = 0, z = 0 } = {}, { pivot = 1, zoom = this.zoom } = {}) {
    const { gl, uniform, lens } = this;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.uniform3f(uniform.eye, x, y, z);
    gl.uniform2f(uniform.focal, lens.fx, lens.fy);
    gl.uniform2f(uniform.center, lens.cx, lens.cy);
    gl.uniform1f(uniform.pivot, pivot);
    gl.uniform1f(uniform.zoom, zoom);
    gl.uniform1f(uniform.most, this.most);
    if (this.hasBack) {
      gl.disable(gl.BLEND);
      gl.depthRange(0.5, 1); // all of the background lies behind all of the front
      this.drawLayer(this.buffers.back, this.buffers.backIndex, this.backCount, 0);
      gl.enable(gl.BLEND);
    }
    gl.depthRange(0, 0.5);
    this.drawLayer(this.buffers.front, this.buffers.index, this.frontCount, this.hasBack ? 1 : 2);
    return this.canvas;
  }

  drawLayer(near, index, count, layer) {
    const { gl } = this;
    gl.uniform1f(this.uniform.layer, layer);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.place);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, near);
    gl.vertexAttribPointer(1, 3, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, index);
    gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_INT, 0);
  }

  dispose() {
    const { gl } = this;
    for (const buffer of Object.values(this.buffers)) gl.deleteBuffer(buffer);
    for (const texture of this.textures) gl.deleteTexture(texture);
    gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

// Two triangles for each square of neighboring vertices; `wanted` says which vertices matter.
function quads(rows, cols, wanted = null) {
  const index = new Uint32Array(6 * (rows - 1) * (cols - 1));
  let k = 0;
  for (let i = 0; i < rows - 1; i++) {
    for (let j = 0; j < cols - 1; j++) {
      const a = i * cols + j;
      const b = a + cols;
      if (wanted && !(wanted[a] || wanted[a + 1] || wanted[b] || wanted[b + 1])) continue;
      index[k++] = a;
      index[k++] = b;
      index[k++] = a + 1;
      index[k++] = a + 1;
      index[k++] = b;
      index[k++] = b + 1;
    }
  }
  return index.subarray(0, k);
}

// Vertices of the mesh of `grid` within two samples of what is filled in.
function filledIn(grid, { rows, cols }, rgba) {
  const [R, C] = [grid.rows + 2, grid.cols + 2];
  const wanted = new Uint8Array(R * C);
  for (let i = 0; i < rows * cols; i++) {
    if (!rgba[4 * i + 3]) continue;
    const row = 1 + Math.floor((Math.floor(i / cols) / rows) * grid.rows);
    const col = 1 + Math.floor(((i % cols) / cols) * grid.cols);
    for (let r = Math.max(0, row - 2); r <= Math.min(R - 1, row + 2); r++) {
      wanted.fill(1, r * C + Math.max(0, col - 2), r * C + Math.min(C - 1, col + 2) + 1);
    }
  }
  return wanted;
}

// The largest or smallest of every × every samples.
function thinned({ rows, cols, values }, every, choose) {
  if (every === 1) return { rows, cols, values };
  const [R, C] = [Math.floor(rows / every), Math.floor(cols / every)];
  const chosen = new Float32Array(R * C);
  for (let i = 0; i < R; i++) {
    for (let j = 0; j < C; j++) {
      const [top, left] = [Math.floor((i * rows) / R), Math.floor((j * cols) / C)];
      let one = values[top * cols + left];
      for (let k = 1; k < every * every; k++) {
        one = choose(one, values[(top + Math.floor(k / every)) * cols + left + (k % every)]);
      }
      chosen[i * C + j] = one;
    }
  }
  return { rows: R, cols: C, values: chosen };
}

// The zoom at which full sway shows little outside the photo.
function zoomFor({ rows, cols, values }, { fx, sway_deg: sway }) {
  let most = 0;
  for (let row = 0; row < rows; row++) {
    for (const col of [0, cols - 1]) most = Math.max(most, Math.abs(values[row * cols + col] - 1));
  }
  const margin = fx * Math.tan((sway * Math.PI) / 180) * most;
  return Math.min(ZOOM[1], Math.max(ZOOM[0], 1 / (1 - 2 * margin)));
}
