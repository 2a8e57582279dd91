"""Time and memory of our network against transformers, ONNX Runtime and OpenVINO, with the same weights and pixels.

    python -m benchmarks.speed                                        b0, b2 and b4 at 480×640: what the bars are for
    python -m benchmarks.speed --encoders b0 b1 b2 b3 b4 b5 --sizes 480x640 352x1216    about an hour on two cores
    python -m benchmarks.speed --encoders b0 --sizes 480x640 --threads 2 --rounds 5

One round runs all five, one after the other; ratios are taken within a round, so that what else the machine does weighs
on all of them. Tables go to standard output and into benchmarks/RESULTS.md, in this processor's own section.
"""

import argparse
import io
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from glpn.configuration import ENCODERS, GLPNConfig
from glpn.estimator import DepthEstimator
from glpn.model.device import seconds_of
from glpn.model.fast import make_fast
from glpn.model.image_processing import GLPNImageProcessor
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.model.openvino_graph import CompiledGLPN
from glpn.zoo import Zoo

RESULTS = Path(__file__).with_name("RESULTS.md")
OURS = "glpn"
OURS_IN_OPENVINO = "glpn, engine openvino"
PEERS = ("transformers", "onnxruntime", "openvino")
# Bars at 480×640: how many times faster than each peer our better engine is, and its share of the processor's limit.
BARS = {"b0": (5.5, 2.3, 1.8, 0.68), "b2": (3.5, 1.7, 1.25, 0.70), "b4": (2.8, 1.4, 1.12, 0.75)}
MEMORY_BAR = 0.6
PHOTO_SHARE_BAR, PHOTO_GROWTH_BAR = 0.1, 1.3

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Measurement:
    """All rounds of one network in one setting; times in seconds."""

    encoder: str
    size: str
    threads: int
    name: str
    wall: list[float]
    cpu: list[float]
    difference_m: float
    gmac: float  # the fewest known: those of `make_fast`, whose head works at low resolution
    blas_gmac_per_s: float
    onednn_gmac_per_s: float


def reference(encoder: str) -> Any:
    """Build transformers' network with random weights."""
    from transformers import GLPNConfig as TheirConfig
    from transformers import GLPNForDepthEstimation as TheirNetwork

    torch.manual_seed(0)
    depths, hidden_sizes = ENCODERS[encoder]
    return TheirNetwork(TheirConfig(depths=list(depths), hidden_sizes=list(hidden_sizes))).eval()


class _DepthOnly(torch.nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.network(pixel_values).predicted_depth


def networks(encoder: str, x: Tensor, threads: int, folder: Path) -> tuple[dict[str, Network], float]:
    """Return all networks by name, and the multiplications (10⁹) of our fast one for `x` (1, 3, H, W)."""
    import onnxruntime  # type: ignore[import-untyped]
    import openvino  # type: ignore[import-untyped]

    theirs = reference(encoder)
    path = folder / f"{encoder}-{x.shape[2]}x{x.shape[3]}.onnx"
    if not path.exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own deprecations
            torch.onnx.export(_DepthOnly(theirs), (x,), path, dynamo=True, external_data=False, verbose=False)
    ours = GLPNForDepthEstimation(GLPNConfig.from_encoder(encoder)).eval()
    ours.load_state_dict(theirs.state_dict())
    fast = make_fast(ours)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # it would take bfloat16 on its own where the processor has it
    }
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    return {
        OURS: fast,
        OURS_IN_OPENVINO: CompiledGLPN(ours, (x.shape[2], x.shape[3])),
        "transformers": lambda pixels: theirs(pixels).predicted_depth,
        "onnxruntime": lambda pixels: torch.from_numpy(session.run(None, {feed: pixels.numpy()})[0]),
        "openvino": lambda pixels: torch.from_numpy(request.infer({0: pixels.numpy()})[0].copy()),
    }, multiplications(fast, x)


