"""Files of strangers: which ones the page reads, and when they go.

Gradio checks a path only where its sender asks for it. So every path that comes from a browser or an API client passes
`Uploads.checked`, and `Uploads.sweep` deletes what nobody uses any more; Gradio's own cleaning stays off, because a
folder among its entries ends it for good.
"""

import logging
import math
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradio_client.utils import is_http_url_like

from glpn.errors import GLPNError, PhotoNotFound

logger = logging.getLogger(__name__)

REFUSED = "This file is not here any more. Choose or drop it again."
MAX_AGE_S = 3600
QUOTA_BYTES = 2_000_000_000
SWEEP_EVERY_S = 30
SWEEP_AT_MOST_EVERY_S = 1
LEAST_BYTES = 8192  # that a file and its folder take on the disk
NO_ROOM = "There is no room for more files here just now. Please try again in a few minutes."
OWN_FOLDER = "own"  # below the upload folder: what this app writes for its visitors


class NoRoom(GLPNError):
    """The files of visitors take as much of the disk as they may."""

    def __init__(self) -> None:
        super().__init__(NO_ROOM)


class Uploads:
    """The folder `root` into which Gradio puts what visitors upload, and `folder` in it, into which this app writes.

    samples   files that ship with the app and may be named as well
    in_use    asked for the files and folders that living sessions hold; they are never deleted
    forget    called at each sweep: what else was noted of files that are gone
    """

    def __init__(self, root: Path, *, samples: Iterable[Path] = (), quota_bytes: int = QUOTA_BYTES) -> None:
        self.root = root.resolve()
        self.folder = self.root / OWN_FOLDER
        self.in_use: Callable[[], set[Path]] = set
        self.forget: Callable[[], None] = lambda: None
        self._samples = {sample.resolve() for sample in samples}
        self._quota_bytes = quota_bytes
        self._held: list[Path] = []
        self._sweeping = threading.Lock()
        self._counting, self._admitting = threading.Lock(), threading.Lock()
        self._bytes = 0  # of all files, as last counted, and of what came since
        self._admitted = -math.inf  # when an upload last had to wait for a sweep
        self._wake, self._ended = threading.Event(), threading.Event()

    @property
    def sessions(self) -> Path:
        """The folder in which each session has its own."""
        return self.folder / "sessions"

    def checked(self, path: str | os.PathLike[str]) -> Path:
        """Return `path` with links followed, if it is a visitor's upload or a sample.

        Raises `PhotoNotFound` with one and the same sentence for anything else, so that nobody learns what exists.
        """
        try:
            real = Path(path).resolve(strict=True)
            if (self.is_upload(real) or real in self._samples) and real.is_file():
                return real
        except (OSError, ValueError, TypeError, RuntimeError):
            pass
        raise PhotoNotFound(REFUSED)

    def check_value(self, value: Any, *, carries_file: bool = False) -> None:
        """Raise `PhotoNotFound` if `value`, as a client sent it, names a file anywhere that `checked` refuses.

        Addresses are let through: who fetches them looks at them. A bare text is a path where the input carries files.
        """
        waiting = [(value, carries_file)]
        while waiting:  # no recursion: a client nests as deeply as it likes
            one, is_file = waiting.pop()
            if isinstance(one, list):
                waiting += [(item, is_file) for item in one]
            elif isinstance(one, dict):
                path = one.get("path")
                if path is not None and not is_http_url_like(path):
                    self.checked(path)
                waiting += [(item, False) for item in one.values()]
            elif is_file and isinstance(one, str):
                self.checked(one)

    def is_upload(self, path: Path) -> bool:
        """Whether `path` lies where uploads do, and not among what this app wrote."""
        real = path.resolve()
        return real.is_relative_to(self.root) and not real.is_relative_to(self.folder) and real not in self._samples

    @contextmanager
    def holding(self, path: Path) -> Iterator[None]:
        """Keep an upload that no session holds while an API call works with it."""
        self._held.append(path)
        try:
            yield
        finally:
            self._held.remove(path)

    def has_room(self) -> bool:
        """Whether all files together are below the quota."""
        return self._count() < self._quota_bytes

    def arrived(self, size: int) -> None:
        """Note `size` bytes of an upload that is under way. Raises `NoRoom` if nothing can go to make room for them."""
        with self._counting:
            self._bytes += size
            if self._bytes <= self._quota_bytes:
                return
        with self._admitting:
            if self._bytes <= self._quota_bytes:
                return  # somebody else has made room meanwhile
            if time.monotonic() - self._admitted >= SWEEP_AT_MOST_EVERY_S:
                self.sweep(spare_bytes=size + self._quota_bytes // 10)
                self._admitted = time.monotonic()
                with self._counting:
                    self._bytes += size
            if self._bytes > self._quota_bytes:
                raise NoRoom()

    def _count(self) -> int:
        total = sum(size for _, _, size in _files(self.root))
        with self._counting:
            self._bytes = total
        return total

    def api_folder(self) -> Path:
        """Return a new folder for what one API call returns; it goes after an hour."""
        return self.folder / "api" / secrets.token_urlsafe(16)

    def sweep(self, *, now: float | None = None, spare_bytes: int = 0) -> int:
        """Delete what ended sessions left, old uploads and API results, and the oldest where the quota is exceeded.

        Links are not followed, and a file that can't be deleted keeps no other. Returns the number of files deleted.

        spare_bytes   of the quota that should be free afterwards
        """
        now = time.time() if now is None else now
        with self._sweeping:
            rooms = _entries(self.sessions)  # before asking who lives: a new session's folder is named, then made
            kept = {path.resolve() for path in (*self.in_use(), *self._held)} | {self.folder / "first"}
            for room in rooms:
                if room not in kept and not room.is_symlink():
                    shutil.rmtree(room, ignore_errors=True)
            gone = self._sweep_files(kept, now, self._quota_bytes - spare_bytes)
            self.forget()
            _remove_empty(self.root, keep=kept | {self.root, self.folder, self.sessions}, before=now - MAX_AGE_S)
        return gone

    def _sweep_files(self, kept: set[Path], now: float, most_bytes: int) -> int:
        gone = 0
        files = sorted(_files(self.root), key=lambda file: file[1])
        total = sum(size for _, _, size in files)
        for path, modified, size in files:
            if now - modified < MAX_AGE_S and total <= most_bytes:
                break  # all others are newer
            if not _is_kept(path, kept) and _removed(path):
                gone, total = gone + 1, total - size
        with self._counting:
            self._bytes = total
        return gone

    def start(self) -> None:
        """Sweep now and then, and soon after each upload, for as long as the app runs."""
        threading.Thread(target=self._keep_sweeping, name="glpn-sweeper", daemon=True).start()

    def uploaded(self) -> None:
        """Note that something was uploaded: the quota is looked at within about a second."""
        self._wake.set()

    def close(self) -> None:
        """End the sweeping and delete what this app wrote."""
        self._ended.set()
        self._wake.set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep_sweeping(self) -> None:
        while not self._ended.wait(SWEEP_AT_MOST_EVERY_S):
            try:
                self.sweep()
            except Exception:  # nothing may end the sweeper
                logger.exception("Sweeping failed and will be tried again")
            self._wake.wait(SWEEP_EVERY_S)
            self._wake.clear()


def _is_kept(path: Path, kept: set[Path]) -> bool:
    return path in kept or not kept.isdisjoint(path.parents)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _files(root: Path) -> Iterable[tuple[Path, float, int]]:
    """Yield (path, time of change, bytes) of every file and link below `root`; linked folders are not entered."""
    for parent, folders, names in os.walk(root, followlinks=False):
        linked = [name for name in folders if Path(parent, name).is_symlink()]
        for name in names + linked:
            path = Path(parent, name)
            try:
                stat = path.lstat()
            except OSError:
                continue
            yield path, stat.st_mtime, max(stat.st_size, LEAST_BYTES)


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except OSError as error:
        logger.info("A file could not be deleted: %s", error.strerror)
        return False
    return True


def _remove_empty(root: Path, *, keep: set[Path], before: float) -> None:
    """Remove empty folders that are older than `before`: a newer one may be about to be filled."""
    for parent, _, _ in os.walk(root, topdown=False, followlinks=False):
        folder = Path(parent)
        try:
            if folder not in keep and folder.stat().st_mtime < before:
                folder.rmdir()
        except OSError:
            continue
