"""The command line: `glpn COMMAND`, or `python -m glpn COMMAND` from a checkout.

Each command is a module of this folder with `EXAMPLES`, `add_arguments(parser)` and `run(args) -> exit code`. It is
imported when it is asked for, so that `zoo list` does not wait for PyTorch. Results go to standard output, all else to
standard error. Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 stopped.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from glpn import __version__
from glpn.errors import Cancelled, GLPNError
from glpn.model.threads import limit_spinning

from .terminal import print_anything

COMMANDS = {
    "estimate": "estimate the depth of photos",
    "video": "estimate the depth of a clip",
    "panorama": "estimate the distances around a 360° photo",
    "demo": "start the page",
    "zoo": "list, download, verify and remove models",
    "convert": "turn an original GLPDepth checkpoint into a folder that loads here",
    "export": "write a model as ONNX or OpenVINO for other programs",
    "evaluate": "measure a model against ground truth",
    "train": "train a model on RGB-D data",
    "distill": "teach a small model with a large one and photos",
    "synthesize": "render RGB-D training data",
    "publish": "write a model card and push a checkpoint to the Hub",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    limit_spinning()
    print_anything()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments and arguments[0] in COMMANDS else None
    args = make_parser(command).parse_args(arguments)
    try:
        return int(load_command(args.command).run(args))
    except (Cancelled, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        return 130
    except GLPNError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def make_parser(command: str | None) -> argparse.ArgumentParser:
    """Return the parser of all commands, with the arguments of `command` alone: only that one costs its imports."""
    parser = argparse.ArgumentParser(prog="glpn", description="Depth in metres from one photo.")
    parser.add_argument("--version", action="version", version=f"glpn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        own = commands.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == command:
            module = load_command(name)
            own.epilog = "examples:\n" + "\n".join(f"  {line}" for line in module.EXAMPLES)
            module.add_arguments(own)
    return parser


def load_command(name: str) -> ModuleType:
    """Import the module of a command."""
    return import_module(f".{name}", __package__)
