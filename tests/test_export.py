"""Files: written whole, named by their scale, read back by our readers and trimesh at their true size."""

import html
import io
import json
import shutil
import struct
import subprocess
import sys
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from glpn.camera import Camera
from glpn.errors import ExportError, PhotoNotFound
from glpn.exif import camera_from_exif
from glpn.intrinsics import read_camera
from glpn.photo import Photo, load_photo
from glpn.prediction import DepthPrediction
from glpn.scale import Scale
from glpn.scene.depth_files import read_depth
from glpn.scene.export import FORMATS, encode_depth_png
from glpn.scene.las import las
from glpn.scene.look import Look
from glpn.scene.png import encode_png_16_bit
from glpn.scene.uncertainty import of_variant

VALIDATOR = Path(__file__).parents[1] / "node_modules" / "gltf-validator"
MESHES = ("glb", "ply", "obj", "stl")
ALWAYS = ("depth-png", "kitti-png", "npy", "tiff", "color-png", "points", "html", "json", "normals")  # of any depth
WALL_M, BOX_M = 4.0, 2.0
BOX = np.s_[101:303, 107:309]  # 202 × 202 pixels, left of the middle


def prediction_of(depth_m: np.ndarray, camera: Camera | None = None, rgb: np.ndarray | None = None) -> DepthPrediction:
    return DepthPrediction(
        depth_m=depth_m,
        variant="rooms-b0",
        max_depth_m=10.0,
        working_size=(480, 640),
        seconds=0.1,
        camera=camera or Camera.from_fov(63, depth_m.shape),
        notes=("camera <assumed>",),
        photo=None if rgb is None else Photo(rgb=rgb, size=rgb.shape[:2], name="desk.jpg"),
    )


@pytest.fixture(scope="module")
def scene() -> DepthPrediction:
    """A red box before a blue wall, the left of the photo brighter."""
    depth_m = np.full((480, 640), WALL_M, np.float32)
    depth_m[BOX] = BOX_M
    rgb = np.zeros((480, 640, 3), np.uint8)
    rgb[..., 2] = np.linspace(250, 100, 640)
    rgb[BOX] = (220, 30, 20)
    return prediction_of(depth_m, Camera.centered(520.0, (480, 640)), rgb)


@pytest.fixture(scope="module")
def files(scene, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files") / "new" / "folder"
    names = [name for name, kind in FORMATS.items() if not kind.slow and name != "plan"]  # no floor is seen
    return dict(zip(names, scene.write(folder, names), strict=True))


def load_mesh(path: Path) -> trimesh.Trimesh:
    mesh = trimesh.load(path, force="mesh", process=False)
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def test_every_format_says_what_it_is(files) -> None:
    assert all(kind.title and kind.unit for kind in FORMATS.values())
    for name, path in files.items():
        assert path.name == f"desk{FORMATS[name].suffix}"
    assert len({kind.suffix for kind in FORMATS.values()}) == len(FORMATS)
    assert sorted(files["npy"].parent.iterdir()) == sorted(files.values())  # no temporary file is left


@pytest.mark.parametrize(("name", "step_m"), [("depth-png", 1 / 1000), ("kitti-png", 1 / 256), ("npy", 0), ("tiff", 0)])
def test_depth_files_read_back_within_half_a_step(name, step_m, tmp_path) -> None:
    depth_m = np.random.default_rng(0).uniform(0.0001, 65.5, (31, 47)).astype(np.float32)
    depth_m[3, 4] = np.nan
    [path] = prediction_of(depth_m).write(tmp_path, [name])
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


@pytest.mark.parametrize(
    ("variant", "calibration"), [("rooms-b0", None), ("rooms-b0", Scale.fit([(2.0, 2.5)])), ("own", None)]
)
def test_files_say_what_their_metres_are_worth(variant, calibration, tmp_path) -> None:
    depth_m = np.full((4, 6), 2, np.float32)
    prediction = replace(prediction_of(depth_m), variant=variant).calibrated(calibration)
    doubt = of_variant(prediction)
    png, page, values = prediction.write(tmp_path, ["depth-png", "html", "json"])
    assert json.loads(values.read_text())["uncertainty"] == doubt.to_dict()
    with Image.open(png) as image:
        assert image.info["Depth-Uncertainty"] == f"{doubt.note}. {doubt.basis}"
    assert f"All metres: {doubt.note}. {doubt.basis}" in html.unescape(page.read_text())
    assert ("Scaled × 1.25 by one known length." in page.read_text()) == (calibration is not None)


def test_depth_beyond_16_bits_of_millimetres_falls_back_and_says_so(tmp_path) -> None:
    depth_m = np.array([[65.536, 80, 255.9, np.nan]], np.float32)
    [path] = prediction_of(depth_m).write(tmp_path, ["depth-png"], stem="street")
    assert path.name == "street_depth_256_per_m.png"
    np.testing.assert_allclose(read_depth(path), depth_m, atol=0.5 / 256)
    [path] = prediction_of(np.array([[65.535]], np.float32)).write(tmp_path, ["depth-png"], stem="street")
    assert path.name == "street_depth_mm.png"
    with pytest.raises(ExportError, match=r"goes to 300.0 m.*ends at 256.0 m.*'npy'"):
        prediction_of(np.array([[300]], np.float32)).write(tmp_path, ["depth-png"])


def test_a_png_of_another_tool_is_understood_when_told_its_scale(tmp_path) -> None:
    path = tmp_path / "0000000005.png"
    Image.fromarray(np.array([[0, 256, 25_600]], np.uint16)).save(path)
    np.testing.assert_array_equal(read_depth(path, 256), [[np.nan, 1, 100]])
    with pytest.raises(ExportError, match="does not state its scale"):
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
    with pytest.raises(ExportError, match="not a depth map"):
        read_depth(path)
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ExportError, match="object values"):
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
    for path in scene.write(tmp_path, ["glb", "ply"], look=Look(detail="fine")):
        mesh = load_mesh(path)
        front = mesh.vertices[mesh.vertices[:, 2] > -3]
        np.testing.assert_allclose(np.ptp(front, axis=0)[:2], 201 * BOX_M / 520, atol=1e-4)


