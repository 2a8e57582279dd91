"""Scores over data sets, corruptions, real photos' tools."""

import csv
import json
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image
from training_support import scenes, write_pairs

from benchmarks import accuracy
from benchmarks.depth_edges import depth_edges, edge_f1
from benchmarks.judging import Frame, distance_followed, judge, rgbd_frames, sheet, single_frames
from benchmarks.real_photos import agreed_disparity, baselines, motorcycle, stereo_pairs
from glpn.datasets import Pair, rgbd_folder
from glpn.errors import ConfigError, DataError
from glpn.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from glpn.evaluation.metrics import depth_metrics
from glpn.evaluation.scores import (
    Score,
    evaluate,
    evaluate_pairs,
    robustness,
    saved_predictions,
    score_image,
    write_scores,
)
from glpn.training.trainer import at_size
from glpn.zoo import Zoo


def brightness(rgb):
    """An estimator that takes the gray value for depth."""
    return rgb.mean(2) / 50 + 0.5


def test_the_mean_of_the_images_scores(caplog):
    pairs = scenes(3)
    score = evaluate(brightness, pairs, max_depth_m=10)
    for image, pair in zip(score.images, pairs, strict=True):
        assert image.name == pair.name
        assert image.raw == depth_metrics(brightness(pair.rgb), pair.depth_m)
        assert image.scaled == depth_metrics(brightness(pair.rgb), pair.depth_m, median_scaled=True)
    assert score.raw.rmse == pytest.approx(np.mean([image.raw.rmse for image in score.images]))
    assert score.skipped == ()


def test_unusable_pairs_are_named_and_left_out(tmp_path, caplog):
    folder = write_pairs(tmp_path, scenes(3))
    (folder / "rgb" / "scene-1.png").write_bytes(b"")
    score = evaluate(brightness, rgbd_folder(folder), max_depth_m=10)
    assert [image.name for image in score.images] == ["rgb/scene-0.png", "rgb/scene-2.png"]
    assert "scene-1.png" in score.skipped[0]
    assert "scene-1.png" in caplog.text
    for path in (folder / "rgb").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no images"):
        evaluate(brightness, rgbd_folder(folder), max_depth_m=10)


def test_the_crop_decides_what_counts():
    depth = np.full((480, 640), 2.0, np.float32)
    predicted = depth.copy()
    predicted[:45], predicted[471:], predicted[:, :41], predicted[:, 601:] = 9, 9, 9, 9
    assert score_image("x", predicted, depth, max_depth_m=10, crop="nyu").raw.abs_rel == 0
    assert score_image("x", predicted, depth, max_depth_m=10).raw.abs_rel > 0


def test_a_network_sees_its_size_and_answers_at_the_photos():
    seen = []

    def predict(images):
        seen.append(images)
        return images.mean(1) * 10

    depth = at_size(predict, (32, 64))(np.full((50, 70, 3), 102, np.uint8))
    assert seen[0].shape == (1, 3, 32, 64)
    assert depth.shape == (50, 70)
    assert np.allclose(depth, 4.0)


def test_scores_as_csv(tmp_path):
    score = evaluate(brightness, scenes(2), max_depth_m=10)
    write_scores(tmp_path / "scores.csv", score)
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["scene-0", "scene-1", "mean"]
    assert list(rows[0]) == ["image", *Score.COLUMNS]
    assert float(rows[-1]["scaled_delta1"]) == score.scaled.delta1
    assert float(rows[0]["rmse"]) == score.images[0].raw.rmse


