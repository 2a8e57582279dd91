"""What each tab shows of a result: pure functions of the result, the choices and a folder. None runs a model."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glpn import rendering
from glpn.prediction import DepthPrediction

from . import cards
from .links import Choices
from .session import Result, Session


def colour_range(choices: Choices) -> Any:
    """Return what `rendering` takes for `range_m`."""
    return (choices.low, choices.high) if choices.range == "fixed" else choices.range


def heatmap(result: Result, choices: Choices) -> str:
    figure = rendering.heatmap_figure(
        result.prediction.depth_m,
        colors=choices.colors,
        range_m=colour_range(choices),
        near_bright=choices.near == "bright",
        detail=choices.detail,
    )
    height, width = result.prediction.size
    figure.layout.meta = {"aspect": width / height}
    return _json(figure, result)


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
    head = ("Pair", "First point's depth", "Second point's depth", "Distance in 3D")
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
