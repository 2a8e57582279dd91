"""The sample photos: credited, with finished results that are what the embedded model says."""

import numpy as np
import pytest

from glpn import load_estimator
from glpn.web.samples import FOLDER, PER_METRE, SAMPLES, VARIANT, finished


@pytest.fixture(scope="module")
def estimator() -> object:
    return load_estimator(VARIANT, device="cpu")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.id)
def test_the_shipped_result_is_the_embedded_models(sample, estimator) -> None:
    rgb, kept = finished(sample)
    fresh = estimator(sample.photo)
    assert kept.size == rgb.shape[:2] == fresh.size
    assert (kept.variant, kept.working_size, kept.camera) == (fresh.variant, fresh.working_size, fresh.camera)
    np.testing.assert_allclose(kept.depth_m, fresh.depth_m, atol=0.5 / PER_METRE + 2e-3)


def test_every_photo_is_credited_and_small() -> None:
    credits_file = (FOLDER / "CREDITS.md").read_text(encoding="utf-8")
    for sample in SAMPLES:
        assert sample.id in credits_file
        assert sample.credit
        assert sample.photo.stat().st_size < 200_000
    assert {path.stem for path in FOLDER.glob("*.jpg")} == {sample.id for sample in SAMPLES}
    assert {sample.place for sample in SAMPLES} == {"indoor", "outdoor"}
