"""EXIF data to Camera: what a photo's own file tells about its lens (Exif 3.0, CIPA DC-008)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL.ExifTags import IFD, Base

from .camera import FILM_DIAGONAL_MM, FILM_FOCAL_MM, Camera, by_sides, number, same_shape, short_text
from .errors import printable
from .pixels import ON_SIDE

Size = tuple[int, int]

# FocalPlaneResolutionUnit; 2 and 3 are Exif's, 4 and 5 are written by some cameras.
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_APPLE_PANORAMA = 6  # of CustomRendered
_SPHERICAL_MODELS = ("theta", "insta360", "gopro max", "gear 360", "360 one", "qoocam", "fusion")
_WIDEST_FRAME = 2.5  # long side by short side; no sensor is wider, and stitched panoramas are
# Frames as cameras record them: 4:3, 3:2, 16:9, 1:1, 5:4, 18:9, 19.5:9, 21:9.
_FRAMES = (4 / 3, 3 / 2, 16 / 9, 1.0, 5 / 4, 2.0, 19.5 / 9, 21 / 9)
_PHONE_LENS_MM = 12.0  # real focal lengths below this belong to phones, whose sensors are 4:3


def camera_from_exif(exif: Mapping[int, Any], size: Size) -> tuple[Camera | None, tuple[str, ...]]:
    """Read the focal length; return the camera, or None if EXIF does not give it, and notes for the user.

    exif    Pillow's `Exif`, or a mapping of tag numbers, flat or with the Exif folder under 0x8769
    size    (height, width) of the photo with its orientation applied

    FocalLengthIn35mmFilm is a diagonal measure (CIPA DCG-001) that rises in whole millimetres; FocalLength with
    FocalPlaneResolution is finer, but some cameras write it wrongly. So the latter is used where it agrees with the
    former within a tenth, or stands alone. FocalLengthIn35mmFilm is taken to include digital zoom (phones write it
    so); FocalLength is the lens's own and is multiplied by DigitalZoomRatio. A photo of another shape than
    PixelXDimension × PixelYDimension was cropped: as little as possible about its center, we assume; and a photo whose
    shape no camera records was cropped from a 4:3 (phones) or 3:2 frame. Panoramas have no focal length.
    """
    reader = _Reader(_flat(exif))
    film_mm = reader.read(Base.FocalLengthIn35mmFilm, *FILM_FOCAL_MM)
    focal_mm = reader.read(Base.FocalLength, 0.5, 5000)
    zoom = reader.read(Base.DigitalZoomRatio, 1, 200) or 1.0
    if not film_mm and not focal_mm:
        return None, tuple(reader.notes)
    taken, scale = _taken_size(reader, size)
    if what := _panorama(reader.tags, taken):
        note = f"The photo is {what}, which no pinhole camera takes; the lens in its EXIF data is ignored."
        return None, (*reader.notes, note)

    frame = _whole_frame(reader, taken, focal_mm)
    film_px = film_mm and film_mm * math.hypot(*frame) / FILM_DIAGONAL_MM
    focal_px = _choose(reader, film_px, _plane_focal_px(reader, focal_mm, taken), zoom)
    if not focal_px:
        if focal_mm:
            reader.notes.append(
                "EXIF gives the lens's focal length, but not the sensor's size; the field of view stays unknown."
            )
        return None, tuple(reader.notes)
    if zoom > 1:
        reader.notes.append(
            f"The photo was taken with digital zoom ({zoom:.3g}×); the focal length takes it into account."
        )
    return Camera.centered(focal_px * scale, size, source="exif"), tuple(reader.notes)


@dataclass
class _Reader:
    """The tags of one photo, and the notes that reading them gives rise to."""

    tags: Mapping[int, Any]
    notes: list[str] = field(default_factory=list)

    def read(self, tag: Base, least: float, most: float) -> float | None:
        """Return the value if it is within bounds; 0 and 0/0 mean unknown and are ignored silently."""
        value = number(self.tags.get(tag))
        if self.tags.get(tag) is None or value == 0 or _is_unknown(self.tags[tag]):
            return None
        if value is None or not least <= value <= most:
            self.notes.append(f"EXIF {tag.name} is {short_text(self.tags[tag])}, which is implausible; it is ignored.")
            return None
        return value


def _is_unknown(value: Any) -> bool:
    """Whether a rational is 0/0: as a pair, or as the NaN that Pillow makes of it."""
    return value == (0, 0) or value != value


def _flat(exif: Mapping[int, Any]) -> dict[int, Any]:
    """Return IFD0 and the Exif folder as one mapping of tag numbers."""
    folder = exif.get_ifd(IFD.Exif) if hasattr(exif, "get_ifd") else exif.get(IFD.Exif)
    return {**dict(exif), **(dict(folder) if isinstance(folder, Mapping) else {})}


def _taken_size(reader: _Reader, size: Size) -> tuple[Size, float]:
    """Return the size (height, width) at which the camera took the photo, upright, and the photo's scale against it."""
    tags = reader.tags
    height, width = number(tags.get(Base.ExifImageHeight)), number(tags.get(Base.ExifImageWidth))
    if not height or not width or height < 1 or width < 1:
        return size, 1.0
    upright = (int(height), int(width))
    turned = upright[::-1]
    if tags.get(Base.Orientation) in ON_SIDE:
        upright, turned = turned, upright
    # Some software turns the pixels and leaves these two tags, or the orientation, as they were.
    taken = turned if same_shape(turned, size) and not same_shape(upright, size) else upright
    scale = max(size[0] / taken[0], size[1] / taken[1])
    if not same_shape(taken, size):
        reader.notes.append(
            f"The photo is {by_sides(size)}, but was taken as {by_sides(taken)}: it was cropped, assuming about its "
            "center."
        )
    elif abs(scale - 1) > 0.01:
        reader.notes.append(
            f"The photo is {by_sides(size)}, but was taken as {by_sides(taken)}: it was resized, assuming not cropped."
        )
    return taken, scale


