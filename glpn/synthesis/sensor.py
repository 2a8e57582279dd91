"""Radiance to the 8-bit picture of a middling camera: exposure, glare, white balance, tone, blur, noise, JPEG."""

import cv2
import numpy as np

from .dice import Dice


def develop(radiance: np.ndarray, dice: Dice) -> np.ndarray:
    """Turn linear radiance (H, W, 3) into a photo (H, W, 3) uint8, RGB, with the faults of some camera."""
    luminance = radiance.mean(2)
    typical = 0.6 * np.median(luminance) + 0.4 * luminance.mean() + 1e-4
    image = radiance * np.float32(dice.log_uniform(0.16, 0.75) / typical)
    if dice.chance(0.5):  # glare
        image += dice.uniform(0, 0.06) * _blur(np.minimum(image, 6), dice.uniform(4, 18))
    image *= np.exp(0.1 * dice.rng.standard_normal(3, dtype=np.float32))  # white balance
    image *= _vignette(image.shape[:2], dice.uniform(0, 0.35))
    if dice.chance(0.6):  # film-like shoulder
        image = 1 - np.exp(-image * np.float32(dice.uniform(1, 1.8)))
    image = np.clip(image, 0, 1) ** np.float32(1 / dice.uniform(1.7, 2.6))
    if dice.chance(0.4):
        gray = image.mean(2, keepdims=True)
        image = gray + (image - gray) * np.float32(dice.uniform(0.4, 1.4))
    if dice.chance(0.5):
        image = _blur(image, dice.uniform(0.3, 1.2))
    if dice.chance(0.3):
        image = image + dice.uniform(0.2, 1) * (image - _blur(image, 1.0))
    noise = dice.rng.standard_normal(image.shape, dtype=np.float32) * np.float32(dice.log_uniform(0.003, 0.035))
    if dice.chance(0.4):  # a denoiser leaves coarse grain
        noise = 1.5 * _blur(noise, 0.7)
    photo = np.rint(255 * np.clip(image + noise, 0, 1)).astype(np.uint8)
    if dice.chance(0.6):
        quality = [cv2.IMWRITE_JPEG_QUALITY, dice.integer(45, 95)]
        encoded = cv2.imencode(".jpg", photo[..., ::-1], quality)[1]
        photo = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1]
    return np.ascontiguousarray(photo)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma)


def _vignette(size: tuple[int, int], strength: float) -> np.ndarray:
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in size)
    return (1 - np.float32(strength / 2) * (x[None] ** 2 + y[:, None] ** 2))[..., None]
