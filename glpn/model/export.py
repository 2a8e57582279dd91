"""A checkpoint as one file for other programs: ONNX, or OpenVINO's IR, checked against PyTorch before it is kept."""

import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn.errors import ConfigError, ExportError
from glpn.files import write_atomically

from .border import RimFree
from .modeling import GLPNForDepthEstimation

MODEL_FORMATS = ("onnx", "openvino")
FILE_PRECISIONS = ("float32", "float16")
# How far the file may be from PyTorch, as a share of the maximum depth, before it is thrown away.
EXPORT_TOLERANCE = {"float32": 1e-4, "float16": 2e-2}
OPSET = 18


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """What to write.

    size         (height, width) at which the network runs, multiples of its stride
    dynamic      take any batch size, height and width (multiples of the stride); `size` is then an example
    precision    of the weights: "float16" halves the file; inputs and outputs stay float32
    photo        pre- and post-processing inside: uint8 RGB (H, W, 3) of any size in, metres (H, W) out
    """

    size: tuple[int, int] = (480, 640)
    dynamic: bool = False
    precision: str = "float32"
    photo: bool = False

    def __post_init__(self) -> None:
        if self.precision not in FILE_PRECISIONS:
            raise ConfigError(f"Unknown precision {self.precision!r}. Known: {', '.join(FILE_PRECISIONS)}.")
        if self.dynamic and self.photo:
            raise ConfigError(
                "A file for photos takes any size already, at one size of the network. Leave out dynamic."
            )

    @property
    def label(self) -> str:
        """The part of the file's name that tells what it is, such as "480x640_float32_photo"."""
        size = "any-size" if self.dynamic else f"{self.size[0]}x{self.size[1]}"
        return f"{size}_{self.precision}" + ("_photo" if self.photo else "")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A file that was written and checked.

    path          the .onnx or .xml (with a .bin of the same name next to it)
    difference    largest difference from PyTorch in metres, over `checked` inputs
    """

    path: Path
    format: str
    difference: float
    checked: tuple[tuple[int, ...], ...]


class DepthOnly(nn.Module):
    """The network with a plain tensor as its output: (B, 3, H, W) RGB in 0…1 to metres (B, H, W)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        depth: Tensor = self.model(pixel_values, return_dict=False)[0]
        return depth


class PhotoToDepth(nn.Module):
    """Photo in, metres out: uint8 RGB (H, W, 3) is resized for the network, and its depth back to (H, W).

    The network continues the decoder's maps beyond the border, as the estimator's does.
    """

    def __init__(self, model: GLPNForDepthEstimation, size: tuple[int, int]) -> None:
        super().__init__()
        self.network, self.size = RimFree(model), size

    def forward(self, photo: Tensor) -> Tensor:
        x = photo.permute(2, 0, 1).float() / 255  # (3, H, W)
        x = resize(x, self.size[0], self.size[1])
        depth = self.network(x[None])
        return resize(depth, photo.shape[0], photo.shape[1])[0]


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Resize (C, H, W) bilinearly, averaging when it shrinks, as Pillow and `F.interpolate(antialias=True)` do.

    Two products of matrices, because the programs that run the file disagree about a `Resize` that averages.
    """
    return resize_weights(x.shape[1], height) @ x @ resize_weights(x.shape[2], width).T


def resize_weights(old: int, new: int) -> Tensor:
    """Return the share (new, old) of each old pixel in each new one; rows sum to 1."""
    scale = old / new
    centers = (torch.arange(new)[:, None] + 0.5) * scale
    distance = (torch.arange(old)[None] + 0.5 - centers).abs() / torch.sym_max(scale, 1.0)
    weights = (1 - distance).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)


def export(
    model: GLPNForDepthEstimation, folder: Path, name: str, settings: ExportSettings, formats: Sequence[str] = ("onnx",)
) -> list[Exported]:
    """Write `model` (a `GLPNForDepthEstimation`) into `folder` in each of `formats`, checked against PyTorch.

    Raises `ExportError` if a library is missing, or if a file differs from PyTorch too much and so was not kept;
    `ConfigError` for settings that don't fit the model.
    """
    unknown = [one for one in formats if one not in MODEL_FORMATS]
    if unknown:
        raise ConfigError(f"Unknown format {unknown[0]!r}. Known: {', '.join(MODEL_FORMATS)}.")
    stride = model.config.stride
    if any(side < stride or side % stride for side in settings.size):
        raise ConfigError(f"The size is {settings.size}. Give a height and a width that are multiples of {stride}.")
    network = (PhotoToDepth(model, settings.size) if settings.photo else DepthOnly(model)).float().cpu().eval()
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".export-") as temporary:
        plain = _write_onnx(network, settings, model.config, Path(temporary) / "plain.onnx")
        made = {}
        for format_ in formats:
            write, run = (_finish_onnx, _run_onnx) if format_ == "onnx" else (_write_openvino, _run_openvino)
            file = write(plain, settings.precision)
            made[format_] = file, *_compare(network, run(file), settings, model.config)
            _check_difference(made[format_][1], format_, settings, model.config.max_depth)
        return [
            Exported(
                path=_keep(file, folder / f"{name}_{settings.label}{file.suffix}"),
                format=format_,
                difference=difference,
                checked=checked,
            )
            for format_, (file, difference, checked) in made.items()
        ]


def _check_difference(difference: float, format_: str, settings: ExportSettings, max_depth: float) -> None:
    limit = EXPORT_TOLERANCE[settings.precision] * max_depth
    if not difference <= limit:
        raise ExportError(
            f"The {format_} file differs from PyTorch by {difference:.3g} m, more than {limit:.3g} m. It was not kept. "
            "Try float32."
        )


def _keep(made: Path, target: Path) -> Path:
    for part in made.parent.glob(f"{made.stem}.*"):
        if part.suffix in (made.suffix, ".bin"):
            part.replace(target.with_suffix(part.suffix))
    return target


def example(settings: ExportSettings, config: Any, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Return an input with broad shapes, as photos have: pixel values (1, C, H, W) or a photo (H, W, 3) uint8."""
    noise = torch.rand(1, config.num_channels, 6, 8, generator=torch.Generator().manual_seed(seed))
    pixels = F.interpolate(noise, size=size, mode="bicubic").clamp(0, 1)
    return (pixels[0] * 255).round().byte().permute(1, 2, 0).contiguous() if settings.photo else pixels


