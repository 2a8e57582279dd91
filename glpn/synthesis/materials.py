"""Colors, procedural textures and the bank from which a scene's materials are drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

from .dice import Dice

TEXTURE_SIZE = 128
_Y, _X = np.mgrid[0:TEXTURE_SIZE, 0:TEXTURE_SIZE].astype(np.float32) / TEXTURE_SIZE


@dataclass(frozen=True)
class Material:
    """How a surface looks: a texture of the bank, its repeats per metre, a tint, highlights and own light."""

    texture: int
    repeats_per_m: float
    offset: tuple[float, float]
    tint: tuple[float, float, float]
    gloss: float
    shininess: float
    emission: float


# ------------------------------------------------------------------------------------------------------------ colors


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Return the (3,) float32 RGB of a hue, saturation and value, all 0 to 1."""
    channel = (np.array([5.0, 3.0, 1.0]) + 6 * hue) % 6
    return (value * (1 - saturation * np.clip(np.minimum(channel, 4 - channel), 0, 1))).astype(np.float32)


_FAMILIES = {"any": 0.25, "gray": 0.15, "wood": 0.2, "light": 0.2, "dark": 0.1, "pastel": 0.1}


def color(dice: Dice, families: str | Mapping[str, float] = MappingProxyType(_FAMILIES)) -> np.ndarray:
    """Return a (3,) float32 color, display-referred 0 to 1, of one family of colors."""
    match families if isinstance(families, str) else dice.pick(families):
        case "gray":
            return hsv(dice.uniform(0, 1), dice.uniform(0, 0.08), dice.uniform(0.1, 0.8))
        case "wood":
            return hsv(dice.uniform(0.04, 0.11), dice.uniform(0.3, 0.75), dice.uniform(0.15, 0.75))
        case "light":
            hue = dice.uniform(0.05, 0.2) if dice.chance(0.6) else dice.uniform(0, 1)
            return hsv(hue, dice.uniform(0, 0.15), dice.uniform(0.65, 0.92))
        case "dark":
            return hsv(dice.uniform(0, 1), dice.uniform(0, 0.5), dice.uniform(0.03, 0.15))
        case "pastel":
            return hsv(dice.uniform(0, 1), dice.uniform(0.1, 0.4), dice.uniform(0.5, 0.9))
        case _:
            return hsv(dice.uniform(0, 1), dice.uniform(0.2, 0.95), dice.uniform(0.15, 0.9))


# ----------------------------------------------------------------------------------------------------------- textures
# Each maker returns (128, 128, 3) float32, display-referred, and repeats without a seam where the material does.


def noise(dice: Dice, roughness: float, *, stretch: float = 1.0) -> np.ndarray:
    """Return (128, 128) float32 periodic noise, mean 0, deviation 1, whose spectrum falls with f^-roughness.

    `stretch` below 1 draws the grain out along x.
    """
    fy = np.fft.fftfreq(TEXTURE_SIZE)[:, None] * TEXTURE_SIZE
    fx = np.fft.rfftfreq(TEXTURE_SIZE)[None] * TEXTURE_SIZE / stretch
    frequency = np.hypot(fx, fy)
    frequency[0, 0] = np.inf
    phases = dice.rng.normal(size=(2, *frequency.shape))
    field = np.fft.irfft2((phases[0] + 1j * phases[1]) / frequency**roughness, s=(TEXTURE_SIZE, TEXTURE_SIZE))
    return ((field - field.mean()) / (field.std() + 1e-6)).astype(np.float32)


