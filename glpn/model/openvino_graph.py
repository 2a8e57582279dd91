"""The network written in OpenVINO's operations, from the weights of a plain `GLPNForDepthEstimation`.

Nothing is traced: the graph of one size is ready for compilation in a fraction of a second. It is the network of
`fast.py` in another library's words: BatchNorm folded, and the first convolution of the head done before the
upsampling (`UpsampledConvolution` there has the derivation), strip by strip of rows so that its maps stay in the cache.
The bias of the keys is left out: it adds the same to all logits of a query, which softmax ignores. That of the values
passes through attention unchanged, because its weights sum to 1, and becomes a part of the output layer's bias.
"""

import threading
from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13 as op
from torch import Tensor, nn

from glpn.errors import ConfigError

from .border import FIRST_EXTENDED, FUSION_MARGIN, HEAD_MARGIN
from .device import available_cores
from .fast import _block_size, _shifted_upsampling, fold
from .modeling import GLPNForDepthEstimation

Node = Any
_PRECISION_NAMES = {"float32": "f32", "bfloat16": "bf16"}
_ACTIVATION_NODES = {"gelu": lambda x: op.gelu(x, "ERF"), "relu": op.relu, "silu": op.swish}


class CompiledGLPN:
    """The network, compiled for photos of one size. Threads may share it: each has a request of its own.

    `precision` is the arithmetic of all operations, "float32" or "bfloat16". A photo gets as many threads as in
    PyTorch; where cores are left, several photos run at once.
    Raises `ConfigError` for another precision, or for bfloat16 on a processor without it.
    """

    def __init__(
        self,
        model: GLPNForDepthEstimation,
        size: tuple[int, int],
        *,
        precision: str = "float32",
        rim_free: bool = False,
    ) -> None:
        core = openvino.Core()
        if precision not in _PRECISION_NAMES:
            raise ConfigError(f"OpenVINO runs in {' or '.join(_PRECISION_NAMES)}, not {precision!r}.")
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ConfigError("This processor has no bfloat16. Use 'float32'.")
        threads = torch.get_num_threads()
        streams = max(1, available_cores() // threads)  # photos at once
        settings = {
            "INFERENCE_NUM_THREADS": streams * threads,
            "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": _PRECISION_NAMES[precision],  # left alone, it takes bfloat16 where there is one
            "ENABLE_CPU_PINNING": False,  # a pinned thread waits for its core, even if another one is free
        }
        with torch.no_grad():
            self._network = core.compile_model(build_graph(model, size, rim_free=rim_free), "CPU", settings)
        self._of_thread = threading.local()

    def __call__(self, pixel_values: Tensor) -> Tensor:
        """Return depth (B, H, W), float32 metres, of pixels (B, 3, H, W) of the compiled size, one after the other."""
        request = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._network.create_infer_request()
        pixels, depths = np.ascontiguousarray(pixel_values.numpy()), []
        for index in range(len(pixels)):
            request.infer({0: pixels[index : index + 1]}, share_inputs=True)
            depths.append(request.get_output_tensor(0).data[0].copy())
        return torch.from_numpy(np.stack(depths))


def build_graph(model: GLPNForDepthEstimation, size: tuple[int, int], *, rim_free: bool = False) -> openvino.Model:
    """Return the graph from pixels (1, 3, H, W), float32 RGB in [0, 1], to depth (1, H, W), float32 metres.

    `size` is (H, W), multiples of 32. `rim_free` continues the decoder's maps beyond the picture's border, as
    `border.RimFree` does. The weights are not copied before the graph is compiled.
    """
    config, encoder = model.config, model.glpn.encoder
    pixels = op.parameter([1, config.num_channels, *size], np.float32)
    x: Node = pixels
    maps = []
    for embed, blocks, norm in zip(encoder.patch_embeddings, encoder.block, encoder.layer_norm, strict=True):
        x = _convolution(x, embed.proj)
        height, width = x.shape[2:]
        tokens = _norm(_to_tokens(x), embed.layer_norm)
        for block in blocks:  # type: ignore[attr-defined]
            tokens = _block(tokens, height, width, block, config.hidden_act)
        x = _to_map(_norm(tokens, norm), height, width)
        maps.append(x)
    used = range(len(maps))[config.head_in_index] + 1
    decoded = None
    for index, stage in enumerate(list(model.decoder.stages)[:used]):
        margin = FUSION_MARGIN if rim_free and index >= FIRST_EXTENDED else 0
        decoded = _decoder_stage(maps.pop(), decoded, stage, margin)
    upsamplings, margin = 2 if used == len(encoder.block) else 1, HEAD_MARGIN if rim_free else 0
    logits = _cut(_head(_extend(decoded, margin), model.head.head, upsamplings), margin << upsamplings)
    depth = op.multiply(op.sigmoid(logits), _constant(config.max_depth))
    return openvino.Model([op.squeeze(depth, _axes(1))], [pixels], "GLPN")


def _constant(value: Any) -> Node:
    if isinstance(value, Tensor):
        return op.constant(value.detach().numpy(), shared_memory=True)
    return op.constant(np.asarray(value, np.float32))


def _axes(*values: int) -> Node:
    return op.constant(np.array(values, np.int64))


def _reshape(x: Node, *shape: int) -> Node:
    return op.reshape(x, _axes(*shape), special_zero=False)


def _transpose(x: Node, *order: int) -> Node:
    return op.transpose(x, _axes(*order))


def _to_tokens(x: Node) -> Node:
    _, channels, height, width = x.shape
    return _transpose(_reshape(x, 1, channels, height * width), 0, 2, 1)


def _to_map(x: Node, height: int, width: int) -> Node:
    return _reshape(_transpose(x, 0, 2, 1), 1, x.shape[2], height, width)


def _linear(x: Node, weight: Tensor, bias: Tensor | None) -> Node:
    y = op.matmul(x, _constant(weight), False, True)
    return y if bias is None else op.add(y, _constant(bias))


def _norm(x: Node, layer: Any) -> Node:
    y = op.mvn(x, _axes(-1), True, layer.eps, "INSIDE_SQRT")
    return op.add(op.multiply(y, _constant(layer.weight)), _constant(layer.bias))


def _convolution(x: Node, layer: Any, weight: Tensor | None = None, bias: Tensor | None = None) -> Node:
    """Apply an nn.Conv2d, perhaps with other weights than its own."""
    weight, bias = layer.weight if weight is None else weight, layer.bias if bias is None else bias
    padding, stride, dilation = list(layer.padding), list(layer.stride), list(layer.dilation)
    if layer.groups > 1:
        weight = weight.detach().unflatten(0, (layer.groups, -1))
        y = op.group_convolution(x, _constant(weight), stride, padding, padding, dilation)
    else:
        y = op.convolution(x, _constant(weight), stride, padding, padding, dilation)
    return op.add(y, _constant(bias.detach().view(1, -1, 1, 1)))


def _block(x: Node, height: int, width: int, block: Any, activation: str) -> Node:
    """Attention and Mix-FFN of tokens (1, N, C), each added to what it takes."""
    x = op.add(x, _attention(_norm(x, block.layer_norm_1), height, width, block.attention))
    ffn = block.mlp
    hidden = _linear(_norm(x, block.layer_norm_2), ffn.dense1.weight, ffn.dense1.bias)
    hidden = _ACTIVATION_NODES[activation](_convolution(_to_map(hidden, height, width), ffn.dwconv.dwconv))
    return op.add(x, _linear(_to_tokens(hidden), ffn.dense2.weight, ffn.dense2.bias))


def _attention(x: Node, height: int, width: int, attention: Any) -> Node:
    layer, output = attention.self, attention.output.dense
    heads, channels = layer.heads, x.shape[2]
    scale = (channels // heads) ** -0.5

    def split(tokens: Node, *order: int) -> Node:
        return _transpose(_reshape(tokens, 1, -1, heads, channels // heads), *order)

    query = split(_linear(x, layer.query.weight.detach() * scale, layer.query.bias.detach() * scale), 0, 2, 1, 3)
    if layer.sr_ratio > 1:
        x = _norm(_to_tokens(_convolution(_to_map(x, height, width), layer.sr)), layer.layer_norm)
    key = split(_linear(x, layer.key.weight, None), 0, 2, 3, 1)
    value = split(_linear(x, layer.value.weight, None), 0, 2, 1, 3)
    context = op.matmul(op.softmax(op.matmul(query, key, False, False), -1), value, False, False)
    tokens = _reshape(_transpose(context, 0, 2, 1, 3), 1, -1, channels)
    bias = output.bias.detach() + output.weight.detach() @ layer.value.bias.detach()
    return _linear(tokens, output.weight, bias)


def _upsample(x: Node) -> Node:
    height, width = x.shape[2:]
    sizes = _axes(2 * height, 2 * width)
    return op.interpolate(
        x, sizes, "linear_onnx", "sizes", axes=_axes(2, 3), coordinate_transformation_mode="half_pixel"
    )


def _extend(x: Node, margin: int) -> Node:
    """Repeat the outermost values of a map (1, C, H, W) for `margin` pixels on each side."""
    sides = _axes(0, 0, margin, margin)
    return op.pad(x, sides, sides, "edge") if margin else x


def _cut(x: Node, margin: int) -> Node:
    """Undo `_extend`."""
    if not margin:
        return x
    _, _, height, width = x.shape
    return op.slice(x, _axes(margin, margin), _axes(height - margin, width - margin), _axes(1, 1), _axes(2, 3))


def _decoder_stage(x: Node, below: Node | None, stage: Any, margin: int) -> Node:
    """Return the decoded map of this scale, not upsampled yet; `below` is that of the coarser scale."""
    if not isinstance(stage.convolution, nn.Identity):
        x = _convolution(x, stage.convolution)
    if below is None or stage.fusion is None:
        return x
    x, below = _extend(x, margin), _upsample(_extend(below, margin // 2))
    first, second = stage.fusion.convolutional_layer1, stage.fusion.convolutional_layer2
    y = op.relu(_convolution(op.concat([x, below], 1), first[0], *fold(first[0], first[1])))
    y = op.relu(_convolution(y, second[0], *fold(second[0], second[1])))
    weights = op.sigmoid(_convolution(y, stage.fusion.convolutional_layer3))
    local, deep = op.split(weights, op.constant(np.int64(1)), 2).outputs()
    return _cut(op.add(op.multiply(x, local), op.multiply(below, deep)), margin)


def _head(x: Node, layers: Any, upsamplings: int) -> Node:
    """Map features (1, C, h, w) to logits (1, 1, f·h, f·w), f = 2^upsamplings."""
    _, channels, height, width = x.shape
    factor = 2**upsamplings
    first, second = layers[0], layers[2]
    rows, columns = _block_size(height), _block_size(width)
    strips, blocks = height // rows, width // columns
    taps = _constant(first.weight.detach().permute(1, 2, 3, 0).reshape(channels, -1).contiguous())  # (C, i · j · C')
    along_columns = _blocks(height, rows, upsamplings)  # (strips, f·rows, i, rows + 2)
    along_columns = along_columns.transpose(0, 1, 3, 2).reshape(strips, rows * factor, -1)  # (·, ·, row · i)
    along_rows = _blocks(width, columns, upsamplings)  # (blocks, f·columns, j, columns + 2)
    along_rows = along_rows.transpose(0, 1, 3, 2).reshape(1, 1, blocks, columns * factor, -1)
    # Overlapping blocks of columns, from products in the order (row, column, i, j) to (row, i, block, column, j).
    order = np.arange((width + 2) * 9).reshape(width + 2, 3, 3).transpose(1, 0, 2)  # (i, column, j)
    order = np.lib.stride_tricks.sliding_window_view(order, columns + 2, axis=1)[:, ::columns].transpose(0, 1, 3, 2)

    def interpolate_rows(x: Node, count: int) -> Node:
        """Map `count` rows of x (count, w + 2, C) to those of Σ_j (W_ij x)(S_j U)ᵀ (count · i, f·w · C')."""
        y = op.matmul(x, taps, False, False)  # (count, w + 2, i · j · C')
        y = _reshape(y, count, (width + 2) * 9, channels)
        y = op.gather(y, op.constant(order.reshape(3, blocks, -1).astype(np.int32)), _axes(1))
        y = op.matmul(_constant(along_rows), y, False, False)  # (count, i, blocks, f·columns, C')
        return _reshape(y, count * 3, factor * width * channels)

    x = _reshape(_transpose(x, 0, 2, 3, 1), height, width, channels)
    x = op.pad(x, _axes(0, 1, 0), _axes(1, 1, 0), "constant", _constant(0.0))
    # What a strip shares with the one above it, its first row and the one before, is handed on.
    above = interpolate_rows(op.slice(x, _axes(0), _axes(1), _axes(1), _axes(0)), 1)
    shared = op.pad(above, _axes(3, 0), _axes(0, 0), "constant", _constant(0.0))
    following = op.slice(x, _axes(1), _axes(height + 1), _axes(1), _axes(0))

    own = op.parameter([rows, width + 2, channels], np.float32)
    handed = op.parameter([6, factor * width * channels], np.float32)
    matrix = op.parameter([1, rows * factor, (rows + 2) * 3], np.float32)
    window = op.concat([handed, interpolate_rows(own, rows)], 0)
    y = op.matmul(_reshape(matrix, rows * factor, -1), window, False, False)  # (f·rows, f·w · C')
    y = _reshape(y, rows * factor * factor * width, channels)
    y = op.relu(op.add(y, _constant(first.bias)))
    y = op.matmul(y, _constant(second.weight.detach()[0].reshape(channels, 9).contiguous()), False, False)
    result = op.result(_reshape(y, rows * factor, factor * width, 9))
    rest = op.result(op.slice(window, _axes(rows * 3), _axes((rows + 2) * 3), _axes(1), _axes(0)))
    loop = op.tensor_iterator()
    loop.set_body(openvino.Model([result, rest], [own, handed, matrix], "strip"))
    loop.set_sliced_input(own, following.output(0), 0, rows, rows, -1, 0)
    loop.set_sliced_input(matrix, _constant(along_columns).output(0), 0, 1, 1, -1, 0)
    loop.set_merged_input(handed, shared.output(0), rest.output(0))
    taps2 = loop.get_concatenated_slices(result.output(0), 0, rows * factor, rows * factor, -1, 0)
    return _sum_of_taps(taps2, second.bias)


def _blocks(size: int, block: int, upsamplings: int) -> np.ndarray:
    """Return S_i U of an axis cut into blocks (blocks, f · block, i, block + 2); see `_shifted_upsampling`."""
    kinds = [kind.permute(1, 0, 2).numpy() for kind in _shifted_upsampling(size, block, upsamplings)]
    inner = size // block - 2
    return np.stack(kinds[:1] + kinds[1:2] * inner + kinds[-1:] * (inner >= 0))


def _sum_of_taps(taps: Node, bias: Tensor) -> Node:
    """Add up the products (H, W, 9) of a 3×3 convolution's taps, each moved to its pixel: (1, 1, H, W)."""
    height, width, _ = taps.shape
    x = _reshape(_transpose(_reshape(taps, 1, height, width, 9), 0, 3, 1, 2), 1, 9, height, width)
    weight = np.eye(9, dtype=np.float32).reshape(1, 9, 3, 3)
    y = op.convolution(x, _constant(weight), [1, 1], [1, 1], [1, 1], [1, 1])
    return op.add(y, _constant(bias.detach().view(1, 1, 1, 1)))
