"""The same network for inference on a CPU: equal numbers (within rounding), several times faster.

`make_fast(model)` hands the weights of a plain `GLPNForDepthEstimation` to the layers of oneDNN, a part of PyTorch.
BatchNorm is folded into convolutions, activations and residuals are fused into the layer before them, and convolutions
of upsampled maps run at the resolution from before the upsampling (`UpsampledConvolution`). The result does one thing,
photo to depth: ask the plain network for attentions, hidden states, losses and gradients.

Maps stay channels-last throughout, so that tokens (B, H * W, C) and maps (B, C, H, W) are views of each other.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn.errors import ConfigError

from .border import FIRST_EXTENDED, FUSION_MARGIN, HEAD_MARGIN, cut, extend
from .device import keep_freed_memory, seconds_of
from .modeling import ACTIVATION_FUNCTIONS, GLPNForDepthEstimation, map_to_tokens, tokens_to_map, upsample

PRECISIONS = ("float32", "bfloat16")
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, **ACTIVATION_FUNCTIONS}
# The same as post-operations of oneDNN: name and algorithm.
_POST_OPERATIONS = {"none": ("none", ""), "gelu": ("gelu", "none"), "relu": ("relu", ""), "silu": ("swish", "")}
# Tokens per strip of a large map's Mix-FFN: its hidden maps then stay in the cache and out of the peak of memory.
_STRIP_TOKENS = 4096
_STRIP_SCORES = 2**18  # of attention at once: 1 MB


def has_fused_layers() -> bool:
    """Whether this build of PyTorch has oneDNN's fused layers; without them its plain layers are used."""
    names = ("_linear_pointwise", "_convolution_pointwise")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)


class FusedLinear:
    """A linear layer of tokens, optionally with a residual added. In float32 it shares the memory of its weights.

    With AVX-512 oneDNN is faster at it and adds the residual in passing, without it PyTorch's own BLAS is.
    `precision` is that of its multiplications; input, residual and output are float32 in any case.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, precision: str = "float32") -> None:
        self.weight, self.bias, self.precision = weight.detach(), bias, precision
        self.fused = has_fused_layers() and "AVX512" in torch.backends.cpu.get_cpu_capability()
        if precision == "bfloat16":
            self.weight, self.bias = self.weight.bfloat16(), None if bias is None else bias.bfloat16()

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Map tokens (..., in) to (..., out); `residual` has the output's shape."""
        if self.fused and self.precision == "float32":
            if residual is None:
                return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
            return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.weight, self.bias, "add")
        if self.precision == "bfloat16":
            y = torch.ops.mkldnn._linear_pointwise(x.bfloat16(), self.weight, self.bias, "none", [], "").float()
        elif residual is None:
            return F.linear(x, self.weight, self.bias)
        else:
            y = residual if self.bias is None else residual + self.bias
            y.flatten(0, -2).addmm_(x.flatten(0, -2), self.weight.T)
            return y
        return y if residual is None else y.add_(residual)


class FusedConvolution:
    """A convolution of channels-last maps, optionally with a residual added, then an activation.

    It shares the memory of its weights. oneDNN brings them into its own order in each call, which takes some percent;
    brought there once, without knowing the maps' size, they often land in an order that makes it ten times slower.
    """

    def __init__(self, layer: Any, weight: Tensor, bias: Tensor, activation: str = "none") -> None:
        """Take the geometry from `layer`, an nn.Conv2d, but not its weights."""
        self.weight, self.bias, self.activation = weight, bias, activation
        self.geometry = (list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups)
        self.fused = has_fused_layers()

    @classmethod
    def of(cls, layer: Any, activation: str = "none") -> "FusedConvolution":
        """Take an nn.Conv2d as it is."""
        return cls(layer, layer.weight.detach(), layer.bias.detach(), activation)

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Map (B, in, H, W) to (B, out, ·, ·); `residual` has the output's shape and joins before the activation."""
        padding, stride, dilation, groups = self.geometry
        if not self.fused:
            y = F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
            return _ACTIVATIONS[self.activation](y if residual is None else y.add_(residual))
        name, algorithm = _POST_OPERATIONS[self.activation]
        layer = (self.weight, self.bias, padding, stride, dilation, groups)
        if residual is None:
            return torch.ops.mkldnn._convolution_pointwise(x, *layer, name, [], algorithm)
        return torch.ops.mkldnn._convolution_pointwise.binary(x, residual, *layer, "add", 1.0, name, [], algorithm)


