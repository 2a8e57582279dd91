"""Arguments that several commands share, and what they mean."""

import argparse
from collections.abc import Callable, Collection
from pathlib import Path

from glpn.bounds import RESOLUTIONS
from glpn.datasets import Pairs, Shards, kitti, nyu, rgbd_folder
from glpn.errors import ConfigError
from glpn.zoo import DEFAULT

DATA = ("nyu", "kitti", "rgbd", "shards")
DEPTH_LIMITS_M = {"nyu": 10.0, "kitti": 80.0, "rgbd": 10.0, "shards": 10.0}


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add `--model`."""
    parser.add_argument(
        "--model", default=DEFAULT, help="variant id, owner/name of the Hub, or folder (default: %(default)s)"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device`."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")


def add_seeing(parser: argparse.ArgumentParser) -> None:
    """Add `--resolution` and `--flip-average`."""
    parser.add_argument(
        "--resolution",
        type=lambda text: int(text) if text.isdecimal() else text,
        default=RESOLUTIONS[0],
        help=f"{', '.join(RESOLUTIONS)}, or the short side in pixels (default: %(default)s)",
    )
    parser.add_argument("--flip-average", action="store_true", help="average with the mirror image; twice the time")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `read_pairs` reads."""
    parser.add_argument("--data", choices=DATA, default="rgbd", help="layout of the data (default: %(default)s)")
    parser.add_argument("--root", type=Path, metavar="DIR", help="folder of the data")
    parser.add_argument("--list", type=Path, metavar="FILE", help="list file, for nyu and kitti")
    parser.add_argument("--depth-root", type=Path, metavar="DIR", help="folder of kitti's depth, if it is another")
    parser.add_argument(
        "--scale", type=float, default=1000.0, help="steps per metre of rgbd depth (default: %(default)s)"
    )
    parser.add_argument("--max-depth", type=float, metavar="METRES", help="default: 80 for kitti, else 10")


def need_data(args: argparse.Namespace) -> None:
    """Raise `ConfigError` if the arguments name no data, before anything is loaded for them."""
    if args.root is None:
        raise ConfigError(f"`glpn {args.command}` needs data. Give --data and --root.")


def read_pairs(args: argparse.Namespace, list_file: Path | None) -> Pairs:
    """Open the data that the arguments name. Raises `ConfigError` if a list file is missing."""
    if args.data == "shards":
        return Shards(args.root)
    if args.data == "rgbd":
        return rgbd_folder(args.root, scale=args.scale)
    if list_file is None:
        raise ConfigError(f"--data {args.data} needs --list: the file that names its pairs.")
    return nyu(args.root, list_file) if args.data == "nyu" else kitti(args.root, list_file, args.depth_root)


def list_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return a type for argparse that reads "name,name" and refuses what is not in `known`."""

    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown) or 'nothing'}; known: {', '.join(known)}")
        return names

    return parse
