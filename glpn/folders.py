"""Which photos a command line means: files, folders and patterns, with a reason for everything that is passed over."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import PhotoNotFound, printable
from .files import file_stem
from .formats import PHOTO_SUFFIXES, RAW_SUFFIXES
from .scene.export import FORMATS

# What `export.write` gives a picture's name; such a file is never taken for a photo.
OWN_ENDINGS = (
    "_depth_256_per_m.png",
    *(kind.suffix for kind in FORMATS.values() if Path(kind.suffix).suffix in PHOTO_SUFFIXES),
)


@dataclass(frozen=True)
class Found:
    """Photos with the stem that each one's files get, all different; and what was passed over, with the kind of it.

    The stem of a photo from a folder within a given folder starts with that folder, such as "more/a".
    """

    photos: tuple[tuple[Path, str], ...]
    skipped: tuple[tuple[Path, str], ...] = ()

    @property
    def summary(self) -> str:
        """Say in a sentence what was passed over, or return ""."""
        counts = Counter(kind for _, kind in self.skipped)
        listed = [f"{kind} ({count})" for kind, count in sorted(counts.items())]
        return f"Skipped: {', '.join(listed)}." if listed else ""


def find_photos(paths: Iterable[str | Path], *, recursive: bool = False) -> Found:
    """Return the photos that `paths` name: files as they are, those in folders, and those that match patterns.

    `~` and patterns such as `*.jpg` are expanded where the shell did not. Of a folder or pattern, hidden files, files
    that `export.write` made and files of other formats are passed over; `recursive` enters folders below, but no links.

    Raises `PhotoNotFound` if a folder or pattern holds no photo.
    """
    photos: list[tuple[Path, str]] = []  # with the folder, within the given one, that each lies in
    skipped: list[tuple[Path, str]] = []
    for given in paths:
        path = Path(os.path.expanduser(given))  # noqa: PTH111 - unlike Path.expanduser, leaves an unknown ~name as it is
        if path.is_dir():
            among = sorted(_files_in(path, recursive, skipped))
        elif not path.exists() and glob.has_magic(str(path)):
            among = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 - absolute patterns too
        else:
            photos.append((path, ""))
            continue
        passed = [(file, kind) for file in among if (kind := kind_passed_over(file))]
        skipped += passed
        taken = [file for file in among if not kind_passed_over(file)]
        if not taken:
            summary = Found((), tuple(passed)).summary
            raise PhotoNotFound(
                f"{printable(given)} holds no photo. Expected {', '.join(PHOTO_SUFFIXES)}. {summary}".strip()
            )
        photos += [(file, _folder_within(path, file)) for file in taken]
    stems = distinct(folder + file_stem(file.name) for file, folder in photos)
    return Found(tuple(zip((file for file, _ in photos), stems, strict=True)), tuple(skipped))


def _folder_within(given: Path, file: Path) -> str:
    """Return the folder of `file` relative to the folder `given`, with a slash at its end; "" for a pattern's files."""
    if not given.is_dir() or file.parent == given:
        return ""
    return file.parent.relative_to(given).as_posix() + "/"


def _files_in(folder: Path, recursive: bool, skipped: list[tuple[Path, str]]) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)
        folders[:] = [name for name in folders if not name.startswith(".")]
        if not recursive:
            skipped += [(Path(parent, name), "folders, which --recursive enters") for name in folders]
            return


def kind_passed_over(path: Path) -> str | None:
    """Say what a file is, by its name, if it isn't taken for a photo; None if it is."""
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return "hidden files"
    if path.name.lower().endswith(OWN_ENDINGS):
        return "files that glpn wrote"
    if suffix in RAW_SUFFIXES:
        return "camera raw files, to be exported as JPEG or TIFF"
    return None if suffix in PHOTO_SUFFIXES else "files of other kinds"


def distinct(stems: Iterable[str]) -> Iterator[str]:
    """Yield each stem, with a number behind it where it was there before."""
    taken: set[str] = set()
    for plain in stems:
        stem, number = plain, 2
        while stem in taken:
            stem, number = f"{plain}-{number}", number + 1
        taken.add(stem)
        yield stem
