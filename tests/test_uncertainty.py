"""Every number in metres has its doubt next to it, from what was measured of the model."""

import dataclasses
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glpn.camera import Camera
from glpn.prediction import DepthPrediction
from glpn.scale import Scale
from glpn.scene.uncertainty import (
    UNKNOWN,
    Uncertainty,
    decimals_of,
    of_prediction,
    of_scale,
    of_variant,
    rounded,
    significant,
)
from glpn.zoo import ModelSpec, Zoo
from glpn.zoo.manifest import Metric

RAW, SCALED = 0.32, 0.18


def spec(*metrics: Metric, correct_focal: bool = False) -> ModelSpec:
    base = Zoo.load()["rooms-b0"]
    camera = dataclasses.replace(base.camera, correct_focal=correct_focal)
    return dataclasses.replace(base, metrics=metrics, camera=camera)


def metric(
    abs_rel: float, alignment: str | None = "raw", source: str = "measured", dataset: str = "13 photos"
) -> Metric:
    return Metric(dataset=dataset, source=source, alignment=alignment, values=(("abs_rel", abs_rel),))


MEASURED = (metric(0.29, dataset="near views"), metric(RAW), metric(SCALED, "median"))


def prediction(source: str = "assumed", calibration: Scale | None = None) -> DepthPrediction:
    return DepthPrediction(
        depth_m=np.ones((3, 4), np.float32),
        variant="rooms-b0",
        max_depth_m=10,
        working_size=(32, 32),
        seconds=0,
        camera=Camera.centered(4, (3, 4), source=source),
        calibration=calibration,
    )


@pytest.mark.parametrize(
    ("value", "relative", "text"),
    [
        (2.3, 0.317, "2.3 m ± 0.7"),
        (0.854, 0.317, "0.85 m ± 0.27"),
        (12.4, 0.317, "12 m ± 4"),
        (9.96, 0.317, "10 m ± 3"),
        (0.999, 0.317, "1.0 m ± 0.3"),
        (123.4, 0.317, "120 m ± 40"),
        (2.3456, 0.01, "2.35 m ± 0.02"),
        (0, 0.3, "0.0 m ± 0.0"),
        (2.3456, None, f"2.3 m, {UNKNOWN}"),
    ],
)
def test_a_number_has_two_digits_and_its_doubt(value, relative, text) -> None:
    assert Uncertainty(relative, False, "").text(value) == text


def test_the_variants_row_tells_what_a_prediction_is_worth() -> None:
    assert of_variant(prediction()) == of_prediction(prediction(), Zoo.load()["rooms-b0"])
    assert of_variant(dataclasses.replace(prediction(), variant="own/model")).relative is None


def test_a_lower_bound_says_so() -> None:
    assert Uncertainty(0.098, True, "").text(2.34) == "2.3 m ± 0.2 or more"
    assert Uncertainty(0.098, True, "").note == "± 9.8 % or more"
    assert Uncertainty(0.317, False, "").note == "± 32 %"
    assert Uncertainty(None, False, "").note == UNKNOWN


def test_an_area_is_twice_as_doubtful() -> None:
    assert Uncertainty(0.3, False, "").text(4.0, "m²", power=2) == "4.0 m² ± 2.4"


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1))
def test_value_and_doubt_end_at_the_same_digit_and_are_right_to_half_of_it(value, relative) -> None:
    shown = Uncertainty(relative, False, "").text(value)
    number, error = re.fullmatch(r"([\d.]+) m ± ([\d.]+)", shown).groups()
    step = 10.0 ** -decimals_of(value, relative * value)
    assert len(number.partition(".")[2]) == len(error.partition(".")[2])
    assert abs(float(number) - value) <= 0.5001 * step
    assert abs(float(error) - relative * value) <= 0.5001 * step
    assert float(error) > 0


@pytest.mark.parametrize(
    ("value", "text"), [(0.0996, "0.10"), (1234, "1200"), (0, "0.0"), (-0.056, "-0.056"), (99.6, "100")]
)
def test_two_significant_digits(value, text) -> None:
    assert significant(value) == text


def test_rounding_to_tens() -> None:
    assert rounded(123.4, -1) == "120"


def test_the_worst_raw_figure_counts() -> None:
    found = of_prediction(prediction(), spec(*MEASURED))
    assert (found.relative, found.at_least) == (RAW, False)
    assert found.basis == "Mean error on 13 photos, measured."


def test_published_figures_are_a_lower_bound() -> None:
    found = of_prediction(prediction("exif"), Zoo.load()["nyu-b4"])
    assert (found.relative, found.at_least) == (0.098, True)
    assert "as its authors report" in found.basis


def test_figures_of_synthetic_scenes_are_a_lower_bound() -> None:
    found = of_prediction(prediction("exif"), spec(metric(RAW, dataset="200 synthetic streets")))
    assert (found.relative, found.at_least) == (RAW, True)
    assert found.basis == "Mean error on 200 synthetic streets, measured. Other photos are likely worse."


def test_a_model_that_uses_the_focal_length_is_less_sure_without_it() -> None:
    model = spec(*MEASURED, correct_focal=True)
    assert not of_prediction(prediction("exif"), model).at_least
    unknown = of_prediction(prediction("assumed"), model)
    assert unknown.at_least
    assert "focal length is unknown" in unknown.basis


@pytest.mark.parametrize(
    "model",
    [
        None,
        spec(),
        spec(metric(SCALED, "median")),
        spec(metric(0.2, None)),
        spec(Metric(dataset="d", source="s", values=(("delta1", 0.9),))),
    ],
)
def test_without_a_raw_figure_the_error_is_unknown(model) -> None:
    found = of_prediction(prediction(), model)
    assert found.relative is None
    assert found.of(2.0) is None


def test_one_known_length_leaves_the_error_of_shape() -> None:
    found = of_prediction(prediction(calibration=Scale.fit([(1.7, 2.0)])), spec(*MEASURED))
    assert found.relative == SCALED
    assert "One known length" in found.basis
    assert of_scale(Scale.fit([(1.7, 2.0)]), None).relative is None


def test_several_known_lengths_replace_it_by_their_spread() -> None:
    two = Scale.fit([(1.7, 2.0), (0.3, 0.297)])
    assert of_scale(two, None).relative == pytest.approx(two.spread)
    agreeing = [(1.0, 1.2)] * 2
    few, many = (of_scale(Scale.fit(agreeing * n), spec(*MEASURED)).relative for n in (1, 20))
    assert 0 < many < few < SCALED


def test_a_place_on_which_estimates_differ_is_less_sure() -> None:
    usual = Uncertainty(0.3, False, "usual")
    assert usual.widened(0.1) is usual
    assert usual.widened(0.5).relative == 0.5
    assert Uncertainty(None, False, "").widened(0.5).relative is None


def test_it_travels_as_json() -> None:
    assert json.loads(json.dumps(Uncertainty(0.3, False, "why").to_dict())) == {
        "relative": 0.3,
        "at_least": False,
        "basis": "why",
    }
