"""Scores over data sets, corruptions, real photos' tools."""

import csv
import json
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from training_support import scenes, write_pairs

from glpn.errors import ConfigError, DataError
from glpn.metrics import depth_metrics
from glpn.training.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from glpn.training.datasets import Pair, rgbd_folder
from glpn.training.evaluation import Score, at_size, evaluate, robustness, score_image, write_scores
from glpn.training.real_photos import (
    agreed_disparity,
    baselines,
    motorcycle,
    picture_sheet,
    score_photos,
    stereo_pairs,
    table,
)


def brightness(rgb):
    """An estimator that takes the grey value for depth."""
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
    assert float(rows[-1]["scaled_delta1"]) == pytest.approx(score.scaled.delta1, abs=1e-5)


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


def test_baselines_know_what_they_say():
    real, synthetic = scenes(3, (96, 128)), scenes(5, (96, 128))[3:]
    known = baselines(synthetic, real)
    assert len(known) == 4
    scores = {baseline.name: score_photos(baseline, real) for baseline in known}
    constant, _, rows, mean = scores.values()
    assert mean.scaled.abs_rel < constant.scaled.abs_rel
    assert rows.scaled.abs_rel < constant.scaled.abs_rel
    text = table(list(scores.items()))
    assert text.count("\n") == 5
    assert "mean map of the real photos" in text


def test_a_perfect_estimator_scores_perfectly_and_the_sheet_shows_all():
    pairs = [Pair(p.rgb, np.clip(p.depth_m, 0, 5.9), p.name) for p in scenes(2, (90, 120))]
    answers = {pair.rgb.tobytes(): pair.depth_m for pair in pairs}
    score = score_photos(lambda rgb: answers[rgb.tobytes()], pairs)
    assert score.raw.delta1 == 1
    lens = [Pair(p.rgb, p.depth_m * 1.25, p.name, 1.0) for p in pairs]
    corrected = score_photos(lambda rgb: answers[rgb.tobytes()], lens, trained_fx_over_width=0.8)
    assert corrected.raw.abs_rel == pytest.approx(0, abs=1e-6)
    sheet = picture_sheet(lambda rgb: answers[rgb.tobytes()], pairs, height=60)
    assert sheet.size == (3 * 80, 2 * 60)
    assert torch.tensor(np.asarray(sheet)).float().std() > 10
