"""Vertical CutDepth: the paper's augmentation (section 3.4; CutDepth itself is arXiv 2107.07684)."""

import numpy as np


def vertical_cutdepth(
    image: np.ndarray, depth_m: np.ndarray, rng: np.random.Generator, *, max_depth_m: float, p: float = 0.75
) -> np.ndarray:
    """Replace some columns of `image` (H, W, 3) float32, 0 to 1, over the full height by the true depth.

    `depth_m` (H, W) is divided by `max_depth_m`, so that it has the range of a color; 0 where nothing was measured.
    The columns are l … l + w with l = int(αW), w = int(max((W - αW) · β · p, 1)), α and β uniform: the paper and the
    authors' code. The code does it to every fourth sample, before the other augmentations, and writes the file's own
    values (millimetres for NYU) into 8-bit colors; here it comes last and has the range of a color.
    """
    width = image.shape[1]
    left, columns = cut_columns(width, alpha=rng.random(), beta=rng.random(), p=p)
    result = image.copy()
    strip = slice(left, left + columns)
    result[:, strip] = np.clip(depth_m[:, strip] / max_depth_m, 0, 1)[..., None]
    return result


def cut_columns(width: int, *, alpha: float, beta: float, p: float) -> tuple[int, int]:
    """Return the first column and the number of columns that are cut, for α and β in [0, 1)."""
    return int(alpha * width), int(max((width - alpha * width) * beta * p, 1))
