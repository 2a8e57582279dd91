"""Normal map, printable relief and room plan of scenes of known shape, read back by independent readers."""

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from PIL import Image
from test_export import prediction_of

from glpn.camera import Camera
from glpn.errors import ConfigError, ExportError
from glpn.photo import Photo
from glpn.scene import plan as plans
from glpn.scene.look import Look
from glpn.scene.normals import normals_rgb, surface_normals
from glpn.scene.relief import Relief, solid, stl, three_mf

SIZE = (240, 320)
CAMERA = Camera.from_fov(90, SIZE)
CAMERA_HEIGHT_M, ROOM_LEFT_M, ROOM_RIGHT_M, ROOM_FAR_M, ROOM_TALL_M = 1.5, -1.6, 2.0, 5.0, 2.4
BOX_X_M, BOX_Z_M, BOX_TALL_M = (-0.6, 0.4), (3.0, 3.8), 0.6


def rays() -> np.ndarray:
    """(H, W, 3): directions of the pixels, z is 1."""
    return CAMERA.unproject(np.ones(SIZE, np.float32), np.arange(SIZE[0]), np.arange(SIZE[1])).astype(np.float64)


def depth_of_plane(normal: tuple[float, float, float], distance_m: float) -> np.ndarray:
    """Depth of the plane normal · P = distance_m; infinite where it isn't seen."""
    across = rays() @ np.array(normal, float)
    return np.divide(distance_m, across, out=np.full(SIZE, np.inf), where=across > 1e-9)


def room() -> np.ndarray:
    """Depth of a room with a level camera, walls on three sides and a box on the floor, by ray casting."""
    ray = rays()
    floor = depth_of_plane((0, 1, 0), CAMERA_HEIGHT_M)
    depth = np.minimum.reduce(
        [
            floor,
            depth_of_plane((0, -1, 0), ROOM_TALL_M - CAMERA_HEIGHT_M),
            depth_of_plane((-1, 0, 0), -ROOM_LEFT_M),
            depth_of_plane((1, 0, 0), ROOM_RIGHT_M),
            np.full(SIZE, ROOM_FAR_M),
        ]
    )
    front, top = BOX_Z_M[0], depth_of_plane((0, 1, 0), CAMERA_HEIGHT_M - BOX_TALL_M)
    hits_front = (BOX_X_M[0] < ray[..., 0] * front) & (ray[..., 0] * front < BOX_X_M[1])
    hits_front &= (ray[..., 1] * front > CAMERA_HEIGHT_M - BOX_TALL_M) & (ray[..., 1] * front < CAMERA_HEIGHT_M)
    x = ray[..., 0] * np.where(np.isfinite(top), top, 0)
    hits_top = (BOX_X_M[0] < x) & (x < BOX_X_M[1]) & (BOX_Z_M[0] < top) & (top < BOX_Z_M[1])
    depth = np.where(hits_top, np.minimum(depth, top), depth)
    return np.where(hits_front, np.minimum(depth, front), depth).astype(np.float32)


# -------------------------------------------------------------------------------------------------- normals


@pytest.mark.parametrize("toward", [(0, 0, -1), (0.6, 0, -0.8), (-0.5, 0.3, -0.9), (0, -0.9, -0.3)])
def test_normals_of_a_plane_are_the_planes(toward: tuple[float, float, float]) -> None:
    normal = np.array(toward) / np.linalg.norm(toward)
    depth_m = depth_of_plane(tuple(-normal), 2.0)
    depth_m[depth_m > 50] = np.nan
    found = surface_normals(depth_m.astype(np.float32), CAMERA)
    inner = np.isfinite(np.pad(depth_m, 4, mode="edge")).astype(float)
    views = np.lib.stride_tricks.sliding_window_view(inner, (9, 9)).min(axis=(2, 3)) > 0
    assert views.sum() > 5000
    angle = np.degrees(np.arccos((found[views] @ normal).clip(-1, 1)))
    assert angle.max() < 1
    assert (found[np.isnan(depth_m)] == 0).all()


