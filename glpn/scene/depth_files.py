"""Reading depth maps from files: this project's own, NYU's and KITTI's PNGs, TIFFs and NumPy arrays."""

import logging
import math
import re
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from glpn.errors import ExportError, PhotoTooLarge, PhotoUnreadable, printable
from glpn.formats import MAX_PHOTO_PIXELS, check_size, identify
from glpn.pixels import BAND_PIXELS, bands

logger = logging.getLogger(__name__)

MM_SCALE = 1000
KITTI_SCALE = 256  # KITTI's depth benchmark: metres = value / 256
SCALE_KEY = "Depth-Scale"  # the PNG's text chunk with the steps per metre
NAMES_IN_NPZ = ("depth_m", "depth", "arr_0")
MAX_HEADER_BYTES = 10_000  # of a NumPy array, as numpy.load has it


def read_depth(path: str | Path, scale: float | None = None, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read a depth map (H, W) float32, metres, from a .png, .tif(f), .npy or .npz file; NaN where nothing was measured.

    scale   steps per metre of an integer file, such as 1000 for millimetres or 256 for KITTI's; None reads it from the
            PNG's metadata or from a name that `export.write` gives. Floats are metres, whatever the scale.
    size    (height, width) that the map has to have; another is refused before its pixels are decoded

    Pixels are read a band at a time, so that memory stays near file plus result, 600 MB for the largest map.
    Raises ExportError if the file can't be read, is not a depth map, has another size or does not state its scale.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in (".npy", ".npz"):
            return _read_array(path, scale, size)
        return _read_image(path, scale, size)
    except FileNotFoundError:
        raise ExportError(f"{_name(path)} can't be read: there is no such file.") from None
    except PhotoUnreadable:
        raise ExportError(f"{_name(path)} can't be read. Give a 16-bit .png, a .npy or a .tiff.") from None
    except PhotoTooLarge as error:
        raise ExportError(str(error)) from None
    except MemoryError:
        raise ExportError(f"{_name(path)} needs more memory than there is. Make it smaller first.") from None
    except ExportError:
        raise
    except Exception as error:  # readers raise almost anything on foreign bytes
        logger.debug("A depth file could not be read", exc_info=error)
        raise ExportError(
            f"{_name(path)} can't be read: it is damaged or of another kind. Give a 16-bit .png, a .npy or a .tiff."
        ) from None


def _read_image(path: Path, scale: float | None, size: tuple[int, int] | None) -> np.ndarray:
    with path.open("rb") as file:
        image = identify(file, path.name)
        if image.format not in ("PNG", "TIFF"):
            raise _not_depth(path, f"a {image.format} picture")
        shape = (image.height, image.width)
        if image.mode == "L":
            raise ExportError(
                f"{_name(path)} has 8 bits per pixel, which is a picture of depth and not a depth map. Give the 16-bit "
                "depth."
            )
        if image.mode != "F" and not image.mode.startswith("I"):
            raise _not_depth(path, f"{image.mode} colors")
        steps_per_m = 1.0 if image.mode == "F" else _steps_per_m(path, scale or _number(image.info.get(SCALE_KEY)))
        _check_size(path, shape, size)
        image.load()
        depth_m = np.empty(shape, np.float32)
        for top, band in bands(image):
            depth_m[top : top + band.height] = _to_metres(np.asarray(band), steps_per_m)
        return depth_m


def _read_array(path: Path, scale: float | None, size: tuple[int, int] | None) -> np.ndarray:
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            file.seek(0)
            return _read_npy(file, path, scale, size)
    with zipfile.ZipFile(path) as archive:
        arrays = [name for name in archive.namelist() if name.endswith(".npy")]
        known = [f"{name}.npy" for name in NAMES_IN_NPZ if f"{name}.npy" in arrays]
        if not known and len(arrays) != 1:
            raise ExportError(
                f"{_name(path)} holds {len(arrays)} arrays. Name the depth map {NAMES_IN_NPZ[0]!r}, or save it alone."
            )
        with archive.open((known or arrays)[0]) as member:
            return _read_npy(member, path, scale, size)


def _read_npy(file: Any, path: Path, scale: float | None, size: tuple[int, int] | None) -> np.ndarray:
    """Read one array in NumPy's own format, looking at its header before any of its values."""
    shape, by_columns, dtype = _npy_header(file)
    sides = tuple(side for side in shape if side != 1) if len(shape) == 3 else shape  # one channel, or a batch of one
    if len(sides) != 2 or dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise _not_depth(path, f"{dtype} values of shape {printable(shape, 60)}")
    if dtype == np.uint8:
        raise _not_depth(path, "8 bits per pixel")
    height, width = sides
    steps_per_m = 1.0 if dtype.kind == "f" else _steps_per_m(path, scale)
    _check_size(path, (height, width), size)
    depth_m = np.empty((height, width), np.float32)
    rows = depth_m.T if by_columns else depth_m
    band = max(1, BAND_PIXELS // rows.shape[1])
    for top in range(0, len(rows), band):
        part = rows[top : top + band]
        data = file.read(part.size * dtype.itemsize)
        part[...] = _to_metres(np.frombuffer(data, dtype, part.size).reshape(part.shape), steps_per_m)
    return depth_m


def _npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether values go column by column, and dtype."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(file, max_header_size=MAX_HEADER_BYTES)
    if any(isinstance(side, bool) or side < 1 for side in shape):
        raise ValueError(f"shape {shape}")
    return shape, by_columns, dtype


def _to_metres(values: np.ndarray, steps_per_m: float) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        depth_m = values.astype(np.float32)
        depth_m /= np.float32(steps_per_m)
    depth_m[~((depth_m > 0) & (depth_m < np.inf))] = np.nan
    return depth_m


def _check_size(path: Path, shape: tuple[int, int], size: tuple[int, int] | None) -> None:
    height, width = shape
    check_size(shape, path.name, MAX_PHOTO_PIXELS)
    if size is not None and shape != tuple(size):
        raise ExportError(
            f"{_name(path)} has {width} × {height} pixels and its photo {size[1]} × {size[0]}. Give two of one size."
        )


def _name(path: Path) -> str:
    return printable(repr(path.name))


def _not_depth(path: Path, what: str) -> ExportError:
    return ExportError(
        f"{_name(path)} holds {what}, which is not a depth map. Give one channel of 16-bit steps or of floating-point "
        "metres."
    )


def _steps_per_m(path: Path, scale: float | None) -> float:
    steps_per_m = scale or _scale_in_name(path.name)
    if not steps_per_m:
        raise ExportError(
            f"{_name(path)} does not state its scale. Pass it: 1000 for millimetres, 256 for KITTI's convention."
        )
    return steps_per_m


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
