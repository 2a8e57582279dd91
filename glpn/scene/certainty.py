"""How sure a depth map is, place by place: what the model says of the same photo mirrored and at other sizes.

Where these estimates differ, the picture decides nothing. It is not the error: a model can be wrong with confidence.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from glpn.errors import ConfigError

from .geometry import is_measured, resize_rgb

# Photo (h, w, 3) uint8 and the short side at which the network sees it -> depth (h, w).
Estimate = Callable[[np.ndarray, int], np.ndarray]
SCALES = (5 / 6, 1.0, 7 / 6)  # of the model's own short side
RUNS = 2 * len(SCALES)  # at most: with the mirror image
STEP = 32  # sides of what the network sees
OVERSAMPLING = 2  # the photo is shrunk to this multiple of the largest size before it is estimated
# Spread from which a place counts as unsure and is hatched. On the 43 frames of tests/data/rgbd, rooms-b0
# (median-scaled) is 19 % off below it and 33 % off above it, on 8 % of the pixels.
UNSURE = 0.1


def relative_spread(rgb: np.ndarray, estimate: Estimate, short_side: int) -> np.ndarray:
    """Return (H, W) float32: by what share the estimates of a place typically differ, 0.1 for 10 %.

    rgb         (H, W, 3) uint8, the photo
    estimate    gives depth (h, w) for a photo (h, w, 3) and a short side in pixels; called six times: the photo and
                its mirror image at three sizes
    short_side  pixels, the size at which the model usually sees a photo

    Each estimate is first scaled to the same median: how far all of them are off together, the model's raw error
    tells. Raises ConfigError if `estimate` returns something else.
    """
    sides = sorted({max(STEP, round(short_side * scale / STEP) * STEP) for scale in SCALES})
    height, width = rgb.shape[:2]
    shrink = min(1.0, OVERSAMPLING * sides[-1] / min(height, width))
    small = resize_rgb(rgb, (max(1, round(height * shrink)), max(1, round(width * shrink))))
    logs = []
    for side in sides:
        for mirrored in (False, True):
            seen = np.ascontiguousarray(small[:, ::-1]) if mirrored else small
            depth_m = estimate(seen, side)
            if depth_m.shape != small.shape[:2] or not is_measured(depth_m).all():
                raise ConfigError("An estimate has another size than the photo, or holes. Give the model's own depth.")
            log = np.log(depth_m[:, ::-1] if mirrored else depth_m)
            logs.append(log - np.median(log))
    spread = np.std(logs, axis=0, ddof=1).astype(np.float32)
    image = Image.fromarray(spread).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)
