"""Files: written whole, named by their scale, read back by our readers and trimesh at their true size."""

import io
import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from glpn.camera import Camera
from glpn.depth_file import read_depth
from glpn.errors import ExportError
from glpn.export import FORMATS, encode_depth_png, write
from glpn.prediction import DepthPrediction

MESHES = ("glb", "ply", "obj", "stl")
WALL_M, BOX_M = 4.0, 2.0
BOX = np.s_[101:303, 107:309]  # 202 × 202 pixels, left of the middle


def prediction_of(depth_m: np.ndarray, camera: Camera | None = None) -> DepthPrediction:
    return DepthPrediction(
        depth_m=depth_m,
        variant="rooms-b0",
        max_depth_m=10.0,
        working_size=(480, 640),
        seconds=0.1,
        camera=camera or Camera.from_fov(63, depth_m.shape),
        notes=("camera <assumed>",),
    )


@pytest.fixture(scope="module")
def scene() -> tuple[DepthPrediction, np.ndarray]:
    """A red box before a blue wall, the left of the photo brighter."""
    depth_m = np.full((480, 640), WALL_M, np.float32)
    depth_m[BOX] = BOX_M
    rgb = np.zeros((480, 640, 3), np.uint8)
    rgb[..., 2] = np.linspace(250, 100, 640)
    rgb[BOX] = (220, 30, 20)
    return prediction_of(depth_m, Camera.centred(520.0, (480, 640))), rgb


@pytest.fixture(scope="module")
def files(scene, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files") / "new" / "folder"
    names = list(FORMATS)
    return dict(zip(names, write(*scene, folder, names, stem="desk"), strict=True))


def load_mesh(path: Path) -> trimesh.Trimesh:
    mesh = trimesh.load(path, force="mesh", process=False)
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def test_every_format_says_what_it_is(files) -> None:
    for name, kind in FORMATS.items():
        assert kind.title and kind.unit and files[name].name == f"desk{kind.suffix}"
    assert len(set(files.values())) == len(FORMATS)
    assert sorted(files["npy"].parent.iterdir()) == sorted(files.values())  # no temporary file is left


@pytest.mark.parametrize(("name", "step_m"), [("depth-png", 1 / 1000), ("kitti-png", 1 / 256), ("npy", 0), ("tiff", 0)])
def test_depth_files_read_back_within_half_a_step(name, step_m, tmp_path) -> None:
    depth_m = np.random.default_rng(0).uniform(0.0001, 65.5, (31, 47)).astype(np.float32)
    depth_m[3, 4] = np.nan
    [path] = write(prediction_of(depth_m), None, tmp_path, [name])
    back = read_depth(path)
    assert back.dtype == np.float32
    near = depth_m < step_m  # what was measured never becomes 0, so the first step is a whole one
    np.testing.assert_allclose(back[~near], depth_m[~near], atol=step_m / 2 + 4e-6)
    assert (back[near] > 0).all() and np.isnan(back[3, 4])


def test_a_png_says_its_scale_and_unit(files) -> None:
    for name, scale in (("depth-png", "1000"), ("kitti-png", "256")):
        with Image.open(files[name]) as image:
            assert image.mode == "I;16"
            assert image.info["Depth-Scale"] == scale
            assert f"1/{scale} metre" in image.info["Depth-Unit"]
            assert np.asarray(image)[0, 0] == WALL_M * int(scale)


def test_depth_beyond_16_bits_of_millimetres_falls_back_and_says_so(tmp_path) -> None:
    depth_m = np.array([[65.536, 80, 255.9, np.nan]], np.float32)
    [path] = write(prediction_of(depth_m), None, tmp_path, ["depth-png"], stem="street")
    assert path.name == "street_depth_256_per_m.png"
    np.testing.assert_allclose(read_depth(path), depth_m, atol=0.5 / 256)
    [path] = write(prediction_of(np.array([[65.535]], np.float32)), None, tmp_path, ["depth-png"], stem="street")
    assert path.name == "street_depth_mm.png"
    with pytest.raises(ExportError, match=r"goes to 300.0 m.*ends at 256.0 m.*'npy'"):
        write(prediction_of(np.array([[300]], np.float32)), None, tmp_path, ["depth-png"])


def test_a_png_of_another_tool_is_understood_when_told_its_scale(tmp_path) -> None:
    path = tmp_path / "0000000005.png"
    Image.fromarray(np.array([[0, 256, 25_600]], np.uint16)).save(path)
    np.testing.assert_array_equal(read_depth(path, 256), [[np.nan, 1, 100]])
    with pytest.raises(ExportError, match="does not tell its scale"):
        read_depth(path)
    named = tmp_path / "x_depth_mm.png"  # metadata lost on the way, the name still tells
    Image.fromarray(np.array([[1500]], np.uint16)).save(named)
    assert read_depth(named).item() == 1.5


def test_a_scale_that_is_told_counts_more_than_the_files(files) -> None:
    assert read_depth(files["depth-png"], scale=2000)[0, 0] == WALL_M / 2


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93NUMPY"])
@pytest.mark.parametrize("suffix", [".png", ".npy", ".tiff", ".txt"])
def test_broken_files_are_refused(content, suffix, tmp_path) -> None:
    path = tmp_path / f"depth{suffix}"
    path.write_bytes(content)
    with pytest.raises(ExportError, match="can't be read"):
        read_depth(path)


def test_pictures_and_pickles_are_no_depth(tmp_path) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(ExportError, match="no depth map"):
        read_depth(path)
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ExportError, match="can't be read"):
        read_depth(tmp_path / "objects.npy")
    with pytest.raises(ExportError, match="can't be read"):
        read_depth(tmp_path / "missing.npy")


