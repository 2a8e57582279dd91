"""A folder of its own for each running app, which the next start removes, however the app ended.

A lock next to the folder tells whether its app still runs: the system lets go of it even after `kill -9`, in a
container where every app is process 1, and where two containers share a volume.
"""

import os
import re
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from glpn.errors import ConfigError

PREFIX = "glpn-room-"
NAME = re.compile(PREFIX + r"[0-9a-f]{16}")


class TemporaryFolder:
    """The folder `path` of this app below `base`; `close` removes it. Making one removes those of apps that ended.

    Raises `ConfigError` in one sentence if `base` can't be made or written.
    """

    def __init__(self, base: Path) -> None:
        try:
            base.mkdir(parents=True, exist_ok=True)
            remove_abandoned(base)
            self.path = base.resolve() / f"{PREFIX}{secrets.token_hex(8)}"
            self._lock = FileLock(f"{self.path}.lock", thread_local=False)
            self._lock.acquire(timeout=0)
            self.path.mkdir(mode=0o700)
        except (OSError, Timeout) as error:
            reason = getattr(error, "strerror", None) or "its lock is held"
            raise ConfigError(
                f"The temporary folder {base} can't be written ({reason}). Set GRADIO_TEMP_DIR to another one."
            ) from None

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()
        with suppress(OSError):
            Path(self._lock.lock_file).unlink(missing_ok=True)


def temporary_folder() -> Path:
    """Return where rooms are made: GRADIO_TEMP_DIR, or a folder below the system's own."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio")


def remove_abandoned(base: Path) -> None:
    """Remove the rooms below `base` whose apps have ended; links are not followed."""
    for found in base.glob(f"{PREFIX}*"):
        path = found.with_suffix("")
        if not NAME.fullmatch(path.name):
            continue
        lock = FileLock(f"{path}.lock")
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue  # its app runs, or the folder is somebody else's
        if not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        lock.release()
        with suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)