@pytest.mark.parametrize("layout", ["folders", "joined", "flat"])
def test_saved_predictions_score_as_the_depth_they_hold(tmp_path, layout):
    rng = np.random.default_rng(0)
    pairs, depths = [], {}
    for name in ("kitchen/rgb_1.jpg", "office/rgb_2.jpg", "office/rgb_3.jpg"):
        truth = rng.uniform(1, 9, (32, 48)).astype(np.float32)
        pairs.append(Pair(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8), truth, name))
        depths[name] = np.round(truth * rng.uniform(0.8, 1.2, truth.shape) * 1000).astype(np.uint16)
        file = name.replace(".jpg", ".png")
        file = {"folders": file, "joined": file.replace("/", "_"), "flat": file.split("/")[1]}[layout]
        (tmp_path / file).parent.mkdir(exist_ok=True)
        Image.fromarray(depths[name]).save(tmp_path / file)
    score = evaluate_pairs(saved_predictions(tmp_path, 1000), pairs, max_depth_m=10)
    expected = evaluate_pairs(lambda pair: depths[pair.name] / np.float32(1000), pairs, max_depth_m=10)
    assert score == expected
    small = [Pair(pairs[0].rgb[1:], pairs[0].depth_m[1:], pairs[0].name), *pairs[1:], replace(pairs[1], name="x/y.jpg")]
    score = evaluate_pairs(saved_predictions(tmp_path, 1000), small, max_depth_m=10)
    assert len(score.images) == 2
    assert "(31, 48)" in score.skipped[0]
    assert "no prediction for x/y.jpg" in score.skipped[1]


# -------------------------------------------------------------------------------------------------------- corruptions


