"""A 360° photo in, distances all around out. It is an estimate of estimates: a network knows pinhole photos alone.

The sphere is seen through overlapping pinhole views. Each view's depth has its own error of scale, so the views are
brought to one scale where they overlap, by least squares of log distance, and blended. Equirectangular: columns are
longitude from -180° to 180°, rows latitude from 90° (up) to -90°; the middle of the picture is straight ahead.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .bounds import Bounds
from .camera import Camera
from .errors import Cancelled, PhotoUnreadable, printable
from .files import file_stem, replacing, write_atomically
from .photo import Photo, photo_size, states_panorama
from .prediction import DepthPrediction
from .scene.depth_files import KITTI_SCALE, MM_SCALE
from .scene.export import ply
from .scene.figures import colorize
from .scene.geometry import resize_rgb
from .scene.look import DEFAULT_LOOK, Look
from .scene.uncertainty import Uncertainty, of_variant

VIEW_FOV_DEG = (
    70.0  # near to what the networks have learned: with 85° metres in synthetic rooms are off by 54 %, not 34 %
)
VIEW_SIDE = 384  # pixels; the network sees fewer
# (yaw, pitch) in degrees: eight around the horizon, six up and six down, and the poles. Neighbors overlap by a
# fifth and more.
VIEWS = (
    *((yaw, 0.0) for yaw in range(-180, 180, 45)),
    *((yaw, pitch) for pitch in (50.0, -50.0) for yaw in range(-180, 180, 60)),
    (0.0, 90.0),
    (0.0, -90.0),
)
GRID = (128, 256)  # on which overlaps are compared
WIDTH = Bounds("width of the distance map", "pixels", 256, 4096, 2048)

Progress = Callable[[int, int], None]  # views done, views in all


class Estimator(Protocol):
    """What is needed of `glpn.DepthEstimator`."""

    def __call__(self, photo: Photo, /, *, camera: Camera) -> DepthPrediction: ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Panorama:
    """Distances around one point.

    distance_m   (H, W) float32, metres along the ray (not along an axis), equirectangular, W = 2 H
    rgb          (H, W, 3) uint8, the photo at the same size
    disagreement the typical factor, minus 1, by which overlapping views still differ after they were brought together
    uncertainty  of all distances: at least that of the model's single photos
    name         of the photo
    """

    distance_m: np.ndarray
    rgb: np.ndarray
    disagreement: float
    uncertainty: Uncertainty
    variant: str
    name: str = "photo"

    def write(self, folder: Path, look: Look = DEFAULT_LOOK) -> dict[str, Path]:
        """Write distances (.npy, 16-bit PNG), colors (.png) and points (.ply), each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = file_stem(self.name)
        scale = MM_SCALE if self.distance_m.max() * MM_SCALE < 65_535 else KITTI_SCALE
        files = {
            "npy": folder / f"{stem}_distance_m.npy",
            "png": folder / f"{stem}_distance_{'mm' if scale == MM_SCALE else f'{scale}_per_m'}.png",
            "color-png": folder / f"{stem}_distance_color.png",
            "ply": folder / f"{stem}_360_points.ply",
        }
        with replacing(files["npy"]) as part, part.open("wb") as file:
            np.save(file, self.distance_m)
        text = PngInfo()
        text.add_text("Distance-Unit", f"1/{scale} metre along the ray, equirectangular")
        with replacing(files["png"]) as part:
            steps = np.rint(self.distance_m * scale).astype(np.uint16)
            Image.fromarray(steps).save(part, "PNG", pnginfo=text)
        with replacing(files["color-png"]) as part:
            Image.fromarray(colorize(self.distance_m, look)).save(part, "PNG")
        seen = rays(self.distance_m.shape) * self.distance_m[..., None]
        write_atomically(files["ply"], ply(seen.reshape(-1, 3), None, self.rgb.reshape(-1, 3)))
        return files