@pytest.mark.parametrize("name", ["ply", "obj", "points"])
def test_vertices_carry_the_photos_colors(name, files) -> None:
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


def test_a_glb_of_the_embedded_model_is_small(tmp_path) -> None:
    rng = np.random.default_rng(0)
    rgb = np.asarray(Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).resize((512, 384)))
    depth_m = np.tile(np.linspace(1, 4, 512, dtype=np.float32), (384, 1))
    [path] = replace(prediction_of(depth_m, rgb=rgb), working_size=(192, 256)).write(tmp_path, ["glb"])
    assert path.stat().st_size <= 2_000_000
    mesh = load_mesh(path)
    assert 48_000 <= len(mesh.vertices) <= 192 * 256, "as many as the network has pixels"
    assert mesh.visual.uv.min() >= 0 and mesh.visual.uv.max() <= 1


def test_a_glb_is_valid_gltf(files) -> None:
    data = files["glb"].read_bytes()
    magic, version, length = struct.unpack("<4sII", data[:12])
    assert (magic, version, length) == (b"glTF", 2, len(data))
    tree = json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]
    assert tree["materials"][0]["extensions"] == {"KHR_materials_unlit": {}}
    assert tree["images"][0]["mimeType"] == "image/jpeg"
    assert "metre" in tree["asset"]["extras"]["comment"]
    assert {"POSITION", "TEXCOORD_0"} <= set(tree["meshes"][0]["primitives"][0]["attributes"])


@pytest.mark.skipif(not VALIDATOR.is_dir(), reason="needs the npm package gltf-validator: make lint installs it")
@pytest.mark.parametrize("detail", ["standard", "fine"])
def test_khronos_validator_finds_nothing_in_a_glb(scene, tmp_path, detail) -> None:
    [path] = scene.write(tmp_path, ["glb"], look=Look(detail=detail))
    script = """
      const [validator, file] = process.argv.slice(1);
      const bytes = new Uint8Array(require("fs").readFileSync(file));
      require(validator).validateBytes(bytes).then((report) => console.log(JSON.stringify(report)));"""
    node = shutil.which("node", path=str(Path(sys.executable).parent)) or "node"
    told = subprocess.run([node, "-e", script, str(VALIDATOR), str(path)], capture_output=True, check=True, text=True)
    report = json.loads(told.stdout)
    assert report["info"]["totalTriangleCount"] > 1000
    assert report["issues"]["numErrors"] == report["issues"]["numWarnings"] == 0
    assert {message["code"] for message in report["issues"]["messages"]} <= {
        "IMAGE_NPOT_DIMENSIONS"
    }  # a hint for WebGL 1


