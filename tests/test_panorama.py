"""360° photos: a room whose distances are known, seen by a stand-in that states each view's depth in another scale."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from glpn.camera import Camera
from glpn.commands import main
from glpn.errors import Cancelled, ConfigError, PhotoUnreadable
from glpn.panorama import VIEWS, _look, _turn, estimate_panorama, rays
from glpn.photo import Photo, load_photo
from glpn.prediction import DepthPrediction

GRAY_PER_M = 40.0


def room(height: int) -> np.ndarray:
    """(H, 2 H) float32: metres along the ray to the walls of a room of 4 × 2.6 × 5 m, the camera off its middle."""
    directions = rays((height, 2 * height)).astype(np.float64)
    far, near = np.array([2.2, 1.5, 3.0]), np.array([-1.8, -1.1, -2.0])
    with np.errstate(divide="ignore"):
        return np.where(directions > 0, far / directions, near / directions).min(axis=-1).astype(np.float32)


def photo_of(distance_m: np.ndarray) -> Photo:
    gray = np.clip(distance_m * GRAY_PER_M, 0, 255).astype(np.uint8)
    return Photo(rgb=np.repeat(gray[..., None], 3, axis=-1), size=gray.shape, name="room.jpg")


class ReadsGray:
    """Takes a view's gray level for its distance, and is wrong by another factor for each view."""

    def __init__(self, spread: float) -> None:
        self.dice, self.spread, self.factors = np.random.default_rng(0), spread, []

    def __call__(self, photo: Photo, *, camera: Camera, **settings) -> DepthPrediction:
        self.factors.append(float(np.exp(self.dice.normal(0, self.spread))))
        lengths = np.linalg.norm(camera.unproject(np.ones(photo.size, np.float32)), axis=-1)
        depth_m = photo.rgb[..., 0] / GRAY_PER_M / lengths * self.factors[-1]
        return DepthPrediction(
            depth_m=depth_m.astype(np.float32),
            variant="gray",
            max_depth_m=10,
            working_size=photo.size,
            seconds=0,
            camera=camera,
        )


@pytest.mark.parametrize("spread", [0.0, 0.25])
def test_a_rooms_distances_come_back_up_to_one_factor(spread: float) -> None:
    truth_m = room(256)
    estimator = ReadsGray(spread)
    result = estimate_panorama(photo_of(truth_m), estimator, width=512)
    assert len(estimator.factors) == len(VIEWS)
    assert result.distance_m.shape == (256, 512)
    ratio = np.log(result.distance_m / truth_m)
    assert abs(np.median(ratio) - np.mean(np.log(estimator.factors))) < 0.03
    assert np.percentile(np.abs(ratio - np.median(ratio)), 95) < 0.03  # gray levels are steps of up to 2 %
    assert result.disagreement < 0.03


def test_without_bringing_views_together_the_room_would_be_torn() -> None:
    """The test above can fail: the factors alone are ten times its tolerance."""
    estimator = ReadsGray(0.25)
    estimate_panorama(photo_of(room(256)), estimator, width=512)
    assert np.std(np.log(estimator.factors)) > 0.2


def test_a_view_looks_where_it_is_turned() -> None:
    """A mark straight ahead, to the right and above is in the middle of the view that looks there."""
    camera = Camera.from_fov(60, (65, 65))
    for yaw, pitch in ((0, 0), (90, 0), (-135, 0), (180, 0), (45, 55), (0, -55)):
        marked = np.zeros((256, 512, 3), np.uint8)
        row, column = int((0.5 - pitch / 180) * 256), int((0.5 + yaw / 360) * 512)
        for shift in range(-4, 4):
            marked[max(0, row - 4) : row + 4, (column + shift) % 512] = 255
        seen = _look(marked, _turn(yaw, pitch), camera)[..., 0].astype(float)
        rows, columns = np.nonzero(seen > 128)
        assert abs(rows.mean() - 32) < 2 and abs(columns.mean() - 32) < 2


def test_every_direction_is_seen() -> None:
    result = estimate_panorama(photo_of(room(128)), ReadsGray(0.0), width=256)
    assert np.isfinite(result.distance_m).all()


def test_points_are_upright_and_ahead(tmp_path) -> None:
    result = estimate_panorama(photo_of(room(256)), ReadsGray(0.0), width=512)
    points = np.asarray(trimesh.load(result.write(tmp_path)["ply"]).vertices).reshape(256, 512, 3)
    ahead, right, up = points[128, 256], points[128, 384], points[0, 256]
    assert ahead == pytest.approx([0, 0, -3], abs=0.1)  # glTF's axes
    assert right == pytest.approx([2.2, 0, 0], abs=0.1)
    assert up == pytest.approx([0, 1.1, 0], abs=0.1)


def test_another_shape_is_refused(tmp_path) -> None:
    with pytest.raises(PhotoUnreadable, match="twice as wide as high"):
        estimate_panorama(photo_of(room(128)[:, :200]), ReadsGray(0.0))
    with pytest.raises(ConfigError, match="from 256 to 4096"):
        estimate_panorama(photo_of(room(128)), ReadsGray(0.0), width=10_000_000)


def test_a_stop_is_heard_between_views() -> None:
    estimator = ReadsGray(0.0)
    with pytest.raises(Cancelled):
        estimate_panorama(photo_of(room(128)), estimator, cancelled=lambda: len(estimator.factors) == 3)
    assert len(estimator.factors) == 3


def test_what_its_metres_are_worth_is_never_less_than_a_single_photos() -> None:
    result = estimate_panorama(photo_of(room(128)), ReadsGray(0.0), width=256)
    assert result.uncertainty.at_least and "estimate of estimates" in result.uncertainty.basis


def test_the_command_writes_files_that_others_open(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("glpn.commands.panorama.load_estimator", lambda model: ReadsGray(0.0))
    photo = photo_of(room(160))
    Image.fromarray(photo.rgb).save(tmp_path / "room.png")
    assert load_photo(tmp_path / "room.png").size == (160, 320)
    assert main(["panorama", str(tmp_path / "room.png"), "--out", str(tmp_path / "out"), "--width", "320"]) == 0
    assert "along the ray; overlapping views differ by" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "room_distance_m.npy",
        "room_distance_mm.png",
        "room_distance_color.png",
        "room_360_points.ply",
    }
    distance_m = np.load(tmp_path / "out" / "room_distance_m.npy")
    with Image.open(tmp_path / "out" / "room_distance_mm.png") as png:
        np.testing.assert_allclose(np.asarray(png) / 1000, distance_m, atol=6e-4)
        assert png.text["Distance-Unit"] == "1/1000 metre along the ray, equirectangular"
    cloud = trimesh.load(tmp_path / "out" / "room_360_points.ply")
    assert len(cloud.vertices) == distance_m.size
    np.testing.assert_allclose(np.linalg.norm(cloud.vertices, axis=1).reshape(distance_m.shape), distance_m, rtol=1e-4)
