"""Depth map -> Plotly figures and coloured images. Display only: nothing here changes a number.

Figures are for plotly.js 3, offline or in a page. All colours of a figure hang on `layout.coloraxis`, and constant
`uirevision`s keep a visitor's zoom and viewpoint when a figure is replaced by `Plotly.react`.

The scene of a 3D figure is x right, y forward, z up, in metres at equal scale: OpenCV's axes turned a quarter about x,
so left stays left. It is first seen from the camera's own place, or from as little behind it as shows all.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from plotly.colors import get_colorscale, hex_to_rgb, unlabel_rgb

from .camera import Camera
from .errors import ConfigError
from .geometry import (
    EDGE_CUT,
    Grid,
    cut_faces,
    depth_range,
    is_measured,
    sample_depth,
    surface_grid,
)

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
        "grey": _color_map("gray"),
        "Spectral": _color_map("spectral_r"),
        "thermal": _color_map("thermal"),
        "ice": _color_map("ice"),
    }
)
ERROR_COLORS = _color_map("rdbu_r")

STYLES = ("surface", "mesh", "points")
TEXTURES = ("depth", "photo")

# Samples per figure. In its JSON a heatmap's sample takes 5 to 7 bytes, a point up to 26, a vertex with faces up to 52.
DETAILS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "draft": MappingProxyType({"heatmap": 40_000, "surface": 8_000, "mesh": 8_000, "points": 15_000}),
        "standard": MappingProxyType({"heatmap": 135_000, "surface": 26_000, "mesh": 26_000, "points": 52_000}),
        "fine": MappingProxyType({"heatmap": 600_000, "surface": 120_000, "mesh": 120_000, "points": 240_000}),
    }
)

_UIREVISION = "glpn"
# plotly.js' 3D scenes have this vertical field of view, whatever the photo's; their panes are at least this wide.
_SCENE_FOV_DEG = 45.0
_SCENE_ASPECT = 1.25


@dataclass(frozen=True)
class _Look:
    ink: str
    paper: str
    line: str


_LIGHT = _Look(ink="#1f2937", paper="#ffffff", line="#d1d5db")
_DARK = _Look(ink="#e5e7eb", paper="#111827", line="#374151")


def colorize(
    depth_m: np.ndarray,
    *,
    colors: str = "turbo",
    range_m: str | tuple[float, float] | None = "robust",
    near_bright: bool = True,
) -> np.ndarray:
    """Return `depth_m` (H, W) as colours (H, W, 3) uint8; black where nothing was measured.

    Depth outside `range_m` (see `geometry.depth_range`) takes the colour of the nearest end. `near_bright` gives near
    things the bright or warm end of the colour map.
    """
    near, far = depth_range(depth_m, range_m)
    measured = is_measured(depth_m)
    shade = np.zeros(depth_m.shape, np.float32)
    np.multiply(np.float32(1) * depth_m - np.float32(near), np.float32(255 / (far - near)), out=shade, where=measured)
    index = np.clip(np.round(shade), 0, 255).astype(np.uint8)
    table = _table(colors)
    image = (table[::-1] if near_bright else table)[index]
    image[~measured] = 0
    return image


def heatmap_figure(
    depth_m: np.ndarray,
    *,
    colors: str = "turbo",
    range_m: str | tuple[float, float] | None = "robust",
    near_bright: bool = True,
    detail: str = "standard",
    dark: bool = False,
    title: str | None = None,
) -> go.Figure:
    """Draw `depth_m` (H, W) as a heatmap at the photo's aspect; hover reads the photo's pixel and metres.

    range_m  "robust" (2nd to 98th percentile; also None), "full" or (near, far) in metres
    detail   one of DETAILS: more samples make a larger figure
    """
    depth, *_ = sample_depth(depth_m, _samples(detail, "heatmap"))
    trace = go.Heatmap(
        z=depth,
        **_pixel_axes(depth_m.shape, depth.shape),
        hovertemplate="x %{x:.0f}, y %{y:.0f} · %{z:.2f} m<extra></extra>",
        **_HEATMAP,
    )
    coloraxis = _coloraxis(colors, depth_range(depth_m, range_m), near_bright)
    return _picture(trace, depth_m.shape, coloraxis, dark, title, empty=bool(np.isnan(depth).all()))


def error_figure(
    depth_m: np.ndarray,
    reference_m: np.ndarray,
    *,
    range_m: float | None = None,
    relative: bool = False,
    detail: str = "standard",
    dark: bool = False,
    title: str | None = None,
) -> go.Figure:
    """Draw `depth_m` minus `reference_m`, both (H, W): red where too far, blue where too near, both ends alike.

    range_m   error at both ends of the colours; None takes the 98th percentile of its size
    relative  whether errors, and `range_m`, are percent of the reference rather than metres

    Pixels measured in only one of the two stay empty.
    """
    if depth_m.shape != reference_m.shape:
        raise ConfigError(
            f"The depth maps differ in size: {depth_m.shape} and {reference_m.shape}. Resize one of them."
        )
    samples = _samples(detail, "heatmap")
    both = is_measured(depth_m) & is_measured(reference_m)
    depth, *_ = sample_depth(np.where(both, depth_m, np.nan), samples)
    reference, *_ = sample_depth(np.where(both, reference_m, np.nan), samples)
    error = 100 * (depth - reference) / reference if relative else depth - reference
    sizes = np.abs(error[~np.isnan(error)])
    limit = range_m or (float(np.percentile(sizes, 98)) if sizes.size else 0.0) or 0.01
    trace = go.Heatmap(
        z=error,
        **_pixel_axes(depth_m.shape, error.shape),
        hovertemplate=f"x %{{x:.0f}}, y %{{y:.0f}} · %{{z:{'+.0f} %' if relative else '+.2f} m'}<extra></extra>",
        **_HEATMAP,
    )
    coloraxis = _coloraxis(ERROR_COLORS, (-limit, limit), near_bright=False, unit="%" if relative else "m")
    return _picture(trace, depth_m.shape, coloraxis, dark, title, empty=not sizes.size)


def surface_figure(
    depth_m: np.ndarray,
    camera: Camera,
    rgb: np.ndarray | None = None,
    *,
    style: str = "surface",
    texture: str = "depth",
    colors: str = "turbo",
    range_m: str | tuple[float, float] | None = "robust",
    near_bright: bool = True,
    detail: str = "standard",
    edge_cut: float = EDGE_CUT,
    dark: bool = False,
    title: str | None = None,
) -> go.Figure:
    """Draw `depth_m` (H, W) in 3D, in metres at equal scale, first seen from the camera's own place.

    rgb      (h, w, 3) uint8, the photo at any size; needed for texture "photo"
    style    "surface" (smooth), "mesh" (triangles in a light that shows their shape) or "points"
    texture  "depth" or "photo"
    """
    grid, trace = _scene_trace(depth_m, camera, rgb, style, texture, _samples(detail, style), edge_cut)
    look = _DARK if dark else _LIGHT
    figure = go.Figure(trace, _layout(look, title))
    figure.layout.scene = _scene([grid], look)
    if texture == "depth":
        figure.layout.coloraxis = _coloraxis(colors, depth_range(depth_m, range_m), near_bright)
    if np.isnan(grid.depth_m).all():
        _say_empty(figure)
    return figure


def side_by_side_figure(
    left_m: np.ndarray,
    right_m: np.ndarray,
    camera: Camera,
    rgb: np.ndarray | None = None,
    *,
    titles: tuple[str, str] = ("", ""),
    style: str = "surface",
    texture: str = "depth",
    colors: str = "turbo",
    range_m: str | tuple[float, float] | None = "robust",
    near_bright: bool = True,
    detail: str = "standard",
    edge_cut: float = EDGE_CUT,
    dark: bool = False,
) -> go.Figure:
    """Draw two depth maps (H, W) of one photo as two 3D scenes of the same scale, colours and viewpoint."""
    samples = _samples(detail, style) // 2
    look = _DARK if dark else _LIGHT
    figure = go.Figure(layout=_layout(look, None))
    parts = [_scene_trace(depth, camera, rgb, style, texture, samples, edge_cut) for depth in (left_m, right_m)]
    grids = [grid for grid, _ in parts]
    for number, ((_, trace), title) in enumerate(zip(parts, titles, strict=True)):
        name, domain = ("scene", (0.0, 0.495)) if number == 0 else ("scene2", (0.505, 1.0))
        trace.scene = name
        figure.add_trace(trace)
        figure.layout[name] = _scene(grids, look, aspect=_SCENE_ASPECT / 2) | {"domain": {"x": domain}}
        figure.add_annotation(
            text=_plain(title), x=sum(domain) / 2, y=1, xref="paper", yref="paper", yanchor="bottom", showarrow=False
        )
    if texture == "depth":
        both = np.concatenate([grid.depth_m.ravel() for grid in grids])
        figure.layout.coloraxis = _coloraxis(colors, depth_range(both, range_m), near_bright)
    return figure


def histogram_figure(
    depth_m: np.ndarray,
    *,
    colors: str = "turbo",
    range_m: str | tuple[float, float] | None = "full",
    near_bright: bool = True,
    bins: int = 60,
    dark: bool = False,
    title: str | None = None,
) -> go.Figure:
    """Draw how much of the photo lies at which depth: share of all pixels, per bin, in the heatmap's colours."""
    near, far = depth_range(depth_m, range_m)
    counts, edges = np.histogram(depth_m[is_measured(depth_m)], bins=bins, range=(near, far))
    middle = (edges[:-1] + edges[1:]) / 2
    look = _DARK if dark else _LIGHT
    trace = go.Bar(
        x=middle.astype(np.float32),
        y=(100 * counts / depth_m.size).astype(np.float32),
        width=float(edges[1] - edges[0]),
        customdata=np.stack([edges[:-1], edges[1:]], axis=-1).astype(np.float32),
        marker={"color": middle.astype(np.float32), "coloraxis": "coloraxis", "line": {"width": 0}},
        hovertemplate="%{customdata[0]:.2f}–%{customdata[1]:.2f} m · %{y:.1f} %<extra></extra>",
    )
    figure = go.Figure(trace, _layout(look, title))
    axis = {"gridcolor": look.line, "zeroline": False, "linecolor": look.line}
    figure.update_layout(
        xaxis=axis | {"title": "depth (m)", "range": (near, far)},
        yaxis=axis | {"title": "share of the photo (%)", "rangemode": "tozero"},
        bargap=0,
        margin={"l": 56, "b": 48},
        coloraxis=_coloraxis(colors, depth_range(depth_m, "robust"), near_bright) | {"showscale": False},
    )
    if not counts.any():
        _say_empty(figure)
    return figure


