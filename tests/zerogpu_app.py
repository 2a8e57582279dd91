"""The page as on a ZeroGPU Space: the real `spaces` with its emulation of CUDA, on a machine that has none.

Where a Space's process is forked and gets a real card, this one keeps the emulation: tensors are on "cuda" by name and
mix with others no more than real ones do. Run as `python zerogpu_app.py [page | threads] [PARAMETERS]`: from how many
parameters on a model counts as large.
"""

import json
import pickle
import signal
import sys
import threading
from typing import Any

import numpy as np
import torch

# A build for CUDA, as the builder of Spaces installs it.
torch.version.cuda = torch.version.cuda or "13.0"
if not hasattr(torch._C, "_cuda_init"):
    torch._C._cuda_init = lambda: None  # type: ignore[attr-defined]
    torch.cuda._is_in_bad_fork = bool  # type: ignore[assignment]  - False, and goes to another process

from glpn.model import placement  # noqa: E402
from glpn.web import gpu  # noqa: E402  - imports `spaces`, before anything has touched CUDA
from glpn.web.samples import SAMPLES  # noqa: E402
from glpn.zoo import Zoo  # noqa: E402


def keep_emulating() -> None:
    """Let forked processes continue emulating, and enter it on the thread in which `spaces` runs the task."""
    from spaces.zero import torch as emulation
    from spaces.zero import wrappers

    for name in ("unpatch", "init", "move"):
        setattr(wrappers.torch, name, lambda *args, **kwargs: None)
    real = gpu._of_card

    def of_card(model: str) -> Any:
        emulation.enter_mode()
        return real(model)

    gpu._of_card = of_card


def page() -> None:
    from glpn.web.page import build_demo
    from glpn.web.serve import launch, make_store

    zoo = Zoo.load()
    demo = build_demo(zoo, make_store(zoo))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # ends the forked process as well
    print(launch(demo, server_name="127.0.0.1", quiet=True, prevent_thread_lock=True), flush=True)
    demo.block_thread()


def threads() -> None:
    """Estimate on the main thread and on another, on the CPU and on the card; print what came out."""
    from glpn.estimator import load_estimator

    sizes: list[int] = []
    lent = gpu.depth_on_card

    def weighed(*arguments: Any) -> np.ndarray:
        result: np.ndarray = lent(*arguments)
        sizes.extend((len(pickle.dumps(arguments)), len(pickle.dumps(result))))
        return result

    gpu.depth_on_card = weighed
    found: dict[str, Any] = {}

    def estimate(thread: str) -> None:
        estimator = load_estimator("rooms-b0")
        on_cpu = estimator(SAMPLES[0].photo)
        on_card = gpu.borrowing("rooms-b0", estimator)(SAMPLES[0].photo, flip_average=thread == "other")
        again = estimator(SAMPLES[0].photo, flip_average=thread == "other")
        found[thread] = {
            "devices": [on_cpu.device, on_card.device, again.device],
            "difference_m": float(np.abs(on_card.depth_m - again.depth_m).max()),
        }

    estimate("main")
    worker = threading.Thread(target=estimate, args=("other",))
    worker.start()
    worker.join()
    print(json.dumps(found | {"bytes": sizes}))


if __name__ == "__main__":
    keep_emulating()
    if len(sys.argv) > 2:
        placement.SMALL_PARAMETERS = int(sys.argv[2])
    {"page": page, "threads": threads}[sys.argv[1]]()
