"""A photo in memory: any picture that a user may bring, upright, as 8-bit RGB, with its EXIF data."""

import io
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from .errors import PhotoNotFound, PhotoTooLarge, PhotoUnreadable

MAX_PIXELS = 100_000_000
# What is tried on a file. Left out on purpose: formats that start another program (EPS) or that no camera writes.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "PPM", "JPEG2000")

_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
# EXIF 2.32, tag Orientation: what brings the stored rows and columns upright.
_UPRIGHT: dict[Any, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_filters = threading.Lock()  # warnings.catch_warnings swaps filters of the whole process

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
    """

    rgb: np.ndarray
    size: Size
    name: str = "photo"
    exif: Exif = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def load_photo(
    source: Any, *, max_pixels: int = MAX_PIXELS, at_least: Size | Callable[[Size], Size] | None = None
) -> Photo:
    """Load a photo from a path, encoded bytes, a Pillow image, a NumPy array or a torch tensor.

    The EXIF orientation is applied, transparency is laid on white, of an animation the first frame is taken. Grey,
    palette, 1-bit and CMYK pictures become RGB. 16-bit values are divided by 257; other integers and floats are read as
    0…1 (floats only), 0…255 or 0…65535, whichever is the first to hold them all, and stretched from their least to
    their greatest, with a note, if none does. Arrays are (H, W), (H, W, C) or (C, H, W) with 1 to 4 channels; where
    both fit, NumPy's are (H, W, C) and torch's (C, H, W).

    max_pixels    a larger photo is refused before it is decoded
    at_least      (height, width) that `rgb` has to have, or a function that tells it from the photo's own (height,
                  width): a JPEG is then decoded at 1/2, 1/4 or 1/8 where that is enough, several times faster

    Raises `PhotoNotFound`, `PhotoTooLarge` or `PhotoUnreadable`.
    """
    torch = sys.modules.get("torch")
    if isinstance(source, Image.Image):
        filename = getattr(source, "filename", "")
        return _from_image(source, Path(filename).name or "photo", max_pixels)
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels, channels_first=False)
    if torch is not None and isinstance(source, torch.Tensor):
        return _from_array(tensor_to_array(source), max_pixels, channels_first=True)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_file(io.BytesIO(source), "photo", max_pixels, at_least)
    if isinstance(source, str | PathLike):
        path = Path(os.fsdecode(source))
        with _open(path) as file:
            return _from_file(file, path.name, max_pixels, at_least)
    raise PhotoUnreadable(
        f"A photo can't be a {type(source).__name__}. Give a path, the bytes of a file, a Pillow image or an array."
    )


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
        f"An array of shape {array.shape} is no photo. Give (height, width), (height, width, channels) or "
        "(channels, height, width) with 1 to 4 channels and at least one pixel."
    )


def _open(path: Path) -> BinaryIO:
    try:
        if path.exists() and not path.is_file():
            raise OSError(None, "it is a folder" if path.is_dir() else "it is no regular file")
        return path.open("rb")
    except FileNotFoundError:
        raise PhotoNotFound(f"There is no photo {str(path)!r}. Check the path; download web links first.") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise PhotoUnreadable(
            f"{str(path)!r} can't be opened: {reason}. Give a photo file that you may read."
        ) from None


def _from_array(array: np.ndarray, max_pixels: int, *, channels_first: bool) -> Photo:
    array = to_channels_last(array, prefer_first=channels_first)
    size = array.shape[0], array.shape[1]
    _check_size(size, "The array", max_pixels)
    levels, notes = _to_8_bit(array, "The array")
    image = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else np.ascontiguousarray(levels))
    return Photo(rgb=np.array(_to_rgb(image)), size=size, notes=notes)


def _from_file(file: BinaryIO, name: str, max_pixels: int, at_least: Size | Callable[[Size], Size] | None) -> Photo:
    with _quiet():
        image = _identify(file, name)
    stored = image.height, image.width
    _check_size(stored, name, max_pixels)
    if at_least is not None and image.format in ("JPEG", "MPO"):  # formats whose EXIF is known before decoding
        step = -1 if _lies_on_side(_read_exif(image)[0]) else 1
        height, width = (at_least(stored[::step]) if callable(at_least) else at_least)[::step]
        image.draft(None, (max(width, 1), max(height, 1)))
    return _from_image(image, name, max_pixels, stored)


def _from_image(image: Image.Image, name: str, max_pixels: int, stored: Size | None = None) -> Photo:
    """Decode `image`, whose own (height, width) is `stored` if it was opened at less than that."""
    size = stored or (image.height, image.width)
    _check_size(size, name, max_pixels)
    notes: tuple[str, ...] = ()
    try:
        with _quiet():
            if getattr(image, "is_animated", False) and image.format != "MPO":  # an MPO's other frames are previews
                notes += (f"{name} has several frames; the first one is used.",)
        with _quiet() if image.format == "TIFF" else nullcontext():  # which comments on its tags even then
            image.load()
        exif, more = _read_exif(image)
        notes += more
        if image.mode == "F" or image.mode.startswith("I"):
            levels, more = _to_8_bit(np.asarray(image), name)
            image, notes = Image.fromarray(levels), notes + more
        transposition = _UPRIGHT.get(exif.get(_ORIENTATION, 1))
        rgb = np.array(_to_rgb(image if transposition is None else image.transpose(transposition)))
    except (PhotoUnreadable, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on foreign bytes
        raise PhotoUnreadable(f"{name} is damaged or cut short ({error}). Copy or export it again.") from error
    return Photo(rgb=rgb, size=size[::-1] if _lies_on_side(exif) else size, name=name, exif=exif, notes=notes)


def _identify(file: BinaryIO, name: str) -> Any:
    """Read the header of an image file, and nothing else.

    Pillow's `Image.open` would do, but refuses or warns by a limit of its own before it tells the size.
    """
    prefix = file.read(16)
    if not prefix:
        raise PhotoUnreadable(f"{name} is empty (0 bytes). Copy or export the photo again.")
    Image.init()
    for kind in FORMATS:
        make, accepts = Image.OPEN.get(kind, (None, None))
        if make is None or accepts is None or accepts(prefix) is not True:
            continue
        file.seek(0)
        try:
            return make(file, name)
        except Exception as error:  # decoders raise almost anything on foreign bytes
            raise PhotoUnreadable(
                f"{name} looks like {kind} but can't be read ({error}). Export it again, as JPEG or 8-bit PNG."
            ) from error
    raise PhotoUnreadable(
        f"{name} is no image of a known format: {', '.join(FORMATS)}. HEIC photos (iPhone) and camera raw files have "
        "to be exported as JPEG first."
    )


def _check_size(size: tuple[int, ...], name: str, max_pixels: int) -> None:
    height, width = size
    if height * width > max_pixels:
        raise PhotoTooLarge(
            f"{name} has {width} × {height} pixels ({height * width / 1e6:.1f} megapixels); the limit is "
            f"{max_pixels / 1e6:g} megapixels. Make it smaller first."
        )
    if height < 1 or width < 1:
        raise PhotoUnreadable(f"{name} has {width} × {height} pixels. Give a photo of at least 1 × 1.")


def _read_exif(image: Image.Image) -> tuple[Exif, tuple[str, ...]]:
    """Return the EXIF values that are numbers or text, and a note if the block is damaged."""
    try:
        with _quiet():
            tags = image.getexif()
            values = dict(tags) | dict(tags.get_ifd(_EXIF_IFD))
            return {tag: _plain(value) for tag, value in values.items() if isinstance(value, Real | str)}, ()
    except Exception:  # a damaged block raises almost anything, and the photo is good without it
        return {}, ("The EXIF data of the photo is damaged and was ignored.",)


def _plain(value: Any) -> int | float | str:
    return value if isinstance(value, int | str) else float(value)


def _lies_on_side(exif: Exif) -> bool:
    """Whether the stored rows are the columns of the upright photo."""
    return exif.get(_ORIENTATION) in (5, 6, 7, 8)


def _to_8_bit(values: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scale numbers of any range to uint8, as `load_photo` tells, and say so if that needed a guess."""
    if values.dtype == np.uint8:
        return values, ()
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255), ()
    if values.dtype.kind not in "uif":
        raise PhotoUnreadable(f"{name} holds {values.dtype}. Give integers or floats.")
    if values.dtype.kind == "f" and (strange := int(np.count_nonzero(~np.isfinite(values)))):
        raise PhotoUnreadable(
            f"{name} has {strange} values that are no numbers (NaN or infinity). Replace them first, for instance with "
            "numpy.nan_to_num."
        )
    low, high = float(values.min()), float(values.max())
    whites: tuple[float, ...] = (255.0, 65535.0)
    if values.dtype.kind == "f":
        whites = (1.0, 255.0, 65535.0)
    elif values.dtype.kind == "u" and values.dtype.itemsize == 2:
        whites = (65535.0,)
    black, white = 0.0, next((white for white in whites if low >= 0 and high <= white), None)
    notes: tuple[str, ...] = ()
    if white is None:
        black, white = low, high
        notes = (f"{name} has values from {low:g} to {high:g}; they were stretched to black and white.",)
    span = white - black
    gain = 255 / span if span > 1e-30 else 0.0
    levels = values.astype(np.result_type(values.dtype, np.float32)) * gain - black * gain
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8), notes


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB; transparent pixels are laid on white."""
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the warnings with which Pillow comments on headers; what matters becomes a note or an error."""
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
