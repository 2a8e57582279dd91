"""Take the README's screenshots of the running page, with the embedded model.

    python -m benchmarks.screenshots [--chromium /usr/bin/chromium]

Writes docs/page-light.png, page-dark.png, surface.png and phone.png, each reduced to 256 colors.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
DEPTH = "#depth .depth-view[data-painted]"
SURFACE = "document.querySelector('#surface .figure-plot')?._fullLayout?.scene?._scene?.glplot"
DESKTOP = {"viewport": {"width": 1400, "height": 900}}
# Taller than a phone, so that the depth map below the button is seen too.
PHONE = {"viewport": {"width": 390, "height": 1300}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


@contextmanager
def page_served() -> Iterator[str]:
    """Run app.py on a free port; gives its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "app.py", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"HF_HUB_OFFLINE": "1"}) as app:
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(address).close()
                    break
                except urllib.error.URLError:
                    time.sleep(0.1)
            yield address
        finally:
            app.terminate()


def take(browser: Browser, address: str, name: str, *, query: str = "", **options: Any) -> None:
    """Open the page as `query` says and keep what the visitor sees first."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.goto(address + query)
    if "tab=3d" in query:
        page.wait_for_function(SURFACE, timeout=60_000)
        page.wait_for_timeout(1500)  # the scene draws itself in steps
    elif "tab=depth" not in query:
        page.wait_for_selector(".photo3d[data-state=moving]", timeout=60_000)
    else:
        page.wait_for_selector(DEPTH, state="attached", timeout=60_000)
    page.wait_for_function("[...document.images].every((image) => image.complete || image.loading === 'lazy')")
    path = DOCS / f"{name}.png"
    page.screenshot(path=path)
    context.close()
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
    small.save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the README's screenshots.")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    chromium = parser.parse_args().chromium
    DOCS.mkdir(exist_ok=True)
    with page_served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        take(browser, address, "page-light", query="?sample=coffee", color_scheme="light", **DESKTOP)
        dark = "?sample=sofa&colors=inferno&tab=depth"
        take(browser, address, "page-dark", query=dark, color_scheme="dark", **DESKTOP)
        take(browser, address, "surface", query="?tab=3d", color_scheme="dark", **DESKTOP)
        take(browser, address, "phone", color_scheme="light", **PHONE)
        browser.close()


if __name__ == "__main__":
    main()
