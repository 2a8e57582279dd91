"""Where depth jumps: edges of a depth map, and how well two maps' edges agree."""

import cv2
import numpy as np

WIDTH = 320  # pixels to which maps are brought first, so that an edge means the same in each
STEP = 0.05  # change of log depth per pixel, after smoothing, from which it is an edge
TOLERANCE = 0.01  # of the diagonal: how far off an edge may lie


def depth_edges(depth_m: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return (h, w) bool at 320 px width: the crest lines of the gradient of log depth, away from unknown pixels."""
    size = (WIDTH, max(2, round(WIDTH * depth_m.shape[0] / depth_m.shape[1])))
    logs = cv2.resize(np.log(np.maximum(depth_m, 1e-3)).astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    near_unknown = cv2.dilate(
        cv2.resize((~known).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), np.ones((7, 7), np.uint8)
    )
    smooth = cv2.GaussianBlur(logs, (0, 0), 1.0)
    down, across = np.gradient(smooth)
    slope = np.hypot(down, across)
    crest = np.zeros(slope.shape, bool)
    direction = np.round(np.arctan2(down, across) / (np.pi / 4)).astype(int) % 4
    for number, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        before, after = (np.roll(slope, (sign * dy, sign * dx), (0, 1)) for sign in (1, -1))
        crest |= (direction == number) & (slope >= before) & (slope > after)
    return crest & (slope > STEP) & (near_unknown == 0)


def edge_f1(predicted: np.ndarray, truth: np.ndarray) -> float:
    """F1 of two edge maps (h, w): an edge pixel counts if the other map has one within 1 % of the diagonal."""
    radius = TOLERANCE * float(np.hypot(*truth.shape))
    if not predicted.any() or not truth.any():
        return float(predicted.any() == truth.any())
    precision = float((_distance(truth)[predicted] <= radius).mean())
    recall = float((_distance(predicted)[truth] <= radius).mean())
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _distance(edges: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest edge, in pixels."""
    return cv2.distanceTransform((~edges).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
