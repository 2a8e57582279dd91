"""Camera: the pinhole that joins pixels and metres.

Axes are OpenCV's: x right, y down, z forward, metres. Pixel coordinates count from the centre of the top-left pixel, so
a centred camera has its principal point at ((W - 1) / 2, (H - 1) / 2). Sizes are (height, width).
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from .errors import CameraError

FILM_DIAGONAL_MM = math.hypot(36, 24)
SOURCES = ("assumed", "exif", "fov", "file", "given")

# Exif 3.0 (CIPA DC-008), tables 4 and 8.
_ORIENTATION, _EXIF_IFD = 0x0112, 0x8769
_FOCAL_LENGTH, _PIXEL_WIDTH, _PIXEL_HEIGHT = 0x920A, 0xA002, 0xA003
_PLANE_X, _PLANE_Y, _PLANE_UNIT = 0xA20E, 0xA20F, 0xA210
_DIGITAL_ZOOM, _FOCAL_35MM = 0xA404, 0xA405
# 2 and 3 are Exif's, 4 and 5 are written by some cameras.
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}


@dataclass(frozen=True)
class Camera:
    """A pinhole camera of one picture size, without distortion.

    fx_px, fy_px    focal lengths, pixels
    cx_px, cy_px    principal point, pixels from the centre of the top-left pixel
    height, width   the picture's size
    source          where the focal length comes from: "assumed", "exif", "fov", "file" or "given"

    Raises CameraError for values that no camera has.
    """

    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    height: int
    width: int
    source: str = "assumed"

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise CameraError(f"A camera's {name} is {value!r}. Give a whole number of pixels, at least 1.")
            object.__setattr__(self, name, int(value))
        for name in ("fx_px", "fy_px", "cx_px", "cy_px"):
            value = _number(getattr(self, name))
            if value is None or (name.startswith("f") and value <= 0):
                kind = "greater than 0" if name.startswith("f") else "finite"
                raise CameraError(f"A camera's {name} is {getattr(self, name)!r}. Give a number of pixels, {kind}.")
            object.__setattr__(self, name, value)
        if self.source not in SOURCES:
            raise CameraError(f"A camera's source is {self.source!r}. Known: {', '.join(SOURCES)}.")

    @classmethod
    def centred(cls, focal_px: float, size: tuple[int, int], *, source: str = "given") -> Self:
        """Build a camera with square pixels and its principal point in the middle of `size` (height, width)."""
        height, width = size
        return cls(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, height, width, source)

    @classmethod
    def from_fov(cls, fov_deg: float, size: tuple[int, int], *, diagonal: bool = False) -> Self:
        """Build a camera from its horizontal, or with `diagonal` its diagonal, field of view in degrees."""
        angle = _number(fov_deg)
        if angle is None or not 0 < angle < 180:
            raise CameraError(f"The field of view is {fov_deg!r}. Give degrees between 0 and 180, such as 63.")
        extent = math.hypot(*size) if diagonal else size[1]
        return cls.centred(extent / 2 / math.tan(math.radians(angle) / 2), size, source="fov")

    @classmethod
    def from_35mm(cls, focal_mm: float, size: tuple[int, int]) -> Self:
        """Build a camera from its 35 mm equivalent focal length.

        Equivalent means the same diagonal field of view on 36 × 24 mm film (CIPA DCG-001), whatever the aspect.
        """
        focal = _number(focal_mm)
        if focal is None or focal <= 0:
            raise CameraError(f"The 35 mm equivalent focal length is {focal_mm!r}. Give millimetres, such as 26.")
        return cls.centred(focal * math.hypot(*size) / FILM_DIAGONAL_MM, size)

    @classmethod
    def assumed_like(cls, fx_over_width: float, size: tuple[int, int]) -> Self:
        """Build the camera that a model was trained with, scaled to `size`, for a photo that tells nothing better."""
        ratio = _number(fx_over_width)
        if ratio is None or ratio <= 0:
            raise CameraError(f"fx_over_width is {fx_over_width!r}. Give focal length / width, such as 0.8107.")
        return cls.centred(ratio * size[1], size, source="assumed")

    @classmethod
    def from_exif(cls, exif: Mapping[int, Any], size: tuple[int, int]) -> tuple[Self | None, tuple[str, ...]]:
        """Read the focal length from EXIF; return the camera, or None if EXIF does not tell, and notes for the user.

        exif    Pillow's `Exif`, or a mapping of tag numbers, flat or with the Exif folder under 0x8769
        size    (height, width) of the photo with its orientation applied

        FocalLengthIn35mmFilm is a diagonal measure (CIPA DCG-001) that rises in whole millimetres; FocalLength with
        FocalPlaneResolution is finer, but some cameras write it wrongly. So the latter is used where it agrees with the
        former within a tenth, or stands alone. FocalLengthIn35mmFilm is taken to include digital zoom (phones write it
        so); FocalLength is the lens's own and is multiplied by DigitalZoomRatio. A photo of another shape than
        PixelXDimension × PixelYDimension was cropped: as little as possible about its centre, we assume.
        """
        return _camera_from_exif(cls, exif, size)

    @classmethod
    def from_file(cls, path: str | Path, size: tuple[int, int]) -> Self:
        """Read intrinsics for a photo of `size` from a JSON or text file.

        JSON: `fx`, `fy`, `cx`, `cy` (or with `_px`), or a 3 × 3 matrix `K` (`camera_matrix`, `intrinsic_matrix`, …), or
        `fov_deg`, or `focal_35mm`; all of these also under a key `camera`. Text: the same names as `name: value` or
        `name = value` lines, or just 4 numbers (fx fy cx cy) or 9 (K). With `width` and `height` the intrinsics are
        scaled from that size to `size`. Raises CameraError if the file can't be read or fits no camera.
        """
        return _camera_from_file(cls, Path(path), size)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.height, self.width

    @property
    def assumed(self) -> bool:
        """Whether the focal length is a guess: the training camera's, not this photo's."""
        return self.source == "assumed"

    @property
    def fov_deg(self) -> float:
        """Horizontal field of view, degrees, from edge to edge of the picture."""
        left, right = self.cx_px + 0.5, self.width - 0.5 - self.cx_px
        return math.degrees(math.atan(left / self.fx_px) + math.atan(right / self.fx_px))

    def resized(self, size: tuple[int, int]) -> Self:
        """Return the camera of the same picture resized to `size` (height, width)."""
        sy, sx = size[0] / self.height, size[1] / self.width
        return replace(
            self,
            fx_px=self.fx_px * sx,
            fy_px=self.fy_px * sy,
            cx_px=(self.cx_px + 0.5) * sx - 0.5,
            cy_px=(self.cy_px + 0.5) * sy - 0.5,
            height=size[0],
            width=size[1],
        )

    def cropped(self, top: int, left: int, size: tuple[int, int]) -> Self:
        """Return the camera of the part of `size` (height, width) whose top-left pixel is (`top`, `left`)."""
        return replace(self, cx_px=self.cx_px - left, cy_px=self.cy_px - top, height=size[0], width=size[1])

    def unproject(self, depth_m: np.ndarray) -> np.ndarray:
        """Return the point (H, W, 3) float32, metres, that each pixel of `depth_m` (H, W) sees.

        Raises CameraError if the depth map has another size than the camera.
        """
        if depth_m.shape != self.size:
            raise CameraError(
                f"The depth map is {_by(depth_m.shape)}, the camera {_by(self.size)}. "
                "Use `camera.resized(depth_m.shape)`."
            )
        points = np.empty((*self.size, 3), np.float32)
        np.multiply(depth_m, ((np.arange(self.width) - self.cx_px) / self.fx_px).astype(np.float32), out=points[..., 0])
        rows = ((np.arange(self.height) - self.cy_px) / self.fy_px).astype(np.float32)
        np.multiply(depth_m, rows[:, None], out=points[..., 1])
        points[..., 2] = depth_m
        return points

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return the pixel (x, y) (..., 2) at which each of `points` (..., 3) is seen; NaN for those not in front."""
        points = np.asarray(points)
        z = np.where(points[..., 2] > 0, points[..., 2], np.nan)
        x = points[..., 0] / z * self.fx_px + self.cx_px
        y = points[..., 1] / z * self.fy_px + self.cy_px
        return np.stack([x, y], axis=-1)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields plus `fov_deg`, JSON-ready; `from_file` reads it back."""
        return asdict(self) | {"fov_deg": round(self.fov_deg, 3)}


def scale_correction(camera: Camera, working_size: tuple[int, int], training_fx_px: float) -> float:
    """Return the factor that turns a network's depth into metres for a photo of another focal length.

    camera          of the photo, at the photo's own size
    working_size    (height, width) to which the photo was resized for the network
    training_fx_px  focal length of the training pictures in pixels of the network's input: fx / width times the width
                    at which the network saw them, such as 0.8107 · 640 = 518.9 px for NYU

    From an object S metres wide that covers s pixels of its input, the network infers z = f_training · S / s, because
    so it was in training; in truth z = f_input · S / s. So depth is multiplied by f_input / f_training, both in pixels
    of the network's input: a longer lens, or a larger working size, makes things look larger, hence too near, and the
    factor is above 1. It is the canonical camera of Metric3D (arXiv 2307.10984), applied after the network.

    Raises CameraError if `training_fx_px` is not a number above 0.
    """
    training = _number(training_fx_px)
    if training is None or training <= 0:
        raise CameraError(f"The training focal length is {training_fx_px!r}. Give pixels of the network's input.")
    return camera.resized(working_size).fx_px / training


def _camera_from_exif(cls: type[Camera], exif: Mapping[int, Any], size: tuple[int, int]) -> tuple[Any, tuple[str, ...]]:
    tags = _flat_exif(exif)
    notes: list[str] = []

    def read(tag: int, name: str, least: float, most: float) -> float | None:
        """Return the value if it lies within bounds; 0 means unknown in Exif and is passed over in silence."""
        if tags.get(tag) is None:
            return None
        value = _number(tags[tag])
        if value == 0:
            return None
        if value is None or not least <= value <= most:
            notes.append(f"EXIF {name} is {_short(tags[tag])}, which no camera has; it is ignored.")
            return None
        return value

    film_mm = read(_FOCAL_35MM, "FocalLengthIn35mmFilm", 4, 5000)
    focal_mm = read(_FOCAL_LENGTH, "FocalLength", 0.5, 5000)
    zoom = read(_DIGITAL_ZOOM, "DigitalZoomRatio", 1, 200) or 1.0
    taken, scale = _taken_size(tags, size, notes)

    plane_px = _plane_focal_px(tags, focal_mm, taken, notes)
    film_px = film_mm and film_mm * math.hypot(*taken) / FILM_DIAGONAL_MM
    focal_px = film_px
    if plane_px:
        plane_px *= zoom
        if not film_px or abs(plane_px / film_px - 1) < 0.1:
            focal_px = plane_px
        else:
            notes.append(
                f"EXIF contradicts itself: FocalLengthIn35mmFilm means {film_px:.0f} px, FocalPlaneXResolution "
                f"{plane_px:.0f} px; the former is used."
            )
    if not focal_px:
        if focal_mm:
            notes.append(
                "EXIF tells the lens's focal length, but not the sensor's size; the field of view stays unknown."
            )
        return None, tuple(notes)
    if zoom > 1:
        notes.append(f"The photo was taken with digital zoom ({zoom:.3g}×); the focal length takes it into account.")
    return cls.centred(focal_px * scale, size, source="exif"), tuple(notes)


def _flat_exif(exif: Mapping[int, Any]) -> dict[int, Any]:
    """Return IFD0 and the Exif folder as one mapping of tag numbers."""
    folder = exif.get_ifd(_EXIF_IFD) if hasattr(exif, "get_ifd") else exif.get(_EXIF_IFD)
    return {**dict(exif), **(dict(folder) if isinstance(folder, Mapping) else {})}


def _taken_size(tags: Mapping[int, Any], size: tuple[int, int], notes: list[str]) -> tuple[tuple[int, int], float]:
    """Return the size (height, width) at which the camera took the photo, upright, and the photo's scale against it."""
    height, width = _number(tags.get(_PIXEL_HEIGHT)), _number(tags.get(_PIXEL_WIDTH))
    if not height or not width or height < 1 or width < 1:
        return size, 1.0
    upright = (int(height), int(width))
    turned = upright[::-1]
    if tags.get(_ORIENTATION) in (5, 6, 7, 8):
        upright, turned = turned, upright
    # Some software turns the pixels and leaves these two tags, or the orientation, as they were.
    taken = turned if _same_shape(turned, size) and not _same_shape(upright, size) else upright
    scale = max(size[0] / taken[0], size[1] / taken[1])
    if not _same_shape(taken, size):
        notes.append(
            f"The photo is {_by(size)}, but was taken as {_by(taken)}: it was cropped, about its centre we assume."
        )
    elif abs(scale - 1) > 0.01:
        notes.append(
            f"The photo is {_by(size)}, but was taken as {_by(taken)}: it was resized, not cropped, we assume."
        )
    return taken, scale