_HEATMAP = {"coloraxis": "coloraxis", "hoverongaps": False, "zsmooth": False, "name": ""}


def _pixel_axes(size: tuple[int, ...], samples: tuple[int, ...]) -> dict[str, float]:
    """Return the centre of the first sample and the step between them, so that all together cover the photo."""
    dy, dx = size[0] / samples[0], size[1] / samples[1]
    return {"x0": (dx - 1) / 2, "dx": dx, "y0": (dy - 1) / 2, "dy": dy}


def _picture(
    trace: go.Heatmap, size: tuple[int, ...], coloraxis: dict[str, Any], dark: bool, title: str | None, *, empty: bool
) -> go.Figure:
    height, width = size
    figure = go.Figure(trace, _layout(_DARK if dark else _LIGHT, title))
    axis = {"visible": False, "constrain": "domain"}
    figure.update_layout(
        xaxis=axis | {"range": (-0.5, width - 0.5)},
        yaxis=axis | {"range": (height - 0.5, -0.5), "scaleanchor": "x"},
        coloraxis=coloraxis,
    )
    if empty:
        _say_empty(figure)
    return figure


def _layout(look: _Look, title: str | None) -> dict[str, Any]:
    return {
        "template": "none",
        "uirevision": _UIREVISION,
        "paper_bgcolor": look.paper,
        "plot_bgcolor": look.paper,
        "font": {"color": look.ink, "size": 13},
        "hoverlabel": {"bgcolor": look.paper, "bordercolor": look.line, "font": {"color": look.ink}},
        "margin": {"l": 8, "r": 8, "t": 40 if title else 24, "b": 8},
        "title": {"text": _plain(title), "x": 0.5} if title else None,
    }


