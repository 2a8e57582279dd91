"""Scenes to shards on disk: `rooms-00000-rgb.npy`, `-depth.npy`, `-fov.npy`, and one `dataset.json` for all.

A shard is a pure function of (scenes, seed, size, its number): workers take whole shards, so their number changes
nothing, and a run that was stopped continues with the shards that are missing.
"""

import json
import logging
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np

from glpn.errors import ConfigError, DataError
from glpn.files import replacing

from .dice import Dice
from .materials import TextureBank
from .rooms import build_room
from .scene import Scene
from .sensor import develop
from .shading import Hits, first_hits, shade
from .streets import build_street
from .views import (
    View,
    close_view,
    close_view_worth_keeping,
    room_view,
    street_view,
    street_worth_keeping,
    worth_keeping,
)

logger = logging.getLogger(__name__)

SHARDS_PER_BANK = 8
ATTEMPTS = 30  # proposals of a view before a scene is left


@dataclass(frozen=True)
class World:
    """A kind of scene: how to build one, where to stand, what to keep, and the scale of its depth files."""

    build: Callable[[Dice, TextureBank], Scene]
    propose: Callable[[Scene, Dice], View | None]
    keep: Callable[[np.ndarray, np.ndarray, Dice], bool]
    max_depth_m: float
    depth_scale: int


WORLDS = MappingProxyType(
    {
        "rooms": World(build_room, room_view, worth_keeping, 10.0, 1000),
        "closeups": World(partial(build_room, still_lifes=4), close_view, close_view_worth_keeping, 10.0, 1000),
        "streets": World(build_street, street_view, street_worth_keeping, 80.0, 500),
    }
)


@dataclass(frozen=True)
class RgbdImage:
    """One RGB-D picture: rgb (H, W, 3) uint8, depth_m (H, W) float32 with 0 for "nothing there", horizontal angle."""

    rgb: np.ndarray
    depth_m: np.ndarray
    fov_deg: float


@dataclass(frozen=True)
class SynthesisPlan:
    """What to generate. `size` is (height, width); the number of frames is rounded up to whole shards."""

    frames: int
    seed: int
    scenes: str = "rooms"
    size: tuple[int, int] = (192, 256)
    views_per_scene: int = 8
    scenes_per_shard: int = 25

    def __post_init__(self) -> None:
        if self.scenes not in WORLDS:
            raise ConfigError(f"Unknown scenes {self.scenes!r}. Known: {', '.join(WORLDS)}.")
        if (
            self.frames < 1
            or self.seed < 0
            or min(self.views_per_scene, self.scenes_per_shard) < 1
            or min(self.size) < 32
        ):
            raise ConfigError(
                f"{self} can't be generated. Give at least 1 frame and 1 view per scene, a seed of 0 or more, "
                "and sides of at least 32 pixels."
            )

    @property
    def shards(self) -> int:
        return -(-self.frames // (self.scenes_per_shard * self.views_per_scene))

    @property
    def world(self) -> World:
        return WORLDS[self.scenes]


def scene_frames(plan: SynthesisPlan, bank: TextureBank, number: int) -> Iterator[RgbdImage]:
    """Yield the views of scene `number`: up to `plan.views_per_scene`, fewer if few are worth keeping."""
    dice, world = Dice(plan.seed, 1, number), plan.world
    scene = world.build(dice, bank)
    found = 0
    for _ in range(ATTEMPTS):
        view = world.propose(scene, dice)
        if view is None:
            continue
        hits = first_hits(scene, view, plan.size)
        if not world.keep(hits.depth_m, hits.material, dice):
            continue
        yield RgbdImage(develop(shade(scene, view, hits, dice.rng), dice), _depth_map(hits, world), view.fov_deg)
        found += 1
        if found == plan.views_per_scene:
            return


def _depth_map(hits: Hits, world: World) -> np.ndarray:
    return np.where(hits.depth_m < world.max_depth_m, hits.depth_m, 0).reshape(hits.size)


def texture_bank(plan: SynthesisPlan, number: int) -> TextureBank:
    """Return a bank of textures; number n serves the shards from `n * SHARDS_PER_BANK` on."""
    return TextureBank(Dice(plan.seed, 2, number))


def make_shard(plan: SynthesisPlan, bank: TextureBank, shard: int, folder: Path) -> int:
    """Write shard number `shard` and return its number of frames. Its rgb file appears last, whole or not at all."""
    first = shard * plan.scenes_per_shard
    frames = [frame for n in range(first, first + plan.scenes_per_shard) for frame in scene_frames(plan, bank, n)]
    scale = plan.world.depth_scale
    arrays = {
        "depth": np.stack([np.rint(frame.depth_m * scale).astype(np.uint16) for frame in frames]),
        "fov": np.array([frame.fov_deg for frame in frames], np.float32),
        "rgb": np.stack([frame.rgb for frame in frames]),
    }
    for name, array in arrays.items():
        with replacing(shard_path(folder, plan.scenes, shard, name)) as part, part.open("wb") as file:
            np.save(file, array)
    return len(frames)


def shard_path(folder: Path, scenes: str, shard: int, name: str) -> Path:
    return folder / f"{scenes}-{shard:05d}-{name}.npy"


def synthesize(
    plan: SynthesisPlan, folder: Path, *, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write all shards of `plan` that `folder` lacks; returns the number of new frames.

    `progress(done, all)` counts shards. Raises `DataError` if the folder holds shards of another plan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_description(plan, folder)
    missing = [n for n in range(plan.shards) if not shard_path(folder, plan.scenes, n, "rgb").exists()]
    total = 0
    for done, frames in enumerate(_run(plan, folder, missing, workers), start=1):
        total += frames
        if progress:
            progress(plan.shards - len(missing) + done, plan.shards)
    return total


def _run(plan: SynthesisPlan, folder: Path, shards: list[int], workers: int) -> Iterator[int]:
    if workers == 1:
        yield from _Worker(plan, folder).run(shards)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=_start_worker, initargs=(plan, folder)) as pool:
        yield from pool.imap_unordered(_work, shards)


class _Worker:
    """Makes shards one after the other and keeps the texture bank that they share."""

    def __init__(self, plan: SynthesisPlan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.bank: tuple[int, TextureBank] | None = None
        cv2.setNumThreads(1)

    def make(self, shard: int) -> int:
        number = shard // SHARDS_PER_BANK
        if self.bank is None or self.bank[0] != number:
            self.bank = number, texture_bank(self.plan, number)
        return make_shard(self.plan, self.bank[1], shard, self.folder)

    def run(self, shards: list[int]) -> Iterator[int]:
        return map(self.make, shards)


_worker: _Worker | None = None  # one per process of the pool


def _start_worker(plan: SynthesisPlan, folder: Path) -> None:
    global _worker
    _worker = _Worker(plan, folder)


def _work(shard: int) -> int:
    assert _worker is not None
    return _worker.make(shard)


def _write_description(plan: SynthesisPlan, folder: Path) -> None:
    """Write dataset.json, or check that the one there tells of the same scenes (the number of frames may grow)."""
    path = folder / "dataset.json"
    about = asdict(plan) | {"depth_scale": plan.world.depth_scale, "max_depth_m": plan.world.max_depth_m}
    about["size"] = list(plan.size)
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8-sig"))
        differing = [key for key, value in about.items() if key != "frames" and there.get(key) != value]
        if differing:
            raise DataError(
                f"{folder} holds shards of another plan ({', '.join(differing)} differ). "
                "Give an empty folder, or the settings that dataset.json names."
            )
    path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8", newline="\n")
