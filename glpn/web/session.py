"""What one visitor's page holds while it is open: a result, a folder of files, a flag to stop. Nothing outlives it."""

import secrets
import shutil
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from glpn.errors import Cancelled, ConfigError, GLPNError
from glpn.files import file_stem
from glpn.photo import Photo
from glpn.prediction import DepthPrediction
from glpn.scale import Scale
from glpn.scene.look import Look
from glpn.scene.measuring import Point, measure
from glpn.scene.uncertainty import Uncertainty, of_prediction
from glpn.zoo import ModelSpec

from .choices import Choices
from .memory import give_back_memory
from .parts import html
from .uploads import Uploads

IDLE_SECONDS = 3600
LEFT_S = 30.0  # for which no browser has shown a session that nobody comes back to
NO_RESULT = "This result has expired. Choose a photo and press “Estimate depth”."
MOST_SESSIONS = 1000
MOST_UPLOADS = 60  # of one visitor, and together
MOST_UPLOAD_BYTES = 400_000_000  # older ones go


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """One finished estimate.

    prediction  with its photo, of the same size
    spec        the model's row of the zoo, or None for a checkpoint outside it
    source      the photo's file: what is marked on one photo is not taken to another
    sample      id of the sample whose finished result this is, or None
    token       unguessable; names the result in figures and folders; another scale or camera is another token
    photo_id    unguessable; names the photo, whatever its depth is multiplied by
    """

    prediction: DepthPrediction
    spec: ModelSpec | None = None
    source: str | None = None
    sample: str | None = None
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    photo_id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def photo(self) -> Photo:
        """The photo whose depth this is."""
        assert self.prediction.photo is not None
        return self.prediction.photo

    @property
    def uncertainty(self) -> Uncertainty:
        """What the result's metres are worth."""
        return of_prediction(self.prediction, self.spec)

    @cached_property
    def line(self) -> str:
        """What the page says of the result under its figures; as HTML."""
        return html.status_line(self.prediction, self.uncertainty, cached=self.sample is not None)

    @property
    def name(self) -> str:
        """File stem for downloads."""
        return file_stem(self.photo.name)

    @property
    def size_bytes(self) -> int:
        """What it takes of the memory; samples are shared by all who look at them."""
        shared = self.sample is not None and self.prediction.calibration is None
        return 0 if shared else self.photo.rgb.nbytes + self.prediction.depth_m.nbytes


@dataclass(frozen=True)
class Shape:
    """Points that were picked on the photo. `kind` is a name of `measuring.KINDS`; `true_m` is its known length."""

    kind: str
    points: tuple[Point, ...]
    true_m: float | None = None


@dataclass(frozen=True)
class Marks:
    """What a visitor has marked on a photo, in its pixels.

    kind     of what the next points make
    open     points of a shape that is not finished
    shapes   finished ones
    factor   of a scale that came with the link; a known length takes its place
    variant  the model whose metres that factor is for
    """

    kind: str = "distance"
    open: tuple[Point, ...] = ()
    shapes: tuple[Shape, ...] = ()
    factor: float | None = None
    variant: str = ""

    @property
    def known(self) -> list[tuple[tuple[Point, ...], float]]:
        """The points and true lengths, metres, of the lines whose length is known."""
        return [(shape.points, shape.true_m) for shape in self.shapes if shape.true_m is not None]

    def scale(self, prediction: DepthPrediction) -> Scale | None:
        """Return the scale of `prediction` by what is known, or None. Raises ConfigError if a length can't be right."""
        plain = prediction.calibrated(None)
        if self.known:
            return Scale.fit((measure("distance", plain, points).value, true_m) for points, true_m in self.known)
        return Scale(self.factor) if self.factor and self.variant == prediction.variant else None

    def unscaled(self) -> "Marks":
        """Return the marks without known lengths and factor; the lines stay."""
        shapes = tuple(replace(shape, true_m=None) for shape in self.shapes)
        return replace(self, shapes=shapes, factor=None, variant="")


class Superseded(Cancelled):
    """The work gave way to a newer one of the same visitor; there is nothing to tell."""