def recognized(source: str | PathLike[str] | bytes) -> str:
    """Return why a file is taken for a 360° photo: "stated" by its metadata, "shape" alone, or "" where it is none.

    Only the header is read. Raises `PhotoNotFound` or `PhotoUnreadable`.
    """
    if not _is_whole(photo_size(source)):
        return ""
    return "stated" if states_panorama(source) else "shape"


def check_shape(size: tuple[int, int], name: str) -> None:
    """Raise `PhotoUnreadable` unless a photo of `size` (height, width) can show all around."""
    if not _is_whole(size):
        raise PhotoUnreadable(
            f"{printable(name)} is {size[1]} × {size[0]}. A 360° photo is twice as wide as high (equirectangular): "
            "export the whole sphere."
        )


def estimate_panorama(
    photo: Photo,
    estimator: Estimator,
    *,
    width: int = int(WIDTH.default),
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Panorama:
    """Estimate the distances around an equirectangular photo, which has to be twice as wide as high.

    cancelled   asked between views: `Cancelled` is raised once it says True

    Raises `PhotoUnreadable` for another shape, `ConfigError` for a width out of bounds.
    """
    columns = photo.rgb.shape[1]
    check_shape(photo.rgb.shape[:2], photo.name)
    size = min(int(WIDTH.check(width)), max(columns, int(WIDTH.least))) // 2
    camera = Camera.from_fov(VIEW_FOV_DEG, (VIEW_SIDE, VIEW_SIDE))
    turns = [_turn(yaw, pitch) for yaw, pitch in VIEWS]
    logs = []
    for number, turn in enumerate(turns, 1):
        if cancelled():
            raise Cancelled("Stopped.")
        rgb = _look(photo.rgb, turn, camera)
        prediction = estimator(Photo(rgb=rgb, size=rgb.shape[:2], name="view"), camera=camera)
        logs.append(np.log(np.maximum(prediction.depth_m, 1e-3) * _lengths(camera)))
        if progress:
            progress(number, len(turns))
    shifts, disagreement = _align([_on_sphere(log, turn, camera, GRID) for log, turn in zip(logs, turns, strict=True)])
    whole = (size, 2 * size)
    views = zip(logs, shifts, turns, strict=True)
    distance_m = _blend((_on_sphere(log + shift, turn, camera, whole) for log, shift, turn in views), whole)
    doubt = of_variant(prediction).widened(disagreement)
    basis = f"{doubt.basis} Here {len(turns)} views were estimated alone and joined: an estimate of estimates."
    return Panorama(
        distance_m=distance_m,
        rgb=resize_rgb(photo.rgb, whole),
        disagreement=disagreement,
        uncertainty=replace(doubt, at_least=True, basis=basis),
        variant=prediction.variant,
        name=photo.name,
    )


def _is_whole(size: tuple[int, ...]) -> bool:
    height, width = size
    return abs(width - 2 * height) <= 0.02 * width


def rays(size: tuple[int, int]) -> np.ndarray:
    """Return the unit ray (H, W, 3) float32 of each pixel: x right, y down, z straight ahead (OpenCV's axes)."""
    height, width = size
    longitude = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    latitude = (0.5 - (np.arange(height) + 0.5) / height)[:, None] * np.pi
    level = np.cos(latitude)
    return np.stack(
        np.broadcast_arrays(level * np.sin(longitude), -np.sin(latitude), level * np.cos(longitude)), axis=-1
    ).astype(np.float32)


def _turn(yaw_deg: float, pitch_deg: float) -> np.ndarray:
    """Return (3, 3): a view's axes to the sphere's; positive yaw looks right, positive pitch up."""
    yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
    around_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    around_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    return around_y @ around_x


def _lengths(camera: Camera) -> np.ndarray:
    """Return (h, w): how much longer the way along each pixel's ray is than along the axis."""
    return np.linalg.norm(camera.unproject(np.ones(camera.size, np.float32)), axis=-1)


def _look(rgb: np.ndarray, turn: np.ndarray, camera: Camera) -> np.ndarray:
    """Return what the pinhole `camera` sees of an equirectangular picture."""
    directions = camera.unproject(np.ones(camera.size, np.float32)) @ turn.T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    height, width = rgb.shape[:2]
    column = (np.arctan2(directions[..., 0], directions[..., 2]) / (2 * np.pi) + 0.5) * width - 0.5
    row = (0.5 + np.arcsin(np.clip(directions[..., 1], -1, 1)) / np.pi) * height - 0.5
    return np.clip(np.rint(_bilinear(rgb, row, column, wrap=True)), 0, 255).astype(np.uint8)


def _on_sphere(
    log: np.ndarray, turn: np.ndarray, camera: Camera, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (rows and columns of the sphere's pixels that a view sees), log distance there, and its weight."""
    directions = rays(size) @ turn.astype(np.float32)
    ahead = directions[..., 2] > 0.05
    with np.errstate(divide="ignore", invalid="ignore"):
        column = directions[..., 0] / directions[..., 2] * camera.fx_px + camera.cx_px
        row = directions[..., 1] / directions[..., 2] * camera.fy_px + camera.cy_px
    height, width = log.shape
    seen = ahead & (row > 0) & (row < height - 1) & (column > 0) & (column < width - 1)
    where = np.nonzero(seen)
    row, column = row[where], column[where]
    inside = np.minimum(np.minimum(row, height - 1 - row) / height, np.minimum(column, width - 1 - column) / width)
    values = _bilinear(log[..., None].astype(np.float32), row, column, wrap=False)[..., 0]
    return np.stack(where), values, (inside.astype(np.float32) + 1e-4) ** 2


def _align(views: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, float]:
    """Return what to add to each view's log distance so that they agree where they overlap, and how far they do not.

    The shifts have a mean of 0: on the whole, metres are those of the network.
    """
    maps = np.full((len(views), *GRID), np.nan, np.float32)
    for number, (where, values, _) in enumerate(views):
        maps[number][tuple(where)] = values
    rows, right, spreads = [], [], []
    for i in range(len(views)):
        for j in range(i + 1, len(views)):
            difference = (maps[j] - maps[i])[~np.isnan(maps[i]) & ~np.isnan(maps[j])]
            if difference.size < 20:
                continue
            weight = difference.size**0.5
            row = np.zeros(len(views))
            row[i], row[j] = weight, -weight
            rows.append(row)
            right.append(weight * np.median(difference))
            spreads.append(difference)
    rows.append(np.ones(len(views)))
    right.append(0.0)
    shifts = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
    moved = maps + shifts[:, None, None].astype(np.float32)
    counted = np.sum(~np.isnan(moved), axis=0) > 1
    middle = np.nanmedian(moved[:, counted], axis=0)
    return shifts, float(np.expm1(np.nanmedian(np.abs(moved[:, counted] - middle))))


def _blend(views: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]], size: tuple[int, int]) -> np.ndarray:
    total, weights = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for where, values, weight in views:
        total[tuple(where)] += weight * values
        weights[tuple(where)] += weight
    return np.exp(total / weights).astype(np.float32)


def _bilinear(picture: np.ndarray, row: np.ndarray, column: np.ndarray, *, wrap: bool) -> np.ndarray:
    """Sample `picture` (H, W, C) at places in pixels; columns wrap around, or else are clamped as rows are."""
    height, width = picture.shape[:2]
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    down, across = (row - top)[..., None].astype(np.float32), (column - left)[..., None].astype(np.float32)
    rows = [np.clip(top + step, 0, height - 1) for step in (0, 1)]
    columns = [(left + step) % width if wrap else np.clip(left + step, 0, width - 1) for step in (0, 1)]
    upper = picture[rows[0], columns[0]] * (1 - across) + picture[rows[0], columns[1]] * across
    lower = picture[rows[1], columns[0]] * (1 - across) + picture[rows[1], columns[1]] * across
    return upper * (1 - down) + lower * down
