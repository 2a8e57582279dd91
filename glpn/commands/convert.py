"""`glpn convert FILE`: an original GLPDepth checkpoint as a folder that loads here."""

import argparse
from pathlib import Path

from glpn.model.original import load_original

EXAMPLES = (
    "glpn convert best_model_nyu.ckpt --max-depth 10 --out nyu",
    "glpn convert best_model_kitti.ckpt --max-depth 80 --out kitti",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the authors' checkpoint (.ckpt)")
    parser.add_argument(
        "--max-depth", type=float, required=True, metavar="METRES", help="as trained: 10 for NYU, 80 for KITTI"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="output folder")


def run(args: argparse.Namespace) -> int:
    """Convert the file and print what it holds."""
    model = load_original(args.file, max_depth=args.max_depth)
    model.save_pretrained(args.out)
    print(f"{args.out}: encoder {model.config.encoder}, maximum depth {args.max_depth:g} m")
    return 0
