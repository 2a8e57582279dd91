"""Frames with true depth, grouped by room, and what is measured on each: every room counts the same."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from benchmarks.depth_edges import depth_edges, edge_f1
from glpn.datasets import Pair, Pairs, read_ground_truth
from glpn.evaluation.metrics import valid_pixels
from glpn.scene.figures import colorize
from glpn.scene.look import Look

BORDER = 0.05  # of each side
BESIDE_EDGE_PX = 6  # at 320 px width

Estimate = Callable[[Pair], tuple[np.ndarray, np.ndarray]]  # depth as it comes, and with the focal length told


@dataclass(frozen=True, eq=False)
class Frame:
    """A pair, the room that it shows, the range (metres) in which its truth is trusted, and what is near and far."""

    pair: Pair
    room: str
    nearest_m: float
    farthest_m: float
    near_m: float = 1.5
    far_m: float = 4.0

    @property
    def known(self) -> np.ndarray:
        return valid_pixels(self.pair.depth_m, min_depth_m=self.nearest_m, max_depth_m=self.farthest_m)


def rgbd_frames(folder: Path, group: str) -> list[Frame]:
    """Read the frames of one group ("indoor" or "near") that `index.json` lists."""
    frames = []
    for row in json.loads((folder / "index.json").read_text()):
        if row["group"] == group:
            path = folder / group / row["name"]
            rgb = np.asarray(Image.open(f"{path}.jpg").convert("RGB"))
            depth_m = read_ground_truth(Path(f"{path}.png"), 1000.0)
            frames.append(Frame(Pair(rgb, depth_m, row["name"], row["fx_over_width"]), row["room"], 0.25, 10.0))
    return frames


def single_frames(pairs: Iterable[Pair], nearest_m: float, farthest_m: float) -> list[Frame]:
    """Frames that show a room each."""
    return [Frame(pair, pair.name, nearest_m, farthest_m) for pair in pairs]


def every(pairs: Pairs, most: int) -> list[Pair]:
    step = max(1, len(pairs) // most)
    return [pairs[index] for index in range(0, len(pairs), step)]


# ----------------------------------------------------------------------------------------------------------- measuring


def measure(frame: Frame, raw_m: np.ndarray, told_m: np.ndarray) -> dict[str, float]:
    """Compare depth (H, W) as it comes, and with the focal length told, with the frame's truth.

    Next to AbsRel and δ1, raw, told and median-scaled: ln of truth over prediction (`scale`) and of the true median in
    metres (`distance`), and the median-scaled
    AbsRel near, far, at the picture's border and next to depth edges, where there are such pixels; F1 of depth edges.
    """
    known, truth = frame.known, frame.pair.depth_m
    scale = float(np.median(truth[known]) / np.median(raw_m[known]))
    scaled_m = raw_m * scale
    result = {"scale": float(np.log(scale)), "distance": float(np.log(np.median(truth[known])))}
    for name, depth_m in (("raw", raw_m), ("told", told_m), ("median", scaled_m)):
        ratio = np.maximum(depth_m[known] / truth[known], truth[known] / depth_m[known])
        result[f"{name}_abs_rel"] = float(np.mean(np.abs(depth_m[known] / truth[known] - 1)))
        result[f"{name}_delta1"] = float(np.mean(ratio < 1.25))
    edges = depth_edges(truth, known)
    beside = cv2.dilate(edges.astype(np.uint8), np.ones((2 * BESIDE_EDGE_PX + 1,) * 2, np.uint8))
    parts = {
        "near": truth < frame.near_m,
        "far": truth > frame.far_m,
        "border": _border(truth.shape),
        "edges": cv2.resize(beside, truth.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0,
    }
    for name, part in parts.items():
        if np.mean(known & part) > 0.005:
            chosen = known & part
            result[f"{name}_abs_rel"] = float(np.mean(np.abs(scaled_m[chosen] / truth[chosen] - 1)))
    result["edge_f1"] = edge_f1(depth_edges(scaled_m, known), edges)
    return result


def _border(shape: tuple[int, ...]) -> np.ndarray:
    height, width = shape
    tall, wide = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    border = np.ones((height, width), bool)
    border[tall:-tall, wide:-wide] = False
    return border


def judge(frames: Sequence[Frame], estimate: Estimate) -> dict[str, dict[str, float]]:
    """Measure all frames; returns the mean of each room, and "mean", the mean over rooms with `followed` next to it."""
    rooms: dict[str, list[dict[str, float]]] = {}
    for frame in frames:
        rooms.setdefault(frame.room, []).append(measure(frame, *estimate(frame.pair)))
    means = {room: average(rows) for room, rows in rooms.items()}
    followed = distance_followed([row for rows in rooms.values() for row in rows])
    return means | {"mean": average(list(means.values())) | {"followed": round(followed, 4)}}


def distance_followed(rows: Sequence[Mapping[str, float]]) -> float:
    """By how much the predicted median grows with the true one: the slope of its ln on the other's over all frames.

    1 follows entirely; the nearer to 0, the more everything is taken for equally far. NaN if all are equally far.
    """
    truth = np.array([row["distance"] for row in rows])
    predicted = truth - [row["scale"] for row in rows]
    return float(np.cov(truth, predicted)[0, 1] / np.var(truth, ddof=1)) if np.ptp(truth) > 0 else float("nan")


def average(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: round(float(np.mean([row[name] for row in rows if name in row])), 4) for name in names}


# ------------------------------------------------------------------------------------------------------------ pictures


def sheet(frames: Sequence[Frame], depths: Sequence[Sequence[np.ndarray]], *, height: int = 150) -> Image.Image:
    """A row per frame: the photo, the truth, and each model's depth, median-scaled, in the truth's colors."""
    rows = []
    for frame, predicted in zip(frames, depths, strict=True):
        known, truth = frame.known, frame.pair.depth_m
        span = tuple(float(bound) for bound in np.percentile(truth[known], (2, 98)))
        colored = colorize(truth, Look(range_m=span))
        colored[~known] = 40
        scaled = [depth * np.median(truth[known]) / np.median(depth[known]) for depth in predicted]
        tiles = [frame.pair.rgb, colored, *(colorize(depth, Look(range_m=span)) for depth in scaled)]
        width = round(height * truth.shape[1] / truth.shape[0])
        row = Image.fromarray(np.concatenate(tiles, 1)).resize((len(tiles) * width, height), Image.Resampling.BILINEAR)
        ImageDraw.Draw(row).text((6, 4), frame.pair.name, fill="white", stroke_width=2, stroke_fill="black")
        rows.append(row)
    result = Image.new("RGB", (max(row.width for row in rows), height * len(rows)))
    for index, row in enumerate(rows):
        result.paste(row, (0, height * index))
    return result
