"""Rows of a data set on the Hub, copied to files as they stream by."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glpn.errors import ConfigError, DataError, HubError, printable
from glpn.files import write_atomically

DONE = "copied.json"  # stands next to the files of a split that is whole


@dataclass(frozen=True, kw_only=True)
class Rows:
    """One split of a data set on the Hub: "owner/name", and the fields that hold picture and depth."""

    repo_id: str
    split: str
    image: str
    depth: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"the split {self.split!r} of {self.repo_id}"


def copy_rows(rows: Rows, folder: Path, *, progress: Callable[[int], None] | None = None) -> int:
    """Copy pictures and depth to `folder`/rgb and `folder`/depth, as their bytes are; returns their number.

    Nothing else of the data set is stored. A copy that was stopped continues where it was; one that is whole makes no
    request. `progress` is told the number of rows so far.

    Raises `ConfigError` if the library `datasets` is missing or a field is, `HubError` if the data set can't be opened,
    and `DataError` if a row is not a picture with its depth.
    """
    done = folder / DONE
    if done.is_file():
        return int(json.loads(done.read_text(encoding="utf-8-sig"))["rows"])
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    number = sum(1 for _ in (folder / "rgb").iterdir())  # the picture is written last
    for row in _stream(rows, number):
        missing = [field for field in (rows.image, rows.depth) if field not in row]
        if missing:
            raise ConfigError(
                f"{rows.repo_id} has no field {' or '.join(missing)}; its rows have {printable(', '.join(row))}. Set "
                "`image` and `depth` in the recipe's [data]."
            )
        for part, field in (("depth", rows.depth), ("rgb", rows.image)):
            data, suffix = _as_file(row[field], rows, field)
            write_atomically(folder / part / f"{number:06d}{suffix}", data)
        number += 1
        if progress:
            progress(number)
    if not number:
        raise DataError(f"{rows} holds no rows.")
    write_atomically(done, json.dumps({"rows": number, "of": rows.repo_id, "split": rows.split}).encode())
    return number


def _stream(rows: Rows, skip: int) -> Iterator[Mapping[str, Any]]:
    try:
        datasets = import_module("datasets")
    except ModuleNotFoundError as error:
        raise ConfigError("Data sets of the Hub need the library datasets: pip install 'glpn[datasets]'.") from error
    try:
        stream = datasets.load_dataset(rows.repo_id, split=rows.split, revision=rows.revision, streaming=True)
        for field in (rows.image, rows.depth):  # the stored bytes, not a picture that has to be encoded again
            if isinstance((stream.features or {}).get(field), datasets.Image):
                stream = stream.cast_column(field, datasets.Image(decode=False))
        yield from stream.skip(skip)
    except (OSError, ValueError, RuntimeError) as error:
        raise HubError(
            f"{rows} can't be read: {printable(error).rstrip('.')}. Check its name, split and revision."
        ) from error


def _as_file(value: Any, rows: Rows, field: str) -> tuple[bytes, str]:
    """The bytes and the suffix of a field's value: stored bytes as they are, arrays as .npy."""
    if isinstance(value, Mapping) and value.get("bytes"):
        data = bytes(value["bytes"])
        try:
            with Image.open(io.BytesIO(data)) as image:
                return data, {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif"}[str(image.format)]
        except (OSError, KeyError) as error:
            raise DataError(f"The field {field!r} of {rows} holds no JPEG, PNG or TIFF.") from error
    buffer = io.BytesIO()
    if isinstance(value, Image.Image):
        value.save(buffer, "TIFF" if value.mode == "F" else "PNG")
        return buffer.getvalue(), ".tif" if value.mode == "F" else ".png"
    array = np.asarray(value, np.float32)
    if array.ndim != 2:
        raise DataError(
            f"The field {field!r} of {rows} is {array.shape}. Expected a picture, or depth of height × width."
        )
    np.save(buffer, array)
    return buffer.getvalue(), ".npy"
