"""Names of files, and writing them so that nobody ever sees half of one."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_STEM_BYTES = 200  # of a file name's 255, which its suffix and that of a temporary file share


@contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Yield the name of a file to write next to `path`. It takes that place once it is whole, and goes if it is not.

    lasting   whether it has to be whole after the machine has stopped as well, for which the disk is waited for
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield part
        if lasting:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write `data` to `path`, so that a reader sees the old file or the new one. `lasting` as in `replacing`."""
    with replacing(path, lasting=lasting) as part:
        part.write_bytes(data)


def file_stem(name: str) -> str:
    """Return a stem for the files of the photo called `name`: at most MAX_STEM_BYTES, "photo" where none is left."""
    stem = Path(name).stem
    data = os.fsencode(stem)
    if len(data) > MAX_STEM_BYTES:
        stem = data[:MAX_STEM_BYTES].decode(errors="ignore")
    return stem if stem.strip(". ") else "photo"


def utf8_name(name: str) -> str:
    """Return a file's name for inside another file: bytes that are not UTF-8 (see PEP 383) become "_"."""
    return re.sub("[\ud800-\udfff]", "_", name)
