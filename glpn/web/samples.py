"""The sample photos, and their finished results, which ship with the app so that the first visit waits for no model.

`python -m glpn.web.samples` makes the results again with the embedded models; a test compares them with it.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from glpn.photo import load_photo
from glpn.prediction import DepthPrediction
from glpn.scene.depth_files import MM_SCALE, read_depth
from glpn.zoo import DEFAULT

FOLDER = Path(__file__).parent / "samples"
VARIANT = DEFAULT


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A photo that visitors can try. `place` is "indoor" or "outdoor"; `credit` names author and licence.

    `variant` is the embedded model whose finished result is shown, kept in steps of 1 / `per_metre` metres.
    """

    id: str
    title: str
    place: str
    credit: str
    variant: str = VARIANT
    per_metre: int = 5000  # 0.2 mm; uint16 reaches 13 m

    @property
    def photo(self) -> Path:
        return FOLDER / f"{self.id}.jpg"

    @property
    def thumbnail(self) -> Path:
        """The photo at a width of 192 pixels, for the row of samples."""
        return FOLDER / f"{self.id}_thumbnail.jpg"

    @property
    def depth(self) -> Path:
        """16-bit PNG, `per_metre` steps a metre; its text chunk "glpn" holds the rest of the prediction."""
        return FOLDER / f"{self.id}_depth.png"

    @property
    def truth(self) -> Path | None:
        """16-bit PNG of the true depth in millimetres, 0 where it is not known, or None where nobody measured it."""
        path = FOLDER / f"{self.id}_truth_depth_mm.png"
        return path if path.exists() else None

    def truth_m(self) -> np.ndarray:
        """(H, W) float32: the true depth in metres, NaN where it is not known."""
        assert self.truth is not None
        return read_depth(self.truth, MM_SCALE)


_TUM = "TUM RGB-D benchmark (J. Sturm et al.), CC BY 4.0; enlarged, focal length added"
_RENDERED = "rendered by this project, with exact depth"
SAMPLES = (
    Sample(id="sofa", title="Sofa", place="indoor", credit="EMSANet, Apache-2.0; enlarged, focal length added"),
    Sample(id="living", title="Living room", place="indoor", credit=_RENDERED),
    Sample(id="colleagues", title="Colleagues", place="indoor", credit=_TUM),
    Sample(id="office", title="Office", place="indoor", credit=_TUM),
    Sample(id="stairs", title="Stairs", place="indoor", credit=_RENDERED),
    Sample(id="coffee", title="Coffee", place="indoor", credit="Rachel Michetti, CC0, from scikit-image"),
    Sample(id="astronaut", title="Astronaut", place="indoor", credit="NASA (Eileen Collins), public domain"),
    Sample(id="pavilion", title="Pavilion", place="outdoor", credit="danielbuechele, CC BY 2.0, from scikit-learn"),
    Sample(id="street", title="Street", place="outdoor", credit=_RENDERED, variant="streets-b0", per_metre=800),
)
BY_ID = {sample.id: sample for sample in SAMPLES}
FIRST = SAMPLES[0]
MEASURED = tuple(sample for sample in SAMPLES if sample.truth)  # what a visitor can evaluate on at once


def sample_of(photo: str | Path) -> Sample | None:
    """Return the sample whose photo this file is."""
    return next((sample for sample in SAMPLES if sample.photo.resolve() == Path(photo).resolve()), None)


@functools.cache
def finished(sample: Sample) -> DepthPrediction:
    """Return what the sample's model predicted of its photo; all who look at it share it."""
    with Image.open(sample.depth) as image:
        facts = json.loads(image.text["glpn"])  # type: ignore[attr-defined]
        depth_m = np.asarray(image, np.float32) / np.float32(sample.per_metre)
    return DepthPrediction.from_dict(facts, depth_m, load_photo(sample.photo))


def keep(sample: Sample, prediction: DepthPrediction) -> None:
    """Write `prediction` as the sample's finished result, and its thumbnail."""
    text = PngInfo()
    text.add_text("glpn", json.dumps(prediction.to_dict()))
    steps = np.clip(np.round(prediction.depth_m * sample.per_metre), 0, 65535).astype(np.uint16)
    Image.fromarray(steps).save(sample.depth, pnginfo=text, optimize=True)
    with Image.open(sample.photo) as photo:
        photo.thumbnail((192, 192))
        photo.save(sample.thumbnail, quality=80, optimize=True, exif=b"")


def main() -> None:
    from glpn.estimator import load_estimator

    estimators = {variant: load_estimator(variant, device="cpu") for variant in {sample.variant for sample in SAMPLES}}
    for estimator in estimators.values():
        estimator(FIRST.photo)  # the first run is slower and would be shown as the model's time
    for sample in SAMPLES:
        keep(sample, estimators[sample.variant](sample.photo))


if __name__ == "__main__":
    main()
