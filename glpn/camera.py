"""Camera: the pinhole that joins pixels and metres.

Axes are OpenCV's: x right, y down, z forward, metres. Pixel coordinates count from the center of the top-left pixel, so
a centered camera has its principal point at ((W - 1) / 2, (H - 1) / 2). Sizes are (height, width).
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from typing_extensions import Self

from .errors import CameraError, printable

FILM_DIAGONAL_MM = math.hypot(36, 24)
SOURCES = ("assumed", "exif", "fov", "file", "given")

# Fields of view, degrees, least and most. What page, links, API and command line accept, horizontally; and what a file
# of intrinsics may claim before its numbers are taken for another unit's.
POSSIBLE_FOV_DEG = (1.0, 170.0)
PLAUSIBLE_FOV_DEG = (10.0, 150.0)
FILM_FOCAL_MM = (4.0, 5000.0)  # 35 mm equivalents
MAX_PX = 1e9  # of a focal length or principal point


@dataclass(frozen=True)
class Camera:
    """A pinhole camera of one picture size, without distortion.

    fx_px, fy_px    focal lengths, pixels
    cx_px, cy_px    principal point, pixels from the center of the top-left pixel
    height, width   the picture's size
    source          where the focal length comes from: "assumed", "exif", "fov", "file" or "given"

    Raises CameraError for invalid values.
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
            value = number(getattr(self, name))
            least = 1 / MAX_PX if name.startswith("f") else -MAX_PX
            if value is None or not least <= value <= MAX_PX:
                kind = "greater than 0" if name.startswith("f") else "finite"
                raise CameraError(
                    f"A camera's {name} is {short_text(getattr(self, name))}. Give a number of pixels, {kind}."
                )
            object.__setattr__(self, name, value)
        if self.source not in SOURCES:
            raise CameraError(f"A camera's source is {self.source!r}. Known: {', '.join(SOURCES)}.")

    @classmethod
    def centered(cls, focal_px: float, size: tuple[int, int], *, source: str = "given") -> Self:
        """Build a camera with square pixels and its principal point in the middle of `size` (height, width)."""
        height, width = size
        return cls(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, height, width, source)

    @classmethod
    def from_fov(cls, fov_deg: float, size: tuple[int, int], *, diagonal: bool = False) -> Self:
        """Build a camera from its horizontal, or with `diagonal` its diagonal, field of view in degrees."""
        angle = number(fov_deg)
        least, most = POSSIBLE_FOV_DEG
        if angle is None or not least <= angle <= most:
            raise CameraError(
                f"The field of view is {short_text(fov_deg)}. Give degrees between {least:g} and {most:g}, such as 63."
            )
        extent = math.hypot(*size) if diagonal else size[1]
        return cls.centered(extent / 2 / math.tan(math.radians(angle) / 2), size, source="fov")

    @classmethod
    def from_35mm(cls, focal_mm: float, size: tuple[int, int]) -> Self:
        """Build a camera from its 35 mm equivalent focal length.

        Equivalent means the same diagonal field of view on 36 × 24 mm film (CIPA DCG-001), whatever the aspect.
        """
        focal = number(focal_mm)
        least, most = FILM_FOCAL_MM
        if focal is None or not least <= focal <= most:
            raise CameraError(
                f"The 35 mm equivalent focal length is {short_text(focal_mm)}. Give {least:g} to {most:g} mm."
            )
        return cls.centered(focal * math.hypot(*size) / FILM_DIAGONAL_MM, size)

    @classmethod
    def assumed_like(cls, fx_over_width: float, size: tuple[int, int]) -> Self:
        """Build the camera that a model was trained with, scaled to `size`, for a photo without camera data."""
        ratio = number(fx_over_width)
        if ratio is None or ratio <= 0:
            raise CameraError(f"fx_over_width is {fx_over_width!r}. Give focal length / width, such as 0.8107.")
        return cls.centered(ratio * size[1], size, source="assumed")

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

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raise `CameraError` unless `size`, a depth map's (height, width), is the camera's."""
        if size != self.size:
            raise CameraError(
                f"The depth map is {by_sides(size)}, the camera {by_sides(self.size)}. "
                "Use `camera.resized(depth_m.shape)`."
            )

    def unproject(
        self, depth_m: np.ndarray, rows: np.ndarray | None = None, cols: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the points (h, w, 3) in metres that `depth_m` (h, w) shows: float64 if that is, else float32.

        rows, cols   (h,), (w,) pixels from the center of the top-left pixel; None means every pixel of the picture

        Raises `CameraError` if a depth map without `rows` and `cols` has another size than the camera.
        """
        if rows is None or cols is None:
            self.check_size(depth_m.shape)
            rows, cols = np.arange(self.height), np.arange(self.width)
        points = np.empty((*depth_m.shape, 3), np.float64 if depth_m.dtype == np.float64 else np.float32)
        right, down = (cols - self.cx_px) / self.fx_px, (rows - self.cy_px) / self.fy_px
        np.multiply(depth_m, right.astype(points.dtype), out=points[..., 0])
        np.multiply(depth_m, down.astype(points.dtype)[:, None], out=points[..., 1])
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
        """Return all fields plus `fov_deg`, JSON-ready; `intrinsics.read_camera` reads it back."""
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
    training = number(training_fx_px)
    if training is None or training <= 0:
        raise CameraError(f"The training focal length is {training_fx_px!r}. Give pixels of the network's input.")
    return camera.resized(working_size).fx_px / training


def number(value: Any) -> float | None:
    """Return a finite float from a number, rational, (numerator, denominator) or numeric string, else None."""
    try:
        if isinstance(value, tuple) and len(value) == 2:
            value = value[0] / value[1]
        result = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether two sizes have the same aspect, up to one pixel of rounding on the smaller or 1 %."""
    slack = max(0.01, 1 / min(*one, *other))
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= slack


def by_sides(size: tuple[int, ...]) -> str:
    """Say a (height, width) as photographers do, width first."""
    return " × ".join(str(side) for side in reversed(size)) + " pixels"


def short_text(value: Any) -> str:
    """Return a value for a message: one printable line of at most 40 characters."""
    return printable(repr(value), 40)
