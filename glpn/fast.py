"""The same network for inference on a CPU: equal numbers (within rounding), several times faster.

`make_fast(model)` copies the weights of a plain `GLPNForDepthEstimation` into the layout that oneDNN, a part of
PyTorch, multiplies fastest, with BatchNorm folded into convolutions and activations and residuals fused into the layer before
them. The result does one thing, photo to depth: ask the plain network for attentions, hidden states, losses and
gradients.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .modeling import GLPNForDepthEstimation, map_to_tokens, tokens_to_map, upsample

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "gelu": F.gelu,
    "relu": F.relu_,
    "silu": F.silu,
}
# What oneDNN fuses into the layer before: name and algorithm of its post-operation.
_POST_OPERATIONS = {"none": ("none", ""), "gelu": ("gelu", "none"), "relu": ("relu", ""), "silu": ("swish", "")}


def has_packed_layers() -> bool:
    """Whether this build of PyTorch has oneDNN's layers with packed weights; without them its plain layers are used."""
    names = ("_linear_pointwise", "_convolution_pointwise", "_reorder_linear_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)


class PackedLinear:
    """A linear layer over tokens, then an activation, then perhaps the sum with a residual."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: str = "none") -> None:
        self.weight, self.bias, self.activation = weight.detach(), bias.detach(), activation
        self.packed = has_packed_layers()
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight.contiguous(), None)

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Map tokens (..., in) to (..., out); `residual` has the output's shape."""
        if not self.packed:
            y = _ACTIVATIONS[self.activation](F.linear(x, self.weight, self.bias))
            return y if residual is None else y.add_(residual)
        if residual is not None:
            return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.weight, self.bias, "add")
        name, algorithm = _POST_OPERATIONS[self.activation]
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, name, [], algorithm)


class PackedConvolution:
    """A convolution of channels-last maps with the BatchNorm behind it folded in, then an activation."""

    def __init__(self, layer: Any, norm: Any = None, activation: str = "none") -> None:
        weight, bias = _folded(layer, norm)
        self.bias, self.activation = bias, activation
        self.geometry = (list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups)
        self.packed = has_packed_layers()
        if self.packed:
            self.weight = torch._C._nn.mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), *self.geometry)
        else:
            self.weight = weight.contiguous(memory_format=torch.channels_last)

    def __call__(self, x: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, out, ·, ·), both channels-last."""
        padding, stride, dilation, groups = self.geometry
        if not self.packed:
            return _ACTIVATIONS[self.activation](F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups))
        name, algorithm = _POST_OPERATIONS[self.activation]
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, padding, stride, dilation, groups, name, [], algorithm
        )


def _folded(layer: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that equals `layer` followed by `norm` in evaluation mode."""
    weight, bias = layer.weight.detach(), layer.bias.detach()
    if norm is None:
        return weight, bias.clone()
    scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    return weight * scale[:, None, None, None], (bias - norm.running_mean) * scale + norm.bias.detach()


class _Norm:
    def __init__(self, layer: Any) -> None:
        self.shape, self.eps = layer.normalized_shape, layer.eps
        self.weight, self.bias = layer.weight.detach().clone(), layer.bias.detach().clone()

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps)


class _PatchEmbedding:
    def __init__(self, layer: Any) -> None:
        self.proj, self.norm = PackedConvolution(layer.proj), _Norm(layer.layer_norm)

    def __call__(self, x: Tensor) -> tuple[Tensor, int, int]:
        x = self.proj(x)
        return self.norm(map_to_tokens(x)), x.shape[2], x.shape[3]


