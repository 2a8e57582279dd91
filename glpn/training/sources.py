"""The pairs or photos that a recipe trains on, and the pairs that it is measured on at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from glpn.datasets import LAYOUTS, Pairs, Photos, bottom_center_window, pairs_in_layout, rgbd_folder
from glpn.errors import ConfigError

DATA_LAYOUTS = (*LAYOUTS, "rgbd", "photos", "hub")


@dataclass(frozen=True, kw_only=True)
class PairSource:
    """The `[data]` of a recipe that renders no scenes.

    layout    "nyu" or "kitti" (as BTS and GLPDepth unpack them), "rgbd" (any folder), "photos" (without depth), "hub"
    crop      (height, width) to which every pair is cut: bottom rows and center columns
    scale     steps per metre of integer depth, for "rgbd" and "hub"
    held_out_every    pair 0, n, 2n … is kept for validation
    repo_id, revision, train, test, image, depth    of a data set on the Hub: its splits and the names of its fields
    """

    layout: str
    crop: tuple[int, int] | None = None
    scale: float = 1000.0
    held_out_every: int = 50
    repo_id: str = ""
    revision: str | None = None
    train: str = "train"
    test: str = "validation"
    image: str = "image"
    depth: str = "depth_map"

    def __post_init__(self) -> None:
        if self.layout not in DATA_LAYOUTS:
            raise ConfigError(f"Unknown layout {self.layout!r} of data. Known: {', '.join(DATA_LAYOUTS)}.")
        if self.layout == "hub" and not self.repo_id:
            raise ConfigError('A data set on the Hub needs its name: repo_id = "owner/name".')
        if self.held_out_every < 2:
            raise ConfigError(f"held_out_every is {self.held_out_every}: nothing would be left to train on. Give 50.")

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "PairSource":
        """Read a recipe's table. Raises `ConfigError` for a key that is unknown."""
        unknown = table.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ConfigError(f"Unknown {', '.join(sorted(unknown))} in [data]. See docs/TRAINING.md.")
        crop = table.get("crop")
        return cls(**{**table, "crop": tuple(crop) if crop else None})

    def training_pairs(self, root: Path, *, lists: Path | None = None) -> Pairs:
        """Open what is trained on; data of the Hub has been copied to `root` before. Raises `DataError`."""
        return Photos.in_folder(root) if self.layout == "photos" else self.pairs(root, "train", lists=lists)

    def pairs(self, root: Path, part: str, *, lists: Path | None = None) -> Pairs:
        """Open the pairs of `part`, "train" or "test". Raises `DataError`."""
        if self.layout in LAYOUTS:
            return pairs_in_layout(self.layout, root, part, lists=lists, crop=self.crop)
        if self.layout == "photos":
            raise ConfigError("Photos have no depth to measure with: give --test-data.")
        whole = root / part
        found = rgbd_folder(whole if whole.is_dir() else root, scale=self.scale)
        return replace(found, window=partial(bottom_center_window, crop=self.crop)) if self.crop else found
