"""Vertical CutDepth against a direct transcription of the paper's formula."""

import numpy as np
import pytest

from glpn.training.cutdepth import cut_columns, vertical_cutdepth


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("p", [0.25, 0.75, 1.0])
def test_the_region_is_the_formulas(alpha, beta, p):
    W = 576
    left = int(alpha * W)
    columns = int(max((W - alpha * W) * beta * p, 1))
    assert cut_columns(W, alpha=alpha, beta=beta, p=p) == (left, columns)
    assert 0 <= left < W
    assert 1 <= columns <= W - left


@pytest.mark.parametrize("seed", range(20))
def test_the_strip_is_depth_over_the_full_height_and_the_rest_is_the_photo(seed):
    rng = np.random.default_rng(seed)
    image, depth_m = rng.random((24, 40, 3), dtype=np.float32), rng.uniform(0, 12, (24, 40)).astype(np.float32)
    before = image.copy()
    result = vertical_cutdepth(image, depth_m, np.random.default_rng(seed), max_depth_m=10, p=0.75)
    chance = np.random.default_rng(seed)
    left, count = cut_columns(40, alpha=chance.random(), beta=chance.random(), p=0.75)
    strip = np.zeros(40, bool)
    strip[left : left + count] = True
    assert np.array_equal(image, before)
    assert np.array_equal(result[:, ~strip], image[:, ~strip])
    for channel in range(3):
        assert np.allclose(result[:, strip, channel], np.minimum(depth_m[:, strip] / 10, 1))
