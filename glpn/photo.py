"""A photo in memory: any picture that a user may bring, upright, as 8-bit sRGB, with its EXIF data.

Decoding takes no lock and has a time limit. It runs in a thread, not in a process of its own: what a photo may cost is
bounded before its pixels are decoded (`formats.check_size`), so a limit on the process would only catch flaws of a
decoder, and starting a process costs 0.3 s and 40 MB a photo, needs `if __name__ == "__main__"` in every script on
Windows, and would copy the pixels. A thread that outlives its limit is left behind, with its photo and nothing else.
"""

import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image

from .errors import GLPNError, PhotoNotFound, PhotoTooLarge, PhotoUnreadable, printable
from .formats import MAX_PHOTO_PIXELS, check_size, identify
from .pixels import ON_SIDE, array_to_8_bit, to_srgb

logger = logging.getLogger(__name__)

MAX_READING_S = 60.0
# EXIF tags from which a camera is read (see `glpn.exif`), which a 360° picture does not have.
_LENS = (ExifTags.Base.FocalLength, ExifTags.Base.FocalLengthIn35mmFilm)
# Pillow comments on odd headers by warnings; what matters becomes a note or an error. Set once: warnings.catch_warnings
# swaps the filters of the whole process, so that photos of several threads would have to wait for one another.
warnings.filterwarnings("ignore", module=r"PIL\..*")

