"""Depth in colors next to its color bar in metres: a picture that explains itself without a page around it."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .figures import color_indices, colorize
from .geometry import depth_range
from .look import DEFAULT_LOOK, Look

INK, PAPER = "#1f2937", "#ffffff"
MOST_TICKS = 8


def depth_picture(depth_m: np.ndarray, look: Look = DEFAULT_LOOK, *, note: str = "", side: int = 1024) -> Image.Image:
    """Draw `depth_m` (H, W), metres, in colors with its color bar.

    note   a line under both, such as the uncertainty
    side   pixels of the map's longer side at most; a smaller map keeps its size, but for a least height of 160
    """
    colored = Image.fromarray(colorize(depth_m, look))
    scale = min(side / max(colored.size), max(1.0, 160 / colored.height))
    colored = colored.resize((max(round(colored.width * scale), 1), max(round(colored.height * scale), 1)))
    text = max(12, min(round(colored.height / 26), 28))
    font = ImageFont.load_default(text)
    bar = text * 6
    lines = _wrapped(note, font, colored.width + bar - text) if note else []
    picture = Image.new(
        "RGB", (colored.width + bar, colored.height + len(lines) * round(1.4 * text) + text // 2), PAPER
    )
    picture.paste(colored, (0, 0))
    box = (colored.width + text, 2 * text, colored.width + 2 * text, colored.height - text)
    draw_color_bar(picture, depth_m, look, box)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((text // 2, colored.height + round((1.4 * number + 0.3) * text)), line, INK, font)
    return picture


def draw_color_bar(
    picture: Image.Image, depth_m: np.ndarray, look: Look, box: tuple[int, int, int, int], *, ink: str = INK
) -> None:
    """Draw the color bar of `depth_m` into `box` (left, top, right, bottom); "m" above it, its numbers to the right."""
    left, top, right, bottom = box
    _, palette = color_indices(depth_m[:1, :1], look)
    height = bottom - top
    rows = np.linspace(255, 0, height).round().astype(int)
    picture.paste(Image.fromarray(palette[rows][:, None]).resize((right - left, height)), (left, top))
    draw = ImageDraw.Draw(picture)
    size = right - left
    font = ImageFont.load_default(size)
    near, far = depth_range(depth_m, look.range_m)
    draw.text((left, top - 0.4 * size), "m", ink, font, "ls")
    for metres in ticks(near, far):
        y = bottom - 1 - (metres - near) / (far - near) * (height - 1)
        draw.line([(right, y), (right + size // 3, y)], ink, max(1, size // 12))
        draw.text((right + size // 2, y), f"{metres:g}", ink, font, "lm")


def ticks(near: float, far: float) -> list[float]:
    """Return round numbers from `near` to `far`: in steps of 1, 2 or 5 powers of ten, at most MOST_TICKS."""
    least = (far - near) / (MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
    first, last = math.ceil(near / step - 1e-9), math.floor(far / step + 1e-9)
    return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
