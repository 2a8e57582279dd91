"""What each tab shows of a result: pure functions of the result, the choices and a folder. None runs a model."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glpn import rendering
from glpn.geometry import depth_range, is_measured
from glpn.prediction import DepthPrediction

from . import cards
from .links import Choices
from .session import Result, Session


def colour_range(choices: Choices) -> Any:
    """Return what `rendering` takes for `range_m`."""
    return (choices.low, choices.high) if choices.range == "fixed" else choices.range


def heatmap(result: Result, choices: Choices, *, with_still: bool = False) -> str:
    figure = rendering.heatmap_figure(
        result.prediction.depth_m,
        colors=choices.colors,
        range_m=colour_range(choices),
        near_bright=choices.near == "bright",
        detail=choices.detail,
    )
    height, width = result.prediction.size
    figure.layout.meta = {"aspect": width / height} | ({"still": still(result, choices)} if with_still else {})
    return _json(figure, result)


def still(result: Result, choices: Choices) -> str:
    """Return a small picture of the depth in colours as a data URL: what is seen until Plotly has been read."""
    coloured = rendering.colorize(
        result.prediction.depth_m,
        colors=choices.colors,
        range_m=colour_range(choices),
        near_bright=choices.near == "bright",
    )
    jpeg = io.BytesIO()
    _shrunk(coloured, 480).save(jpeg, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()


def surface(result: Result, choices: Choices) -> str:
    figure = rendering.surface_figure(
        result.prediction.depth_m,
        result.prediction.camera,
        result.rgb,
        style=choices.style,
        texture=choices.texture,
        colors=choices.colors,
        range_m=colour_range(choices),
        near_bright=choices.near == "bright",
        detail=choices.detail,
        edge_cut=choices.cut,
    )
    return _json(figure, result)


def histogram(result: Result, choices: Choices) -> str:
    figure = rendering.histogram_figure(
        result.prediction.depth_m, colors=choices.colors, near_bright=choices.near == "bright"
    )
    return _json(figure, result)


def maps(named: Sequence[tuple[str, np.ndarray]], choices: Choices) -> str:
    """Draw depth maps (H, W) of one size side by side in one colour range; zooming one zooms all."""
    every = np.concatenate([depth_m[::4, ::4].ravel() for _, depth_m in named])
    range_m = depth_range(every[:, None], colour_range(choices))
    rows = (len(named) + 1) // 2
    figure: Any = None
    for index, (label, depth_m) in enumerate(named):
        own = rendering.heatmap_figure(
            depth_m,
            colors=choices.colors,
            range_m=range_m,
            near_bright=choices.near == "bright",
            detail="draft" if len(named) > 2 else "standard",
        )
        name = str(index + 1) if index else ""
        row, column = divmod(index, 2)
        x = {"domain": (0.505 * column, 0.505 * column + 0.495), "anchor": f"y{name}"}
        y = {"domain": (1 - (row + 0.98) / rows, 1 - row / rows), "anchor": f"x{name}", "scaleanchor": f"x{name}"}
        if index:
            x["matches"], y["matches"] = "x", "y"
            own.data[0].update(xaxis=f"x{name}", yaxis=f"y{name}")
            figure.add_trace(own.data[0])
        else:
            figure = own
        figure.layout[f"xaxis{name}"] = own.layout.xaxis.update(x)
        figure.layout[f"yaxis{name}"] = own.layout.yaxis.update(y)
        figure.add_annotation(
            text=escape(label).replace(", ", "<br>"),
            x=0,
            y=1,
            xref=f"x{name} domain",
            yref=f"y{name} domain",
            xanchor="left",
            yanchor="top",
            showarrow=False,
            align="left",
            borderpad=4,
            bgcolor="rgba(15, 23, 42, 0.78)",
            font={"color": "#ffffff", "size": 12},
        )
    height, width = named[0][1].shape
    figure.layout.meta = {"aspect": 2 * width / height / rows}
    return str(figure.to_json())


def error_map(depth_m: np.ndarray, reference_m: np.ndarray, *, relative: bool = False) -> str:
    """Draw how far `depth_m` is from `reference_m`, in metres or percent."""
    figure = rendering.error_figure(depth_m, reference_m, relative=relative)
    figure.layout.meta = {"aspect": reference_m.shape[1] / reference_m.shape[0]}
    return str(figure.to_json())


def slider(result: Result, choices: Choices, folder: Path) -> tuple[str, str]:
    """Return the files of the photo and of its depth in colours, of equal size."""
    coloured = rendering.colorize(
        result.prediction.depth_m,
        colors=choices.colors,
        range_m=colour_range(choices),
        near_bright=choices.near == "bright",
    )
    depth = folder / f"slider-{choices.colors}.jpg"
    _shrunk(coloured).save(depth, quality=90)
    return str(photo_file(result, folder)), str(depth)


def photo_file(result: Result, folder: Path) -> Path:
    """Return the photo as a JPEG file that the page can show; written once per result."""
    path = folder / f"photo-{result.token}.jpg"
    if not path.exists():
        _shrunk(result.rgb).save(path, quality=90)
    return path


def depth_file(result: Result, folder: Path, *, samples: int = 60_000) -> dict[str, Any]:
    """Return where the page finds the depth that it shows under the cursor: at most about `samples` of its pixels.

    The file holds uint16 (rows, columns), little endian, in steps of `step` metres; 0 where nothing was measured.
    """
    depth_m = result.prediction.depth_m
    share = min(1.0, (samples / depth_m.size) ** 0.5)
    rows, columns = (max(1, round(side * share)) for side in depth_m.shape)
    picked = depth_m[np.ix_(*(_centres(*sides) for sides in zip(depth_m.shape, (rows, columns), strict=True)))]
    measured = is_measured(picked)
    step = float(picked.max(where=measured, initial=0.001)) / 65_535
    path = folder / f"depth-{result.token}.bin"
    if not path.exists():
        path.write_bytes(np.round(np.where(measured, picked, 0) / step).astype("<u2").tobytes())
    return {"src": f"gradio_api/file={path}", "rows": rows, "columns": columns, "step": step}


def _centres(side: int, parts: int) -> np.ndarray:
    """Return the pixels nearest to the middles of `parts` equal parts of `side` pixels."""
    return ((np.arange(parts) + 0.5) * side / parts).astype(int)


def measured(session: Session) -> dict[str, Any] | None:
    """Return the value of the measuring photo: the session's points, paired, with the distance of each pair."""
    result = session.result
    if result is None:
        return None
    height, width = result.prediction.size
    lines = [{"a": a, "b": b, "text": f"{distance(result.prediction, a, b):.2f} m"} for a, b in pairs(session.points)]
    return {
        "src": f"gradio_api/file={photo_file(result, session.folder)}",
        "width": width,
        "height": height,
        "points": session.points,
        "lines": lines,
        "depth": depth_file(result, session.folder),
    }


