"""From an RGB-D pair to a training sample: crop, size, mirror, light, color, Vertical CutDepth."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from glpn.errors import ConfigError, DataError

from .cutdepth import vertical_cutdepth


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to a pair, and how strongly; every probability and spread may be 0.

    size            (height, width) of the sample, multiples of 32
    max_depth_m     what a color of 1 means in CutDepth
    scale           smallest share of a pair's side that a crop takes; a crop is then resized to `size`. None: crop
                    `size` from the pair as it is, as the authors do
    keep_focal      an enlarged crop looks like a longer lens: divide its depth by the enlargement, so that the focal
                    length, as a multiple of the width, stays what it was
    stretch         spread of the crop's aspect ratio (log)
    flip            probability of mirroring
    brightness, contrast, gamma, saturation, tint    spreads (log) of the gain of each
    hue             spread of a turn of all colors, degrees
    color_chance   probability that light and color are changed at all
    gray_chance, shuffle_chance    probabilities of a gray picture, and of exchanged color channels
    cutdepth_chance, cutdepth_width    probability of Vertical CutDepth, and its p
    """

    size: tuple[int, int]
    max_depth_m: float = 10.0
    scale: float | None = None
    keep_focal: bool = False
    stretch: float = 0.0
    flip: float = 0.5
    brightness: float = 0.1
    contrast: float = 0.1
    gamma: float = 0.1
    saturation: float = 0.15
    tint: float = 0.05
    hue: float = 15.0
    color_chance: float = 0.5
    gray_chance: float = 0.0
    shuffle_chance: float = 0.0
    cutdepth_chance: float = 0.25
    cutdepth_width: float = 0.75

    def __post_init__(self) -> None:
        if any(side < 32 or side % 32 for side in self.size):
            raise ConfigError(f"The training size is {self.size}. Give a height and width that are multiples of 32.")
        if self.scale is not None and not 0 < self.scale <= 1:
            raise ConfigError(f"The crop scale is {self.scale}. Give a share above 0 and up to 1.")


def augment(
    rgb: np.ndarray, depth_m: np.ndarray, settings: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Turn a pair, (H, W, 3) uint8 and (H, W) float32 metres, into an image (h, w, 3) float32, 0 to 1, and its depth.

    Depth is resized to the nearest pixel, never interpolated across an edge. The result is the same for the same `rng`.
    """
    rgb, depth_m = _crop(rgb, depth_m, settings, rng)
    image = rgb.astype(np.float32) / 255
    if rng.random() < settings.flip:
        image, depth_m = image[:, ::-1], depth_m[:, ::-1]
    if rng.random() < settings.color_chance:
        image = _relight(image, settings, rng)
    if rng.random() < settings.shuffle_chance:
        image = image[..., rng.permutation(3)]
    if rng.random() < settings.gray_chance:
        image = np.repeat(_gray(image), 3, 2)
    image = np.clip(image, 0, 1)
    if rng.random() < settings.cutdepth_chance:
        image = vertical_cutdepth(image, depth_m, rng, max_depth_m=settings.max_depth_m, p=settings.cutdepth_width)
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(depth_m, np.float32)


def fit(rgb: np.ndarray, depth_m: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Resize a pair to `size` without any chance: image (h, w, 3) float32, 0 to 1, and depth (h, w) float32."""
    whole = (0, 0, *rgb.shape[:2])
    return _resize_rgb(rgb, whole, size).astype(np.float32) / 255, _resize_depth(depth_m, whole, size)


def _crop(
    rgb: np.ndarray, depth_m: np.ndarray, settings: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    (height, width), (out_height, out_width) = depth_m.shape, settings.size
    if settings.scale is None:
        if height < out_height or width < out_width:
            raise DataError(
                f"The pair is {height} × {width} and the crop {out_height} × {out_width}. Train at a smaller size, "
                "or set a crop scale, which resizes."
            )
        tall, wide = out_height, out_width
    else:  # the largest crop of the sample's aspect ratio, times a random share
        share = math.exp(rng.uniform(math.log(settings.scale), 0))
        stretch = math.exp(settings.stretch * rng.standard_normal())
        aspect = out_width / out_height * stretch
        wide = max(8, min(width, int(share * min(width, height * aspect))))
        tall = max(8, min(height, int(wide / aspect)))
    top, left = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
    if settings.scale is None:
        window = (slice(top, top + tall), slice(left, left + wide))
        return rgb[window], depth_m[window]
    box = (top, left, top + tall, left + wide)
    if settings.keep_focal:
        depth_m = depth_m * np.float32(wide / width)
    return _resize_rgb(rgb, box, settings.size), _resize_depth(depth_m, box, settings.size)


def _resize_rgb(rgb: np.ndarray, box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    top, left, bottom, right = box
    picture = Image.fromarray(np.ascontiguousarray(rgb[top:bottom, left:right]))
    return np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))


def _resize_depth(depth_m: np.ndarray, box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    top, left, bottom, right = box
    rows = top + ((np.arange(size[0]) + 0.5) * (bottom - top) / size[0]).astype(int)
    columns = left + ((np.arange(size[1]) + 0.5) * (right - left) / size[1]).astype(int)
    return depth_m[rows[:, None], columns]


def _relight(image: np.ndarray, settings: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Change gamma, contrast, brightness, saturation and white balance; the result may leave 0 to 1."""
    gamma, contrast, brightness, saturation = np.exp(
        rng.normal(size=4) * (settings.gamma, settings.contrast, settings.brightness, settings.saturation)
    ).astype(np.float32)
    image = image**gamma
    mean = image.reshape(-1, 3).mean(0)
    image = (image - mean) * contrast + mean * brightness
    gray = _gray(image)
    image = gray + (image - gray) * saturation
    if settings.hue:
        image = image @ _hue_rotation(settings.hue * float(rng.standard_normal()))
    return image * np.exp(settings.tint * rng.normal(size=3)).astype(np.float32)


def _gray(image: np.ndarray) -> np.ndarray:
    """The mean (H, W, 1) of the colors; NumPy is slow at a mean over an axis of three."""
    return image @ np.full((3, 1), 1 / 3, np.float32)


def _hue_rotation(degrees: float) -> np.ndarray:
    """The (3, 3) rotation of colors about the gray axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)) / math.sqrt(3)
    third = (1 - c) / 3
    around = [[c + third, third + s, third - s], [third - s, c + third, third + s], [third + s, third - s, c + third]]
    return np.array(around, np.float32)
