"""What the command line, the page, its links and its API accept: one table of names and numbers."""

import math
from typing import Any, NamedTuple

from .errors import ConfigError

RESOLUTIONS = ("standard", "fast", "native")  # or the short side in pixels, up to
MAX_SHORT_SIDE = 4096


class Bounds(NamedTuple):
    """A number from `least` to `most`; `default` where nobody gives one."""

    name: str
    unit: str
    least: float
    most: float
    default: float

    def check(self, value: Any) -> float:
        """Return `value` as a float. Raises `ConfigError` if it is not a number within the bounds."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not self.least <= number <= self.most:  # false for NaN as well
            raise ConfigError(f"The {self.name} is {value!r}. Give {self.unit} from {self.least:g} to {self.most:g}.")
        return number


FOV_DEG = Bounds("horizontal field of view", "degrees", 5.0, 170.0, 63.0)
EDGE_CUT = Bounds("edge cut", "a relative step of depth", 0.005, 0.3, 0.05)
SCALE = Bounds("scale factor", "a number", 0.05, 20.0, 1.0)
SMOOTHING = Bounds("smoothing of a clip", "a share of the past", 0.0, 0.95, 0.8)
RANGE_M = Bounds("end of the color range", "metres", 0.0, 1000.0, 10.0)
DISTANCE_M = Bounds("distance", "metres", 0.01, 1000.0, 2.0)
APERTURE = Bounds("aperture", "a share of the width", 0.001, 0.2, 0.03)
