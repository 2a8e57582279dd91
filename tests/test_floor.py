"""The floor of rendered rooms is found where it is seen, at the camera's true height, and refused with a reason."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glpn.camera import Camera
from glpn.errors import FloorNotFound
from glpn.scene.floor import MIN_HEIGHT_M, find_floor
from glpn.synthesis.dice import Dice
from glpn.synthesis.rooms import build_room
from glpn.synthesis.shading import first_hits
from glpn.synthesis.shards import SynthesisPlan, texture_bank
from glpn.synthesis.views import View

CAMERA = Camera.from_fov(63, (192, 256))
RGBD = Path(__file__).parent / "data" / "rgbd"


def room(*, height_m: float, pitch_deg: float, roll_deg: float = 0, length_m: float = 8) -> np.ndarray:
    """Depth (H, W) of an empty room, 4 m wide and 2.6 m high; the camera at `height_m` looks down by `pitch_deg`."""
    forward = np.array([0, math.cos(math.radians(pitch_deg)), -math.sin(math.radians(pitch_deg))])
    view = View.towards(np.zeros(3), forward, CAMERA.fov_deg, roll=math.radians(roll_deg))
    rays = view.directions(CAMERA.size).reshape(*CAMERA.size, 3).astype(float)
    low, high = np.array([-2, -1, -height_m]), np.array([2, length_m - 1, 2.6 - height_m])
    with np.errstate(divide="ignore"):
        return np.where(rays > 0, high / rays, low / rays).min(-1).astype(np.float32)


@pytest.mark.parametrize("height_m", [0.8, 1.4, 2.0])
@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(10, 0), (25, 5), (5, -12)])
def test_the_floor_of_a_room_is_found(height_m, pitch_deg, roll_deg) -> None:
    depth_m = room(height_m=height_m, pitch_deg=pitch_deg, roll_deg=roll_deg)
    noisy = depth_m * np.exp(0.01 * np.random.default_rng(0).standard_normal(depth_m.shape)).astype(np.float32)
    floor = find_floor(noisy, CAMERA)
    assert floor.height_m == pytest.approx(height_m, rel=0.02)
    assert math.degrees(math.asin(-floor.up[2])) == pytest.approx(pitch_deg, abs=1)
    heights = floor.heights(CAMERA.unproject(depth_m))
    assert heights.min() == pytest.approx(0, abs=0.05)
    assert heights.max() < 2.7


def test_the_same_depth_gives_the_same_floor() -> None:
    first, second = (find_floor(room(height_m=1.4, pitch_deg=10), CAMERA) for _ in range(2))
    np.testing.assert_array_equal(first.up, second.up)


@pytest.mark.parametrize(
    ("depth_m", "words"),
    [
        (np.full((192, 256), 2.0), "level surface"),
        (np.full((192, 256), np.nan), "no depth"),
        (room(height_m=0.9 * MIN_HEIGHT_M, pitch_deg=20), "may be a table"),
        (np.random.default_rng(0).uniform(1, 5, (192, 256)), "level surface"),
        # A round pillar lying across the view touches a level plane and leaves it on both sides.
        (1.5 / (0.4 + np.linspace(-1, 1, 192)[:, None] ** 2 + np.zeros((1, 256))), "uneven|level"),
    ],
)
def test_what_is_no_floor_is_refused_with_the_reason(depth_m, words) -> None:
    with pytest.raises(FloorNotFound, match=words):
        find_floor(depth_m.astype(np.float32), CAMERA)


def test_a_table_over_a_visible_floor_is_not_taken_for_it() -> None:
    depth_m = room(height_m=1.4, pitch_deg=20)
    table = room(height_m=0.7, pitch_deg=20)
    depth_m[110:, 90:200] = table[110:, 90:200]
    assert find_floor(depth_m, CAMERA).height_m == pytest.approx(1.4, rel=0.03)


def test_furnished_rooms_have_their_floor_where_it_is() -> None:
    """Of 24 furnished rooms seen from eye level, nearly all floors that fill a fifth of the lower part are found."""
    bank = texture_bank(SynthesisPlan(frames=1, seed=5), 0)
    seen = found = 0
    for number in range(24):
        dice = Dice(5, 1, number)
        scene = build_room(dice, bank)
        height_m = float(dice.uniform(1.1, 1.7))
        low, high = scene.bounds
        position = np.array([0.8 * low[0], 0.8 * low[1], height_m])
        view = View.towards(position, np.array([0.3 * high[0], 0.6 * high[1], 0.7]), 65)
        hits = first_hits(scene, view, (192, 256))
        on_floor = (np.abs(hits.position[:, 2]) < 0.02).reshape(hits.size)[77:].mean()
        camera = Camera.from_fov(65, hits.size)
        try:
            floor = find_floor(hits.depth_m.reshape(hits.size), camera)
        except FloorNotFound:
            seen += on_floor > 0.3
            continue
        right = abs(floor.height_m / height_m - 1) < 0.05
        seen += on_floor > 0.3
        found += right and on_floor > 0.3
        assert right or on_floor < 0.3
    assert seen >= 8
    assert found >= 0.8 * seen


def test_a_real_corridor_seen_from_one_height() -> None:
    """A phone carried through a corridor: six frames of its own depth sensor give one height, within 15 cm."""
    heights = []
    for path in sorted((RGBD / "indoor").glob("corridor-round-*.png")):
        with Image.open(path) as image:
            depth_m = np.asarray(image, np.float32) / 1000
        heights.append(find_floor(depth_m, Camera.assumed_like(0.8, depth_m.shape)).height_m)
    assert len(heights) == 6
    assert np.ptp(heights) < 0.15
