"""Scale: the factor that known lengths give, such as a door of 2.00 m that measured 1.70 m.

It is apart from the focal-length correction (`DepthPrediction.scale`), which comes from the camera and not from a tape.
"""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from typing_extensions import Self

from .bounds import SCALE
from .errors import ConfigError

# Lengths that most people have at hand, metres.
KNOWN_LENGTHS = MappingProxyType(
    {
        "door, height": 2.00,  # DIN 18101: a leaf of 1.985 m in a frame of 2.005 m
        "A4 sheet, long side": 0.297,  # ISO 216
        "bank card, long side": 0.0856,  # ISO/IEC 7810 ID-1
    }
)


@dataclass(frozen=True)
class Scale:
    """A factor on all depths of a photo.

    factor   true / measured
    lengths  the (measured, true) pairs in metres that it comes from; none if only the factor was given
    """

    factor: float
    lengths: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not _is_number(self.factor):
            raise ConfigError(f"The {SCALE.name} is {self.factor!r}. Give a number from {SCALE.least} to {SCALE.most}.")
        SCALE.check(self.factor)

    @classmethod
    def fit(cls, lengths: Iterable[tuple[float, float]]) -> Self:
        """Find the factor for which `lengths`, (measured, true) pairs in metres, fit best.

        Least squares of ln(true / measured): errors of depth are relative, so a short length counts as much as a long
        one. Measure on a prediction without a calibration (`prediction.calibrated(None)`).

        Raises ConfigError for no lengths, lengths that are not above 0, or a factor that is out of range.
        """
        pairs = tuple((_length(measured, "measured"), _length(true, "true")) for measured, true in lengths)
        if not pairs:
            raise ConfigError("No known length is given. Measure one thing on the photo and enter its true length.")
        for measured, true in pairs:
            if not SCALE.least <= true / measured <= SCALE.most:
                raise ConfigError(
                    f"A length of {true:g} m measured {measured:.2g} m, which is too far off for a scale. "
                    "Give metres, not centimetres, and check both ends of the measured line."
                )
        return cls(math.exp(statistics.fmean(_logs(pairs))), pairs)

    @property
    def spread(self) -> float | None:
        """Relative standard deviation of the single lengths' factors; None with fewer than two lengths."""
        return statistics.stdev(_logs(self.lengths)) if len(self.lengths) > 1 else None

    def __str__(self) -> str:
        if not self.lengths:
            return f"× {self.factor:.3g}"
        if self.spread is None:
            return f"× {self.factor:.3g} by one known length"
        return f"× {self.factor:.3g} by {len(self.lengths)} known lengths, which differ by {100 * self.spread:.2g} %"

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and the spread, JSON-ready."""
        lengths = [{"measured_m": measured, "true_m": true} for measured, true in self.lengths]
        return {"factor": self.factor, "lengths": lengths, "spread": self.spread}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` gave."""
        return cls(values["factor"], tuple((pair["measured_m"], pair["true_m"]) for pair in values["lengths"]))


def _logs(lengths: Iterable[tuple[float, float]]) -> list[float]:
    return [math.log(true / measured) for measured, true in lengths]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _length(value: Any, name: str) -> float:
    if not _is_number(value) or value <= 0:
        raise ConfigError(f"The {name} length is {value!r}. Give metres above 0, such as 2.00 for a door.")
    return float(value)
