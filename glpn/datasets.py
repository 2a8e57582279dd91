"""RGB-D data: NYU and KITTI by list files, plain folders, our synthetic shards, and photos without depth."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from .errors import DataError, ExportError, PhotoError, printable
from .photo import load_photo
from .scene import depth_files

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


def read_ground_truth(path: Path, scale: float, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read a depth file as `glpn.scene.depth_files` does, with 0 where nothing was measured. Raises `DataError`."""
    try:
        return np.nan_to_num(depth_files.read_depth(path, scale, size=size), copy=False)
    except ExportError as error:
        raise DataError(f"{printable(path)}: {error}") from error


def read_pair(image: Path, depth: Path, scale: float, *, name: str | None = None) -> Pair:
    """Read a picture and its depth. Raises `DataError` if either can't be used, if sizes differ, or depth is all 0."""
    try:
        rgb = load_photo(image).rgb
    except PhotoError as error:
        raise DataError(f"{printable(image)} can't be used: {error}") from error
    depth_m = read_ground_truth(depth, scale, size=(rgb.shape[0], rgb.shape[1]))
    if not depth_m.any():
        raise DataError(f"{printable(depth)} has no measurement: every pixel is 0.")
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
    return FilePairs(_listed(list_file, (root,), (root,)), 1000.0, root)


def kitti(root: Path, list_file: Path, depth_root: Path | None = None) -> FilePairs:
    """KITTI as BTS and GLPDepth lay it out: 256 steps per metre, cut to the benchmark's 352 × 1216.

    Raw pictures lie under `root`, depth under `depth_root` (default: the same). Lines whose depth is "None" are left
    out, as in the Eigen split.
    """
    return FilePairs(_listed(list_file, (root,), (depth_root or root,)), 256.0, root, kitti_benchmark_window)


@dataclass(frozen=True)
class Layout:
    """Where the files of a data set lie below its folder, wherever BTS, GLPDepth or its owners put them.

    scale       steps per metre of its depth
    lists       names of the list files of "train" and "test"
    pictures, depths    folders that the lines of each list may be relative to, likeliest first
    """

    scale: float
    lists: Mapping[str, tuple[str, ...]]
    pictures: Mapping[str, tuple[str, ...]]
    depths: Mapping[str, tuple[str, ...]]


_NYU_FOLDERS = {"train": ("sync", ""), "test": ("official_splits/test", "")}
_KITTI_PICTURES = ("raw", "raw_data", "")
_KITTI_DEPTHS = ("data_depth_annotated", "data_depth_annotated/train", "data_depth_annotated/val", "")


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "nyu": Layout(
            1000.0,
            {
                "train": ("nyudepthv2_train_files_with_gt.txt", "nyudepthv2/train_list.txt"),
                "test": ("nyudepthv2_test_files_with_gt.txt", "nyudepthv2/test_list.txt"),
            },
            _NYU_FOLDERS,
            _NYU_FOLDERS,
        ),
        "kitti": Layout(
            256.0,
            {
                "train": ("eigen_train_files_with_gt.txt", "eigen_benchmark/train_list.txt"),
                "test": ("eigen_test_files_with_gt.txt", "eigen_benchmark/test_list.txt"),
            },
            dict.fromkeys(("train", "test"), _KITTI_PICTURES),
            dict.fromkeys(("train", "test"), _KITTI_DEPTHS),
        ),
    }
)


def pairs_in_layout(
    layout: str, root: Path, part: str, *, lists: Path | None = None, crop: tuple[int, int] | None = None
) -> FilePairs:
    """The "train" or "test" pairs of NYU or KITTI below `root`, as BTS and GLPDepth unpack them.

    The list files lie in `lists`, or in `root`, its `filenames` or `train_test_inputs`, or next to it. `crop` cuts
    every pair to its bottom rows and center columns. Raises `DataError` if there is no list.
    """
    about = LAYOUTS[layout]
    if not root.is_dir():
        raise DataError(f"{printable(root)} is not a folder. Give that of the {layout} data.")
    folders = [lists] if lists else [root, root / "filenames", root / "train_test_inputs", root.parent]
    found = next((path for folder in folders for name in about.lists[part] if (path := folder / name).is_file()), None)
    if found is None:
        raise DataError(
            f"No list of the {part} pairs was found in {printable(lists or root)}. Put {about.lists[part][0]} there: "
            "it comes with BTS (github.com/cleinc/bts, train_test_inputs) or GLPDepth (code/dataset/filenames)."
        )
    pictures, depths = ([root / name for name in places[part]] for places in (about.pictures, about.depths))
    files = _listed(found, pictures, depths)
    return FilePairs(files, about.scale, root, partial(bottom_center_window, crop=crop) if crop else None)


