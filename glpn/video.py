"""A clip in, steady depth out: one pass, one batch of frames in memory, whatever the clip's length.

Every frame is estimated alone, so depth flickers from frame to frame. `Steady` takes the flicker out where the picture
stands still: it removes each frame's own error of scale and blends with what was seen there before. One range of colors
holds for the whole clip, taken from a few frames spread over it before the first is written.
"""

import io
import logging
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from .bounds import SMOOTHING
from .camera import Camera
from .errors import ConfigError, VideoError
from .files import replacing
from .photo import Photo
from .prediction import DepthPrediction
from .scene.figures import colorize
from .scene.geometry import depth_range
from .scene.look import DEFAULT_LOOK, Look
from .scene.motion import Viewer
from .scene.photo3d import Photo3D, prepare
from .scene.uncertainty import Uncertainty, of_variant

logger = logging.getLogger(__name__)

CLIPS = {
    "depth": ("_depth.mp4", "depth in colors"),
    "side": ("_side.mp4", "the clip and its depth next to each other"),
    "photo3d": ("_photo3d.mp4", "the clip as a 3D photo that sways (slow)"),
    "npz": ("_depth_m.npz", "depth of every frame in metres, float16"),
}
SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif")
CLIP_SECONDS = 120.0
MAX_CLIP_BYTES = 300_000_000
MAX_FRAME_PIXELS = 3840 * 2160
FRAME_SIDE = 640  # of the frames that are estimated and written
FRAMES_AT_ONCE = 4
RANGE_FRAMES = 8
SWAY_SECONDS = 4.0  # of one sway of the 3D photo, there and back
TICKS = 90_000  # of the clock of what is written, per second; frames keep their own times
HDR = {16: "PQ", 18: "HLG"}  # ISO/IEC 23091-2, transfer characteristics

Progress = Callable[[int, int], None]  # frames done, frames expected