def test_a_point_cloud_is_binary_has_every_pixel_and_says_its_unit(files) -> None:
    header = files["points"].read_bytes().split(b"end_header")[0].decode()
    assert "binary_little_endian" in header and "unit: metre" in header and "y up" in header
    cloud = trimesh.load(files["points"])
    assert cloud.vertices.shape == (480 * 640, 3)


@pytest.mark.parametrize("colored", [True, False])
def test_laspy_reads_the_points_of_a_las(files, colored) -> None:
    laspy = pytest.importorskip("laspy")
    data = files["las"].read_bytes()
    cloud, read = trimesh.load(files["points"]), laspy.read(io.BytesIO(data))
    if not colored:
        points = read.xyz
        read = laspy.read(io.BytesIO(las(points, None)))
    assert (read.header.version.minor, read.point_format.id) == (2, 2 if colored else 0)
    np.testing.assert_allclose(read.xyz, cloud.vertices[:, [0, 2, 1]] * [1, -1, 1], atol=6e-4)  # z up, y ahead
    np.testing.assert_allclose([read.header.mins, read.header.maxs], [read.xyz.min(axis=0), read.xyz.max(axis=0)])
    assert read.point_format.size == (26 if colored else 20) and not list(read.point_format.extra_dimension_names)
    assert read.header.point_count == 480 * 640 and (read.return_number == 1).all()
    if colored:
        assert (np.stack([read.red, read.green, read.blue], axis=-1) // 257 == cloud.colors[:, :3]).all()


def test_without_a_photo_depth_gives_the_colors(scene, tmp_path) -> None:
    ply, _ = replace(scene, photo=None).write(tmp_path, ["ply", "html"])
    mesh = load_mesh(ply)
    near, far = (
        np.median(mesh.visual.vertex_colors[part], axis=0)
        for part in (mesh.vertices[:, 2] > -3, mesh.vertices[:, 2] < -3)
    )
    assert near[0] > far[0] + 50 and far[2] > near[2] + 50  # turbo: red is near, blue is far


def test_the_colored_png(files) -> None:
    with Image.open(files["color-png"]) as image:
        assert image.mode == "P" and image.size == (640, 480)


def test_the_json_tells_how_it_came_about(files, scene) -> None:
    values = json.loads(files["json"].read_text())
    assert values["rim_free"] is scene.rim_free
    assert values["variant"] == "rooms-b0" and values["depth"]["unit"] == "m"
    assert (values["depth"]["nearest"], values["depth"]["farthest"]) == (BOX_M, WALL_M)
    assert values["versions"]["numpy"] == np.__version__
    assert values["camera"]["fx_px"] == 520 and values["camera"]["assumed"] is False
    camera = read_camera(files["json"], (480, 640))
    assert camera.fx_px == scene.camera.fx_px and camera.cx_px == scene.camera.cx_px


def test_a_prediction_survives_its_own_description(scene) -> None:
    scene = replace(scene.calibrated(Scale.fit([(1.8, 2.0), (0.5, 0.6)])), rim_free=True, engine="openvino")
    values = json.loads(json.dumps(scene.to_dict()))
    back = DepthPrediction.from_dict(values, scene.depth_m, scene.photo)
    for field in fields(DepthPrediction):
        assert field.name == "depth_m" or getattr(back, field.name) == getattr(scene, field.name)
    assert back.depth_m is scene.depth_m


def test_a_photo_decoded_small_is_written_whole(tmp_path) -> None:
    path = tmp_path / "large.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)).save(path)
    photo = load_photo(path, at_least=(60, 80))
    assert photo.rgb.shape[0] < photo.size[0] == 600
    np.testing.assert_array_equal(photo.whole().rgb, load_photo(path).rgb)
    assert photo.whole().whole() is not photo
    [glb] = replace(prediction_of(np.full((600, 800), 2, np.float32)), photo=photo).write(tmp_path, ["glb"])
    assert glb.name == "large_mesh.glb"
    assert load_mesh(glb).visual.material.baseColorTexture.size == (800, 600)
    path.unlink()
    with pytest.raises(PhotoNotFound):
        photo.whole()


def test_the_zip_holds_all_others(files) -> None:
    with zipfile.ZipFile(files["zip"]) as archive:
        assert archive.testzip() is None
        others = {path.name for name, path in files.items() if name != "zip"}
        assert set(archive.namelist()) == {*others, "desk_left_out.txt"}
        assert archive.read("desk_left_out.txt").decode().startswith("plan: There is no room plan.")
        for name in ("depth-png", "points", "glb", "json"):
            assert archive.read(files[name].name) == files[name].read_bytes()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3)])
