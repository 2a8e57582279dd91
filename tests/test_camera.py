"""The pinhole: pixels to metres and back, where focal lengths come from, and what they do to a network's metres."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glpn.camera import Camera, scale_correction
from glpn.errors import CameraError

# NYU's Kinect and Middlebury's motorcycle: principal points off the centre.
KINECT = Camera(518.8579, 519.4696, 325.5824, 253.7362, 480, 640, "given")
MOTORCYCLE = Camera(994.978, 994.978, 311.193, 254.877, 500, 741, "given")


def pixels(camera: Camera) -> np.ndarray:
    """(H, W, 2): x, y of every pixel."""
    return np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)


@pytest.mark.parametrize("camera", [KINECT, MOTORCYCLE, Camera.from_fov(90, (3, 7)), Camera.from_fov(63, (1, 1))])
def test_project_undoes_unproject(camera: Camera) -> None:
    depth_m = np.random.default_rng(0).uniform(0.3, 80, camera.size).astype(np.float32)
    points = camera.unproject(depth_m)
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points[..., 2], depth_m)
    np.testing.assert_allclose(camera.project(points), pixels(camera), atol=1e-3)
    np.testing.assert_allclose(camera.project(points.astype(np.float64)), pixels(camera), atol=2e-4)


def test_axes_are_right_down_forward() -> None:
    points = Camera.from_fov(90, (3, 3)).unproject(np.ones((3, 3), np.float32))
    assert points[1, 1] == pytest.approx((0, 0, 1))
    assert points[1, 2, 0] > 0 and points[2, 1, 1] > 0


def test_what_is_not_in_front_projects_nowhere() -> None:
    assert np.isnan(KINECT.project(np.array([[0, 0, 0], [1, 1, -2.0], [0, 0, np.nan]]))).all()


def test_unproject_refuses_another_size() -> None:
    with pytest.raises(CameraError, match=r"2 × 5 pixels, the camera 640 × 480.*resized"):
        KINECT.unproject(np.ones((5, 2), np.float32))


@given(st.floats(1, 175), st.integers(1, 5000), st.integers(1, 5000))
def test_field_of_view_survives(fov_deg: float, height: int, width: int) -> None:
    assert Camera.from_fov(fov_deg, (height, width)).fov_deg == pytest.approx(fov_deg, rel=1e-9)


def test_diagonal_field_of_view() -> None:
    camera = Camera.from_fov(2 * math.degrees(math.atan(0.5)), (300, 400), diagonal=True)
    assert camera.fx_px == pytest.approx(500)
    assert camera.source == "fov"


def test_training_camera_is_marked_as_assumed() -> None:
    camera = Camera.assumed_like(0.8107, (480, 640))
    assert camera.fx_px == pytest.approx(518.85, abs=0.01)
    assert camera.assumed and camera.fov_deg == pytest.approx(63.3, abs=0.05)
    assert not KINECT.assumed


@given(st.integers(1, 900), st.integers(1, 900))
def test_resizing_keeps_the_view(height: int, width: int) -> None:
    resized = MOTORCYCLE.resized((height, width))
    assert resized.fov_deg == pytest.approx(MOTORCYCLE.fov_deg)
    back = resized.resized(MOTORCYCLE.size)
    assert (back.fx_px, back.fy_px, back.cx_px, back.cy_px) == pytest.approx((994.978, 994.978, 311.193, 254.877))


def test_a_point_lands_on_the_matching_place_of_a_resized_or_cropped_picture() -> None:
    point = np.array([0.4, -0.2, 3.0])
    x, y = KINECT.project(point)
    half = KINECT.resized((240, 320)).project(point)
    np.testing.assert_allclose(half, ((x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5))
    np.testing.assert_allclose(KINECT.cropped(45, 41, (426, 560)).project(point), (x - 41, y - 45))


@pytest.mark.parametrize(
    "values",
    [(0, 1, 0, 0, 1, 1), (1, -1, 0, 0, 1, 1), (math.nan, 1, 0, 0, 1, 1), (1, 1, math.inf, 0, 1, 1), (1, 1, 0, 0, 0, 1)],
)
def test_impossible_cameras_are_refused(values: tuple[float, float, float, float, int, int]) -> None:
    with pytest.raises(CameraError, match="Give a"):
        Camera(*values)


@pytest.mark.parametrize("fov_deg", [0, 180, -5, math.nan, "wide"])
def test_impossible_fields_of_view_are_refused(fov_deg: float) -> None:
    with pytest.raises(CameraError, match="between 0 and 180"):
        Camera.from_fov(fov_deg, (480, 640))


# --- Scale correction


def test_a_network_that_was_trained_with_one_lens_is_put_right_for_another() -> None:
    """Play the network: it knows objects by the pixels that they cover at its own training focal length."""
    width_m, training_fx_px, working_size = 1.7, 518.86, (480, 736)
    for camera in (Camera.from_35mm(24, (3000, 4600)), Camera.from_35mm(85, (3000, 4600))):
        truth_m = 4.0
        ends = camera.resized(working_size).project(np.array([[0, 0, truth_m], [width_m, 0, truth_m]]))
        covered_px = ends[1, 0] - ends[0, 0]
        inferred_m = training_fx_px * width_m / covered_px
        assert inferred_m * scale_correction(camera, working_size, training_fx_px) == pytest.approx(truth_m)


def test_the_training_camera_needs_no_correction_at_the_training_size() -> None:
    camera = Camera.assumed_like(0.8107, (960, 1280))
    assert scale_correction(camera, (480, 640), 0.8107 * 640) == pytest.approx(1)
    assert scale_correction(camera, (960, 1280), 0.8107 * 640) == pytest.approx(2)
    with pytest.raises(CameraError, match="training focal length"):
        scale_correction(camera, (480, 640), 0)


# --- EXIF. Tags: 0xA405 FocalLengthIn35mmFilm, 0x920A FocalLength, 0xA20E/F/10 FocalPlane, 0xA404 DigitalZoomRatio,
# 0xA002/3 PixelX/YDimension, 0x0112 Orientation.

PHONE = {0x920A: (399, 100), 0xA405: 28, 0xA002: 4032, 0xA003: 3024}  # iPhone 7
DSLR = {0x920A: (50, 1), 0xA20E: 3849.211789, 0xA20F: 3908.141962, 0xA210: 2, 0xA002: 5616, 0xA003: 3744}  # EOS 5D II


def test_phone() -> None:
    camera, notes = Camera.from_exif(PHONE, (3024, 4032))
    assert camera is not None and camera.source == "exif" and notes == ()
    # 28 mm equivalent is 75.4° across the diagonal, whatever the aspect.
    diagonal = 2 * math.degrees(math.atan(math.hypot(3024, 4032) / 2 / camera.fx_px))
    assert diagonal == pytest.approx(75.4, abs=0.05)
    # From the lens: 3.99 mm before a 4.8 mm wide sensor.
    assert camera.fx_px == pytest.approx(3.99 / 4.8 * 4032, rel=0.03)


@pytest.mark.parametrize("extra", [{}, {0x0112: 6}, {0x0112: 1}])
def test_portrait_photos_of_a_phone(extra: dict[int, int]) -> None:
    upright, notes = Camera.from_exif(PHONE | extra, (4032, 3024))
    level, _ = Camera.from_exif(PHONE, (3024, 4032))
    assert upright is not None and level is not None and notes == ()
    assert upright.fx_px == pytest.approx(level.fx_px)
    assert upright.size == (4032, 3024)


def test_dslr_without_a_35mm_equivalent() -> None:
    camera, notes = Camera.from_exif({0x8769: DSLR}, (3744, 5616))
    assert camera is not None and notes == ()
    assert camera.fx_px == pytest.approx(50 / 25.4 * 3849.211789)
    assert camera.fx_px == pytest.approx(50 / 36 * 5616, rel=0.04)  # the sensor is 36 mm wide


def test_centimetres_on_the_focal_plane() -> None:
    per_cm = {0xA20E: 3849.211789 / 2.54, 0xA20F: 0, 0xA210: 3}
    camera, _ = Camera.from_exif(DSLR | per_cm, (3744, 5616))
    assert camera is not None and camera.fx_px == pytest.approx(50 / 25.4 * 3849.211789)


def test_a_resized_photo_keeps_its_view_and_says_so() -> None:
    camera, notes = Camera.from_exif(DSLR, (936, 1404))
    full, _ = Camera.from_exif(DSLR, (3744, 5616))
    assert camera is not None and full is not None
    assert camera.fov_deg == pytest.approx(full.fov_deg)
    assert len(notes) == 1 and "resized" in notes[0]


def test_a_cropped_photo_keeps_its_focal_length_and_says_so() -> None:
    camera, notes = Camera.from_exif(PHONE, (3024, 3024))
    full, _ = Camera.from_exif(PHONE, (3024, 4032))
    assert camera is not None and full is not None
    assert camera.fx_px == pytest.approx(full.fx_px) and camera.fov_deg < full.fov_deg
    assert len(notes) == 1 and "cropped" in notes[0] and "4032 × 3024" in notes[0]
    shared, _ = Camera.from_exif(PHONE, (1080, 1080))  # cropped, then shrunk
    assert shared is not None and shared.fov_deg == pytest.approx(camera.fov_deg)


def test_digital_zoom() -> None:
    zoomed, notes = Camera.from_exif(DSLR | {0xA404: 2.0}, (3744, 5616))
    plain, _ = Camera.from_exif(DSLR | {0xA404: 0}, (3744, 5616))
    assert zoomed is not None and plain is not None
    assert zoomed.fx_px == pytest.approx(2 * plain.fx_px)
    assert "digital zoom (2×)" in notes[0]
    phone, notes = Camera.from_exif(PHONE | {0xA405: 56, 0xA404: (2, 1)}, (3024, 4032))
    unzoomed, _ = Camera.from_exif(PHONE | {0xA405: 56}, (3024, 4032))
    assert phone == unzoomed  # the equivalent includes it
    assert "digital zoom" in notes[0]


def test_the_finer_value_is_taken_where_both_agree() -> None:
    both = DSLR | {0xA405: 50}
    assert Camera.from_exif(both, (3744, 5616))[0] == Camera.from_exif(DSLR, (3744, 5616))[0]
    camera, notes = Camera.from_exif(DSLR | {0xA405: 80}, (3744, 5616))
    assert camera == Camera.from_exif({0xA405: 80}, (3744, 5616))[0]
    assert "contradicts itself" in notes[0]


def test_missing_exif() -> None:
    assert Camera.from_exif({}, (480, 640)) == (None, ())
    assert Camera.from_exif({0xA405: 0}, (480, 640)) == (None, ())  # 0 means unknown
    camera, notes = Camera.from_exif({0x920A: 4.25}, (480, 640))
    assert camera is None and "sensor" in notes[0]


@pytest.mark.parametrize(
    "exif",
    [
        {0xA405: -3},
        {0xA405: 60_000},
        {0xA405: "wide"},
        {0xA405: (0, 0)},
        {0xA405: b"\xff"},
        {0x920A: math.nan, 0xA20E: 3849.0},
        {0x920A: 50, 0xA20E: 0.001},
        {0x920A: 50, 0xA20E: 1e12, 0xA210: 77},
    ],
)
def test_absurd_values_are_ignored_with_a_note(exif: dict[int, object]) -> None:
    camera, notes = Camera.from_exif(exif, (480, 640))
    assert camera is None
    assert any("ignored" in note for note in notes)


@given(st.dictionaries(st.sampled_from([*PHONE, *DSLR, 0xA404, 0x0112]), st.one_of(st.floats(), st.text(), st.none())))
def test_no_exif_is_fatal(exif: dict[int, object]) -> None:
    camera, _ = Camera.from_exif(exif, (480, 640))
    assert camera is None or math.isfinite(camera.fx_px)


def test_pillows_own_exif() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 28
    camera, _ = Camera.from_exif(exif, (3024, 4032))
    assert camera == Camera.from_exif({0xA405: 28}, (3024, 4032))[0]


# --- Files

TEXTS = {
    "numbers": "518.8579 519.4696 325.5824 253.7362\n",
    "matrix": "518.8579 0 325.5824\n0 519.4696 253.7362\n0 0 1\n",
    "names": "# Kinect\nfx: 518.8579\nfy = 519.4696\ncx: 325.5824  # pixels\ncy: 253.7362\n",
    "middlebury": "cam0=[518.8579 0 325.5824; 0 519.4696 253.7362; 0 0 1]\nwidth=640\nheight=480\n",
    "json": json.dumps({"fx": 518.8579, "fy": 519.4696, "cx": 325.5824, "cy": 253.7362}),
    "ours": json.dumps({"camera": KINECT.to_dict()}),
    "K": json.dumps({"K": [[518.8579, 0, 325.5824], [0, 519.4696, 253.7362], [0, 0, 1]]}),
    "list": "[518.8579, 0, 325.5824, 0, 519.4696, 253.7362, 0, 0, 1]",
    "ROS": json.dumps({"camera_matrix": {"data": [518.8579, 0, 325.5824, 0, 519.4696, 253.7362, 0, 0, 1]}}),
    "Open3D": json.dumps(
        {"width": 640, "height": 480, "intrinsic_matrix": [518.8579, 0, 0, 0, 519.4696, 0, 325.5824, 253.7362, 1]}
    ),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_files_of_intrinsics(kind, tmp_path) -> None:
    path = tmp_path / "camera.txt"
    path.write_text(TEXTS[kind])
    camera = Camera.from_file(path, (480, 640))
    assert camera.source == "file"
    values = (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px)
    assert values == pytest.approx((518.8579, 519.4696, 325.5824, 253.7362))


def test_files_state_the_size_for_which_they_hold(tmp_path) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(KINECT.to_dict()))
    camera = Camera.from_file(path, (240, 320))
    assert camera.fx_px == pytest.approx(518.8579 / 2) and camera.size == (240, 320)
    with pytest.raises(CameraError, match="another shape"):
        Camera.from_file(path, (640, 480))


def test_files_of_angles(tmp_path) -> None:
    path = tmp_path / "camera.txt"
    path.write_text("fov_deg: 63")
    assert Camera.from_file(path, (480, 640)).fov_deg == pytest.approx(63)
    path.write_text('{"focal_35mm": 28}')
    assert Camera.from_file(path, (480, 640)).fx_px == pytest.approx(Camera.from_35mm(28, (480, 640)).fx_px)


@pytest.mark.parametrize(
    "text",
    ["", "hello", "{", "1 2 3", '{"K": "none"}', '{"fx": -1, "cx": 1, "cy": 1}', "500 500 900 700", '{"K": [[1]]}'],
)
def test_unusable_files_are_refused(text, tmp_path) -> None:
    path = tmp_path / "camera.txt"
    path.write_text(text)
    with pytest.raises(CameraError):
        Camera.from_file(path, (480, 640))
    with pytest.raises(CameraError, match="can't be read"):
        Camera.from_file(tmp_path / "missing.txt", (480, 640))
