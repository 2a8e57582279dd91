"""Depth map -> Plotly figures and colored images. Display only: nothing here changes a number.

Figures are for plotly.js 3, offline or in a page. All colors of a figure hang on `layout.coloraxis`, and constant
`uirevision`s keep a visitor's zoom and viewpoint when a figure is replaced by `Plotly.react`.

The scene of a 3D figure is x right, y forward, z up, in metres at equal scale: OpenCV's axes turned a quarter about x,
so left stays left. It is first seen from the camera's own place, or from as little behind it as shows all.
"""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from plotly.colors import get_colorscale, hex_to_rgb, unlabel_rgb

from glpn.camera import Camera
from glpn.errors import ConfigError

from .geometry import Grid, cut_faces, depth_range, is_measured, sample_depth, surface_grid, where_measured
from .look import DEFAULT_LOOK, Look
from .uncertainty import Uncertainty

ColorMap = tuple[tuple[float, str], ...]


def _color_map(plotly_name: str) -> ColorMap:
    def as_hex(color: str) -> str:
        rgb = hex_to_rgb(color) if color.startswith("#") else unlabel_rgb(color)
        return "#{:02x}{:02x}{:02x}".format(*(round(value) for value in rgb))

    return tuple((float(place), as_hex(color)) for place, color in get_colorscale(plotly_name))


# Name -> (place 0 to 1, "#rrggbb"), from far (dark or cold) to near (bright or warm). Plotly and `colorize` mix alike.
COLOR_MAPS: Mapping[str, ColorMap] = MappingProxyType(
    {
        "turbo": _color_map("turbo"),
        "viridis": _color_map("viridis"),
        "magma": _color_map("magma"),
        "cividis": _color_map("cividis"),
        "inferno": _color_map("inferno"),
        "plasma": _color_map("plasma"),
        "gray": _color_map("gray"),
        "Spectral": _color_map("spectral_r"),
        "thermal": _color_map("thermal"),
        "ice": _color_map("ice"),
    }
)
ERROR_COLORS = _color_map("rdbu_r")  # from too near to too far

_UIREVISION = "glpn"
# plotly.js' 3D scenes have this vertical field of view, whatever the photo's; their panes are at least this wide.
_SCENE_FOV_DEG = 45.0
_SCENE_ASPECT = 1.25


_INK, _PAPER, _LINE = "#1f2937", "#ffffff", "#d1d5db"
_MEASURED_COLOR = "#e11d48"  # of measured lines


def colorize(depth_m: np.ndarray, look: Look = DEFAULT_LOOK) -> np.ndarray:
    """Return `depth_m` (H, W) as colors (H, W, 3) uint8; black where nothing was measured.

    Depth outside the look's range takes the color of the nearest end.
    """
    index, palette = color_indices(depth_m, look)
    image = palette[index]
    image[~is_measured(depth_m)] = 0
    return image


def color_indices(depth_m: np.ndarray, look: Look = DEFAULT_LOOK) -> tuple[np.ndarray, np.ndarray]:
    """Return (H, W) uint8 and the colors (256, 3) uint8 that it counts in.

    Where nothing was measured the index is 0, which is a color of the table like any other.
    """
    near, far = depth_range(depth_m, look.range_m)
    shade = np.zeros(depth_m.shape, np.float32)
    np.subtract(
        depth_m, np.float32(near), out=shade, where=where_measured(depth_m), dtype=np.float32, casting="same_kind"
    )
    shade *= np.float32(255 / (far - near))
    np.clip(np.rint(shade, out=shade), 0, 255, out=shade)
    table = _table(look.colors)
    return shade.astype(np.uint8), table[::-1] if look.near_bright else table


def heatmap_figure(
    depth_m: np.ndarray, look: Look = DEFAULT_LOOK, *, uncertainty: Uncertainty | None = None
) -> go.Figure:
    """Draw `depth_m` (H, W) as a heatmap at the photo's aspect; hover reads the photo's pixel and metres.

    uncertainty  what the metres are worth: next to them under the cursor, and at the color bar
    """
    depth, *_ = sample_depth(depth_m, look.samples("heatmap"))
    metres = f"%{{z:.2r}} m {uncertainty.note}" if uncertainty else "%{z:.2f} m"
    trace = go.Heatmap(
        z=depth,
        **_pixel_axes(depth_m.shape, depth.shape),
        hovertemplate=f"x %{{x:.0f}}, y %{{y:.0f}} · {metres}<extra></extra>",
        **_HEATMAP,
    )
    figure = _picture(trace, depth_m.shape, _depth_axis(depth_m, look), empty=bool(np.isnan(depth).all()))
    figure.layout.coloraxis.colorbar.title.text = f"m{_worth(uncertainty, '<br>')}"
    return figure


