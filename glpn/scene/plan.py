"""A room plan: what one photo shows of a room, seen from above, as SVG at a scale of 100 drawing units a metre."""

from dataclasses import dataclass

import numpy as np

from glpn.camera import Camera

from .floor import Floor, find_floor
from .geometry import surface_grid

PLAN_SAMPLES = 300_000
CELL_M = 0.05
CLEAR_M = 0.12  # what is lower is floor
LOW_M = 1.0  # what is lower is furniture; higher are walls and tall things
CEILING_M = 2.1  # what is higher hides nothing below it
UNITS = 100  # a metre
_COLORS = {"floor": "#dbe7f3", "low": "#8fb0d0", "high": "#334155"}


@dataclass(frozen=True, eq=False)
class Plan:
    """A grid of cells of CELL_M on the floor, the camera above (0, 0), which looks towards +z; x is right.

    cells   (h, w) uint8: 0 not seen, 1 floor, 2 low things, 3 high things; row 0 is the farthest
    left_m  x of the grid's left side
    far_m   z of the grid's far side
    floor   the floor that was found
    """

    cells: np.ndarray
    left_m: float
    far_m: float
    floor: Floor


def room_plan(depth_m: np.ndarray, camera: Camera) -> Plan:
    """Look at `depth_m` (H, W), metres, from above. Raises FloorNotFound with the reason where no floor is seen."""
    floor = find_floor(depth_m, camera)
    points = surface_grid(depth_m, camera, samples=PLAN_SAMPLES).points.reshape(-1, 3).astype(np.float64)
    points = points[~np.isnan(points[:, 2])]
    heights = floor.heights(points)
    points, heights = points[heights < CEILING_M], heights[heights < CEILING_M]
    ahead = np.array([0.0, 0.0, 1.0]) - floor.up[2] * floor.up
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, floor.up)
    right *= np.sign(right[0])
    x, z = points @ right, points @ ahead
    left_m, far_m = CELL_M * np.floor(x.min() / CELL_M), CELL_M * np.ceil(z.max() / CELL_M)
    col, row = ((x - left_m) / CELL_M).astype(np.intp), ((far_m - z) / CELL_M).astype(np.intp)
    kind = np.digitize(heights, (CLEAR_M, LOW_M)).astype(np.uint8) + 1
    votes = np.zeros((4, row.max() + 1, col.max() + 1), np.int32)
    np.add.at(votes, (kind, row, col), 1)
    seen = votes.sum(0)
    cells = np.where(seen > 0, 1, 0).astype(np.uint8)
    for one in (2, 3):  # a quarter of a cell's points standing there is enough: fewer are floor next to it
        cells[4 * votes[one:].sum(0) > np.maximum(seen, 1)] = one
    return Plan(cells, float(left_m), float(far_m), floor)


def plan_svg(plan: Plan, *, title: str) -> str:
    """Draw `plan` with a grid of metres, the camera, a scale and a legend."""
    rows, cols = plan.cells.shape
    cell, margin = CELL_M * UNITS, 40
    depth = max(rows * CELL_M, plan.far_m) * UNITS  # down to the camera
    width, height = max(cols * cell, 340), depth + 110
    paths = [
        f'<path fill="{color}" d="{_runs(plan.cells == index + 1, cell)}"><title>{name}</title></path>'
        for index, (name, color) in enumerate(_COLORS.items())
    ]
    legend = "".join(
        f'<rect x="{110 * i}" y="{depth + 42}" width="16" height="16" fill="{color}" stroke="#64748b"/>'
        f'<text x="{110 * i + 22}" y="{depth + 55}">{text}</text>'
        for i, (color, text) in enumerate(zip(_COLORS.values(), ("floor", "up to 1 m", "higher"), strict=True))
    )
    whole = width + 2 * margin, height + 2 * margin
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-margin} {-margin} {whole[0]:g} {whole[1]:g}"
 width="{whole[0]:g}" height="{whole[1]:g}">
<title>{_escaped(title)}</title>
<desc>Seen from above; {UNITS} units are a metre.</desc>
<rect x="{-margin}" y="{-margin}" width="100%" height="100%" fill="#fff"/>
{"".join(paths)}
<path fill="none" stroke="#94a3b8" stroke-width="0.5" d="{_grid(plan, cols * cell, depth)}"/>
<g id="camera" transform="translate({-plan.left_m * UNITS:g} {plan.far_m * UNITS:g})">
<circle r="6" fill="#b91c1c"/><path d="M-12-18L0-6L12-18" fill="none" stroke="#b91c1c" stroke-width="2"/></g>
<g font-family="sans-serif" font-size="14" fill="#0f172a">
<path id="scale" d="M0 {depth + 20:g}h{UNITS}" stroke="#0f172a" stroke-width="4"/>
<text x="{UNITS + 8}" y="{depth + 25:g}">1 m</text>
{legend}
<text x="0" y="{depth + 88:g}">{_escaped(title)}</text>
</g></svg>
"""


def _runs(where: np.ndarray, cell: float) -> str:
    """Return the path around the cells of `where` (h, w), a rectangle for each run along a row."""
    steps = np.diff(np.pad(where.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return "".join(
        f"M{cell * start:g} {cell * row:g}h{cell * (end - start):g}v{cell:g}h{-cell * (end - start):g}z"
        for (row, start), (_, end) in zip(starts, ends, strict=True)
    )


def _grid(plan: Plan, width: float, depth: float) -> str:
    """Return lines at every metre from the camera, across and along."""
    across = np.arange(np.ceil(plan.left_m), plan.left_m + width / UNITS)
    along = np.arange(np.floor(plan.far_m), plan.far_m - depth / UNITS - 1e-6, -1)
    lines = [f"M{UNITS * (x - plan.left_m):g} 0v{depth:g}" for x in across]
    return "".join(lines + [f"M0 {UNITS * (plan.far_m - z):g}h{width:g}" for z in along])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
