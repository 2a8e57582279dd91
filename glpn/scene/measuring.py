"""Lengths, areas, angles and heights between points that somebody picks on a photo.

A point is (x, y), whole pixels from the top-left pixel. Positions are in metres: x right, y down, z forward.
"""

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from glpn.errors import ConfigError

from .depth import Depth
from .floor import Floor
from .geometry import is_measured
from .uncertainty import Uncertainty, decimals_of, rounded

Point = tuple[int, int]
SNAP_REACH = 0.015  # share of the photo's longer side within which a point snaps
EDGE_STEP = 0.05  # how far 1 / depth around a point may be off a plane, relative, before that is an edge
NEAR_PART = 0.35  # share of an edge's step, from its near end, that still belongs to the nearer thing
WINDOW = 41  # samples at most along a side of the window that is looked at


@dataclass(frozen=True)
class Kind:
    """What can be measured: with how many points, in which unit, how its error grows with that of a length."""

    value: Callable[[np.ndarray], float]
    unit: str
    power: int
    least: int
    most: int | None = None


@dataclass(frozen=True)
class Measurement:
    """A number and the points it is measured between; `kind` is one of KINDS or "height"."""

    kind: str
    points: tuple[Point, ...]
    value: float
    unit: str
    power: int

    def text(self, uncertainty: Uncertainty) -> str:
        """Return the number with its uncertainty: "2.3 m ± 0.7"; an angle does not depend on the scale."""
        return uncertainty.text(self.value, self.unit, self.power) if self.power else f"{self.value:.0f}°"

    def to_dict(self, uncertainty: Uncertainty) -> dict[str, Any]:
        """Return the measurement with its uncertainty, in `unit` (None where unknown or an angle), JSON-ready."""
        return {
            "kind": self.kind,
            "points": [list(point) for point in self.points],
            "value": self.value,
            "unit": self.unit,
            "uncertainty": uncertainty.of(self.value, self.power) if self.power else None,
            "text": self.text(uncertainty),
        }


def position(prediction: Depth, point: Point) -> np.ndarray:
    """Return the place (3,) float64 in space that the pixel `point` shows.

    Raises ConfigError if it is outside the photo or nothing was measured there.
    """
    x, y = point
    height, width = prediction.size
    if not (0 <= x < width and 0 <= y < height):
        raise ConfigError(f"The point ({x}, {y}) is outside the photo of {width} × {height} pixels.")
    depth = float(prediction.depth_m[y, x])
    if not is_measured(np.array(depth)):
        raise ConfigError(f"Nothing was measured at the point ({x}, {y}). Pick another one.")
    return prediction.camera.unproject(np.array([[depth]]), np.array([y]), np.array([x]))[0, 0]


