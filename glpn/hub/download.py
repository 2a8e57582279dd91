"""One file of a Hub repository to disk: verified, whole or not at all, with progress, and stoppable."""

import hashlib
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    get_token,
    hf_hub_download,
    hf_hub_url,
    scan_cache_dir,
    try_to_load_from_cache,
)
from huggingface_hub.errors import CacheNotFound, FileMetadataError
from huggingface_hub.file_download import HfFileMetadata, repo_folder_name

from glpn.access import DEFAULT_ACCESS, HubAccess, Progress, Question
from glpn.errors import Cancelled, HubBusy, HubCorrupt, HubDenied, HubOffline, HubStorage
from glpn.files import write_atomically

from .failures import BAD_TOKEN, FAILURES, Wanted, seconds_to_wait, translated

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

HASH_CHUNK_BYTES = 1 << 20
SPARE_DISK_BYTES = 1 << 16
RETRY_WAITS_S = (1.0, 3.0, 8.0)
LONGEST_WAIT_S = 300.0  # the Hub counts requests in windows of five minutes


def fetch(
    repo_id: str,
    filename: str,
    access: HubAccess = DEFAULT_ACCESS,
    *,
    sha256: str | None = None,
    size: int | None = None,
) -> Path:
    """Return the path of a file of a Hub repository, downloaded if need be and verified.

    sha256, size   what the file has to have; where None, the digest that the Hub states decides

    A file at a commit hash that is cached takes no request; at a branch, the Hub is asked whether it has a newer one,
    and the cached one serves if it does not answer. Raises a `HubError` that says what to do, or `Cancelled`. Nothing
    unverified is ever returned, and nothing that failed to verify is kept.
    """
    wanted = Wanted(repo_id, filename, access.revision or constants.DEFAULT_REVISION, cache_folder(access.cache_dir))
    verify = partial(_verified, wanted=wanted, sha256=sha256, size=size, access=access)
    try:
        cached = cached_file(wanted)
        if cached and (access.local_files_only or is_commit(wanted.revision)):
            return verify(cached)
        if access.local_files_only:
            raise HubOffline(f"{wanted} is not in the cache folder {wanted.cache}.")
        try:
            remote = _remote(wanted, access)
        except (HubOffline, HubBusy) as error:
            if not cached:
                raise
            logger.warning("%s The cached file is used.", error)
            return verify(cached)
        if sha256 and _is_sha256(remote.etag) and remote.etag != sha256:
            raise _wrong_content(wanted, sha256, str(remote.etag), "It was not downloaded.")
        now = replace(wanted, revision=str(remote.commit_hash))
        if cached := cached_file(now):
            return verify(cached, etag=remote.etag)
        with _lock(wanted, access.cancelled):
            cached = cached_file(now)  # another thread or process may have been faster
            if not cached:
                _check_disk(wanted, remote.size or size or 0)
                _sweep(wanted, str(remote.etag))
                cached = _download(wanted, access)
            return verify(cached, etag=remote.etag)
    except FAILURES as error:
        raise translated(error, wanted) from error


def repo_state(repo_id: str, ref: str, *, token: str | None = None) -> tuple[str, dict[str, tuple[str | None, int]]]:
    """Ask the Hub what `ref` is now: its commit hash, and each file's (SHA-256 or None, bytes).

    The Hub states a SHA-256 for large files only; hash the others after `fetch`.
    """

    def ask() -> tuple[str, dict[str, tuple[str | None, int]]]:
        info = HfApi(token=token).model_info(repo_id, revision=ref, files_metadata=True)
        files = {
            file.rfilename: (file.lfs.sha256 if file.lfs else None, file.size or 0) for file in info.siblings or ()
        }
        return str(info.sha), files

    return _retrying(ask, Wanted(repo_id, "the list of files", ref, cache_folder(None)), None)


def bytes_on_disk(repo_id: str, *, cache_dir: str | PathLike[str] | None = None) -> int:
    """Return what a repository takes in the Hub cache, conversions and what it shares with others included."""
    return sum(_contents(Wanted(repo_id, "", "", cache_folder(cache_dir))).values())


def remove_repo(repo_id: str, *, cache_dir: str | PathLike[str] | None = None) -> int:
    """Remove a repository from the Hub cache, with what was noted or converted here; return the bytes freed.

    What other repositories share with it stays, and is not counted.
    """
    wanted = Wanted(repo_id, "the cache", "", cache_folder(cache_dir))
    contents = _contents(wanted)
    try:
        scan = scan_cache_dir(wanted.cache)
        commits = [commit.commit_hash for repo in scan.repos if repo.repo_id == repo_id for commit in repo.revisions]
        scan.delete_revisions(*commits).execute()  # also lets go of what other programs share with it
    except CacheNotFound:
        return 0
    except OSError as error:
        raise translated(error, wanted) from error
    shutil.rmtree(repo_folder(wanted), ignore_errors=True)  # what is left if no revision was ever whole
    return sum(size for path, size in contents.items() if not path.exists())