@dataclass(eq=False)
class Session:
    """A visitor's own room. `folder` is made when first asked for."""

    root: Path
    result: Result | None = None
    marks: Marks = Marks()
    spread: np.ndarray | None = None  # (h, w), smaller than the photo: see `certainty.relative_spread`
    sure: bool = False  # whether the depth picture shows it
    files: dict[tuple[str, str, Look], Path | str] = field(default_factory=dict)  # exported, or why it can't be
    at: str = Choices.at  # the open page
    tab: str = Choices.tab  # the open tab of its Estimate page
    drawn_token: str = ""  # of the result that the Estimate page shows
    uploads: tuple[Path, ...] = ()  # the newest last
    stop: threading.Event = field(default_factory=threading.Event)  # of the work that was begun last
    used: float = field(default_factory=time.monotonic)
    closed: bool = False
    has_room: Callable[[], bool] = lambda: True  # asked before files are written on the visitor's demand
    _folder: Path | None = None
    _ended: bool = True
    _told_first: set[str] = field(default_factory=set)

    @contextmanager
    def job(self) -> Iterator[threading.Event]:
        """Do a piece of work, the session's only one; yields the flag that stops it. What went on before gives way.

        Raises `Superseded` where the work was cancelled because a newer one began, not by the visitor.
        """
        self.stop.set()
        self.stop = stop = threading.Event()
        self._ended = False
        try:
            yield stop
        except Cancelled:
            if self.stop is not stop:
                raise Superseded("A newer piece of work has begun.") from None
            raise
        finally:
            if self.stop is stop:
                self._ended = True

    def opens(self, row: Literal["at", "tab"], name: str) -> bool:
        """Note that `name` is the open one in its row; False where it only seems to be opened.

        Of the first in a row the page tells once by itself. On a busy machine it may do so after the page was opened at
        the tab that a link names; that is then forgotten.
        """
        if name == getattr(Choices, row) and row not in self._told_first:
            self._told_first.add(row)
            if self.result is not None:
                return False
        setattr(self, row, name)
        return True

    @property
    def busy(self) -> bool:
        """Whether the work that was begun last still continues."""
        return not self._ended

    @property
    def folder(self) -> Path:
        """The session's own folder. Raises `Cancelled` once the visitor has left, so that nobody makes it again."""
        if self.closed:
            raise Cancelled("This visitor has left.")
        if self._folder is None:
            self._folder = self.root / secrets.token_urlsafe(16)  # named before it is made: the sweeper asks for it
            self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @property
    def held(self) -> set[Path]:
        """The visitor's own files, and the folder of what was made from them."""
        return {*self.uploads, *filter(None, [self._folder])}

    def take(self, *uploads: Path) -> None:
        """Note a visitor's own files, so that they go when the visitor does; the oldest of too many are let go."""
        others = [upload for upload in self.uploads if upload not in uploads]
        kept: list[Path] = []
        total = 0
        for upload in reversed((*others, *dict.fromkeys(uploads))):
            with suppress(OSError):
                total += upload.stat().st_size
            if len(kept) == MOST_UPLOADS or (kept and total > MOST_UPLOAD_BYTES):
                break
            kept.append(upload)
        self.uploads = tuple(reversed(kept))

    def close(self) -> None:
        """Stop the session's work and let go of all it holds."""
        self.closed = True
        self.stop.set()
        self.remove_files()
        self.result, self.spread = None, None

    @property
    def present(self) -> Result:
        """The result. Raises GLPNError where there is none."""
        if self.result is None:
            raise GLPNError(NO_RESULT)
        return self.result

    def show(self, result: Result) -> None:
        """Take `result` in place of the former one, whose files go; what is marked stays on the same photo."""
        self.remove_files()
        old, self.result = self.result, result
        if old is None or old.source is None or old.source != result.source:
            self.marks, self.spread, self.sure = Marks(kind=self.marks.kind), None, False
        elif old.prediction.variant != result.prediction.variant:
            self.spread, self.sure = None, False
        self.rescale()

    def scaled(self, prediction: DepthPrediction, source: str) -> DepthPrediction:
        """Return another model's prediction of the photo `source`, scaled by what is known of that photo."""
        if self.result is None or self.result.source != source:
            return prediction
        try:
            return prediction.calibrated(self.marks.scale(prediction))
        except ConfigError as error:
            return replace(prediction, notes=(*prediction.notes, f"{error} It is not scaled."))

    def rescale(self) -> None:
        """Scale the result by the lengths that the visitor knows of it; those that can't be right are dropped."""
        if self.result is None:
            return
        prediction = self.result.prediction
        try:
            scale = self.marks.scale(prediction)
        except ConfigError as error:
            self.marks, scale = self.marks.unscaled(), None
            prediction = replace(prediction, notes=(*prediction.notes, f"{error} The scale was undone."))
        scaled = prediction.calibrated(scale)
        if scaled is not self.result.prediction:
            self.result = replace(self.result, prediction=scaled, token=secrets.token_hex(8))

    def remove_files(self) -> None:
        self.files = {}
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def size_bytes(self) -> int:
        spread = 0 if self.spread is None else self.spread.nbytes
        return spread + (self.result.size_bytes if self.result else 0)


