"""A synthetic scene of known shape for the tests of the 3D photo."""

import numpy as np

from glpn.camera import Camera
from glpn.scene.photo3d import Photo3D, prepare

SIZE = (240, 320)
WALL_M, BOX_M = 2.0, 1.0
BOX = (slice(70, 170), slice(110, 210))
BAR = (slice(90, 150), slice(155, 165))  # in the middle of the box


def box_scene(size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray, Camera]:
    """A red box with a white bar 1 m away, a wall 2 m away: rgb, depth_m, camera. `size`: a multiple of SIZE."""
    times = size[0] // SIZE[0]
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]]
    wall = 120 + 80 * np.sin(cols / 3) * np.cos(rows / 13)
    rgb = np.stack([np.full(SIZE, 30.0), wall, 220 - wall / 2], axis=-1).astype(np.uint8)
    depth_m = np.full(SIZE, WALL_M, np.float32)
    rgb[BOX], depth_m[BOX] = (225, 20, 20), BOX_M
    rgb[BAR] = 250
    rgb, depth_m = (values.repeat(times, axis=0).repeat(times, axis=1) for values in (rgb, depth_m))
    return rgb, depth_m, Camera.from_fov(55, size)


def box_photo(size: tuple[int, int] = SIZE) -> Photo3D:
    return prepare(*box_scene(size))


def red(rgb: np.ndarray) -> np.ndarray:
    """Where the box's red is seen."""
    return (rgb[..., 0] > 150) & (rgb[..., 1] < 90)


def bar_middle(rgb: np.ndarray) -> float:
    """Column of the middle of the white bar."""
    light = np.clip(rgb.min(axis=-1).astype(float) - 150, 0, None)
    assert light.sum() > 1000, "the white bar is not seen"
    return float((light * np.arange(rgb.shape[1])).sum() / light.sum())