def _contents(wanted: Wanted) -> dict[Path, int]:
    """Return the bytes of each file of a repository, once, those in the cache's shared store included."""
    files = {path.resolve() for path in repo_folder(wanted).rglob("*") if path.is_file()}
    return {path: path.stat().st_size for path in files}


def sha256_of(path: Path, cancelled: Question | None = None) -> str:
    """Return the SHA-256 of a file, read in pieces of 1 MiB."""
    return _digest(path, hashlib.sha256(), cancelled)


def megabytes(size: int) -> str:
    """Write a number of bytes as megabytes (10^6), as in "245 MB" and "7.4 MB"."""
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def cache_folder(cache_dir: str | PathLike[str] | None = None) -> Path:
    """Return the Hub cache: `cache_dir`, or else huggingface_hub's own."""
    return Path(cache_dir or constants.HF_HUB_CACHE).expanduser().absolute()


def repo_folder(wanted: Wanted) -> Path:
    return wanted.cache / repo_folder_name(repo_id=wanted.repo_id, repo_type="model")


def cached_file(wanted: Wanted) -> Path | None:
    found = try_to_load_from_cache(wanted.repo_id, wanted.name, cache_dir=wanted.cache, revision=wanted.revision)
    return Path(found) if isinstance(found, str) else None


