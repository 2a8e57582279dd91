"""A decoded picture to upright 8-bit sRGB, a band of rows at a time: memory stays near picture plus result."""

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from .errors import PhotoUnreadable, printable

logger = logging.getLogger(__name__)

BAND_PIXELS = 1_000_000
# White levels: 8 bits, and 10 to 16 bits as cameras and microscopes store them in 16.
WHITES = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
OVERSHOOT = 0.5  # of white: how far resampling and jitter take floats beyond black and white
DISPLAY_GAMMA = 1 / 2.2
# EXIF 2.32, tag Orientation: what brings a stored band upright.
_UPRIGHT: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BACKWARDS = (3, 4, 6, 7)  # the first stored row is the last row or column of the upright picture
ON_SIDE = (5, 6, 7, 8)  # orientations whose stored rows are columns of the upright picture

_COLOR_SPACES = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}
Convert = Callable[[Image.Image], Image.Image]


def to_srgb(
    image: Image.Image, name: str, *, orientation: object = 1, factor: int = 1
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return a decoded picture as (h, w, 3) uint8 sRGB, upright, and what the user should know about it.

    factor    shrink by this whole number, each pixel the mean of factor × factor

    Transparency is laid on white. Colors are converted from the picture's ICC profile, or its PNG gamma. Values of more
    than 8 bits are scaled as `Levels.of` decides.
    """
    convert, notes = _converter(image, name)
    height, width = -(-image.height // factor), -(-image.width // factor)
    on_side = orientation in ON_SIDE
    rgb = np.empty((width, height, 3) if on_side else (height, width, 3), np.uint8)
    for top, band in bands(image, factor):
        piece = convert(band)
        if factor > 1:
            piece = piece.reduce(factor)
        start, end = top // factor, top // factor + piece.height
        if orientation in _BACKWARDS:
            start, end = height - end, height - start
        if orientation in _UPRIGHT:
            piece = piece.transpose(_UPRIGHT[orientation])
        (rgb[:, start:end] if on_side else rgb[start:end])[...] = np.asarray(piece)
    return rgb, notes


def bands(image: Image.Image, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield (top row, band) of some BAND_PIXELS each; the rows of all but the last are a multiple of `multiple`."""
    rows = max(1, BAND_PIXELS // (image.width * multiple)) * multiple
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


@dataclass(frozen=True)
class Levels:
    """How numbers of any range become 8 bits: `black` to 0, `white` to 255, what lies beyond is clipped."""

    black: float
    white: float

    @classmethod
    def of(cls, parts: Iterable[np.ndarray], name: str) -> tuple["Levels", tuple[str, ...]]:
        """Choose black and white for values that come in `parts`, and say so where that took a guess.

        Integers are read as 0…255, or as 10, 12, 14 or 16 bits; floats also as 0…1, with up to half as much beyond
        clipped. The first range that holds all values counts. If none does, the minimum becomes black and the maximum
        white. Raises `PhotoUnreadable` for values that are not real numbers.
        """
        low, high, strange = np.inf, -np.inf, 0
        kind, wide = "u", False
        for part in parts:
            kind, wide = part.dtype.kind, part.dtype.itemsize > 1
            if kind not in "uif":
                raise PhotoUnreadable(f"{name} holds {part.dtype} values. Give integers or floats.")
            if kind == "f":
                strange += int(np.count_nonzero(~np.isfinite(part)))
            low, high = min(low, float(part.min())), max(high, float(part.max()))
        if strange:
            raise PhotoUnreadable(
                f"{name} has {strange} NaN or infinite values. Replace them first, for example with numpy.nan_to_num."
            )
        slack = OVERSHOOT if kind == "f" else 0.0
        whites = (1.0, *WHITES) if kind == "f" else WHITES
        white = next((one for one in whites if low >= -slack * one and high <= (1 + slack) * one), None)
        if white is None or (kind == "f" and white == 255 and high < 16):  # a sixteenth of white would be near black
            note = f"{name} has values from {low:g} to {high:g}; the smallest became black and the largest white."
            return cls(low, high), (note,)
        ordinary = white in (1.0, 255.0, 65535.0) and not (wide and kind == "u" and white == 255)
        if low < 0 or high > white:
            return cls(0, white), (f"{name} has values from {low:g} to {high:g}; read as 0 to {white:g} and clipped.",)
        if ordinary or high == 0:
            return cls(0, white), ()
        return cls(0, white), (f"{name} has values up to {high:g}; {white:g} was taken for white.",)

    def to_8_bit(self, values: np.ndarray) -> np.ndarray:
        """Return `values` as uint8."""
        span = self.white - self.black
        gain = 255 / span if span > 1e-30 else 0.0
        scaled = values.astype(np.result_type(values.dtype, np.float32)) * gain - self.black * gain
        return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def array_to_8_bit(values: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return an array of any real dtype as uint8, and notes, as `Levels.of` decides."""
    if values.dtype == np.uint8:
        return values, ()
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255), ()
    rows = max(1, BAND_PIXELS // max(1, values[0].size))
    parts = [values[top : top + rows] for top in range(0, len(values), rows)]
    levels, notes = Levels.of(parts, name)
    result = np.empty(values.shape, np.uint8)
    for top, part in zip(range(0, len(values), rows), parts, strict=True):
        result[top : top + rows] = levels.to_8_bit(part)
    return result, notes


def _converter(image: Image.Image, name: str) -> tuple[Convert, tuple[str, ...]]:
    """Return what makes RGB of a band of `image`, and notes."""
    if image.mode == "F" or image.mode.startswith("I"):
        levels, notes = Levels.of((np.asarray(band) for _, band in bands(image)), printable(name))
        return lambda band: Image.fromarray(levels.to_8_bit(np.asarray(band))).convert("RGB"), notes
    transparent = "A" in image.getbands() or image.info.get("transparency") is not None
    colors, notes = _color_converter(image, name)

    def convert(band: Image.Image) -> Image.Image:
        if not transparent:
            return colors(band)
        band = band.convert("RGBA")
        page = Image.new("RGB", band.size, "white")
        page.paste(colors(band.convert("RGB")), mask=band.getchannel("A"))
        return page

    return convert, notes


def _color_converter(image: Image.Image, name: str) -> tuple[Convert, tuple[str, ...]]:
    """Return what brings a band to sRGB, by the ICC profile or the PNG gamma of `image` if there is one, and notes."""
    if profile := image.info.get("icc_profile"):
        try:
            transform, mode = _icc_transform(profile, image.mode)
        except Exception as error:  # a damaged profile raises almost anything, and the picture is good without it
            logger.debug("A color profile was ignored", exc_info=error)
            return _plain_rgb, (f"The color profile of {printable(name)} can't be used; its colors may be off.",)
        if transform is None:
            return _plain_rgb, ()
        return lambda band: transform.apply(band if band.mode == mode else band.convert(mode)), ()
    gamma = image.info.get("gamma")
    if (
        isinstance(gamma, float)
        and 0.05 < gamma < 5
        and abs(gamma / DISPLAY_GAMMA - 1) > 0.1
        and "srgb" not in image.info
    ):
        table = [round(255 * (level / 255) ** (DISPLAY_GAMMA / gamma)) for level in range(256)] * 3
        note = f"{printable(name)} states a gamma of 1/{1 / gamma:.3g}; it was converted to 1/2.2."
        return lambda band: _plain_rgb(band).point(table), (note,)
    return _plain_rgb, ()


def _plain_rgb(band: Image.Image) -> Image.Image:
    return band if band.mode == "RGB" else band.convert("RGB")


def _icc_transform(data: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """Return the transform from an ICC profile to sRGB and the mode it takes; None for sRGB itself."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    space = profile.profile.xcolor_space.strip()
    takes = {"CMYK": "CMYK", "L": "L", "LA": "RGB", "1": "L"}.get(mode, "RGB")
    if _COLOR_SPACES[takes] != space:
        if space == "GRAY" or takes == "L":  # a gray picture with a color profile, or the reverse: nothing to correct
            return None, takes
        raise ValueError(f"a {space} profile on a {mode} picture")
    if "srgb" in ImageCms.getProfileDescription(profile).lower():
        return None, takes
    srgb = ImageCms.createProfile("sRGB")
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    transform = ImageCms.buildTransform(profile, srgb, takes, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags)
    return transform, takes
