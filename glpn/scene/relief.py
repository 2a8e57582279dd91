"""A relief to print: a closed solid on a base, in millimetres, as STL or 3MF.

The surface's height is linear in 1 / depth, as in a bas-relief: near things stand out, far walls stay flat. x is right,
y up, z out of the relief, with the origin at the base's bottom-left corner.
"""

import io
import zipfile
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image

from glpn.errors import ConfigError

RELIEF_SAMPLES = 45_000  # a binary STL takes 100 bytes for each: 4.5 MB
LIMITS_MM = {"side_mm": (20.0, 1000.0), "height_mm": (0.5, 100.0), "base_mm": (0.5, 100.0), "frame_mm": (0.0, 100.0)}


@dataclass(frozen=True, kw_only=True)
class Relief:
    """What is printed, in millimetres.

    side_mm    the relief's longer side, frame included
    height_mm  from the farthest to the nearest part
    base_mm    under the farthest part
    frame_mm   width of the frame, as high as the nearest part; 0 for none

    Raises ConfigError for sizes that can't be printed.
    """

    side_mm: float = 120.0
    height_mm: float = 8.0
    base_mm: float = 2.0
    frame_mm: float = 4.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (least, most) = getattr(self, field.name), LIMITS_MM[field.name]
            if not least <= value <= most:
                raise ConfigError(f"The relief's {field.name} is {value!r}. Give {least:g} to {most:g} millimetres.")
        if 4 * self.frame_mm > self.side_mm:
            raise ConfigError(
                f"A frame of {self.frame_mm:g} mm leaves too little of {self.side_mm:g} mm. Make it narrower."
            )


@dataclass(frozen=True, eq=False)
class Solid:
    """vertices (N, 3) float32, millimetres; faces (M, 3) int32, counter-clockwise seen from outside."""

    vertices: np.ndarray
    faces: np.ndarray


def solid(depth_m: np.ndarray, relief: Relief) -> Solid:
    """Make the relief of `depth_m` (H, W), metres above 0 everywhere."""
    height, width = depth_m.shape
    step = max(1.0, (height * width / RELIEF_SAMPLES) ** 0.5)
    size = max(2, round(height / step)), max(2, round(width / step))
    near = np.asarray(Image.fromarray((1 / depth_m).astype(np.float32)).resize(size[::-1], Image.Resampling.BOX))
    share = (near - near.min()) / max(float(near.max() - near.min()), 1e-9)
    inner = relief.side_mm - 2 * relief.frame_mm
    mm = inner / max(height, width)
    xs, ys = (np.linspace(0, length * mm, count) for length, count in zip((width, height), size[::-1], strict=True))
    top = relief.base_mm + relief.height_mm * share[::-1]  # rows upwards
    if relief.frame_mm:
        xs, ys, top = _framed(xs, ys, top, relief)
    return _closed(xs, ys, top)


def stl(solid: Solid) -> bytes:
    """Encode binary STL; its unit is the millimetre, as printing programs take it."""
    corners = solid.vertices[solid.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    facets = np.zeros(len(corners), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
    facets["normal"], facets["corners"] = normals, corners
    head = b"glpn relief; unit: millimetre".ljust(80) + len(corners).to_bytes(4, "little")
    return head + facets.tobytes()


def three_mf(solid: Solid, *, title: str) -> bytes:
    """Encode 3MF, which states its unit."""
    vertices = "".join(f'<vertex x="{x:.3f}" y="{y:.3f}" z="{z:.3f}"/>' for x, y, z in solid.vertices.tolist())
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in solid.faces.tolist())
    safe = title.replace("&", "&amp;").replace("<", "&lt;")
    core = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
    start = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
    packages = "http://schemas.openxmlformats.org/package/2006"
    mesh = f"<mesh><vertices>{vertices}</vertices><triangles>{triangles}</triangles></mesh>"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{packages}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{packages}/relationships">'
        f'<Relationship Target="/3D/3dmodel.model" Id="rel0" Type="{start}"/></Relationships>',
        "3D/3dmodel.model": f'<model unit="millimeter" xml:lang="en" xmlns="{core}">'
        f'<metadata name="Title">{safe}</metadata><resources><object id="1" type="model">{mesh}</object></resources>'
        '<build><item objectid="1"/></build></model>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>\n' + text)
    return file.getvalue()


def _framed(
    xs: np.ndarray, ys: np.ndarray, top: np.ndarray, relief: Relief
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put a frame around the heights `top` (rows, columns) at `ys` and `xs`; its inner wall is 0.1 mm wide at most."""
    frame = relief.frame_mm
    wall = min(0.1, frame / 2)
    xs, ys = (
        np.concatenate([[0, frame - wall], frame + places, frame + places[-1] + [wall, frame]]) for places in (xs, ys)
    )
    return xs, ys, np.pad(top, 2, constant_values=relief.base_mm + relief.height_mm)


def _closed(xs: np.ndarray, ys: np.ndarray, top: np.ndarray) -> Solid:
    """Close the surface of heights `top` at `ys`, upwards, and `xs` by four walls and a flat bottom at 0."""
    h, w = top.shape
    number = np.arange(h * w, dtype=np.int32).reshape(h, w)
    a, b, c, d = (number[rows, cols].ravel() for rows, cols in _CORNERS)
    surface = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    rim = np.concatenate([number[0, :-1], number[:-1, -1], number[-1, :0:-1], number[:0:-1, 0]])  # counter-clockwise
    foot = h * w + np.arange(len(rim), dtype=np.int32)
    after, after_foot = np.roll(rim, -1), np.roll(foot, -1)
    middle = np.full(len(rim), h * w + len(rim), np.int32)
    walls = np.concatenate([np.stack([foot, after_foot, rim], 1), np.stack([after_foot, after, rim], 1)])
    bottom = np.stack([after_foot, foot, middle], 1)
    x, y = np.meshgrid(xs, ys)
    heights = np.stack([x.ravel(), y.ravel(), top.ravel()], 1)
    feet = heights[rim] * (1, 1, 0)
    center = [[xs[-1] / 2, ys[-1] / 2, 0]]
    vertices = np.concatenate([heights, feet, center]).astype(np.float32)
    return Solid(vertices, np.concatenate([surface, walls, bottom]).astype(np.int32))


# Lower left, lower right, upper left and upper right corner of every cell.
_FIRST, _SECOND = slice(None, -1), slice(1, None)
_CORNERS = ((_FIRST, _FIRST), (_FIRST, _SECOND), (_SECOND, _FIRST), (_SECOND, _SECOND))
