"""`glpn panorama PHOTO`: distances all around a 360° photo."""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from glpn.estimator import load_estimator
from glpn.model.device import use_available_cores
from glpn.panorama import VIEWS, WIDTH, estimate_panorama
from glpn.photo import load_photo
from glpn.scene.figures import COLOR_MAPS
from glpn.scene.look import Look

from .options import add_model

EXAMPLES = (
    "glpn panorama room_360.jpg",
    "glpn panorama room_360.jpg --width 4096 --out around",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, help="an equirectangular photo, twice as wide as high")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="output folder (default: this folder)")
    add_model(parser)
    parser.add_argument("--width", type=int, default=int(WIDTH.default), help="of the result (default: %(default)s)")
    parser.add_argument("--colors", choices=COLOR_MAPS, default=Look.colors, help="color map (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    photo = load_photo(args.photo)
    use_available_cores()
    estimator = load_estimator(args.model)
    with tqdm(total=len(VIEWS), unit=" views", disable=not sys.stderr.isatty(), leave=False) as bar:
        result = estimate_panorama(
            photo, estimator, width=args.width, progress=lambda done, views: bar.update(done - bar.n)
        )
    files = result.write(args.out, Look(colors=args.colors))
    nearest, farthest = result.distance_m.min(), result.distance_m.max()
    span = result.uncertainty.span(nearest, farthest)
    print(f"{span} along the ray; overlapping views differ by {result.disagreement:.0%}")
    print(result.uncertainty.basis, file=sys.stderr)
    for path in files.values():
        print(path)
    return 0