def surface_figure(
    depth_m: np.ndarray,
    camera: Camera,
    rgb: np.ndarray | None = None,
    look: Look = DEFAULT_LOOK,
    *,
    uncertainty: Uncertainty | None = None,
    lines: Iterable[tuple[np.ndarray, str]] = (),
) -> go.Figure:
    """Draw `depth_m` (H, W) in 3D, in metres at equal scale, first seen from the camera's own place.

    rgb          (h, w, 3) uint8, the photo at any size; None colors by depth, whatever the look's texture
    uncertainty  what the metres are worth: next to each of them under the cursor, and at the color bar
    lines        what was measured: places (N, 3), metres in camera axes, and a text for their middle
    """
    textured = rgb is not None and look.texture == "photo"
    grid = surface_grid(
        depth_m, camera, rgb if textured else None, samples=look.samples(look.style), edge_cut=look.edge_cut
    )
    figure = go.Figure(_scene_trace(grid, look, uncertainty), _layout())
    figure.add_traces([_line_trace(places, text) for places, text in lines])
    figure.layout.scene = _scene(grid)
    figure.layout.showlegend = False
    if not textured:
        figure.layout.coloraxis = _depth_axis(depth_m, look)
        figure.layout.coloraxis.colorbar.title.text = f"m{_worth(uncertainty, '<br>')}"
    if np.isnan(grid.depth_m).all():
        _say_empty(figure)
    return figure


def histogram_figure(
    depth_m: np.ndarray, look: Look = DEFAULT_LOOK, *, bins: int = 60, uncertainty: Uncertainty | None = None
) -> go.Figure:
    """Draw how much of the photo is at which depth: share of all pixels, per bin, in the heatmap's colors.

    The bins cover the full range, whatever the look's; `uncertainty` stands next to the metres under the cursor.
    """
    near, far = depth_range(depth_m, "full")
    counts, edges = np.histogram(depth_m[is_measured(depth_m)], bins=bins, range=(near, far))
    middle = (edges[:-1] + edges[1:]) / 2
    trace = go.Bar(
        x=middle.astype(np.float32),
        y=(100 * counts / depth_m.size).astype(np.float32),
        width=float(edges[1] - edges[0]),
        customdata=np.stack([edges[:-1], edges[1:]], axis=-1).astype(np.float32),
        marker={"color": middle.astype(np.float32), "coloraxis": "coloraxis", "line": {"width": 0}},
        hovertemplate=(
            f"%{{customdata[0]:.2f}}–%{{customdata[1]:.2f}} m{_worth(uncertainty)} · %{{y:.1f}} %<extra></extra>"
        ),
    )
    figure = go.Figure(trace, _layout())
    axis = {"gridcolor": _LINE, "zeroline": False, "linecolor": _LINE}
    figure.update_layout(
        xaxis=axis | {"title": f"depth (m{_worth(uncertainty)})", "range": (near, far)},
        yaxis=axis | {"title": "share of the photo (%)", "rangemode": "tozero"},
        bargap=0,
        margin={"l": 56, "b": 48},
        coloraxis=_depth_axis(depth_m, look) | {"showscale": False},
    )
    if not counts.any():
        _say_empty(figure)
    return figure


_HEATMAP = {"coloraxis": "coloraxis", "hoverongaps": False, "zsmooth": False, "name": ""}


def _pixel_axes(size: tuple[int, ...], samples: tuple[int, ...]) -> dict[str, float]:
    """Return the center of the first sample and the step between them, so that all together cover the photo."""
    dy, dx = size[0] / samples[0], size[1] / samples[1]
    return {"x0": (dx - 1) / 2, "dx": dx, "y0": (dy - 1) / 2, "dy": dy}


def _picture(trace: go.Heatmap, size: tuple[int, ...], coloraxis: dict[str, Any], *, empty: bool) -> go.Figure:
    height, width = size
    figure = go.Figure(trace, _layout())
    axis = {"visible": False, "constrain": "domain"}
    figure.update_layout(
        xaxis=axis | {"range": (-0.5, width - 0.5)},
        yaxis=axis | {"range": (height - 0.5, -0.5), "scaleanchor": "x"},
        coloraxis=coloraxis,
    )
    if empty:
        _say_empty(figure)
    return figure


