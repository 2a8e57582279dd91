"""RGB-D data: NYU and KITTI by list files, plain folders, our synthetic shards, and photos without depth."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from glpn import depth_file
from glpn.errors import DataError, ExportError, PhotoError
from glpn.metrics import kitti_benchmark_window
from glpn.photo import load_photo

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
DEPTH_SUFFIXES = (".png", ".npy", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class Pair:
    """One picture and its depth: rgb (H, W, 3) uint8; depth_m (H, W) float32 metres, 0 = no measurement.

    `fx_over_width` is the camera's focal length as a multiple of the picture's width, where it is known.
    """

    rgb: np.ndarray
    depth_m: np.ndarray
    name: str
    fx_over_width: float | None = None


class Pairs(Protocol):
    """A data set: a sequence of pairs. Reading one raises `DataError`, naming it, if it can't be used."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Pair: ...


# ---------------------------------------------------------------------------------------------------------- one pair


def read_depth(path: Path, scale: float) -> np.ndarray:
    """Read a depth file as `glpn.depth_file` does, with 0 where nothing was measured. Raises `DataError`."""
    try:
        return np.nan_to_num(depth_file.read_depth(path, scale), copy=False)
    except ExportError as error:
        raise DataError(f"{path}: {error}") from error


def read_pair(image: Path, depth: Path, scale: float, *, name: str | None = None) -> Pair:
    """Read a picture and its depth. Raises `DataError` if either can't be used, if sizes differ, or depth is all 0."""
    try:
        rgb = load_photo(image).rgb
    except PhotoError as error:
        raise DataError(f"{image} can't be used: {error}") from error
    depth_m = read_depth(depth, scale)
    if rgb.shape[:2] != depth_m.shape:
        raise DataError(
            f"{image} is {rgb.shape[0]} × {rgb.shape[1]} and {depth} is {depth_m.shape[0]} × {depth_m.shape[1]}. "
            "A pair has to be of one size, pixel by pixel."
        )
    if not depth_m.any():
        raise DataError(f"{depth} has no measurement: every pixel is 0.")
    return Pair(rgb, depth_m, name or image.name)


# -------------------------------------------------------------------------------------------------------- data sets


@dataclass(frozen=True)
class FilePairs:
    """Pairs of files. `window` cuts every pair, such as KITTI's benchmark crop."""

    files: tuple[tuple[Path, Path], ...]
    scale: float
    root: Path
    window: Callable[[tuple[int, int]], tuple[slice, slice]] | None = None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Pair:
        image, depth = self.files[index]
        name = image.relative_to(self.root).as_posix() if image.is_relative_to(self.root) else image.name
        pair = read_pair(image, depth, self.scale, name=name)
        if self.window is None:
            return pair
        window = self.window(pair.depth_m.shape)
        return Pair(pair.rgb[window], pair.depth_m[window], pair.name)


def nyu(root: Path, list_file: Path) -> FilePairs:
    """NYU Depth V2 as BTS and GLPDepth lay it out: lines `rgb depth focal` relative to `root`, 1000 steps per metre."""
    return FilePairs(_listed(list_file, root, root), 1000.0, root)


def kitti(root: Path, list_file: Path, depth_root: Path | None = None) -> FilePairs:
    """KITTI as BTS and GLPDepth lay it out: 256 steps per metre, cut to the benchmark's 352 × 1216.

    Raw pictures lie under `root`, depth under `depth_root` (default: the same). Lines whose depth is "None" are left
    out, as in the Eigen split.
    """
    return FilePairs(_listed(list_file, root, depth_root or root), 256.0, root, kitti_benchmark_window)


def _listed(list_file: Path, root: Path, depth_root: Path) -> tuple[tuple[Path, Path], ...]:
    try:
        lines = list_file.read_text().splitlines()
    except OSError as error:
        raise DataError(f"The list file {list_file} can't be read: {error.strerror}.") from error
    files = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2:
            raise DataError(f"{list_file}, line {number}: {line!r}. Give the picture and its depth, parted by a space.")
        if words[1] != "None":
            files.append((root / words[0].lstrip("/"), depth_root / words[1].lstrip("/")))
    if not files:
        raise DataError(f"{list_file} names no pairs.")
    return tuple(files)


