"""The page: `python app.py` on a laptop, and what a Hugging Face Space runs. It is the command `glpn demo`."""

import sys

from glpn.commands import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
