"""Depth without a rim: the decoder's fine stages and the head see their maps continued beyond the picture's border.

Zero padding in the decoder's 3×3 convolutions makes a rim of two pixels on every side of every prediction, where log
depth jumps by several times what neighbours usually differ by, and on some photos a noisy strip along a side, where the
gates of selective feature fusion flip. Repeating each map's outermost values for a few pixels before the convolutions,
and cutting the result, cures both. `GLPNForDepthEstimation` itself stays as it was published.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from .modeling import DecoderStage, GLPNForDepthEstimation, upsample

FUSION_MARGIN = 4  # pixels of a map: selective feature fusion's three 3×3 convolutions reach three
HEAD_MARGIN = 2  # pixels of the map before the head's upsampling, whose two convolutions then reach less than one
FIRST_EXTENDED = 2  # the decoder's stages from here on: 1/8 and 1/4 of the picture


def extend(x: Tensor, margin: int) -> Tensor:
    """Repeat the outermost values of maps (B, C, H, W) for `margin` pixels on each side; keeps the memory format."""
    return F.pad(x, (margin,) * 4, mode="replicate")


def cut(x: Tensor, margin: int) -> Tensor:
    """Undo `extend` on (..., H, W)."""
    return x[..., margin:-margin, margin:-margin]


class RimFree(nn.Module):
    """A GLPN for inference on any device: pixels (B, 3, H, W) to depth (B, H, W) in metres, without a rim."""

    def __init__(self, model: GLPNForDepthEstimation) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        model, x = self.model, None
        maps, _ = model.glpn.encoder(pixel_values)
        used = range(len(maps))[model.config.head_in_index] + 1
        for index, (features, stage) in enumerate(zip(reversed(maps), model.decoder.stages, strict=True)):
            if index == used:
                break
            assert isinstance(stage, DecoderStage)
            if x is None or index < FIRST_EXTENDED:
                x = stage.fuse(features, None if x is None else upsample(x))
            else:  # upsampling repeats the border of what comes from below in the same way
                wide = stage.fuse(extend(features, FUSION_MARGIN), upsample(extend(x, FUSION_MARGIN // 2)))
                x = cut(wide, FUSION_MARGIN)
        assert x is not None
        x = upsample(extend(x, HEAD_MARGIN))
        if used == len(maps):
            x = upsample(x)
        return cut(model.head(x), 4 * HEAD_MARGIN if used == len(maps) else 2 * HEAD_MARGIN)