@pytest.mark.parametrize("name", MESHES)
def test_a_box_measures_its_true_size_in_every_mesh(name, files) -> None:
    mesh = load_mesh(files[name])
    front = mesh.vertices[mesh.vertices[:, 2] > -3]
    side_m = 201 * BOX_M / 520
    # 160,000 samples of 307,200 pixels: a sample's width of slack.
    np.testing.assert_allclose(np.ptp(front, axis=0), (side_m, side_m, 0), atol=2 * BOX_M / 520)
    np.testing.assert_allclose(front[:, 2], -BOX_M, atol=1e-4)
    assert mesh.bounds[0][2] == pytest.approx(-WALL_M, abs=1e-4)
    # y up, z towards the viewer, not mirrored: the box is left of the middle, above it, and nearer.
    assert front[:, 0].mean() < -0.1 and front[:, 1].mean() > 0.1
    assert (mesh.face_normals[:, 2] > 0.99).all()
    depths = mesh.triangles[..., 2]
    assert np.ptp(depths, axis=1).max() < 1e-3, "a triangle joins box and wall"


def test_at_fine_detail_a_box_is_exact(scene, tmp_path) -> None:
    for path in write(*scene, tmp_path, ["glb", "ply"], detail="fine"):
        mesh = load_mesh(path)
        front = mesh.vertices[mesh.vertices[:, 2] > -3]
        np.testing.assert_allclose(np.ptp(front, axis=0)[:2], 201 * BOX_M / 520, atol=1e-4)


@pytest.mark.parametrize("name", ["ply", "obj", "points"])
def test_vertices_carry_the_photos_colours(name, files) -> None:
    loaded = trimesh.load(files[name], process=False)
    colors = np.asarray(loaded.visual.vertex_colors if name != "points" else loaded.colors)[:, :3].astype(int)
    front = loaded.vertices[:, 2] > -3
    inside = front & (abs(loaded.vertices[:, 0] - loaded.vertices[front, 0].mean()) < 0.3)
    inside &= abs(loaded.vertices[:, 1] - loaded.vertices[front, 1].mean()) < 0.3
    assert abs(colors[inside] - (220, 30, 20)).max() <= 1
    wall_left, wall_right = (~front & (sign * loaded.vertices[:, 0] > 1) for sign in (-1, 1))
    assert colors[wall_left, 2].mean() > colors[wall_right, 2].mean() + 50


