"""A convolutional teacher: it learns depth from scratch several times faster than a transformer does, and passes it on.

Training code, not a product. DeiT (arXiv 2012.12877) found the same for classification: a transformer learns more from
a convolutional teacher than from the labels alone, because it inherits the teacher's locality.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn.errors import CheckpointError

from .efficientnet import LiteEncoder, imagenet_weights

NEAREST_M = 0.1  # depth below which logarithms are not averaged


@dataclass(frozen=True)
class TeacherConfig:
    """Channels and residual blocks of the five scales (1/2 to 1/32), width of the pyramid, deepest depth.

    Half resolution has no block and no depth: they would take most of the time and teach little. With an `encoder`
    ("lite0" …) the maps are EfficientNet-Lite's, and `channels` and `blocks` count for nothing.
    """

    channels: tuple[int, ...] = (24, 48, 96, 192, 320)
    blocks: tuple[int, ...] = (0, 1, 2, 2, 1)
    pyramid: int = 64
    max_depth_m: float = 10.0
    encoder: str | None = None


def _convolution(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = _convolution(channels, channels)
        self.outer = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.outer(self.inner(x)))


class _ResidualEncoder(nn.Module):
    """Maps at 1/2 to 1/32 of (B, 3, H, W), of convolutions with residual blocks, from scratch."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.channels = list(config.channels)
        inputs = (3, *config.channels[:-1])
        self.scales = nn.ModuleList(
            nn.Sequential(_convolution(i, o, stride=2), *(_Residual(o) for _ in range(blocks)))
            for i, o, blocks in zip(inputs, config.channels, config.blocks, strict=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        maps, x = [], images
        for scale in self.scales:
            x = scale(x)
            maps.append(x)
        return maps


class ConvolutionalTeacher(nn.Module):
    """An encoder and a feature pyramid with a depth head at each scale from 1/32 to 1/4."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = LiteEncoder(config.encoder) if config.encoder else _ResidualEncoder(config)
        self.channels = tuple(self.encoder.channels[1:])  # of the maps that `features` returns
        width = config.pyramid
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in self.channels)
        self.merge = nn.ModuleList(_convolution(width, width) for _ in self.channels)
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in self.channels)
        for head in self.heads:
            start_at_typical_depth(head)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> list[Tensor]:
        """Maps at 1/4, 1/8, 1/16 and 1/32 of (B, 3, H, W), finest first, as those of MiT's stages."""
        maps: list[Tensor] = self.encoder(images)
        return maps[1:]

    def depths(self, features: list[Tensor]) -> list[Tensor]:
        """Depth (B, h, w) in metres at each scale, coarsest first."""
        depths, x = [], None
        for index in reversed(range(len(features))):
            here = self.lateral[index](features[index])
            if x is not None:
                here = here + F.interpolate(x, size=here.shape[2:], mode="bilinear")
            x = self.merge[index](here)
            depths.append(self.heads[index](x).float().sigmoid()[:, 0] * self.config.max_depth_m)
        return depths

    def forward(self, images: Tensor) -> Tensor:
        """Depth (B, H, W) in metres."""
        depth = self.depths(self.features(images))[-1]
        return F.interpolate(depth[:, None], size=images.shape[2:], mode="bilinear")[:, 0]


class Ensemble(nn.Module):
    """Several networks as one teacher: the mean of their log depths, and the features of the first.

    `members` are pairs of a network (convolutional teacher or GLPN) and the short side that it wants pictures at. The
    lite networks want 4/3 of the size that they were trained at, because random crops enlarge what they see.
    """

    def __init__(self, members: Sequence[tuple[nn.Module, int]]) -> None:
        super().__init__()
        first = members[0][0]
        assert isinstance(first, ConvolutionalTeacher), "the first member gives the features"
        self.networks = nn.ModuleList(network for network, _ in members)
        self.short_sides = tuple(side for _, side in members)
        self.channels = first.channels

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return depth (B, H, W) in metres and the first member's features, finest first."""
        features: list[Tensor] = []
        total = torch.zeros(images.shape[0], *images.shape[2:], device=images.device)
        for network, side in zip(self.networks, self.short_sides, strict=True):
            seen = _at_short_side(images, side)
            if isinstance(network, ConvolutionalTeacher):
                maps = network.features(seen)
                depth = network.depths(maps)[-1]
                features = features or maps
            else:
                depth = network(seen).predicted_depth
            whole = F.interpolate(depth.float()[:, None], size=images.shape[2:], mode="bilinear")[:, 0]
            total = total + whole.clamp_min(NEAREST_M).log()
        return (total / len(self.networks)).exp(), features


def _at_short_side(images: Tensor, side: int) -> Tensor:
    """Resize (B, 3, H, W) so that its short side is `side`, both to multiples of 32."""
    shrink = side / min(images.shape[2:])
    height, width = (max(32, 32 * round(length * shrink / 32)) for length in images.shape[2:])
    if (height, width) == tuple(images.shape[2:]):
        return images
    return F.interpolate(images, size=(height, width), mode="bilinear", antialias=True)


def pretrained_teacher(config: TeacherConfig) -> ConvolutionalTeacher:
    """A teacher whose encoder starts from ImageNet. Raises `ConfigError` if the weights' package is not installed."""
    teacher = ConvolutionalTeacher(config)
    assert config.encoder is not None and isinstance(teacher.encoder, LiteEncoder)
    teacher.encoder.load_imagenet(imagenet_weights(config.encoder))
    return teacher


def start_at_typical_depth(head: nn.Conv2d, share: float = 0.22) -> None:
    """Let a new depth head say `share` of the maximum everywhere, as rooms do on average, instead of half of it."""
    nn.init.normal_(head.weight, std=0.01)
    assert head.bias is not None
    nn.init.constant_(head.bias, math.log(share / (1 - share)))


def save_teacher(teacher: ConvolutionalTeacher, path: Path) -> None:
    torch.save({"config": asdict(teacher.config), "state": teacher.state_dict()}, path)


def load_teacher(path: Path) -> ConvolutionalTeacher:
    """Read a teacher in evaluation mode. Raises `CheckpointError` if the file is not one."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        teacher = ConvolutionalTeacher(TeacherConfig(**saved["config"]))
        teacher.load_state_dict(saved["state"])
    except (OSError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a teacher that this project saved: {error}") from error
    return teacher.eval()