def _layout() -> dict[str, Any]:
    return {
        "template": "none",
        "uirevision": _UIREVISION,
        "paper_bgcolor": _PAPER,
        "plot_bgcolor": _PAPER,
        "font": {"color": _INK, "size": 13},
        "hoverlabel": {"bgcolor": _PAPER, "bordercolor": _LINE, "font": {"color": _INK}},
        "margin": {"l": 8, "r": 8, "t": 24, "b": 8},
    }


def _depth_axis(depth_m: np.ndarray, look: Look) -> dict[str, Any]:
    return _coloraxis(color_map(look.colors), depth_range(depth_m, look.range_m), look.near_bright)


def _coloraxis(colors: ColorMap, range_m: tuple[float, float], near_bright: bool) -> dict[str, Any]:
    return {
        "colorscale": [list(stop) for stop in colors],
        "cmin": range_m[0],
        "cmax": range_m[1],
        "reversescale": near_bright,
        "colorbar": {
            "title": {"text": "m", "side": "top"},
            "thickness": 14,
            "outlinewidth": 0,
            "ticks": "outside",
            "nticks": 9,
            "exponentformat": "none",
        },
    }


def _worth(uncertainty: Uncertainty | None, before: str = " ") -> str:
    return before + uncertainty.note if uncertainty else ""


def _scene_trace(grid: Grid, look: Look, uncertainty: Uncertainty | None) -> Any:
    faces = cut_faces(grid, edge_cut=look.edge_cut)
    text = "%{y:.2f} m away<br>%{x:+.2f} m right, %{z:+.2f} m up"
    if uncertainty:  # two digits: more are not known
        text = f"%{{y:.2r}} m away<br>%{{x:.2r}} m right, %{{z:.2r}} m up<br>all {uncertainty.note}"
    hover = {"hovertemplate": text + "<extra></extra>", "name": ""}
    # Of a trace with the same uid, plotly.js 3.3 keeps the colors by depth and mixes the photo's with them.
    hover["uid"] = "depth" if grid.rgb is None else "photo"
    if look.style == "points" or not len(faces):
        return _points_trace(grid, hover)
    return _mesh_trace(grid, faces, hover, lit=look.style == "mesh")


def _points_trace(grid: Grid, hover: dict[str, Any]) -> go.Scatter3d:
    valid = ~np.isnan(grid.depth_m)
    x, y, z = _to_scene(grid.points[valid])
    color = {"color": y, "coloraxis": "coloraxis"} if grid.rgb is None else _palette(grid.rgb[valid])
    return go.Scatter3d(x=x, y=y, z=z, mode="markers", marker={"size": 2, "line": {"width": 0}} | color, **hover)


def _line_trace(places: np.ndarray, text: str) -> go.Scatter3d:
    """Draw a measured line with its text at the nearest place, where nothing hides it."""
    x, y, z = _to_scene(places)
    texts = [""] * len(places)
    texts[int(places[:, 2].argmin())] = text
    return go.Scatter3d(
        x=x,
        y=y,
        z=z,
        mode="lines+markers+text",
        text=texts,
        textposition="top center",
        textfont={"color": _INK, "size": 14},
        line={"color": _MEASURED_COLOR, "width": 6},
        marker={"color": _MEASURED_COLOR, "size": 4},
        hovertemplate=f"{text}<extra></extra>",
    )


def _palette(rgb: np.ndarray) -> dict[str, Any]:
    """Return marker settings that give each of `rgb` (N, 3) uint8 the likest of 256 colors: a byte each, not seven."""
    if not len(rgb):
        return {}
    image = Image.fromarray(rgb[None]).quantize(256)
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    stops = [[place, color] for place, color in zip(np.linspace(0, 1, len(palette)), _hex_colors(palette), strict=True)]
    if len(stops) == 1:
        stops = [[0, stops[0][1]], [1, stops[0][1]]]
    return {"color": np.asarray(image)[0], "colorscale": stops, "cmin": 0, "cmax": max(1, len(palette) - 1)}


def _mesh_trace(grid: Grid, faces: np.ndarray, hover: dict[str, Any], *, lit: bool) -> go.Mesh3d:
    used, faces = np.unique(faces, return_inverse=True)
    i, j, k = faces.reshape(-1, 3).T.astype(np.uint16 if used.size <= 65_536 else np.uint32)
    x, y, z = _to_scene(grid.points.reshape(-1, 3)[used])
    if grid.rgb is None:
        color = {"intensity": y, "coloraxis": "coloraxis"}
    else:
        color = {"vertexcolor": _hex_colors(grid.rgb.reshape(-1, 3)[used])}
    return go.Mesh3d(x=x, y=y, z=z, i=i, j=j, k=k, **color, **(_LIT if lit else _FLAT_LIGHT), **hover)


