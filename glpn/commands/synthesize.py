"""`glpn synthesize`: RGB-D training data from synthetic scenes."""

import argparse
from pathlib import Path

from glpn.training.recipe import load_renderer

from .terminal import show

EXAMPLES = (
    "glpn synthesize --frames 1024 --out data/rooms",
    "glpn synthesize --scenes streets --frames 4096 --seed 7 --out data/streets --workers 2",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenes", default="rooms", help="kind of scenes (default: %(default)s)")
    parser.add_argument("--frames", type=int, required=True, help="pictures, rounded up to whole shards")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of shards; adds missing ones")
    parser.add_argument("--size", type=int, nargs=2, default=(192, 256), metavar=("H", "W"))
    parser.add_argument("--workers", type=int, default=1, help="number of processes (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Render what is missing in the output folder."""
    renderer = load_renderer()
    plan = renderer.SynthesisPlan(args.frames, args.seed, scenes=args.scenes, size=tuple(args.size))
    frames = renderer.synthesize(plan, args.out, workers=args.workers, progress=show_shards)
    print(f"{frames} new frames in {args.out}")
    return 0


def show_shards(done: int, total: int) -> None:
    """Show how many shards are rendered."""
    show(f"{done} of {total} shards" if done < total else "")
