"""How the commands write to a terminal: tables and JSON as results, bars and passing lines on standard error."""

import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


def print_anything() -> None:
    """Let a character that the terminal's encoding lacks be printed as "?" instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def download_bar() -> Iterator[Callable[[int, int | None, float], None]]:
    """Yield a progress callback (bytes, total bytes, bytes per second) that draws a bar on standard error."""
    with tqdm(unit="B", unit_scale=True, file=sys.stderr, leave=False, delay=0.5) as bar:

        def progress(done: int, total: int | None, rate: float) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def show(text: str) -> None:
    """Rewrite one line of standard error, if somebody watches it."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def print_json(value: Any) -> int:
    """Print `value` as JSON, with escapes where the terminal's encoding lacks a character; return the exit code 0."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    print(text)
    return 0


def print_aligned(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table; the columns numbered in `right` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [
            f"{cell:{'>' if i in right else '<'}{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
