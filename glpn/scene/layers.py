"""A 3D photo in two layers: the photo itself, and the background filled in behind its edges.

web/assets/photo3d_layers.js does the same in the browser, step by step; a test compares them.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .photo3d import Photo3D, resize

# Where a pixel looks for others of its color, in samples of the grid: eight directions on four rings.
RINGS = (1, 2, 4, 7)
ROUNDS = 2  # of sharpening
LIKENESS = 0.07  # difference in color, 0 to 1, at which another pixel's say falls to 1/e
EDGE = 0.03  # step of relative nearness between neighboring samples that is an edge
REACH = 0.06  # share of the width behind an edge that is filled in
SHUN = 3  # times as far, no color or depth of a near thing is used for what is behind it
MARGIN = 3  # samples around it that are filled in as well: an edge's pixels are mixed colors


@dataclass(frozen=True, eq=False)
class Layers:
    """What is drawn, all (h, w).

    front     float32, relative nearness of the photo's pixels
    back      float32, of the background; as `front` where that is all there is
    back_rgb  (h, w, 3) float32, 0 to 255, the background's colors
    hidden    float32, 1 where the background is filled in, else 0
    """

    front: np.ndarray
    back: np.ndarray
    back_rgb: np.ndarray
    hidden: np.ndarray


def layers(photo: Photo3D) -> Layers:
    """Split `photo` into the layers that are drawn."""
    guide = resize(photo.rgb, photo.nearness.shape).astype(np.float32)
    return background(grow(sharpen(photo.relative, guide)), guide)


def sharp_depth_m(photo: Photo3D, size: tuple[int, int]) -> np.ndarray:
    """Return the depth of `photo` with its edges on the picture's, (H, W) float32 metres, H and W from `size`."""
    guide = resize(photo.rgb, photo.nearness.shape).astype(np.float32)
    front = Image.fromarray(grow(sharpen(photo.relative, guide)))
    return np.float32(photo.pivot_m) / np.asarray(front.resize(size[::-1], Image.Resampling.BILINEAR))


