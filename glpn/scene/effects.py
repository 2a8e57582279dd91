"""Pictures made from a photo and its depth, at the photo's own size. web/assets/effects.js makes them live in the page.

rgb is (H, W, 3) uint8, depth_m (H, W) float32 metres of the same size; unknown depth counts as infinitely far.
"""

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from glpn.bounds import APERTURE
from glpn.errors import ConfigError

from .geometry import is_measured
from .photo3d import resize, within

SOFT = 0.03  # share of the distance over which a cut-out fades
FOG = (222, 227, 233)
LINE = (13, 148, 136)
SHADE = 0.78  # brightness of every second band
LEVELS = 4  # of blur, between which pixels are mixed
MOST_BLUR = 0.02  # radius as a share of the width
BLUR_SIDE = 1000  # pixels, the longer side at which blur is worked out
STRIP_PIXELS = 500_000  # worked on at a time
CONTOUR_SIDE = 200  # samples along the longer side of the contour lines' grid
MOST_LINES = 400  # contour lines in one file
MAGMA = "#000004,#3b0f70,#8c2981,#de4968,#fe9f6d,#fcfdbf"  # magma (S. van der Walt, N. Smith; CC0), far to near


def cut_out(rgb: np.ndarray, depth_m: np.ndarray, distance_m: float) -> np.ndarray:
    """Keep what is nearer than `distance_m`: (H, W, 4) uint8 with a soft edge in the alpha channel."""
    _check(rgb, depth_m, distance_m)
    out = np.empty((*depth_m.shape, 4), np.uint8)
    out[..., :3] = rgb
    for strip in _strips(depth_m):
        t = ((_known(depth_m[strip]) - distance_m * (1 - SOFT)) / (2 * SOFT * distance_m)).clip(0, 1)
        out[strip][..., 3] = np.round(255 * (1 - t * t * (3 - 2 * t)))
    return out


def fog(rgb: np.ndarray, depth_m: np.ndarray, distance_m: float) -> np.ndarray:
    """Add fog that takes half of the contrast at `distance_m`: (H, W, 3) uint8."""
    _check(rgb, depth_m, distance_m)
    out, color = np.empty_like(rgb), np.array(FOG, np.float32)
    for strip in _strips(depth_m):
        clear = np.exp2(-((_known(depth_m[strip]) / distance_m) ** 2))[..., None]
        out[strip] = np.round(color + (rgb[strip] - color) * clear)
    return out


def bands(rgb: np.ndarray, depth_m: np.ndarray, every_m: float) -> np.ndarray:
    """Darken every second band of `every_m` metres and draw a line between bands: (H, W, 3) uint8."""
    _check(rgb, depth_m, every_m)
    band = np.empty(depth_m.shape, np.int32)
    for strip in _strips(depth_m):
        band[strip] = np.floor(_known(depth_m[strip]) / every_m).clip(0, 2**30)
    line = np.zeros(band.shape, bool)
    line[:, :-1] |= band[:, :-1] != band[:, 1:]
    line[:-1] |= band[:-1] != band[1:]
    shades = np.round(np.arange(256) * SHADE).astype(np.uint8)
    out = np.where((band % 2 == 1)[..., None], shades[rgb], rgb)
    out[line] = LINE
    return out


def blur(rgb: np.ndarray, depth_m: np.ndarray, focus_m: float, *, aperture: float = APERTURE.default) -> np.ndarray:
    """Keep `focus_m` sharp and blur what is nearer or farther: (H, W, 3) uint8.

    aperture  radius of the blur at infinity, a share of the width; no radius is larger than MOST_BLUR
    """
    _check(rgb, depth_m, focus_m)
    APERTURE.check(aperture)
    size = within(depth_m.shape, BLUR_SIDE)
    small = resize(rgb, size)
    small_m = Image.fromarray(_known(depth_m)).resize(size[::-1], Image.Resampling.BILINEAR)
    radius = _radius(np.asarray(small_m), focus_m, aperture) * size[1]
    most = MOST_BLUR * size[1]
    out = rgb.copy()
    for level in range(LEVELS):  # one after the other: at most two whole pictures are held
        blurred = np.round(_spread(small, radius, most * (level + 1) / LEVELS)).astype(np.uint8)
        blurred = resize(blurred, depth_m.shape)
        for strip in _strips(depth_m):
            place = _radius(_known(depth_m[strip]), focus_m, aperture)[..., None] * np.float32(LEVELS / MOST_BLUR)
            share = (place - level).clip(0, 1)
            mixed = out[strip] + share * (blurred[strip].astype(np.float32) - out[strip])
            out[strip] = np.round(mixed)
    return out