class Estimator(Protocol):
    """What is needed of `glpn.DepthEstimator`."""

    def estimate_batch(self, photos: Sequence[Any]) -> list[DepthPrediction]: ...


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What a file says about its video.

    size        (height, width) of a frame, upright, before it is shrunk
    seconds     duration; frames  how many to expect (an estimate); rotation  degrees counterclockwise to upright
    """

    path: Path
    size: tuple[int, int]
    seconds: float
    frames: int
    rotation: int
    notes: tuple[str, ...] = ()

    def working_size(self, max_side: int) -> tuple[int, int]:
        """Return the (height, width) of the frames that are estimated: even, the longer side at most `max_side`."""
        height, width = self.size
        factor = min(1.0, max_side / max(height, width))
        return max(2, round(height * factor / 2) * 2), max(2, round(width * factor / 2) * 2)


@dataclass(frozen=True, kw_only=True)
class VideoResult:
    """What was written.

    uncertainty   of all its metres
    flicker       mean change of depth from frame to frame in percent, where the picture stands still: (before, after)
                  smoothing; NaN where nothing did
    """

    files: dict[str, Path]
    frames: int
    range_m: tuple[float, float]
    uncertainty: Uncertainty
    flicker: tuple[float, float]
    notes: tuple[str, ...] = field(default=())


def open_clip(path: Path, *, max_seconds: float = CLIP_SECONDS) -> Clip:
    """Read what `path` says of its video. Raises `VideoError` for what is no video, too long or too large."""
    if not path.is_file():
        raise VideoError(f"There is no clip {path.name!r}. Check the path.")
    if path.stat().st_size > MAX_CLIP_BYTES:
        raise VideoError(
            f"The clip has {path.stat().st_size / 1e6:.0f} MB; at most {MAX_CLIP_BYTES / 1e6:.0f} MB are read. "
            "Cut it or export it smaller."
        )
    with _container(path) as container:
        if not container.streams.video:
            raise VideoError("The file has no video in it. Choose an MP4, MOV, WebM or GIF clip.")
        stream = container.streams.video[0]
        first = next(_decoded(container, stream), None)
        if first is None:
            raise VideoError("The clip has no frame that can be read. Export it again.")
        rate = float(stream.average_rate or 0) or 25.0
        seconds = _duration(container, stream, rate)
    if seconds > max_seconds:
        raise VideoError(f"The clip is {seconds:.0f} s long; at most {max_seconds:.0f} s are read. Cut it first.")
    if first.width * first.height > MAX_FRAME_PIXELS:
        raise VideoError(
            f"The clip has {first.width} × {first.height} pixels; at most 3840 × 2160 are read. Export it smaller."
        )
    rotation = int(first.rotation)
    size = (first.width, first.height) if rotation % 180 else (first.height, first.width)
    hdr = HDR.get(int(first.color_trc or 0))
    notes = (f"The clip is HDR ({hdr}); it was read without tone mapping, so it looks pale.",) if hdr else ()
    frames = int(stream.frames or max(1, round(seconds * rate)))
    return Clip(path=path, size=size, seconds=seconds, frames=frames, rotation=rotation, notes=notes)


def read_frames(clip: Clip, size: tuple[int, int], *, at_s: float = 0.0) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time in seconds, rgb (h, w, 3) uint8 of `size`) of each frame, upright, from about `at_s` on."""
    with _container(clip.path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        if at_s > 0:
            container.seek(int(at_s * 1_000_000))
        height, width = size[::-1] if clip.rotation % 180 else size
        time = -1.0
        for frame in _decoded(container, stream):
            rgb = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
            time = max(time + 1e-3, float(frame.time or 0.0))  # times that stand still would break the writer
            yield time, np.ascontiguousarray(np.rot90(rgb, clip.rotation // 90))


class Steady:
    """Takes the flicker out of depth maps that come one after another.

    strength    0 (off) to 0.95: share of the past where the picture stands still

    Each map's own error of scale, the median change of log depth where the picture stands still, is removed up to
    `strength`; then log depth is blended with the past there. Moving parts and new scenes take the new depth at once.
    """

    def __init__(self, strength: float = SMOOTHING.default) -> None:
        self.strength = SMOOTHING.check(strength)
        self._luma: np.ndarray | None = None
        self._raw = self._past = np.zeros(0)
        self._changes = np.zeros(2)
        self._measured = 0

    @property
    def flicker(self) -> tuple[float, float]:
        """Mean |change of depth| in percent from map to map where the picture stands still: (before, after)."""
        before, after = 100 * self._changes / self._measured if self._measured else (math.nan, math.nan)
        return float(before), float(after)

    def __call__(self, rgb: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
        """Return `depth_m` (H, W) float32, metres, of the frame `rgb` (H, W, 3) uint8, steadied."""
        luma = _luma(rgb)
        raw = np.log(np.maximum(depth_m, 1e-3))
        still = None if self._luma is None or luma.shape != self._luma.shape else _stillness(luma, self._luma)
        self._luma = luma
        if still is None or still.mean() < 0.1:  # the first frame, or another scene
            self._raw = self._past = raw
            return depth_m
        weight = np.asarray(Image.fromarray(still).resize(raw.shape[::-1], Image.Resampling.BILINEAR))
        sure = weight > 0.5
        shift = np.median((raw - self._past)[sure][::7]) if sure.sum() > 100 else 0.0
        blend = self.strength * weight
        past = blend * self._past + (1 - blend) * (raw - np.float32(self.strength * shift))
        if sure.any():
            self._changes += (
                np.abs(raw - self._raw)[sure].mean(),
                np.abs(past - self._past)[sure].mean(),
            )
            self._measured += 1
        self._raw, self._past = raw, past
        return np.exp(past).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """smoothing: see `Steady`; max_side: longer side in pixels of the frames that are estimated and written."""

    smoothing: float = SMOOTHING.default
    max_side: int = FRAME_SIDE
    look: Look = DEFAULT_LOOK


DEFAULT_SETTINGS = VideoSettings()


def estimate_video(
    clip: Clip,
    estimator: Estimator,
    folder: Path,
    kinds: Sequence[str] = ("depth",),
    *,
    settings: VideoSettings = DEFAULT_SETTINGS,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> VideoResult:
    """Estimate every frame of `clip` and write `kinds` (keys of CLIPS) into `folder`, each whole or not at all.

    cancelled   asked between batches: once true, what was done so far is finished and kept

    Memory does not grow with the clip's length. Raises `VideoError` or `ConfigError`.
    """
    unknown = [kind for kind in kinds if kind not in CLIPS]
    if unknown or not kinds:
        raise ConfigError(f"Unknown kind of video {', '.join(unknown) or '(none)'}. Known: {', '.join(CLIPS)}.")
    size = clip.working_size(settings.max_side)
    range_m, sample = _range(clip, estimator, size)
    own_look = replace(settings.look, range_m=range_m)
    steady, done, stopped = Steady(settings.smoothing), 0, False
    folder.mkdir(parents=True, exist_ok=True)
    files = {kind: folder / f"{clip.path.stem}{CLIPS[kind][0]}" for kind in kinds}
    with ExitStack() as stack:
        writers = [stack.enter_context(_writer(kind, path, sample.camera, own_look)) for kind, path in files.items()]
        pool = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="glpn-video"))
        written: Future[None] | None = None
        for batch in _batches(_ahead(_bounded(clip, size), stack), FRAMES_AT_ONCE):
            depths = [found.depth_m for found in _estimated(estimator, [rgb for _, rgb in batch])]
            smooth = [steady(rgb, depth) for (_, rgb), depth in zip(batch, depths, strict=True)]
            if written:
                written.result()  # raises what went wrong there
            written = pool.submit(_write_all, writers, batch, smooth)
            done += len(batch)
            if progress:
                progress(done, max(done, clip.frames))
            if stopped := cancelled():
                break
        if written:
            written.result()
        if not done:
            raise VideoError("The clip has no frame that can be read. Export it again.")
    notes = (f"Stopped after {done} of about {max(done, clip.frames)} frames.",) if stopped else ()
    return VideoResult(
        files=files,
        frames=done,
        range_m=range_m,
        uncertainty=of_variant(sample),
        flicker=steady.flicker,
        notes=clip.notes + notes,
    )


# ------------------------------------------------------------------------------------------------------------ reading


@contextmanager
def _container(path: Path) -> Iterator[Any]:
    """Open a clip for reading; what FFmpeg says of a bad one becomes a `VideoError`."""
    av = _av()
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            yield container
    except VideoError:
        raise
    except (av.FFmpegError, ValueError) as error:
        logger.debug("%s: %s", path, error)
        raise VideoError(
            "The clip is damaged or of an unknown kind. Choose an MP4, MOV, WebM or GIF clip, or export it again."
        ) from None


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise VideoError('Reading clips needs PyAV. Install it: pip install "glpn[video]".') from None
    return av


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames of a stream; a clip that breaks off gives what came before the break."""
    frames = 0
    try:
        for frame in container.decode(stream):
            frames += 1
            yield frame
    except _av().FFmpegError:
        if not frames:
            raise


def _duration(container: Any, stream: Any, rate: float) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return float(container.duration) / 1_000_000
    return stream.frames / rate


def _bounded(clip: Clip, size: tuple[int, int]) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the clip's frames until its stated length is exceeded, which only a lying header does."""
    for time, rgb in read_frames(clip, size):
        if time > CLIP_SECONDS + 1:
            return
        yield time, rgb


def _ahead(frames: Iterator[Any], stack: ExitStack, depth: int = 2 * FRAMES_AT_ONCE) -> Iterator[Any]:
    """Yield from `frames`, which run `depth` items ahead in a thread: FFmpeg decodes while the network runs."""
    pool = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="glpn-decode"))
    end = object()
    waiting = [pool.submit(next, frames, end) for _ in range(depth)]
    stack.callback(lambda: [future.cancel() for future in waiting])
    while (item := waiting.pop(0).result()) is not end:
        waiting.append(pool.submit(next, frames, end))
        yield item


def _batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(islice(items, size)):
        yield batch


def _estimated(estimator: Estimator, frames: list[np.ndarray]) -> list[DepthPrediction]:
    return estimator.estimate_batch([Photo(rgb=rgb, size=rgb.shape[:2], name="frame") for rgb in frames])


def _range(clip: Clip, estimator: Estimator, size: tuple[int, int]) -> tuple[tuple[float, float], DepthPrediction]:
    """Return the near and far end of the colors in metres, from frames spread over the clip, and the first of those."""
    frames = []
    for number in range(RANGE_FRAMES if clip.frames > RANGE_FRAMES else 1):
        at_s = clip.seconds * number / RANGE_FRAMES
        frame = next(read_frames(clip, size, at_s=at_s), None)
        if frame is not None:
            frames.append(frame[1])
    if not frames:
        raise VideoError("The clip has no frame that can be read. Export it again.")
    found = [one for batch in _batches(iter(frames), FRAMES_AT_ONCE) for one in _estimated(estimator, batch)]
    return depth_range(np.concatenate([one.depth_m for one in found]), "robust"), found[0]


# ---------------------------------------------------------------------------------------------------------- smoothing


def _luma(rgb: np.ndarray, step: int = 4) -> np.ndarray:
    """Return the brightness of `rgb` (H, W, 3) uint8 at a quarter of its size, float32."""
    height, width = (max(1, side // step) for side in rgb.shape[:2])
    return np.asarray(Image.fromarray(rgb).convert("L").resize((width, height), Image.Resampling.BOX), np.float32)


def _stillness(luma: np.ndarray, before: np.ndarray, noise: float = 5.0) -> np.ndarray:
    """Return where the picture stands still, 1 to 0, float32 of `luma`'s shape; `noise` in steps of 255."""
    change = np.abs(luma - before)
    padded = np.pad(change, 1, mode="edge")
    rows, columns = change.shape
    around = sum(padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)) / 9
    return np.exp(-((around / noise) ** 2)).astype(np.float32)


# ------------------------------------------------------------------------------------------------------------ writing

Write = Callable[[float, np.ndarray, np.ndarray], None]  # time in seconds, rgb, depth_m


def _write_all(
    writers: Sequence[Write], batch: Sequence[tuple[float, np.ndarray]], depths: Sequence[np.ndarray]
) -> None:
    for (time, rgb), depth in zip(batch, depths, strict=True):
        for write in writers:
            write(time, rgb, depth)


@contextmanager
def _writer(kind: str, path: Path, camera: Camera, look: Look) -> Iterator[Write]:
    """Write frames to a file that takes its name only once it is whole."""

    sway = Sway(camera, look)

    def picture(time: float, rgb: np.ndarray, depth: np.ndarray) -> np.ndarray:
        if kind == "photo3d":
            return sway(time, rgb, depth)
        shown = colorize(depth, look)
        return shown if kind == "depth" else np.concatenate((rgb, shown), axis=1)

    with replacing(path) as part, ExitStack() as stack:
        if kind == "npz":
            yield _npz(stack.enter_context(zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1)))
        else:
            height, width = camera.size[0], camera.size[1] * (2 if kind == "side" else 1)
            encode = stack.enter_context(_encoder(part, (height, width)))
            yield lambda time, rgb, depth: encode(time, picture(time, rgb, depth))


class Sway:
    """Draws each frame as a 3D photo, from a camera that sways with the clip's time.

    What stays in place follows the depth slowly, so that the picture doesn't jump with it.
    """

    def __init__(self, camera: Camera, look: Look) -> None:
        self.camera, self.look = camera, look
        self._former: Photo3D | None = None

    def __call__(self, time: float, rgb: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
        """Return (H, W, 3) uint8: `rgb` seen at `time` (s) by means of `depth_m` (H, W), metres."""
        photo = prepare(rgb, depth_m, self.camera)
        if former := self._former:
            names = ("low", "high", "pivot_m", "sway_deg")
            photo = replace(
                photo, **{name: 0.95 * getattr(former, name) + 0.05 * getattr(photo, name) for name in names}
            )
        self._former = photo
        angle = 2 * math.pi * time / SWAY_SECONDS
        return Viewer(photo).draw((math.sin(angle) * photo.reach, 0.3 * math.cos(angle) * photo.reach, 0.0))


def _npz(archive: zipfile.ZipFile) -> Write:
    """Return what adds a frame as `depth_00000`, …, and its time; `numpy.load` opens the result."""
    count = 0

    def write(time: float, rgb: np.ndarray, depth: np.ndarray) -> None:
        nonlocal count
        for name, array in ((f"depth_{count:05d}", depth.astype(np.float16)), (f"time_{count:05d}", np.float64(time))):
            data = io.BytesIO()
            np.save(data, array)
            archive.writestr(f"{name}.npy", data.getvalue())
        count += 1

    return write


@contextmanager
def _encoder(path: Path, size: tuple[int, int]) -> Iterator[Callable[[float, np.ndarray], None]]:
    """Encode frames (h, w, 3) uint8 at their times as H.264 in MP4, which every browser and phone plays."""
    av = _av()
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "20"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)

        def encode(time: float, rgb: np.ndarray) -> None:
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
            container.mux(stream.encode(frame))

        yield encode
        container.mux(stream.encode())
