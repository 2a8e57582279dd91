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
from glpn.exif import camera_from_exif
from glpn.intrinsics import read_camera

# NYU's Kinect and Middlebury's motorcycle: principal points off the center.
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


@given(st.floats(1, 170), st.integers(1, 5000), st.integers(1, 5000))
def test_field_of_view_survives(fov_deg: float, height: int, width: int) -> None:
    assert Camera.from_fov(fov_deg, (height, width)).fov_deg == pytest.approx(fov_deg, rel=1e-9)


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


def test_a_point_lands_on_the_matching_place_of_a_resized_picture() -> None:
    point = np.array([0.4, -0.2, 3.0])
    x, y = KINECT.project(point)
    half = KINECT.resized((240, 320)).project(point)
    np.testing.assert_allclose(half, ((x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5))


@pytest.mark.parametrize(
    "values",
    [(0, 1, 0, 0, 1, 1), (1, -1, 0, 0, 1, 1), (math.nan, 1, 0, 0, 1, 1), (1, 1, math.inf, 0, 1, 1), (1, 1, 0, 0, 0, 1)],
)
def test_impossible_cameras_are_refused(values: tuple[float, float, float, float, int, int]) -> None:
    with pytest.raises(CameraError, match="Give a"):
        Camera(*values)


@pytest.mark.parametrize("fov_deg", [0, 180, -5, math.nan, "wide"])
def test_impossible_fields_of_view_are_refused(fov_deg: float) -> None:
    with pytest.raises(CameraError, match="between 1 and 170"):
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
    camera, notes = camera_from_exif(PHONE, (3024, 4032))
    assert camera is not None and camera.source == "exif" and notes == ()
    # 28 mm equivalent is 75.4° across the diagonal, whatever the aspect.
    diagonal = 2 * math.degrees(math.atan(math.hypot(3024, 4032) / 2 / camera.fx_px))
    assert diagonal == pytest.approx(75.4, abs=0.05)
    # From the lens: 3.99 mm before a 4.8 mm wide sensor.
    assert camera.fx_px == pytest.approx(3.99 / 4.8 * 4032, rel=0.03)


@pytest.mark.parametrize("extra", [{}, {0x0112: 6}, {0x0112: 1}])
def test_portrait_photos_of_a_phone(extra: dict[int, int]) -> None:
    upright, notes = camera_from_exif(PHONE | extra, (4032, 3024))
    level, _ = camera_from_exif(PHONE, (3024, 4032))
    assert upright is not None and level is not None and notes == ()
    assert upright.fx_px == pytest.approx(level.fx_px)
    assert upright.size == (4032, 3024)


def test_dslr_without_a_35mm_equivalent() -> None:
    camera, notes = camera_from_exif({0x8769: DSLR}, (3744, 5616))
    assert camera is not None and notes == ()
    assert camera.fx_px == pytest.approx(50 / 25.4 * 3849.211789)
    assert camera.fx_px == pytest.approx(50 / 36 * 5616, rel=0.04)  # the sensor is 36 mm wide


def test_centimetres_on_the_focal_plane() -> None:
    per_cm = {0xA20E: 3849.211789 / 2.54, 0xA20F: 0, 0xA210: 3}
    camera, _ = camera_from_exif(DSLR | per_cm, (3744, 5616))
    assert camera is not None and camera.fx_px == pytest.approx(50 / 25.4 * 3849.211789)


def test_a_resized_photo_keeps_its_view_and_says_so() -> None:
    camera, notes = camera_from_exif(DSLR, (936, 1404))
    full, _ = camera_from_exif(DSLR, (3744, 5616))
    assert camera is not None and full is not None
    assert camera.fov_deg == pytest.approx(full.fov_deg)
    assert len(notes) == 1 and "resized" in notes[0]


def test_a_cropped_photo_keeps_its_focal_length_and_says_so() -> None:
    camera, notes = camera_from_exif(PHONE, (3024, 3024))
    full, _ = camera_from_exif(PHONE, (3024, 4032))
    assert camera is not None and full is not None
    assert camera.fx_px == pytest.approx(full.fx_px) and camera.fov_deg < full.fov_deg
    assert len(notes) == 1 and "cropped" in notes[0] and "4032 × 3024" in notes[0]
    shared, _ = camera_from_exif(PHONE, (1080, 1080))  # cropped, then shrunk
    assert shared is not None and shared.fov_deg == pytest.approx(camera.fov_deg)


def test_digital_zoom() -> None:
    zoomed, notes = camera_from_exif(DSLR | {0xA404: 2.0}, (3744, 5616))
    plain, _ = camera_from_exif(DSLR | {0xA404: 0}, (3744, 5616))
    assert zoomed is not None and plain is not None
    assert zoomed.fx_px == pytest.approx(2 * plain.fx_px)
    assert "digital zoom (2×)" in notes[0]
    phone, notes = camera_from_exif(PHONE | {0xA405: 56, 0xA404: (2, 1)}, (3024, 4032))
    unzoomed, _ = camera_from_exif(PHONE | {0xA405: 56}, (3024, 4032))
    assert phone == unzoomed  # the equivalent includes it
    assert "digital zoom" in notes[0]


def test_the_finer_value_is_taken_where_both_agree() -> None:
    both = DSLR | {0xA405: 50}
    assert camera_from_exif(both, (3744, 5616))[0] == camera_from_exif(DSLR, (3744, 5616))[0]
    camera, notes = camera_from_exif(DSLR | {0xA405: 80}, (3744, 5616))
    assert camera == camera_from_exif({0xA405: 80}, (3744, 5616))[0]
    assert "contradicts itself" in notes[0]


def test_missing_exif() -> None:
    assert camera_from_exif({}, (480, 640)) == (None, ())
    for unknown in (0, (0, 0), math.nan):
        assert camera_from_exif({0xA405: unknown, 0x920A: unknown}, (480, 640)) == (None, ())
    camera, notes = camera_from_exif({0x920A: 4.25}, (480, 640))
    assert camera is None and "sensor" in notes[0]


@pytest.mark.parametrize(
    "exif",
    [
        {0xA405: -3},
        {0xA405: 60_000},
        {0xA405: "wide"},
        {0xA405: b"\xff"},
        {0x920A: math.inf, 0xA20E: 3849.0},
        {0x920A: 50, 0xA20E: 0.001},
        {0x920A: 50, 0xA20E: 1e12, 0xA210: 77},
    ],
)
def test_absurd_values_are_ignored_with_a_note(exif: dict[int, object]) -> None:
    camera, notes = camera_from_exif(exif, (480, 640))
    assert camera is None
    assert any("ignored" in note for note in notes)


@given(st.dictionaries(st.sampled_from([*PHONE, *DSLR, 0xA404, 0x0112]), st.one_of(st.floats(), st.text(), st.none())))
def test_no_exif_is_fatal(exif: dict[int, object]) -> None:
    camera, _ = camera_from_exif(exif, (480, 640))
    assert camera is None or math.isfinite(camera.fx_px)


def test_pillows_own_exif() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 28
    camera, _ = camera_from_exif(exif, (3024, 4032))
    assert camera == camera_from_exif({0xA405: 28}, (3024, 4032))[0]


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
    camera = read_camera(path, (480, 640))
    assert camera.source == "file"
    values = (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px)
    assert values == pytest.approx((518.8579, 519.4696, 325.5824, 253.7362))


def test_files_state_the_size_for_which_they_hold(tmp_path) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(KINECT.to_dict()))
    camera = read_camera(path, (240, 320))
    assert camera.fx_px == pytest.approx(518.8579 / 2) and camera.size == (240, 320)
    with pytest.raises(CameraError, match="another shape"):
        read_camera(path, (480, 480))
    turned = read_camera(path, (640, 480))  # a phone's sensor lies on its side
    assert (turned.fx_px, turned.cx_px) == pytest.approx((519.4696, 479 - 253.7362))