def contours_svg(rgb: np.ndarray, depth_m: np.ndarray, every_m: float) -> str:
    """Draw contour lines of `every_m` metres as SVG text in the photo's pixels, each titled with its depth.

    Raises ConfigError if that would be more than MOST_LINES lines.
    """
    _check(rgb, depth_m, every_m)
    z = _known(depth_m)
    height, width = z.shape
    ratio = min(1.0, CONTOUR_SIDE / max(z.shape))
    size = max(2, round(height * ratio)), max(2, round(width * ratio))
    grid = 1 / np.asarray(Image.fromarray(1 / z).resize(size[::-1], Image.Resampling.BOX), np.float64)
    first, last = math.ceil(grid.min() / every_m), math.floor(min(grid.max(), 1e3) / every_m)
    if last - first >= MOST_LINES:
        raise ConfigError(f"Lines every {every_m:g} m would be {last - first + 1}. Give a longer distance.")
    paths = []
    for i in range(first, last + 1):
        if lines := _segments(grid, i * every_m, (width, height)):
            paths.append(f'<path d="{lines}"><title>{i * every_m:.2f} m</title></path>')
    joined = "\n".join(paths)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        f'<g fill="none" stroke="#0d9488" stroke-width="{width / 500:.1f}">{joined}</g></svg>\n'
    )


def postcard_line(variant: str, worth: str) -> str:
    """Return what stands under a postcard; `worth` is what the metres are worth, such as "± 30 %"."""
    return f"Depth in metres ({worth}), estimated from one photo by {variant} · GLPN Depth Zoo"


def postcard(rgb: np.ndarray, depth_m: np.ndarray, *, line: str, side: int = 640) -> np.ndarray:
    """Place the photo next to its depth, with a scale in metres and one line of text: (h, w, 3) uint8."""
    _check(rgb, depth_m, 1.0)
    z = _known(depth_m)
    gap, bar = 24, 16
    ratio = side / max(z.shape)
    height, width = (2 * round(length * ratio / 2) for length in z.shape)
    near, far = 1 / np.percentile(1 / z, (98, 2))
    card = Image.new("RGB", (2 * width + 3 * gap, height + 132), "white")
    card.paste(Image.fromarray(resize(rgb, (height, width))), (gap, gap))
    nearness = np.asarray(Image.fromarray(1 / z).resize((width, height), Image.Resampling.BOX))
    card.paste(Image.fromarray(_colored((nearness - 1 / far) / max(1 / near - 1 / far, 1e-9))), (2 * gap + width, gap))
    ramp = np.broadcast_to(np.linspace(0, 1, width), (bar, width))
    card.paste(Image.fromarray(_colored(ramp)), (2 * gap + width, gap + height + 12))
    draw = ImageDraw.Draw(card)
    for share, anchor in ((0.0, "ls"), (0.25, "ms"), (0.5, "ms"), (0.75, "ms"), (1.0, "rs")):
        metres = 1 / (1 / far + share * (1 / near - 1 / far))
        place = (2 * gap + width * (1 + share), gap + height + 50)
        draw.text(place, f"{metres:.1f} m", "#0f172a", ImageFont.load_default(18), anchor)
    draw.text((gap, card.height - 24), line, "#0f172a", ImageFont.load_default(20), "ls")
    return np.asarray(card)


