"""Which picture formats are read, told from a file's first bytes, and what each of them may cost.

The one list that the reader, the search of folders, the page and the messages share. Nothing here decodes pixels.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from PIL import Image, TiffImagePlugin

from .errors import PhotoTooLarge, PhotoUnreadable, printable

logger = logging.getLogger(__name__)

MAX_PHOTO_PIXELS = 50_000_000
MAX_SIDE = 30_000
MEMORY_PER_PIXEL = 12  # bytes: 600 MB for the largest photo
MAX_GIF_TEXT = 1_000_000  # bytes; Pillow joins them in a time that grows with their square


@dataclass(frozen=True)
class Format:
    """A format: the endings of its file names, and the peak of memory while it becomes 8-bit RGB, bytes a pixel.

    `python -m benchmarks.fuzz --costs` measures the peaks. JPEG 2000's is doubled, for its time: 0.5 s a megapixel.
    """

    suffixes: tuple[str, ...]
    bytes_per_pixel: float


# Left out on purpose: formats that start another program (EPS) or that no camera writes.
PHOTO_FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "JPEG": Format((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), 12),
        "PNG": Format((".png", ".apng"), 12),
        "HEIF": Format((".heic", ".heif", ".hif"), 12),
        "AVIF": Format((".avif",), 12),
        "WEBP": Format((".webp",), 17.5),
        "TIFF": Format((".tif", ".tiff"), 12),
        "JPEG2000": Format((".jp2", ".j2k", ".jpx"), 40),
        "GIF": Format((".gif",), 12),
        "BMP": Format((".bmp", ".dib"), 12),
        "PPM": Format((".ppm", ".pgm", ".pbm", ".pnm"), 12),
    }
)
PHOTO_SUFFIXES = tuple(suffix for kind in PHOTO_FORMATS.values() for suffix in kind.suffixes)
# Camera raw files. Most are TIFFs whose first picture is a thumbnail.
RAW_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "kdc", "mef", "mos", "mrw", "nef"),
        *("nrw", "orf", "pef", "raf", "raw", "rw2", "sr2", "srf", "srw", "x3f"),
    )
)

Starts = tuple[tuple[int, bytes], ...]
_RAW_STARTS: Starts = (
    (8, b"CR\x02"),
    (4, b"ftypcrx "),
    (0, b"FUJIFILMCCD-RAW"),
    (0, b"IIU\0"),
    (0, b"IIRO"),
    (0, b"IIRS"),
    (0, b"MMOR"),
    (0, b"FOVb"),
    (0, b"\0MRM"),
    (6, b"HEAPCCDR"),
)
# What else people bring, by (offset, bytes) of its beginning.
_OTHERS: dict[str, Starts] = {
    # Its plugin for Pillow decodes all pixels before it gives the size, so that no limit could hold.
    "a JPEG XL picture": ((0, b"\xff\x0a"), (4, b"JXL ")),
    "a Photoshop file": ((0, b"8BPS"),),
    "a GIMP file": ((0, b"gimp xcf"),),
    "a PDF": ((0, b"%PDF"),),
    "a video": ((4, b"ftypisom"), (4, b"ftypmp4"), (4, b"ftypqt"), (4, b"ftypM4V"), (0, b"\x1aE\xdf\xa3")),
    "a web page or a drawing": ((0, b"<"),),
    "an OpenEXR file": ((0, b"v/1\x01"),),
    "a Radiance HDR file": ((0, b"#?RADIANCE"),),
}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
# TIFF and DNG tags: NewSubfileType, PhotometricInterpretation, TileWidth, TileLength, DNGVersion.
_SUBFILE, _PHOTOMETRIC, _TILE_SIDES, _DNG_VERSION = 254, 262, (322, 323), 50706
_RAW_PHOTOMETRICS = (32803, 34892)  # color filter array, linear raw


def identify(file: BinaryIO, name: str) -> Any:
    """Read the header of an image file, and nothing else; return Pillow's image, with its pixels still undecoded.

    Pillow's `Image.open` would do, but refuses or warns by a limit of its own before it gives the size.
    Raises `PhotoUnreadable` for everything that is not a whole picture of `PHOTO_FORMATS`.
    """
    prefix = file.read(32)
    if not prefix:
        raise PhotoUnreadable(f"{printable(name)} is empty (0 bytes). Copy or export the photo again.")
    if Path(name).suffix.lower() in RAW_SUFFIXES or _starts(prefix, _RAW_STARTS):
        raise _raw(name)
    kind, make = _reader(prefix, name)
    animated = _check_gif(file, name) if kind == "GIF" else None
    file.seek(0)
    try:
        image = make(file, name)
    except Exception as error:  # decoders raise almost anything on foreign bytes
        logger.debug("A file that looks like %s could not be opened", kind, exc_info=error)
        raise PhotoUnreadable(
            f"{printable(name)} looks like {kind}, but is damaged or of a rare variant. Export it again, as JPEG or "
            "8-bit PNG."
        ) from None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiff(image, name)
    image.several = getattr(image, "is_animated", False) if animated is None else animated
    return image


def check_size(size: tuple[int, ...], name: str, max_pixels: int, kind: str | None = None) -> None:
    """Refuse a photo of `size` (height, width) that is empty or too large.

    A format that needs more than MEMORY_PER_PIXEL while it is decoded may have fewer pixels in proportion.
    """
    height, width = size
    name = printable(name)
    if height < 1 or width < 1:
        raise PhotoUnreadable(f"{name} has {width} × {height} pixels. Give a photo of at least 1 × 1.")
    if max(size) > MAX_SIDE:
        raise PhotoTooLarge(
            f"{name} has {width} × {height} pixels; a side may have {MAX_SIDE:,}. Cut or shrink it first."
        )
    cost = PHOTO_FORMATS[kind].bytes_per_pixel if kind is not None and kind in PHOTO_FORMATS else MEMORY_PER_PIXEL
    limit = max_pixels * min(1.0, MEMORY_PER_PIXEL / cost)
    if height * width > limit:
        most = f"the limit for {kind} is" if limit < max_pixels else "the limit is"
        raise PhotoTooLarge(
            f"{name} has {width} × {height} pixels ({height * width / 1e6:.1f} megapixels); {most} "
            f"{limit / 1e6:.3g} megapixels. Make it smaller first."
        )


def _reader(prefix: bytes, name: str) -> tuple[str, Any]:
    """Return the name in `PHOTO_FORMATS`, and Pillow's class, for a file that begins with `prefix`."""
    Image.init()
    if prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIF_BRANDS and b"avif" not in prefix:
        return "HEIF", _heif_class(name)
    for kind in PHOTO_FORMATS:
        make, accepts = Image.OPEN.get(kind, (None, None))
        if make is not None and accepts is not None and accepts(prefix[:16]) is True:
            return kind, make
    other = next((what for what, starts in _OTHERS.items() if _starts(prefix, starts)), None)
    what = f"{other}, which can't be read here" if other else "not an image of a known format"
    raise PhotoUnreadable(f"{printable(name)} is {what}. Export it as JPEG or PNG. Known: {', '.join(PHOTO_FORMATS)}.")