def multiplications(fast: Network, x: Tensor) -> float:
    """Count the multiplications (10⁹) of the fast form of a network, from the shapes that its operations get."""

    def linear(x: Sequence[int], *others: Sequence[int], **_: Any) -> int:
        weight = next(shape for shape in others if len(shape) == 2)  # a residual may come before it
        return 2 * math.prod(x) * weight[0]

    def convolution(x: Sequence[int], first: Sequence[int], second: Any, *_: Any, out_shape: Any, **__: Any) -> int:
        weight = second if second is not None and len(second) == 4 else first  # a residual may come before it
        return 2 * math.prod(out_shape) * math.prod(weight[1:])

    def attention(query: Sequence[int], key: Sequence[int], *_: Any, **__: Any) -> int:
        return 4 * math.prod(query) * key[-2]

    shapes = {
        torch.ops.mkldnn._linear_pointwise: linear,
        torch.ops.mkldnn._convolution_pointwise: convolution,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention,
    }
    with FlopCounterMode(display=False, custom_mapping=shapes) as counter:
        fast(x)
    return counter.get_total_flops() / 2e9


def product_rates(size: int = 1536, repeats: int = 5) -> tuple[float, float]:
    """Measure 10⁹ float32 multiplications per second of PyTorch's BLAS and of its oneDNN, the best of some runs."""
    a, b, out = torch.rand(size, size), torch.rand(size, size), torch.empty(size, size)
    blas = min(seconds_of(torch.mm, a, b, out=out) for _ in range(repeats))
    onednn = min(seconds_of(torch.ops.mkldnn._linear_pointwise, a, b, None, "none", [], "") for _ in range(repeats))
    return size**3 / blas / 1e9, size**3 / onednn / 1e9