class Sessions:
    """All open sessions by the page's session hash, bounded in number and memory.

    Those that no browser shows leave first, and of these the least recently used.
    """

    def __init__(self, uploads: Uploads, *, max_bytes: int = 2 << 30, most: int = MOST_SESSIONS) -> None:
        self.uploads = uploads
        self._max_bytes = max_bytes
        self._most = most
        self._pages: Counter[str] = Counter()
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()
        uploads.in_use = self.held

    def __len__(self) -> int:
        return len(self._sessions)

    def held(self) -> set[Path]:
        """Return the uploads and the folders of all open sessions."""
        with self._lock:
            return {path for session in self._sessions.values() for path in session.held}

    def open(self, key: str | None) -> Session:
        """Return the session of `key`, a new one where there is none. Idle and surplus sessions are closed.

        A client without a key gets a session of its own that nobody shares.
        """
        key = key or secrets.token_urlsafe(16)
        with self._lock:
            session = self._sessions.setdefault(key, Session(self.uploads.sessions, has_room=self.uploads.has_room))
            self._sessions.move_to_end(key)
            session.used = time.monotonic()
            closing = [self._sessions.pop(other) for other in self._surplus(session)]
        for old in closing:
            self._close(old)
        return session

    def of(self, request: Any) -> Session:
        """Return the session of the page that sent `request`, a gr.Request."""
        return self.open(request.session_hash)

    def close(self, key: str | None) -> None:
        """Forget a session: stop its work and delete its photo, result and files."""
        with self._lock:
            session = self._sessions.pop(key or "", None)
        if session is not None:
            self._close(session)
            give_back_memory()

    def close_left(self) -> None:
        """Close what no browser has shown for a while: a visitor's last events may come after the page was closed.

        Where nobody has done anything meanwhile, the memory that is kept for the next estimate is given back.
        """
        before = time.monotonic() - LEFT_S
        with self._lock:
            resting = [key for key, session in self._sessions.items() if session.used < before and not session.busy]
            nobody_works = len(resting) == len(self._sessions)
            closing = [self._sessions.pop(key) for key in resting if key not in self._pages]
        for session in closing:
            self._close(session)
        if closing or nobody_works:
            give_back_memory()

    def close_all(self) -> None:
        """Forget every session, because the app ends."""
        for key in list(self._sessions):
            self.close(key)

    @contextmanager
    def shown(self, key: str) -> Iterator[None]:
        """Note that a browser shows the session of `key`, whether it is there yet or not."""
        with self._lock:
            self._pages[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._pages[key] -= 1
                if not self._pages[key]:
                    del self._pages[key]

    def _surplus(self, current: Session) -> list[str]:
        """Return the keys of sessions that are idle, and of the first to leave while there are, or hold, too many."""
        others = {key: old for key, old in self._sessions.items() if old is not current}
        surplus = [key for key, old in others.items() if current.used - old.used > IDLE_SECONDS]
        total = sum(old.size_bytes for old in self._sessions.values())
        for key in sorted(others, key=self._pages.__contains__):  # stable: least recently used first
            if total <= self._max_bytes and len(self._sessions) - len(surplus) <= self._most:
                break
            if key not in surplus:
                total -= others[key].size_bytes
                surplus.append(key)
        return surplus

    def _close(self, session: Session) -> None:
        held = self.held()
        session.close()
        for upload in set(session.uploads) - held:
            if self.uploads.is_upload(upload):  # a sample photo is shown as a path too
                with suppress(OSError):
                    upload.unlink(missing_ok=True)
