"""Fifteen everyday corruptions at five strengths, after ImageNet-C (arXiv 1903.12261), with NumPy and Pillow alone.

The kinds and the ladder of strengths follow the paper; the numbers are fitted to photos of any size, so results are
comparable with each other and not, digit by digit, with tables made by the paper's code.
"""

import io
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageFilter

from glpn.errors import ConfigError

STRENGTHS = (1, 2, 3, 4, 5)
Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def corrupt(rgb: np.ndarray, name: str, strength: int) -> np.ndarray:
    """Return `rgb` (H, W, 3) uint8 with the named corruption at `strength` 1 to 5, of the same shape and type.

    The same picture gives the same result. Raises `ConfigError` for an unknown name or strength.
    """
    if name not in CORRUPTIONS:
        raise ConfigError(f"Unknown corruption {name!r}. Known: {', '.join(CORRUPTIONS)}.")
    if strength not in STRENGTHS:
        raise ConfigError(f"Corruption strength {strength!r}. Give an integer from 1 to 5.")
    rng = np.random.default_rng((zlib.crc32(name.encode()), strength))
    result = CORRUPTIONS[name](rgb.astype(np.float32) / 255, strength - 1, rng)
    return np.rint(255 * np.clip(result, 0, 1)).astype(np.uint8)


# Each takes (H, W, 3) float32, 0 to 1, the strength's index 0 to 4 and a source of chance. Lengths that depend on the
# picture's size are given for a short side of 224, ImageNet's.


