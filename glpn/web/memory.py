"""The C library's heap: kept in few pieces, and given back to the system after large photos. glibc only."""

import ctypes
import sys
from contextlib import suppress

M_ARENA_MAX = -8  # malloc.h
KEPT_BYTES = 64_000_000  # of freed memory: the next estimate takes it at once, what it asks the system for comes slowly
ARENAS = 2  # with glibc's own 8 per core, what 200 requests leave behind is twice as much


def few_arenas() -> None:
    """Let all threads share a few heaps; to be called before threads are started."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, ARENAS)


class _Heap(ctypes.Structure):
    """What `mallinfo2` tells (malloc.h); `fordblks` are the bytes that are free."""

    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in _names.split()]


def give_back_memory(*, kept_bytes: int = 0) -> None:
    """Hand freed memory back to the system, which glibc else keeps after a large photo, if it is more than that."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            if kept_bytes and hasattr(libc, "mallinfo2"):  # since glibc 2.33
                libc.mallinfo2.restype = _Heap
                if libc.mallinfo2().fordblks <= kept_bytes:
                    return
            libc.malloc_trim(0)
