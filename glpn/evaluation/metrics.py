"""The field's nine depth metrics, and the masks and crops under which papers report them. NumPy only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType

import numpy as np

from glpn.errors import ConfigError, DataError

MIN_DEPTH_M = 1e-3  # the authors' lower limit of a measured depth


@dataclass(frozen=True)
class DepthMetrics:
    """How a prediction compares with the truth, as Eigen et al. (2014) defined it and the authors' code computes it.

    delta1, delta2, delta3   share of pixels whose ratio to the truth, either way up, is below 1.25, 1.25², 1.25³; 0-1
    abs_rel                  mean of |p - t| / t
    sq_rel                   mean of (p - t)² / t, metres
    rmse                     root of the mean of (p - t)², metres
    rmse_log                 the same of natural logarithms
    log10                    mean of |log10 p - log10 t|
    silog                    root of mean(d²) - 0.5 · mean(d)², d = ln p - ln t: the authors' (others use 1, times 100)
    """

    delta1: float
    delta2: float
    delta3: float
    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    log10: float
    silog: float

    def to_dict(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in METRICS}


METRICS: tuple[str, ...] = tuple(field.name for field in fields(DepthMetrics))


def depth_metrics(
    predicted_m: np.ndarray,
    truth_m: np.ndarray,
    *,
    min_depth_m: float = MIN_DEPTH_M,
    max_depth_m: float = 10.0,
    mask: np.ndarray | None = None,
    median_scaled: bool = False,
) -> DepthMetrics:
    """Compare two depth maps (H, W) in metres where the truth lies strictly between the limits and `mask` is true.

    0 in the truth means "no measurement". The prediction is clamped to the limits first, as the authors do; with
    `median_scaled` it is multiplied by median(truth) / median(prediction) before that, which forgives a wrong scale.
    Raises `DataError` if the shapes differ, if no pixel is left, or if a compared prediction is not a number.
    """
    if predicted_m.shape != truth_m.shape or (mask is not None and mask.shape != truth_m.shape):
        raise DataError(
            f"The prediction is {predicted_m.shape}, the truth {truth_m.shape}"
            + (f" and the mask {mask.shape}" if mask is not None else "")
            + ". Give maps of one size."
        )
    valid = valid_pixels(truth_m, min_depth_m=min_depth_m, max_depth_m=max_depth_m)
    if mask is not None:
        valid &= mask
    if not valid.any():
        raise DataError(f"The truth has no pixel between {min_depth_m} and {max_depth_m} m inside the mask.")
    truth, predicted = truth_m[valid].astype(np.float64), predicted_m[valid].astype(np.float64)
    if np.isnan(predicted).any():
        raise DataError("The prediction has pixels that are not a number. Check the model's weights and input.")
    if median_scaled:
        predicted = predicted * (np.median(truth) / max(np.median(predicted), np.finfo(np.float64).tiny))
    predicted = np.clip(predicted, min_depth_m, max_depth_m)

    ratio = np.maximum(predicted / truth, truth / predicted)
    difference = predicted - truth
    log_difference = np.log(predicted) - np.log(truth)
    silog = np.mean(log_difference**2) - 0.5 * np.mean(log_difference) ** 2
    return DepthMetrics(
        delta1=float(np.mean(ratio < 1.25)),
        delta2=float(np.mean(ratio < 1.25**2)),
        delta3=float(np.mean(ratio < 1.25**3)),
        abs_rel=float(np.mean(np.abs(difference) / truth)),
        sq_rel=float(np.mean(difference**2 / truth)),
        rmse=float(np.sqrt(np.mean(difference**2))),
        rmse_log=float(np.sqrt(np.mean(log_difference**2))),
        log10=float(np.mean(np.abs(log_difference)) / np.log(10)),
        silog=float(np.sqrt(silog)),
    )


def mean_metrics(items: Sequence[DepthMetrics]) -> DepthMetrics:
    """Average metrics image by image, which is how papers report a data set. Raises `DataError` if there are none."""
    if not items:
        raise DataError("There are no images to average metrics over.")
    return DepthMetrics(**{name: float(np.mean([getattr(item, name) for item in items])) for name in METRICS})


def valid_pixels(truth_m: np.ndarray, *, min_depth_m: float = MIN_DEPTH_M, max_depth_m: float = 10.0) -> np.ndarray:
    """Return (H, W) bool: where the truth is a measurement strictly between the limits. NaN and infinity are not."""
    with np.errstate(invalid="ignore"):
        return (truth_m > min_depth_m) & (truth_m < max_depth_m)


# ------------------------------------------------------------------------------------------------------- masks, crops


def nyu_crop(size: tuple[int, int]) -> np.ndarray:
    """Eigen's crop of NYU Depth V2: rows 45:471, columns 41:601 of 480 × 640. Raises `DataError` at another size."""
    if size != (480, 640):
        raise DataError(f"The NYU crop is defined at 480 × 640, and the truth is {size[0]} × {size[1]}.")
    return _box(size, (45, 471), (41, 601))


def garg_crop(size: tuple[int, int]) -> np.ndarray:
    """Garg's crop of KITTI, by fractions of the size."""
    return _fractions(size, (0.40810811, 0.99189189), (0.03594771, 0.96405229))


def eigen_crop(size: tuple[int, int]) -> np.ndarray:
    """Eigen's crop of KITTI, by fractions of the size."""
    return _fractions(size, (0.3324324, 0.91351351), (0.0359477, 0.96405229))


def no_crop(size: tuple[int, int]) -> np.ndarray:
    return np.ones(size, bool)


CROPS: Mapping[str, Callable[[tuple[int, int]], np.ndarray]] = MappingProxyType(
    {"none": no_crop, "nyu": nyu_crop, "garg": garg_crop, "eigen": eigen_crop}
)


def crop_mask(name: str, size: tuple[int, int]) -> np.ndarray:
    """Return the named crop of a map of `size` (height, width) as (H, W) bool, true inside."""
    if name not in CROPS:
        raise ConfigError(f"Unknown crop {name!r}. Known: {', '.join(CROPS)}.")
    return CROPS[name](size)


def _fractions(size: tuple[int, int], rows: tuple[float, float], columns: tuple[float, float]) -> np.ndarray:
    height, width = size
    return _box(
        size,
        (int(rows[0] * height), int(rows[1] * height)),
        (int(columns[0] * width), int(columns[1] * width)),
    )


def _box(size: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask
