"""A photo and its depth as the page gets them: a JPEG, and a 16-bit PNG of how near each part is.

Nearness is 1 / depth, 1/m: a shift on the picture is proportional to it, and near parts keep their detail when it is
stored in steps. The 3D photo (web/assets/photo3d.js) and the depth picture (depth.js) are drawn from the same two
files; `depth_png` describes the PNG.
"""

import io
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from glpn.camera import Camera
from glpn.errors import ConfigError, ExportError

from .geometry import sample_depth
from .png import encode_png_16_bit

PHOTO_SIDE = 1600  # pixels, the longer side of the picture sent to the page
GRID_SIDE = 512  # samples of nearness along the longer side
MOST_DEPTH_BYTES = 120_000  # the depth file is at most this long
DEPTH_LEVELS = 4095  # 12 bits: a step is 0.02 % of the nearest depth, and files are half as long as with 16
MISSING = 65_535  # the step that stands for "not measured"
TRAVEL = 0.06  # share of the width by which near and far parts move against each other at full sway
MAX_SWAY_DEG = 8.0
TEXT_KEY = "glpn-photo3d"
ZLIB_LEVEL = 4  # level 6 takes 3.5 times as long for files that are smaller by 7 %
SPREAD_STEP = 0.005  # to which the page gets a spread rounded
JPEG_QUALITY = 86
NUMBERS = ("fx", "fy", "cx", "cy", "pivot_m", "sway_deg", "low", "high")


@dataclass(frozen=True, eq=False, kw_only=True)
class Photo3D:
    """A photo that can be seen from places next to the camera's.

    rgb       (H, W, 3) uint8
    nearness  (h, w) float32, 1/m, above 0 everywhere; the same view in coarser samples, of any size
    low, high  nearness, 1/m, beyond which samples are outliers that would make the scene too deep to move
    fx, fy    focal lengths as shares of the width and of the height
    cx, cy    principal point as shares of the width and of the height, from the top-left corner
    pivot_m   depth that stays in place while the camera sways
    sway_deg  how far the camera sways to either side as seen from the pivot, at full strength
    """

    rgb: np.ndarray
    nearness: np.ndarray
    low: float
    high: float
    fx: float
    fy: float
    cx: float
    cy: float
    pivot_m: float
    sway_deg: float

    @property
    def relative(self) -> np.ndarray:
        """(h, w) float32: what moves: nearness without outliers and rim, the pivot at 1, half its depth at 2."""
        return without_rim(self.nearness.clip(self.low, self.high)) * np.float32(self.pivot_m)

    @property
    def reach(self) -> float:
        """Largest offset of the camera, in pivot depths."""
        return math.tan(math.radians(self.sway_deg))

    def meta(self) -> dict[str, Any]:
        """What the page has to know besides the two files; JSON."""
        height, width = self.rgb.shape[:2]
        return {"width": width, "height": height, **{name: round(getattr(self, name), 5) for name in NUMBERS}}


def prepare(
    rgb: np.ndarray, depth_m: np.ndarray, camera: Camera, *, side: int = PHOTO_SIDE, grid: int = GRID_SIDE
) -> Photo3D:
    """Shrink a photo and its depth to what a 3D photo needs.

    rgb      (H, W, 3) uint8
    depth_m  (H, W) metres, not finite or not above 0 where unknown: the mean of its surroundings is taken there
    camera   of `depth_m`
    side     longest side of the picture, pixels
    grid     longest side of the nearness, samples

    Raises ConfigError if the two sizes differ or nothing is known.
    """
    if rgb.shape[:2] != depth_m.shape:
        raise ConfigError(
            f"The photo is {rgb.shape[1]} × {rgb.shape[0]} and the depth {depth_m.shape[1]} × {depth_m.shape[0]} "
            "pixels. Give both at the same size."
        )
    nearness = _nearness(depth_m, within(depth_m.shape, grid))
    height, width = depth_m.shape
    fx = camera.fx_px / width
    # Of a fourth of the samples percentiles are the same, here and in `_pose`.
    low, high = (float(value) for value in np.percentile(nearness[::2, ::2], (0.5, 99.8)))
    pivot_m, sway_deg = _pose(without_rim(nearness.clip(low, high)), fx)
    return Photo3D(
        rgb=resize(rgb, within(rgb.shape[:2], side)),
        nearness=nearness,
        low=low,
        high=high,
        fx=fx,
        fy=camera.fy_px / height,
        cx=(camera.cx_px + 0.5) / width,
        cy=(camera.cy_px + 0.5) / height,
        pivot_m=pivot_m,
        sway_deg=sway_deg,
    )


