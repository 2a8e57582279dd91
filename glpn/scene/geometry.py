"""Depth map -> surface grid, triangle mesh, point cloud. NumPy only; metres and OpenCV axes throughout.

Depth is averaged as 1 / depth: on a plane that is linear in pixel coordinates, so the mean over a block of pixels is
the depth at the block's center exactly. Depth that is not finite or not above 0 means "no measurement" and becomes NaN.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from glpn.bounds import EDGE_CUT
from glpn.camera import Camera
from glpn.errors import CameraError, ConfigError

RANGES = ("robust", "full")
GRAZING = 20.0  # metres of depth per metre across: a smooth surface steeper than this is taken for a cut edge


@dataclass(frozen=True, eq=False)
class Grid:
    """A depth map's samples, still in rows and columns.

    depth_m     (h, w) float32, metres; NaN where there is none
    rows, cols  (h,), (w,) float32, the samples' places in the photo, pixels from the center of the top-left pixel
    points      (h, w, 3) float32, metres
    rgb         (h, w, 3) uint8, or None without a photo
    camera      of the whole photo
    """

    depth_m: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    points: np.ndarray
    rgb: np.ndarray | None
    camera: Camera


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, not joining foreground and background.

    vertices  (N, 3) float32, metres
    faces     (M, 3) int32, counter-clockwise as seen from the camera
    normals   (N, 3) float32, unit length, towards the camera
    uv        (N, 2) float32, place in the photo, 0 to 1 from its bottom-left corner
    colors    (N, 3) uint8, or None without a photo
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    colors: np.ndarray | None


@dataclass(frozen=True, eq=False)
class PointCloud:
    """points (N, 3) float32, metres; normals (N, 3) float32 towards the camera; colors (N, 3) uint8 or None."""

    points: np.ndarray
    normals: np.ndarray
    colors: np.ndarray | None


def depth_range(depth_m: np.ndarray, range_m: str | tuple[float, float] = "robust") -> tuple[float, float]:
    """Return (near, far) in metres for colors and axes, far above near.

    range_m: "robust" (2nd to 98th percentile), "full", or the two numbers themselves. A constant map gets a
    twentieth on either side, a map without measurements 0 to 1. Raises ConfigError for any other range.
    """
    if isinstance(range_m, tuple | list):
        if len(range_m) == 2 and np.all(np.isfinite(range_m)) and range_m[0] < range_m[1]:
            return float(range_m[0]), float(range_m[1])
    elif range_m in RANGES:
        valid = depth_m.reshape(-1) if all_measured(depth_m) else depth_m[is_measured(depth_m)]
        if not valid.size:
            return 0.0, 1.0
        if range_m == "full":
            near, far = float(valid.min()), float(valid.max())
        else:
            stride = max(1, valid.size // 1_000_000)  # percentiles of a million samples are those of all
            near, far = (float(value) for value in np.percentile(valid[::stride], (2, 98)))
        return (near, far) if far - near > 1e-6 * far else (0.95 * near, 1.05 * far)
    raise ConfigError(
        f"The depth range is {range_m!r}. Give 'robust', 'full' or two metres such as (0.5, 8), near first."
    )


def is_measured(depth_m: np.ndarray) -> np.ndarray:
    """Return (H, W) bool: where `depth_m` is finite and above 0."""
    return (depth_m > 0) & (depth_m < np.inf)


def all_measured(depth_m: np.ndarray) -> bool:
    """Whether `is_measured` holds everywhere, without an array of it."""
    return bool(depth_m.size and depth_m.min() > 0 and depth_m.max() < np.inf)


def where_measured(depth_m: np.ndarray) -> np.ndarray | bool:
    """Return `is_measured` for numpy's `where`: True, which is faster, if it holds everywhere."""
    return all_measured(depth_m) or is_measured(depth_m)


