"""The floor under the camera: the level plane that the lower part of a picture shows, or why there is none.

On a plane n · P = h, with P the point of a pixel, 1 / depth is linear in pixel coordinates; so planes are found by
RANSAC on three samples and least squares on what lies within a relative tolerance of depth.
"""

from dataclasses import dataclass

import numpy as np

from glpn.camera import Camera
from glpn.errors import FloorNotFound

from .geometry import Grid, surface_grid

FLOOR_SAMPLES = 6_000  # of the whole picture
LOWER_PART = 0.6  # share of the rows, from below, in which the floor is looked for
TRIALS = 400
TOLERANCE = 0.04  # relative: how far samples may be in front of or behind the plane
MIN_SUPPORT = 0.2  # share of the lower part's samples that lie on it
MAX_FRINGE = 0.3  # of these: samples within twice the tolerance; more of them are a curved surface that passes through
MAX_BELOW = 0.15  # share of them that may be seen below it, as through a tabletop
MIN_WIDTH = 0.35  # share of the picture's width that it covers
MIN_HEIGHT_M = 0.5  # a level surface nearer than that is taken for a table
# Cameras are held within these: beyond, soft depth makes walls and furniture look like floors.
MAX_PITCH_DEG, MAX_ROLL_DEG = 35.0, 23.0


@dataclass(frozen=True, eq=False)
class Floor:
    """up (3,) float64, the unit vector upwards in camera axes; height_m, of the camera; support, 0 to 1, of samples."""

    up: np.ndarray
    height_m: float
    support: float

    def heights(self, points: np.ndarray) -> np.ndarray:
        """Return how high above the floor `points` (..., 3), metres in camera axes, are."""
        return points @ self.up + self.height_m


def find_floor(depth_m: np.ndarray, camera: Camera) -> Floor:
    """Find the floor in `depth_m` (H, W) as `camera` (of that size) sees it; the same input gives the same floor.

    Raises FloorNotFound with the reason.
    """
    points = _lower_points(surface_grid(depth_m, camera, samples=FLOOR_SAMPLES))
    if len(points) < 100:
        raise FloorNotFound("The lower part of the picture holds no depth.")
    plane = _best_plane(points)
    if plane is None:
        raise FloorNotFound("No level surface is seen in the lower part of the picture.")
    tolerance = TOLERANCE
    for _ in range(6):
        off = np.abs(points @ plane - 1)
        near = off < tolerance
        plane = np.linalg.lstsq(points[near], np.ones(near.sum()), rcond=None)[0]
        # As narrow as the depth is exact, so that walls' feet don't lift the plane: 2.5 standard deviations.
        tolerance = float(np.clip(2.5 * 1.48 * np.median(off[near]), TOLERANCE / 8, TOLERANCE))
    return _judged(points, plane, camera)


def _lower_points(grid: Grid) -> np.ndarray:
    lower = grid.rows >= (1 - LOWER_PART) * grid.camera.height
    points = grid.points[lower].reshape(-1, 3).astype(np.float64)
    return points[~np.isnan(points[:, 2])]


def _best_plane(points: np.ndarray) -> np.ndarray | None:
    """Return w (3,) of the level plane w · P = 1 that has most of `points` (N, 3) on it and fewest below it."""
    rng = np.random.default_rng(0)
    corners = points[rng.integers(0, len(points), (TRIALS, 3))]
    corners = corners[np.abs(np.linalg.det(corners)) > 1e-6]
    planes = np.linalg.solve(corners, np.ones((len(corners), 3, 1)))[..., 0]
    planes = planes[_is_level(planes)]
    if not len(planes):
        return None
    off = points @ planes.T - 1  # (N, K): above 0 where the sample lies beyond the plane, which is below it
    scores = (np.abs(off) < TOLERANCE).mean(0) - (off > 2 * TOLERANCE).mean(0)
    return planes[int(scores.argmax())]


def _is_level(planes: np.ndarray) -> np.ndarray:
    down = planes / np.linalg.norm(planes, axis=-1, keepdims=True)
    pitch, roll = (np.abs(np.degrees(np.arcsin(down[..., axis]))) for axis in (2, 0))
    return (down[..., 1] > 0) & (pitch < MAX_PITCH_DEG) & (roll < MAX_ROLL_DEG)


def _judged(points: np.ndarray, plane: np.ndarray, camera: Camera) -> Floor:
    """Return the floor that `plane` is, unless something speaks against it."""
    off = points @ plane - 1
    on = np.abs(off) < TOLERANCE
    length = float(np.linalg.norm(plane))
    floor = Floor(up=-plane / length, height_m=1 / length, support=float(on.mean()))
    if not _is_level(plane) or floor.support < MIN_SUPPORT:
        raise FloorNotFound(
            f"The largest level surface covers {100 * floor.support:.0f} % of the picture's lower part, too little "
            "for a floor."
        )
    if (np.abs(off) < 2 * TOLERANCE).mean() > (1 + MAX_FRINGE) * floor.support:
        raise FloorNotFound("The lower part of the picture is too uneven in depth for a floor.")
    if (below := float((off > 2 * TOLERANCE).mean())) > MAX_BELOW:
        raise FloorNotFound(f"{100 * below:.0f} % of the lower part lies below the largest level surface.")
    cols = points[on, 0] / points[on, 2] * camera.fx_px
    if np.subtract(*np.percentile(cols, (95, 5))) < MIN_WIDTH * camera.width:
        raise FloorNotFound("The largest level surface is too narrow for a floor.")
    if floor.height_m < MIN_HEIGHT_M:
        raise FloorNotFound(
            f"The largest level surface is {floor.height_m:.2f} m below the camera. It may be a table, so no heights "
            "are given."
        )
    return floor