def _gaussian_noise(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    return image + (0.08, 0.12, 0.18, 0.26, 0.38)[level] * rng.standard_normal(image.shape, dtype=np.float32)


def _shot_noise(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    photons = (60, 25, 12, 5, 3)[level]
    return rng.poisson(image * photons) / photons


def _impulse_noise(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[level]
    hit = rng.random(image.shape) < share
    return np.where(hit, rng.integers(0, 2, image.shape), image)


def _defocus_blur(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    radius = (3, 4, 6, 8, 10)[level] * _unit(image)
    y, x = np.indices(image.shape[:2], dtype=np.float32)
    height, width = image.shape[:2]
    disc = (np.minimum(y, height - y) ** 2 + np.minimum(x, width - x) ** 2 <= max(radius, 1) ** 2).astype(np.float32)
    return _convolve(image, disc)


def _glass_blur(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    reach = max(1, round((1, 2, 2, 3, 4)[level] * _unit(image)))
    height, width = image.shape[:2]
    y, x = np.indices((height, width))
    y = np.clip(y + rng.integers(-reach, reach + 1, (height, width)), 0, height - 1)
    x = np.clip(x + rng.integers(-reach, reach + 1, (height, width)), 0, width - 1)
    return _gaussian_blur(_gaussian_blur(image, 0.7)[y, x], 0.7)


def _motion_blur(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    length, angle = (10, 13, 16, 20, 26)[level] * _unit(image), rng.uniform(-np.pi / 4, np.pi / 4)
    path = np.zeros(image.shape[:2], np.float32)
    along = np.linspace(-length / 2, length / 2, max(2, 2 * round(length)))
    np.add.at(path, (np.rint(along * np.sin(angle)).astype(int), np.rint(along * np.cos(angle)).astype(int)), 1)
    return _convolve(image, path)


def _zoom_blur(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    zooms = np.linspace(1, (1.11, 1.16, 1.21, 1.26, 1.31)[level], 9)
    return np.mean([_zoom(image, zoom) for zoom in zooms], axis=0)


def _snow(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    share, veil = (0.02, 0.04, 0.06, 0.08, 0.1)[level], (0.1, 0.2, 0.3, 0.4, 0.5)[level]
    flakes = (rng.random(image.shape[:2]) < share).astype(np.float32)
    flakes = 2 * _motion_blur(np.repeat(flakes[..., None], 3, 2), 0, rng) * 3
    bright = np.maximum(image, image.mean(2, keepdims=True) * 1.5 + 0.5)
    return (1 - veil) * image + veil * bright + np.minimum(flakes, 1)


def _frost(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    crystals = np.abs(_noise_field(image.shape[:2], 1.0, rng))
    crystals = np.clip(1 - 1.6 * crystals, 0, 1)[..., None] * np.array([0.9, 0.95, 1.0], np.float32)
    keep, cover = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[level]
    return keep * image + cover * crystals


def _fog(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    thickness, brightest = (1.5, 2.0, 2.5, 2.5, 3.0)[level] / 3, image.max()
    field = _noise_field(image.shape[:2], (2.0, 2.0, 1.7, 1.5, 1.4)[level], rng)
    mist = thickness * (field - field.min()) / (np.ptp(field) + 1e-6) * 1.5
    return (image + mist[..., None]) * brightest / (brightest + 1.5 * thickness)


def _brightness(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    return image + (0.1, 0.2, 0.3, 0.4, 0.5)[level]


def _contrast(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    mean = image.mean((0, 1), keepdims=True)
    return (image - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[level] + mean


def _elastic(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    reach = (1.5, 2.5, 3.5, 5.0, 7.0)[level] * _unit(image)
    height, width = image.shape[:2]
    y, x = np.indices((height, width))
    dy, dx = (reach * _noise_field((height, width), 1.8, rng) for _ in range(2))
    y, x = np.clip(np.rint(y + dy), 0, height - 1), np.clip(np.rint(x + dx), 0, width - 1)
    return image[y.astype(int), x.astype(int)]


def _pixelate(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    picture, share = _picture(image), (0.6, 0.5, 0.4, 0.3, 0.25)[level]
    small = (max(1, int(picture.width * share)), max(1, int(picture.height * share)))
    coarse = picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.NEAREST)
    return np.asarray(coarse, np.float32) / 255


def _jpeg(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    memory = io.BytesIO()
    _picture(image).save(memory, "JPEG", quality=(25, 18, 15, 10, 7)[level])
    return np.asarray(Image.open(memory), np.float32) / 255


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {
        "gaussian_noise": _gaussian_noise,
        "shot_noise": _shot_noise,
        "impulse_noise": _impulse_noise,
        "defocus_blur": _defocus_blur,
        "glass_blur": _glass_blur,
        "motion_blur": _motion_blur,
        "zoom_blur": _zoom_blur,
        "snow": _snow,
        "frost": _frost,
        "fog": _fog,
        "brightness": _brightness,
        "contrast": _contrast,
        "elastic_transform": _elastic,
        "pixelate": _pixelate,
        "jpeg_compression": _jpeg,
    }
)


# -------------------------------------------------------------------------------------------------------------- helpers


def _unit(image: np.ndarray) -> float:
    """Pixels of this picture per pixel of one whose short side is 224."""
    return min(image.shape[:2]) / 224


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8))


def _convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve with a kernel of the image's size whose origin is its first pixel; edges wrap around."""
    spectrum = np.fft.rfft2(kernel / kernel.sum())[..., None]
    return np.fft.irfft2(np.fft.rfft2(image, axes=(0, 1)) * spectrum, s=image.shape[:2], axes=(0, 1))


def _gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(_picture(image).filter(ImageFilter.GaussianBlur(sigma * _unit(image))), np.float32) / 255


def _zoom(image: np.ndarray, zoom: float) -> np.ndarray:
    """Magnify the middle, to the same size."""
    height, width = image.shape[:2]
    y, x = (np.clip((np.arange(n) - (n - 1) / 2) / zoom + (n - 1) / 2, 0, n - 1) for n in (height, width))
    return image[np.rint(y).astype(int)[:, None], np.rint(x).astype(int)]


def _noise_field(size: tuple[int, int], smoothness: float, rng: np.random.Generator) -> np.ndarray:
    """A field (H, W) with mean 0 and deviation 1 whose spectrum falls with f^-smoothness."""
    fy, fx = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal(size)) / frequency**smoothness
    field = np.fft.irfft2(spectrum, s=size)
    return ((field - field.mean()) / (field.std() + 1e-9)).astype(np.float32)