def sample_depth(
    depth_m: np.ndarray, samples: int, *, edge_cut: float = EDGE_CUT.default
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reduce `depth_m` (H, W) to at most about `samples` values; return depth (h, w) float32, rows (h,), cols (w,).

    Every pixel counts once. Within a block that holds an edge (a relative step above `edge_cut`), the side with more
    pixels is averaged and the other left out, so that no sample floats between foreground and background.
    """
    height, width = _check_depth(depth_m)
    row_edges, col_edges = (_block_edges(*sides) for sides in _grid_sides(height, width, samples))
    rows, cols = ((edges[:-1] + edges[1:] - 1).astype(np.float32) / 2 for edges in (row_edges, col_edges))
    measured = is_measured(depth_m)
    if rows.size == height and cols.size == width:
        return np.where(measured, depth_m, np.nan).astype(np.float32), rows, cols
    inverse = np.full(depth_m.shape, np.nan, np.float32)
    np.divide(1, depth_m, out=inverse, where=measured, casting="same_kind")

    def blocks(reduce: np.ufunc, values: np.ndarray, dtype: type | None = None) -> np.ndarray:
        across = reduce.reduceat(values, col_edges[:-1], axis=1, dtype=dtype)
        return reduce.reduceat(across, row_edges[:-1], axis=0, dtype=dtype)

    near, far = blocks(np.fmax, inverse), blocks(np.fmin, inverse)
    count, total = blocks(np.add, measured, np.int32), blocks(np.add, np.where(measured, inverse, 0))
    middle = np.repeat(np.repeat((near + far) / 2, np.diff(row_edges), axis=0), np.diff(col_edges), axis=1)
    front = inverse > middle
    front_count, front_total = blocks(np.add, front, np.int32), blocks(np.add, np.where(front, inverse, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        front_wins = 2 * front_count >= count
        side = np.where(front_wins, front_total / front_count, (total - front_total) / (count - front_count))
        mean = np.where(near > (1 + edge_cut) * far, side, total / count)
        return (1 / mean).astype(np.float32), rows, cols


def surface_grid(
    depth_m: np.ndarray,
    camera: Camera,
    rgb: np.ndarray | None = None,
    *,
    samples: int = 307_200,
    edge_cut: float = EDGE_CUT.default,
) -> Grid:
    """Sample `depth_m` (H, W) at up to about `samples` places and unproject them through `camera` (of size H × W).

    rgb: (h, w, 3) uint8, the photo at any size; its colors are averaged over each sample's area.
    """
    camera.check_size(depth_m.shape)
    depth, rows, cols = sample_depth(depth_m, samples, edge_cut=edge_cut)
    points = camera.unproject(depth, rows, cols)
    return Grid(depth, rows, cols, points, None if rgb is None else resize_rgb(rgb, depth.shape), camera)


def cut_faces(grid: Grid, *, edge_cut: float = EDGE_CUT.default) -> np.ndarray:
    """Return faces (M, 3) int32 into the grid's samples, row by row, without those that span a depth edge.

    A triangle spans an edge if its farthest corner is more than `edge_cut` (relative) behind its nearest. Excepted are
    floors and walls seen at a low angle: where 1 / depth changes steadily, as on a plane, and no steeper than GRAZING.
    """
    if not edge_cut > 0:
        raise ConfigError(f"The edge cut is {edge_cut!r}. Give a relative step above 0, such as {EDGE_CUT.default}.")
    inverse = 1 / grid.depth_m
    h, w = inverse.shape
    if h < 2 or w < 2:
        return np.empty((0, 3), np.int32)
    smooth_x = _smooth_links(inverse, _pixels_apart(grid.cols) / grid.camera.fx_px, edge_cut)
    smooth_y = _smooth_links(inverse.T, _pixels_apart(grid.rows) / grid.camera.fy_px, edge_cut).T
    near_x, far_x = np.maximum(inverse[:, 1:], inverse[:, :-1]), np.minimum(inverse[:, 1:], inverse[:, :-1])

    def spans_no_edge(near: np.ndarray, far: np.ndarray, smooth: np.ndarray) -> np.ndarray:
        return (near <= (1 + edge_cut) * far) | (smooth & (far > 0))

    # A cell of corners a b / c d makes the triangles a c b and b c d.
    c, b = inverse[1:, :-1], inverse[:-1, 1:]
    upper = spans_no_edge(np.maximum(near_x[:-1], c), np.minimum(far_x[:-1], c), smooth_x[:-1] & smooth_y[:, :-1])
    lower = spans_no_edge(np.maximum(near_x[1:], b), np.minimum(far_x[1:], b), smooth_x[1:] & smooth_y[:, 1:])
    corner = (np.arange(h - 1, dtype=np.int32)[:, None] * w + np.arange(w - 1, dtype=np.int32))[..., None]
    offsets = np.array([0, w, 1, 1, w, w + 1], np.int32)
    return (corner + offsets).reshape(-1, 3)[np.stack([upper, lower], axis=-1).ravel()]


def triangle_mesh(
    depth_m: np.ndarray,
    camera: Camera,
    rgb: np.ndarray | None = None,
    *,
    samples: int = 307_200,
    edge_cut: float = EDGE_CUT.default,
) -> Mesh:
    """Build the mesh of `depth_m` (H, W), cut at depth edges; vertices that no triangle uses are left out."""
    grid = surface_grid(depth_m, camera, rgb, samples=samples, edge_cut=edge_cut)
    faces = cut_faces(grid, edge_cut=edge_cut)
    used = np.zeros(grid.depth_m.size, bool)
    used[faces] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    height, width = camera.size
    u, v = np.meshgrid((grid.cols + 0.5) / width, 1 - (grid.rows + 0.5) / height)
    return Mesh(
        vertices=grid.points.reshape(-1, 3)[used],
        faces=number[faces],
        normals=_grid_normals(grid.points).reshape(-1, 3)[used],
        uv=np.stack([u.ravel()[used], v.ravel()[used]], axis=-1),
        colors=None if grid.rgb is None else grid.rgb.reshape(-1, 3)[used],
    )


def point_cloud(
    depth_m: np.ndarray,
    camera: Camera,
    rgb: np.ndarray | None = None,
    *,
    samples: int = 1_000_000,
    edge_cut: float = EDGE_CUT.default,
) -> PointCloud:
    """Build the point cloud of `depth_m` (H, W); pixels without a measurement are left out."""
    grid = surface_grid(depth_m, camera, rgb, samples=samples, edge_cut=edge_cut)
    valid = ~np.isnan(grid.depth_m)
    return PointCloud(
        points=grid.points[valid],
        normals=_grid_normals(grid.points)[valid],
        colors=None if grid.rgb is None else grid.rgb[valid],
    )


def resize_rgb(rgb: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return `rgb` (H, W, 3) uint8 at `size` (height, width), area-averaged where it shrinks."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ConfigError(f"The photo is an array {rgb.shape} of {rgb.dtype}. Give (height, width, 3) uint8, RGB.")
    if rgb.shape[:2] == tuple(size):
        return rgb
    image = Image.fromarray(rgb).resize((size[1], size[0]), Image.Resampling.BOX)
    return np.asarray(image)


def _check_depth(depth_m: np.ndarray) -> tuple[int, int]:
    if depth_m.ndim != 2 or not depth_m.size or depth_m.dtype.kind not in "fiu":
        raise CameraError(f"The depth map is an array {depth_m.shape} of {depth_m.dtype}. Give (height, width) metres.")
    return depth_m.shape[0], depth_m.shape[1]


def _grid_sides(height: int, width: int, samples: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (side, samples along it) for rows and columns: square blocks as far as the sides allow."""
    step = max(1.0, (height * width / max(samples, 1)) ** 0.5)
    h = max(1, round(height / step))
    w = max(1, min(width, round(max(samples, 1) / h)) if step > 1 else width)
    if step > 1 and w == width:
        h = max(1, min(height, max(samples, 1) // w))
    return (height, h), (width, w)


def _block_edges(side: int, blocks: int) -> np.ndarray:
    return np.round(np.linspace(0, side, blocks + 1)).astype(np.intp)


def _pixels_apart(places: np.ndarray) -> float:
    return float(places[-1] - places[0]) / (places.size - 1)


def _smooth_links(inverse: np.ndarray, angle: float, edge_cut: float) -> np.ndarray:
    """Return (h, w - 1) bool: whether each step along a row of 1 / depth is steady and not too steep.

    angle: between neighboring samples, radians (small).
    """
    step = np.diff(inverse, axis=1)
    size = np.abs(step)
    far = np.minimum(inverse[:, 1:], inverse[:, :-1])
    smooth = size < GRAZING * angle * far
    slack = np.maximum(0.5 * size, 0.25 * edge_cut * far)
    for shift in (1, 2):
        change = np.abs(step[:, shift:] - step[:, :-shift])
        smooth[:, shift:] &= change <= slack[:, shift:]
        smooth[:, :-shift] &= change <= slack[:, :-shift]
    return smooth


def _grid_normals(points: np.ndarray) -> np.ndarray:
    """Return unit normals (h, w, 3) float32 that look at the camera; a point without neighbors looks right at it."""
    across, down = _forward_or_back(points, 1), _forward_or_back(points, 0)
    normals = np.cross(down, across)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    view = -points / np.linalg.norm(points, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(length > 0, normals / length, view)


def _forward_or_back(points: np.ndarray, axis: int) -> np.ndarray:
    """Return the difference to the nearer in depth of the two neighbors along `axis`, so that no edge is spanned."""
    edge = np.full_like(points.take([0], axis), np.nan)
    step = np.diff(points, axis=axis)
    ahead, behind = np.concatenate([step, edge], axis), np.concatenate([edge, step], axis)
    with np.errstate(invalid="ignore"):
        use_ahead = ~(np.abs(behind[..., 2:]) < np.abs(ahead[..., 2:]))
    return np.where(use_ahead & ~np.isnan(ahead[..., 2:]), ahead, behind)
