"""The C library's heap: kept in few pieces, and given back to the system after large photos. glibc only."""

import ctypes
import sys
from contextlib import suppress

M_ARENA_MAX = -8  # malloc.h
ARENAS = 2  # with glibc's own 8 per core, what 200 requests leave behind is twice as much


def few_arenas() -> None:
    """Let all threads share a few heaps; to be called before threads are started."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, ARENAS)


def give_back_memory() -> None:
    """Hand freed memory back to the system, which glibc else keeps after a large photo."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
