"""A synthetic room with exact depth, seen all around and along a camera's path: what `panorama` and `video` miss.

`python -m benchmarks.rendered` prints both errors of rooms-b0 as Markdown, over a few rooms: about three minutes.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from glpn import DepthEstimator, load_estimator
from glpn.bounds import SMOOTHING
from glpn.model.device import use_available_cores
from glpn.panorama import estimate_panorama
from glpn.photo import Photo
from glpn.synthesis.dice import Dice
from glpn.synthesis.materials import TextureBank
from glpn.synthesis.rooms import build_room
from glpn.synthesis.scene import Scene
from glpn.synthesis.shading import first_hits, shade
from glpn.synthesis.views import View
from glpn.video import VideoSettings, estimate_video, open_clip

ROOMS = 6
FRAMES = 24
EYE_M = 1.4
FOV_DEG = 62.0


@dataclass(frozen=True, eq=False)
class Around(View):
    """All that is seen from a point, equirectangular: the middle column looks along +y, depth is along the ray."""

    @classmethod
    def at(cls, position: np.ndarray) -> "Around":
        """Stand upright at `position` (3,)."""
        return cls(np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), position, 360.0)

    def focal_px(self, width: int) -> float:
        return width / (2 * math.pi)

    def directions(self, size: tuple[int, int]) -> np.ndarray:
        height, width = size
        longitude = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
        latitude = (0.5 - (np.arange(height) + 0.5) / height)[:, None] * np.pi
        level = np.cos(latitude)
        rays = np.broadcast_arrays(level * np.sin(longitude), -np.sin(latitude), level * np.cos(longitude))
        return (np.stack(rays, -1).reshape(-1, 3) @ self.rotation.T).astype(np.float32)


def room(seed: int) -> Scene:
    """Return a room of its own textures, the same for the same seed."""
    return build_room(Dice(seed, 1), TextureBank(Dice(seed, 2)))


def place(scene: Scene) -> np.ndarray:
    """Return the point (3,) at eye level that has most room around it, of those on a grid."""
    low, high = scene.bounds
    spots = [np.array([x, y, EYE_M]) for x in _inner(low[0], high[0]) for y in _inner(low[1], high[1])]
    return max(
        spots, key=lambda spot: float(first_hits(scene, Around.at(spot), (32, 64)).depth_m[16 * 64 - 512 :].min())
    )


def _inner(low: float, high: float) -> np.ndarray:
    return low + (high - low) * np.linspace(0.2, 0.8, 5)


def seen(scene: Scene, view: View, size: tuple[int, int], *, exposure: float | None = None) -> tuple[np.ndarray, ...]:
    """Return rgb (H, W, 3) uint8 by a plain camera without noise, and depth (H, W) float32 in metres, 0 for nothing."""
    hits = first_hits(scene, view, size)
    radiance = shade(scene, view, hits, np.random.default_rng(0))
    exposed = radiance * np.float32(exposure or exposure_of(radiance))
    return np.rint(255 * np.clip(exposed, 0, 1) ** (1 / 2.2)).astype(np.uint8), hits.depth_m.reshape(size)


def exposure_of(radiance: np.ndarray) -> float:
    """Return the factor that makes the middle brightness of `radiance` middle gray."""
    return float(0.3 / (np.median(radiance) + 1e-4))


def walk(scene: Scene, frames: int) -> list[View]:
    """Return the views of a camera that goes half a metre sideways and turns by 20 degrees."""
    middle, views = place(scene), []
    for share in np.linspace(-0.5, 0.5, frames):
        yaw = math.radians(20 * share)
        position = middle + np.array([0.5 * share, 0.0, 0.0])
        views.append(View.towards(position, position + np.array([math.sin(yaw), math.cos(yaw), -0.12]), FOV_DEG))
    return views


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip on disk, its frames' exact depth (T, H, W) float32 in metres, 0 for nothing, and their views."""

    file: Path
    depth_m: np.ndarray
    views: Sequence[View]


