"""What is measured between points of a known scene is right, and clicks next to a thing mean the thing."""

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glpn.camera import Camera
from glpn.errors import ConfigError
from glpn.prediction import DepthPrediction
from glpn.scene.floor import Floor
from glpn.scene.measuring import (
    Measurement,
    as_csv,
    as_text,
    at_points,
    height_above,
    measure,
    position,
    snapped,
)
from glpn.scene.uncertainty import Uncertainty

CAMERA = Camera.from_fov(60, (240, 320))
SURE = Uncertainty(0.3, False, "Mean error on 13 photos, measured.")


def prediction(depth_m: np.ndarray) -> DepthPrediction:
    return DepthPrediction(
        depth_m=depth_m.astype(np.float32),
        variant="rooms-b0",
        max_depth_m=10,
        working_size=(192, 256),
        seconds=0,
        camera=CAMERA.resized(depth_m.shape),
    )


def plane(normal: tuple[float, float, float], distance_m: float) -> np.ndarray:
    rays = CAMERA.unproject(np.ones(CAMERA.size, np.float32))
    return distance_m / (rays @ np.array(normal))


WALL = prediction(np.full((240, 320), 2.0))
# A post, 1.5 m away, 40 pixels wide, before a wall at 4 m.
POST = np.full((240, 320), 4.0, np.float32)
POST[:, 140:180] = 1.5


def pixel(x_m: float, y_m: float) -> tuple[int, int]:
    """The pixel that shows the place of WALL that is x_m right and y_m down of its middle."""
    x, y = CAMERA.project(np.array([x_m, y_m, 2.0]))
    return round(x), round(y)


def test_a_square_meter_on_a_wall() -> None:
    corners = [pixel(-0.5, -0.5), pixel(0.5, -0.5), pixel(0.5, 0.5), pixel(-0.5, 0.5)]
    assert measure("distance", WALL, corners[:2]).value == pytest.approx(1, abs=0.01)
    assert measure("distance", WALL, corners[::2]).value == pytest.approx(math.sqrt(2), abs=0.01)
    assert measure("path", WALL, corners).value == pytest.approx(3, abs=0.02)
    assert measure("area", WALL, corners).value == pytest.approx(1, abs=0.02)
    assert measure("angle", WALL, corners[:3]).value == pytest.approx(90, abs=1)


def test_an_area_on_a_slanted_wall_is_the_walls_not_the_pictures() -> None:
    slanted = prediction(plane((0.6, 0, 0.8), 2.0))
    places = [(100, 60), (200, 60), (200, 180), (100, 180)]
    a, b, c, d = (position(slanted, point) for point in places)
    expected = (np.linalg.norm(np.cross(b - a, c - a)) + np.linalg.norm(np.cross(c - a, d - a))) / 2
    assert measure("area", slanted, places).value == pytest.approx(expected)


def test_a_height_is_above_the_floor() -> None:
    floor = Floor(up=np.array([0, -1.0, 0]), height_m=1.5, support=1)
    found = height_above(floor, WALL, pixel(0.3, 0.5))
    assert (found.kind, found.unit) == ("height", "m")
    assert found.value == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("blur", [0, 3])
@pytest.mark.parametrize("x", [181, 182, 183])
def test_a_click_beside_a_thing_means_the_thing(x, blur) -> None:
    kernel = np.ones(2 * blur + 1) / (2 * blur + 1)
    scene = prediction(np.tile(1 / np.convolve(1 / np.pad(POST[0], blur, mode="edge"), kernel, "valid"), (240, 1)))
    found, y = snapped(scene, (x, 120))
    assert y == 120
    assert 170 <= found < x
    assert scene.depth_m[y, found] < 2.2


def test_a_click_on_the_thing_or_far_from_it_stays() -> None:
    scene = prediction(POST)
    for point in [(160, 120), (178, 120), (141, 3), (200, 120), (20, 20), (0, 0), (319, 239)]:
        assert snapped(scene, point) == point


@given(st.integers(0, 319), st.integers(130, 239))
def test_floors_and_walls_move_nothing(x, y) -> None:
    floor = prediction(np.clip(plane((0, 1, 0.2), 1.5), 0.1, 50))
    assert snapped(floor, (x, y)) == (x, y)


def test_a_large_photo_snaps_as_a_small_one_does() -> None:
    large = prediction(np.repeat(np.repeat(POST, 8, 0), 8, 1))
    x, y = snapped(large, (182 * 8, 120 * 8))
    assert large.depth_m[y, x] == 1.5
    assert abs(x - 179 * 8) <= 8


@pytest.mark.parametrize(
    ("kind", "points", "words"),
    [
        ("volume", [(1, 1)], "Unknown kind of measurement 'volume'"),
        ("distance", [(1, 1)], "distance has 2 points, not 1"),
        ("path", [(1, 1)], "path has 2 or more points, not 1"),
        ("angle", [(1, 1)] * 4, "angle has 3 points, not 4"),
        ("angle", [(1, 1), (1, 1), (5, 5)], "the same place"),
        ("area", [(10, 10), (50, 50), (50, 10), (10, 50)], "crosses itself"),
        ("distance", [(0, 0), (320, 0)], r"\(320, 0\) is outside the photo of 320 × 240"),
    ],
)
def test_points_that_make_no_measurement_are_refused(kind, points, words) -> None:
    with pytest.raises(ConfigError, match=words):
        measure(kind, WALL, points)


def test_a_hole_is_refused() -> None:
    depth_m = np.full((240, 320), 2.0)
    depth_m[5, 5] = np.nan
    with pytest.raises(ConfigError, match="Nothing was measured"):
        position(prediction(depth_m), (5, 5))


def test_a_bent_polygon_is_accepted() -> None:
    outline = [(10, 10), (60, 10), (60, 60), (40, 60), (40, 30), (10, 30)]
    assert measure("area", WALL, outline).value > 0


def test_measurements_are_copied_with_their_doubt() -> None:
    found = [
        Measurement("distance", ((1, 2), (3, 4)), 2.34, "m", 1),
        Measurement("area", ((1, 2), (3, 4), (5, 6)), 1.0, "m²", 2),
        Measurement("angle", ((1, 2), (3, 4), (5, 6)), 89.6, "°", 0),
    ]
    rows = [(one, SURE) for one in found]
    assert as_text(rows).splitlines() == [
        "distance 1 2 – 3 4: 2.3 m ± 0.7",
        "area 1 2 – 3 4 – 5 6: 1.0 m² ± 0.6",
        "angle 1 2 – 3 4 – 5 6: 90°",
        SURE.basis,
    ]
    table = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [(row["value"], row["unit"], row["uncertainty"]) for row in table] == [
        ("2.3", "m", "0.7"),
        ("1.0", "m²", "0.6"),
        ("90", "°", ""),
    ]
    unknown = list(csv.DictReader(io.StringIO(as_csv((one, Uncertainty(None, False, "")) for one in found))))
    assert [row["uncertainty"] for row in unknown] == ["", "", ""]


def test_the_least_sure_point_counts() -> None:
    spread = np.zeros((240, 320), np.float32)
    spread[7, 9] = 0.5
    assert at_points(SURE, spread, [(0, 0), (9, 7)]).relative == 0.5
    assert at_points(SURE, spread, [(0, 0), (7, 9)]) is SURE
