"""What one visitor's page holds while it is open: a result, a folder of files, a flag to stop. Nothing outlives it."""

import secrets
import shutil
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from glpn.prediction import DepthPrediction

from .links import Choices

IDLE_SECONDS = 3600


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """One finished estimate.

    name        file stem for downloads
    rgb         (H, W, 3) uint8, the photo, of the prediction's size
    sample      id of the sample that the photo is, or None for a visitor's own
    token       unguessable; names the result in figures and folders
    """

    name: str
    rgb: np.ndarray
    prediction: DepthPrediction
    sample: str | None = None
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def size_bytes(self) -> int:
        return self.rgb.nbytes + self.prediction.depth_m.nbytes


@dataclass(frozen=True, eq=False)
class Evaluated:
    """An estimate beside its truth: depth (H, W) in metres, NaN where nothing was measured."""

    prediction: DepthPrediction
    truth_m: np.ndarray

    @property
    def size_bytes(self) -> int:
        return self.prediction.depth_m.nbytes + self.truth_m.nbytes


@dataclass(eq=False)
class Session:
    """A visitor's own room. `folder` is made when first asked for."""

    root: Path
    result: Result | None = None
    compared: tuple[tuple[str, DepthPrediction], ...] = ()
    evaluated: Evaluated | None = None
    points: tuple[tuple[int, int], ...] = ()
    drawn: tuple[str, Choices] | None = None  # what the Estimate page shows: which tab, drawn how
    uploads: set[Path] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)
    used: float = field(default_factory=time.monotonic)
    _folder: Path | None = None

    def new_stop(self) -> threading.Event:
        """Return the flag of a new piece of work; what this page still has going gives way to it."""
        self.stop.set()
        self.stop = threading.Event()
        return self.stop

    @property
    def folder(self) -> Path:
        if self._folder is None:
            self._folder = self.root / secrets.token_urlsafe(16)
            self._folder.mkdir(parents=True)
        return self._folder

    def show(self, result: Result) -> None:
        """Take `result` in place of the former one, whose files and measurements go."""
        self.remove_files()
        self.result, self.points = result, ()

    def remove_files(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def size_bytes(self) -> int:
        compared = sum(prediction.depth_m.nbytes for _, prediction in self.compared)
        return compared + sum(held.size_bytes for held in (self.result, self.evaluated) if held)


class Sessions:
    """All open sessions by the page's session hash; bounded in memory, the least recently used ones leave first.

    root      below which the sessions' folders are made
    uploads   below which visitors' own files lie; nothing else is ever deleted for having been noted as an upload
    """

    def __init__(self, root: Path, *, uploads: Path, max_bytes: int = 2 << 30) -> None:
        self._root = root
        self._uploads = uploads.resolve()
        self._max_bytes = max_bytes
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, key: str | None) -> Session:
        """Return the session of `key`, a new one where there is none. Idle and surplus sessions are closed."""
        with self._lock:
            session = self._sessions.setdefault(key or "", Session(self._root))
            self._sessions.move_to_end(key or "")
            session.used = time.monotonic()
            surplus = [
                other
                for other, old in self._sessions.items()
                if old is not session and session.used - old.used > IDLE_SECONDS
            ]
            total = sum(old.size_bytes for old in self._sessions.values())
            for other, old in self._sessions.items():
                if total <= self._max_bytes:
                    break
                if old is not session and other not in surplus:
                    total -= old.size_bytes
                    surplus.append(other)
            closing = [self._sessions.pop(other) for other in surplus]
            kept = {path for old in self._sessions.values() for path in old.uploads}
        for old in closing:
            self._close(old, kept)
        return session

    def close(self, key: str | None) -> None:
        """Forget a session: stop its work and delete its photo, result and files."""
        with self._lock:
            session = self._sessions.pop(key or "", None)
            kept = {path for old in self._sessions.values() for path in old.uploads}
        if session is not None:
            self._close(session, kept)

    def _close(self, session: Session, kept: set[Path]) -> None:
        session.stop.set()
        session.remove_files()
        for upload in session.uploads - kept:
            if upload.resolve().is_relative_to(self._uploads):  # a sample photo is shown as a path too
                upload.unlink(missing_ok=True)
        session.result, session.compared, session.evaluated = None, (), None
