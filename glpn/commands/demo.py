"""`glpn demo`: the page, on a laptop or as what a Hugging Face Space runs (app.py is this command)."""

import argparse
import os
import sys
from collections.abc import Callable

from glpn.errors import ConfigError, GLPNError, printable
from glpn.zoo import DEFAULT, Zoo

EXAMPLES = (
    "glpn demo --open",
    "glpn demo --share",
    "glpn demo --host 0.0.0.0 --port 7860",
    "glpn demo --mcp",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 for all (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    parser.add_argument(
        "--share", action="store_true", help="also make a public link for 72 hours, through gradio.live"
    )
    parser.add_argument(
        "--private",
        action="store_true",
        help="trust everybody who can open the page: offer other checkpoints and the Zoo's cache although it is served "
        "beyond this machine",
    )
    parser.add_argument("--root-path", metavar="PATH", help="path or address at which a reverse proxy offers the page")
    parser.add_argument("--model", default=DEFAULT, help="variant that is chosen at first (default: %(default)s)")
    parser.add_argument(
        "--mcp", action="store_true", help="also serve language models, as tools of the Model Context Protocol"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(args: argparse.Namespace) -> int:
    """Serve the page until it is stopped; 2 if it can't be started."""
    try:
        zoo = Zoo.load()
        zoo[args.model]
        if args.mcp:
            os.environ["GRADIO_MCP_SERVER"] = "true"  # which Spaces set as well
        _server()(
            zoo,
            host=args.host,
            port=args.port,
            share=args.share,
            private=args.private,
            root_path=args.root_path,
            model=args.model,
            browser=args.open,
        )
    except GLPNError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _server() -> Callable[..., None]:
    """Return `serve`. Gradio takes seconds to import, and reads the environment meanwhile."""
    try:
        from glpn.web.serve import serve
    except ModuleNotFoundError as error:
        raise ConfigError(f"The page needs {error.name}, which is not installed: pip install 'glpn[demo]'.") from error
    except (ImportError, ValueError, OSError) as error:
        proxies = ", ".join(sorted(name for name in os.environ if name.lower().endswith("_proxy")))
        raise ConfigError(
            f"Gradio can't be imported: {printable(' '.join(str(error).split()))}. "
            + (f"Check the proxies that the environment names in {proxies}." if proxies else "Install it again.")
        ) from error
    return serve
