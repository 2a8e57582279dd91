"""Where estimates of the same photo agree it is sure, where they differ it is not."""

import numpy as np
import pytest

from glpn.errors import ConfigError
from glpn.scene.certainty import relative_spread
from glpn.scene.geometry import resize_rgb

RGB = np.tile(np.linspace(0, 255, 90, dtype=np.uint8)[None, :, None], (60, 1, 3))


class Recorder:
    """An estimator whose depth is 1 m + the picture's brightness; `noise` is added to its right part."""

    def __init__(self, noise: float = 0.0, factor_by_size: bool = False) -> None:
        self.noise, self.factor_by_size, self.calls = noise, factor_by_size, []
        self.rng = np.random.default_rng(0)

    def __call__(self, rgb: np.ndarray, short_side: int) -> np.ndarray:
        self.calls.append((rgb.shape, short_side))
        bright = rgb[..., 0].astype(np.float32) / 255
        depth_m = 1 + bright + self.noise * self.rng.standard_normal() * (bright > 0.6)
        return depth_m * (short_side if self.factor_by_size else 1)


def test_agreement_is_certainty_whatever_the_scale_of_each_estimate() -> None:
    estimate = Recorder(factor_by_size=True)
    spread = relative_spread(RGB, estimate, 192)
    assert spread.shape == RGB.shape[:2]
    assert spread.dtype == np.float32
    assert spread.max() < 1e-3
    assert [side for _, side in estimate.calls] == [160, 160, 192, 192, 224, 224]


def test_the_mirrored_estimate_is_mirrored_back() -> None:
    assert relative_spread(RGB, lambda rgb, side: 1 + rgb[..., 0] / np.float32(255), 192).max() < 1e-3
    # An estimator that believes that everything is farther to the right contradicts itself.
    prejudiced = relative_spread(RGB, lambda rgb, side: 1 + np.linspace(0, 1, 90) * np.ones((60, 1)), 192)
    assert prejudiced.max() > 0.2


def test_only_the_place_that_changes_is_unsure() -> None:
    spread = relative_spread(RGB, Recorder(noise=0.3), 192)
    assert spread[:, 65:].mean() > 0.05
    assert spread[:, :40].max() < 0.02


def test_a_large_photo_is_shrunk_before_it_is_estimated() -> None:
    large = resize_rgb(RGB, (1200, 1800))
    estimate = Recorder()
    assert relative_spread(large, estimate, 96).shape == (1200, 1800)
    assert {shape for shape, _ in estimate.calls} == {(256, 384, 3)}


@pytest.mark.parametrize("depth", [np.ones((5, 5)), np.zeros((60, 90)), np.full((60, 90), np.nan)])
def test_a_wrong_estimate_is_refused(depth) -> None:
    with pytest.raises(ConfigError, match="another size than the photo, or holes"):
        relative_spread(RGB, lambda rgb, side: depth, 192)
