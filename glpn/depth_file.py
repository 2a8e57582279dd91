"""Reading depth maps from files: this project's own, NYU's and KITTI's PNGs, TIFFs and NumPy arrays."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from .errors import ExportError

MM_SCALE = 1000
KITTI_SCALE = 256  # KITTI's depth benchmark: metres = value / 256
SCALE_KEY = "Depth-Scale"  # the PNG's text chunk with the steps per metre


def read_depth(path: str | Path, scale: float | None = None) -> np.ndarray:
    """Read a depth map (H, W) float32, metres, from a .png, .npy or .tif(f) file; NaN where nothing was measured.

    scale: steps per metre of an integer file, such as 1000 for millimetres or 256 for KITTI's; None reads it from the
    PNG's metadata or from a name that `export.write` gives. Floats are metres, whatever the scale.

    Raises ExportError if the file can't be read, is no depth map, or does not tell its scale.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".npy":
            values, told = np.load(path, allow_pickle=False), None
        else:
            with Image.open(path, formats=("PNG", "TIFF")) as image:
                told = image.info.get(SCALE_KEY)
                values = np.asarray(image)
    except FileNotFoundError as error:
        raise ExportError(f"{path.name!r} can't be read: there is no such file.") from error
    except UnidentifiedImageError as error:
        raise ExportError(f"{path.name!r} can't be read. Give a 16-bit .png, a .npy or a .tiff.") from error
    except (OSError, ValueError, EOFError, SyntaxError, Image.DecompressionBombError) as error:
        raise ExportError(f"{path.name!r} can't be read ({error}). Give a 16-bit .png, a .npy or a .tiff.") from error
    if values.dtype == np.uint8 and values.ndim == 2:
        raise ExportError(
            f"{path.name!r} has 8 bits per pixel, which is a picture of depth and no depth map. Give the 16-bit depth."
        )
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fiu":
        raise ExportError(
            f"{path.name!r} holds {values.dtype} of shape {values.shape}, which is no depth map. Give one channel of "
            "16-bit steps or of floating-point metres."
        )
    if values.dtype.kind == "f":
        steps_per_m: float | None = 1.0
    else:
        steps_per_m = scale or _number(told) or _scale_in_name(path.name)
    if not steps_per_m:
        raise ExportError(
            f"{path.name!r} does not tell its scale. Give it: 1000 for millimetres, 256 for KITTI's convention."
        )
    depth_m = values.astype(np.float32) / np.float32(steps_per_m)
    return np.where((depth_m > 0) & (depth_m < np.inf), depth_m, np.float32(np.nan))


def _scale_in_name(name: str) -> float | None:
    if "_depth_mm" in name:
        return float(MM_SCALE)
    match = re.search(r"_(\d+)_per_m\b", name)
    return float(match[1]) if match else None


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None
