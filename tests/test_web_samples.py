"""The sample photos: credited, with finished results that are what the embedded model says."""

import numpy as np
import pytest

from glpn import load_estimator
from glpn.photo import load_photo
from glpn.web.samples import BY_ID, FOLDER, SAMPLES, finished


@pytest.fixture(scope="module")
def estimators() -> dict[str, object]:
    return {variant: load_estimator(variant, device="cpu") for variant in {sample.variant for sample in SAMPLES}}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.id)
def test_the_shipped_result_is_the_embedded_models(sample, estimators) -> None:
    kept = finished(sample)
    fresh = estimators[sample.variant](sample.photo)
    assert kept.photo is not None
    assert kept.size == kept.photo.rgb.shape[:2] == fresh.size
    assert (kept.variant, kept.working_size, kept.camera) == (fresh.variant, fresh.working_size, fresh.camera)
    np.testing.assert_allclose(kept.depth_m, fresh.depth_m, atol=10.5 / sample.per_metre)
    assert kept.depth_m.max() < 65_000 / sample.per_metre  # else the file would cut it


def test_a_rendered_street_is_nearer_to_its_truth_than_a_room_would_be(estimators) -> None:
    street = BY_ID["street"]
    truth_m, kept = street.truth_m(), finished(street)
    known = np.isfinite(truth_m)
    assert 0.5 < known.mean() < 0.95  # the sky has no depth
    assert np.nanmax(truth_m) > 50
    error = {
        name: np.abs(depth_m - truth_m)[known].mean()
        for name, depth_m in (("street", kept.depth_m), ("room", estimators["rooms-b0"](street.photo).depth_m))
    }
    assert error["street"] < 0.5 * error["room"]


def test_every_photo_is_credited_and_small() -> None:
    credits_file = (FOLDER / "CREDITS.md").read_text(encoding="utf-8")
    for sample in SAMPLES:
        assert sample.id in credits_file
        assert sample.credit
        assert sample.photo.stat().st_size < 200_000
    files = {path.name for sample in SAMPLES for path in (sample.photo, sample.thumbnail)}
    assert {path.name for path in FOLDER.glob("*.jpg")} == files
    assert sum(sample.thumbnail.stat().st_size for sample in SAMPLES) <= 120_000
    assert {sample.place for sample in SAMPLES} == {"indoor", "outdoor"}


def test_all_are_in_color() -> None:
    for sample in SAMPLES:
        rgb = load_photo(sample.photo).rgb.astype(int)
        assert np.ptp(rgb, axis=2).mean() > 10, sample.id