def _compare(
    network: nn.Module, run: Callable[[np.ndarray], np.ndarray], settings: ExportSettings, config: Any
) -> tuple[float, tuple[tuple[int, ...], ...]]:
    sizes = [settings.size]
    if settings.photo:
        sizes = [(300, 417), (settings.size[0] + 37, settings.size[1] + 111)]
    elif settings.dynamic:
        sizes.append((settings.size[0] + config.stride, max(settings.size[1] // 2 // config.stride, 1) * config.stride))
    difference = 0.0
    shapes = []
    for seed, size in enumerate(sizes):
        x = example(settings, config, size, seed)
        with torch.inference_mode():
            expected = network(x).numpy()
        depth = run(x.numpy())
        if depth.shape != expected.shape:
            raise ExportError(f"The file gives depth of shape {depth.shape} where PyTorch gives {expected.shape}.")
        difference = max(difference, float(np.abs(depth - expected).max()))
        shapes.append(tuple(x.shape))
    return difference, tuple(shapes)


def _write_onnx(network: nn.Module, settings: ExportSettings, config: Any, path: Path) -> Path:
    onnx = _library("onnx")
    _library("onnxscript")
    dim = torch.export.Dim
    if settings.photo:
        names, shapes = ("photo", "depth_m"), {0: dim("height", min=32, max=16384), 1: dim("width", min=32, max=16384)}
        x = torch.zeros(300, 400, 3, dtype=torch.uint8)
    else:
        names, shapes = ("pixel_values", "predicted_depth"), {}
        x = torch.zeros(2 if settings.dynamic else 1, 3, *settings.size)
        if settings.dynamic:
            rows, columns = dim("rows", min=1, max=512), dim("columns", min=1, max=512)
            shapes = {0: dim("batch", min=1, max=64), 2: config.stride * rows, 3: config.stride * columns}
    with _quiet():
        torch.onnx.export(
            network,
            (x,),
            path,
            dynamo=True,
            opset_version=OPSET,
            input_names=[names[0]],
            output_names=[names[1]],
            dynamic_shapes=(shapes,) if shapes else None,
            external_data=False,
            verbose=False,
        )
    model = onnx.load(path)
    facts = {"unit": "metre", "max_depth_m": f"{config.max_depth:g}", "input": "RGB", "generator": "glpn export"}
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def _finish_onnx(plain: Path, precision: str) -> Path:
    if precision == "float32":
        return plain
    onnx = _library("onnx")
    convert_float_to_float16 = _library("onnxruntime.transformers.float16").convert_float_to_float16
    path = plain.with_name("half.onnx")
    with _quiet():
        onnx.save(convert_float_to_float16(onnx.load(plain), keep_io_types=True, op_block_list=["Resize"]), path)
    return path


def _run_onnx(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    runtime = _library("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run(None, {name: x})[0])


def _write_openvino(plain: Path, precision: str) -> Path:
    openvino = _library("openvino")
    path = plain.with_name("openvino.xml")
    openvino.save_model(openvino.Core().read_model(plain), path, compress_to_fp16=precision == "float16")
    return path


def _run_openvino(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    openvino = _library("openvino")
    # A CPU with bfloat16 units would else compute in it.
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda x: np.array(compiled(x)[0])


def _library(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise ExportError(f"Exporting needs {name}. Install it with `pip install 'glpn[export]'`.") from None


@contextmanager
def _quiet() -> Any:
    """Keep the exporters' progress and deprecation notes off the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def write_card(exported: Exported, settings: ExportSettings, about: dict[str, str]) -> Path:
    """Write what the file is and how to run it, as Markdown next to it; `about` has model, license and origin."""
    if settings.photo:
        name, shape = "photo", "uint8 (height, width, 3), RGB, any size"
        result = "depth_m: float32 (height, width), metres"
    else:
        size = "(batch, 3, height, width), any multiples of 32" if settings.dynamic else str((1, 3, *settings.size))
        name, shape = "pixel_values", f"float32 {size}, RGB in 0…1"
        result = "predicted_depth: float32 (batch, height, width), metres"
    file = exported.path.name
    program = {
        "onnx": f'import onnxruntime\nsession = onnxruntime.InferenceSession("{file}")\n'
        f'depth = session.run(None, {{"{name}": array}})[0]',
        "openvino": f'import openvino\nnetwork = openvino.Core().compile_model("{file}", "CPU")\n'
        "depth = network(array)[0]",
    }[exported.format]
    inputs = ", ".join(map(str, exported.checked))
    facts = about | {
        "Input": f"{name}: {shape}",
        "Output": result,
        "Weights": settings.precision,
        "Difference": f"at most {exported.difference:.2g} m from PyTorch, over inputs of {inputs}",
    }
    table = "\n".join(f"| {fact} | {value} |" for fact, value in facts.items())
    path = exported.path.with_name(file + ".md")
    write_atomically(path, f"# {file}\n\n|  |  |\n|---|---|\n{table}\n\n```python\n{program}\n```\n".encode())
    return path
