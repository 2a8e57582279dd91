"""Depth maps of known scenes become known shapes: planes, a sphere, a corridor, a box, and nothing between them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glpn.camera import Camera
from glpn.errors import CameraError, ConfigError
from glpn.scene.geometry import (
    Grid,
    cut_faces,
    depth_range,
    is_measured,
    point_cloud,
    resize_rgb,
    sample_depth,
    surface_grid,
    triangle_mesh,
)

CAMERA = Camera(518.8579, 519.4696, 325.5824, 253.7362, 480, 640, "given")
STREET = Camera.assumed_like(0.581, (375, 1242))


def rays(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """x / z and y / z (H, W) of every pixel, float64."""
    x = (np.arange(camera.width) - camera.cx_px) / camera.fx_px
    y = (np.arange(camera.height) - camera.cy_px) / camera.fy_px
    return np.meshgrid(x, y)


def plane(camera: Camera, normal: tuple[float, float, float], distance_m: float) -> np.ndarray:
    """Depth of the plane normal · p = distance; inf where it lies behind."""
    x, y = rays(camera)
    with np.errstate(divide="ignore"):
        depth_m = distance_m / (normal[0] * x + normal[1] * y + normal[2])
    return np.where(depth_m > 0, depth_m, np.inf)


def sphere(camera: Camera, center: tuple[float, float, float], radius_m: float) -> np.ndarray:
    x, y = rays(camera)
    a, b = x**2 + y**2 + 1, x * center[0] + y * center[1] + center[2]
    inside = b**2 - a * (np.dot(center, center) - radius_m**2)
    return np.where(inside >= 0, (b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)


def corridor(camera: Camera) -> np.ndarray:
    """2 m wide, 2.5 m high, 9 m long; the camera 1.5 m above the floor."""
    sides = [((1, 0, 0), 1), ((-1, 0, 0), 1), ((0, 1, 0), 1.5), ((0, -1, 0), 1.0), ((0, 0, 1), 9)]
    return np.min([plane(camera, normal, distance) for normal, distance in sides], axis=0)


def f32(depth_m: np.ndarray) -> np.ndarray:
    return depth_m.astype(np.float32)


@pytest.mark.parametrize("samples", [10**6, 20_000, 3_000])
def test_a_plane_stays_the_plane_at_any_sampling(samples: int) -> None:
    normal = np.array([0.3, -0.2, 0.93])
    grid = surface_grid(f32(plane(CAMERA, tuple(normal), 2.0)), CAMERA, samples=samples)
    np.testing.assert_allclose(grid.points @ normal, 2.0, atol=1e-4)


def test_a_sphere_stays_the_sphere() -> None:
    depth_m = f32(sphere(CAMERA, (0.2, -0.1, 3), 0.8))
    points = point_cloud(depth_m, CAMERA).points
    np.testing.assert_allclose(np.linalg.norm(points - [0.2, -0.1, 3], axis=1), 0.8, atol=1e-4)


def test_a_corridor_stays_the_corridor_and_whole() -> None:
    depth_m = f32(corridor(CAMERA))
    points = CAMERA.unproject(depth_m).astype(np.float64)
    gaps = np.stack(
        [abs(abs(points[..., 0]) - 1), abs(points[..., 1] - 1.5), abs(points[..., 1] + 1), abs(points[..., 2] - 9)]
    )
    assert gaps.min(axis=0).max() < 1e-4
    mesh = triangle_mesh(depth_m, CAMERA)
    assert len(mesh.faces) == 2 * 479 * 639


def test_points_lie_where_their_pixels_look() -> None:
    grid = surface_grid(f32(corridor(CAMERA)), CAMERA, samples=5_000)
    x, y = np.meshgrid(grid.cols, grid.rows)
    np.testing.assert_allclose(CAMERA.project(grid.points), np.stack([x, y], axis=-1), atol=1e-3)


def test_a_far_street_is_not_cut_though_its_samples_lie_far_apart() -> None:
    street = np.minimum(plane(STREET, (0, 1, 0), 1.65), 60)
    grid = surface_grid(f32(street), STREET, samples=30_000)
    kept = np.zeros(grid.depth_m.size, bool)
    kept[cut_faces(grid)] = True
    near = grid.depth_m.ravel() < 25
    assert kept[near].all()
    steps = grid.depth_m[1:, 50] / grid.depth_m[:-1, 50]
    assert (steps[grid.depth_m[1:, 50] < 25] < 1 / 1.05).any(), "the scene does not test what it should"


def box_before_wall(near_m: float = 2.0, far_m: float = 4.0) -> np.ndarray:
    depth_m = np.full((480, 640), far_m, np.float32)
    depth_m[101:303, 207:409] = near_m
    return depth_m


@pytest.mark.parametrize("samples", [10**6, 30_000, 2_000])
@pytest.mark.parametrize("near_m", [0.5, 2.0, 3.6])
def test_no_triangle_spans_an_edge_and_no_sample_floats(samples: int, near_m: float) -> None:
    mesh = triangle_mesh(box_before_wall(near_m), CAMERA, samples=samples)
    corners = mesh.vertices[mesh.faces][..., 2]
    assert (corners.max(axis=1) - corners.min(axis=1) < 1e-5).all()
    np.testing.assert_allclose(np.unique(np.round(mesh.vertices[:, 2], 4)), [near_m, 4])


def test_the_threshold_is_relative_and_the_users() -> None:
    assert len(triangle_mesh(box_before_wall(3.9), CAMERA).faces) == 2 * 479 * 639
    assert len(triangle_mesh(box_before_wall(3.9), CAMERA, edge_cut=0.02).faces) < 2 * 479 * 639
    assert len(triangle_mesh(10 * box_before_wall(3.9), CAMERA).faces) == 2 * 479 * 639
    with pytest.raises(ConfigError, match="edge cut"):
        triangle_mesh(box_before_wall(), CAMERA, edge_cut=0)


def test_a_blurred_edge_is_cut_too() -> None:
    """Networks smooth edges over some pixels; the ramp between is no surface."""
    depth_m = box_before_wall()
    ramp = np.interp(np.arange(640), [310, 316], [2.0, 4.0]).astype(np.float32)
    depth_m[:] = ramp
    corners = triangle_mesh(depth_m, CAMERA).vertices[triangle_mesh(depth_m, CAMERA).faces][..., 2]
    assert not ((corners.min(axis=1) < 2.5) & (corners.max(axis=1) > 3.5)).any()
    assert (corners.max(axis=1) / corners.min(axis=1)).max() <= 1.05 + 1e-6


def test_triangles_and_normals_face_the_camera() -> None:
    mesh = triangle_mesh(f32(corridor(CAMERA)), CAMERA, samples=20_000)
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(np.float64), 1, 0)
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), a) < 0).all()
    assert (np.einsum("ij,ij->i", mesh.normals, mesh.vertices) < 0).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-4)
    wall = np.isclose(mesh.vertices[:, 2], 9, atol=1e-3)
    np.testing.assert_allclose(mesh.normals[wall].mean(axis=0), (0, 0, -1), atol=0.02)


def test_a_box_has_its_true_size() -> None:
    mesh = triangle_mesh(box_before_wall(), CAMERA)
    box = mesh.vertices[mesh.vertices[:, 2] < 3]
    size = box.max(axis=0) - box.min(axis=0)
    np.testing.assert_allclose(size, (201 * 2 / CAMERA.fx_px, 201 * 2 / CAMERA.fy_px, 0), atol=1e-4)


def test_the_photo_lies_on_its_samples() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    depth_m = f32(corridor(CAMERA))
    depth_m[::7, ::5] = np.nan
    cloud = point_cloud(depth_m, CAMERA, rgb)
    np.testing.assert_array_equal(cloud.colors, rgb[is_measured(depth_m)])
    mesh = triangle_mesh(depth_m, CAMERA, rgb)
    x, y = CAMERA.project(mesh.vertices).T
    assert mesh.colors is not None
    np.testing.assert_array_equal(mesh.colors, rgb[np.rint(y).astype(int), np.rint(x).astype(int)])
    np.testing.assert_allclose(mesh.uv, np.stack([(x + 0.5) / 640, 1 - (y + 0.5) / 480], axis=-1), atol=1e-5)


def test_a_photo_of_another_size_is_averaged() -> None:
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[:, ::2] = 200
    np.testing.assert_array_equal(resize_rgb(rgb, (2, 3)), np.full((2, 3, 3), 100))
    with pytest.raises(ConfigError, match="uint8"):
        resize_rgb(rgb.astype(float), (2, 3))


def test_sampling_counts_every_pixel() -> None:
    depth_m = np.random.default_rng(0).uniform(2, 2.01, (97, 131)).astype(np.float32)
    depth, rows, cols = sample_depth(depth_m, 300)
    assert depth.shape == (rows.size, cols.size) and 200 <= depth.size <= 330
    assert depth.mean() == pytest.approx(float(depth_m.mean()), abs=1e-4)
    assert 0 < rows[0] < rows[-1] < 96 and 0 < cols[0] < cols[-1] < 130


def test_an_edge_within_a_block_goes_to_the_larger_side() -> None:
    depth_m = np.full((10, 10), 5, np.float32)
    depth_m[:, :4] = 1
    assert sample_depth(depth_m, 1)[0].item() == pytest.approx(5)
    depth_m[:, :6] = 1
    assert sample_depth(depth_m, 1)[0].item() == pytest.approx(1)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 90),
    st.lists(st.sampled_from([np.nan, np.inf, 0.0, -1.0, 1e-3, 0.5, 2.0, 2.01, 80.0]), min_size=81, max_size=81),
)
def test_any_map_of_any_shape(height: int, width: int, samples: int, values: list[float]) -> None:
    depth_m = np.array(values[: height * width], np.float32).reshape(height, width)
    camera = Camera.from_fov(63, (height, width))
    rgb = np.zeros((height, width, 3), np.uint8)
    measured = is_measured(depth_m)
    grid = surface_grid(depth_m, camera, rgb, samples=samples)
    assert isinstance(grid, Grid) and grid.points.shape == (*grid.depth_m.shape, 3)
    assert np.isnan(grid.depth_m).all() == (not measured.any())
    mesh = triangle_mesh(depth_m, camera, rgb, samples=samples)
    assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.normals).all()
    assert not len(mesh.faces) or mesh.faces.max() == len(mesh.vertices) - 1
    cloud = point_cloud(depth_m, camera, rgb)
    assert len(cloud.points) == measured.sum() and np.isfinite(cloud.normals).all()
    near, far = depth_range(depth_m)
    assert near < far


def test_depth_ranges() -> None:
    depth_m = np.linspace(0, 100, 10_001, dtype=np.float32).reshape(1, -1)
    assert depth_range(depth_m) == pytest.approx((2, 98), abs=0.02)
    assert depth_range(depth_m) == depth_range(depth_m, "robust")
    assert depth_range(depth_m, "full") == pytest.approx((0.01, 100))
    assert depth_range(depth_m, (0.5, 8)) == (0.5, 8)
    assert depth_range(np.full((2, 2), 4.0)) == pytest.approx((3.8, 4.2))
    assert depth_range(np.full((2, 2), np.nan)) == (0, 1)
    for wrong in ("all", (8, 0.5), (1, 1), (0, np.nan), (1, 2, 3)):
        with pytest.raises(ConfigError, match="near first"):
            depth_range(depth_m, wrong)  # type: ignore[arg-type]


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(CameraError, match="height, width"):
        sample_depth(np.zeros((2, 2, 1), np.float32), 10)
    with pytest.raises(CameraError, match=r"Use `camera\.resized"):
        triangle_mesh(np.ones((3, 4), np.float32), CAMERA)
