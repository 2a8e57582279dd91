"""The GLPN network (Global-Local Path Networks, arXiv 2201.07436), read downwards in the order in which data flows.

A hierarchical Mix Transformer encoder (SegFormer, arXiv 2105.15203) gives features at 1/4, 1/8, 1/16 and 1/32 of the
photo. A light decoder carries the coarsest up again and, at each scale, fuses it with the encoder's features by
*selective feature fusion*. A two-convolution head turns the result into depth.

Module names, and so the state dict's keys, are those of transformers. Features move between tokens (B, N, C) and maps
(B, C, H, W) as views of the same memory, because maps are kept channels-last.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from glpn.configuration import GLPNConfig

from .outputs import DepthEstimatorOutput, EncoderOutput
from .pretrained import PretrainedModel

ACTIVATION_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu}


def tokens_to_map(x: Tensor, height: int, width: int) -> Tensor:
    """View tokens (B, H * W, C) as a channels-last map (B, C, H, W)."""
    return x.unflatten(1, (height, width)).permute(0, 3, 1, 2)


def map_to_tokens(x: Tensor) -> Tensor:
    """View a channels-last map (B, C, H, W) as tokens (B, H * W, C)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


class OverlapPatchEmbedding(nn.Module):
    """Shrink a map by `stride` with overlapping patches, so that neighbours share what lies on their border."""

    def __init__(self, in_channels: int, out_channels: int, patch_size: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, patch_size, stride, padding=patch_size // 2)
        self.layer_norm = nn.LayerNorm(out_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, int, int]:
        x = self.proj(x)  # (B, C, H / stride, W / stride)
        height, width = x.shape[2:]
        return self.layer_norm(map_to_tokens(x)), height, width


class EfficientSelfAttention(nn.Module):
    """Attention whose keys and values come from a map that is `sr_ratio` times smaller on each side."""

    def __init__(self, config: GLPNConfig, stage: int) -> None:
        super().__init__()
        channels = config.hidden_sizes[stage]
        self.heads = config.num_attention_heads[stage]
        self.sr_ratio = config.sr_ratios[stage]
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)
        if self.sr_ratio > 1:
            self.sr = nn.Conv2d(channels, channels, self.sr_ratio, self.sr_ratio)
            self.layer_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, height: int, width: int, with_attention: bool) -> tuple[Tensor, Tensor | None]:
        query = self._split_heads(self.query(x))  # (B, heads, N, C / heads)
        if self.sr_ratio > 1:
            x = self.layer_norm(map_to_tokens(self.sr(tokens_to_map(x, height, width))))  # (B, N / sr_ratio², C)
        key, value = self._split_heads(self.key(x)), self._split_heads(self.value(x))
        if with_attention:
            scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
            attention = self.dropout(scores.softmax(-1))  # (B, heads, N, N / sr_ratio²)
            context = attention @ value
        else:
            attention = None
            dropout = self.dropout.p if self.training else 0.0
            context = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return context.transpose(1, 2).flatten(2), attention  # (B, N, C)

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class AttentionOutput(nn.Module):
    """Mix the heads' results."""

    def __init__(self, config: GLPNConfig, stage: int) -> None:
        super().__init__()
        channels = config.hidden_sizes[stage]
        self.dense = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.dense(x))


class Attention(nn.Module):
    def __init__(self, config: GLPNConfig, stage: int) -> None:
        super().__init__()
        self.self = EfficientSelfAttention(config, stage)
        self.output = AttentionOutput(config, stage)

    def forward(self, x: Tensor, height: int, width: int, with_attention: bool) -> tuple[Tensor, Tensor | None]:
        context, attention = self.self(x, height, width, with_attention)
        return self.output(context), attention


