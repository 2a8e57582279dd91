"""The rooms that are seen all around and along a path: their depth is exact, and what is measured against it."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.rendered import Around, Clip, abs_rel, film, flicker, follow, place, room, seen, steadied, walk
from glpn import DepthEstimator, load_estimator
from glpn.panorama import estimate_panorama, rays
from glpn.photo import Photo
from glpn.synthesis.scene import Scene
from glpn.synthesis.shading import first_hits

SIZE = (96, 128)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return room(1)


@pytest.fixture(scope="module")
def estimator() -> DepthEstimator:
    return load_estimator("rooms-b0")


@pytest.fixture(scope="module")
def clip(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return film(scene, walk(scene, 8), tmp_path_factory.mktemp("clip") / "walk.mp4", size=SIZE)


def test_all_around_and_straight_ahead_see_the_same_points(scene: Scene) -> None:
    """The sphere's points are where a pinhole camera at the same place sees them."""
    size, view = (128, 256), Around.at(place(scene))
    points = first_hits(scene, view, size).position.reshape(*size, 3)
    turned = rays(size)[..., [0, 2, 1]] * np.array([1, 1, -1])  # OpenCV's axes to the room's
    _, distance_m = seen(scene, view, size)
    np.testing.assert_allclose(points, view.position + turned * distance_m[..., None], atol=1e-4)
    ahead = walk(scene, 3)[1]
    pinhole = first_hits(scene, ahead, SIZE).position
    rows, columns = np.nonzero(np.abs(np.linalg.norm(pinhole, axis=-1)).reshape(SIZE) > 0)
    toward = pinhole - view.position
    toward /= np.linalg.norm(toward, axis=-1, keepdims=True)
    again = scene.cast(np.broadcast_to(view.position, toward.shape), toward)["tfar"]
    assert len(rows) and np.median(np.abs(again - np.linalg.norm(pinhole - view.position, axis=-1))) < 1e-3
