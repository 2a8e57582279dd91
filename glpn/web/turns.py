"""Whose turn it is: estimates run one at a time, first come first served, and only so many may wait."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from glpn.errors import Cancelled, GLPNError

logger = logging.getLogger(__name__)

MOST_WAITING = 24
LONGEST_S = 180.0  # after which an estimate loses its turn
LOOK_EVERY_S = 0.1


class TooBusy(GLPNError):
    """The queue of estimates is full, or the app is shutting down."""


class Place:
    """One estimate's place in the queue, from before its model is loaded until it has run."""

    def __init__(self) -> None:
        self.ready = False  # whether it waits for nothing but its turn
        self.started: float | None = None


class Turns:
    """The queue of estimates. `closed` refuses newcomers: the app is about to end."""

    def __init__(self, *, most_waiting: int = MOST_WAITING, longest_s: float = LONGEST_S) -> None:
        self.closed = False
        self._most_waiting = most_waiting
        self._longest_s = longest_s
        self._places: list[Place] = []  # as they came
        self._changed = threading.Condition()
        self._seconds = 1.0  # of the last turns, on average

    @property
    def waiting(self) -> int:
        """How many estimates run, wait, or load their model."""
        return len(self._places)

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Hold a place in the queue. Raises `TooBusy` where too many wait."""
        place = Place()
        with self._changed:
            self._check_open()
            waiting = len(self._places)
            if waiting >= self._most_waiting:
                seconds = max(1, round(self._seconds * waiting / 2))
                raise TooBusy(f"{waiting} photos are waiting, and no more can. Try again in about {seconds} s.")
            self._places.append(place)
        try:
            yield place
        finally:
            with self._changed:
                if place in self._places:
                    self._places.remove(place)
                self._changed.notify_all()

    @contextmanager
    def turn(self, place: Place, stopped: Callable[[], bool], ahead: Callable[[int, float], None]) -> Iterator[None]:
        """Wait for the turn of `place`, then hold it; of those that are ready, the first that came is next.

        stopped   asked ten times a second: `Cancelled` is raised once it says True
        ahead     told how many are ahead and for how many seconds that will take

        An estimate beyond the time limit loses its turn.
        """
        self._wait(place, stopped, ahead)
        try:
            yield
        finally:
            with self._changed:
                if place.started is not None:
                    self._seconds = 0.7 * self._seconds + 0.3 * (time.monotonic() - place.started)
                place.ready, place.started = False, None
                self._changed.notify_all()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until no estimate runs; whether that came before `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: all(place.started is None for place in self._places), timeout_s)

    def _check_open(self) -> None:
        if self.closed:
            raise TooBusy("This page is being restarted. Try again in a minute.")

    def _wait(self, place: Place, stopped: Callable[[], bool], ahead: Callable[[int, float], None]) -> None:
        told = None
        place.ready = True
        while True:
            if stopped():
                raise Cancelled("Stopped.")
            self._check_open()
            with self._changed:
                self._drop_stuck()
                before = self._before(place)
                if before == 0:
                    place.started = time.monotonic()
                    return
                if before == told:
                    self._changed.wait(LOOK_EVERY_S)
                    continue
            told = before
            ahead(before, before * self._seconds)

    def _before(self, place: Place) -> int:
        """Return how many run, or came earlier and are ready."""
        came = self._places.index(place) if place in self._places else len(self._places)
        return sum(
            other.started is not None or (other.ready and number < came)
            for number, other in enumerate(self._places)
            if other is not place
        )

    def _drop_stuck(self) -> None:
        for place in list(self._places):
            if place.started is not None and time.monotonic() - place.started > self._longest_s:
                logger.error("An estimate ran for more than %.0f s and lost its turn", self._longest_s)
                self._places.remove(place)