def pairs(points: tuple[tuple[int, int], ...]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    return list(zip(points[::2], points[1::2], strict=False))


def position(prediction: DepthPrediction, point: tuple[int, int]) -> np.ndarray:
    """Return the 3D position (3,) in metres, camera axes, of pixel (x, y)."""
    x, y = point
    camera = prediction.camera
    depth = float(prediction.depth_m[y, x])
    return np.array([(x - camera.cx_px) / camera.fx_px * depth, (y - camera.cy_px) / camera.fy_px * depth, depth])


def distance(prediction: DepthPrediction, a: tuple[int, int], b: tuple[int, int]) -> float:
    """Return the straight distance in metres between what pixels `a` and `b` show."""
    return float(np.linalg.norm(position(prediction, a) - position(prediction, b)))


def measure_table(session: Session) -> str:
    """Return the measured pairs as a table, and what to do next."""
    if session.result is None:
        return ""
    prediction, points = session.result.prediction, session.points
    rows = []
    for number, (a, b) in enumerate(pairs(points), 1):
        depths = [f"{prediction.depth_m[y, x]:.2f} m" for x, y in (a, b)]
        rows.append((f"Pair {number}", *depths, f"{distance(prediction, a, b):.2f} m"))
    if len(points) % 2:
        x, y = points[-1]
        rows.append((f"Pair {len(rows) + 1}", f"{prediction.depth_m[y, x]:.2f} m", "click it", ""))
    hint = "<p>Click two points on the photo: the straight distance between them in 3D appears.</p>"
    if not rows:
        return hint
    head = ("Pair", "First depth", "Second depth", "Distance in 3D")
    return cards.table(head, rows, caption="Measured distances")


def _json(figure: Any, result: Result) -> str:
    """A new result is a new revision: zoom and viewing angle start afresh; any other change keeps them."""
    figure.update_layout(uirevision=result.token)
    figure.for_each_scene(lambda scene: scene.update(uirevision=result.token))
    return str(figure.to_json())


def _shrunk(rgb: np.ndarray, side: int = 1600) -> Image.Image:
    image = Image.fromarray(rgb)
    image.thumbnail((side, side))
    return image
