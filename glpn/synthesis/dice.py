"""Random choices in the words that scene code needs."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """A seeded source of chance. `rng` is the underlying generator, for arrays."""

    def __init__(self, *seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def log_uniform(self, low: float, high: float) -> float:
        """A number whose logarithm is uniform: as often within [1, 2] as within [2, 4]."""
        return float(low * (high / low) ** self.rng.random())

    def normal(self, mean: float = 0.0, deviation: float = 1.0) -> float:
        return mean + deviation * float(self.rng.standard_normal())

    def integer(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def sign(self) -> int:
        return 1 if self.rng.random() < 0.5 else -1

    def pick(self, options: Sequence[T] | Mapping[T, float]) -> T:
        """One of a sequence, all alike; or one key of a mapping, by weight."""
        if not isinstance(options, Mapping):
            return options[int(self.rng.integers(len(options)))]
        mark = self.rng.random() * sum(options.values())
        for option, weight in options.items():
            mark -= weight
            if mark < 0:
                return option
        return option
