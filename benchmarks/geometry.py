"""Milliseconds, bytes and peak memory of geometry, figures and files: `python -m benchmarks.geometry`.

One core; each photo size in its own process, whose peak resident memory counts everything, libraries included.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

SIZES = {"640x480": (480, 640), "4000x3000": (3000, 4000)}


def room(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return depth (H, W) float32, metres, and a photo (H, W, 3) uint8 of a wall, a floor and forty boxes."""
    height, width = size
    rng = np.random.default_rng(0)
    below = (np.arange(height) - (height - 1) / 2).clip(1) / (0.81 * width)
    depth_m = np.repeat(np.minimum(6, 1.4 / below).astype(np.float32)[:, None], width, axis=1)
    for top, left, near in zip(rng.random(40), rng.random(40), rng.uniform(1, 5, 40), strict=True):
        box = np.s_[int(top * height) :, int(left * width) :]
        part = depth_m[box][: height // 8, : width // 10]
        np.minimum(part, near, out=part)
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    return depth_m, rgb


def measure(size: tuple[int, int]) -> None:
    """Print a row for each piece of work on a photo of `size`."""
    from glpn.camera import Camera
    from glpn.photo import Photo
    from glpn.prediction import DepthPrediction
    from glpn.scene import export, figures
    from glpn.scene.geometry import point_cloud, surface_grid, triangle_mesh
    from glpn.scene.look import Look

    depth_m, rgb = room(size)
    camera = Camera.assumed_like(0.81, size)
    prediction = DepthPrediction(
        depth_m=depth_m,
        variant="bench",
        max_depth_m=10.0,
        working_size=(480, 640),
        seconds=0.0,
        camera=camera,
        photo=Photo(rgb=rgb, size=size),
    )

    def figure(draw: Callable[[], "figures.go.Figure"]) -> int:
        return len(draw().to_json())

    work: dict[str, Callable[[], int | None]] = {
        "grid of 30,000": lambda: surface_grid(depth_m, camera, rgb, samples=30_000).points.nbytes,
        "cut mesh (default)": lambda: triangle_mesh(depth_m, camera, rgb).faces.nbytes,
        "point cloud (default)": lambda: point_cloud(depth_m, camera, rgb).points.nbytes,
        "colorize": lambda: figures.colorize(depth_m).nbytes,
        "heatmap figure": lambda: figure(lambda: figures.heatmap_figure(depth_m)),
        "surface figure": lambda: figure(lambda: figures.surface_figure(depth_m, camera)),
        "surface figure, photo": lambda: figure(lambda: figures.surface_figure(depth_m, camera, rgb)),
        "points figure, photo": lambda: figure(
            lambda: figures.surface_figure(depth_m, camera, rgb, Look(style="points"))
        ),
    }
    for name, run in work.items():
        row(name, run, repeats=5)
    with TemporaryDirectory() as folder:
        for name in export.FORMATS:
            row(
                f"file: {name}",
                lambda name=name: prediction.write(folder, [name])[0].stat().st_size,  # type: ignore[misc]
                repeats=1,
            )
    print(f"{'peak memory':24} {peak_mb():17.0f} MB", flush=True)


def row(name: str, run: Callable[[], int | None], *, repeats: int) -> None:
    """Run, and print the best times, on the clock and of the processor, and the bytes that `run` returns."""
    wall, cpu, size = [], [], None
    for _ in range(repeats):
        start, busy = time.perf_counter(), time.process_time()
        size = run()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    print(f"{name:24} {1000 * min(wall):9.1f} ms {1000 * min(cpu):9.1f} ms CPU {size or 0:12,d} bytes", flush=True)


def peak_mb() -> float:
    """Return the largest resident memory of this process so far, MB."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    """Measure every size in a process of its own, or the one that is named."""
    if len(sys.argv) > 1:
        measure(SIZES[sys.argv[1]])
        return
    one_core = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for name in SIZES:
        print(f"\n{name}", flush=True)
        command = [sys.executable, "-m", "benchmarks.geometry", name]
        subprocess.run(command, check=True, env=one_core, cwd=Path(__file__).parent.parent)


if __name__ == "__main__":
    main()