def test_files_of_angles(tmp_path) -> None:
    path = tmp_path / "camera.txt"
    path.write_text("fov_deg: 63")
    assert read_camera(path, (480, 640)).fov_deg == pytest.approx(63)
    path.write_text('{"focal_35mm": 28}')
    assert read_camera(path, (480, 640)).fx_px == pytest.approx(Camera.from_35mm(28, (480, 640)).fx_px)


@pytest.mark.parametrize(
    "text",
    ["", "hello", "{", "1 2 3", '{"K": "none"}', '{"fx": -1, "cx": 1, "cy": 1}', "500 500 900 700", '{"K": [[1]]}'],
)
def test_unusable_files_are_refused(text, tmp_path) -> None:
    path = tmp_path / "camera.txt"
    path.write_text(text)
    with pytest.raises(CameraError):
        read_camera(path, (480, 640))


@pytest.mark.parametrize("kind", ["missing", "folder", "binary", "large"])
def test_files_that_are_none(kind, tmp_path) -> None:
    path = tmp_path / "camera.txt"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"\xff\x00\x80" * 9 if kind == "binary" else b"1 " * (17 << 19))
    with pytest.raises(CameraError, match=r"exist|regular|not text|MiB"):
        read_camera(path, (480, 640))


# --- What other tools write. Each file is for 640 × 480 with fx 500, fy 510, principal point about (330, 250).

