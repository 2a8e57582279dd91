"""Long work in a thread of its own, so that the page can show its progress and stop waiting at once."""

import contextvars
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from glpn.errors import Cancelled, GLPNError

from .parts import html

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """A sentence with its unit, such as "Downloading 12 of 245 MB", and the share done, 0 to 1 or None.

    limit_s   how long this step may take before the work is given up
    """

    sentence: str
    share: float | None = None
    limit_s: float | None = None


class TookTooLong(GLPNError):
    """A step of the work did not end within its limit; its thread is left behind."""


Report = Callable[[Progress], None]
Stopped = Callable[[], bool]


def follow(
    work: Callable[[Report, Stopped], T], stop: threading.Event, *, every_s: float = 0.15
) -> Generator[Progress, None, T]:
    """Run `work(report, stopped)` in a thread; yield what it reports, return what it returns, raise what it raises.

    When `stop` is set, or the generator is closed, `work` hears of it through `stopped()` and is no longer waited for.
    Raises `Cancelled` then, and `TookTooLong` where a step exceeds its limit.
    """
    reports: list[Progress] = []
    results: list[T] = []
    errors: list[BaseException] = []
    abandoned = threading.Event()

    def run() -> None:
        try:
            results.append(work(reports.append, lambda: stop.is_set() or abandoned.is_set()))
        except BaseException as error:  # handed to the caller below
            errors.append(error)

    # ZeroGPU looks the visitor up in the context.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="glpn-job", daemon=True)
    thread.start()
    shown, since = None, time.monotonic()
    try:
        while thread.is_alive():
            thread.join(every_s)
            if stop.is_set():
                raise Cancelled("Stopped.")
            if reports and reports[-1] is not shown:
                shown, since = reports[-1], time.monotonic()
                del reports[:-1]
                yield shown
            elif shown and shown.limit_s and time.monotonic() - since > shown.limit_s:
                raise TookTooLong(f"This took more than {shown.limit_s:.0f} s and was given up. Try a smaller photo.")
    finally:
        abandoned.set()
    if errors:
        raise errors[0]
    return results[0]


def finished(job: Generator[Progress, None, T]) -> T:
    """Return what `job` returns, for callers that show no progress."""
    while True:
        try:
            next(job)
        except StopIteration as end:
            result: T = end.value
            return result


def reported(job: Generator[Progress, None, T], *, before: str = "") -> Generator[dict[str, Any], None, T]:
    """Yield what `job` reports as the page's progress, `before` in front of each sentence; return what it returns."""
    while True:
        try:
            step = next(job)
        except StopIteration as end:
            result: T = end.value
            return result
        yield {"progress": html.progress(before + step.sentence, step.share)}
