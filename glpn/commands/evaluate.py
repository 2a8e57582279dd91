"""`glpn evaluate`: the nine metrics of a model, or of saved predictions, on a data set."""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from glpn.datasets import Pair
from glpn.errors import ConfigError
from glpn.estimator import load_estimator
from glpn.evaluation.scores import Estimate, Score, evaluate_pairs, robustness, saved_predictions, write_scores

from .options import DEPTH_LIMITS_M, add_data, add_device, add_model, add_seeing, need_data, read_pairs
from .terminal import show

EXAMPLES = (
    "glpn evaluate --root my-rgbd",
    "glpn evaluate --model nyu-b4 --data nyu --root nyu --list nyudepthv2_test_files_with_gt.txt --flip-average",
    "glpn evaluate --data kitti --root kitti --list eigen_test_files_with_gt.txt --predictions result/",
)
STEPS_PER_M = {"nyu": 1000, "kitti": 256, "rgbd": 1000, "shards": 1000}  # of saved predictions
CROP = {"nyu": "nyu", "kitti": "garg"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_data(parser)
    parser.add_argument("--crop", choices=("none", "nyu", "garg", "eigen"), help="default: the data set's own")
    add_seeing(parser)
    add_device(parser)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one row per image")
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="FOLDER",
        help="score saved 16-bit PNGs instead of a model, as GLPDepth's and BTS' test programs write them",
    )
    parser.add_argument(
        "--prediction-scale", type=float, metavar="STEPS", help="steps per metre (default: 256 for KITTI, else 1000)"
    )
    parser.add_argument("--robustness", action="store_true", help="also under 15 corruptions at 5 strengths")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the table of metrics."""
    if args.predictions and args.robustness:
        raise ConfigError("Saved predictions can't be run on corrupted photos. Leave out --robustness.")
    need_data(args)
    limit, crop = args.max_depth or DEPTH_LIMITS_M[args.data], args.crop or CROP.get(args.data, "none")
    if args.predictions:
        depth_of = saved_predictions(args.predictions, args.prediction_scale or STEPS_PER_M[args.data])
    else:
        estimate = _estimate_with(args)
        depth_of = partial(_depth_of, estimate)
    pairs = read_pairs(args, args.list)
    score = evaluate_pairs(
        depth_of, pairs, max_depth_m=limit, crop=crop, on_image=lambda i, _: show(f"{i + 1} of {len(pairs)} images")
    )
    show("")
    print(score_table(score))
    if score.skipped:
        print(f"{len(score.skipped)} pairs were skipped; the warnings above name them.")
    if args.csv:
        write_scores(args.csv, score)
    if args.robustness:
        print("\nAbsRel and δ1, median-scaled, by strength of corruption")
        robustness(estimate, pairs, max_depth_m=limit, crop=crop, on_row=_print_row)
    return 0


def score_table(score: Score) -> str:
    """Return the nine metrics, raw and median-scaled, over all images."""
    lines = [f"{'':10} {'raw':>8} {'scaled':>8}   ({len(score.images)} images)"]
    scaled = score.scaled.to_dict()
    lines += [f"{name:10} {value:8.4f} {scaled[name]:8.4f}" for name, value in score.raw.to_dict().items()]
    return "\n".join(lines)


def _depth_of(estimate: Estimate, pair: Pair) -> np.ndarray:
    return estimate(pair.rgb)


def _estimate_with(args: argparse.Namespace) -> Estimate:
    """Return the depth function of the model that the arguments name."""
    estimator = load_estimator(args.model, device=args.device)

    def estimate(rgb: np.ndarray) -> np.ndarray:
        return estimator(rgb, resolution=args.resolution, flip_average=args.flip_average, correct_scale=False).depth_m

    return estimate


def _print_row(name: str, scores: tuple[Score, ...]) -> None:
    cells = (f"{score.scaled.abs_rel:.3f}/{score.scaled.delta1:.3f}" for score in scores)
    print(f"{name:18} " + "  ".join(cells))
