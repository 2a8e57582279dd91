"""Large models on the graphics card that ZeroGPU lends for seconds; small ones stay on the CPU and cost no quota.

`spaces` forks a process for a call, and only there is CUDA real: in this process it is emulated, and on one thread
alone. So no model is placed on "cuda" here. A call takes a model's name and arrays, and the forked process finds the
model in the memory that it inherits, or else in the Hub's cache; as it may serve later calls, it keeps the model on the
card. That is the one state of a module in this project.
"""

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import gradio as gr
import httpx
import numpy as np

from glpn.errors import ConfigError, GLPNError
from glpn.model.placement import on_zerogpu

if TYPE_CHECKING:
    from glpn.estimator import DepthEstimator

MOST_CALL_BYTES = 64_000_000  # of the pixels that one call carries to the other process
LEAST_S, MOST_S = 5, 15
# Allowances, not measurements: who needs longer is warned, not cut off at once. CUDA's start and a model's way to the
# card dominate; the network of b4 does 78 billion multiplications for a photo of 480 × 640, some 10 ms of an H200.
START_S = 4.0
NETWORK_S = 0.5
B4_PARAMETERS = 61_220_903
_held: "WeakValueDictionary[str, DepthEstimator]" = WeakValueDictionary()  # of the app; forked processes inherit it
_on_card: "dict[str, DepthEstimator]" = {}  # of a forked process


class CardNotLent(GLPNError):
    """ZeroGPU lent no graphics card: the visitor's quota is spent, or none was free."""


def seconds(model: str, pixel_values: np.ndarray, flip_average: bool) -> int:
    """Return the seconds to ask for: who asks for more than is left of the quota is refused, and who asks less, first.

    The arguments are those of `depth`.
    """
    held = _held.get(model)
    weight = held.spec.parameters / B4_PARAMETERS if held else 1.0
    photos = len(pixel_values) * (2 if flip_average else 1)
    share = pixel_values[0, 0].size / (480 * 640)
    return min(max(math.ceil(START_S + NETWORK_S * weight * photos * share), LEAST_S), MOST_S)


def depth(model: str, pixel_values: np.ndarray, flip_average: bool) -> np.ndarray:
    """Return the depth (B, h, w) float32, metres, of photos (B, 3, h, w) float32. Runs where the graphics card is."""
    return np.stack(_of_card(model).infer(pixel_values, flip_average)[0])


def _of_card(model: str) -> "DepthEstimator":
    from glpn.estimator import DepthEstimator, load_estimator

    if model not in _on_card:
        held = _held.get(model) or load_estimator(model, device="cpu", local_files_only=True)
        _on_card[model] = DepthEstimator(held.model, held.processor, spec=held.spec, device="cuda")
    return _on_card[model]


def _lent(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` so that ZeroGPU lends it a graphics card; unchanged elsewhere."""
    if not on_zerogpu():
        return function
    try:
        import spaces
    except ImportError as error:
        raise ConfigError("SPACES_ZERO_GPU is set, but the package `spaces` is not installed. Install it.") from error
    decorated: Callable[..., Any] = spaces.GPU(function, duration=seconds)
    return decorated


depth_on_card = _lent(depth)


def borrowing(model: str, estimator: "DepthEstimator") -> "DepthEstimator":
    """Return `estimator`, which was loaded as `model`, so that its network runs on a lent graphics card.

    It raises `CardNotLent` where there is none.
    """
    _held[model] = estimator

    def run(pixel_values: np.ndarray, flip_average: bool) -> list[np.ndarray]:
        most = max(1, MOST_CALL_BYTES // pixel_values[0].nbytes)
        depths: list[np.ndarray] = []
        for start in range(0, len(pixel_values), most):
            depths += list(_call(model, pixel_values[start : start + most], flip_average))
        return depths

    return estimator.elsewhere(run, device="cuda")


def _call(model: str, pixel_values: np.ndarray, flip_average: bool) -> np.ndarray:
    try:
        depths: np.ndarray = depth_on_card(model, pixel_values, flip_average)
    except (gr.Error, RuntimeError, httpx.HTTPError) as error:  # whatever `spaces` and its service raise
        said = re.sub(r"<[^>]*>", "", str(getattr(error, "message", error))).strip().rstrip(".")
        raise CardNotLent(f"No graphics card was lent: {said}. The CPU runs this model without quota.") from error
    return depths


def told(seconds: float, *, lent: bool) -> tuple[str, ...]:
    """Return what a visitor has to know about the quota of an estimate that took so many seconds; elsewhere nothing."""
    if not on_zerogpu():
        return ()
    if lent:
        return (f"A graphics card was lent for about {math.ceil(seconds)} s, which count against your ZeroGPU quota.",)
    return ("This ran on the CPU: none of your ZeroGPU quota was used.",)