def _plane_focal_px(
    tags: Mapping[int, Any], focal_mm: float | None, taken: tuple[int, int], notes: list[str]
) -> float | None:
    """Return the focal length in pixels of the taken photo, from millimetres and the sensor's pixels per unit."""
    across, down = _number(tags.get(_PLANE_X)), _number(tags.get(_PLANE_Y))
    if not focal_mm or not (across or down):
        return None
    unit_mm = _UNIT_MM.get(int(_number(tags.get(_PLANE_UNIT)) or 2), 25.4)
    per_mm = (across or down or 0.0) / unit_mm
    sensor_mm = max(taken) / per_mm if per_mm > 0 else 0.0
    if not 1 <= sensor_mm <= 100:
        notes.append(f"EXIF FocalPlaneXResolution means a sensor {sensor_mm:.3g} mm wide; it is ignored.")
        return None
    return focal_mm * per_mm


_MATRIX_NAMES = ("k", "camera_matrix", "intrinsic_matrix", "intrinsics", "intrinsic", "cam0", "p2", "p_rect_02")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def _camera_from_file(cls: type[Camera], path: Path, size: tuple[int, int]) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CameraError(
            f"The camera file {path.name!r} can't be read ({error}). Give a JSON or text file."
        ) from error
    values = _parse_json(text) if text.lstrip().startswith(("{", "[")) else _parse_text(text)
    height, width = _scalar(values, "height"), _scalar(values, "width")
    own = (int(height), int(width)) if height and width and height >= 1 and width >= 1 else size
    intrinsics = _intrinsics(values)
    if intrinsics:
        camera = cls(*intrinsics, *own, source="file")
        if not (-0.5 <= camera.cx_px <= own[1] and -0.5 <= camera.cy_px <= own[0]):
            raise CameraError(
                f"The camera file {path.name!r} puts the principal point at ({camera.cx_px:g}, {camera.cy_px:g}), "
                f"outside a photo of {_by(own)}. Add the `width` and `height` for which its numbers hold."
            )
    elif (fov_deg := _scalar(values, "fov_deg")) is not None:
        camera = replace(cls.from_fov(fov_deg, own), source="file")
    elif (focal_mm := _scalar(values, "focal_35mm")) is not None:
        camera = replace(cls.from_35mm(focal_mm, own), source="file")
    else:
        raise CameraError(
            f"The camera file {path.name!r} names no intrinsics. Give fx, fy, cx, cy in pixels, or a 3 × 3 matrix K, "
            "or fov_deg, or focal_35mm."
        )
    if not _same_shape(own, size):
        raise CameraError(
            f"The camera file {path.name!r} is for pictures of {_by(own)}; the photo is {_by(size)}, another shape. "
            "Give intrinsics of the photo itself."
        )
    return camera.resized(size)


