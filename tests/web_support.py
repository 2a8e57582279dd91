"""The page served for tests, and a store of models without a network for those in which the model doesn't matter."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from glpn.camera import Camera
from glpn.errors import Cancelled
from glpn.exif import camera_from_exif
from glpn.photo import Photo
from glpn.prediction import DepthPrediction
from glpn.zoo import ModelSpec, Zoo

ROOT = Path(__file__).parents[1]
ARTIFACTS = ROOT / "artifacts"
CHROMIUM = {
    "executable_path": "/usr/bin/chromium",
    "args": [
        "--no-sandbox",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--use-gl=angle",  # WebGL without a graphics card
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--use-fake-device-for-media-stream",  # a camera
        "--use-fake-ui-for-media-stream",
    ],
}
DESKTOP = {"viewport": {"width": 1400, "height": 900}}
PATIENCE_MS = 120_000  # a condition holds soon on an idle machine; tests may share one busy core
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


class FakeEstimator:
    """Says that every photo shows a floor under a sky: near at the bottom, far at the top."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def __call__(self, photo: Photo, *, camera: Camera | None = None, **settings: Any) -> DepthPrediction:
        height, width = photo.size
        rows = np.linspace(0.8, 0.1, height, dtype=np.float32)[:, None] * self.spec.max_depth_m
        known, notes = camera_from_exif(photo.exif, photo.size)
        return DepthPrediction(
            depth_m=np.repeat(rows, width, axis=1),
            variant=self.spec.id,
            max_depth_m=self.spec.max_depth_m,
            working_size=(96, 128),
            seconds=0.25,
            camera=camera or known or Camera.assumed_like(self.spec.camera.fx_over_width, photo.size),
            flip_averaged=settings.get("flip_average", False),
            notes=() if camera else notes,
        )

    def estimate_batch(self, photos: Sequence[Photo]) -> list[DepthPrediction]:
        return [self(photo) for photo in photos]


class FakeStore:
    """Gives a `FakeEstimator` for every variant; a published one "downloads" `steps` pieces of 10 MB first."""

    def __init__(self, zoo: Zoo, *, steps: int = 0) -> None:
        self.zoo = zoo
        self.steps = steps
        self.asked: list[str] = []

    def get(
        self,
        name: str,
        *,
        progress: Callable[[int, int | None, float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> FakeEstimator:
        self.asked.append(name)
        spec = self.zoo[name]
        for step in range(self.steps if spec.status == "published" else 0):
            if cancelled and cancelled():
                raise Cancelled("Stopped. Nothing half-written was kept.")
            if progress:
                progress(step * 10_000_000, self.steps * 10_000_000, 2.5e6)
            time.sleep(0.1)
        return FakeEstimator(spec)


@contextmanager
def served(kind: str, folder: Path, **variables: str) -> Iterator[str]:
    """Serve the page from a process of its own on a free port of this machine; gives its address.

    kind        "fake" (a `FakeStore`), "embedded" (the real store) or "public" (a `FakeStore`, as strangers see it)
    folder      below which the page's files go
    variables   of the environment
    """
    environment = (
        os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "GRADIO_TEMP_DIR": str(folder),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        | variables
    )
    command = [sys.executable, str(Path(__file__)), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield next((line.strip() for line in process.stdout if line.startswith("http")), "")
        finally:
            process.terminate()


def main(kind: str) -> None:
    from glpn.hub.probe import Probe
    from glpn.web.page import build_demo
    from glpn.web.runner import Host
    from glpn.web.serve import launch, make_store

    zoo = Zoo.load()
    store = make_store(zoo) if kind == "embedded" else FakeStore(zoo, steps=40)
    demo = build_demo(zoo, store, host=Host(public=True, own_checkpoints=False) if kind == "public" else Host.of())
    if kind != "embedded":
        demo.glpn.engine.hub = Probe(lambda: True)  # the fake store needs no Hub
    print(launch(demo, server_name="127.0.0.1", quiet=True, prevent_thread_lock=True), flush=True)
    demo.block_thread()


if __name__ == "__main__":
    main(sys.argv[1])