def test_normals_do_not_mix_across_an_edge() -> None:
    depth_m = np.full(SIZE, 4.0, np.float32)
    depth_m[:, 160:] = 2.0
    found = surface_normals(depth_m, CAMERA)
    assert found[..., 2].max() < -0.9999, "both walls face the camera, up to the edge"


def test_a_normal_map_says_its_axes(tmp_path) -> None:
    [path] = prediction_of(depth_of_plane((0, 1, 0), 1.5).clip(0, 9).astype(np.float32), CAMERA).write(
        tmp_path, ["normals"]
    )
    with Image.open(path) as image:
        assert image.mode == "RGB" and "green y up" in image.info["Normal-Axes"]
        assert np.abs(np.asarray(image)[200, 160].astype(int) - (128, 255, 128)).max() <= 2, "a floor looks up"
    assert normals_rgb(np.array([[[0, 0, -1]]], np.float32)).tolist() == [[[128, 128, 255]]]


def test_normals_of_a_large_map_are_worked_out_small_and_have_its_size() -> None:
    camera = Camera.from_fov(63, (900, 1500))
    found = surface_normals(np.full((900, 1500), 3.0, np.float32), camera)
    assert found.shape == (900, 1500, 3) and found[..., 2].max() < -0.9999


# --------------------------------------------------------------------------------------------------- relief


def step_relief() -> np.ndarray:
    """Left half 2 m away, right half 1 m."""
    depth_m = np.full(SIZE, 2.0, np.float32)
    depth_m[:, 160:] = 1.0
    return depth_m


def load(data: bytes, kind: str) -> trimesh.Trimesh:
    mesh = trimesh.load(io.BytesIO(data), file_type=kind, force="mesh")
    assert isinstance(mesh, trimesh.Trimesh)
    mesh.merge_vertices()
    return mesh


@pytest.mark.parametrize("frame_mm", [0.0, 5.0])
def test_a_relief_is_closed_and_as_high_as_told(frame_mm: float) -> None:
    made = solid(step_relief(), Relief(side_mm=100, height_mm=6, base_mm=2, frame_mm=frame_mm))
    mesh = load(stl(made), "stl")
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    np.testing.assert_allclose(mesh.bounds, [[0, 0, 0], [100, 75 if not frame_mm else 77.5, 8]], atol=1e-3)
    cut = mesh.section(plane_origin=(0, 37, 0), plane_normal=(0, 1, 0))
    assert cut is not None
    outline = cut.discrete[0]
    for x, height in ((25, 2.0), (75, 8.0)):
        heights = outline[np.abs(outline[:, 0] - x) < 1, 2]
        assert heights.max() == pytest.approx(height, abs=1e-3), "linear in nearness: the far half lies on the base"
    assert (outline[outline[:, 0] > frame_mm + 1][:, 2] > -1e-6).all()
    if frame_mm:
        assert outline[outline[:, 0] < frame_mm - 0.2, 2].max() == pytest.approx(8.0)


def test_slices_of_a_relief_are_closed_areas() -> None:
    mesh = load(stl(solid(step_relief(), Relief(frame_mm=0, side_mm=100, height_mm=6, base_mm=2))), "stl")
    for z, area in ((1.0, 7500), (5.0, 3750)):  # all of it through the base, the near half above
        cut = mesh.section(plane_origin=(0, 0, z), plane_normal=(0, 0, 1))
        loops = cut.discrete
        assert all(np.allclose(loop[0], loop[-1]) for loop in loops)
        areas = [0.5 * abs(np.dot(loop[:-1, 0], loop[1:, 1]) - np.dot(loop[:-1, 1], loop[1:, 0])) for loop in loops]
        assert sum(areas) == pytest.approx(area, rel=0.01)


