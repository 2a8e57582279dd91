"""How long a fresh process takes: imports, and `python app.py` to the first HTML.

    python -m benchmarks.startup [--runs 7]

Every round runs each command once, in turn, so that a busy moment of the machine hits all alike. Prints the median, the
minimum and the maximum of the rounds.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}


def run(code: str) -> float:
    """Return the seconds of a fresh Python process that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=os.environ | QUIET)
    return time.perf_counter() - start


def first_page() -> float:
    """Return the seconds from starting app.py to the whole HTML of its first page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.perf_counter()
    app = subprocess.Popen(
        [sys.executable, "app.py", "--host", "127.0.0.1", "--port", str(port)],
        cwd=ROOT,
        env=os.environ | QUIET,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while time.perf_counter() - start < 120:
            if app.poll() is not None:
                raise SystemExit(f"app.py ended with code {app.returncode} before it served a page.")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
                    answer.read()
                return time.perf_counter() - start
            except urllib.error.URLError:
                time.sleep(0.02)
        raise SystemExit("app.py served no page within two minutes.")
    finally:
        app.terminate()
        app.wait()


MEASURES: dict[str, Callable[[], float]] = {
    "python -c pass": lambda: run("pass"),
    "import torch": lambda: run("import torch"),
    "from glpn import *": lambda: run("from glpn import *"),
    "import gradio": lambda: run("import gradio"),
    "app.py to first HTML": first_page,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time imports and the start of the page.")
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    seconds: dict[str, list[float]] = {name: [] for name in MEASURES}
    for number in range(runs + 1):
        for name, measure in MEASURES.items():
            took = measure()
            if number:  # the first round fills the disk cache
                seconds[name].append(took)
    for name, values in seconds.items():
        print(f"{name:22} {statistics.median(values):6.2f} s   ({min(values):.2f} to {max(values):.2f})")
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"from glpn import * minus import torch: {median['from glpn import *'] - median['import torch']:+.2f} s")
    print(f"first HTML / import gradio: {median['app.py to first HTML'] / median['import gradio']:.2f}")


if __name__ == "__main__":
    main()