def test_a_glb_wears_the_photo(files) -> None:
    mesh = load_mesh(files["glb"])
    texture = mesh.visual.material.baseColorTexture
    assert texture.size == (640, 480)
    front = np.flatnonzero(mesh.vertices[:, 2] > -3)
    u, v = mesh.visual.uv[front].mean(axis=0)
    red, green, blue = texture.getpixel((int(u * 640), int((1 - v) * 480)))
    assert red > 200 and green < 60 and blue < 60


def test_a_glb_is_valid_gltf(files) -> None:
    data = files["glb"].read_bytes()
    magic, version, length = struct.unpack("<4sII", data[:12])
    assert (magic, version, length) == (b"glTF", 2, len(data))
    tree = json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]
    assert tree["materials"][0]["extensions"] == {"KHR_materials_unlit": {}}
    assert tree["images"][0]["mimeType"] == "image/jpeg"
    assert "metre" in tree["asset"]["extras"]["comment"]
    assert {"POSITION", "NORMAL", "TEXCOORD_0"} <= set(tree["meshes"][0]["primitives"][0]["attributes"])


def test_a_point_cloud_is_binary_has_every_pixel_and_says_its_unit(files) -> None:
    header = files["points"].read_bytes().split(b"end_header")[0].decode()
    assert "binary_little_endian" in header and "unit: metre" in header and "y up" in header
    cloud = trimesh.load(files["points"])
    assert cloud.vertices.shape == (480 * 640, 3)


def test_without_a_photo_depth_gives_the_colours(scene, tmp_path) -> None:
    prediction, _ = scene
    ply, _ = write(prediction, None, tmp_path, ["ply", "html"])
    mesh = load_mesh(ply)
    near, far = (
        np.median(mesh.visual.vertex_colors[part], axis=0)
        for part in (mesh.vertices[:, 2] > -3, mesh.vertices[:, 2] < -3)
    )
    assert near[0] > far[0] + 50 and far[2] > near[2] + 50  # turbo: red is near, blue is far


def test_the_coloured_png(files) -> None:
    with Image.open(files["color-png"]) as image:
        assert image.mode == "RGB" and image.size == (640, 480)


def test_the_json_tells_how_it_came_about(files, scene) -> None:
    values = json.loads(files["json"].read_text())
    assert values["variant"] == "rooms-b0" and values["depth"]["unit"] == "m"
    assert (values["depth"]["nearest"], values["depth"]["farthest"]) == (BOX_M, WALL_M)
    assert values["versions"]["numpy"] == np.__version__
    assert values["camera"]["fx_px"] == 520 and values["camera"]["assumed"] is False
    camera = Camera.from_file(files["json"], (480, 640))
    assert camera.fx_px == scene[0].camera.fx_px and camera.cx_px == scene[0].camera.cx_px


def test_the_zip_holds_all_others(files) -> None:
    with zipfile.ZipFile(files["zip"]) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {path.name for name, path in files.items() if name != "zip"}
        for name in ("depth-png", "points", "glb", "json"):
            assert archive.read(files[name].name) == files[name].read_bytes()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3)])
