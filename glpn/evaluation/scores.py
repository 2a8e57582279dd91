"""A depth function against a data set: nine metrics per image, raw and median-scaled, averaged."""

import csv
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from torch import Tensor

from glpn.datasets import Pair, Pairs, read_ground_truth
from glpn.errors import DataError

from .corruptions import CORRUPTIONS, STRENGTHS, corrupt
from .metrics import METRICS, DepthMetrics, crop_mask, depth_metrics, mean_metrics

logger = logging.getLogger(__name__)

Estimate = Callable[[np.ndarray], np.ndarray]  # rgb (H, W, 3) uint8 -> depth (H, W) metres
Predict = Callable[[Tensor], Tensor]  # images (B, 3, H, W) float32, 0 to 1 -> depth (B, H, W) metres


@dataclass(frozen=True)
class ImageScore:
    name: str
    raw: DepthMetrics
    scaled: DepthMetrics


@dataclass(frozen=True)
class Score:
    """Means over a data set's images, raw and median-scaled; `skipped` says which pairs can't be used, and why."""

    raw: DepthMetrics
    scaled: DepthMetrics
    images: tuple[ImageScore, ...]
    skipped: tuple[str, ...] = ()

    COLUMNS: ClassVar[tuple[str, ...]] = (*METRICS, *(f"scaled_{name}" for name in METRICS))

    @classmethod
    def of(cls, images: Sequence[ImageScore], skipped: Sequence[str] = ()) -> "Score":
        raw, scaled = mean_metrics([i.raw for i in images]), mean_metrics([i.scaled for i in images])
        return cls(raw, scaled, tuple(images), tuple(skipped))

    def to_row(self) -> dict[str, str]:
        return _row(self.raw, self.scaled)


def score_image(
    name: str, predicted_m: np.ndarray, truth_m: np.ndarray, *, max_depth_m: float, crop: str = "none"
) -> ImageScore:
    """Compare one prediction with the truth, both (H, W), raw and median-scaled."""
    mask = crop_mask(crop, truth_m.shape)
    raw, scaled = (
        depth_metrics(predicted_m, truth_m, max_depth_m=max_depth_m, mask=mask, median_scaled=median)
        for median in (False, True)
    )
    return ImageScore(name, raw, scaled)


def evaluate(
    estimate: Estimate,
    pairs: Pairs,
    *,
    max_depth_m: float,
    crop: str = "none",
    on_image: Callable[[int, ImageScore], None] | None = None,
) -> Score:
    """Score `estimate` on every pair, at the pair's own size. See `evaluate_pairs`."""
    return evaluate_pairs(lambda pair: estimate(pair.rgb), pairs, max_depth_m=max_depth_m, crop=crop, on_image=on_image)


def evaluate_pairs(
    depth_of: Callable[[Pair], np.ndarray],
    pairs: Pairs,
    *,
    max_depth_m: float,
    crop: str = "none",
    on_image: Callable[[int, ImageScore], None] | None = None,
) -> Score:
    """Score the depth (H, W) that `depth_of` gives for each pair.

    Pairs that can't be used are logged and named in the result. Raises `DataError` if none can.
    """
    images: list[ImageScore] = []
    skipped: list[str] = []
    for index in range(len(pairs)):
        try:
            pair = pairs[index]
            score = score_image(pair.name, depth_of(pair), pair.depth_m, max_depth_m=max_depth_m, crop=crop)
        except DataError as error:
            logger.warning("Skipped: %s", error)
            skipped.append(str(error))
            continue
        images.append(score)
        if on_image:
            on_image(index, score)
    return Score.of(images, skipped)


def saved_predictions(folder: Path, scale: float) -> Callable[[Pair], np.ndarray]:
    """Return what reads a pair's depth from the integer PNGs in `folder`, of `scale` steps per metre.

    A file is called as the pair's photo, with its folders or with these joined by "_", as GLPDepth's and BTS' test
    programs write them. A pair without a file, or with one of another size, can't be used (`DataError`).
    """

    def depth_of(pair: Pair) -> np.ndarray:
        name = PurePosixPath(pair.name).with_suffix(".png")
        candidates = [folder / name, folder / "_".join(name.parts), folder / name.name]
        path = next((one for one in candidates if one.is_file()), None)
        if path is None:
            raise DataError(f"{folder} has no prediction for {pair.name}. Expected {name} or {'_'.join(name.parts)}.")
        depth = read_ground_truth(path, scale)
        if depth.shape != pair.depth_m.shape:
            raise DataError(f"{path} is {depth.shape}, but the depth of {pair.name} is {pair.depth_m.shape}.")
        return depth

    return depth_of


def robustness(
    estimate: Estimate,
    pairs: Pairs,
    *,
    max_depth_m: float,
    crop: str = "none",
    on_row: Callable[[str, tuple[Score, ...]], None] | None = None,
) -> dict[str, tuple[Score, ...]]:
    """Score `estimate` under each of the fifteen corruptions at strengths 1 to 5; `on_row` is told of each."""
    result: dict[str, tuple[Score, ...]] = {}
    for name in CORRUPTIONS:
        result[name] = tuple(
            evaluate(
                lambda rgb, name=name, strength=strength: estimate(corrupt(rgb, name, strength)),  # type: ignore[misc]
                pairs,
                max_depth_m=max_depth_m,
                crop=crop,
            )
            for strength in STRENGTHS
        )
        if on_row:
            on_row(name, result[name])
    return result


def write_scores(path: Path, score: Score) -> None:
    """Write one row per image as CSV, and the mean as the last row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["image", *Score.COLUMNS])
        writer.writeheader()
        for image in score.images:
            writer.writerow({"image": image.name} | _row(image.raw, image.scaled))
        writer.writerow({"image": "mean"} | score.to_row())


def _row(raw: DepthMetrics, scaled: DepthMetrics) -> dict[str, str]:
    both = raw.to_dict() | {f"scaled_{name}": value for name, value in scaled.to_dict().items()}
    return {name: repr(float(value)) for name, value in both.items()}  # every digit: others compare with it
