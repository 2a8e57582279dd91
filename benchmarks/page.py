"""What a visit costs: seconds to the first picture, bytes that are sent, processor time of the server for a press.

    python -m benchmarks.page [--presses 5] [--urls] [--chromium /usr/bin/chromium]

A press is an own photo given to the page at its 3D photo, from the upload to the moving picture. Bytes are those on the
wire, headers included, both of the server's answers alone; times are of Chromium without a graphics card that shares
the machine with the server, one thread for the network. --urls lists the bytes of each address, of one visit and one
press.
"""

import argparse
import os
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks.visitors import photo, running

SIZES = {"0.3 megapixels": (640, 480), "12 megapixels": (4000, 3000)}
ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
QUIET_S = 1.5  # without a byte, after which a press is over
# Notes in ms since navigation when the first picture is seen, and when the first frame of the 3D photo is.
WATCH = """
document.addEventListener("photo3d:ready", () => (window.firstFrame ??= performance.now()), true);
new MutationObserver(() => {
  const still = document.querySelector(".photo3d-still");
  if (still?.complete && still.naturalWidth) window.firstPicture ??= performance.now();
}).observe(document, { childList: true, subtree: true, attributes: true });
document.addEventListener("load", (event) => {
  if (event.target.matches?.(".photo3d-still")) window.firstPicture ??= performance.now();
}, true);
"""


class Wire:
    """Counts the bytes that a page receives."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.by_url: Counter[str] = Counter()
        self.seen = time.monotonic()
        self._urls: dict[str, str] = {}
        client = context.new_cdp_session(page)
        client.send("Network.enable")
        client.on("Network.loadingFinished", self._add)
        client.on("Network.responseReceived", self._note)

    @property
    def bytes(self) -> int:
        return self.by_url.total()

    @property
    def plotly(self) -> bool:
        return any("plotly" in url for url in self._urls.values())

    def _add(self, event: dict[str, Any]) -> None:
        self.by_url[self._urls.get(event["requestId"], "?")] += round(event["encodedDataLength"])
        self.seen = time.monotonic()

    def _note(self, event: dict[str, Any]) -> None:
        """Take an address without what differs from visit to visit."""
        path = re.sub(r"/file=.*/", "/file=…/", urlsplit(event["response"]["url"]).path)
        self._urls[event["requestId"]] = re.sub(r"\b[0-9a-f]{16,}|[\w-]{22,}(?=/)", "…", path)
        self.seen = time.monotonic()


def print_urls(title: str, by_url: Counter[str], *, least: int = 1000) -> None:
    """Print the bytes of each address, the most first; those below `least` together."""
    print(f"{title}:")
    for url, count in by_url.most_common():
        if count >= least:
            print(f"{count / 1000:9.1f} kB  {url}")
    small = [count for count in by_url.values() if count < least]
    print(f"{sum(small) / 1000:9.1f} kB  {len(small)} addresses of less than {least / 1000:g} kB")


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has taken, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settle(page: Page, wire: Wire) -> None:
    """Wait until nothing has come for a while."""
    while time.monotonic() - wire.seen < QUIET_S:
        page.wait_for_timeout(200)


def idle_share(page: Page, pid: int) -> float:
    """Return the share of a processor that the server takes while nobody asks it for anything."""
    before, start = cpu_seconds(pid), time.monotonic()
    page.wait_for_timeout(20_000)
    return (cpu_seconds(pid) - before) / (time.monotonic() - start)


def opened(browser: Browser, url: str) -> tuple[Page, Wire]:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.add_init_script(WATCH)
    wire = Wire(context, page)
    page.goto(url)
    page.wait_for_selector(".photo3d[data-state=moving]")
    settle(page, wire)
    return page, wire


def first_visit(browser: Browser, url: str) -> tuple[dict[str, float], Counter[str]]:
    page, wire = opened(browser, url)
    found = {
        "picture_s": page.evaluate("window.firstPicture") / 1000,
        "frame_s": page.evaluate("window.firstFrame") / 1000,
    }
    page.context.close()
    return found | {"kilobytes": wire.bytes / 1000, "plotly": wire.plotly}, wire.by_url


def press(page: Page, wire: Wire, data: bytes) -> dict[str, float]:
    """Give the page a photo of its own."""
    sent = wire.bytes
    shown = page.locator(".photo3d-still").get_attribute("src")
    start = time.monotonic()
    page.set_input_files("#photo input[type=file]", {"name": "own.jpg", "mimeType": "image/jpeg", "buffer": data})
    page.wait_for_function("(old) => document.querySelector('.photo3d-still').getAttribute('src') !== old", arg=shown)
    page.wait_for_selector(".photo3d[data-state=moving]")
    seconds = time.monotonic() - start
    settle(page, wire)
    return {"seconds": seconds, "kilobytes": (wire.bytes - sent) / 1000}


def presses(page: Page, wire: Wire, pid: int, size: tuple[int, int], count: int, *, idle: float) -> dict[str, float]:
    """Give it `count` photos after a first, which takes longer; processor time, counted coarsely, is a mean."""
    press(page, wire, photo(*size, 0))
    before, start = cpu_seconds(pid), time.monotonic()
    rows = [press(page, wire, photo(*size, 1 + seed)) for seed in range(count)]
    cpu = cpu_seconds(pid) - before - idle * (time.monotonic() - start)
    return {name: median(rows, name) for name in rows[0]} | {"cpu_s": cpu / count}


def network_cpu_s(runs: int = 15) -> float:
    """Return the processor time of one run of the embedded network at the size at which it sees a 4:3 photo."""
    import torch

    from glpn import load_estimator

    torch.set_num_threads(1)
    estimator = load_estimator(device="cpu")
    height, width = estimator.working_size((3000, 4000))
    pixels = torch.rand(1, 3, height, width).numpy()
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        estimator.infer(pixels)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def median(rows: Sequence[dict[str, float]], name: str) -> float:
    return statistics.median(row[name] for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a visit costs.")
    parser.add_argument("--presses", type=int, default=5)
    parser.add_argument("--urls", action="store_true", help="list the bytes of each address")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments: Any = parser.parse_args()
    network = network_cpu_s()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "page", OMP_NUM_THREADS="1") as app,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=ARGUMENTS)
        visits, urls = zip(*[first_visit(browser, app.url) for _ in range(arguments.presses)], strict=True)
        print(f"first picture      {median(visits, 'picture_s'):6.2f} s after the address was entered")
        print(f"first 3D frame     {median(visits, 'frame_s'):6.2f} s")
        print(
            f"first visit        {median(visits, 'kilobytes'):6.0f} kB, "
            f"{'with' if visits[0]['plotly'] else 'without'} Plotly"
        )
        print(f"network alone      {network:6.3f} s of processor time")
        if arguments.urls:
            print_urls("one visit", urls[-1])
        page, wire = opened(browser, app.url)
        idle = idle_share(page, app.pid)
        print(f"idle               {100 * idle:6.1f} % of a core, which is not counted below")
        for name, size in SIZES.items():
            before = wire.by_url.copy()
            found = presses(page, wire, app.pid, size, arguments.presses, idle=idle)
            print(
                f"press, {name:14} {found['kilobytes']:5.0f} kB, {found['cpu_s']:.3f} s of processor time "
                f"({found['cpu_s'] / network:.1f} times the network), {found['seconds']:.2f} s to the moving photo"
            )
            if arguments.urls:
                print_urls(f"{1 + arguments.presses} presses", wire.by_url - before)
        browser.close()


if __name__ == "__main__":
    main()