def snapped(prediction: Depth, point: Point, *, reach: float = SNAP_REACH) -> Point:
    """Return `point`, or the closest pixel on the nearer side if it lies at the edge of something.

    An edge is where 1 / depth within `reach` (share of the photo's longer side) is not that of a plane: clicks that
    fall just next to a chair's back mean the chair. Slanted walls and floors move nothing.
    """
    position(prediction, point)
    x, y = point
    height, width = prediction.size
    radius = max(2, round(reach * max(height, width)))
    stride = max(1, (2 * radius) // (WINDOW - 1))
    rows, cols = (
        np.unique(np.clip(middle + np.arange(-(radius // stride), radius // stride + 1) * stride, 0, side - 1))
        for middle, side in ((y, height), (x, width))
    )
    window = prediction.depth_m[np.ix_(rows, cols)].astype(np.float64)
    if not is_measured(window).all():
        return point
    inverse = 1 / window
    if not _is_edge(inverse, rows, cols):
        return point
    far, near = np.percentile(inverse, (5, 95))
    nearer = inverse >= near - NEAR_PART * (near - far)
    distance = np.hypot(rows[:, None] - y, cols[None] - x)
    row, col = np.unravel_index(np.where(nearer, distance, np.inf).argmin(), distance.shape)
    return int(cols[col]), int(rows[row])


def _is_edge(inverse: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> bool:
    """Return whether 1 / depth (h, w) is farther from its best plane than EDGE_STEP."""
    v, u = np.meshgrid(rows - rows.mean(), cols - cols.mean(), indexing="ij")
    basis = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=-1)
    plane = np.linalg.lstsq(basis, inverse.ravel(), rcond=None)[0]
    off = np.abs(inverse.ravel() - basis @ plane)
    return bool(np.percentile(off, 90) > EDGE_STEP * inverse.mean())


def _path(places: np.ndarray) -> float:
    return float(sum(np.linalg.norm(b - a) for a, b in pairwise(places)))


def _area(places: np.ndarray) -> float:
    """Area of the polygon's projection onto its mean plane (Newell's)."""
    return float(np.linalg.norm(np.cross(places, np.roll(places, -1, axis=0)).sum(0)) / 2)


def _angle(places: np.ndarray) -> float:
    """Angle at the middle one of three places, degrees."""
    a, b = places[0] - places[1], places[2] - places[1]
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    if not lengths:
        raise ConfigError("Two of the three points are the same place. Pick three places; the angle is at the second.")
    return math.degrees(math.acos(float(np.clip(a @ b / lengths, -1, 1))))


KINDS = MappingProxyType(
    {
        "distance": Kind(_path, "m", 1, 2, 2),
        "path": Kind(_path, "m", 1, 2),
        "area": Kind(_area, "m²", 2, 3),
        "angle": Kind(_angle, "°", 0, 3, 3),
    }
)


def measure(kind: str, prediction: Depth, points: Sequence[Point]) -> Measurement:
    """Measure the "distance" of two points, the length of a "path", the "area" of a polygon or the "angle" at the
    second of three points.

    Raises ConfigError for another kind, a wrong number of points, or a polygon that crosses itself.
    """
    if kind not in KINDS:
        raise ConfigError(f"Unknown kind of measurement {kind!r}. Known: {', '.join(KINDS)}.")
    about = KINDS[kind]
    if len(points) < about.least or (about.most and len(points) > about.most):
        needed = about.least if about.most else f"{about.least} or more"
        raise ConfigError(f"A measured {kind} has {needed} points, not {len(points)}.")
    if kind == "area" and _crosses_itself(points):
        raise ConfigError("The polygon crosses itself. Pick its corners one after the other along the outline.")
    places = np.array([position(prediction, point) for point in points])
    return Measurement(kind, tuple(points), about.value(places), about.unit, about.power)


def height_above(floor: Floor, prediction: Depth, point: Point) -> Measurement:
    """Measure how high `point` is above `floor`, which was found in this prediction."""
    height_m = float(floor.heights(position(prediction, point)))
    return Measurement("height", (point,), height_m, "m", 1)


def at_points(uncertainty: Uncertainty, spread: np.ndarray, points: Iterable[Point]) -> Uncertainty:
    """Return `uncertainty` at `points`, of which the least sure counts; `spread` (H, W) is `relative_spread`'s."""
    return uncertainty.widened(max(float(spread[y, x]) for x, y in points))


Rows = Iterable[tuple[Measurement, Uncertainty]]


def as_text(rows: Rows) -> str:
    """Return one line for each measurement and where its uncertainty comes from, to paste anywhere."""
    rows = list(rows)
    lines = [f"{one.kind} {_places(one)}: {one.text(uncertainty)}" for one, uncertainty in rows]
    return "\n".join([*lines, *dict.fromkeys(uncertainty.basis for _, uncertainty in rows)]) + "\n"


def as_csv(rows: Rows) -> str:
    """Return a table (RFC 4180) with a header; "uncertainty" is in the unit of "value", empty if unknown."""
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow(["kind", "value", "unit", "uncertainty", "points (x y in pixels)"])
    for one, uncertainty in rows:
        error = uncertainty.of(one.value, one.power) if one.power else None
        decimals = 0 if not one.power else decimals_of(one.value, error or 0)
        doubt = "" if error is None else rounded(error, decimals)
        table.writerow([one.kind, rounded(one.value, decimals), one.unit, doubt, _places(one)])
    return file.getvalue()


def _places(measurement: Measurement) -> str:
    return " – ".join(f"{x} {y}" for x, y in measurement.points)


def _crosses_itself(points: Sequence[Point]) -> bool:
    """Return whether two edges of the polygon that are not neighbors cross in the picture."""
    corners = [np.array(point, float) for point in points]
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    count = len(edges)
    return any(
        _cross(*edges[i], *edges[j]) for i in range(count) for j in range(i + 2, count) if (i, j) != (0, count - 1)
    )


def _cross(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> bool:
    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> float:
        return float((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
