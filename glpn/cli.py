"""The command line: `python -m glpn COMMAND`, or `glpn COMMAND` once installed.

A command's module is imported when the command is asked for, so that `zoo list` does not wait for PyTorch. Results go
to standard output, all else to standard error. Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 stopped.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from .errors import Cancelled, GLPNError, PhotoNotFound

if TYPE_CHECKING:
    from .camera import Camera
    from .photo import Photo
    from .prediction import DepthPrediction

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="glpn", description="Depth in metres from one photo.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (summary, _) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name in arguments[:1]:  # only the command that is asked for costs its imports
            run = COMMANDS[name][1](command)
    args = parser.parse_args(arguments)
    try:
        return run(args)
    except (Cancelled, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        return 130
    except GLPNError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def add_estimate(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Add the arguments of `estimate` and return what runs it."""
    from .estimator import RESOLUTIONS
    from .export import FORMATS

    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO|FOLDER", help="photos, or folders of photos")
    parser.add_argument(
        "--model", default="rooms-b0", help="variant id, owner/name of the Hub, or folder (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("depth"), metavar="DIR", help="where files go (default: %(default)s)"
    )
    parser.add_argument(
        "--format",
        type=_list_of(FORMATS),
        default=["depth-png", "color-png"],
        metavar="NAME,…",
        help=f"files to write for each photo: {', '.join(FORMATS)} (default: depth-png,color-png)",
    )
    parser.add_argument(
        "--resolution",
        type=_resolution,
        default="standard",
        help=f"{', '.join(RESOLUTIONS)}, or the short side in pixels (default: %(default)s)",
    )
    parser.add_argument("--flip-average", action="store_true", help="average with the mirror image; twice the time")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")
    parser.add_argument("--precision", default="float32", help="float32, bfloat16, float16, int8 or auto (%(default)s)")
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument("--fov", type=float, metavar="DEGREES", help="the photos' horizontal field of view")
    camera.add_argument("--camera", type=Path, metavar="FILE", help="the photos' intrinsics, JSON or text")
    parser.add_argument(
        "--correct-scale",
        action=argparse.BooleanOptionalAction,
        help="correct for the photo's focal length (default: where EXIF, --fov or --camera tells it)",
    )
    parser.add_argument(
        "--edge-cut",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="cut meshes where depth jumps by this share (default: %(default)s)",
    )
    return estimate


def estimate(args: argparse.Namespace) -> int:
    """Estimate every photo, print a row for each, and write its files; a bad photo is reported and passed over."""
    from .compute import use_available_cores
    from .estimator import load_estimator
    from .export import write
    from .photo import load_photo

    use_available_cores()
    photos = list(_photos(args.photos))
    with download_bar() as progress:
        estimator = load_estimator(args.model, device=args.device, precision=args.precision, progress=progress)
    width = max(len(path.name) for path, _ in photos)
    print(f"{'photo':{width}}  {'size':>11}  {'min':>7}  {'median':>7}  {'max':>7}  seconds")
    failed = 0
    for path, stem in tqdm(photos, unit="photo", disable=len(photos) == 1, file=sys.stderr, leave=False):
        try:
            photo = load_photo(path)
            prediction = estimator(
                photo,
                resolution=args.resolution,
                flip_average=args.flip_average,
                camera=_camera(args, photo),
                correct_scale=args.correct_scale,
            )
            write(prediction, photo.rgb, args.out, args.format, stem=stem, edge_cut=args.edge_cut)
        except GLPNError as error:
            failed += 1
            tqdm.write(f"{path.name}: {error}", file=sys.stderr)
        else:
            tqdm.write(f"{path.name:{width}}  {_row(prediction)}")
            for note in prediction.notes:
                tqdm.write(f"{path.name}: {note}", file=sys.stderr)
    if failed:
        print(f"{failed} of {len(photos)} photos failed.", file=sys.stderr)
    if failed < len(photos):
        print(f"Files are in {args.out}.", file=sys.stderr)
    return 1 if failed else 0


def _row(prediction: "DepthPrediction") -> str:
    import numpy as np

    height, width = prediction.size
    depth_m = prediction.depth_m
    values = (depth_m.min(), np.median(depth_m), depth_m.max())
    return f"{f'{width}×{height}':>11}  {'  '.join(f'{value:5.2f} m' for value in values)}  {prediction.seconds:7.2f}"


def _photos(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each photo with a stem for its files that no other photo of this run has."""
    taken: set[str] = set()
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in PHOTO_SUFFIXES)
            if not found:
                raise PhotoNotFound(f"{path} holds no photo. Expected files such as {', '.join(PHOTO_SUFFIXES)}.")
        else:
            found = [path]
        for file in found:
            stem, number = file.stem, 2
            while stem in taken:
                stem, number = f"{file.stem}-{number}", number + 1
            taken.add(stem)
            yield file, stem


def _camera(args: argparse.Namespace, photo: "Photo") -> "Camera | None":
    from .camera import Camera

    if args.fov is not None:
        return Camera.from_fov(args.fov, photo.size)
    return None if args.camera is None else Camera.from_file(args.camera, photo.size)


@contextmanager
def download_bar() -> Iterator[Callable[[int, int | None, float], None]]:
    """Yield a progress callback (bytes, total bytes, bytes per second) that draws a bar on standard error."""
    with tqdm(unit="B", unit_scale=True, file=sys.stderr, leave=False, delay=0.5) as bar:

        def progress(done: int, total: int | None, rate: float) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def _resolution(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def _list_of(known: Collection[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown) or 'nothing'}; known: {', '.join(known)}")
        return names

    return parse


def _command(module: str, name: str = "") -> Callable[[argparse.ArgumentParser], Callable[[argparse.Namespace], int]]:
    """Return what adds the arguments of a command that lives in `glpn.{module}` and gives back what runs it."""

    def add(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
        home = import_module(f".{module}", __package__)
        getattr(home, f"add_{name}_arguments" if name else "add_arguments")(parser)
        run: Callable[[argparse.Namespace], int] = getattr(home, f"run_{name}" if name else "run")
        return run

    return add


COMMANDS = {
    "estimate": ("estimate the depth of photos", add_estimate),
    "zoo": ("list, download, verify and remove models", _command("zoo_cli")),
    "convert": ("turn an original GLPDepth checkpoint into a folder that loads here", _command("convert")),
    "evaluate": ("measure a model against ground truth", _command("training.cli", "evaluate")),
    "train": ("train a model on RGB-D data", _command("training.cli", "train")),
    "distill": ("teach a small model with a large one and photos", _command("training.cli", "distill")),
    "synthesize": ("render RGB-D training data", _command("training.cli", "synthesize")),
    "publish": ("write a model card and push a checkpoint to the Hub", _command("training.cli", "publish")),
}
