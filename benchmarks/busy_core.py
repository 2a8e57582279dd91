"""What a busy core costs: rooms-b0's network with two threads, alone and next to a process that computes.

    python -m benchmarks.busy_core

GNU OpenMP's idle threads spin before they sleep (see glpn/model/threads.py). Each row is a process of its own, in turn.
"""

import os
import statistics
import subprocess
import sys
import time

from glpn.model.threads import SPIN_COUNT

DEFAULT_SPINS = 300_000  # about what GNU OpenMP does on its own
RUNS, ROUNDS = 12, 2


def seconds_of_runs() -> list[float]:
    """Return the seconds of runs of b0 at 480 × 640, random weights, float32, two threads."""
    import torch

    from glpn.configuration import GLPNConfig
    from glpn.model.fast import make_fast
    from glpn.model.modeling import GLPNForDepthEstimation

    torch.set_num_threads(2)
    network = make_fast(GLPNForDepthEstimation(GLPNConfig.from_encoder("b0")).eval())
    image, seconds = torch.rand(1, 3, 480, 640), []
    with torch.inference_mode():
        for _ in range(RUNS + 3):
            start = time.perf_counter()
            network(image)
            seconds.append(time.perf_counter() - start)
    return seconds[3:]


def in_own_process(spins: int) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.busy_core", "--run"]
    environment = os.environ | {"GOMP_SPINCOUNT": str(spins)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    if sys.argv[1:] == ["--run"]:
        print(*seconds_of_runs())
        return
    for machine in ("quiet", "one core busy"):
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if machine != "quiet" else None
        try:
            seconds: dict[int, list[float]] = {DEFAULT_SPINS: [], SPIN_COUNT: []}
            for _ in range(ROUNDS):
                for spins, taken in seconds.items():
                    taken += in_own_process(spins)
        finally:
            if other:
                other.kill()
                other.wait()
        for spins, taken in seconds.items():
            spread = f"{min(taken):.3f} to {max(taken):.3f}"
            print(f"{machine:14} GOMP_SPINCOUNT={spins:<7} {statistics.median(taken):.3f} s ({spread})")


if __name__ == "__main__":
    main()
