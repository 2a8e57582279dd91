"""Known lengths set one factor, which is applied once, told apart from the focal length's, and undone."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glpn.bounds import SCALE
from glpn.camera import Camera
from glpn.errors import ConfigError
from glpn.prediction import DepthPrediction
from glpn.scale import KNOWN_LENGTHS, Scale

lengths = st.floats(0.05, 5)


def prediction(**values) -> DepthPrediction:
    depth_m = np.linspace(1, 4, 12, dtype=np.float32).reshape(3, 4)
    camera = Camera.centered(4, (3, 4))
    return DepthPrediction(
        depth_m=depth_m, variant="rooms-b0", max_depth_m=10, working_size=(32, 32), seconds=0, camera=camera, **values
    )


@given(st.lists(lengths, min_size=1, max_size=6), st.floats(0.1, 10))
def test_lengths_that_agree_give_their_factor_and_no_spread(measured, factor) -> None:
    scale = Scale.fit([(length, factor * length) for length in measured])
    assert scale.factor == pytest.approx(factor)
    assert scale.spread is None if len(measured) == 1 else scale.spread == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(lengths, lengths), min_size=2, max_size=6))
def test_no_other_factor_fits_better(pairs) -> None:
    pairs = [(a, b) for a, b in pairs if SCALE.least < b / a < SCALE.most]
    if len(pairs) < 2:
        return
    scale = Scale.fit(pairs)

    def squares(factor: float) -> float:
        return sum(math.log(true / (factor * measured)) ** 2 for measured, true in pairs)

    assert squares(scale.factor) <= min(squares(1.01 * scale.factor), squares(0.99 * scale.factor))
    assert scale.spread == pytest.approx(math.sqrt(squares(scale.factor) / (len(pairs) - 1)), abs=1e-6)


def test_a_factor_is_applied_once_and_undone() -> None:
    plain = prediction(scale=0.8)
    first, second = Scale.fit([(1.7, 2.0)]), Scale(1.5)
    once = plain.calibrated(first)
    np.testing.assert_allclose(once.depth_m, plain.depth_m * (2.0 / 1.7), rtol=1e-6)
    assert once.calibrated(first) is once
    np.testing.assert_allclose(once.calibrated(second).depth_m, plain.depth_m * 1.5, rtol=1e-6)
    np.testing.assert_allclose(once.calibrated(None).depth_m, plain.depth_m, rtol=1e-6)
    assert once.calibrated(None).calibration is None


def test_the_focal_length_correction_is_told_apart() -> None:
    calibrated = prediction(scale=0.8).calibrated(Scale(1.5))
    assert (calibrated.scale, calibrated.calibration.factor, calibrated.factor) == (0.8, 1.5, pytest.approx(1.2))
    np.testing.assert_allclose(calibrated.raw_depth_m * 1.2, calibrated.depth_m, rtol=1e-6)
    assert calibrated.share_at_limit == prediction(scale=0.8).share_at_limit


def test_a_scale_says_where_it_comes_from_and_survives_json() -> None:
    scale = Scale.fit([(1.7, 2.0), (0.3, 0.297)])
    assert str(scale) == "× 1.08 by 2 known lengths, which differ by 12 %"
    assert str(Scale.fit([(1.7, 2.0)])) == "× 1.18 by one known length"
    assert str(Scale(1.5)) == "× 1.5"
    assert Scale.from_dict(json.loads(json.dumps(scale.to_dict()))) == scale


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([], "No known length"),
        ([(1.7, 200)], "Give metres, not centimetres"),
        ([(1.7, 0)], "The true length is 0. Give metres above 0"),
        ([(1.7, float("nan"))], "The true length is nan"),
        ([(1.7, "2")], "The true length is '2'"),
        ([(0.0, 2.0)], "The measured length is 0.0"),
        ([(True, 2.0)], "The measured length is True"),
    ],
)
def test_lengths_that_nothing_has_are_refused(pairs, words) -> None:
    with pytest.raises(ConfigError, match=words):
        Scale.fit(pairs)


@pytest.mark.parametrize("factor", [0, -1, 21, float("nan"), float("inf"), "2", True, None])
def test_factors_out_of_range_are_refused(factor) -> None:
    with pytest.raises(ConfigError, match=r"Give a number from 0\.05 to 20"):
        Scale(factor)


def test_the_presets_are_lengths() -> None:
    for length in KNOWN_LENGTHS.values():
        assert Scale.fit([(length, length)]).factor == 1