@pytest.mark.parametrize("fill", [2.0, np.nan])
def test_odd_maps_write_what_they_can(shape, fill, tmp_path) -> None:
    prediction = prediction_of(np.full(shape, fill, np.float32))
    rgb = np.zeros((*shape, 3), np.uint8)
    anything = [name for name in FORMATS if name not in MESHES]
    paths = write(prediction, rgb, tmp_path, anything)
    with zipfile.ZipFile(paths[-1]) as archive:
        names = archive.namelist()
        if min(shape) > 1 and fill == 2:
            assert len(names) == len(FORMATS) - 1
        else:
            assert archive.read("photo_left_out.txt").decode().count("holds no triangle") == len(MESHES)
    np.testing.assert_array_equal(read_depth(paths[0]), prediction.depth_m)
    if min(shape) == 1:
        with pytest.raises(ExportError, match="Write 'points' instead"):
            write(prediction, rgb, tmp_path, ["glb"])


def test_writing_replaces_a_file_whole_or_not_at_all(scene, tmp_path, monkeypatch) -> None:
    [path] = write(*scene, tmp_path, ["npy"])
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(ExportError, match="No space left"):
        write(*scene, tmp_path, ["npy"])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_unusable_requests_are_refused_before_anything_is_written(scene, tmp_path) -> None:
    with pytest.raises(ExportError, match="Known: depth-png, kitti-png"):
        write(*scene, tmp_path, ["npy", "exr"])
    for stem in ("", "../up", "a/b"):
        with pytest.raises(ExportError, match="without folders"):
            write(*scene, tmp_path, ["npy"], stem=stem)
    with pytest.raises(ExportError, match="Unknown detail"):
        write(*scene, tmp_path, ["npy"], detail="best")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="can't be written"):
        write(*scene, tmp_path / "file", ["npy"])


def test_16_bits_are_rounded_not_truncated() -> None:
    with Image.open(io.BytesIO(encode_depth_png(np.array([[1.0006, 1.0004]]), 1000))) as image:
        assert np.asarray(image).tolist() == [[1001, 1000]]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_12_megapixels_fit_into_1_gb() -> None:
    work = """
import tempfile
from pathlib import Path
import numpy as np
from glpn.camera import Camera
from glpn.export import write
from glpn.prediction import DepthPrediction
from glpn.rendering import heatmap_figure, surface_figure
depth_m = np.tile(np.linspace(1, 9, 4000, dtype=np.float32), (3000, 1))
rgb = np.zeros((3000, 4000, 3), np.uint8)
camera = Camera.from_fov(63, depth_m.shape)
prediction = DepthPrediction(
    depth_m=depth_m, variant="x", max_depth_m=10.0, working_size=(480, 640), seconds=0.0, camera=camera
)
heatmap_figure(depth_m)
surface_figure(depth_m, camera, rgb, texture="photo")
with tempfile.TemporaryDirectory() as folder:
    write(prediction, rgb, folder, ["depth-png", "tiff", "color-png", "points", "glb"])
# Not ru_maxrss: a child inherits that from the process that started it.
print(int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024)
"""
    run = subprocess.run([sys.executable, "-c", work], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 1e9


def test_a_photo_with_exif_becomes_a_glb_at_true_scale(tmp_path) -> None:
    """A door 0.9 × 2.0 m seen by a phone (26 mm equivalent) from 3 m."""
    camera, _ = Camera.from_exif({0xA405: 26, 0xA002: 4032, 0xA003: 3024}, (1008, 756))
    assert camera is not None and camera.source == "exif"
    x, y = np.meshgrid((np.arange(756) - camera.cx_px) / camera.fx_px, (np.arange(1008) - camera.cy_px) / camera.fy_px)
    door = (abs(3 * x) <= 0.45) & (abs(3 * y) <= 1.0)
    depth_m = np.where(door, 3, 6).astype(np.float32)
    photo = np.where(door[..., None], (180, 120, 60), (90, 90, 90)).astype(np.uint8)
    [path] = write(prediction_of(depth_m, camera), photo, tmp_path, ["glb"], detail="fine")
    vertices = load_mesh(path).vertices
    size = np.ptp(vertices[vertices[:, 2] > -4], axis=0)
    np.testing.assert_allclose(size, (0.9, 2.0, 0), atol=2 * 3 / camera.fx_px)
