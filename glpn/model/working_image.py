"""Photos to what the estimator's network sees, and its depth back to the photo's size; the aspect is kept."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

# Whole-photo inference keeps several (64, H, W) float32 maps; at 4 megapixels one is 1 GB.
MAX_NATIVE_PIXELS = 4_194_304
# The longest photo, long side over short side, that gets the full short side; a longer one is shrunk until it fits.
MAX_ASPECT = 4


def working_size(size: tuple[int, int], *, short_side: int, divisor: int = 32) -> tuple[int, int]:
    """Return the (height, width) at which a network should see a photo of `size` (height, width).

    The short side becomes `short_side`, larger or smaller than it was, and the aspect is kept; a photo longer than
    `MAX_ASPECT` : 1 is shrunk until its long side is `MAX_ASPECT * short_side`, so that memory is bounded. Then each
    side is rounded to the nearest multiple of `divisor`, at least one `divisor`.
    """
    scale = min(short_side / min(size), MAX_ASPECT * short_side / max(size))
    height, width = (max(math.floor(side * scale / divisor + 0.5), 1) * divisor for side in size)
    return height, width


def native_size(size: tuple[int, int], divisor: int = 32, max_pixels: int = MAX_NATIVE_PIXELS) -> tuple[int, int]:
    """Floor `size` (height, width) to multiples of `divisor`, at least one, after shrinking it to `max_pixels` or less.

    The aspect is kept, but for photos so long that their short side would be under `divisor`.
    """
    scale = min(1.0, math.sqrt(max_pixels / (size[0] * size[1])))
    height, width = (max(int(side * scale) // divisor, 1) * divisor for side in size)
    longest = max(max_pixels // (min(height, width) * divisor), 1) * divisor
    return min(height, longest), min(width, longest)


def resize_photo(rgb: np.ndarray, size: tuple[int, int], resample: int = Image.Resampling.BILINEAR) -> np.ndarray:
    """Resize `rgb` (H, W, 3) uint8 to (height, width) `size` and return (3, height, width) uint8.

    Pillow's filters average all the pixels that one stands for when they shrink.
    """
    height, width = size
    image = Image.fromarray(rgb)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling(resample))
    return np.asarray(image).transpose(2, 0, 1)


def to_pixel_values(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize `rgb` (H, W, 3) uint8 to (height, width) `size` and return (3, height, width) float32, 0 to 1."""
    return np.divide(resize_photo(rgb, size), 255, dtype=np.float32, order="C")


def resize_depth(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize `depth` (h, w) float32 to (height, width) `size`, bilinearly: no value is outside the range of `depth`."""
    if depth.shape == size:
        return depth.copy()
    tensor = torch.from_numpy(np.ascontiguousarray(depth))[None, None]
    shrinks = size[0] < depth.shape[0] or size[1] < depth.shape[1]
    return F.interpolate(tensor, size=size, mode="bilinear", align_corners=False, antialias=shrinks)[0, 0].numpy()
