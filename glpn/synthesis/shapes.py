"""Unit meshes, each within a cube of side 1 around the origin, and rotations. Z is up in scenes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np


@dataclass(frozen=True, eq=False)
class Shape:
    """vertices (V, 3) float64, faces (F, 3) int; `smooth` shapes are shaded with interpolated normals."""

    vertices: np.ndarray
    faces: np.ndarray
    smooth: bool = False


def rotation_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def rotation_y(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def rotation_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def rotation_to(direction: np.ndarray) -> np.ndarray:
    """Return a rotation that turns the z axis into `direction` (3,)."""
    z = direction / np.linalg.norm(direction)
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], 1)


def _rings(rings: Sequence[np.ndarray], *, smooth: bool) -> Shape:
    """Join closed rings of equally many vertices, bottom to top."""
    count = len(rings[0])
    here = np.arange(count)
    right = (here + 1) % count
    faces = []
    for ring in range(len(rings) - 1):
        low, high = ring * count, (ring + 1) * count
        faces += [
            np.stack([low + here, low + right, high + right], 1),
            np.stack([low + here, high + right, high + here], 1),
        ]
    return Shape(np.concatenate(rings), np.concatenate(faces), smooth)


def _box() -> Shape:
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return Shape(corners, np.array([[q[i] for i in order] for q in quads for order in ((0, 1, 2), (0, 2, 3))]))


def _lathe(*profile: tuple[float, float], sides: int = 20) -> Shape:
    """Turn a profile of (radius, height) around the z axis."""
    angle = np.arange(sides) * 2 * np.pi / sides
    rings = [np.stack([r * np.cos(angle), r * np.sin(angle), np.full(sides, z)], 1) for r, z in profile]
    return _rings(rings, smooth=False)


def superquadric(exponent: float, *, sides: int, slices: int) -> Shape:
    """A sphere (exponent 1) that turns into a cube with rounded edges as the exponent falls to 0."""

    def power(value: np.ndarray) -> np.ndarray:
        return np.sign(value) * np.abs(value) ** exponent

    around = np.arange(sides) * 2 * np.pi / sides + np.pi / sides
    rings = []
    for latitude in np.linspace(-np.pi / 2, np.pi / 2, slices + 1):
        radius, height = 0.5 * power(np.cos(latitude)), 0.5 * power(np.sin(latitude))
        rings.append(
            np.stack([radius * power(np.cos(around)), radius * power(np.sin(around)), np.full(sides, height)], 1)
        )
    return _rings(rings, smooth=True)


POLE = 1e-4  # radius of a lathe's end: not 0, so that no triangle is empty
SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "box": _box(),
        "cylinder": _lathe((POLE, -0.5), (0.5, -0.5), (0.5, 0.5), (POLE, 0.5)),
        "shade": _lathe((0.5, -0.5), (0.28, 0.5)),
        "cup": _lathe((POLE, -0.5), (0.38, -0.5), (0.5, 0.5), (0.44, 0.5), (0.33, -0.4), (POLE, -0.4)),
        "bowl": _lathe((POLE, -0.5), (0.2, -0.5), (0.4, -0.1), (0.5, 0.5), (0.47, 0.5), (0.3, -0.1), (POLE, -0.35)),
        "bottle": _lathe((POLE, -0.5), (0.5, -0.5), (0.5, 0.1), (0.42, 0.2), (0.18, 0.32), (0.18, 0.5), (POLE, 0.5)),
        "vase": _lathe(
            (POLE, -0.5), (0.3, -0.5), (0.5, -0.1), (0.4, 0.2), (0.22, 0.4), (0.3, 0.5), (0.2, 0.5), (POLE, 0.3)
        ),
        "sphere": superquadric(1.0, sides=18, slices=12),
        "cushion": superquadric(0.55, sides=20, slices=10),
        "rounded": superquadric(0.3, sides=24, slices=12),
    }
)
