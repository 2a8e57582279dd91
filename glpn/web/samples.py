"""The sample photos, and their finished results, which ship with the app so that the first visit waits for no model.

`python -m glpn.web.samples` makes the results anew with the embedded model; a test compares them with it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from glpn.camera import Camera
from glpn.photo import load_photo
from glpn.prediction import DepthPrediction

FOLDER = Path(__file__).parent / "samples"
VARIANT = "rooms-b0"
PER_METRE = 5000  # steps of 0.2 mm; uint16 reaches 13 m


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A photo that visitors can try. `place` is "indoor" or "outdoor"; `credit` names author and licence."""

    id: str
    title: str
    place: str
    credit: str

    @property
    def photo(self) -> Path:
        return FOLDER / f"{self.id}.jpg"

    @property
    def depth(self) -> Path:
        """16-bit PNG, PER_METRE steps a metre, 0 to 13 m; its text chunk "glpn" holds the rest of the prediction."""
        return FOLDER / f"{self.id}_depth.png"


_BURRUS = "Nicolas Burrus, CC BY 4.0, from stereodemo (oak-d); cropped, focal length added"
SAMPLES = (
    Sample(id="playroom", title="Playroom", place="indoor", credit=_BURRUS),
    Sample(id="armchair", title="Armchair", place="indoor", credit=_BURRUS),
    Sample(id="bedroom", title="Bedroom", place="indoor", credit=_BURRUS),
    Sample(id="lounge", title="Lounge", place="indoor", credit=_BURRUS),
    Sample(id="hall", title="Hall", place="indoor", credit=_BURRUS),
    Sample(id="corridor", title="Corridor", place="indoor", credit=_BURRUS),
    Sample(id="coffee", title="Coffee", place="indoor", credit="Rachel Michetti, CC0, from scikit-image"),
    Sample(id="pavilion", title="Pavilion", place="outdoor", credit="danielbuechele, CC BY 2.0, from scikit-learn"),
)
BY_ID = {sample.id: sample for sample in SAMPLES}
FIRST = SAMPLES[0]
# What a visitor can evaluate on at once: the hall's depth in mm as its two cameras saw it, not as any model says.
MEASURED = BY_ID["hall"]
TRUTH = FOLDER / "hall_truth_depth_mm.png"


def finished(sample: Sample) -> tuple[np.ndarray, DepthPrediction]:
    """Return the sample's photo (H, W, 3) uint8 and what the embedded model said of it."""
    photo = load_photo(sample.photo)
    with Image.open(sample.depth) as image:
        facts = json.loads(image.text["glpn"])  # type: ignore[attr-defined]
        depth_m = np.asarray(image, np.float32) / np.float32(PER_METRE)
    prediction = DepthPrediction(
        depth_m=depth_m,
        variant=facts["variant"],
        max_depth_m=facts["max_depth_m"],
        working_size=tuple(facts["working_size"]),
        seconds=facts["seconds"],
        camera=Camera(**facts["camera"]),
        scale=facts["scale"],
        notes=tuple(facts["notes"]),
    )
    return photo.rgb, prediction


def keep(sample: Sample, prediction: DepthPrediction) -> None:
    """Write `prediction` as the sample's finished result."""
    facts = {
        "variant": prediction.variant,
        "max_depth_m": prediction.max_depth_m,
        "working_size": prediction.working_size,
        "seconds": round(prediction.seconds, 3),
        "camera": asdict(prediction.camera),
        "scale": prediction.scale,
        "notes": prediction.notes,
    }
    text = PngInfo()
    text.add_text("glpn", json.dumps(facts))
    steps = np.clip(np.round(prediction.depth_m * PER_METRE), 0, 65535).astype(np.uint16)
    Image.fromarray(steps).save(sample.depth, pnginfo=text, optimize=True)


def main() -> None:
    from glpn.estimator import load_estimator

    estimator = load_estimator(VARIANT, device="cpu")
    estimator(FIRST.photo)  # the first run is slower and would be shown as the model's time
    for sample in SAMPLES:
        keep(sample, estimator(sample.photo))


if __name__ == "__main__":
    main()