def _coloraxis(
    colors: str | ColorMap, range_m: tuple[float, float], near_bright: bool, *, unit: str = "m"
) -> dict[str, Any]:
    return {
        "colorscale": [list(stop) for stop in (color_map(colors) if isinstance(colors, str) else colors)],
        "cmin": range_m[0],
        "cmax": range_m[1],
        "reversescale": near_bright,
        "colorbar": {
            "title": {"text": unit, "side": "top"},
            "thickness": 14,
            "outlinewidth": 0,
            "ticks": "outside",
            "nticks": 9,
            "exponentformat": "none",
        },
    }


def _scene_trace(
    depth_m: np.ndarray,
    camera: Camera,
    rgb: np.ndarray | None,
    style: str,
    texture: str,
    samples: int,
    edge_cut: float,
) -> tuple[Grid, Any]:
    if texture not in TEXTURES:
        raise ConfigError(f"Unknown texture {texture!r}. Known: {', '.join(TEXTURES)}.")
    if texture == "photo" and rgb is None:
        raise ConfigError("Texture 'photo' needs the photo. Give `rgb`, or texture='depth'.")
    grid = surface_grid(depth_m, camera, rgb if texture == "photo" else None, samples=samples, edge_cut=edge_cut)
    faces = cut_faces(grid, edge_cut=edge_cut)
    hover = {"hovertemplate": "%{y:.2f} m away<br>%{x:+.2f} m right, %{z:+.2f} m up<extra></extra>", "name": ""}
    if style == "points" or not len(faces):
        return grid, _points_trace(grid, hover)
    return grid, _mesh_trace(grid, faces, hover, lit=style == "mesh")


