"""The rooms that are seen all around and along a path: their depth is exact, and what is measured against it."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.rendered import Around, Clip, abs_rel, film, flicker, follow, place, room, seen, steadied, walk
from glpn import DepthEstimator, load_estimator
from glpn.panorama import estimate_panorama, rays
from glpn.photo import Photo
from glpn.synthesis.scene import Scene
from glpn.synthesis.views import View

SIZE = (96, 128)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return room(1)


@pytest.fixture(scope="module")
def estimator() -> DepthEstimator:
    return load_estimator("rooms-b0")


@pytest.fixture(scope="module")
def clip(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return film(scene, walk(scene, 6), tmp_path_factory.mktemp("clip") / "walk.mp4", size=SIZE)


def test_all_around_and_a_pinhole_see_the_same_distances(scene: Scene) -> None:
    """The sphere's axes are those of `glpn panorama`, its distances along the rays those of a camera there."""
    size, middle = (256, 512), place(scene)
    directions = Around.at(middle).directions(size).reshape(*size, 3)
    np.testing.assert_allclose(directions, rays(size)[..., [0, 2, 1]] * np.array([1, 1, -1]), atol=1e-6)
    _, distance_m = seen(scene, Around.at(middle), size)
    view = View.towards(middle, middle + np.array([0.6, 0.7, -0.4]), 60)
    ray = view.directions(SIZE)
    length = np.linalg.norm(ray, axis=-1)
    column = (np.arctan2(ray[:, 0], ray[:, 1]) / (2 * np.pi) + 0.5) * size[1]
    row = (0.5 - np.arcsin(ray[:, 2] / length) / np.pi) * size[0]
    found = distance_m[row.astype(int), column.astype(int)] / (seen(scene, view, SIZE)[1].ravel() * length)
    assert np.percentile(np.abs(found - 1), 80) < 0.02  # the others lie at edges


def test_a_point_keeps_its_place_from_frame_to_frame(clip: Clip) -> None:
    """What a frame sees is where the next one's exact depth says: the walk is no longer than it is."""
    here, there = follow(clip, 3)
    assert 0.8 * clip.depth_m[0].size < len(here) < clip.depth_m[0].size
    moved = np.abs(here % SIZE[1] - there % SIZE[1])
    assert 1 < np.median(moved) < 12
    assert flicker(clip, clip.depth_m) < 0.5  # the truth itself doesn't
    jumping = clip.depth_m * np.where(np.arange(6) % 2, 1.1, 1.0)[:, None, None].astype(np.float32)
    assert flicker(clip, jumping) == pytest.approx(100 * np.log(1.1), rel=0.05)


def test_smoothing_steadies_what_stands_and_harms_no_walk(
    scene: Scene, clip: Clip, estimator: DepthEstimator, tmp_path: Path
) -> None:
    standing = film(scene, [clip.views[4]] * 6, tmp_path / "stands.mp4", size=SIZE, noise=6.0)
    rough, smooth = (steadied(standing, estimator, tmp_path, strength) for strength in (0.0, 0.8))
    assert flicker(standing, smooth) < 0.5 * flicker(standing, rough)
    walked = [steadied(clip, estimator, tmp_path, strength) for strength in (0.0, 0.8)]
    assert flicker(clip, walked[1]) < 1.05 * flicker(clip, walked[0])
    assert abs_rel(walked[1], clip.depth_m)[1] < abs_rel(walked[0], clip.depth_m)[1] + 0.01


def test_distances_all_around_a_room(scene: Scene, estimator: DepthEstimator) -> None:
    rgb, truth_m = seen(scene, Around.at(place(scene)), (384, 768))
    found = estimate_panorama(Photo(rgb=rgb, size=rgb.shape[:2]), estimator, width=768)
    raw, scaled = abs_rel(found.distance_m, truth_m)
    assert raw < 0.45 and scaled < 0.22
    assert np.corrcoef(np.log(found.distance_m.ravel()), np.log(truth_m.ravel()))[0, 1] > 0.7
