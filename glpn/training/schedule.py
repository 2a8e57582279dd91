"""Learning-rate schedules: share of the peak rate by progress."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from glpn.errors import ConfigError


def one_cycle(progress: float) -> float:
    """The authors' schedule (their code): 0.3 → 1 → 0.3 with power 0.9, that is 3e-5 → 1e-4 → 3e-5."""
    rising = progress < 0.5
    share = (2 * progress if rising else 2 - 2 * progress) ** 0.9
    return 0.3 + 0.7 * share


def cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def trapezoid(progress: float) -> float:
    """Hold the peak for four fifths, then fall to 0: a run can be extended from any point before the fall."""
    return min(1.0, 5 * (1 - progress))


def constant(progress: float) -> float:
    return 1.0


SCHEDULES: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {"one_cycle": one_cycle, "cosine": cosine, "trapezoid": trapezoid, "constant": constant}
)


def learning_rate(step: int, steps: int, *, peak: float, schedule: str, warmup_steps: int = 0) -> float:
    """Return the rate of `step` (from 0) of `steps`; the warm-up rises linearly and multiplies the schedule."""
    if schedule not in SCHEDULES:
        raise ConfigError(f"Unknown schedule {schedule!r}. Known: {', '.join(SCHEDULES)}.")
    warm = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return peak * warm * SCHEDULES[schedule](min(1.0, step / max(1, steps)))