def _heif_class(name: str) -> Any:
    try:
        from pi_heif.as_plugin import HeifImageFile
    except ImportError:
        raise PhotoUnreadable(
            f"{printable(name)} is a HEIC photo. Install its reader (pip install pi-heif), or export it as JPEG first."
        ) from None
    return HeifImageFile


def _starts(prefix: bytes, starts: Starts) -> bool:
    return any(prefix[offset : offset + len(start)] == start for offset, start in starts)


def _raw(name: str) -> PhotoUnreadable:
    return PhotoUnreadable(
        f"{printable(name)} is a camera raw file, or holds a thumbnail only. Export it as JPEG or TIFF first, for "
        "example with darktable or RawTherapee."
    )


def _check_tiff(image: TiffImagePlugin.TiffImageFile, name: str) -> None:
    """Refuse a TIFF whose first picture is a thumbnail or sensor data, or whose tiles are far larger than itself."""
    tags = image.tag_v2
    subfile = tags.get(_SUBFILE, 0)
    thumbnail = isinstance(subfile, int) and subfile & 1
    if thumbnail or _DNG_VERSION in tags or tags.get(_PHOTOMETRIC) in _RAW_PHOTOMETRICS:
        raise _raw(name)
    for side in _TILE_SIDES:
        tile = tags.get(side, 0)
        if isinstance(tile, int) and tile > 2 * max(*image.size, 512):
            raise PhotoUnreadable(f"{printable(name)} is stored in tiles far larger than itself. Export it again.")


def _check_gif(file: BinaryIO, name: str) -> bool:
    """Return whether a GIF has several frames. Refuses one with more text than anybody writes (GIF89a, 20 to 26)."""
    file.seek(10)
    flags = file.read(3)[:1]
    _skip_palette(file, flags)
    frames = waste = 0
    while (block := file.read(1)) not in (b"", b";"):
        if block == b",":
            frames += 1
            if frames > 1:
                return True
            _skip_palette(file, file.read(9)[8:])
            file.seek(1, 1)
            _skip_blocks(file)
        else:  # an extension, or bytes between blocks, which Pillow passes over
            if block == b"!":
                file.seek(1, 1)
                waste += _skip_blocks(file)
            waste += 1
            if waste > MAX_GIF_TEXT:
                raise PhotoUnreadable(f"{printable(name)} holds over 1 MB of text. Export it again.")
    return False


def _skip_palette(file: BinaryIO, flags: bytes) -> None:
    if flags and flags[0] & 0x80:
        file.seek(3 << ((flags[0] & 7) + 1), 1)


def _skip_blocks(file: BinaryIO) -> int:
    """Skip a chain of blocks of up to 255 bytes; return its length."""
    total = 0
    while length := (file.read(1) or b"\0")[0]:
        file.seek(length, 1)
        total += length
    return total