def _mix(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    return low + (high - low) * share[..., None].astype(np.float32)


def _plain(dice: Dice) -> np.ndarray:
    return color(dice) * (1 + dice.uniform(0, 0.04) * noise(dice, dice.uniform(0.3, 1.5)))[..., None]


def _wall(dice: Dice) -> np.ndarray:
    paint = color(dice, {"light": 0.7, "pastel": 0.15, "gray": 0.1, "any": 0.05})
    return paint * (1 + dice.uniform(0, 0.03) * noise(dice, dice.uniform(0.3, 2)))[..., None]


def _cloudy(dice: Dice) -> np.ndarray:
    return _mix(color(dice), color(dice), np.clip(0.5 + 0.3 * noise(dice, dice.uniform(0.6, 1.8)), 0, 1))


def _wood(dice: Dice) -> np.ndarray:
    light = color(dice, "wood")
    if dice.chance(0.4):
        rings = dice.integer(2, 8) * _Y + 0.35 * noise(dice, 1.8, stretch=3)
        grain = 0.5 + 0.5 * np.sin(2 * np.pi * rings) * dice.uniform(0.3, 1)
    else:
        grain = np.clip(0.5 + 0.35 * noise(dice, dice.uniform(0.8, 1.4), stretch=dice.uniform(4, 12)), 0, 1)
    texture = _mix(light, light * dice.uniform(0.4, 0.85), grain)
    if dice.chance(0.55):  # boards
        rows = dice.integer(2, 8)
        row = (_Y * rows).astype(int)
        along = 2 * (_X + dice.rng.random(rows)[row])
        shade = 1 + 0.25 * (dice.rng.random((rows, 4)) - 0.5)
        texture = texture * shade[row, along.astype(int) % 4][..., None].astype(np.float32)
        gaps = ((_Y * rows) % 1 < 0.05) | (along % 1 < 0.012)
        texture = np.where(gaps[..., None], texture * dice.uniform(0.3, 0.8), texture)
    return texture


def _courses(dice: Dice, *, aspect: int, bond: bool) -> np.ndarray:
    """Tiles (aspect 1) or bricks (aspect 2), every second course shifted by half if `bond`."""
    across = dice.integer(2, 8)
    down = across * aspect
    row = (_Y * down).astype(int)
    x = _X * across + (row % 2) * (0.5 if bond else 0)
    column = x.astype(int) % across
    own = dice.rng.random((down, across))[row, column]
    share = dice.pick((own, (row + column) % 2, 0.2 * own))
    texture = _mix(color(dice), color(dice), share) * (1 + dice.uniform(0, 0.1) * noise(dice, 1.2))[..., None]
    gap = dice.uniform(0.01, 0.1)
    joints = ((_Y * down) % 1 < gap) | (x % 1 < gap / aspect)
    return np.where(joints[..., None], color(dice, {"light": 1, "gray": 1}), texture)


def _tile(dice: Dice) -> np.ndarray:
    return _courses(dice, aspect=1, bond=dice.chance(0.2))


def _brick(dice: Dice) -> np.ndarray:
    return _courses(dice, aspect=2, bond=True)


def _fabric(dice: Dice) -> np.ndarray:
    stripes = 2 * np.pi * dice.integer(2, 15)
    level = dice.uniform(-0.8, 0.8)
    warp, weft = np.sin(stripes * _X), np.sin(stripes * _Y)
    match dice.integer(0, 4):
        case 0:
            share = warp > level
        case 1:
            share = ((warp > level).astype(np.float32) + (weft > level)) / 2
        case 2:
            share = warp * weft > level
        case 3:
            share = np.sin(stripes * (_X + _Y)) > level
        case _:
            share = np.clip(0.5 + 0.3 * noise(dice, dice.uniform(0, 0.8)), 0, 1)
    return _mix(color(dice), color(dice), share) * (1 + 0.08 * noise(dice, 0.3))[..., None]


def _photo(dice: Dice) -> np.ndarray:
    """A picture of nothing: colored discs, bars and shards on a gradient."""
    texture = np.ascontiguousarray(_mix(color(dice), color(dice), _Y))
    for _ in range(int(dice.log_uniform(4, 120))):
        paint = tuple(float(c) for c in color(dice))
        at = (dice.integer(0, TEXTURE_SIZE - 1), dice.integer(0, TEXTURE_SIZE - 1))
        size = int(dice.log_uniform(2, 50))
        match dice.integer(0, 3):
            case 0:
                cv2.circle(texture, at, size, paint, -1, cv2.LINE_AA)
            case 1:
                cv2.rectangle(texture, at, (at[0] + size, at[1] + int(size * dice.log_uniform(0.3, 3))), paint, -1)
            case 2:
                axes = (size, max(1, int(size * dice.uniform(0.2, 1))))
                cv2.ellipse(texture, at, axes, dice.uniform(0, 180), 0, 360, paint, -1, cv2.LINE_AA)
            case _:
                corners = np.array(at) + size * dice.rng.normal(size=(dice.integer(3, 5), 2))
                cv2.fillPoly(texture, [corners.astype(np.int32)], paint, cv2.LINE_AA)
    return texture * (1 + 0.12 * noise(dice, 1.2))[..., None]


def _text(dice: Dice) -> np.ndarray:
    """A page of words and headlines that nobody can read."""
    paper = color(dice, {"light": 0.6, "any": 0.3, "dark": 0.1})
    texture = np.ascontiguousarray(np.broadcast_to(paper, (TEXTURE_SIZE, TEXTURE_SIZE, 3)))
    y = 4
    while y < TEXTURE_SIZE - 6:
        height = int(dice.log_uniform(3, 14))
        ink = tuple(float(c) for c in color(dice, {"dark": 0.6, "any": 0.3, "light": 0.1}))
        if dice.chance(0.15):
            cv2.rectangle(texture, (4, y), (dice.integer(20, 119), y + 2 * height), ink, -1)
            y += 2 * height + 4
            continue
        x = 4
        while x < TEXTURE_SIZE - 8 and dice.chance(0.96):
            width = dice.integer(1, max(1, height - 1))
            if dice.chance(0.7):
                cv2.rectangle(texture, (x, y), (x + width, y + height), ink, -1)
            else:
                cv2.line(texture, (x, y), (x + width, y + height), ink, 1)
            x += width + 1 + (height if dice.chance(0.2) else 0)
        y += height + dice.integer(2, 7)
    return texture


def _outdoors(dice: Dice) -> np.ndarray:
    """What a window shows: sky above, green or houses below, or plain glare."""
    if dice.chance(0.4):
        return np.full((TEXTURE_SIZE, TEXTURE_SIZE, 3), dice.uniform(0.85, 1), np.float32)
    sky = hsv(dice.uniform(0.5, 0.65), dice.uniform(0, 0.5), dice.uniform(0.8, 1))
    ground = hsv(dice.uniform(0.1, 0.4), dice.uniform(0.1, 0.7), dice.uniform(0.2, 0.8))
    below = (_Y - dice.uniform(0.2, 0.9)) * dice.uniform(1, 12) + 0.4 * noise(dice, 1.3)
    return _mix(sky, ground, np.clip(below, 0, 1))


def _asphalt(dice: Dice) -> np.ndarray:
    gray = hsv(dice.uniform(0, 1), dice.uniform(0, 0.08), dice.uniform(0.25, 0.6))
    return gray * (1 + 0.08 * noise(dice, dice.uniform(0.1, 0.6)) + 0.06 * noise(dice, 1.5))[..., None]


def _grass(dice: Dice) -> np.ndarray:
    dark = hsv(dice.uniform(0.15, 0.36), dice.uniform(0.3, 0.7), dice.uniform(0.15, 0.5))
    light = hsv(dice.uniform(0.13, 0.34), dice.uniform(0.3, 0.7), dice.uniform(0.3, 0.7))
    return _mix(dark, light, np.clip(0.5 + 0.3 * noise(dice, dice.uniform(0.3, 1)), 0, 1))


# Maker and number of each kind in a bank. A new kind goes to the end: that leaves the textures before it as they are.
SURFACES: Mapping[str, tuple[Callable[[Dice], np.ndarray], int]] = MappingProxyType(
    {
        "plain": (_plain, 60),
        "wall": (_wall, 60),
        "cloudy": (_cloudy, 40),
        "wood": (_wood, 70),
        "tile": (_tile, 36),
        "brick": (_brick, 12),
        "fabric": (_fabric, 60),
        "photo": (_photo, 60),
        "text": (_text, 24),
        "outdoors": (_outdoors, 14),
        "asphalt": (_asphalt, 12),
        "grass": (_grass, 16),
    }
)


class TextureBank:
    """464 textures as linear light, with their mip levels in one flat array so that one look-up serves a whole frame.

    `kinds` maps a kind to its texture numbers; `mean` is (textures, 3) float32, each texture's average.
    """

    def __init__(self, dice: Dice) -> None:
        self.kinds: dict[str, range] = {}
        textures: list[np.ndarray] = []
        for kind, (make, count) in SURFACES.items():
            self.kinds[kind] = range(len(textures), len(textures) + count)
            textures += [np.clip(make(dice), 0.01, 1) ** 2 for _ in range(count)]  # square: display to linear light
        levels = [np.stack(textures).astype(np.float32)]
        self.mean = levels[0].mean((1, 2))
        while (size := levels[-1].shape[1]) > 4:
            levels.append(levels[-1].reshape(-1, size // 2, 2, size // 2, 2, 3).mean((2, 4)))
        self._sizes = np.array([level.shape[1] for level in levels])
        self._starts = np.cumsum([0] + [level.shape[0] * level.shape[1] ** 2 for level in levels[:-1]])
        self._texels = np.concatenate([level.reshape(-1, 3) for level in levels])

    def sample(self, texture: np.ndarray, uv: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Look up `texture` (N,) int at `uv` (N, 2), repeating, bilinearly at mip `level` (N,); returns (N, 3)."""
        level = np.clip(level, 0, len(self._sizes) - 1).astype(np.int64)
        size = self._sizes[level]
        start = self._starts[level] + texture * size * size
        place = uv * size[:, None].astype(np.float32) - np.float32(0.5)
        corner = np.floor(place)
        right, down = (place - corner).T[..., None].astype(np.float32)
        x0, y0 = corner.astype(np.int64).T % size
        x1, y1 = (x0 + 1) % size, (y0 + 1) % size
        top, bottom = start + y0 * size, start + y1 * size
        texels = self._texels
        upper = texels[top + x0] * (1 - right) + texels[top + x1] * right
        lower = texels[bottom + x0] * (1 - right) + texels[bottom + x1] * right
        return upper * (1 - down) + lower * down
