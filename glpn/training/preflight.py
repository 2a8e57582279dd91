"""What can be known before hours are spent: ten samples of each source read, drawn and judged, the machine timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from glpn.configuration import GLPNConfig
from glpn.datasets import Pair, Pairs
from glpn.errors import DataError
from glpn.files import replacing
from glpn.model.device import pick_precision
from glpn.scene.figures import colorize
from glpn.scene.look import Look

from .augmentation import Augmentation, augment
from .cost import cost_of
from .distributed import Group
from .tasks import Task
from .trainer import NUMBER_FORMATS

PAIRS_SHOWN = 10
TILE_HEIGHT = 120  # pixels, in the picture sheet
# A typical depth outside these fractions of the maximum points to a wrong unit: millimetres read as metres, or reverse.
LEAST_TYPICAL, MOST_TYPICAL = 0.01, 1.0


@dataclass(frozen=True)
class SourceReport:
    """What ten samples of one source showed; depths in metres, None where there is none (photos).

    `problems` are sentences: samples that can't be used, depths that can't be metres.
    """

    name: str
    count: int
    sizes: tuple[str, ...]
    near_m: float | None
    typical_m: float | None
    far_m: float | None
    known_share: float
    problems: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report as a person reads it."""
        depth = (
            f"depth {self.near_m:.2f} to {self.far_m:.2f} m, half of it within {self.typical_m:.2f} m, "
            f"known on {self.known_share:.0%} of the pixels"
            if self.near_m is not None
            else "no depth"
        )
        sizes = ", ".join(self.sizes)
        return [
            f"{self.name}: {self.count} samples, {sizes}; {depth}",
            *(f"  problem: {text}" for text in self.problems),
        ]


def inspect_source(name: str, pairs: Pairs, max_depth_m: float) -> tuple[SourceReport, list[Pair]]:
    """Read ten samples that are spread over `pairs`; returns what they show, and those that could be read."""
    samples: list[Pair] = []
    problems: list[str] = []
    for index in sorted({round(n) for n in np.linspace(0, len(pairs) - 1, PAIRS_SHOWN)}):
        try:
            samples.append(pairs[index])
        except DataError as error:
            problems.append(str(error))
    known = [pair.depth_m[pair.depth_m > 0] for pair in samples]
    depths = np.concatenate(known) if known else np.zeros(0)
    near, typical, far = (float(np.percentile(depths, p)) for p in (0, 50, 100)) if depths.size else (None,) * 3
    if typical is not None and not LEAST_TYPICAL * max_depth_m <= typical <= MOST_TYPICAL * max_depth_m:
        problems.append(
            f"half of the depth is within {typical:g} m, though the model's maximum is {max_depth_m:g} m. Check the "
            "scale: steps per metre of the depth files."
        )
    sizes = sorted({f"{pair.rgb.shape[0]} × {pair.rgb.shape[1]}" for pair in samples})
    share = depths.size / max(1, sum(pair.depth_m.size for pair in samples))
    return SourceReport(name, len(pairs), tuple(sizes), near, typical, far, share, tuple(problems)), samples


def write_sheet(path: Path, samples: list[Pair], augmentation: Augmentation, *, seed: int = 0) -> None:
    """Draw a row a sample: the picture, its depth (near is bright), and what the network will see of both."""
    look = Look(range_m=(0, augmentation.max_depth_m))
    rows = []
    for number, pair in enumerate(samples):
        image, depth_m = augment(pair.rgb, pair.depth_m, augmentation, np.random.default_rng((seed, number)))
        seen = np.rint(image * 255).astype(np.uint8)
        rows.append([pair.rgb, colorize(pair.depth_m, look), seen, colorize(depth_m, look)])
    tiles = [[_tile(picture) for picture in row] for row in rows]
    widths = [max(row[column].width for row in tiles) for column in range(4)]
    sheet = Image.new("RGB", (sum(widths), TILE_HEIGHT * len(tiles)))
    for number, row in enumerate(tiles):
        for column, tile in enumerate(row):
            sheet.paste(tile, (sum(widths[:column]), number * TILE_HEIGHT))
    with replacing(path) as part:
        sheet.save(part, "PNG")


def _tile(picture: np.ndarray) -> Image.Image:
    height, width = picture.shape[:2]
    return Image.fromarray(picture).resize((max(1, round(width * TILE_HEIGHT / height)), TILE_HEIGHT))


@dataclass(frozen=True)
class Speed:
    """Multiply-adds of training per second, as measured; `bytes_used` is the GPU's peak, 0 on a CPU."""

    products_per_s: float
    size: tuple[int, int]
    batch_size: int
    bytes_used: int


def measure_speed(
    make_task: Callable[[], Task], config: GLPNConfig, size: tuple[int, int], batch_size: int, group: Group
) -> Speed:
    """Time two steps after one that doesn't count: of the whole batch on a GPU, of one small crop on a CPU."""
    device = group.device
    cuda = device.type == "cuda"
    if not cuda:
        size, batch_size = (min(size[0], 64), min(size[1], 96)), 1
    task = make_task().to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    images = torch.rand(batch_size, 3, *size, device=device).contiguous(memory_format=torch.channels_last)
    depth_m = torch.rand(batch_size, *size, device=device) * (task.max_depth_m - 1) + 0.5
    precision = NUMBER_FORMATS[pick_precision("auto", device=device.type)]
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    started = 0.0
    for step in range(3):
        if step == 1:
            started = _now(cuda)
        with torch.autocast(device.type, precision or torch.bfloat16, enabled=precision is not None):
            loss = task(images, depth_m)
        loss.backward()
        task.zero_grad(set_to_none=True)
    seconds = (_now(cuda) - started) / 2
    products = batch_size * cost_of(config, size).training_products()
    used = torch.cuda.max_memory_allocated(device) if cuda else 0
    return Speed(products / seconds, size, batch_size, used)


def _now(cuda: bool) -> float:
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter()