def _check(rgb: np.ndarray, depth_m: np.ndarray, metres: float) -> None:
    """Raise ConfigError for sizes that differ or an invalid distance."""
    if rgb.shape[:2] != depth_m.shape:
        raise ConfigError(
            f"The photo is {rgb.shape[1]} × {rgb.shape[0]} and the depth {depth_m.shape[1]} × {depth_m.shape[0]} "
            "pixels. Give both at the same size."
        )
    if not (math.isfinite(metres) and metres > 0):
        raise ConfigError(f"The distance is {metres!r}. Give metres above 0.")


def _known(depth_m: np.ndarray) -> np.ndarray:
    """Return the depth as float32 with unknown parts at 1 km."""
    return np.where(is_measured(depth_m), depth_m, np.float32(1e3)).astype(np.float32, copy=False)


def _strips(depth_m: np.ndarray) -> Iterator[slice]:
    """Yield slices of rows, so that what is worked out at a time stays small in large photos."""
    rows = max(1, STRIP_PIXELS // depth_m.shape[1])
    yield from (slice(top, top + rows) for top in range(0, depth_m.shape[0], rows))


def _radius(depth_m: np.ndarray, focus_m: float, aperture: float) -> np.ndarray:
    """Return the radius of the blur as a share of the width."""
    return np.minimum(np.float32(MOST_BLUR), np.float32(aperture) * np.abs(1 - np.float32(focus_m) / depth_m))


def _spread(rgb: np.ndarray, radius: np.ndarray, size: float) -> np.ndarray:
    """Average colors over about `size` pixels, weighted by how blurred each one is: sharp ones stay."""
    say = (np.minimum(1, radius / size) + 1e-3)[..., None].astype(np.float32)
    sums = np.concatenate([rgb * say, say], axis=-1)
    box = max(1, math.floor(size * 0.6 + 0.5))
    for _ in range(2):
        for axis in (1, 0):
            pad = [(box + 1, box) if a == axis else (0, 0) for a in range(3)]
            total = np.pad(sums, pad).cumsum(axis, dtype=np.float64)
            n = sums.shape[axis]
            ends = total.take(range(2 * box + 1, n + 2 * box + 1), axis)
            sums = ((ends - total.take(range(n), axis)) / (2 * box + 1)).astype(np.float32)
    return sums[..., :3] / sums[..., 3:]


def _segments(grid: np.ndarray, level: float, size: tuple[int, int]) -> str:
    """Marching squares: the path at `level` through each square of four samples of `grid`, in pixels of `size`."""
    over = grid >= level
    mixed = (over[:-1, :-1] != over[:-1, 1:]) | (over[:-1, :-1] != over[1:, 1:]) | (over[:-1, :-1] != over[1:, :-1])
    path = []
    for y, x in np.argwhere(mixed):
        corners = ((y, x), (y, x + 1), (y + 1, x + 1), (y + 1, x))
        cross = []
        for one, other in zip(corners, (*corners[1:], corners[0]), strict=True):
            if over[one] != over[other]:
                t = (level - grid[one]) / (grid[other] - grid[one])
                row, col = (a + t * (b - a) + 0.5 for a, b in zip(one, other, strict=True))
                cross.append(f"{col / grid.shape[1] * size[0]:.1f} {row / grid.shape[0] * size[1]:.1f}")
        path += [f"M{start}L{end}" for start, end in zip(cross[::2], cross[1::2], strict=True)]
    return "".join(path)


def _colored(share: np.ndarray) -> np.ndarray:
    """Color shares (h, w), 0 far and 1 near, as (h, w, 3) uint8."""
    stops = np.array([list(bytes.fromhex(stop[1:])) for stop in MAGMA.split(",")])
    at = share.clip(0, 1) * (len(stops) - 1)
    low = np.minimum(at.astype(np.intp), len(stops) - 2)
    part = (at - low)[..., None]
    return (stops[low] * (1 - part) + stops[low + 1] * part).astype(np.uint8)
