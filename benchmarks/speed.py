"""Time and memory of our network against transformers, ONNX Runtime and OpenVINO, with the same weights and pixels.

    python -m benchmarks.speed                                        everything; takes about an hour on two cores
    python -m benchmarks.speed --encoders b0 --sizes 480x640 --threads 2 --rounds 5

One round runs all four, one after the other; ratios are taken within a round, so that what else the machine does weighs
on all of them. Tables go to standard output and into benchmarks/RESULTS.md, between the two markers there.
"""

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
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
from glpn.fast import make_fast
from glpn.image_processing import GLPNImageProcessor
from glpn.modeling import GLPNForDepthEstimation
from glpn.zoo import Zoo

RESULTS = Path(__file__).with_name("RESULTS.md")
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
OURS = "glpn"
PEERS = ("transformers", "onnxruntime", "openvino")
# Bars: how many times faster than each peer, at 480×640 on two cores.
BARS = {"b0": (4.0, 2.0, 1.8), "b2": (2.5, 1.4, 1.2), "b4": (2.0, 1.25, 1.1)}
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
    gmac: float
    sgemm_gmac_per_s: float


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
    """Return all four networks by name, and the multiplications (10⁹) of the plain one for `x` (1, 3, H, W)."""
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
    with FlopCounterMode(display=False) as counter:
        ours(x)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # it would take bfloat16 by itself where the processor has it
    }
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    return {
        OURS: make_fast(ours),
        "transformers": lambda pixels: theirs(pixels).predicted_depth,
        "onnxruntime": lambda pixels: torch.from_numpy(session.run(None, {feed: pixels.numpy()})[0]),
        "openvino": lambda pixels: torch.from_numpy(request.infer({0: pixels.numpy()})[0].copy()),
    }, counter.get_total_flops() / 2e9


def sgemm_rate(size: int = 1536, repeats: int = 5) -> float:
    """Measure 10⁹ multiplications per second of PyTorch's own float32 matrix product, the best of some runs."""
    a, b, out = torch.rand(size, size), torch.rand(size, size), torch.empty(size, size)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return size**3 / best / 1e9


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
        rates.append(sgemm_rate(repeats=2))
        for name, run in candidates.items():
            time.sleep(0.05)  # thread pools of the one before stop spinning
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            run(x)
            wall[name].append(time.perf_counter() - wall_start)
            cpu[name].append(time.process_time() - cpu_start)
    return [
        Measurement(encoder, size, threads, name, wall[name], cpu[name], differences[name], gmac, max(rates))
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
        depth: Tensor = network(x)
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
    """Write Markdown: a row per network and setting."""
    lines = [
        "| encoder | size | threads | network | wall s | CPU s | theirs / ours, wall (quartiles) | theirs / ours, CPU "
        "| bar | off by, m | share of sgemm limit |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    ours: Measurement | None = None
    for one in measurements:
        if one.name == OURS:
            ours = one
        assert ours is not None
        wall, cpu = statistics.median(one.wall), statistics.median(one.cpu)
        share = one.gmac / one.sgemm_gmac_per_s / wall
        cells = [one.encoder, one.size, str(one.threads), one.name, f"{wall:.3f}", f"{cpu:.3f}"]
        if one is ours:
            cells += ["", "", ""]
        else:
            middle, low, high = ratio(ours.wall, one.wall)
            bars = BARS.get(one.encoder, ()) if one.size == "480x640" else ()
            bar = bars[PEERS.index(one.name)] if bars else None
            result = "" if bar is None else f"{bar:g} {verdict(middle >= bar)}"
            cells += [f"**{middle:.2f}** ({low:.2f}–{high:.2f})", f"{ratio(ours.cpu, one.cpu)[0]:.2f}", result]
        cells += [f"{one.difference_m:.1e}", f"{share:.0%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def machine() -> str:
    """Describe processor, load and versions in Markdown."""
    cpuinfo = Path("/proc/cpuinfo")
    facts = dict(
        line.split(":", 1) for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else []) if ":" in line
    )
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    known = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16")
    flags = [flag for flag in known if flag in facts.get("flags", "").split()]
    packages = ("torch", "transformers", "onnxruntime", "openvino", "numpy")
    return "\n".join(
        (
            f"- Processor: {facts.get('model name', platform.processor())}, family {facts.get('cpu family', '?')}, "
            f"model {facts.get('model', '?')}, {os.cpu_count()} cores; {', '.join(flags)}",
            f"- Load average when the tables were written: {os.getloadavg()[0]:.1f}",
            f"- Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in packages),
        )
    )


def write_results(text: str, path: Path = RESULTS) -> None:
    """Put `text` between the markers of the results file and leave the rest of it alone."""
    document = path.read_text(encoding="utf-8") if path.exists() else f"# Results\n\n{BEGIN}\n{END}\n"
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", choices=list(ENCODERS), default=list(ENCODERS))
    parser.add_argument("--sizes", nargs="+", default=["480x640", "352x1216"], help="HEIGHTxWIDTH, multiples of 32")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=11)
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
        rates = {one.threads: one.sgemm_gmac_per_s for one in measurements}
        sgemm = ", ".join(f"{rate:.0f}·10⁹/s with {threads} threads" for threads, rate in rates.items())
        sections = [machine(), f"- sgemm, best in the run: {sgemm}", "", table(measurements)]
        sections += ["", photos]
        if arguments.memory_of:
            sections += ["", "Peak memory, one fresh process each, 480×640:", "", *memory]
        write_results("\n".join(sections))
        print("\n".join(sections))


if __name__ == "__main__":
    main()