@pytest.fixture(scope="module")
def photo():
    y, x = np.mgrid[0:96, 0:130]
    return np.stack([x * 1.5, y * 2, 127 + 100 * np.sin(x / 3) * np.cos(y / 5)], -1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_grow_with_their_strength(photo, name):
    distances = []
    for strength in STRENGTHS:
        result = corrupt(photo, name, strength)
        assert result.shape == photo.shape
        assert result.dtype == np.uint8
        assert np.array_equal(result, corrupt(photo, name, strength))
        distances.append(np.abs(result.astype(float) - photo).mean())
    assert distances[0] > 0.3
    assert distances[-1] > distances[0]
    assert sum(b < a * 0.98 for a, b in pairwise(distances)) <= 1


def test_there_are_fifteen_and_no_others(photo):
    assert len(CORRUPTIONS) == 15
    with pytest.raises(ConfigError, match="Known: gaussian_noise"):
        corrupt(photo, "rain", 1)
    with pytest.raises(ConfigError, match="1 to 5"):
        corrupt(photo, "fog", 6)


def test_the_robustness_table():
    rows = {}
    result = robustness(brightness, scenes(1), max_depth_m=10, on_row=rows.__setitem__)
    assert result.keys() == rows.keys() == CORRUPTIONS.keys()
    assert all(len(scores) == 5 for scores in result.values())
    assert result["brightness"][4].raw.rmse != result["brightness"][0].raw.rmse


# -------------------------------------------------------------------------------------------------------- real photos


def test_the_motorcycle_is_metric():
    pair = motorcycle()
    known = pair.depth_m > 0
    assert pair.rgb.shape[:2] == pair.depth_m.shape == (500, 741)
    assert 0.8 < known.mean() < 1
    assert 1.5 < pair.depth_m[known].min() < pair.depth_m[known].max() < 8


@pytest.fixture
def stereo_folder(tmp_path):
    """A textured wall 1.5 m away with a board at 1 m: disparities 20 and 30."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (120, 260, 3)).astype(np.uint8), (0, 0), 1)
    right, left = texture[:, 30:230].copy(), texture[:, 10:210].copy()
    board = cv2.GaussianBlur(rng.integers(0, 255, (50, 60, 3)).astype(np.uint8), (0, 0), 1)
    right[30:80, 70:130], left[30:80, 100:160] = board, board
    for name, picture in (("left", left), ("right", right)):
        Image.fromarray(picture).save(tmp_path / f"wall_{name}.png")
    calibration = {"fx": 400.0, "baseline_meters": 0.075, "left_image_rect_normalized": [0, 0, 1, 1]}
    (tmp_path / "stereodemo_calibration.json").write_text(json.dumps(calibration))
    return tmp_path


def test_stereo_gives_metres_where_both_directions_agree(stereo_folder):
    (pair,) = stereo_pairs(stereo_folder)
    assert pair.name == "wall"
    board, wall = pair.depth_m[40:70, 110:150], pair.depth_m[90:115, 90:190]
    assert np.median(board[board > 0]) == pytest.approx(1.0, rel=0.02)
    assert np.median(wall[wall > 0]) == pytest.approx(1.5, rel=0.02)
    assert np.mean(pair.depth_m > 0) > 0.25  # the matcher leaves out the leftmost 80 columns


def test_stereo_without_agreement_is_unknown():
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 255, (2, 60, 160, 3), dtype=np.uint8)
    assert np.mean(agreed_disparity(left, right) > 0) < 0.05


def test_no_stereo_pairs(tmp_path):
    with pytest.raises(DataError, match="stereodemo wheel"):
        stereo_pairs(tmp_path)


def test_baselines_ignore_the_photo():
    constant, rows = baselines(scenes(5, (96, 128)))
    photo = np.zeros((48, 64, 3), np.uint8)
    assert np.ptp(constant(photo)) == 0
    assert rows(photo)[0].mean() > 2 * rows(photo)[-1].mean()  # the floor of these scenes slopes towards the camera
    assert np.ptp(rows(photo), axis=1).max() < 1e-5


def test_the_row_profile_of_streets_knows_what_is_far_and_leaves_the_sky_out():
    depth_m = np.zeros((96, 128), np.float32)
    depth_m[32:64], depth_m[64:] = 60, 5
    street = Pair(np.zeros((96, 128, 3), np.uint8), depth_m, "street")
    constant, rows = (line(street.rgb)[[0, 48, 95], 0] for line in baselines([street], max_depth_m=80))
    assert constant == pytest.approx(np.sqrt(60 * 5), rel=1e-4)
    assert rows == pytest.approx([constant[0], 60, 5], rel=1e-4)


# ------------------------------------------------------------------------------------------------------------- judging


def frames(count):
    return single_frames(scenes(count, (120, 160)), 0.1, 9.9)


def test_a_perfect_estimator_scores_perfectly():
    result = judge(frames(3), lambda pair: (pair.depth_m, pair.depth_m))
    mean = result["mean"]
    assert (mean["raw_delta1"], mean["edge_f1"], mean["raw_abs_rel"], mean["scale"]) == (1, 1, 0, 0)
    assert {mean[f"{part}_abs_rel"] for part in ("near", "far", "border", "edges")} == {0}


def test_a_wrong_scale_is_told_from_a_wrong_shape():
    result = judge(frames(3), lambda pair: (pair.depth_m / 2, pair.depth_m * 1.1))["mean"]
    assert result["raw_abs_rel"] == pytest.approx(0.5, abs=1e-3)
    assert result["told_abs_rel"] == pytest.approx(0.1, abs=1e-3)
    assert result["median_abs_rel"] == pytest.approx(0, abs=1e-3)
    assert result["scale"] == pytest.approx(np.log(2), abs=1e-3)


def test_every_room_counts_the_same():
    a, b, c = (pair for pair in scenes(3, (120, 160)))
    rooms = [Frame(a, "large", 0.1, 9.9), Frame(b, "large", 0.1, 9.9), Frame(c, "small", 0.1, 9.9)]
    wrong = {a.name: 1.1, b.name: 1.3, c.name: 1.0}
    result = judge(rooms, lambda pair: (pair.depth_m * wrong[pair.name],) * 2)
    assert result["large"]["raw_abs_rel"] == pytest.approx(0.2, abs=1e-3)
    assert result["mean"]["raw_abs_rel"] == pytest.approx(0.1, abs=1e-3)


def test_an_edge_counts_where_it_is_and_not_where_it_is_not():
    depth = np.full((120, 160), 4.0, np.float32)
    depth[40:90, 50:100] = 2.0
    known = np.ones_like(depth, bool)
    edges = depth_edges(depth, known)
    assert edges.any() and not edges[:, :60].any() and not edges[:50].any()  # at twice the size
    assert edge_f1(edges, edges) == 1
    moved = depth_edges(np.roll(depth, 20, 1), known)
    assert 0 < edge_f1(moved, edges) < 0.9
    assert edge_f1(np.zeros_like(edges), edges) == 0
    slope = np.tile(np.linspace(1, 3, 160, dtype=np.float32), (120, 1))
    assert not depth_edges(slope, known).any()


def test_the_kept_frames_are_read_with_their_rooms_and_lenses(pytestconfig):
    folder = pytestconfig.rootpath / "tests" / "data" / "rgbd"
    indoor, near = rgbd_frames(folder, "indoor"), rgbd_frames(folder, "near")
    assert (len({frame.room for frame in indoor}), len({frame.room for frame in near})) == (11, 4)
    assert all(frame.known.mean() > 0.2 for frame in indoor + near)
    assert any(frame.pair.fx_over_width for frame in indoor)
    credits = (folder / "CREDITS.md").read_text()
    assert all(
        f"{group}/{frame.pair.name}" in credits
        for group, frames in (("indoor", indoor), ("near", near))
        for frame in frames
    )


def test_the_sheet_shows_all(tmp_path):
    chosen = frames(2)
    picture = sheet(chosen, [[frame.pair.depth_m, frame.pair.depth_m / 2] for frame in chosen], height=60)
    assert picture.size == (4 * 80, 2 * 60)
    tiles = np.asarray(picture).reshape(2, 60, 4, 80, 3)
    assert np.array_equal(tiles[:, 20:, 2], tiles[:, 20:, 3])  # both are the truth's shape


def test_figures_go_into_manifest_and_card(tmp_path, monkeypatch, pytestconfig):
    manifest, card = tmp_path / "weights_manifest.json", tmp_path / "glpn" / "weights" / "rooms-b0" / "README.md"
    original = accuracy.MANIFEST.read_text()
    manifest.write_text(original)
    card.parent.mkdir(parents=True)
    card.write_text("before\n" + "\noutdated\n".join(accuracy.CARD_MARKS) + "\nafter\n")
    monkeypatch.setattr(accuracy, "MANIFEST", manifest)
    monkeypatch.setattr(accuracy, "ROOT", tmp_path)
    perfect = judge(frames(2), lambda pair: (pair.depth_m, pair.depth_m))
    result = dict.fromkeys((accuracy.INDOOR, accuracy.NEAR, accuracy.PHOTOS), perfect)
    accuracy.update_manifest("rooms-b0", result)
    metrics = Zoo.load(manifest)["rooms-b0"].metrics
    assert {metric.alignment for metric in metrics} == {"raw", "median"}
    assert all(dict(metric.values) == {"delta1": 1, "abs_rel": 0} for metric in metrics)
    assert len(Zoo.load(manifest).specs) == len(Zoo.load(accuracy_manifest(pytestconfig)).specs)
    accuracy.update_card("rooms-b0", accuracy.tables({"ours": result}))
    text = card.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "outdated" not in text
    assert "| ours | 0.000 / 1.000 |" in text


def test_a_table_shows_the_models_that_were_measured_on_its_set():
    perfect = judge(frames(2), lambda pair: (pair.depth_m, pair.depth_m))
    both, street = {accuracy.PHOTOS: perfect, accuracy.STREETS: perfect}, {accuracy.STREETS: perfect}
    text = accuracy.tables({"constant": both, "streets-b0": street})
    photos, streets = text.split(f"**{accuracy.STREETS}**")
    assert "| constant |" in photos and "| streets-b0 |" not in photos
    assert "| constant |" in streets and "| streets-b0 |" in streets
    assert accuracy.PHOTOS not in accuracy.tables({"constant": both}, only=street)


@pytest.mark.parametrize("power", [1.0, 0.5, 0.0])
def test_a_pull_to_one_distance_is_measured(power):
    rows = [{"distance": float(np.log(m)), "scale": float(np.log(m) - np.log(2 * (m / 2) ** power))} for m in (1, 2, 6)]
    assert distance_followed(rows) == pytest.approx(power)
    assert np.isnan(distance_followed(rows[:1] * 2))


def test_near_and_far_are_the_frames_own():
    pair = Pair(np.zeros((64, 64, 3), np.uint8), np.tile(np.float32([[4.0], [20.0]]).repeat(32, 0), 64), "street")

    def flat(_pair):
        return (np.full((64, 64), 8, np.float32),) * 2

    room, street = Frame(pair, "a", 0.1, 50.0), Frame(pair, "a", 0.1, 50.0, near_m=10, far_m=10)
    in_room, on_street = judge([room], flat)["mean"], judge([street], flat)["mean"]
    assert "near_abs_rel" not in in_room  # nothing under 1.5 m
    assert in_room["far_abs_rel"] == on_street["far_abs_rel"] == pytest.approx(0.4)
    assert on_street["near_abs_rel"] == pytest.approx(2)


def accuracy_manifest(pytestconfig):
    return pytestconfig.rootpath / "glpn" / "zoo" / "weights_manifest.json"