def sharpen(values: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """Move the edges of `values` (h, w) float32 onto those of the picture `guide` (h, w, 3) float32, 0 to 255.

    A joint bilateral filter on rings of 8 neighbors (Petschnigg et al. 2004), which runs ROUNDS times.
    """
    for _ in range(ROUNDS):
        total, weight = values.copy(), np.ones_like(values)
        for ring in RINGS:
            for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
                if max(dy * ring - values.shape[0], abs(dx) * ring - values.shape[1]) >= 0:
                    continue  # beyond a tiny picture
                here, there = _overlap(values.shape, dy * ring, dx * ring)
                unlike = np.abs(guide[here] - guide[there]).sum(axis=-1) / (3 * 255 * LIKENESS)
                say = np.exp(-(unlike**2))
                for one, other in ((here, there), (there, here)):
                    total[one] += say * values[other]
                    weight[one] += say
        values = total / weight
    return values


def grow(values: np.ndarray) -> np.ndarray:
    """Widen what is near by one sample, so that an object's rim moves with it, and round off the steps of the grid."""
    return _blur(_each_way(values, np.maximum))


def background(front: np.ndarray, guide: np.ndarray) -> Layers:
    """Fill in what near things hide, behind the edges of `front` (h, w), with the colors of `guide` (h, w, 3)."""
    edge = (_steps(front) > EDGE).astype(np.float32)
    low, high = front, front
    for _ in range(4):
        low, high = _each_way(low, np.minimum), _each_way(high, np.maximum)
    middle = pull_push(((low + high) / 2)[..., None], edge)[..., 0]
    nearer = (front > middle) | (edge > 0)
    reach = round(REACH * front.shape[1])
    hidden = nearer & (_reach(edge, reach) > 0)
    unusable = nearer & (_reach(edge, SHUN * reach) > 0)
    for _ in range(MARGIN):
        hidden, unusable = _each_way(hidden, np.maximum), _each_way(unusable, np.maximum)
    filled = pull_push(np.concatenate([front[..., None], guide], axis=-1), 1 - unusable.astype(np.float32))
    back = np.where(hidden, np.minimum(filled[..., 0], front), front)
    return Layers(front, back, filled[..., 1:], hidden.astype(np.float32))


def pull_push(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fill in `values` (h, w, n) where `weight` (h, w), 0 to 1, is below 1, from the nearest known (Gortler 1996)."""
    if max(weight.shape) == 1 or weight.min() >= 1:
        return values
    h, w = weight.shape
    pad = ((0, h % 2), (0, w % 2))
    wide = np.pad(weight, pad)
    known = np.pad(values * weight[..., None], (*pad, (0, 0)))
    sums = wide.reshape((h + 1) // 2, 2, (w + 1) // 2, 2).sum(axis=(1, 3))
    means = known.reshape((h + 1) // 2, 2, (w + 1) // 2, 2, -1).sum(axis=(1, 3)) / np.maximum(sums, 1e-6)[..., None]
    coarse = pull_push(means, np.minimum(sums, 1))
    smooth = _doubled(coarse)[:h, :w]
    return values * weight[..., None] + smooth * (1 - weight[..., None])


def _doubled(values: np.ndarray) -> np.ndarray:
    """Double the size of `values` (h, w, n), bilinear, samples in the middle of their areas."""
    for axis in (0, 1):
        first = np.concatenate([values.take([0], axis), values], axis).take(range(values.shape[axis]), axis)
        last = np.concatenate([values, values.take([-1], axis)], axis).take(range(1, values.shape[axis] + 1), axis)
        pair = np.stack([0.75 * values + 0.25 * first, 0.75 * values + 0.25 * last], axis + 1)
        shape = list(values.shape)
        shape[axis] *= 2
        values = pair.reshape(shape)
    return values


def _overlap(shape: tuple[int, ...], dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the slices of the pixels that have a neighbor `dy` rows down and `dx` columns right, and of those."""
    rows = slice(0, shape[0] - dy), slice(dy, None)
    cols = (slice(0, shape[1] - dx), slice(dx, None)) if dx >= 0 else (slice(-dx, None), slice(0, shape[1] + dx))
    return (rows[0], cols[0]), (rows[1], cols[1])


def _each_way(values: np.ndarray, choose: np.ufunc) -> np.ndarray:
    """Choose the largest or smallest of each sample and its 8 neighbors."""
    wide = np.pad(values, ((0, 0), (1, 1)), mode="edge")
    values = choose(choose(wide[:, :-2], wide[:, 2:]), values)
    tall = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    return choose(choose(tall[:-2], tall[2:]), values)


def _blur(values: np.ndarray) -> np.ndarray:
    """Average with the weights 1, 2, 1 in both directions."""
    wide = np.pad(values, ((0, 0), (1, 1)), mode="edge")
    values = (wide[:, :-2] + 2 * values + wide[:, 2:]) / 4
    tall = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    return (tall[:-2] + 2 * values + tall[2:]) / 4


def _steps(values: np.ndarray) -> np.ndarray:
    """Largest difference to the left or right, upper or lower neighbors."""
    wide = np.pad(values, 1, mode="edge")
    return np.maximum(np.abs(wide[1:-1, 2:] - wide[1:-1, :-2]), np.abs(wide[2:, 1:-1] - wide[:-2, 1:-1])) / 2


def _reach(values: np.ndarray, radius: int) -> np.ndarray:
    """Sum (h, w) `values` over squares of 2 * radius + 1 samples."""
    for axis in (0, 1):
        pad = [(radius + 1, radius) if a == axis else (0, 0) for a in (0, 1)]
        total = np.pad(values, pad).cumsum(axis, dtype=np.float64)
        n = values.shape[axis]
        values = total.take(range(2 * radius + 1, n + 2 * radius + 1), axis) - total.take(range(n), axis)
    return values
