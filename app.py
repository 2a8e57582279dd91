"""The page: `python app.py` on a laptop, and what a Hugging Face Space runs."""

import argparse
import sys

from glpn.errors import GLPNError
from glpn.zoo import Zoo


def main() -> None:
    parser = argparse.ArgumentParser(description="Depth in metres from one photo, in the browser.")
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 for all (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    parser.add_argument(
        "--share", action="store_true", help="also make a public link for 72 hours, through gradio.live"
    )
    parser.add_argument("--model", default="rooms-b0", help="variant that is chosen at first (default: %(default)s)")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    arguments = parser.parse_args()
    try:
        zoo = Zoo.load()
        zoo[arguments.model]
    except GLPNError as error:
        sys.exit(f"app.py: {error}")

    from glpn.web.serve import serve  # here, because gradio takes seconds to import

    serve(
        zoo,
        host=arguments.host,
        port=arguments.port,
        share=arguments.share,
        model=arguments.model,
        browser=arguments.open,
    )


if __name__ == "__main__":
    main()