def rgbd_folder(root: Path, *, scale: float = 1000.0) -> FilePairs:
    """A plain folder. A picture is matched with the depth file of the same name in one of these places.

    Either `rgb/NAME.*` with `depth/NAME.*`, or side by side `NAME.jpg` with `NAME_depth.png`, `NAME_depth_mm.png` or
    `NAME_depth.npy`. Pictures without depth are logged and left out. Raises `DataError` if no pair is found.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder. Give one with pictures and their depth.")
    side_by_side = not (root / "rgb").is_dir()
    pictures = sorted(
        p for p in (root if side_by_side else root / "rgb").rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES
    )
    files = []
    for picture in pictures:
        if side_by_side:
            if picture.stem.endswith(("_depth", "_depth_mm")):
                continue
            stems = [picture.with_name(f"{picture.stem}{tail}") for tail in ("_depth_mm", "_depth")]
        else:
            stems = [root / "depth" / picture.relative_to(root / "rgb").with_suffix("")]
        found = [
            p for stem in stems for suffix in DEPTH_SUFFIXES if (p := stem.with_name(stem.name + suffix)).is_file()
        ]
        if found:
            files.append((picture, found[0]))
        else:
            logger.warning("%s has no depth beside it and is left out.", picture)
    if not files:
        raise DataError(
            f"{root} holds no pairs. Put pictures in rgb/ and depth of the same names in depth/, or NAME.jpg beside "
            "NAME_depth.png."
        )
    return FilePairs(tuple(files), scale, root)


class Shards:
    """Synthetic shards (see `synthesis.generation`), mapped into memory; frames are counted when this is made.

    `only` keeps the shards with these numbers, to hold some out. `fx_over_width` brings all depth to one camera: a
    thing looks the same from twice as far through twice the focal length, so depth is multiplied by the ratio of the
    focal lengths. What the network then says is right for that camera, and scales with the focal length of others.
    """

    def __init__(
        self, folder: Path, only: Callable[[int], bool] = lambda number: True, *, fx_over_width: float | None = None
    ) -> None:
        try:
            about = json.loads((folder / "dataset.json").read_text())
            self._scale, scenes = float(about["depth_scale"]), about["scenes"]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{folder} holds no synthetic shards: dataset.json can't be read ({error!r}).") from error
        paths = sorted(folder.glob(f"{scenes}-*-rgb.npy"))
        paths = [path for path in paths if only(int(path.stem.split("-")[1]))]
        if not paths:
            raise DataError(f"{folder} holds no shards yet. `python -m glpn synthesize` makes them.")
        self._names = [path.stem.removesuffix("-rgb") for path in paths]
        self._rgb = [np.load(path, mmap_mode="r") for path in paths]
        self._depth = [
            np.load(path.with_name(f"{name}-depth.npy"), mmap_mode="r")
            for path, name in zip(paths, self._names, strict=True)
        ]
        fov_deg = [np.load(path.with_name(f"{name}-fov.npy")) for path, name in zip(paths, self._names, strict=True)]
        self._factor = [
            np.ones_like(fov) if fx_over_width is None else fx_over_width * 2 * np.tan(np.radians(fov) / 2)
            for fov in fov_deg
        ]
        self._ends = np.cumsum([len(rgb) for rgb in self._rgb])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Pair:
        if not 0 <= index < len(self):
            raise IndexError(index)
        shard = int(np.searchsorted(self._ends, index, side="right"))
        place = index - int(self._ends[shard]) + len(self._rgb[shard])
        depth_m = self._depth[shard][place] * np.float32(self._factor[shard][place] / self._scale)
        return Pair(np.asarray(self._rgb[shard][place]), depth_m, f"{self._names[shard]}/{place}")


@dataclass(frozen=True)
class Photos:
    """Pictures without depth, for distillation: their depth is 0 everywhere."""

    files: tuple[Path, ...]

    @classmethod
    def in_folder(cls, root: Path) -> "Photos":
        files = tuple(sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES))
        if not files:
            raise DataError(f"{root} holds no .jpg or .png pictures.")
        return cls(files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Pair:
        try:
            rgb = load_photo(self.files[index]).rgb
        except PhotoError as error:
            raise DataError(f"{self.files[index]} can't be used: {error}") from error
        return Pair(rgb, np.zeros(rgb.shape[:2], np.float32), self.files[index].name)


@dataclass(frozen=True)
class Subset:
    """Some of a data set's pairs, by index."""

    pairs: Pairs
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[self.indices[index]]
