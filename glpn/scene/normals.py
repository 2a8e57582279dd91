"""Surface normals of a depth map, not smoothed across depth edges.

On a plane, 1 / depth is linear in pixel coordinates: 1/z = a·u + b·v + c with u = (x - cx) / fx and v = (y - cy) / fy,
and (a, b, c) is the plane's normal. So the normal at a sample comes from the slope of 1 / depth around it, fitted by
least squares to neighbors that are no edge away: on planes it is exact.
"""

import numpy as np
from PIL import Image

from glpn.camera import Camera

from .geometry import is_measured
from .photo3d import within

NORMALS_SIDE = 1024  # samples along the longer side, at most
NEIGHBORS = 3  # samples to either side
FALLOFF = 0.04  # relative step of 1 / depth at which a neighbor's say falls to 1/e


def surface_normals(depth_m: np.ndarray, camera: Camera) -> np.ndarray:
    """Return unit normals (H, W, 3) float32 in camera axes (x right, y down, z forward) that look at the camera.

    depth_m  (H, W) metres; where nothing was measured the normal is 0
    camera   of that size
    """
    camera.check_size(depth_m.shape)
    height, width = whole = camera.size
    known = is_measured(depth_m)
    inverse = np.divide(1, depth_m, out=np.zeros(depth_m.shape, np.float32), where=known, casting="same_kind")
    size = within(depth_m.shape, NORMALS_SIDE)
    if size != depth_m.shape:
        weight = _resized(known.astype(np.float32), size)
        inverse = np.divide(_resized(inverse, size), weight, out=np.zeros(size, np.float32), where=weight > 0.5)
    across, down = _slopes(inverse)
    fx, fy = camera.fx_px * size[1] / width, camera.fy_px * size[0] / height
    u = ((np.arange(size[1]) + 0.5) * width / size[1] - 0.5 - camera.cx_px) / camera.fx_px
    v = ((np.arange(size[0]) + 0.5) * height / size[0] - 0.5 - camera.cy_px) / camera.fy_px
    a, b = across * fx, down * fy
    c = inverse - a * u - b * v[:, None]
    normals = [_resized(part.astype(np.float32), whole) for part in (-a, -b, -c)]
    stacked = np.stack(normals, axis=-1)
    stacked /= np.maximum(np.linalg.norm(stacked, axis=-1, keepdims=True), 1e-12)
    stacked[~known] = 0
    return stacked


def normals_rgb(normals: np.ndarray) -> np.ndarray:
    """Color unit normals (H, W, 3) as (H, W, 3) uint8: red x right, green y up, blue towards the viewer, -1 to 1.

    A surface that faces the camera is (128, 128, 255); black is "no measurement".
    """
    image = np.round((normals * np.array([1, -1, -1], np.float32) + 1) * 127.5).astype(np.uint8)
    image[~normals.any(axis=-1)] = 0
    return image


def _slopes(inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the change of `inverse` (h, w) per column and per row, over NEIGHBORS samples, not across edges."""
    h, w = inverse.shape
    wide = np.pad(inverse, NEIGHBORS)
    sums = np.zeros((5, h, w), np.float32)  # of x², xy, y², x·step, y·step
    for dy in range(-NEIGHBORS, NEIGHBORS + 1):
        for dx in range(-NEIGHBORS, NEIGHBORS + 1):
            there = wide[NEIGHBORS + dy : NEIGHBORS + dy + h, NEIGHBORS + dx : NEIGHBORS + dx + w]
            step = there - inverse
            far = np.maximum(np.minimum(there, inverse), 1e-9)
            say = np.exp(-((step / (FALLOFF * far)) ** 2) - (dx * dx + dy * dy) / NEIGHBORS**2) * (there > 0)
            for total, term in zip(sums, (dx * dx, dx * dy, dy * dy, dx * step, dy * step), strict=True):
                total += say * term
    xx, xy, yy, xs, ys = sums
    ground = 1e-3  # so that a sample without neighbors has no slope
    xx, yy = xx + ground, yy + ground
    size = xx * yy - xy * xy
    return (xs * yy - ys * xy) / size, (ys * xx - xs * xy) / size


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if values.shape == size:
        return values
    resampling = Image.Resampling.BOX if size[0] < values.shape[0] else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(np.ascontiguousarray(values, np.float32)).resize(size[::-1], resampling))
