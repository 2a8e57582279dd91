"""Where a model runs on a machine that lends its graphics card for seconds at a time. Imports no PyTorch."""

import os

SMALL_PARAMETERS = 20_000_000  # up to here, b0 and b1, a CPU takes a fraction of a second


def on_zerogpu() -> bool:
    """Whether this is a ZeroGPU Space, where PyTorch claims a CUDA device that no process but a forked one has."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def is_small(parameters: int) -> bool:
    """Whether a model of so many parameters never needs a graphics card."""
    return parameters <= SMALL_PARAMETERS


def borrows_card(parameters: int) -> bool:
    """Whether a model of so many parameters runs on a lent card: a large one, where cards are lent."""
    return on_zerogpu() and not is_small(parameters)
