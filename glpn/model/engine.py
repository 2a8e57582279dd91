"""Which library runs the network on a CPU: PyTorch (`fast.py`), or OpenVINO where it is installed and faster."""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from glpn.errors import ConfigError

from .fast import make_fast
from .modeling import GLPNForDepthEstimation

if TYPE_CHECKING:
    from .openvino_graph import CompiledGLPN

ENGINES = ("auto", "pytorch", "openvino")
# Compiled sizes that are kept; each holds its own copy of the weights, packed for its operations.
KEPT_SIZES = 2
# OpenVINO has to be faster than PyTorch by this factor to be taken.
GAIN = 1.05

Size = tuple[int, int]
Network = Callable[[Tensor], Tensor]
logger = logging.getLogger(__name__)


class CPUEngine:
    """A network on the CPU that runs in PyTorch or OpenVINO. Threads may share it.

    "pytorch"   always `fast.py`
    "openvino"  always OpenVINO; the first photo of a size waits until its graph is compiled
    "auto"      PyTorch for the first photos of a size. When a size repeats and OpenVINO is installed, its graph is
                compiled in the background and both are timed; from then on the faster one runs.

    `rim_free` continues the decoder's maps beyond the picture's border, as `border.RimFree` does.

    Raises `ConfigError` for another name, and for "openvino" where the package is missing.
    """

    def __init__(
        self,
        model: GLPNForDepthEstimation,
        *,
        engine: str = "auto",
        precision: str = "float32",
        rim_free: bool = False,
    ) -> None:
        if engine not in ENGINES:
            raise ConfigError(f"Unknown engine {engine!r}. Known: {', '.join(ENGINES)}.")
        installed = find_spec("openvino") is not None
        if engine == "openvino" and not installed:
            raise ConfigError("Engine 'openvino' needs the package openvino. Install glpn[openvino], or use 'pytorch'.")
        self._model, self._precision, self._rim_free = model, precision, rim_free
        self._fast = None if engine == "openvino" else make_fast(model, precision=precision, rim_free=rim_free)
        self._compiler = ThreadPoolExecutor(1, "glpn-compile") if installed and engine != "pytorch" else None
        self._seen: Counter[Size] = Counter()
        self._compiled: OrderedDict[Size, Future[CompiledGLPN | None]] = OrderedDict()  # the last used one at the end
        self._lock = threading.Lock()

    def __call__(self, pixel_values: Tensor) -> tuple[Tensor, str]:
        """Return depth (B, H, W), float32 metres, of pixels (B, 3, H, W), and the engine's name.

        Pixels are float32 RGB in [0, 1]; both sides are multiples of 32.
        """
        batch, _, height, width = pixel_values.shape
        compiled = self._pick((height, width), batch)
        if compiled is not None:
            return compiled(pixel_values), "openvino"
        assert self._fast is not None
        return self._fast(pixel_values), "pytorch"

    def settle(self) -> None:
        """Wait until nothing compiles in the background."""
        with self._lock:
            pending = list(self._compiled.values())
        for future in pending:
            future.exception()

    def _pick(self, size: Size, photos: int) -> "CompiledGLPN | None":
        """Return the compiled network for `size`, or None to run in PyTorch."""
        if self._compiler is None:
            return None
        with self._lock:
            self._seen[size] += photos
            future = self._compiled.get(size)
            if future is not None:
                self._compiled.move_to_end(size)
            elif self._fast is None or self._seen[size] > 1:
                future = self._compiled[size] = self._compiler.submit(self._compile, size)
                while len(self._compiled) > KEPT_SIZES:
                    self._compiled.popitem(last=False)
        if future is None or (self._fast is not None and not future.done()):
            return None
        return future.result()

    def _compile(self, size: Size) -> "CompiledGLPN | None":
        """Compile the graph for `size`; None if PyTorch does as well, or if OpenVINO fails at it."""
        try:
            from .openvino_graph import CompiledGLPN

            compiled = CompiledGLPN(self._model, size, precision=self._precision, rim_free=self._rim_free)
        except Exception:  # whatever a foreign library raises: with "auto" PyTorch continues
            if self._fast is None:
                raise
            logger.warning("OpenVINO can't compile the network for %d×%d; PyTorch runs it.", *size, exc_info=True)
            return None
        return compiled if self._fast is None or _is_faster(compiled, self._fast, size) else None


def _is_faster(candidate: Network, current: Network, size: Size) -> bool:
    """Time both in turn, after a warm-up, and compare their fastest runs."""
    pixels = torch.full((1, 3, *size), 0.5)
    seconds: dict[Network, list[float]] = {candidate: [], current: []}
    for _ in range(3):
        for network, times in seconds.items():
            start = time.perf_counter()
            network(pixels)
            times.append(time.perf_counter() - start)
    return GAIN * min(seconds[candidate]) < min(seconds[current])