@pytest.mark.parametrize("fill", [2.0, np.nan])
def test_odd_maps_write_what_they_can(shape, fill, tmp_path) -> None:
    prediction = prediction_of(np.full(shape, fill, np.float32), rgb=np.zeros((*shape, 3), np.uint8))
    paths = prediction.write(tmp_path, [*ALWAYS, "zip"])
    with zipfile.ZipFile(paths[-1]) as archive:
        left_out = archive.read("desk_left_out.txt").decode()
        names = {line.split(":")[0] for line in left_out.splitlines()}
        meshes = set() if min(shape) > 1 and fill == 2 else set(MESHES)
        scenes = set() if fill == 2 else {"anaglyph", "sbs", "postcard", "focus", "relief-stl", "contours"}
        assert {"plan"} | meshes | scenes <= names and not set(ALWAYS) & names
        assert left_out.count("holds no triangle") == len(meshes)
        if fill == 2:
            assert names == {"plan"} | meshes
    np.testing.assert_array_equal(read_depth(paths[0]), prediction.depth_m)
    if min(shape) == 1:
        with pytest.raises(ExportError, match="Write 'points' instead"):
            prediction.write(tmp_path, ["glb"])


def test_writing_replaces_a_file_whole_or_not_at_all(scene, tmp_path, monkeypatch) -> None:
    [path] = scene.write(tmp_path, ["npy"])
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(ExportError, match="No space left"):
        scene.write(tmp_path, ["npy"])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_unusable_requests_are_refused_before_anything_is_written(scene, tmp_path) -> None:
    with pytest.raises(ExportError, match="Known: depth-png, kitti-png"):
        scene.write(tmp_path, ["npy", "exr"])
    for stem in ("", "../up", "a/b"):
        with pytest.raises(ExportError, match="without folders"):
            scene.write(tmp_path, ["npy"], stem=stem)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="can't be written"):
        scene.write(tmp_path / "file", ["npy"])


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
from glpn.exif import camera_from_exif
from glpn.intrinsics import read_camera
from glpn.photo import Photo
from glpn.prediction import DepthPrediction
from glpn.scene.figures import heatmap_figure, surface_figure
depth_m = np.tile(np.linspace(1, 9, 4000, dtype=np.float32), (3000, 1))
rgb = np.zeros((3000, 4000, 3), np.uint8)
camera = Camera.from_fov(63, depth_m.shape)
prediction = DepthPrediction(
    depth_m=depth_m, variant="x", max_depth_m=10.0, working_size=(480, 640), seconds=0.0, camera=camera,
    photo=Photo(rgb=rgb, size=(3000, 4000)),
)
heatmap_figure(depth_m)
surface_figure(depth_m, camera, rgb)
with tempfile.TemporaryDirectory() as folder:
    prediction.write(folder, ["depth-png", "tiff", "color-png", "points", "glb"])
