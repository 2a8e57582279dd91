"""Where and how the network runs: device, arithmetic, and how many threads a container really grants."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from glpn.errors import ConfigError

from .placement import on_zerogpu

DEVICES = ("auto", "cpu", "cuda", "mps")


def pick_device(name: str = "auto") -> str:
    """Return "cuda", "mps" or "cpu": the one that is named, or with "auto" the first of them that this machine has.

    On ZeroGPU "auto" is the CPU: PyTorch claims CUDA there, but only the processes of `glpn.web.gpu` have it.
    Raises `ConfigError` for an unknown name or a device that is not here.
    """
    if name == "auto" and on_zerogpu():
        return "cpu"
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, present in here.items() if present)
    if name not in DEVICES:
        raise ConfigError(f"Unknown device {name!r}. Known: {', '.join(DEVICES)}.")
    if not here[name]:
        raise ConfigError(f"Device {name!r} is not available to PyTorch here. Use 'auto' or 'cpu'.")
    return name


def available_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Count the cores that this process may keep busy: its CPU affinity, cut by the quota of its cgroup (v1 or v2).

    `os.cpu_count()` names the host's cores instead, and one thread for each of them is slower than one for each core
    that the container was granted.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _quota(cgroup)
    return cores if quota is None else max(1, min(cores, int(quota)))


def _quota(cgroup: Path) -> float | None:
    """Cores per second of time that the cgroup grants, or None if it sets no limit."""
    try:
        if (cgroup / "cpu.max").is_file():  # version 2: "200000 100000" or "max 100000", in microseconds
            quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period")
            )
        return float(quota) / float(period) if quota.strip() not in ("max", "-1") else None
    except (OSError, ValueError):
        return None


def use_available_cores(simultaneous_requests: int = 1) -> int:
    """Give each of so many simultaneous requests its share of the cores, at least one thread; return that share.

    A user's OMP_NUM_THREADS takes precedence. PyTorch's thread count belongs to the process: call this once from an
    entry point, never from a library.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    threads = max(1, available_cores() // simultaneous_requests)
    torch.set_num_threads(threads)
    return threads


def pick_precision(name: str = "float32", *, device: str = "cpu") -> str:
    """Return the arithmetic to run the network in: the one that is named, or with "auto" the fastest that pays off.

    "auto" is bfloat16 (float16 on a GPU without it) where that is faster. On a CPU this is measured, not read from its
    flags: some that claim bfloat16 run it hundreds of times slower. The depth changes a little, so nothing but a
    user's wish should say "auto". Raises `ConfigError` for a name that `device` can't run.
    """
    known = ("float32", "bfloat16") if device == "cpu" else ("float32", "bfloat16", "float16")
    if name == "auto":
        if device == "cuda":
            return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        return "bfloat16" if device == "cpu" and bfloat16_speedup() > 1.3 else "float32"
    if name not in known:
        raise ConfigError(f"Unknown precision {name!r} on {device}. Known: auto, {', '.join(known)}.")
    return name


def bfloat16_speedup() -> float:
    """Measure how many times faster a small linear layer runs in bfloat16 than in float32 on this processor."""
    x, weight = torch.rand(128, 256), torch.rand(256, 256)
    halved = x.bfloat16(), weight.bfloat16()
    with torch.inference_mode():
        single, half = (min(seconds_of(F.linear, *values) for _ in range(5)) for values in ((x, weight), halved))
    return single / half


def seconds_of(run: Callable[..., Any], *arguments: Any, **keywords: Any) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    run(*arguments, **keywords)
    return time.perf_counter() - start


def keep_freed_memory() -> None:
    """Have glibc keep up to 64 MB of freed memory for the next allocation; elsewhere this does nothing.

    It gives freed memory back to the system from twice the size of the largest block that was ever freed (mallopt(3),
    M_MMAP_THRESHOLD), and fetching it again costs a page fault for each 4 KB of each map: 5 % of the time of a small
    network. The largest block that counts is 32 MB; this one is never written, so it takes no memory.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)
