"""What each tab shows of a result: pure functions of the result, the look and a folder. None runs a model."""

import io
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glpn.files import write_atomically
from glpn.scene import effects, figures, photo3d
from glpn.scene.certainty import UNSURE
from glpn.scene.geometry import RANGES, depth_range
from glpn.scene.look import Look
from glpn.scene.uncertainty import Uncertainty

from .parts import html
from .session import Result

PICTURE_SIDE = 1000  # pixels, longer side of the photo that is sent: a fourth of what most phones take
PHOTO_BYTES = 130_000
DEPTH_SIDE = 448  # samples of depth along the longer side: most fit at once
DEPTH_BYTES = 90_000
QUALITIES = (86, 78, 68, 55, 45)  # of the photo's JPEG, until it has at most PHOTO_BYTES
FILE_URL = "gradio_api/file="


def surface(result: Result, look: Look, lines: Iterable[tuple[np.ndarray, str]] = ()) -> str:
    """Draw the scene with the measured `lines`: places (N, 3), metres in camera axes, and their texts."""
    depth_m, camera = result.prediction.depth_m, result.prediction.camera
    figure = figures.surface_figure(
        depth_m, camera, result.photo.rgb, look, uncertainty=result.uncertainty, lines=lines
    )
    return _json(figure, result, look)


def pictures(result: Result, folder: Path, *, url: str = FILE_URL) -> tuple[str, str]:
    """Write photo and depth into `folder`, once per result; return their addresses. All tabs show these two files.

    url   what stands before a file's path, or ends in "/" and stands before its name
    """
    photo, depth = folder / f"{result.photo_id}-photo.jpg", folder / f"{result.token}-depth.png"
    if not depth.exists():
        prediction = result.prediction
        scene = photo3d.prepare(
            result.photo.rgb, prediction.depth_m, prediction.camera, side=PICTURE_SIDE, grid=DEPTH_SIDE
        )
        write_atomically(photo, _jpeg(scene.rgb), lasting=False)  # two tabs may ask at once, and fetch what one names
        write_atomically(depth, photo3d.depth_png(scene, limit=DEPTH_BYTES), lasting=False)
    return tuple(url + (file.name if url.endswith("/") else str(file)) for file in (photo, depth))  # type: ignore[return-value]


def _jpeg(rgb: np.ndarray) -> bytes:
    for quality in QUALITIES:
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "JPEG", quality=quality)  # progressive takes four times as long
        if file.tell() <= PHOTO_BYTES:
            break
    return file.getvalue()


def photo_3d(result: Result, folder: Path, *, url: str = FILE_URL) -> dict[str, Any]:
    """Return what the moving photo needs."""
    photo_url, depth_url = pictures(result, folder, url=url)
    meta = {
        "alt": f"The photo {result.name}, moving in depth",
        "name": result.name,
        "line": effects.postcard_line(result.prediction.variant, result.uncertainty.note),
        "worth": result.uncertainty.note,
    }
    key = f"{result.sample or result.token} {result.prediction.factor:.4f}"
    return {"key": key, "photoUrl": photo_url, "depthUrl": depth_url, "meta": meta}


def play(result: Result, folder: Path) -> dict[str, Any]:
    """Return what the slider of distance needs: the files of the 3D photo."""
    return photo_3d(result, folder)


def depth(result: Result, look: Look, folder: Path, *, spread: np.ndarray | None = None) -> dict[str, Any]:
    """Return what depth.js needs to draw photo and depth next to each other.

    spread  (h, w) of `certainty`, which is hatched over the depth; None where nobody asked how sure that is
    """
    photo_url, depth_url = pictures(result, folder)
    panes: list[dict[str, Any]] = [
        {"kind": "photo", "label": "Photo", "url": photo_url},
        {
            "kind": "depth",
            "label": f"Depth by {result.prediction.variant}",
            "url": depth_url,
            "uncertainty": result.uncertainty.to_dict(),
        },
    ]
    view = _view(panes, result.prediction.size, look, key=result.token, name=result.name)
    if spread is not None:
        url = _written(folder / f"{result.photo_id}-sure.png", photo3d.spread_png(spread))
        view["sure"] = {"url": url, "unsure": UNSURE, "legend": html.sure_legend(spread)}
    return view


def _view(panes: list[dict[str, Any]], size: tuple[int, ...], look: Look, *, key: str, name: str) -> dict[str, Any]:
    height, width = size
    return {
        "key": key,
        "name": name,
        "size": [width, height],
        "look": {"colors": look.colors, "range": look.range_m, "near": look.near_bright},
        "panes": panes,
    }


def histogram(result: Result, look: Look) -> str:
    figure = figures.histogram_figure(result.prediction.depth_m, look, uncertainty=result.uncertainty)
    return _json(figure, result, look)


def maps(
    named: Sequence[tuple[str, np.ndarray, Uncertainty | None]],
    look: Look,
    folder: Path,
    *,
    photo: np.ndarray | None,
    name: str,
    relative: bool = False,
) -> dict[str, Any]:
    """Return the photo, several depth maps of one size, and how far each is from the first, in one view.

    name       of downloads, and of the files in `folder`, which take the place of the former ones
    named      label, depth (H, W) in metres and its uncertainty, None for measured truth; the first is the reference
    relative   whether differences are in percent of the reference instead of metres
    """
    for old in folder.glob(f"{name}-*"):
        old.unlink(missing_ok=True)  # the page has drawn it
    key = secrets.token_hex(8)
    panes: list[dict[str, Any]] = []
    if photo is not None:
        panes.append({"kind": "photo", "label": "Photo", "url": _written(folder / f"{name}-{key}.jpg", _jpeg(photo))})
    first = len(panes)
    for index, (label, depth_m, doubt) in enumerate(named):
        data = photo3d.map_png(depth_m, limit=DEPTH_BYTES)
        pane = {"kind": "depth", "label": label, "url": _written(folder / f"{name}-{key}-{index}.png", data)}
        panes.append(pane | {"uncertainty": doubt.to_dict() if doubt else None})
    for index, (label, *_) in enumerate(named[1:], 1):
        title, of = f"{label} minus {named[0][0]}", [first + index, first]
        panes.append({"kind": "difference", "label": title, "relative": relative, "of": of})
    return _view(panes, named[0][1].shape, look, key=key, name=name)


def _written(path: Path, data: bytes) -> str:
    write_atomically(path, data, lasting=False)
    return html.file_url(path)


def _json(figure: Any, result: Result, look: Look) -> str:
    """A new result is a new revision: zoom and viewing angle start afresh; any other change keeps them.

    The figure's `meta` says what depths the ends of the colors stand for, so that the page recolors it on its own.
    """
    figure.update_layout(uirevision=result.token)
    figure.for_each_scene(lambda scene: scene.update(uirevision=result.token))
    depth_m = result.prediction.depth_m
    figure.layout.meta = {"ranges": {name: depth_range(depth_m, name) for name in RANGES}}
    return str(figure.to_json(remove_uids=False))
