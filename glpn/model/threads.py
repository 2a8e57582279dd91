"""How long idle threads of PyTorch spin. Imports no PyTorch: the choice has to be made before it is loaded."""

import os

# Iterations that an idle thread of GNU OpenMP spins. Its default is some 300,000: tens of milliseconds during which it
# holds a core that the thread it waits for may need. Fewer cost a little on a quiet machine and gain much on a busy
# one; `python -m benchmarks.busy_core` measures both.
SPIN_COUNT = 2000


def limit_spinning() -> None:
    """Let idle threads sleep soon, so that a busy core does not make two threads slower than one.

    Call it from an entry point before PyTorch is imported; afterwards it has no effect. A user's own
    GOMP_SPINCOUNT or OMP_WAIT_POLICY takes precedence.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))