def is_commit(revision: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{40}", revision) is not None


def _is_sha256(etag: str | None) -> bool:
    return etag is not None and re.fullmatch(r"[0-9a-f]{64}", etag) is not None


def _remote(wanted: Wanted, access: HubAccess) -> HfFileMetadata:
    """Ask the Hub for commit, ETag and size, without the minutes of retrying that `hf_hub_download` spends on it."""
    token = access.given_token or get_token()
    if token and not re.fullmatch(r"[!-~]+", token):
        raise HubDenied(f"{BAD_TOKEN} It was needed for {wanted}.")

    def ask() -> HfFileMetadata:
        url = hf_hub_url(wanted.repo_id, wanted.name, revision=wanted.revision)
        metadata = get_hf_file_metadata(url, token=access.given_token, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        if metadata.commit_hash is None or metadata.etag is None:
            raise FileMetadataError("without commit hash or ETag")
        return metadata

    return _retrying(ask, wanted, access.cancelled)


def _download(wanted: Wanted, access: HubAccess) -> Path:
    def download() -> Path:
        with _PLAIN_HTTP:
            return Path(
                hf_hub_download(
                    wanted.repo_id,
                    wanted.name,
                    revision=wanted.revision,
                    cache_dir=wanted.cache,
                    token=access.given_token,
                    tqdm_class=_bar_class(access.progress, access.cancelled),
                )
            )

    return _retrying(download, wanted, access.cancelled)


class _PlainHttp:
    """Has huggingface_hub download without Xet inside, and as before once the last thread has left.

    The Xet client calls back from a thread of its own and drops what that raises, so that a download through it can't
    be stopped. The Hub serves every file both ways.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = constants.HF_HUB_DISABLE_XET
            self._inside += 1
            constants.HF_HUB_DISABLE_XET = True

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                constants.HF_HUB_DISABLE_XET = self._before


_PLAIN_HTTP = _PlainHttp()  # the constant belongs to the process, and so does this


def _retrying(action: Callable[[], Result], wanted: Wanted, cancelled: Question | None) -> Result:
    """Do `action`, again after a while if the Hub is busy, and turn what it raises into a `HubError`."""
    waits_s = list(RETRY_WAITS_S)
    while True:
        _stop_if(cancelled)
        try:
            return action()
        except FAILURES as error:
            problem = translated(error, wanted)
            if not waits_s or not isinstance(problem, HubBusy):
                raise problem from error
            logger.info("%s Trying again.", problem)
            _pause(min(max(waits_s.pop(0), seconds_to_wait(error)), LONGEST_WAIT_S), cancelled)


def _pause(seconds: float, cancelled: Question | None) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        _stop_if(cancelled)
        time.sleep(min(left, 0.1))


def _stop_if(cancelled: Question | None) -> None:
    if cancelled is not None and cancelled():
        raise Cancelled("Stopped. No partial file was kept.")


def _bar_class(progress: Progress | None, cancelled: Question | None) -> Any:
    """Make what huggingface_hub takes for a tqdm class; it reports to `progress` and raises when `cancelled`."""

    class Bar:
        def __init__(self, *, total: int | None = None, initial: int = 0, **_: Any) -> None:
            self.total, self.done, self.initial = total, initial, initial
            self.start = time.monotonic()
            self.update(0)

        def update(self, count: int = 1) -> None:
            _stop_if(cancelled)
            self.done += count
            if progress is not None:
                seconds = time.monotonic() - self.start
                progress(self.done, self.total, (self.done - self.initial) / seconds if seconds > 0 else 0.0)

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    return Bar


@contextmanager
def _lock(wanted: Wanted, cancelled: Question | None) -> Iterator[None]:
    """Keep other threads and processes from fetching the same file; the system frees the lock if we are killed."""
    path = wanted.cache / ".locks" / repo_folder(wanted).name / f"{wanted.name.replace('/', '--')}.glpn.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    while not lock.is_locked:
        _stop_if(cancelled)
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            continue
    try:
        yield
    finally:
        lock.release()


def _sweep(wanted: Wanted, etag: str) -> None:
    """Remove what downloads of this file left behind when they were killed, unless somebody is at it now."""
    repo = repo_folder(wanted)
    leftovers = tuple((repo / "blobs").glob(f"{etag}.*.incomplete"))
    if not leftovers:
        return
    try:
        with FileLock(wanted.cache / ".locks" / repo.name / f"{etag}.lock", timeout=0):  # huggingface_hub's own
            for leftover in leftovers:
                leftover.unlink(missing_ok=True)
    except Timeout:
        logger.info("Another program is downloading %s.", wanted)


def _check_disk(wanted: Wanted, size: int) -> None:
    folder = next(parent for parent in (wanted.cache, *wanted.cache.parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if free < size + SPARE_DISK_BYTES:
        raise HubStorage(
            f"{wanted} needs {megabytes(size)}, but the disk of {wanted.cache} has only {megabytes(free)} free. "
            "Free some space, or point HF_HOME at another disk."
        )


def _verified(
    path: Path,
    *,
    wanted: Wanted,
    sha256: str | None,
    size: int | None,
    access: HubAccess,
    etag: str | None = None,
) -> Path:
    """Return `path` if its content is what was expected; otherwise remove it and raise `HubCorrupt`."""
    stat = path.stat()
    record = record_path(path, wanted)
    known = None if access.force_download else read_record(record, stat)
    if known is not None and sha256 in (None, known):
        return path
    # The name of a blob in the Hub cache is the ETag with which it came.
    etag = path.readlink().name if path.is_symlink() else etag
    actual = sha256_of(path, access.cancelled)
    expected, found = sha256 or actual, actual
    if sha256 is None and etag is not None:
        if _is_sha256(etag):
            expected = etag
        elif is_commit(etag):  # a file outside LFS: its ETag is git's SHA-1 of it
            git = hashlib.sha1(f"blob {stat.st_size}\0".encode(), usedforsecurity=False)
            expected, found = etag, _digest(path, git, access.cancelled)
    if expected != found:
        _remove(path, record)
        raise _wrong_content(wanted, expected, found, "It was removed; try again.")
    if size not in (None, stat.st_size):
        _remove(path, record)
        raise HubCorrupt(f"{wanted} has {stat.st_size} bytes, not {size}. It was removed; try again.")
    write_record(record, stat, actual)
    return path


def _wrong_content(wanted: Wanted, expected: str, found: str, consequence: str) -> HubCorrupt:
    return HubCorrupt(
        f"{wanted} is not the expected file: its digest is {found}, not {expected}. {consequence} "
        "If that does not help, the file may have been modified: ask its owner before trusting it."
    )


def _remove(path: Path, record: Path) -> None:
    blob = path.parent / path.readlink() if path.is_symlink() else path
    for file in (record, blob.resolve(), blob, path):
        file.unlink(missing_ok=True)


def _digest(path: Path, hasher: Any, cancelled: Question | None) -> str:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            hasher.update(chunk)
            _stop_if(cancelled)
    return str(hasher.hexdigest())


def record_path(path: Path, wanted: Wanted) -> Path:
    """Where it is noted that a cached file was verified: next to the snapshots of its repository."""
    repo = repo_folder(wanted)
    return repo / "verified" / path.relative_to(repo / "snapshots").with_name(f"{path.name}.json")


def read_record(record: Path, stat: os.stat_result) -> str | None:
    """Return the SHA-256 noted for a file of this size and time, or None."""
    try:
        sha256, *rest = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    return sha256 if rest == [stat.st_size, stat.st_mtime_ns] else None


def write_record(record: Path, stat: os.stat_result, sha256: str) -> None:
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(record, json.dumps([sha256, stat.st_size, stat.st_mtime_ns]).encode())
    except OSError as error:
        logger.info("%s can't be written (%s): the file will be hashed again next time.", record, error)