OPENCV = """%YAML:1.0
---
calibration_time: "Tue 12 May 2020"
image_width: 640
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 500., 0., 330., 0.,
       510., 250., 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ 0.1, -0.2, 0., 0., 0. ]
"""
ROS = """image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [500, 0, 330, 0, 510, 250, 0, 0, 1]
distortion_model: plumb_bob
projection_matrix: {rows: 3, cols: 4, data: [490, 0, 330, 0, 0, 500, 250, 0, 0, 0, 1, 0]}
"""
TOOLS = {
    "opencv.yml": OPENCV,
    "opencv.txt": OPENCV,
    "opencv.xml": "<?xml version='1.0'?><opencv_storage><image_width>640</image_width><image_height>480</image_height>"
    "<camera_matrix type_id='opencv-matrix'><rows>3</rows><cols>3</cols><dt>d</dt><data>500. 0. 330. "
    "0. 510. 250. 0. 0. 1.</data></camera_matrix></opencv_storage>",
    "ros.yaml": ROS,
    "ros_topic.yaml": "header:\n  seq: 3\nheight: 480\nwidth: 640\ndistortion_model: plumb_bob\n"
    "K: [500.0, 0.0, 330.0, 0.0, 510.0, 250.0, 0.0, 0.0, 1.0]\n---\n",
    "kalibr.yaml": "cam0:\n  camera_model: pinhole\n  intrinsics: [500, 510, 330, 250]\n  resolution: [640, 480]\n"
    "  distortion_model: radtan\n",
    "nerfstudio.json": json.dumps(
        {
            "fl_x": 500,
            "fl_y": 510,
            "cx": 330.5,
            "cy": 250.5,
            "w": 640,
            "h": 480,
            "camera_model": "OPENCV",
            "frames": [{}],
        }
    ),
    "realsense.json": json.dumps(
        {
            "depth": {"fx": 380, "fy": 380, "ppx": 320, "ppy": 240, "width": 640, "height": 480},
            "color": {
                "fx": 500,
                "fy": 510,
                "ppx": 330,
                "ppy": 250,
                "width": 640,
                "height": 480,
                "model": "brown_conrady",
            },
        }
    ),
    "moge.json": json.dumps({"intrinsics": [[500 / 640, 0, 330.5 / 640], [0, 510 / 480, 250.5 / 480], [0, 0, 1]]}),
    "cameras.txt": "# Camera list with one line of data per camera:\n#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n"
    "1 PINHOLE 640 480 500 510 330.5 250.5\n2 SIMPLE_RADIAL 800 800 700 400 400 0.1\n",
    "calib_cam_to_cam.txt": "calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.950000e-02\nS_02: 1.4e+03 5.1e+02\n"
    "S_rect_02: 6.400000e+02 4.800000e+02\nP_rect_00: 7 0 6 0 0 7 1 0 0 0 1 0\n"
    "P_rect_02: 5.0e+02 0 3.3e+02 4.4e+01 0 5.1e+02 2.5e+02 2.1e-01 0 0 1 2.7e-03\n",
    "000010.txt": "P0: 7 0 6 0 0 7 1 0 0 0 1 0\nP2: 500 0 330 4.5e+01 0 510 250 2.1e-01 0 0 1 2.7e-03\n"
    "R0_rect: 1 0 0 0 1 0 0 0 1\n",
    "arkit.pincam": "640 480 500 510 330 250\n",
    "record3d.json": json.dumps({"w": 640, "h": 480, "K": [500, 0, 0, 0, 510, 0, 330, 250, 1], "fps": 30}),
    "arkit.json": json.dumps({"imageResolution": [640, 480], "intrinsics": [[500, 0, 0], [0, 510, 0], [330, 250, 1]]}),
    "scanner.json": json.dumps({"intrinsics": [500, 0, 330, 0, 510, 250, 0, 0, 1], "time": 1.5}),
    "camera_matrix.csv": "500.0,0.0,330.0\n0.0,510.0,250.0\n0.0,0.0,1.0\n",
    "intrinsic_color.txt": "500 0 330 0\n0 510 250 0\n0 0 1 0\n0 0 0 1\n",
    "bom.json": "\ufeff" + json.dumps({"fx": 500, "fy": 510, "cx": 330, "cy": 250}),
}


