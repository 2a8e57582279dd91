"""Which pair is seen when. Sample k of a run is a pure function of (data, settings, seed, k): that makes a resumed run
equal to an uninterrupted one, and many processes equal to one."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from glpn.datasets import Pairs
from glpn.errors import DataError

from .augmentation import Augmentation, augment

logger = logging.getLogger(__name__)

RETRIES = 20  # unusable pairs in a row before the data set is given up


@dataclass(frozen=True, eq=False)
class Batch:
    """images (B, 3, H, W) float32, 0 to 1, channels last; depth_m (B, H, W) float32, 0 = unknown; the pairs' names."""

    images: Tensor
    depth_m: Tensor
    names: tuple[str, ...]


class Samples(Dataset[tuple[np.ndarray, np.ndarray, str]]):
    """The endless, shuffled, augmented stream over a data set, addressed by sample number."""

    def __init__(self, pairs: Pairs, augmentation: Augmentation, *, seed: int) -> None:
        self.pairs, self.augmentation, self.seed = pairs, augmentation, seed
        self._order: tuple[int, np.ndarray] | None = None
        self._skipped: set[int] = set()

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray, str]:
        epoch, place = divmod(number, len(self.pairs))
        rng = np.random.default_rng((self.seed, 1, number))
        index = int(self._permutation(epoch)[place])
        for _ in range(RETRIES):
            try:
                pair = self.pairs[index]
                image, depth_m = augment(pair.rgb, pair.depth_m, self.augmentation, rng)
                return image, depth_m, pair.name
            except DataError as error:
                if index not in self._skipped:
                    self._skipped.add(index)
                    logger.warning("Skipped: %s", error)
                last = error
                index = int(rng.integers(len(self.pairs)))
        raise DataError(f"{RETRIES} pairs in a row can't be used. The last: {last}")

    def _permutation(self, epoch: int) -> np.ndarray:
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, np.random.default_rng((self.seed, 2, epoch)).permutation(len(self.pairs))
        return self._order[1]


def batches(
    samples: Samples, *, batch_size: int, first_batch: int, rank: int = 0, world_size: int = 1, workers: int = 0
) -> Iterator[Batch]:
    """Yield this process's batches for ever, from batch number `first_batch` on.

    Batch n of all processes together is the samples from `n * world_size * batch_size` on; `workers` processes read
    ahead, 0 reads in this one.
    """
    loader: DataLoader[Any] = DataLoader(
        samples,
        batch_sampler=_Numbers(batch_size, first_batch, rank, world_size),
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
    )
    return iter(loader)


def collate(items: list[tuple[np.ndarray, np.ndarray, str]]) -> Batch:
    images, depths, names = zip(*items, strict=True)
    return Batch(
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),  # NHWC memory seen as NCHW is channels last
        torch.from_numpy(np.stack(depths)),
        names,
    )


@dataclass(frozen=True)
class _Numbers:
    batch_size: int
    first_batch: int
    rank: int
    world_size: int

    def __iter__(self) -> Iterator[list[int]]:
        start = (self.first_batch * self.world_size + self.rank) * self.batch_size
        while True:
            yield list(range(start, start + self.batch_size))
            start += self.world_size * self.batch_size
