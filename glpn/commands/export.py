"""`glpn export`: a model as an ONNX or OpenVINO file for other programs."""

import argparse
import re
from pathlib import Path

from glpn.errors import ConfigError
from glpn.estimator import load_estimator
from glpn.model.export import FILE_PRECISIONS, MODEL_FORMATS, ExportSettings, export, write_card

EXAMPLES = (
    "glpn export rooms-b0 --photo",
    "glpn export nyu-b4 --format onnx,openvino --size 480x640 --precision float16",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="variant id, owner/name of the Hub, or checkpoint folder")
    parser.add_argument("--out", type=Path, default=Path("export"), metavar="DIR", help="output folder (%(default)s)")
    parser.add_argument(
        "--format", default="onnx", metavar="NAME,…", help=f"{', '.join(MODEL_FORMATS)}, or both (default: %(default)s)"
    )
    parser.add_argument(
        "--size", default=None, metavar="HxW", help="size at which the network runs (default: 4:3 as it was trained)"
    )
    parser.add_argument(
        "--photo", action="store_true", help="resizing inside: uint8 RGB of any size in, metres of that size out"
    )
    parser.add_argument("--dynamic", action="store_true", help="take any batch and size (multiples of 32)")
    parser.add_argument("--precision", choices=FILE_PRECISIONS, default="float32", help="of the weights (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Export, check, and print where the files are and how far they are from PyTorch."""
    estimator = load_estimator(args.model, device="cpu")
    spec = estimator.spec
    size = _size(args.size) if args.size else estimator.working_size((3, 4))
    settings = ExportSettings(size=size, dynamic=args.dynamic, precision=args.precision, photo=args.photo)
    name = re.sub(r"[^\w.-]+", "-", spec.id.replace("/", "--")).strip("-.")
    formats = [one.strip() for one in args.format.split(",")]
    about = {
        "Model": f"{spec.title} ({spec.id})",
        "Maximum depth": f"{spec.max_depth_m:g} m",
        "License": f"{spec.license}. {spec.license_note}",
    }
    for exported in export(estimator.model, args.out, name, settings, formats):
        write_card(exported, settings, about)
        print(f"{exported.path}: largest difference from PyTorch {exported.difference:.2g} m")
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text)
    if match is None:
        raise ConfigError(f"--size is {text!r}. Give height x width, such as 480x640.")
    return int(match[1]), int(match[2])