class DepthwiseConvolution(nn.Module):
    """A 3×3 convolution of each channel on its own: its zero padding is a token's only source of position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        return map_to_tokens(self.dwconv(tokens_to_map(x, height, width)))


class MixFFN(nn.Module):
    """Feed-forward network with a depthwise convolution between its two layers, in place of positional encoding."""

    def __init__(self, config: GLPNConfig, stage: int) -> None:
        super().__init__()
        channels = config.hidden_sizes[stage]
        hidden = int(channels * config.mlp_ratios[stage])
        self.dense1 = nn.Linear(channels, hidden)
        self.dwconv = DepthwiseConvolution(hidden)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]
        self.dense2 = nn.Linear(hidden, channels)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = self.dropout(self.activation(self.dwconv(self.dense1(x), height, width)))
        return self.dropout(self.dense2(x))


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): in training, drop whole samples' residuals with probability p."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if self.p == 0 or not self.training:
            return x
        keep = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.p
        return x * keep / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p:.3f}"


class Block(nn.Module):
    def __init__(self, config: GLPNConfig, stage: int, drop_path: float) -> None:
        super().__init__()
        channels = config.hidden_sizes[stage]
        # PyTorch's epsilon 1e-5, here and in every LayerNorm: what transformers runs these checkpoints with.
        self.layer_norm_1 = nn.LayerNorm(channels)
        self.attention = Attention(config, stage)
        self.drop_path = DropPath(drop_path)
        self.layer_norm_2 = nn.LayerNorm(channels)
        self.mlp = MixFFN(config, stage)

    def forward(self, x: Tensor, height: int, width: int, with_attention: bool) -> tuple[Tensor, Tensor | None]:
        context, attention = self.attention(self.layer_norm_1(x), height, width, with_attention)
        x = x + self.drop_path(context)
        return x + self.drop_path(self.mlp(self.layer_norm_2(x), height, width)), attention


class MixTransformerEncoder(nn.Module):
    """Four stages of patch embedding, blocks and a norm; drop-path grows linearly from the first block to the last."""

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__()
        stages = range(config.num_encoder_blocks)
        drop_paths = iter(torch.linspace(0, config.drop_path_rate, sum(config.depths), device="cpu").tolist())
        in_channels = (config.num_channels, *config.hidden_sizes)
        self.patch_embeddings = nn.ModuleList(
            OverlapPatchEmbedding(in_channels[i], config.hidden_sizes[i], config.patch_sizes[i], config.strides[i])
            for i in stages
        )
        self.block = nn.ModuleList(
            nn.ModuleList(Block(config, i, next(drop_paths)) for _ in range(config.depths[i])) for i in stages
        )
        self.layer_norm = nn.ModuleList(nn.LayerNorm(size) for size in config.hidden_sizes)
        self.gradient_checkpointing = False

    def forward(self, x: Tensor, with_attention: bool = False) -> tuple[list[Tensor], list[Tensor]]:
        """Return the maps of all stages, finest first, and the attentions of all blocks if asked for."""
        maps: list[Tensor] = []
        attentions: list[Tensor] = []
        for embed, blocks, norm in zip(self.patch_embeddings, self.block, self.layer_norm, strict=True):
            x, height, width = embed(x)
            for block in blocks:  # type: ignore[attr-defined]
                again = self.gradient_checkpointing and self.training
                run = partial(checkpoint, block, use_reentrant=False) if again else block
                x, attention = run(x, height, width, with_attention)
                if attention is not None:
                    attentions.append(attention)
            x = tokens_to_map(norm(x), height, width)
            maps.append(x)
        return maps, attentions


class SelectiveFeatureFusion(nn.Module):
    """Weigh local (encoder) against global (decoder) features, pixel by pixel (section 3.3 of the paper, figure 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutional_layer1 = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.convolutional_layer2 = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 3, padding=1), nn.BatchNorm2d(channels // 2), nn.ReLU()
        )
        self.convolutional_layer3 = nn.Conv2d(channels // 2, 2, 3, padding=1)

    def forward(self, local_features: Tensor, global_features: Tensor) -> Tensor:
        x = torch.cat((local_features, global_features), dim=1)  # (B, 2C, H, W)
        x = self.convolutional_layer3(self.convolutional_layer2(self.convolutional_layer1(x)))
        weights = x.sigmoid()  # (B, 2, H, W)
        return local_features * weights[:, :1] + global_features * weights[:, 1:]


class DecoderStage(nn.Module):
    """Bring one scale of the encoder to the decoder's width, fuse what came from below, and double its size."""

    def __init__(self, in_channels: int, channels: int, *, fuse: bool) -> None:
        super().__init__()
        # No convolution where the widths agree, as in the published state dicts.
        self.convolution = nn.Identity() if in_channels == channels else nn.Conv2d(in_channels, channels, 1)
        self.fusion = SelectiveFeatureFusion(channels) if fuse else None

    def forward(self, x: Tensor, below: Tensor | None) -> Tensor:
        return upsample(self.fuse(x, below))

    def fuse(self, x: Tensor, below: Tensor | None) -> Tensor:
        """Return the decoded map (B, C, h, w) of this scale, before its size is doubled."""
        x = self.convolution(x)
        return x if self.fusion is None else cast(Tensor, self.fusion(x, below))


def upsample(x: Tensor) -> Tensor:
    """Double the size of a map (B, C, H, W) bilinearly; `align_corners=False`, as the checkpoints were trained."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Decoder(nn.Module):
    """Four stages from the coarsest scale to the finest."""

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            DecoderStage(size, config.decoder_hidden_size, fuse=index > 0)
            for index, size in enumerate(reversed(config.hidden_sizes))
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Turn the encoder's maps, finest first, into decoded maps (B, C, ·, ·), coarsest first; the last is (H, W)."""
        decoded: list[Tensor] = []
        x = None
        for features, stage in zip(reversed(maps), self.stages, strict=True):
            x = stage(features, x)
            decoded.append(x)
        decoded[-1] = upsample(decoded[-1])
        return decoded


class DepthHead(nn.Module):
    """Two convolutions and a sigmoid that is scaled to the maximum depth."""

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__()
        channels = config.decoder_hidden_size
        self.config = config
        self.head = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, 1, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x).sigmoid().squeeze(1) * self.config.max_depth  # (B, H, W)