def fold(layer: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that equals an nn.Conv2d followed by an nn.BatchNorm2d in evaluation."""
    scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    weight = layer.weight.detach() * scale[:, None, None, None]
    return weight, (layer.bias.detach() - norm.running_mean) * scale + norm.bias.detach()


class UpsampledConvolution:
    """A 3×3 convolution (padding 1) of a bilinearly upsampled map, most of whose work is done before the upsampling.

    Let x (h, w, C) be the small map, f = 2ᵏ the factor of k upsamplings, and W_ij (C', C) the kernel's tap in row i and
    column j. Upsampling is linear, separable and the same for each channel: up(x) = U x Uᵀ with a fixed matrix U
    (f·h, h). Mixing the channels of each pixel commutes with it. With S_i (f·h, f·h) shifting rows by i - 1 and moving
    in zeros, which is the convolution's padding,

        y = Σ_ij (S_i U) (W_ij x) (S_j U)ᵀ                        (f·h, f·w, C')

    so that all multiplications by W happen at h·w pixels, f² times fewer than y has. What is left are the fixed
    matrices S_i U, applied to the products first along rows, then along columns. One row of y needs rows of x from its
    own cell and the two next to it only, so the matrices are cut into small dense blocks; all are equal but the first
    and the last, because upsampling clamps and the convolution pads at the borders. The result comes in strips of rows
    that are still in the cache when their consumer takes them. Exact up to rounding, borders included.

    At f = 4, 64 channels and 480×640, multiplications fall from 11.3 to 1.4 GMAC.
    """

    def __init__(self, weight: Tensor, bias: Tensor, upsamplings: int) -> None:
        self.upsamplings, self.channels, self.bias = upsamplings, len(bias), bias
        self.taps = weight.permute(1, 3, 2, 0).flatten(1).contiguous()  # (C, j · i · C')

    def strips(self, x: Tensor, result: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Yield the result for a map `x` (C, h, w), channels-last, strip by strip.

        Each strip says which rows of the result it is, and their values (rows, f·w, C'). They are written into `result`
        (f·h, f·w, C'), and without one each strip over the one before. What the loop needs is laid out before it: the
        threads wait for each other after each operation.
        """
        (_, height, width), factor, channels = x.shape, 2**self.upsamplings, self.channels
        rows, columns = _block_size(height), _block_size(width)
        along_columns, along_rows = _interpolation(height, width, self.upsamplings)
        # A zero column on the left and one block of columns more than needed put all blocks of all rows equally far
        # apart in memory. Whatever is computed for the surplus block is not read.
        blocks = width // columns + 1
        width_padded = blocks * columns
        wide = width_padded * factor * channels
        padded = F.pad(x.permute(1, 2, 0), (0, 0, 1, columns - 1, 0, 1))
        pixels = padded.flatten(0, 1)  # ((h + 1) · blocks · columns, C)
        most = max(rows, 2)  # rows of x at once
        products = x.new_empty(most * width_padded + 2, 9 * channels)  # (·, j · i · C')
        overlapping = (3, most * blocks, (columns + 2) * 3, channels)  # (i, block, its columns and two next to · j, C')
        strides = (channels, columns * 9 * channels, 3 * channels, 1)
        sources = products.as_strided(overlapping, strides).unbind()
        window_and_bias = x.new_zeros(3 * (rows + 2) + 1, wide)
        window_and_bias[-1].view(-1, channels).copy_(self.bias)
        window = window_and_bias[:-1].view(3, rows + 2, wide)  # (i, row of x, f·w and the surplus, C')
        strip = x.new_empty(rows * factor, width * factor, channels)
        used = window_and_bias[:, : width * factor * channels]
        head, tail = window[:, :2], window[:, rows:]

        def targets(slot: int, count: int) -> tuple[Tensor, ...]:
            return window[:, slot : slot + count].view(3, count * blocks, columns * factor, channels).unbind()

        following = targets(2, rows)

        def interpolate_rows(first: int, last: int, slot: int) -> None:
            """Put rows first … last - 1 of Σ_j (W_ij x) (S_j U)ᵀ into the window, at `slot`."""
            count = last - first
            own = pixels[first * width_padded : last * width_padded + 2]
            torch.mm(own, self.taps, out=products[: len(own)])
            if slot == 2 and count == rows == most:
                for source, target in zip(sources, following, strict=True):
                    torch.bmm(along_rows, source, out=target)
            else:
                for source, target in zip(sources, targets(slot, count), strict=True):
                    torch.bmm(along_rows[: count * blocks], source[: count * blocks], out=target)

        interpolate_rows(0, 1, slot=1)  # above it lies the padding
        for top in range(0, height, rows):
            if top > 0:
                head.copy_(tail if rows > 1 else tail.clone())
            end = min(top + rows + 1, height)
            if top + 1 < end:
                interpolate_rows(top + 1, end, slot=2)
            block = 0 if top == 0 else -1 if top + rows == height else 1
            filled = slice(top * factor, (top + rows) * factor)
            values = strip if result is None else result[filled]
            torch.mm(along_columns[block], used, out=values.flatten(1))
            yield filled, values

    def __call__(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C', f·h, f·w), both channels-last."""
        B, _, height, width = x.shape
        y = x.new_empty(B, height << self.upsamplings, width << self.upsamplings, self.channels)
        for image, result in zip(x, y, strict=True):
            for _ in self.strips(image, result):
                pass
        return y.permute(0, 3, 1, 2)


@lru_cache(maxsize=32)
def _interpolation(height: int, width: int, upsamplings: int) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return the matrices S_i U of `UpsampledConvolution` for a map's columns and rows.

    Along columns: the first, an inner and the last block, (f·rows, i · (rows + 2) + 1) each; the bias is one more row
    below the window, which each row of the result takes once. Along rows: those of all blocks of as many rows as are
    interpolated at once, (rows · blocks, f·columns, (columns + 2) · j).
    """
    rows, columns = _block_size(height), _block_size(width)
    along_columns = tuple(
        F.pad(block.permute(1, 0, 2).flatten(1), (0, 1), value=1.0)
        for block in _shifted_upsampling(height, rows, upsamplings)
    )
    along_rows = [block.permute(1, 2, 0).flatten(1) for block in _shifted_upsampling(width, columns, upsamplings)]
    inner = width // columns - 2
    along_rows = along_rows[:1] + along_rows[1:2] * inner + along_rows[-1:] * (2 if inner >= 0 else 1)
    return along_columns, torch.stack(along_rows).repeat(max(rows, 2), 1, 1)


def _shifted_upsampling(size: int, block: int, upsamplings: int) -> list[Tensor]:
    """Cut S_i U of an axis of `size` into blocks (i, f · block, block + 2): the first, an inner, the last."""
    size = min(size, 3 * block)
    matrix = torch.eye(size).view(size, 1, size, 1)
    for _ in range(upsamplings):
        matrix = F.interpolate(matrix, scale_factor=(2, 1), mode="bilinear", align_corners=False)
    matrix = matrix.view(size, -1).T  # U (f · size, size)
    shifted = F.pad(matrix, (1, 1, 1, 1)).unfold(0, len(matrix), 1).transpose(1, 2)  # S_i U (3, f · size, size + 2)
    return [
        shifted[:, first << upsamplings : (first + block) << upsamplings, first : first + block + 2]
        for first in range(0, size, block)
    ]


def _block_size(size: int) -> int:
    """Low-resolution pixels per block: four keep a strip in the cache and waste little on zeros."""
    return next(block for block in (4, 2, 1) if size % block == 0)


class _Norm:
    def __init__(self, layer: Any) -> None:
        self.shape, self.eps = layer.normalized_shape, layer.eps
        self.weight, self.bias = layer.weight.detach().clone(), layer.bias.detach().clone()

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps)


class _PatchEmbedding:
    def __init__(self, layer: Any) -> None:
        self.proj, self.norm = FusedConvolution.of(layer.proj), _Norm(layer.layer_norm)

    def __call__(self, x: Tensor) -> tuple[Tensor, int, int]:
        x = self.proj(x)
        return self.norm(map_to_tokens(x)), x.shape[2], x.shape[3]


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return softmax(query keyᵀ / √d) value (B, heads, N, d) by oneDNN's products.

    query is (B, heads, N, d), key and value are (B, heads, M, d), float32. Queries come in strips, whose scores stay in
    the cache. `F.scaled_dot_product_attention` multiplies by the BLAS, and MKL takes its AVX2 path on processors of
    other makers: half the speed of AVX-512 on those of AMD.
    """
    linear = torch.ops.mkldnn._linear_pointwise
    context = torch.empty_like(query)
    rows = max(1, _STRIP_SCORES // key.shape[2])
    for image in range(query.shape[0]):
        for head in range(query.shape[1]):
            keys = key[image, head] * key.shape[3] ** -0.5  # (M, d)
            values = value[image, head].T.contiguous()  # (d, M)
            strips = query[image, head].split(rows), context[image, head].split(rows)
            for own, result in zip(*strips, strict=True):
                scores = linear(own.contiguous(), keys, None, "none", [], "")  # (rows, M)
                result.copy_(linear(torch.softmax(scores, -1, out=scores), values, None, "none", [], ""))
    return context


@lru_cache(maxsize=1)
def onednn_attends_faster() -> bool:
    """Measure whether `attend` is faster here than PyTorch's own attention, in some 10 ms, once in a process."""
    query, key = torch.rand(1, 2, 1200, 32), torch.rand(1, 2, 300, 32)
    with torch.inference_mode():
        ours, own = (
            min(seconds_of(run, query, key, key) for _ in range(5)) for run in (attend, F.scaled_dot_product_attention)
        )
    return ours < 0.9 * own


class _Block:
    def __init__(self, block: Any, activation: str, precision: str) -> None:
        attention, ffn = block.attention.self, block.mlp
        self.heads, self.sr_ratio, self.halved = attention.heads, attention.sr_ratio, precision == "bfloat16"
        self.norm1, self.norm2 = _Norm(block.layer_norm_1), _Norm(block.layer_norm_2)
        self.query = FusedLinear(attention.query.weight, attention.query.bias.detach(), precision)
        # The keys' bias adds the same to all scores of a query, which softmax takes out again; each query's weights sum
        # to 1, so that the values' bias passes through attention as it is.
        self.key, self.value = (
            FusedLinear(layer.weight, None, precision) for layer in (attention.key, attention.value)
        )
        slow_blas = precision == "float32" and has_fused_layers() and onednn_attends_faster()
        self.attend = attend if slow_blas else F.scaled_dot_product_attention
        if self.sr_ratio > 1:
            self.reduce, self.reduce_norm = FusedConvolution.of(attention.sr), _Norm(attention.layer_norm)
        output = block.attention.output.dense
        bias = output.bias + output.weight @ attention.value.bias
        self.output = FusedLinear(output.weight, bias.detach(), precision)
        self.dense1 = FusedLinear(ffn.dense1.weight, ffn.dense1.bias.detach(), precision)
        self.depthwise = FusedConvolution.of(ffn.dwconv.dwconv, activation)
        self.dense2 = FusedLinear(ffn.dense2.weight, ffn.dense2.bias.detach(), precision)

    def __call__(self, x: Tensor, height: int, width: int) -> Tensor:
        tokens = self.norm1(x)  # (B, N, C)
        query = self._split_heads(self.query(tokens))  # (B, heads, N, C / heads)
        if self.sr_ratio > 1:
            tokens = self.reduce_norm(map_to_tokens(self.reduce(tokens_to_map(tokens, height, width))))
        key, value = (self._split_heads(layer(tokens)) for layer in (self.key, self.value))
        if self.halved:  # attention costs as much as two or three linear layers
            query, key, value = query.bfloat16(), key.bfloat16(), value.bfloat16()
        context = self.attend(query, key, value)
        x = self.output(context.transpose(1, 2).flatten(2), x)
        return self._feed_forward(x, self.norm2(x), height, width)

    def _feed_forward(self, x: Tensor, tokens: Tensor, height: int, width: int) -> Tensor:
        """Add the Mix-FFN of `tokens` to x, in strips of rows if its hidden maps are large."""
        rows = -(-_STRIP_TOKENS // width)
        if height * width <= 2 * _STRIP_TOKENS:
            hidden = self.depthwise(tokens_to_map(self.dense1(tokens), height, width))
            return self.dense2(map_to_tokens(hidden), x)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            first, last = max(top - 1, 0), min(bottom + 1, height)  # what the 3×3 kernel sees of the neighbours
            hidden = self.dense1(tokens[:, first * width : last * width])
            hidden = self.depthwise(tokens_to_map(hidden, last - first, width))[:, :, top - first : bottom - first]
            own = slice(top * width, bottom * width)
            x[:, own] = self.dense2(map_to_tokens(hidden), x[:, own])
        return x

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class _Fusion:
    """Selective feature fusion; its first convolution acts on local and upsampled global features separately."""

    def __init__(self, fusion: Any, *, extended: bool) -> None:
        self.extended = extended
        first, second = fusion.convolutional_layer1, fusion.convolutional_layer2
        weight, bias = fold(first[0], first[1])
        local_weight, global_weight = weight.chunk(2, dim=1)
        self.local_layer1 = FusedConvolution(first[0], local_weight, bias, "relu")
        self.global_layer1 = UpsampledConvolution(global_weight, torch.zeros_like(bias), upsamplings=1)
        self.layer2 = FusedConvolution(second[0], *fold(second[0], second[1]), "relu")
        self.layer3 = FusedConvolution.of(fusion.convolutional_layer3)

    def __call__(self, local_features: Tensor, below: Tensor) -> Tensor:
        if not self.extended:
            return self._fuse(local_features, below)
        # Upsampling repeats the border of what comes from below in the same way.
        wide = self._fuse(extend(local_features, FUSION_MARGIN), extend(below, FUSION_MARGIN // 2))
        return cut(wide, FUSION_MARGIN)

    def _fuse(self, local_features: Tensor, below: Tensor) -> Tensor:
        x = self.local_layer1(local_features, self.global_layer1(below))
        weights = self.layer3(self.layer2(x)).sigmoid_()  # (B, 2, H, W)
        return (local_features * weights[:, :1]).addcmul_(upsample(below), weights[:, 1:])


class _DecoderStage:
    """As the plain one, but what comes from below and what is returned is not upsampled yet."""

    def __init__(self, stage: Any, *, extended: bool) -> None:
        plain = isinstance(stage.convolution, nn.Identity)
        self.convolution = None if plain else FusedConvolution.of(stage.convolution)
        self.fusion = None if stage.fusion is None else _Fusion(stage.fusion, extended=extended)

    def __call__(self, x: Tensor, below: Tensor | None) -> Tensor:
        x = x if self.convolution is None else self.convolution(x)
        return x if below is None or self.fusion is None else self.fusion(x, below)


class _Head:
    """Two upsamplings (one, for a coarser stage than the last), the two convolutions and the sigmoid."""

    def __init__(self, head: Any, upsamplings: int, *, extended: bool) -> None:
        first, _, second = head.head
        self.upsamplings, self.max_depth, self.extended = upsamplings, head.config.max_depth, extended
        self.layer1 = UpsampledConvolution(first.weight.detach(), first.bias.detach(), upsamplings)
        self.weight2 = second.weight.detach()[0].flatten(1).T.contiguous()  # (9, C)
        self.bias2 = second.bias.detach().clone()

    def __call__(self, x: Tensor) -> Tensor:
        """Map features (B, C, h, w) to depth (B, f·h, f·w)."""
        if not self.extended:
            return self._depth(x)
        return cut(self._depth(extend(x, HEAD_MARGIN)), HEAD_MARGIN << self.upsamplings)

    def _depth(self, x: Tensor) -> Tensor:
        """Compute each tap of the second convolution, and their sum."""
        B, _, height, width = x.shape
        height, width = height << self.upsamplings, width << self.upsamplings
        taps = x.new_empty(9, height * width)
        depth = x.new_empty(B, height, width)
        for image, result in zip(x, depth, strict=True):
            for rows, values in self.layer1.strips(image):
                pixels = slice(rows.start * width, rows.stop * width)
                torch.mm(self.weight2, values.relu_().flatten(0, 1).T, out=taps[:, pixels])
            logits = x.new_zeros(height + 2, width)  # a row for the padding above, and below
            for row, (left, middle, right) in enumerate(taps.view(3, 3, height, width).unbind()):
                shifted = logits[2 - row :][:height]
                shifted[:, 1:] += left[:, :-1]
                shifted += middle
                shifted[:, :-1] += right[:, 1:]
            torch.sigmoid(logits[1:-1].add_(self.bias2), out=result)
        return depth.mul_(self.max_depth)


class FastGLPN:
    """A GLPN for inference on a CPU. Call it with pixels (B, 3, H, W); it returns depth (B, H, W) in metres."""

    def __init__(self, model: GLPNForDepthEstimation, precision: str = "float32", *, rim_free: bool = False) -> None:
        keep_freed_memory()
        self.precision = precision
        config = model.config
        self.config = config
        encoder: Any = model.glpn.encoder
        self.stages = [
            (_PatchEmbedding(embed), [_Block(block, config.hidden_act, precision) for block in blocks], _Norm(norm))
            for embed, blocks, norm in zip(encoder.patch_embeddings, encoder.block, encoder.layer_norm, strict=True)
        ]
        used = range(len(self.stages))[config.head_in_index] + 1
        self.decoder = [
            _DecoderStage(stage, extended=rim_free and index >= FIRST_EXTENDED)
            for index, stage in enumerate(list(model.decoder.stages)[:used])
        ]
        self.head = _Head(model.head, 2 if used == len(self.stages) else 1, extended=rim_free)

    @torch.inference_mode()
    def __call__(self, pixel_values: Tensor) -> Tensor:
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
            decoded = stage(maps.pop(), decoded)
        return self.head(decoded)


def make_fast(model: GLPNForDepthEstimation, *, precision: str = "float32", rim_free: bool = False) -> FastGLPN:
    """Build the fast form of `model`, which is on the CPU in float32.

    Most float32 weights are shared with `model`, not copied: rebuild it after changing them.

    `precision` is the arithmetic of the encoder's linear layers, where most of the multiplications are: "float32",
    which gives the plain network's depth, or "bfloat16" (attention's products too), which changes it a little.
    `rim_free` continues the decoder's maps beyond the picture's border, as `border.RimFree` does. Raises `ConfigError`
    for another precision, or where bfloat16 lacks oneDNN or a processor for it.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"Unknown precision {precision!r}. Known: {', '.join(PRECISIONS)}.")
    if precision != "float32" and not has_fused_layers():
        raise ConfigError(f"Precision {precision!r} needs oneDNN, which this PyTorch lacks. Use 'float32'.")
    if precision == "bfloat16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise ConfigError("This processor has no bfloat16 (it takes AVX-512). Use 'float32'.")
    return FastGLPN(model, precision, rim_free=rim_free)