def film(
    scene: Scene, views: Sequence[View], file: Path, *, size: tuple[int, int] = (192, 256), noise: float = 0.0
) -> Clip:
    """Write what is seen from `views` as H.264, 24 frames a second; `noise` of each frame's own, in steps of 255."""
    middle = views[len(views) // 2]
    exposure = exposure_of(shade(scene, middle, first_hits(scene, middle, size), np.random.default_rng(0)))
    rng, depths = np.random.default_rng(0), []
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "15"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for number, view in enumerate(views):
            rgb, depth_m = seen(scene, view, size, exposure=exposure)
            noisy = np.rint(rgb + noise * rng.standard_normal(rgb.shape)).clip(0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(noisy, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            container.mux(stream.encode(frame))
            depths.append(depth_m)
        container.mux(stream.encode())
    return Clip(file, np.stack(depths), views)


def follow(clip: Clip, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return flat indices of pixels of frame `number` that the next frame sees as well, and where it sees them."""
    (height, width), view, then = clip.depth_m.shape[1:], clip.views[number], clip.views[number + 1]
    depth_m = clip.depth_m[number].ravel()
    points = view.position + view.directions((height, width)) * depth_m[:, None]
    x, y, z = ((points - then.position) @ then.rotation).T
    focal = then.focal_px(width)
    with np.errstate(divide="ignore", invalid="ignore"):
        column = np.nan_to_num(x / z * focal + (width - 1) / 2, nan=-1.0, posinf=-1.0, neginf=-1.0).round().astype(int)
        row = np.nan_to_num(y / z * focal + (height - 1) / 2, nan=-1.0, posinf=-1.0, neginf=-1.0).round().astype(int)
    inside = (depth_m > 0) & (z > 0.05) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    here = np.flatnonzero(inside)
    there = row[here] * width + column[here]
    same = np.abs(clip.depth_m[number + 1].ravel()[there] / z[here] - 1) < 0.02
    return here[same], there[same]


def flicker(clip: Clip, found_m: np.ndarray) -> float:
    """Return by how many percent the error of `found_m` (T, H, W) changes from frame to frame, on average.

    Each point of the scene is followed to where the next frame sees it, so that the camera's own motion doesn't count.
    """
    errors = np.log(found_m / np.maximum(clip.depth_m, 1e-3)).reshape(len(found_m), -1)
    changes = []
    for number in range(len(found_m) - 1):
        here, there = follow(clip, number)
        changes.append(np.abs(errors[number + 1][there] - errors[number][here]).mean())
    return 100 * float(np.mean(changes))


def steadied(clip: Clip, estimator: DepthEstimator, folder: Path, smoothing: float) -> np.ndarray:
    """Return the depth (T, H, W) of `glpn video` for the clip."""
    settings = VideoSettings(smoothing=smoothing)
    result = estimate_video(open_clip(clip.file), estimator, folder, ["npz"], settings=settings)
    with np.load(result.files["npz"]) as data:
        return np.stack([data[f"depth_{number:05d}"] for number in range(result.frames)]).astype(np.float32)


def abs_rel(found_m: np.ndarray, truth_m: np.ndarray, weight: np.ndarray | float = 1.0) -> tuple[float, float]:
    """Return the mean relative error as it comes, and once the median is right; without what has no truth."""
    known = truth_m > 0
    found, truth = found_m[known], truth_m[known]
    weights = np.broadcast_to(weight, truth_m.shape)[known]
    right = np.median(truth / found)
    raw, scaled = (float(np.average(np.abs(factor * found / truth - 1), weights=weights)) for factor in (1, right))
    return raw, scaled


def around(scene: Scene, estimator: DepthEstimator) -> tuple[float, float]:
    """Return `abs_rel` of `glpn panorama` in the room, each direction counted as large as it is."""
    rgb, truth_m = seen(scene, Around.at(place(scene)), (768, 1536))
    found = estimate_panorama(Photo(rgb=rgb, size=rgb.shape[:2]), estimator, width=1536)
    latitude = (0.5 - (np.arange(len(truth_m)) + 0.5) / len(truth_m)) * np.pi
    return abs_rel(found.distance_m, truth_m, np.cos(latitude)[:, None])


def main() -> None:
    use_available_cores()
    estimator = load_estimator("rooms-b0")
    scenes = [room(seed) for seed in range(ROOMS)]
    raw, scaled = np.mean([around(scene, estimator) for scene in scenes], axis=0)
    print(f"360°, {ROOMS} rooms: AbsRel {raw:.3f} as it comes, {scaled:.3f} once the median is right.\n")
    print("| camera | smoothing | AbsRel, scaled | change of the error from frame to frame |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, noise in (("walks", 0.0), ("stands, grainy", 6.0)):
            clips = []
            for number, scene in enumerate(scenes):
                views = walk(scene, FRAMES)
                views = views if name == "walks" else [views[FRAMES // 2]] * FRAMES
                clips.append(film(scene, views, Path(folder, f"{number}.mp4"), noise=noise))
            for smoothing in (0.0, SMOOTHING.default):
                found = [steadied(one, estimator, Path(folder), smoothing) for one in clips]
                shape = np.mean([abs_rel(depth_m, one.depth_m)[1] for depth_m, one in zip(found, clips, strict=True)])
                change = np.mean([flicker(one, depth_m) for depth_m, one in zip(found, clips, strict=True)])
                print(f"| {name} | {smoothing:g} | {shape:.3f} | {change:.2f} % |", flush=True)


if __name__ == "__main__":
    main()
