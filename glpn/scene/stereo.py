"""What two eyes see of a 3D photo: a picture for red-cyan glasses, and pairs side by side."""

import numpy as np

from .motion import Viewer, even_size
from .photo3d import Photo3D

EYES = 0.5  # distance of the two eyes, as a share of full sway to one side
EYE_SIDE = 1200  # pixels, the longer side of one eye's picture

# E. Dubois, "A projection method to generate anaglyph stereo images", 2001; for LCD screens, on linear light.
LEFT = np.array(
    [[0.4561, 0.500484, 0.176381], [-0.0400822, -0.0378246, -0.0157589], [-0.0152161, -0.0205971, -0.00546856]]
)
RIGHT = np.array(
    [[-0.0434706, -0.0879388, -0.00155529], [0.378476, 0.73364, -0.0184503], [-0.0721527, -0.112961, 1.2264]]
)


def pair(photo: Photo3D, *, side: int = EYE_SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Draw what the left and the right eye see, each (H, W, 3) uint8.

    A point of relative nearness r is zoom · W · fx · EYES · reach · (r - 1) pixels further right for the left eye.
    """
    viewer = Viewer(photo, size=even_size(photo, side))
    half = EYES / 2 * photo.reach
    return viewer.draw((-half, 0, 0)), viewer.draw((half, 0, 0))


def beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Join two full pictures (H, W, 3), (H, 2 W, 3): the left eye's first, or the right eye's for crossed eyes.

    Players know the uncrossed order from a name that ends in `_LRF_Full_SBS`.
    """
    return np.concatenate([left, right], axis=1)


def anaglyph(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Mix two pictures (H, W, 3) uint8 for red-cyan glasses, by Dubois' least-squares projection."""
    light = np.arange(256) / 255
    linear = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4).astype(np.float32)
    mixed = linear[left] @ LEFT.T.astype(np.float32) + linear[right] @ RIGHT.T.astype(np.float32)
    mixed = mixed.clip(0, 1)
    coded = np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055)
    return np.round(255 * coded).astype(np.uint8)
