"""The nine metrics against an independent version and cases worked out by hand; crops at their exact pixels."""

import numpy as np
import pytest

from glpn.datasets import kitti_benchmark_window
from glpn.errors import ConfigError, DataError
from glpn.evaluation.metrics import METRICS, crop_mask, depth_metrics, mean_metrics, valid_pixels


def independent(predicted, truth):
    """The definitions, pixel by pixel in plain Python."""
    import math

    pairs = [(p, t) for p, t in zip(predicted.ravel().tolist(), truth.ravel().tolist(), strict=True) if 0.001 < t < 10]
    pairs = [(min(max(p, 0.001), 10), t) for p, t in pairs]
    n = len(pairs)
    logs = [math.log(p) - math.log(t) for p, t in pairs]
    return {
        "delta1": sum(max(p / t, t / p) < 1.25 for p, t in pairs) / n,
        "delta2": sum(max(p / t, t / p) < 1.5625 for p, t in pairs) / n,
        "delta3": sum(max(p / t, t / p) < 1.953125 for p, t in pairs) / n,
        "abs_rel": sum(abs(p - t) / t for p, t in pairs) / n,
        "sq_rel": sum((p - t) ** 2 / t for p, t in pairs) / n,
        "rmse": math.sqrt(sum((p - t) ** 2 for p, t in pairs) / n),
        "rmse_log": math.sqrt(sum(d * d for d in logs) / n),
        "log10": sum(abs(math.log10(p) - math.log10(t)) for p, t in pairs) / n,
        "silog": math.sqrt(sum(d * d for d in logs) / n - 0.5 * (sum(logs) / n) ** 2),
    }


@pytest.mark.parametrize("seed", range(3))
def test_against_an_independent_version(seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 12, (13, 17)) * (rng.random((13, 17)) < 0.8)
    predicted = np.maximum(truth * rng.lognormal(0, 0.3, truth.shape), 0)
    ours, expected = depth_metrics(predicted, truth).to_dict(), independent(predicted, truth)
    assert ours.keys() == expected.keys() == set(METRICS)
    for name in METRICS:
        assert ours[name] == pytest.approx(expected[name], rel=1e-9), name


def test_a_perfect_prediction():
    truth = np.array([[1.0, 2.0], [4.0, 0.0]])
    metrics = depth_metrics(truth, truth)
    assert (metrics.delta1, metrics.delta3, metrics.abs_rel, metrics.rmse, metrics.silog) == (1, 1, 0, 0, 0)


def test_a_case_worked_out_by_hand():
    metrics = depth_metrics(np.array([[2.0, 4.0]]), np.array([[1.0, 4.0]]))
    assert metrics.delta1 == metrics.delta2 == metrics.delta3 == 0.5
    assert metrics.abs_rel == pytest.approx(0.5)
    assert metrics.sq_rel == pytest.approx(0.5)
    assert metrics.rmse == pytest.approx(np.sqrt(0.5))
    assert metrics.log10 == pytest.approx(np.log10(2) / 2)
    assert metrics.silog == pytest.approx(np.log(2) * np.sqrt(1 / 2 - 0.5 / 4))


def test_the_delta_limit_itself_is_not_inside():
    assert depth_metrics(np.array([[1.25]]), np.array([[1.0]])).delta1 == 0


def test_median_scaling_forgives_a_scale_and_nothing_else():
    truth = np.random.default_rng(0).uniform(1, 5, (9, 9))
    assert depth_metrics(0.4 * truth, truth, median_scaled=True).abs_rel == pytest.approx(0)
    assert depth_metrics(0.4 * truth, truth).abs_rel == pytest.approx(0.6)
    assert depth_metrics(truth + 1, truth, median_scaled=True).abs_rel > 0.05


def test_only_measured_pixels_in_range_and_inside_the_mask_count():
    truth = np.array([[1.0, 0.0, 10.0, np.nan, np.inf, 2.0]])
    assert valid_pixels(truth).tolist() == [[True, False, False, False, False, True]]
    mask = np.array([[True, True, True, True, True, False]])
    assert depth_metrics(np.full_like(truth, 1.0), truth, mask=mask).abs_rel == 0


def test_what_can_not_be_compared_is_refused():
    ones = np.ones((4, 4))
    with pytest.raises(DataError, match="one size"):
        depth_metrics(ones, np.ones((4, 5)))
    with pytest.raises(DataError, match="no pixel"):
        depth_metrics(ones, np.zeros((4, 4)))
    with pytest.raises(DataError, match="not a number"):
        depth_metrics(np.full((4, 4), np.nan), ones)
    with pytest.raises(DataError, match="no images"):
        mean_metrics([])


def test_the_mean_is_over_images():
    one, other = depth_metrics(np.full((1, 1), 2.0), np.ones((1, 1))), depth_metrics(np.ones((9, 9)), np.ones((9, 9)))
    assert mean_metrics([one, other]).abs_rel == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "size", "rows", "columns"),
    [
        ("nyu", (480, 640), (45, 471), (41, 601)),
        ("garg", (375, 1242), (153, 371), (44, 1197)),
        ("garg", (352, 1216), (143, 349), (43, 1172)),
        ("eigen", (375, 1242), (124, 342), (44, 1197)),
        ("none", (7, 9), (0, 7), (0, 9)),
    ],
)
def test_crops_at_their_exact_pixels(name, size, rows, columns):
    mask = crop_mask(name, size)
    expected = np.zeros(size, bool)
    expected[rows[0] : rows[1], columns[0] : columns[1]] = True
    assert np.array_equal(mask, expected)


def test_crops_that_do_not_fit():
    with pytest.raises(DataError, match="480 × 640"):
        crop_mask("nyu", (240, 320))
    with pytest.raises(ConfigError, match="Known: none"):
        crop_mask("middle", (10, 10))
    assert kitti_benchmark_window((375, 1242)) == (slice(23, 375), slice(13, 1229))
    with pytest.raises(DataError, match="352 × 1216"):
        kitti_benchmark_window((300, 1242))