# In view coordinates (x right, y up, z to the viewer): a lamp over the left shoulder that follows the eye. plotly.js
# takes triangles smaller than its epsilons for degenerate and leaves them unlit; ours are small, not degenerate.
_LIT = {
    "flatshading": True,
    "lighting": {
        "ambient": 0.5,
        "diffuse": 0.6,
        "specular": 0.03,
        "roughness": 0.9,
        "fresnel": 0.0,
        "facenormalsepsilon": 0,
        "vertexnormalsepsilon": 0,
    },
    "lightposition": {"x": -4e4, "y": 6e4, "z": 1e5},
}
_FLAT_LIGHT = {"lighting": {"ambient": 1, "diffuse": 0, "specular": 0}}


def _to_scene(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn OpenCV's axes (x right, y down, z forward) to the scene's (x right, y forward, z up): a rotation."""
    x, y, z = (np.ascontiguousarray(points[..., axis], np.float32) for axis in (0, 2, 1))
    return x, y, -z


OFF_AXIS_DEG = 12.0


def _scene(grid: Grid) -> dict[str, Any]:
    """Return a scene in which a metre is as long along x, y and z.

    The eye is as far from the middle as the photo's camera was, or further back where all would not be seen, and
    OFF_AXIS_DEG to the right of it: from the camera's own place a surface looks as flat as the photo.
    """
    points = grid.points[~np.isnan(grid.depth_m)]
    if not len(points):
        points = np.array([[0, 0, 1]], np.float32)
    xyz = np.stack(_to_scene(points), axis=-1).astype(float)
    low, high = xyz.min(axis=0), xyz.max(axis=0)
    # A plane, a line or a point still makes a box, and nothing lies on its sides, where plotly.js would clip it.
    pad = np.maximum(0.01 * (high - low), (0.05 * high[1] - (high - low)) / 2)
    low, high = low - pad, high + pad
    middle, unit = (low + high) / 2, 2 / (high - low).max()
    tan = math.tan(math.radians(_SCENE_FOV_DEG / 2))
    behind = max(0.0, (np.maximum(np.abs(xyz[:, 2]), np.abs(xyz[:, 0]) / _SCENE_ASPECT) / tan - xyz[:, 1]).max())
    distance, turn = float(np.median(xyz[:, 1])), math.radians(OFF_AXIS_DEG)
    center = np.array([0, distance, 0]) - middle
    eye = center + (distance + behind) * np.array([math.sin(turn), -math.cos(turn), 0])
    axes = {
        f"{name}axis": {
            "title": {"text": text},
            "range": (low[number], high[number]),
            "nticks": 6,
            "gridcolor": _LINE,
            "zeroline": False,
            "showbackground": False,
            "showspikes": False,
        }
        for number, (name, text) in enumerate((("x", "right (m)"), ("y", "depth (m)"), ("z", "up (m)")))
    }
    return axes | {
        "uirevision": _UIREVISION,
        "aspectmode": "manual",
        "aspectratio": _xyz((high - low) * unit),
        "camera": {"up": _xyz((0, 0, 1)), "eye": _xyz(eye * unit), "center": _xyz(center * unit)},
        "dragmode": "turntable",
        "bgcolor": _PAPER,
    }


def _xyz(values: Any) -> dict[str, float]:
    return dict(zip("xyz", (float(value) for value in values), strict=True))


def color_map(name: str) -> ColorMap:
    """Look a color map up, whatever the case of its name. Raises ConfigError if it is unknown."""
    found = next((stops for known, stops in COLOR_MAPS.items() if known.lower() == name.lower()), None)
    if found is None:
        raise ConfigError(f"Unknown color map {name!r}. Known: {', '.join(COLOR_MAPS)}.")
    return found


def _table(colors: str) -> np.ndarray:
    """Return 256 colors (256, 3) uint8 from far to near."""
    stops = color_map(colors)
    places = [place for place, _ in stops]
    channels = np.array([hex_to_rgb(color) for _, color in stops], float).T
    shades = np.linspace(0, 1, 256)
    return np.stack([np.interp(shades, places, channel) for channel in channels], axis=-1).round().astype(np.uint8)


def _hex_colors(rgb: np.ndarray) -> list[str]:
    red, green, blue = rgb.astype(np.uint32).T
    return [f"#{code:06x}" for code in (red << 16 | green << 8 | blue).tolist()]


def _say_empty(figure: go.Figure) -> None:
    figure.add_annotation(
        text="no depth was measured here", x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 15}
    )
