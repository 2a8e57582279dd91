"""Where the time of our two engines goes, by kind of operation: one thread, 480×640, random weights, float32.

python -m benchmarks.profile [--encoders b0 b2 b4]
"""

import argparse
import statistics
from collections import defaultdict

import openvino  # type: ignore[import-untyped]
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from glpn.configuration import ENCODERS, GLPNConfig
from glpn.model.fast import make_fast
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.model.openvino_graph import build_graph

ROUNDS = 5
SHOWN = 8  # kinds of operation, the rest in one row
SETTINGS = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERF_COUNT": True}


def in_pytorch(model: GLPNForDepthEstimation, x: Tensor) -> dict[str, float]:
    """Return milliseconds by kind of operation."""
    network = make_fast(model)
    network(x)
    with profile(activities=[ProfilerActivity.CPU]) as taken:
        for _ in range(ROUNDS):
            network(x)
    return {event.key: event.self_cpu_time_total / ROUNDS / 1e3 for event in taken.key_averages()}


def in_openvino(model: GLPNForDepthEstimation, x: Tensor) -> dict[str, float]:
    """Return milliseconds by kind of operation; several may have become one, which bears the first's name."""
    request = openvino.Core().compile_model(build_graph(model, x.shape[2:]), "CPU", SETTINGS).create_infer_request()
    request.infer({0: x.numpy()})
    runs: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        request.infer({0: x.numpy()})
        sums: dict[str, float] = defaultdict(float)
        for node in request.get_profiling_info():
            sums[node.node_type] += node.real_time.total_seconds() * 1e3
        for kind, milliseconds in sums.items():
            runs[kind].append(milliseconds)
    return {kind: statistics.median(values) for kind, values in runs.items()}


def table(milliseconds: dict[str, float]) -> str:
    total = sum(milliseconds.values())
    ordered = sorted(milliseconds.items(), key=lambda item: -item[1])
    rest = sum(value for _, value in ordered[SHOWN:])
    rows = [f"| {kind} | {value:.1f} | {value / total:.0%} |" for kind, value in [*ordered[:SHOWN], ("rest", rest)]]
    return "\n".join(["| operation | ms | share |", "|---|---|---|", *rows, f"| all | {total:.1f} | |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", choices=list(ENCODERS), default=["b0", "b2", "b4"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.rand(1, 3, 480, 640)
    for encoder in arguments.encoders:
        model = GLPNForDepthEstimation(GLPNConfig.from_encoder(encoder)).eval()
        with torch.inference_mode():
            print(f"\n{encoder}, PyTorch\n\n{table(in_pytorch(model, x))}")
        print(f"\n{encoder}, our graph in OpenVINO\n\n{table(in_openvino(model, x))}", flush=True)


if __name__ == "__main__":
    main()
