"""A 3D photo seen from next to the camera's place, and moving pictures of it. The page does the same with WebGL.

The projection is that of web/assets/photo3d_renderer.js: the camera moves by (x, y, z) pivot depths, its picture plane
stays parallel to the photo, and what is at the pivot stays in place.
"""

import io
import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from glpn.errors import ConfigError, ExportError

from .layers import Layers, layers
from .photo3d import Photo3D, resize

RIM = 0.06  # share of the width by which the mesh continues outside the photo, mirrored
ZOOM = (1.02, 1.08)  # least and most, to hide what lies outside the photo
FADE = (1.6, 3.0)  # stretch of the mesh at which the background begins to show, and shows alone
DOLLY = 0.1  # pivot depths
GIF_FPS = 10
VIDEO_FPS = 25
MOTIONS = ("sway", "dolly")

Eye = tuple[float, float, float]


class Viewer:
    """Draws one 3D photo from many places, at the size (height, width) of its `photo.rgb` or at `size`."""

    def __init__(self, photo: Photo3D, *, size: tuple[int, int] | None = None, split: Layers | None = None) -> None:
        self.photo = photo
        self.split = split or layers(photo)
        height, width = size or photo.rgb.shape[:2]
        self.size = (height, width)
        self.rgb = resize(photo.rgb, self.size).astype(np.float32)

    @cached_property
    def zoom(self) -> float:
        """Enlargement at which full sway shows little outside the photo."""
        sides = self.split.front[:, [0, -1]]
        margin = self.photo.fx * self.photo.reach * float(np.abs(sides - 1).max())
        return min(ZOOM[1], max(ZOOM[0], 1 / (1 - 2 * margin) if margin < 0.5 else ZOOM[1]))

    def draw(self, eye: Eye = (0, 0, 0), *, pivot: float = 1.0) -> np.ndarray:
        """Draw from `eye` (x right, y down, z forward, in pivot depths).

        pivot  relative nearness that stays in place
        Returns (H, W, 3) uint8.
        """
        place, stretch, seen = self._first_seen(self._front, eye, pivot)
        alpha = np.where(seen, 1 - _smoothstep(*FADE, stretch), 0)[..., None].astype(np.float32)
        color = _sampled(self.rgb, place)
        if (alpha < 1).any():
            behind, _, found = self._first_seen(self._back, eye, pivot)
            behind = np.where(found[..., None], behind, place)
            filled = _sampled(self.split.back_rgb, behind)
            hidden = _sampled(self.split.hidden[..., None], behind)
            back = _sampled(self.rgb, behind) * (1 - hidden) + filled * hidden
            color = color * alpha + back * (1 - alpha)
        return np.round(color).clip(0, 255).astype(np.uint8)

    @cached_property
    def _front(self) -> "_Mesh":
        return _Mesh(self.split.front, self.size)

    @cached_property
    def _back(self) -> "_Mesh":
        return _Mesh(self.split.back, self.size, where=self.split.hidden)

    def _first_seen(self, mesh: "_Mesh", eye: Eye, pivot: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what each pixel sees of `mesh`: place (H, W, 2) in shares of the photo, stretch, whether anything."""
        height, width = self.size
        shift = np.array([self.photo.fx * eye[0], self.photo.fy * eye[1]], np.float32)
        points, near = mesh.points(shift)
        at = self._projected(points, near, eye, pivot)
        col, row = np.floor(at[:, 0] * width).astype(np.int32), np.floor(at[:, 1] * height).astype(np.int32)
        index = np.flatnonzero((col >= 0) & (col < width) & (row >= 0) & (row < height))
        key = ((near[index] * 2**20).astype(np.int64) << 32) | index
        best = np.full(height * width, -1, np.int64)
        np.maximum.at(best, row[index] * width + col[index], key)
        seen = best >= 0
        first = np.where(seen, best & 0xFFFFFFFF, 0)
        middle = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1).reshape(-1, 2)
        miss = (middle / (width, height) - at[first]).astype(np.float32) / np.float32(self.zoom)
        steep = _sampled(mesh.slope, points[first])
        stretch = 1 - steep @ shift
        miss += shift * ((steep * miss).sum(axis=1) / np.maximum(stretch, 0.3))[:, None]
        place = points[first] + miss
        return place.reshape(height, width, 2), stretch.reshape(self.size), seen.reshape(self.size)

    def _projected(self, points: np.ndarray, near: np.ndarray, eye: Eye, pivot: float) -> np.ndarray:
        """Project places on the photo into the picture; both in shares of it."""
        photo = self.photo
        shift = np.array([photo.fx * eye[0], photo.fy * eye[1]], np.float32)
        center = np.array([photo.cx, photo.cy], np.float32)
        dolly = (1 - eye[2] * pivot) / (1 - eye[2] * near)
        seen = (points - center - shift * near[:, None]) * dolly[:, None] + shift * pivot + center
        return (seen - 0.5) * self.zoom + 0.5


class _Mesh:
    """Points of one layer: four a pixel of `size` (height, width), and more wherever a view stretches them.

    where  (h, w) above 0 where the layer matters, widened by two samples; None takes all of it
    """

    def __init__(self, grid: np.ndarray, size: tuple[int, int], *, where: np.ndarray | None = None) -> None:
        self.grid, self.size = grid, size
        self.slope = np.stack(_slopes(grid), axis=-1)
        height, width = size
        rim = (round(RIM * height), round(RIM * width))
        rows = (np.arange(-2 * rim[0], 2 * (height + rim[0])) + 0.5) / (2 * height)
        cols = (np.arange(-2 * rim[1], 2 * (width + rim[1])) + 0.5) / (2 * width)
        places = np.stack(np.meshgrid(cols, rows), axis=-1).reshape(-1, 2).astype(np.float32)
        if where is not None:
            wide = np.pad(where, 2)
            views = np.lib.stride_tricks.sliding_window_view(wide, (5, 5))
            places = places[_sampled(views.max(axis=(2, 3))[..., None], places)[:, 0] > 0]
        self.base, self.base_near = places, self._near(places)

    def points(self, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return places (N, 2) in shares of the photo and relative nearness (N,), dense where `shift` stretches."""
        row, col = np.nonzero(1 - self.slope @ shift > 1.3)
        if not len(row):
            return self.base, self.base_near
        tall, wide = (math.ceil(3 * size / count) for size, count in zip(self.size, self.grid.shape, strict=True))
        inner = np.stack(np.meshgrid((np.arange(wide) + 0.5) / wide, (np.arange(tall) + 0.5) / tall), -1).reshape(-1, 2)
        places = (np.stack([col, row], axis=-1)[:, None] + inner) / self.grid.shape[::-1]
        extra = places.reshape(-1, 2).astype(np.float32)
        return np.concatenate([self.base, extra]), np.concatenate([self.base_near, self._near(extra)])

    def _near(self, places: np.ndarray) -> np.ndarray:
        return _sampled(self.grid[..., None], places.clip(0, 1))[:, 0]


def path(motion: str, frames: int) -> list[Eye]:
    """Return the camera's places of a loop, x and y in shares of full sway, z in pivot depths. Raises ConfigError."""
    if motion not in MOTIONS:
        raise ConfigError(f"Unknown motion {motion!r}. Known: {', '.join(MOTIONS)}.")
    if frames < 2:
        raise ConfigError(f"A moving picture of {frames} frames does not move. Give at least 2.")
    angles = [2 * math.pi * i / frames for i in range(frames)]
    if motion == "dolly":
        return [(0.0, 0.0, DOLLY * math.sin(angle)) for angle in angles]
    return [(math.sin(angle), 0.3 * math.cos(angle), 0.0) for angle in angles]


def frames(photo: Photo3D, *, motion: str = "sway", count: int = 20, side: int = 600) -> Iterator[np.ndarray]:
    """Draw a loop of `count` pictures (H, W, 3) uint8, the longer side at most `side`, both sides even."""
    viewer = Viewer(photo, size=even_size(photo, side))
    for x, y, z in path(motion, count):
        yield viewer.draw((x * photo.reach, y * photo.reach, z))


def even_size(photo: Photo3D, side: int) -> tuple[int, int]:
    """(height, width) of `photo.rgb` shrunk to `side`, both even, which video needs."""
    height, width = photo.rgb.shape[:2]
    ratio = min(1.0, side / max(height, width))
    return max(2, 2 * round(height * ratio / 2)), max(2, 2 * round(width * ratio / 2))


def gif(photo: Photo3D, *, motion: str = "sway", seconds: float = 2.0, side: int = 600) -> bytes:
    """Encode a looping GIF. Raises ConfigError for an unknown motion or a length below two frames."""
    pictures = [
        Image.fromarray(frame) for frame in frames(photo, motion=motion, count=_count(seconds, GIF_FPS), side=side)
    ]
    strip = Image.new("RGB", (pictures[0].width, 4 * pictures[0].height))
    for i in range(4):  # one palette for all frames, or their colors would flicker
        strip.paste(pictures[i * len(pictures) // 4], (0, i * pictures[0].height))
    palette = strip.quantize(256, method=Image.Quantize.MEDIANCUT)
    indexed = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    file = io.BytesIO()
    indexed[0].save(file, "GIF", save_all=True, append_images=indexed[1:], duration=1000 // GIF_FPS, loop=0, disposal=1)
    return file.getvalue()


def mp4(photo: Photo3D, *, motion: str = "sway", seconds: float = 2.0, side: int = 720) -> bytes:
    """Encode an MP4 (H.264), one loop long. Needs PyAV (`pip install "glpn[video]"`); raises ExportError without it."""
    try:
        import av
    except ImportError as error:
        raise ExportError('MP4 needs PyAV, which is not installed. Run `pip install "glpn[video]"`.') from error
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(VIDEO_FPS))
        stream.height, stream.width = even_size(photo, side)
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "20", "movflags": "+faststart"}
        for picture in frames(photo, motion=motion, count=_count(seconds, VIDEO_FPS), side=side):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def _count(seconds: float, fps: int) -> int:
    if not 0.2 <= seconds <= 20:
        raise ConfigError(f"A length of {seconds!r} s can't be made. Give 0.2 to 20 seconds.")
    return round(seconds * fps)


def _sampled(image: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Sample `image` (h, w, n) bilinearly at `place` (..., 2), shares of width and height; mirrored outside."""
    h, w = image.shape[:2]
    place = 1 - np.abs(1 - np.abs(place))
    col, row = (place[..., 0] * w - 0.5).clip(0, w - 1), (place[..., 1] * h - 0.5).clip(0, h - 1)
    left, top = np.minimum(col.astype(np.intp), max(w - 2, 0)), np.minimum(row.astype(np.intp), max(h - 2, 0))
    dx, dy = (col - left)[..., None].astype(np.float32), (row - top)[..., None].astype(np.float32)
    flat, at = image.reshape(h * w, -1), top * w + left
    upper = flat[at] * (1 - dx) + flat[at + 1] * dx
    lower = flat[at + w] * (1 - dx) + flat[at + w + 1] * dx
    return upper * (1 - dy) + lower * dy


def _slopes(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change of `grid` (h, w) per width and per height."""
    wide = np.pad(grid, 1, mode="edge")
    height, width = grid.shape
    return (wide[1:-1, 2:] - wide[1:-1, :-2]) / 2 * width, (wide[2:, 1:-1] - wide[:-2, 1:-1]) / 2 * height


def _smoothstep(start: float, end: float, x: np.ndarray) -> np.ndarray:
    t = ((x - start) / (end - start)).clip(0, 1)
    return t * t * (3 - 2 * t)