def test_a_3mf_states_millimetres_and_holds_the_same(tmp_path) -> None:
    made = solid(step_relief(), Relief())
    mesh = load(three_mf(made, title="A <step> & more"), "3mf")
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(load(stl(made), "stl").volume, rel=1e-3)
    rgb = np.zeros((*SIZE, 3), np.uint8)
    rgb[:, 160:] = 255  # edges move onto the photo's
    paths = prediction_of(step_relief(), CAMERA, rgb).write(
        tmp_path, ["relief-stl", "relief-3mf"], look=Look(relief=Relief(side_mm=60))
    )
    assert [path.name for path in paths] == ["desk_relief_mm.stl", "desk_relief_mm.3mf"]
    for path in paths:
        mesh = load(path.read_bytes(), path.suffix[1:])
        assert mesh.is_watertight and path.stat().st_size <= 5_000_000
        np.testing.assert_allclose(mesh.extents, (60, 8 + 0.75 * 52, 10), atol=0.01)


def test_reliefs_that_cannot_be_printed_are_refused() -> None:
    for sizes, named in (
        ({"side_mm": 0}, "side_mm"),
        ({"base_mm": float("nan")}, "base_mm"),
        ({"height_mm": 1e9}, "height"),
    ):
        with pytest.raises(ConfigError, match=f"{named}.*millimetres"):
            Relief(**sizes)
    with pytest.raises(ConfigError, match="frame of 30 mm"):
        Relief(side_mm=100, frame_mm=30)


# ----------------------------------------------------------------------------------------------------- plan


def test_a_plan_has_the_rooms_walls_and_the_box() -> None:
    plan = plans.room_plan(room(), CAMERA)
    assert plan.floor.height_m == pytest.approx(CAMERA_HEIGHT_M, rel=0.01)

    def kind(x: float, z: float) -> int:
        return int(plan.cells[int((plan.far_m - z) / plans.CELL_M), int((x - plan.left_m) / plans.CELL_M)])

    assert plan.far_m == pytest.approx(ROOM_FAR_M, abs=2 * plans.CELL_M)
    assert plan.left_m == pytest.approx(ROOM_LEFT_M, abs=2 * plans.CELL_M)
    width = plan.cells.shape[1] * plans.CELL_M
    assert plan.left_m + width == pytest.approx(ROOM_RIGHT_M, abs=2 * plans.CELL_M)
    assert kind(1.2, 3.5) == kind(-1.2, 3.5) == 1, "floor next to the box"
    assert kind(-0.1, 3.02) == kind(0.2, 3.5) == 2, "the box is low"
    assert kind(0.0, ROOM_FAR_M - 0.02) == 3, "the wall is high"
    low = np.argwhere(plan.cells == 2) * plans.CELL_M
    x, z = plan.left_m + low[:, 1], plan.far_m - low[:, 0]
    box = (x > BOX_X_M[0] - 0.1) & (x < BOX_X_M[1] + 0.1) & (z < ROOM_FAR_M - 0.3)
    assert np.ptp(x[box]) == pytest.approx(np.ptp(BOX_X_M), abs=0.15)
    assert np.ptp(z[box]) == pytest.approx(np.ptp(BOX_Z_M), abs=0.15)


def test_the_svg_is_to_scale(tmp_path) -> None:
    photo = Photo(rgb=np.zeros((*SIZE, 3), np.uint8), size=SIZE, name="a <b> & c.jpg")
    [path] = replace(prediction_of(room(), CAMERA), photo=photo).write(tmp_path, ["plan"])
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    space = {"svg": "http://www.w3.org/2000/svg"}
    assert "100 units are a metre" in root.findtext("svg:desc", "", space)
    scale = root.find(".//*[@id='scale']")
    assert scale is not None and scale.get("d", "").endswith(f"h{plans.UNITS}")
    high = next(part for part in root.findall("svg:path", space) if part.findtext("svg:title", "", space) == "high")
    ends = [float(x) + float(h) for x, h in re.findall(r"M([\d.]+) [\d.]+h([\d.]+)v", high.get("d", ""))]
    assert max(ends) == pytest.approx(100 * (ROOM_RIGHT_M - ROOM_LEFT_M), abs=15)


def test_without_a_floor_there_is_no_plan(tmp_path) -> None:
    with pytest.raises(ExportError, match="There is no room plan"):
        prediction_of(step_relief(), CAMERA).write(tmp_path, ["plan"])