def _below(folders: Sequence[Path], name: str) -> Path:
    """The first file of that name below one of the folders, or where it should have been."""
    paths = [folder / name.lstrip("/") for folder in folders]
    return next((path for path in paths if path.is_file()), paths[0]) if len(paths) > 1 else paths[0]


def _listed(list_file: Path, pictures: Sequence[Path], depths: Sequence[Path]) -> tuple[tuple[Path, Path], ...]:
    try:
        lines = list_file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"The list file {printable(list_file)} can't be read: {reason}.") from error
    files = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2:
            raise DataError(f"{list_file}, line {number}: {line!r}. Give the picture and its depth, parted by a space.")
        if words[1] != "None":
            files.append((_below(pictures, words[0]), _below(depths, words[1])))
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
            logger.warning("%s has no depth next to it and is left out.", picture)
    if not files:
        raise DataError(
            f"{root} holds no pairs. Put pictures in rgb/ and depth of the same names in depth/, or NAME.jpg next to "
            "NAME_depth.png."
        )
    return FilePairs(tuple(files), scale, root)


class Shards:
    """Synthetic shards (see `synthesis.shards`), mapped into memory; frames are counted when this is made.

    `only` keeps the shards with these numbers, to hold some out. `fx_over_width` brings all depth to one camera: a
    thing looks the same from twice as far through twice the focal length, so depth is multiplied by the ratio of the
    focal lengths. What the network then says is right for that camera, and scales with the focal length of others.
    Pairs carry their focal length: their own, or that of the one camera.
    """

    def __init__(
        self, folder: Path, only: Callable[[int], bool] = lambda number: True, *, fx_over_width: float | None = None
    ) -> None:
        try:
            about = json.loads((folder / "dataset.json").read_text(encoding="utf-8-sig"))
            self._scale, scenes = float(about["depth_scale"]), about["scenes"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(
                f"{printable(folder)} holds no synthetic shards: dataset.json can't be read ({type(error).__name__})."
            ) from error
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
        self._fx_over_width = [0.5 / np.tan(np.radians(fov) / 2) for fov in fov_deg]
        self._common = fx_over_width
        self._ends = np.cumsum([len(rgb) for rgb in self._rgb])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Pair:
        if not 0 <= index < len(self):
            raise IndexError(index)
        shard = int(np.searchsorted(self._ends, index, side="right"))
        place = index - int(self._ends[shard]) + len(self._rgb[shard])
        own = float(self._fx_over_width[shard][place])
        fx_over_width = self._common or own
        depth_m = self._depth[shard][place] * np.float32(fx_over_width / own / self._scale)
        return Pair(np.asarray(self._rgb[shard][place]), depth_m, f"{self._names[shard]}/{place}", fx_over_width)


@dataclass(frozen=True)
class Photos:
    """Pictures without depth, for distillation: their depth is 0 everywhere.

    Files that are depth themselves, as in NYU's and KITTI's folders, are passed over: "depth" in the name, or in
    that of a folder.
    """

    files: tuple[Path, ...]

    @classmethod
    def in_folder(cls, root: Path) -> "Photos":
        if not root.is_dir():
            raise DataError(f"{printable(root)} is not a folder. Give one with photos.")
        pictures = (path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        files = tuple(sorted(path for path in pictures if "depth" not in str(path.relative_to(root)).lower()))
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
class Joined:
    """Several data sets, one after the other."""

    parts: tuple[Pairs, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: int) -> Pair:
        for part in self.parts:
            if 0 <= index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)


@dataclass(frozen=True)
class Subset:
    """Some of a data set's pairs, by index."""

    pairs: Pairs
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[self.indices[index]]


@dataclass(frozen=True)
class Taught:
    """Pairs whose depth is what `depth_of` (a picture to its depth in metres) says of their pictures."""

    pairs: Pairs
    depth_of: Callable[[np.ndarray], np.ndarray]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        pair = self.pairs[index]
        return Pair(pair.rgb, self.depth_of(pair.rgb), pair.name)


def bottom_center_window(size: tuple[int, int], crop: tuple[int, int]) -> tuple[slice, slice]:
    """The bottom rows and center columns of a picture of `size`, as many as `crop`, both (height, width)."""
    (height, width), (tall, wide) = size, crop
    if height < tall or width < wide:
        raise DataError(f"The crop needs {tall} × {wide} pixels, and the image is {height} × {width}.")
    top, left = height - tall, (width - wide) // 2
    return slice(top, top + tall), slice(left, left + wide)


def kitti_benchmark_window(size: tuple[int, int]) -> tuple[slice, slice]:
    """The bottom 352 rows and the center 1216 columns, to which the authors cut KITTI before anything else."""
    return bottom_center_window(size, (352, 1216))