def _parse_json(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise CameraError(f"The camera file is not valid JSON ({error}). Correct it, or give plain text.") from error
    if isinstance(values, list):
        return {"k": values}
    named = values | values["camera"] if isinstance(values.get("camera"), dict) else values
    return {name.lower().removesuffix("_px"): value for name, value in named.items()}


def _parse_text(text: str) -> dict[str, Any]:
    """Read `name: numbers` and `name = numbers` lines; lines without a name make up one list."""
    values: dict[str, Any] = {}
    bare: list[float] = []
    for line in text.splitlines():
        name, numbers = re.fullmatch(r"\s*(?:([A-Za-z]\w*)\s*[:=])?(.*?)(?:#.*)?", line).groups()  # type: ignore[union-attr]
        found = [float(number) for number in re.findall(_NUMBER, numbers)]
        if name and found:
            values[name.lower().removesuffix("_px")] = found
        else:
            bare += found
    return values | ({"k": bare} if bare else {})


def _intrinsics(values: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """Return fx, fy, cx, cy from names or from a matrix (3 × 3, 3 × 4 or Open3D's column-major list), if given."""
    fx, fy, cx, cy = (_scalar(values, name) for name in ("fx", "fy", "cx", "cy"))
    if fx is not None and cx is not None and cy is not None:
        return fx, fx if fy is None else fy, cx, cy
    matrix = next((values[name] for name in _MATRIX_NAMES if name in values), None)
    if isinstance(matrix, Mapping):
        matrix = matrix.get("data")
    if matrix is None:
        return None
    try:
        flat = np.asarray(matrix, float).ravel()
    except (TypeError, ValueError) as error:
        raise CameraError(f"The camera matrix is {_short(matrix)}. Give 3 rows of 3 numbers.") from error
    if flat.size == 4:
        return float(flat[0]), float(flat[1]), float(flat[2]), float(flat[3])
    if flat.size not in (9, 12):
        raise CameraError(f"The camera matrix has {flat.size} numbers. Give 9 (K), 12 (P) or 4 (fx fy cx cy).")
    K = flat.reshape(3, -1)[:, :3]
    if flat.size == 9 and K[0, 2] == 0 and K[2, 0] != 0:
        K = K.T
    return float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])


def _scalar(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    return _number(value[0] if isinstance(value, list) and len(value) == 1 else value)


def _number(value: Any) -> float | None:
    """Return a finite float from a number, rational, (numerator, denominator) or numeric string, else None."""
    try:
        if isinstance(value, tuple) and len(value) == 2:
            value = value[0] / value[1]
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether two sizes have the same aspect, up to one pixel of rounding on the smaller or 1 %."""
    slack = max(0.01, 1 / min(*one, *other))
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= slack


def _by(size: tuple[int, ...]) -> str:
    """Say a (height, width) as photographers do, width first."""
    return " × ".join(str(side) for side in reversed(size)) + " pixels"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"