def photo_jpeg(photo: Photo3D) -> bytes:
    """Encode the picture for the page."""
    file = io.BytesIO()
    Image.fromarray(photo.rgb).save(file, "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    return file.getvalue()


def depth_png(photo: Photo3D, *, limit: int = MOST_DEPTH_BYTES) -> bytes:
    """Encode the nearness as a 16-bit gray PNG of at most `limit` bytes, with fewer samples where it has to be.

    A pixel v, 0 to `levels`, means nearness far + (near - far) · v / levels in 1/m. These numbers and `Photo3D.meta`
    are in the text chunk "glpn-photo3d" as JSON: levels, near_per_m, far_per_m, …

    Raises ExportError if even 64 samples along the longer side take more than `limit`.
    """
    nearness = photo.nearness
    while True:
        data = _encoded(nearness, photo.meta())
        if len(data) <= limit:
            return data
        nearness = _resized(nearness, _smaller(nearness.shape, len(data), limit))


def map_png(depth_m: np.ndarray, *, side: int = GRID_SIDE, limit: int = MOST_DEPTH_BYTES) -> bytes:
    """Encode a depth map (H, W) in metres as `depth_png` does, for the depth picture alone; MISSING is "not measured".

    It has at most `side` samples along the longer side.

    Raises ExportError if even 64 samples along the longer side take more than `limit`.
    """
    rows, cols = within(depth_m.shape, side)
    while True:
        sampled, *_ = sample_depth(depth_m, rows * cols)
        data = _encoded(1 / sampled, {"width": depth_m.shape[1], "height": depth_m.shape[0]})
        if len(data) <= limit:
            return data
        rows, cols = _smaller(sampled.shape, len(data), limit)


def spread_png(spread: np.ndarray) -> bytes:
    """Encode how far estimates differ, (H, W) with 0.1 for 10 %, in the same kind of file: a pixel v means v · step.

    The text chunk names `step`; what exceeds 255 steps is 255.
    """
    steps = np.round(spread / SPREAD_STEP).clip(0, 255).astype(np.uint16)
    return encode_png_16_bit(steps, {TEXT_KEY: json.dumps({"step": SPREAD_STEP})}, level=ZLIB_LEVEL)


def _encoded(nearness: np.ndarray, facts: dict[str, Any]) -> bytes:
    known = np.isfinite(nearness)
    far, near = (float(end(nearness[known])) if known.any() else 1.0 for end in (np.min, np.max))
    steps = (np.where(known, nearness, far) - far) * (DEPTH_LEVELS / max(near - far, 1e-12))
    steps = np.where(known, np.round(steps).clip(0, DEPTH_LEVELS), MISSING).astype(np.uint16)
    text = json.dumps({"levels": DEPTH_LEVELS, "far_per_m": far, "near_per_m": near, **facts})
    return encode_png_16_bit(steps, {TEXT_KEY: text}, level=ZLIB_LEVEL)


def _smaller(size: tuple[int, ...], length: int, limit: int) -> tuple[int, int]:
    """Return fewer samples than `size`, which took `length` bytes."""
    share = min(0.95, (0.9 * limit / length) ** 0.5)
    rows, cols = (round(side * share) for side in size)
    if max(rows, cols) < 64:
        raise ExportError(f"The depth does not fit in {limit} bytes. Allow more.")
    return rows, cols


def read(jpeg: bytes, png: bytes) -> Photo3D:
    """Read what `photo_jpeg` and `depth_png` wrote. Raises ExportError for other files."""
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            rgb = np.asarray(image.convert("RGB"))
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            facts = json.loads(image.text[TEXT_KEY])  # type: ignore[attr-defined]
            steps = np.asarray(image, np.float32)
        far, near = facts["far_per_m"], facts["near_per_m"]
        nearness = far + (near - far) * (steps / facts["levels"])
        numbers = {name: float(facts[name]) for name in NUMBERS}
    except (UnidentifiedImageError, OSError, SyntaxError, KeyError, TypeError, ValueError) as error:
        raise ExportError(
            f"This is not a 3D photo's JPEG and depth PNG ({error}). Make them with photo_jpeg and depth_png."
        ) from error
    return Photo3D(rgb=rgb, nearness=nearness.astype(np.float32), **numbers)


def resize(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize `rgb` (H, W, 3) uint8 to `size` (height, width), averaging where it shrinks."""
    if rgb.shape[:2] == size:
        return rgb
    return np.asarray(Image.fromarray(rgb).resize(size[::-1], Image.Resampling.BICUBIC, reducing_gap=3.0))


def within(size: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return `size` (height, width), shrunk so that its longer side is at most `side`."""
    ratio = min(1.0, side / max(size))
    return max(2, round(size[0] * ratio)), max(2, round(size[1] * ratio))


def _nearness(depth_m: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average 1 / depth over blocks; give unknown parts the mean of the known."""
    known = np.isfinite(depth_m) & (depth_m > 0)
    if not known.any():
        raise ConfigError("The depth map holds no measurement, so it can't be shown in 3D. Estimate the photo again.")
    nearness = np.divide(1, depth_m, out=np.zeros(depth_m.shape, np.float32), where=known)
    if known.all():
        small = _resized(nearness, size)
    else:
        weight = _resized(known.astype(np.float32), size)
        small = _resized(nearness, size) / np.maximum(weight, 1e-3)
        small = np.where(weight > 0.01, small, nearness[known].mean())
    return small.clip(1e-6).astype(np.float32)


def without_rim(values: np.ndarray) -> np.ndarray:
    """Replace the outer 1.5 % of (h, w) `values`, where networks are off by several percent, by what lies inside."""
    rim = max(1, round(0.015 * max(values.shape)))
    if min(values.shape) < 8 * rim:
        return values
    return np.pad(values[rim:-rim, rim:-rim], rim, mode="edge")


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(
        image.resize(size[::-1], Image.Resampling.BOX if size[0] < values.shape[0] else Image.Resampling.BILINEAR)
    )


def _pose(nearness: np.ndarray, fx: float) -> tuple[float, float]:
    """Return the pivot's depth and the sway in degrees, for which near and far parts part by TRAVEL of the width."""
    far, middle, near = np.percentile(nearness[::2, ::2], (3, 50, 98))
    pivot = (far + middle + near) / 3
    reach = TRAVEL / (fx * max((near - far) / pivot, 1e-3))
    return float(1 / pivot), min(MAX_SWAY_DEG, math.degrees(math.atan(reach)))