class _Block:
    def __init__(self, block: Any, activation: str) -> None:
        attention, ffn = block.attention.self, block.mlp
        self.heads, self.sr_ratio = attention.heads, attention.sr_ratio
        self.norm1, self.norm2 = _Norm(block.layer_norm_1), _Norm(block.layer_norm_2)
        self.query = PackedLinear(attention.query.weight, attention.query.bias)
        self.key_value = PackedLinear(
            torch.cat((attention.key.weight, attention.value.weight)),
            torch.cat((attention.key.bias, attention.value.bias)),
        )
        if self.sr_ratio > 1:
            self.reduce, self.reduce_norm = PackedConvolution(attention.sr), _Norm(attention.layer_norm)
        output = block.attention.output.dense
        self.output = PackedLinear(output.weight, output.bias)
        self.dense1 = PackedLinear(ffn.dense1.weight, ffn.dense1.bias)
        self.depthwise = PackedConvolution(ffn.dwconv.dwconv, activation=activation)
        self.dense2 = PackedLinear(ffn.dense2.weight, ffn.dense2.bias)

    def __call__(self, x: Tensor, height: int, width: int) -> Tensor:
        tokens = self.norm1(x)  # (B, N, C)
        query = self._split_heads(self.query(tokens))  # (B, heads, N, C / heads)
        if self.sr_ratio > 1:
            tokens = self.reduce_norm(map_to_tokens(self.reduce(tokens_to_map(tokens, height, width))))
        key, value = self.key_value(tokens).chunk(2, dim=2)  # (B, N / sr_ratio², C) each
        context = F.scaled_dot_product_attention(query, self._split_heads(key), self._split_heads(value))
        x = self.output(context.transpose(1, 2).flatten(2), x)
        hidden = self.depthwise(tokens_to_map(self.dense1(self.norm2(x)), height, width))
        return self.dense2(map_to_tokens(hidden), x)

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class _Fusion:
    def __init__(self, fusion: Any) -> None:
        first, second = fusion.convolutional_layer1, fusion.convolutional_layer2
        self.layer1 = PackedConvolution(first[0], first[1], "relu")
        self.layer2 = PackedConvolution(second[0], second[1], "relu")
        self.layer3 = PackedConvolution(fusion.convolutional_layer3)

    def __call__(self, local_features: Tensor, global_features: Tensor) -> Tensor:
        weights = self.layer3(self.layer2(self.layer1(torch.cat((local_features, global_features), dim=1)))).sigmoid_()
        return (local_features * weights[:, :1]).addcmul_(global_features, weights[:, 1:])


class _DecoderStage:
    def __init__(self, stage: Any) -> None:
        self.convolution = None if isinstance(stage.convolution, nn.Identity) else PackedConvolution(stage.convolution)
        self.fusion = None if stage.fusion is None else _Fusion(stage.fusion)

    def __call__(self, x: Tensor, below: Tensor | None) -> Tensor:
        x = x if self.convolution is None else self.convolution(x)
        return x if below is None or self.fusion is None else self.fusion(x, below)


class FastGLPN(nn.Module):
    """A GLPN for float32 inference on a CPU. Call it with pixels (B, 3, H, W); it returns depth (B, H, W) in metres."""

    def __init__(self, model: GLPNForDepthEstimation) -> None:
        super().__init__()
        self.config = model.config
        encoder: Any = model.glpn.encoder
        self.stages = [
            (_PatchEmbedding(embed), [_Block(block, model.config.hidden_act) for block in blocks], _Norm(norm))
            for embed, blocks, norm in zip(encoder.patch_embeddings, encoder.block, encoder.layer_norm, strict=True)
        ]
        used = range(len(self.stages))[model.config.head_in_index] + 1
        self.decoder = [_DecoderStage(stage) for stage in list(model.decoder.stages)[:used]]
        self.upsamplings = 2 if used == len(self.stages) else 1
        head: Any = model.head.head
        self.head = (PackedConvolution(head[0], activation="relu"), PackedConvolution(head[2]))

    @torch.inference_mode()
    def forward(self, pixel_values: Tensor) -> Tensor:
        """Estimate depth (B, H, W), float32 metres, of `pixel_values` (B, 3, H, W).

        Pixels are RGB in [0, 1]; both sides are multiples of 32.
        """
        x = pixel_values.contiguous(memory_format=torch.channels_last)
        maps: list[Tensor] = []
        for embed, blocks, norm in self.stages:
            x, height, width = embed(x)
            for block in blocks:
                x = block(x, height, width)
            x = tokens_to_map(norm(x), height, width)
            maps.append(x)
        decoded = self.decoder[0](maps.pop(), None)
        for stage in self.decoder[1:]:
            decoded = stage(maps.pop(), upsample(decoded))
        for _ in range(self.upsamplings):
            decoded = upsample(decoded)
        for layer in self.head:
            decoded = layer(decoded)
        return decoded.squeeze(1).sigmoid_().mul_(self.config.max_depth)


def make_fast(model: GLPNForDepthEstimation) -> FastGLPN:
    """Build the fast form of `model`, which is on the CPU in float32; it keeps its own copy of the weights."""
    return FastGLPN(model)