@pytest.mark.parametrize("name", TOOLS)
def test_files_of_other_tools(name, tmp_path) -> None:
    (tmp_path / name).write_text(TOOLS[name], encoding="utf-8")
    camera = read_camera(tmp_path / name, (480, 640))
    assert (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px) == pytest.approx((500, 510, 330, 250), abs=0.01)


def test_files_that_give_an_angle_only(tmp_path) -> None:
    (tmp_path / "fov.json").write_text(json.dumps({"fov_x": 60.1, "fov_y": 47.2}))  # MoGe
    assert read_camera(tmp_path / "fov.json", (480, 640)).fov_deg == pytest.approx(60.1)
    (tmp_path / "transforms.json").write_text(json.dumps({"camera_angle_x": 0.9, "frames": []}))  # instant-ngp
    assert read_camera(tmp_path / "transforms.json", (480, 640)).fov_deg == pytest.approx(math.degrees(0.9))


def test_utf_16_as_notepad_writes_it(tmp_path) -> None:
    (tmp_path / "camera.txt").write_text("500 510 330 250", encoding="utf-16")
    assert read_camera(tmp_path / "camera.txt", (480, 640)).fx_px == 500


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("mm.json", '{"fx": 4.25, "fy": 4.25, "cx": 3.2, "cy": 2.4}', "millimetres"),
        ("huge.json", '{"fx": 1e308, "fy": 1, "cx": 320, "cy": 240}', "fx_px"),
        ("tiny.json", '{"fx": 1e-300, "fy": 1, "cx": 320, "cy": 240}', "fx_px"),
        ("tele.json", '{"fx": 9000, "fy": 9000, "cx": 320, "cy": 240}', "field of view of 4"),
        ("edge.json", '{"fx": 500, "fy": 500, "cx": 3, "cy": 240}', "far from the middle"),
        ("fov.json", '{"fov_deg": 179.9999999}', "between 1 and 170"),
        ("radians.json", '{"fov_deg": 1.05}', "field of view of 1.05°"),
        ("fisheye.yaml", ROS.replace("plumb_bob", "equidistant"), "wide-angle model"),
        ("cameras.txt", "1 OPENCV_FISHEYE 640 480 500 510 330 250 0 0 0 0", "wide-angle model"),
        ("cameras.txt", "1 PINHOLE 640 480 500 510 330 250\n2 PINHOLE 640 480 900 900 330 250", "lists 2 cameras"),
        ("cameras.txt", "1 PINHOLE 640 480 500", "too few parameters"),
        ("deep.json", "[" * 100_000, "not valid JSON"),
        ("deep.yaml", "a: " + "[" * 100_000, "not valid YAML"),
        ("bomb.yaml", "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"{name}: &{name} [{','.join(['*' + last] * 9)}]\n"
            for last, name in zip("abcdefgh", "bcdefghi", strict=True)
        ) + "K: *i\n", "not 9 numbers"),
        ("large.yaml", "a: 1\n" * 50_000, "larger than 128 KiB"),
        ("digits.json", '{"fx": ' + "9" * 5000 + "}", "not valid JSON"),
        ("odd.json", '{"K": {"data": {"data": 1}}, "width": [640], "height": true}', "not 9 numbers"),
        ("odd.json", '{"K": [[1, 2, {}], [1, 2, null], [true, "x", []]]}', "not 9 numbers"),
        ("bomb.xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><x><c>&a;</c>", "not valid XML"),
    ],
)  # fmt: skip
def test_files_that_are_refused_with_their_cause(name, text, cause, tmp_path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CameraError, match=cause) as refused:
        read_camera(tmp_path / name, (480, 640))
    assert str(refused.value).isprintable()