def _panorama(tags: Mapping[int, Any], taken: Size) -> str | None:
    """Say what the photo is if no pinhole camera took it, else return None."""
    aspect = max(taken) / min(taken)
    model = printable(tags.get(Base.Model, "")).lower()
    if abs(aspect - 2) < 0.01 and any(name in model for name in _SPHERICAL_MODELS):
        return "a 360° picture"
    if tags.get(Base.CustomRendered) == _APPLE_PANORAMA or aspect > _WIDEST_FRAME:
        return "a stitched panorama or a strip of one photo"
    return None


def _whole_frame(reader: _Reader, taken: Size, focal_mm: float | None) -> Size:
    """Return the frame to which a 35 mm equivalent belongs: `taken`, or what it was probably cropped from.

    Phones and editors crop a photo and write the new size into EXIF, but leave the lens's equivalent as it was.
    """
    height, width = taken
    aspect = max(taken) / min(taken)
    by_camera = Base.Model in reader.tags and min(taken) >= 200
    if not by_camera or any(abs(aspect / frame - 1) < 0.02 for frame in _FRAMES):
        return taken
    native = 4 / 3 if focal_mm and focal_mm < _PHONE_LENS_MM else 3 / 2
    reader.notes.append(
        f"No camera records {by_sides(taken)}: the photo was probably cropped. Its focal length is that of a whole "
        f"{'4:3' if native == 4 / 3 else '3:2'} frame around it, at least; metres may be too small."
    )
    long_side = max(max(taken), round(min(taken) * native))
    short_side = round(long_side / native)
    return (short_side, long_side) if width >= height else (long_side, short_side)


def _plane_focal_px(reader: _Reader, focal_mm: float | None, taken: Size) -> float | None:
    """Return the focal length in pixels of the taken photo, from millimetres and the sensor's pixels per unit."""
    tags = reader.tags
    across, down = number(tags.get(Base.FocalPlaneXResolution)), number(tags.get(Base.FocalPlaneYResolution))
    if not focal_mm or not (across or down):
        return None
    unit_mm = _UNIT_MM.get(int(number(tags.get(Base.FocalPlaneResolutionUnit)) or 2), 25.4)
    per_mm = (across or down or 0.0) / unit_mm
    sensor_mm = max(taken) / per_mm if per_mm > 0 else 0.0
    if not 1 <= sensor_mm <= 100:
        reader.notes.append(f"EXIF FocalPlaneXResolution means a sensor {sensor_mm:.3g} mm wide; it is ignored.")
        return None
    return focal_mm * per_mm


def _choose(reader: _Reader, film_px: float | None, plane_px: float | None, zoom: float) -> float | None:
    """Return the focal length in pixels: the lens's where it stands alone or agrees with the film equivalent."""
    if not plane_px:
        return film_px
    plane_px *= zoom
    if not film_px or abs(plane_px / film_px - 1) < 0.1:
        return plane_px
    reader.notes.append(
        f"EXIF contradicts itself: FocalLengthIn35mmFilm means {film_px:.0f} px, FocalPlaneXResolution {plane_px:.0f} "
        "px; the former is used."
    )
    return film_px
