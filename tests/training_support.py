"""Tiny networks and data sets for the training's tests."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from glpn.configuration import GLPNConfig
from glpn.datasets import Pair
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.training.distributed import Group

ALONE = Group(0, 1, torch.device("cpu"))
TINY = {
    "hidden_sizes": (8, 16, 16, 32),
    "depths": (1, 1, 1, 1),
    "num_attention_heads": (1, 1, 2, 2),
    "decoder_hidden_size": 16,
    "drop_path_rate": 0.0,
}


def tiny_glpn(seed: int = 0, **overrides) -> GLPNForDepthEstimation:
    torch.manual_seed(seed)
    return GLPNForDepthEstimation(GLPNConfig(**(TINY | overrides)))


def scene(seed: int, size: tuple[int, int] = (64, 64)) -> Pair:
    """A colorful picture of a sloping floor and one box, with its depth."""
    rng = np.random.default_rng(seed)
    height, width = size
    depth = np.repeat(np.linspace(rng.uniform(4, 8), rng.uniform(1, 2), height)[:, None], width, 1)
    rgb = np.empty((height, width, 3))
    rgb[:] = rng.uniform(0, 255, 3)
    rgb *= np.linspace(0.4, 1, height)[:, None, None]
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    box = (slice(top, top + height // 2), slice(left, left + width // 3))
    depth[box], rgb[box] = rng.uniform(0.6, 3), rng.uniform(0, 255, 3)
    return Pair(rgb.astype(np.uint8), depth.astype(np.float32), f"scene-{seed}")


def slopes(count: int) -> list[Pair]:
    """Pictures of one plane each: what a network of a few thousand parameters can learn by heart to the last pixel."""
    pairs = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:1:64j, 0:1:64j]
        depth = 1 / (rng.uniform(0.15, 0.4) + rng.uniform(0.1, 0.4) * y + rng.uniform(-0.1, 0.1) * x)
        rgb = rng.uniform(40, 255, 3) * np.linspace(0.4, 1, 64)[:, None, None] * np.ones((64, 64, 1))
        pairs.append(Pair(rgb.astype(np.uint8), depth.astype(np.float32), f"slope-{seed}"))
    return pairs


def scenes(count: int, size: tuple[int, int] = (64, 64)) -> list[Pair]:
    return [scene(seed, size) for seed in range(count)]


def write_pairs(folder: Path, pairs: list[Pair], *, scale: int = 1000) -> Path:
    """Write pairs as rgb/NAME.png and depth/NAME.png."""
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for pair in pairs:
        Image.fromarray(pair.rgb).save(folder / "rgb" / f"{pair.name}.png")
        write_depth(folder / "depth" / f"{pair.name}.png", pair.depth_m, scale)
    return folder


def write_depth(path: Path, depth_m: np.ndarray, scale: int = 1000) -> None:
    Image.fromarray(np.rint(depth_m * scale).astype(np.uint16)).save(path)