def _points_trace(grid: Grid, hover: dict[str, Any]) -> go.Scatter3d:
    valid = ~np.isnan(grid.depth_m)
    x, y, z = _to_scene(grid.points[valid])
    color = {"color": y, "coloraxis": "coloraxis"} if grid.rgb is None else _palette(grid.rgb[valid])
    return go.Scatter3d(x=x, y=y, z=z, mode="markers", marker={"size": 2, "line": {"width": 0}} | color, **hover)


def _palette(rgb: np.ndarray) -> dict[str, Any]:
    """Return marker settings that give each of `rgb` (N, 3) uint8 the likest of 256 colours: a byte each, not seven."""
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
    return go.Mesh3d(x=x, y=y, z=z, i=i, j=j, k=k, **color, **(_LIT if lit else _UNLIT), **hover)


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
_UNLIT = {"lighting": {"ambient": 1, "diffuse": 0, "specular": 0}}


def _to_scene(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn OpenCV's axes (x right, y down, z forward) to the scene's (x right, y forward, z up): a rotation."""
    x, y, z = (np.ascontiguousarray(points[..., axis], np.float32) for axis in (0, 2, 1))
    return x, y, -z


def _scene(grids: list[Grid], look: _Look, *, aspect: float = _SCENE_ASPECT) -> dict[str, Any]:
    """Return a scene in which a metre is as long along x, y and z and the eye is the camera's."""
    points = np.concatenate([grid.points[~np.isnan(grid.depth_m)] for grid in grids])
    if not len(points):
        points = np.array([[0, 0, 1]], np.float32)
    xyz = np.stack(_to_scene(points), axis=-1).astype(float)
    low, high = xyz.min(axis=0), xyz.max(axis=0)
    # A plane, a line or a point still makes a box, and nothing lies on its sides, where plotly.js would clip it.
    pad = np.maximum(0.01 * (high - low), (0.05 * high[1] - (high - low)) / 2)
    low, high = low - pad, high + pad
    middle, unit = (low + high) / 2, 2 / (high - low).max()
    tan = math.tan(math.radians(_SCENE_FOV_DEG / 2))
    behind = max(0.0, (np.maximum(np.abs(xyz[:, 2]), np.abs(xyz[:, 0]) / aspect) / tan - xyz[:, 1]).max())
    eye, center = (np.array([0, y, 0]) - middle for y in (-behind, float(np.median(xyz[:, 1]))))
    axes = {
        f"{name}axis": {
            "title": {"text": text},
            "range": (low[number], high[number]),
            "nticks": 6,
            "gridcolor": look.line,
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
        "bgcolor": look.paper,
    }


def _xyz(values: Any) -> dict[str, float]:
    return dict(zip("xyz", (float(value) for value in values), strict=True))


def color_map(name: str) -> ColorMap:
    """Look a colour map up, whatever the case of its name. Raises ConfigError if it is unknown."""
    found = next((stops for known, stops in COLOR_MAPS.items() if known.lower() == name.lower()), None)
    if found is None:
        raise ConfigError(f"Unknown colour map {name!r}. Known: {', '.join(COLOR_MAPS)}.")
    return found


def _table(colors: str) -> np.ndarray:
    """Return 256 colours (256, 3) uint8 from far to near."""
    stops = color_map(colors)
    places = [place for place, _ in stops]
    channels = np.array([hex_to_rgb(color) for _, color in stops], float).T
    shades = np.linspace(0, 1, 256)
    return np.stack([np.interp(shades, places, channel) for channel in channels], axis=-1).round().astype(np.uint8)


def _hex_colors(rgb: np.ndarray) -> list[str]:
    red, green, blue = rgb.astype(np.uint32).T
    return [f"#{code:06x}" for code in (red << 16 | green << 8 | blue).tolist()]


def _samples(detail: str, kind: str) -> int:
    if detail not in DETAILS:
        raise ConfigError(f"Unknown detail {detail!r}. Known: {', '.join(DETAILS)}.")
    if kind not in DETAILS[detail]:
        raise ConfigError(f"Unknown style {kind!r}. Known: {', '.join(STYLES)}.")
    return DETAILS[detail][kind]


def _plain(text: str | None) -> str:
    """Return `text` so that Plotly, which reads some HTML, shows it as it is."""
    return (text or "").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _say_empty(figure: go.Figure) -> None:
    figure.add_annotation(
        text="no depth was measured here", x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 15}
    )