def silog_loss(depth: Tensor, labels: Tensor, lambd: float = 0.5) -> Tensor:
    """Scale-invariant log loss over the pixels whose label is positive (Eigen et al. 2014; equation 1 of the paper).

    `depth` and `labels` are (B, H, W) in metres. The square root and λ = 0.5 are the authors' code's; the whole batch
    shares one mean. Without a single labelled pixel the loss is NaN, as in transformers.
    """
    known = labels > 0
    difference = labels[known].log() - depth[known].log()
    return (difference.square().mean() - lambd * difference.mean().square()).sqrt()


class GLPNModel(PretrainedModel):
    """The encoder alone."""

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__(config)
        self.encoder = MixTransformerEncoder(self.config)
        self._init_weights()

    @classmethod
    def own_part(cls, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the encoder's tensors of a whole network's, or `state` itself if it is an encoder's."""
        inside = {name.removeprefix("glpn."): value for name, value in state.items() if name.startswith("glpn.")}
        return inside or state

    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> EncoderOutput | tuple[Any, ...]:
        """Encode `pixel_values` (B, 3, H, W), RGB in [0, 1]; an argument left None follows the config."""
        config = self.config
        with_attention = config.output_attentions if output_attentions is None else output_attentions
        with_hidden = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        maps, attentions = self.encoder(pixel_values, with_attention)
        output = EncoderOutput(
            last_hidden_state=maps[-1],
            hidden_states=tuple(maps) if with_hidden else None,
            attentions=tuple(attentions) if with_attention else None,
        )
        as_dict = config.return_dict if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()


class GLPNForDepthEstimation(PretrainedModel):
    """Encoder, decoder and head: photo in, metres out."""

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__(config)
        self.glpn = GLPNModel(self.config)
        self.decoder = Decoder(self.config)
        self.head = DepthHead(self.config)
        self._init_weights()

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> DepthEstimatorOutput | tuple[Any, ...]:
        """Estimate depth of `pixel_values` (B, 3, H, W), RGB in [0, 1], sides multiples of 32.

        `labels` (B, H, W), metres, 0 where unknown, asks for the loss; an argument left None follows the config.
        """
        config = self.config
        with_attention = config.output_attentions if output_attentions is None else output_attentions
        with_hidden = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        maps, attentions = self.glpn.encoder(pixel_values, with_attention)
        depth = self.head(self.decoder(maps)[config.head_in_index])
        output = DepthEstimatorOutput(
            loss=None if labels is None else silog_loss(depth, labels),
            predicted_depth=depth,
            hidden_states=tuple(maps) if with_hidden else None,
            attentions=tuple(attentions) if with_attention else None,
        )
        as_dict = config.return_dict if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()
