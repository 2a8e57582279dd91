"""The photos of several files or of a zip: how many there are, what is passed over, and one at a time on disk."""

import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from glpn.errors import PhotoNotFound, PhotoTooLarge, PhotoUnreadable, printable
from glpn.files import file_stem
from glpn.folders import distinct, kind_passed_over

MOST_PHOTOS = 50
MOST_ENTRIES = 10_000  # of a zip
MOST_DIRECTORY_BYTES = 300 * MOST_ENTRIES  # of its list of contents
MOST_BYTES = 100_000_000  # of one photo


# What damaged or unknown zips raise: RuntimeError covers unknown versions and ways of packing.
UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError)
ENCRYPTED = 0x1  # of an entry's flags


@dataclass(frozen=True)
class Listed:
    """One photo: a file, or `entry` of a zip. `name` is the visitor's, `stem` that of its own results."""

    file: Path
    name: str
    stem: str
    entry: zipfile.ZipInfo | None = None

    @contextmanager
    def on_disk(self, folder: Path) -> Iterator[Path]:
        """Yield the photo's path; an entry of a zip is unpacked into `folder` for that time.

        Raises `PhotoTooLarge` or `PhotoUnreadable`.
        """
        if self.entry is None:
            yield self.file
            return
        path = folder / f"{self.stem}{PurePosixPath(self.name).suffix.lower()}"
        try:
            path.write_bytes(self._unpacked(self.entry))
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _unpacked(self, entry: zipfile.ZipInfo) -> bytes:
        if entry.flag_bits & ENCRYPTED:
            raise PhotoUnreadable(f"{printable(self.name)} is locked with a password. Unpack the zip first.")
        try:
            with zipfile.ZipFile(self.file) as archive, archive.open(entry) as source:
                data = source.read(MOST_BYTES + 1)  # whatever the zip's list of contents says
        except UNREADABLE:
            raise PhotoUnreadable(
                f"{printable(self.name)} can't be unpacked: the zip is damaged, or packed in a way that is not known "
                "here. Make the zip again."
            ) from None
        if len(data) > MOST_BYTES:
            raise PhotoTooLarge(f"{printable(self.name)} has over {MOST_BYTES // 1_000_000} MB. Export it smaller.")
        return data


@dataclass(frozen=True)
class PhotoList:
    photos: tuple[Listed, ...]
    note: str  # what was passed over, or ""


def list_photos(files: Sequence[str | Path]) -> PhotoList:
    """Return the photos of `files`, each a photo or a zip of photos in any folders.

    Raises `PhotoNotFound` if there is none, `PhotoTooLarge` if there are too many, `PhotoUnreadable` for a bad zip.
    """
    found: list[tuple[Path, str, zipfile.ZipInfo | None]] = []
    passed: Counter[str] = Counter()
    for file in map(Path, files):
        if file.suffix.lower() != ".zip":
            found.append((file, file.name, None))
            continue
        for entry in _entries(file):
            name = PurePosixPath(entry.filename.replace("\\", "/"))
            hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in name.parts)
            kind = "hidden files" if hidden else kind_passed_over(Path(name.name))
            if kind:
                passed[kind] += 1
            else:
                found.append((file, name.name, entry))
    if not found:
        raise PhotoNotFound("There is no photo yet. Choose photos, or a zip of photos.")
    if len(found) > MOST_PHOTOS:
        raise PhotoTooLarge(
            f"These are {len(found)} photos; at most {MOST_PHOTOS} are taken at once. For more, run "
            "`glpn estimate FOLDER` on your own machine."
        )
    stems = distinct(file_stem(name) for _, name, _ in found)
    photos = tuple(Listed(file, name, stem, entry) for (file, name, entry), stem in zip(found, stems, strict=True))
    listed = ", ".join(f"{kind} ({count})" for kind, count in sorted(passed.items()))
    return PhotoList(photos, f"Skipped: {listed}." if listed else "")


def _entries(file: Path) -> list[zipfile.ZipInfo]:
    try:
        with file.open("rb") as raw:  # ZipFile reads the whole list, which a stranger makes as long as the file
            end = zipfile._EndRecData(raw)  # type: ignore[attr-defined]
        if end and end[zipfile._ECD_SIZE] > MOST_DIRECTORY_BYTES:  # type: ignore[attr-defined]
            raise PhotoTooLarge(_too_many(file, "too many"))
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except PhotoTooLarge:
        raise
    except UNREADABLE:
        raise PhotoUnreadable(f"{printable(file.name)} is not a readable zip. Create it again.") from None
    if len(entries) > MOST_ENTRIES:
        raise PhotoTooLarge(_too_many(file, len(entries)))
    return entries


def _too_many(file: Path, count: int | str) -> str:
    return f"{printable(file.name)} holds {count} files. Put at most {MOST_PHOTOS} photos in it."