def blas_path() -> str:
    """Return what MKL says of itself and of the instructions that it uses here."""
    code = "import torch; torch.mm(torch.rand(8, 8), torch.rand(8, 8))"
    environment = os.environ | {"MKL_VERBOSE": "1"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout
    lines = [line.removeprefix("MKL_VERBOSE ") for line in said.splitlines() if "MKL_VERBOSE" in line]
    return (
        lines[0].partition(", Lnx")[0] if lines else "no MKL: " + torch.__config__.show().split("BLAS_INFO=")[-1][:20]
    )


def compare(encoder: str, size: str, threads: int, rounds: int, folder: Path) -> list[Measurement]:
    """Time all networks in one setting, alternating."""
    torch.set_num_threads(threads)
    height, width = (int(side) for side in size.split("x"))
    x = torch.rand(1, 3, height, width)
    candidates, gmac = networks(encoder, x, threads, folder)
    truth = candidates["transformers"](x)
    differences = {name: (run(x) - truth).abs().max().item() for name, run in candidates.items()}  # also the warm-up
    wall: dict[str, list[float]] = {name: [] for name in candidates}
    cpu: dict[str, list[float]] = {name: [] for name in candidates}
    rates = []
    for _ in range(rounds):
        rates.append(product_rates(repeats=2))
        for name, run in candidates.items():
            time.sleep(0.05)  # thread pools of the one before stop spinning
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            run(x)
            wall[name].append(time.perf_counter() - wall_start)
            cpu[name].append(time.process_time() - cpu_start)
    return [
        Measurement(
            encoder,
            size,
            threads,
            name,
            wall[name],
            cpu[name],
            differences[name],
            gmac,
            *map(max, zip(*rates, strict=True)),
        )
        for name in candidates
    ]


def photo_table(encoder: str, threads: int, rounds: int) -> str:
    """Time `DepthEstimator` from a JPEG's bytes to metres, small photo and large in turn, and the network's share."""
    torch.set_num_threads(threads)
    model = GLPNForDepthEstimation(GLPNConfig.from_encoder(encoder))
    estimator = DepthEstimator(model, GLPNImageProcessor(), spec=Zoo.load()[f"nyu-{encoder}"], device="cpu")
    network, inside = estimator._network, [0.0]

    def timed(x: Tensor) -> Tensor:
        start = time.perf_counter()
        depth: Tensor = network(x)[0]  # next to the name of the engine
        inside[0] = time.perf_counter() - start
        return depth

    estimator._network = timed
    texture = Image.effect_noise((160, 120), 80).convert("RGB")
    whole: dict[str, list[float]] = {"480x640": [], "3000x4000": []}
    rest: dict[str, list[float]] = {size: [] for size in whole}
    photos = {}
    for size in whole:
        height, width = (int(side) for side in size.split("x"))
        texture.resize((width, height), Image.Resampling.BICUBIC).save(file := io.BytesIO(), "JPEG", quality=92)
        photos[size] = file.getvalue()
        estimator(photos[size])  # warm-up
    for _ in range(rounds):
        for size, photo in photos.items():
            start = time.perf_counter()
            estimator(photo)
            whole[size].append(time.perf_counter() - start)
            rest[size].append((whole[size][-1] - inside[0]) / inside[0])
    small, large = whole.values()
    growth = statistics.median(b / a for a, b in zip(small, large, strict=True))
    lines = [
        f"Photo (JPEG) to metres with `DepthEstimator`, {encoder}, {threads} threads, medians:",
        "",
        "| photo | s | all but the network, share of the network's time | bar | times the small photo's | bar |",
        "|---|---|---|---|---|---|",
    ]
    for size in whole:
        share, grown = statistics.median(rest[size]), growth if whole[size] is large else None
        lines.append(
            f"| {size} | {statistics.median(whole[size]):.3f} | {share:.0%} | "
            + (f"{verdict(share <= PHOTO_SHARE_BAR)}: at most {PHOTO_SHARE_BAR:.0%} |  |  |" if grown is None else "")
            + (f"  | {grown:.2f} | {verdict(grown <= PHOTO_GROWTH_BAR)}: at most {PHOTO_GROWTH_BAR} |" if grown else "")
        )
    return "\n".join(lines)


def verdict(met: bool) -> str:
    """Say whether a bar was met."""
    return "met" if met else "**missed**"


def peak_memory(name: str, checkpoint: Path, size: str) -> int:
    """Measure the peak resident memory (bytes) of a fresh process that loads `checkpoint` and estimates one photo."""
    command = [sys.executable, "-m", "benchmarks.speed", "--peak-of", name, "--checkpoint", str(checkpoint)]
    done = subprocess.run([*command, "--sizes", size], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def print_own_peak(name: str, checkpoint: Path, size: str) -> None:
    """Load, estimate, and print the peak resident memory of this process in bytes (Linux)."""
    height, width = (int(side) for side in size.split("x"))
    x = torch.rand(1, 3, height, width)
    if name == OURS:
        make_fast(GLPNForDepthEstimation.from_pretrained(checkpoint, local_files_only=True))(x)
    else:
        from transformers import GLPNForDepthEstimation as TheirNetwork

        TheirNetwork.from_pretrained(checkpoint).eval()(x)
    # Not ru_maxrss: a child inherits that from the process that started it.
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile of how many times longer `theirs` took, round by round."""
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return middle, low, high


def table(measurements: list[Measurement]) -> str:
    """Write Markdown: a row per network and setting. Peers are compared with our better engine of the same setting."""
    lines = [
        "| encoder | size | threads | network | wall s | CPU s | theirs / ours, wall (quartiles) | theirs / ours, CPU "
        "| bar | off by, m | share of the limit |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    settings: dict[tuple[str, str, int], list[Measurement]] = defaultdict(list)
    for one in measurements:
        settings[one.encoder, one.size, one.threads].append(one)
    for (encoder, size, _), those in settings.items():
        best = min((one for one in those if one.name.startswith(OURS)), key=lambda one: statistics.median(one.wall))
        bars = BARS.get(encoder, ()) if size == "480x640" else ()
        lines += [_row(one, best, bars) for one in those]
    return "\n".join(lines)


def _row(one: Measurement, best: Measurement, bars: Sequence[float]) -> str:
    wall, cpu = statistics.median(one.wall), statistics.median(one.cpu)
    share = one.gmac / max(one.blas_gmac_per_s, one.onednn_gmac_per_s) / wall
    cells = [one.encoder, one.size, str(one.threads), one.name, f"{wall:.3f}", f"{cpu:.3f}"]
    result = ""
    if one is best:
        cells += ["", ""]
        result = f"{bars[3]:.0%} {verdict(share >= bars[3])}" if bars else ""
    else:
        middle, low, high = ratio(best.wall, one.wall)
        cells += [f"**{middle:.2f}** ({low:.2f}–{high:.2f})", f"{ratio(best.cpu, one.cpu)[0]:.2f}"]
        if bars and one.name in PEERS:
            bar = bars[PEERS.index(one.name)]
            result = f"{bar:g} {verdict(middle >= bar)}"
    cells += [result, f"{one.difference_m:.1e}", f"{share:.0%}"]
    return f"| {' | '.join(cells)} |"


def processor() -> dict[str, str]:
    """Return what Linux says of the last core."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def processor_name() -> str:
    facts = processor()
    name = facts.get("model name", platform.processor())
    return f"{name}, family {facts.get('cpu family', '?')}, model {facts.get('model', '?')}"


def machine() -> str:
    """Describe processor, load and versions in Markdown."""
    facts = processor()
    known = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16")
    flags = [flag for flag in known if flag in facts.get("flags", "").split()]
    packages = ("torch", "transformers", "onnxruntime", "openvino", "numpy")
    return "\n".join(
        (
            f"- Processor: {processor_name()}, {os.cpu_count()} cores; {', '.join(flags)}",
            f"- BLAS: {blas_path()}",
            f"- Load average when the tables were written: {os.getloadavg()[0]:.1f}",
            f"- Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in packages),
        )
    )


def write_results(text: str, processor: str, path: Path = RESULTS) -> None:
    """Put `text` between the markers of `processor` in the results file, new ones at its end if it has none."""
    begin, end = f"<!-- speed of {processor}: begin -->", f"<!-- speed of {processor}: end -->"
    document = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    before, found, rest = document.partition(begin)
    after = rest.partition(end)[2] if found else "\n"
    before = before if found else f"{before.rstrip()}\n\n## {processor}\n\n"
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", choices=list(ENCODERS), default=list(BARS))
    parser.add_argument("--sizes", nargs="+", default=["480x640"], help="HEIGHTxWIDTH, multiples of 32")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory-of", nargs="*", choices=list(ENCODERS), default=["b4"], help="measure peak memory")
    parser.add_argument("--keep", type=Path, help="folder for exported networks and raw times (default: temporary)")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    if arguments.peak_of:
        print_own_peak(arguments.peak_of, arguments.checkpoint, arguments.sizes[0])
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measurements: list[Measurement] = []
        for encoder in arguments.encoders:
            for size in arguments.sizes:
                for threads in arguments.threads:
                    new = compare(encoder, size, threads, arguments.rounds, folder)
                    measurements += new
                    print(table(new), flush=True)
        memory = ["| encoder | network | peak resident MB | ours / theirs |", "|---|---|---|---|"]
        for encoder in arguments.memory_of:
            checkpoint = folder / f"{encoder}-checkpoint"
            reference(encoder).save_pretrained(checkpoint)
            peaks = {name: peak_memory(name, checkpoint, "480x640") for name in (OURS, "transformers")}
            share = peaks[OURS] / peaks["transformers"]
            result = f"{share:.2f} ({verdict(share <= MEMORY_BAR)}: at most {MEMORY_BAR})"
            memory += [f"| {encoder} | {name} | {peak / 2**20:.0f} | {result} |" for name, peak in peaks.items()]
        photos = photo_table(arguments.encoders[0], max(arguments.threads), arguments.rounds)
        (folder / "speed.json").write_text(json.dumps([asdict(one) for one in measurements]), encoding="utf-8")
        rates = {one.threads: (one.blas_gmac_per_s, one.onednn_gmac_per_s) for one in measurements}
        limits = [f"{a:.0f} by BLAS and {b:.0f} by oneDNN on {threads} threads" for threads, (a, b) in rates.items()]
        limit = f"- 10⁹ multiplications a second, best in the run (the limit is the larger): {'; '.join(limits)}"
        sections = [machine(), limit, "", table(measurements)]
        sections += ["", photos]
        if arguments.memory_of:
            sections += ["", "Peak memory, one fresh process each, 480×640:", "", *memory]
        write_results("\n".join(sections), processor_name())
        print("\n".join(sections))


if __name__ == "__main__":
    main()