# Not ru_maxrss: a child inherits that from the process that started it.
print(int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024)
"""
    run = subprocess.run([sys.executable, "-c", work], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 1e9


def test_a_photo_with_exif_becomes_a_glb_at_true_scale(tmp_path) -> None:
    """A door 0.9 × 2.0 m seen by a phone (26 mm equivalent) from 3 m."""
    camera, _ = camera_from_exif({0xA405: 26, 0xA002: 4032, 0xA003: 3024}, (1008, 756))
    assert camera is not None and camera.source == "exif"
    x, y = np.meshgrid((np.arange(756) - camera.cx_px) / camera.fx_px, (np.arange(1008) - camera.cy_px) / camera.fy_px)
    door = (abs(3 * x) <= 0.45) & (abs(3 * y) <= 1.0)
    depth_m = np.where(door, 3, 6).astype(np.float32)
    photo = np.where(door[..., None], (180, 120, 60), (90, 90, 90)).astype(np.uint8)
    [path] = prediction_of(depth_m, camera, photo).write(tmp_path, ["glb"], look=Look(detail="fine"))
    vertices = load_mesh(path).vertices
    size = np.ptp(vertices[vertices[:, 2] > -4], axis=0)
    np.testing.assert_allclose(size, (0.9, 2.0, 0), atol=2 * 3 / camera.fx_px)


# ------------------------------------------------------------------------------------------------ depth files of others


def npy_header(shape: tuple, dtype: str = "<f4") -> bytes:
    """A .npy file that claims a shape and has no values."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (npy_header((10**6, 10**6)), "a side may have"),
        (npy_header((8000, 8000)), "64.0 megapixels"),
        (npy_header((True, True)), "can't be read"),
        (npy_header((4, 5)), "can't be read"),
        (npy_header((4, 5), "<c8"), "complex64 values"),
        (npy_header((4, 5), "<U9"), "not a depth map"),
        (npy_header((4, 5), "<M8[s]"), "not a depth map"),
        (npy_header((4, 5), "<f16"), "float128 values"),
        (npy_header((4, 5), "|u1"), "8 bits"),
        (npy_header((4,)), r"\(4,\)"),
        (npy_header((4, 5, 3)), r"\(4, 5, 3\)"),
        (npy_header((0, 5)), "can't be read"),
        (npy_header(("[" * 2000,)), "can't be read"),
        (b"PK\x03\x04" + bytes(100), "can't be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "can't be read"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_odd_arrays_are_refused_in_a_sentence(content, cause, suffix, tmp_path) -> None:
    (tmp_path / f"depth{suffix}").write_bytes(content)
    with pytest.raises(ExportError, match=cause):
        read_depth(tmp_path / f"depth{suffix}", 1000)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", "<u2", ">i4", "<i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_number_type_and_order(dtype, order, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("glpn.scene.depth_files.BAND_PIXELS", 10)
    values = np.asarray(np.arange(1, 36).reshape(5, 7), dtype, order=order)
    np.save(tmp_path / "a.npy", values)
    np.save(tmp_path / "one_channel.npy", np.asarray(values[..., None], order=order))
    np.savez(tmp_path / "b.npz", depth=values, other=np.zeros(3))
    np.savez_compressed(tmp_path / "c.npz", values[None])
    for name in ("a.npy", "one_channel.npy", "b.npz", "c.npz"):
        np.testing.assert_array_equal(read_depth(tmp_path / name, 1), values)


def test_an_npz_of_many_arrays_has_to_name_its_depth(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", one=np.ones((2, 2)), two=np.ones((2, 2)))
    with pytest.raises(ExportError, match="holds 2 arrays"):
        read_depth(tmp_path / "a.npz")


def test_sizes_are_compared_before_pixels_are_decoded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("decoded"))
    Image.new("I;16", (30, 20)).save(tmp_path / "a_depth_mm.png")
    np.save(tmp_path / "a.npy", np.ones((20, 30), np.float32))
    for name in ("a_depth_mm.png", "a.npy"):
        with pytest.raises(ExportError, match=r"30 × 20 pixels and its photo 40 × 20"):
            read_depth(tmp_path / name, size=(20, 40))


def test_a_names_control_characters_stay_out_of_the_message(tmp_path) -> None:
    (tmp_path / "\x1b[2J.png").write_bytes(b"nothing")
    with pytest.raises(ExportError) as refused:
        read_depth(tmp_path / "\x1b[2J.png")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("level", [1, 4])
@pytest.mark.parametrize("zlib_ng", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (700, 900)])
def test_16_bit_png_is_read_back_as_it_was(size, zlib_ng, level, monkeypatch) -> None:
    if not zlib_ng:
        monkeypatch.setattr("glpn.scene.png.features.check", lambda _: False)
    values = np.random.default_rng(0).integers(0, 65_536, size).astype(np.uint16)
    data = encode_png_16_bit(values, {"key": "value"}, level=level)
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    with Image.open(io.BytesIO(data)) as image:
        assert image.text == {"key": "value"}
        np.testing.assert_array_equal(np.asarray(image), values)