def test_names_of_files_are_cleaned(tmp_path) -> None:
    (tmp_path / "\x1b[2Ja.json").write_text("{}")
    with pytest.raises(CameraError, match="gives no intrinsics") as refused:
        read_camera(tmp_path / "\x1b[2Ja.json", (480, 640))
    assert str(refused.value).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=12)
        | st.dictionaries(
            st.sampled_from(["fx", "fy", "cx", "cy", "K", "width", "h", "camera", "color", "model", "data"]), inner
        )
    ),
    max_leaves=30,
)


@given(JSON)
def test_any_json_gives_a_camera_or_a_camera_error(tmp_path_factory, value) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(value))
    try:
        camera = read_camera(path, (480, 640))
    except CameraError as error:
        assert str(error).endswith(".")
    else:
        assert max(camera.fov_deg, 10) >= 10


# --- Panoramas and crops: no pinhole, or not the whole of its picture.


@pytest.mark.parametrize(
    ("exif", "size"),
    [
        (PHONE | {0xA401: 6}, (3024, 8064)),
        ({0xA405: 26, 0x920A: 4.2}, (2000, 8000)),
        ({0xA405: 7, 0x920A: 1.3, 0x0110: "RICOH THETA Z1"}, (3360, 6720)),
    ],
)
def test_panoramas_have_no_focal_length(exif, size) -> None:
    camera, notes = camera_from_exif({**exif, 0xA002: size[1], 0xA003: size[0]}, size)
    assert camera is None
    assert "no pinhole camera takes" in notes[0]


def test_a_crop_that_the_phone_wrote_into_exif() -> None:
    whole, _ = camera_from_exif(PHONE | {0x0110: "iPhone"}, (3024, 4032))
    crop, notes = camera_from_exif(PHONE | {0x0110: "iPhone", 0xA002: 4032, 0xA003: 2500}, (2500, 4032))
    assert whole is not None and crop is not None
    assert crop.fx_px == pytest.approx(whole.fx_px, rel=0.01)
    assert "probably cropped" in notes[0]