Size = tuple[int, int]
Exif = dict[int, int | float | str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Photo:
    """One photo, upright.

    rgb     (h, w, 3) uint8; smaller than `size` if `load_photo` was told that less is enough
    size    (height, width) of the photo itself, with its EXIF orientation applied
    name    file name, or "photo" where there is none
    exif    EXIF tag number -> int, float or str, those of the Exif folder included; no maker notes, no position
    notes   sentences that the user should see
    source  the path or bytes that `rgb` was decoded from, where it is smaller than `size`
    """

    rgb: np.ndarray
    size: Size
    name: str = "photo"
    exif: Exif = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str | PathLike[str] | bytes | None = field(default=None, repr=False)

    def whole(self) -> "Photo":
        """Return the photo with `rgb` at its own size, for which a smaller one is decoded again.

        Raises what `load_photo` raises if the file has gone or changed to something else.
        """
        if self.source is None:
            return self
        height, width = self.size
        return load_photo(self.source, max_pixels=height * width)


def load_photo(
    source: Any,
    *,
    max_pixels: int = MAX_PHOTO_PIXELS,
    at_least: Size | Callable[[Size], Size] | None = None,
    seconds: float | None = MAX_READING_S,
) -> Photo:
    """Load a photo from a path, encoded bytes, a Pillow image, a NumPy array or a torch tensor.

    The EXIF orientation is applied, transparency is laid on white, of an animation the first frame is taken, colors are
    converted to sRGB by the ICC profile. Gray, palette, 1-bit and CMYK pictures become RGB. Integers and floats of
    other ranges than 0…255 are scaled as `pixels.Levels.of` tells, with a note where that took a guess. Arrays are
    (H, W), (H, W, C) or (C, H, W) with 1 to 4 channels; where both fit, NumPy's are (H, W, C) and torch's (C, H, W).

    max_pixels    a larger photo is refused before it is decoded; decoding takes up to 12 bytes of memory a pixel
    at_least      (height, width) that `rgb` has to have, or a function that gives it from the photo's own (height,
                  width): a file is then decoded at 1/2, 1/4 or 1/8 where that is enough, a JPEG several times faster
    seconds       a file that takes longer to decode is given up; None waits for ever

    Raises `PhotoNotFound`, `PhotoTooLarge` or `PhotoUnreadable`.
    """
    if isinstance(source, Image.Image):
        filename = getattr(source, "filename", "")
        name = Path(filename).name or "photo"
        check_size((source.height, source.width), name, max_pixels)
        return _decode(source, name)
    if (array := _as_array(source)) is not None:
        return _from_array(array, max_pixels, channels_first=not isinstance(source, np.ndarray))
    open_file, name = _opener(source)
    photo = _within(seconds, partial(_from_file, open_file, name, max_pixels, at_least), name)
    return photo if photo.rgb.shape[:2] == photo.size else replace(photo, source=source)


def photo_size(source: Any) -> Size:
    """Return the (height, width) that `load_photo(source).size` would have; of a file only the header is read.

    Raises `PhotoNotFound` or `PhotoUnreadable`.
    """
    if (array := _as_array(source)) is not None:
        height, width = to_channels_last(array, prefer_first=not isinstance(source, np.ndarray)).shape[:2]
        return height, width
    if isinstance(source, Image.Image):
        return _upright_size(source)
    open_file, name = _opener(source)
    with open_file() as file:
        return _upright_size(identify(file, name))


def states_panorama(source: str | PathLike[str] | bytes) -> bool:
    """Return whether the metadata of a file say that it is a panorama (Google's Photo Sphere schema, as XMP).

    Only the header is read. Raises `PhotoNotFound` or `PhotoUnreadable`.
    """
    open_file, name = _opener(source)
    with open_file() as file:
        return _is_spherical(identify(file, name))


def tensor_to_array(tensor: Any) -> np.ndarray:
    """Return a torch tensor of any device and dtype as NumPy array; bfloat16, which NumPy lacks, as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def to_channels_last(array: np.ndarray, *, prefer_first: bool) -> np.ndarray:
    """View `array`, (H, W), (H, W, C) or (C, H, W) with C from 1 to 4, as (H, W, C).

    `prefer_first` decides where both could be meant. Raises `PhotoUnreadable` for any other shape and for no pixels.
    """
    if array.ndim == 2:
        array = array[..., None]
        prefer_first = False
    if array.ndim == 3 and array.size:
        for channels in ((1, 3, 4), (2,)):
            for axis in (0, 2) if prefer_first else (2, 0):
                if array.shape[axis] in channels:
                    return np.moveaxis(array, axis, -1)
    raise PhotoUnreadable(
        f"An array of shape {array.shape} is not a photo. Give (height, width), (height, width, channels) or "
        "(channels, height, width) with 1 to 4 channels and at least one pixel."
    )


def _as_array(source: Any) -> np.ndarray | None:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(source, torch.Tensor):
        return tensor_to_array(source)
    return source if isinstance(source, np.ndarray) else None


def _opener(source: Any) -> tuple[Callable[[], BinaryIO], str]:
    """Return what opens a path or bytes, and a name for messages."""
    if isinstance(source, bytes | bytearray | memoryview):
        return partial(io.BytesIO, source), "photo"
    if isinstance(source, str | PathLike):
        path = Path(os.fsdecode(source))
        return partial(_open, path), path.name
    raise PhotoUnreadable(
        f"A photo can't be a {type(source).__name__}. Give a path, the bytes of a file, a Pillow image or an array."
    )


def _open(path: Path) -> BinaryIO:
    shown = printable(repr(str(path)))
    try:
        if path.exists() and not path.is_file():
            raise OSError(None, "it is a folder" if path.is_dir() else "it is not a regular file")
        return path.open("rb")
    except FileNotFoundError:
        raise PhotoNotFound(f"Photo not found: {shown}. Check the path; download URLs first.") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise PhotoUnreadable(f"{shown} can't be opened: {reason}. Give a photo file that you may read.") from None


def _within(seconds: float | None, work: Callable[[], Photo], name: str) -> Photo:
    """Return what `work` returns, from a thread of its own; leave it behind if it takes longer than `seconds`."""
    outcome: list[Photo | BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # raised again by the caller's thread
            outcome.append(error)

    thread = threading.Thread(target=run, name="glpn-photo", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise PhotoUnreadable(
            f"{printable(name)} took longer than {seconds:g} s to decode and was given up. Export it again, as JPEG."
        )
    result = outcome.pop()
    if isinstance(result, Photo):
        return result
    if isinstance(result, GLPNError):  # its traceback would keep the decoded picture until the next garbage collection
        result.__traceback__ = None
    raise result


def _from_array(array: np.ndarray, max_pixels: int, *, channels_first: bool) -> Photo:
    array = to_channels_last(array, prefer_first=channels_first)
    size = array.shape[0], array.shape[1]
    check_size(size, "The array", max_pixels)
    levels, notes = array_to_8_bit(array, "The array")
    image = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else np.ascontiguousarray(levels))
    return Photo(rgb=to_srgb(image, "The array")[0], size=size, notes=notes)


def _from_file(
    open_file: Callable[[], BinaryIO], name: str, max_pixels: int, at_least: Size | Callable[[Size], Size] | None
) -> Photo:
    with open_file() as file:
        image = identify(file, name)
        check_size((image.height, image.width), name, max_pixels, "JPEG" if image.format == "MPO" else image.format)
        if at_least is None or image.format not in ("JPEG", "MPO"):
            return _decode(image, name, at_least=at_least)
        size = _upright_size(image)
        least = (at_least(size) if callable(at_least) else at_least)[:: -1 if _is_on_side(image) else 1]
        image.draft(None, (max(least[1], 1), max(least[0], 1)))
        return _decode(image, name, size=size)


def _decode(
    image: Any, name: str, *, size: Size | None = None, at_least: Size | Callable[[Size], Size] | None = None
) -> Photo:
    """Decode `image`; `size` is its own upright (height, width) if it was opened at less than that."""
    shown = printable(name)
    notes: tuple[str, ...] = ()
    try:
        # Of an MPO the other frames are previews.
        if getattr(image, "several", getattr(image, "is_animated", False)) and image.format != "MPO":
            notes += (f"{shown} has several frames; the first one is used.",)
        image.load()
        exif, more = _read_exif(image)
        notes += more
        if _is_spherical(image):
            exif = {tag: value for tag, value in exif.items() if tag not in _LENS}
            notes += (
                f"{shown} is a stitched or 360° panorama, which no pinhole camera takes: don't trust its metres.",
            )
        size = size or _upright_size(image)
        factor = _shrinking(size, at_least(size) if callable(at_least) else at_least) if at_least else 1
        rgb, more = to_srgb(image, name, orientation=exif.get(ExifTags.Base.Orientation, 1), factor=factor)
    except PhotoUnreadable:
        raise
    except MemoryError:
        raise PhotoTooLarge(f"{shown} needs more memory than there is. Make it smaller first.") from None
    except Exception as error:  # decoders raise almost anything on foreign bytes
        logger.debug("A photo could not be decoded", exc_info=error)
        raise PhotoUnreadable(f"{shown} is damaged or cut short. Copy or export it again.") from None
    return Photo(rgb=rgb, size=size, name=name, exif=exif, notes=notes + more)


def _shrinking(size: Size, least: Size) -> int:
    """Return by which of 8, 4, 2 and 1 a photo of `size` may be divided and still have `least` pixels a side."""
    return next((by for by in (8, 4, 2) if size[0] // by >= least[0] and size[1] // by >= least[1]), 1)


def _upright_size(image: Any) -> Size:
    return (image.width, image.height) if _is_on_side(image) else (image.height, image.width)


def _is_on_side(image: Any) -> bool:
    """Whether the stored rows are the columns of the upright photo, as far as it is known without decoding."""
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would decode it to look for more
        return False
    if image.format == "TIFF":  # Pillow gives its upright size, and turns it while decoding
        return False
    return _read_exif(image)[0].get(ExifTags.Base.Orientation) in ON_SIDE


def _is_spherical(image: Image.Image) -> bool:
    """Whether the XMP data says that this is a panorama (Google's Photo Sphere schema)."""
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return ("GPano:" if isinstance(xmp, str) else b"GPano:") in xmp


def _read_exif(image: Image.Image) -> tuple[Exif, tuple[str, ...]]:
    """Return the EXIF values that are numbers or text, and a note if the block is damaged; 0/0 means unknown."""
    try:
        tags = image.getexif()
        values = dict(tags) | dict(tags.get_ifd(ExifTags.IFD.Exif))
        plain = {tag: _plain(value) for tag, value in values.items() if isinstance(value, Real | str)}
        return {tag: value for tag, value in plain.items() if value == value}, ()
    except Exception:  # a damaged block raises almost anything, and the photo is good without it
        return {}, ("The EXIF data of the photo is damaged and was ignored.",)


def _plain(value: Any) -> int | float | str:
    return value if isinstance(value, int | str) else float(value)
