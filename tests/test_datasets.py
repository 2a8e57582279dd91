"""Reading RGB-D data as people keep it, and refusing what can't be used by name."""

import json
import logging
import math

import numpy as np
import pytest
from PIL import Image
from training_support import scene, scenes, write_depth, write_pairs

from glpn.datasets import Joined, Photos, Shards, kitti, nyu, read_ground_truth, read_pair, rgbd_folder
from glpn.errors import DataError
from glpn.training.augmentation import Augmentation, augment, fit
from glpn.training.sampling import Samples, batches


@pytest.fixture
def folder(tmp_path):
    return write_pairs(tmp_path / "data", scenes(4))


def test_a_folder_of_rgb_and_depth(folder):
    pairs = rgbd_folder(folder)
    assert len(pairs) == 4
    for seed in range(4):
        assert np.array_equal(pairs[seed].rgb, scene(seed).rgb)
        assert np.abs(pairs[seed].depth_m - scene(seed).depth_m).max() <= 0.0005 + 1e-6
        assert pairs[seed].name == f"rgb/scene-{seed}.png"


def test_files_side_by_side_and_a_photo_without_depth(tmp_path, caplog):
    pair = scene(0)
    for name in ("a", "b", "lonely"):
        Image.fromarray(pair.rgb).save(tmp_path / f"{name}.png")
    write_depth(tmp_path / "a_depth.png", pair.depth_m)
    np.save(tmp_path / "b_depth.npy", pair.depth_m)
    with caplog.at_level(logging.WARNING):
        pairs = rgbd_folder(tmp_path)
    assert len(pairs) == 2
    assert "lonely.png" in caplog.text
    assert np.array_equal(pairs[1].depth_m, pair.depth_m)


def test_scales_and_types_of_depth_files(tmp_path):
    metres = np.array([[0.0, 1.5], [80.0, 3.25]], np.float32)
    write_depth(tmp_path / "kitti.png", metres, 256)
    np.save(tmp_path / "metres.npy", metres)
    np.save(tmp_path / "steps.npy", (metres * 500).astype(np.int32))
    np.save(tmp_path / "odd.npy", np.array([[np.nan, -1.0], [np.inf, 2.0]]))
    assert np.array_equal(read_ground_truth(tmp_path / "kitti.png", 256), metres)
    assert np.array_equal(read_ground_truth(tmp_path / "metres.npy", 1000), metres)
    assert np.array_equal(read_ground_truth(tmp_path / "steps.npy", 500), metres)
    assert read_ground_truth(tmp_path / "odd.npy", 1).tolist() == [[0, 0], [0, 2]]


def test_list_files_of_nyu(folder):
    lines = [f"/rgb/scene-{n}.png /depth/scene-{n}.png 518.8579" for n in (2, 0)]
    (folder / "train.txt").write_text("\n".join(lines) + "\n\n")
    pairs = nyu(folder, folder / "train.txt")
    assert [pairs[i].name for i in range(len(pairs))] == ["rgb/scene-2.png", "rgb/scene-0.png"]


def test_list_files_of_kitti(tmp_path):
    root = write_pairs(tmp_path, [scene(0, (375, 1242))], scale=256)
    (root / "eigen.txt").write_text("rgb/scene-0.png depth/scene-0.png 721.5\nrgb/scene-0.png None 721.5\n")
    pairs = kitti(root, root / "eigen.txt")
    assert len(pairs) == 1
    assert pairs[0].rgb.shape == (352, 1216, 3)
    assert np.array_equal(pairs[0].rgb, scene(0, (375, 1242)).rgb[23:375, 13:1229])


def test_a_list_file_that_is_none(tmp_path):
    with pytest.raises(DataError, match="can't be read"):
        nyu(tmp_path, tmp_path / "missing.txt")
    (tmp_path / "bad.txt").write_text("only-one-word\n")
    with pytest.raises(DataError, match="line 1"):
        nyu(tmp_path, tmp_path / "bad.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="names no pairs"):
        nyu(tmp_path, tmp_path / "empty.txt")


def break_truncated(folder):
    path = folder / "rgb" / "scene-1.png"
    path.write_bytes(path.read_bytes()[:60])


def break_size(folder):
    write_depth(folder / "depth" / "scene-1.png", np.ones((32, 64), np.float32))


def break_zero(folder):
    write_depth(folder / "depth" / "scene-1.png", np.zeros((64, 64), np.float32))


def break_8_bit(folder):
    Image.fromarray(np.ones((64, 64), np.uint8)).save(folder / "depth" / "scene-1.png")


def break_color(folder):
    Image.fromarray(np.ones((64, 64, 3), np.uint8)).save(folder / "depth" / "scene-1.png")


def break_text(folder):
    (folder / "depth" / "scene-1.png").write_text("not a picture")


BREAKS = [
    (break_truncated, "can't be used"),
    (break_size, "64 × 32"),
    (break_zero, "no measurement"),
    (break_8_bit, "8 bits"),
    (break_color, "one channel"),
    (break_text, "can't be read"),
]


@pytest.mark.parametrize(("damage", "says"), BREAKS)
def test_a_pair_that_can_not_be_used_is_named(folder, damage, says):
    damage(folder)
    with pytest.raises(DataError, match=says) as caught:
        rgbd_folder(folder)[1]
    assert "scene-1.png" in str(caught.value)


@pytest.mark.parametrize(("damage", "says"), BREAKS)
def test_training_skips_it_with_a_warning(folder, damage, says, caplog):
    damage(folder)
    samples = Samples(rgbd_folder(folder), Augmentation(size=(64, 64)), seed=0)
    with caplog.at_level(logging.WARNING):
        names = [samples[number][2] for number in range(12)]
    assert "rgb/scene-1.png" not in names
    assert len(names) == 12
    assert caplog.text.count("Skipped") == 1
    assert "scene-1.png" in caplog.text


def test_a_data_set_of_broken_pairs_ends(folder):
    for path in (folder / "rgb").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="in a row"):
        Samples(rgbd_folder(folder), Augmentation(size=(64, 64)), seed=0)[0]


def test_missing_things(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        rgbd_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no pairs"):
        rgbd_folder(tmp_path)
    with pytest.raises(DataError, match="no synthetic shards"):
        Shards(tmp_path)
    with pytest.raises(DataError, match="holds no"):
        Photos.in_folder(tmp_path)
    with pytest.raises(DataError, match="can't be used"):
        read_pair(tmp_path / "no.png", tmp_path / "no_depth.png", 1000)
    (tmp_path / "dataset.json").write_text(json.dumps({"scenes": "rooms", "depth_scale": 1000}))
    with pytest.raises(DataError, match="no shards yet"):
        Shards(tmp_path)


def test_joined_data_sets_lie_one_after_the_other():
    first, second = scenes(2), scenes(5)[2:]
    joined = Joined((first, second))
    assert [pair.name for pair in (joined[index] for index in range(len(joined)))] == [p.name for p in scenes(5)]
    with pytest.raises(IndexError):
        joined[5]


def test_photos_have_no_depth(folder):
    photos = Photos.in_folder(folder / "rgb")
    assert len(photos) == 4
    assert not photos[0].depth_m.any()


# --------------------------------------------------------------------------------------------- augmentation, sampling


def test_augmentation_keeps_picture_and_depth_together():
    """A picture that is its own depth stays so through crop, mirror and resize."""
    depth = np.random.default_rng(0).integers(10, 250, (6, 8)).repeat(16, 0).repeat(16, 1)
    rgb = np.repeat(depth[..., None], 3, 2).astype(np.uint8)
    for seed in range(10):
        for scale in (None, 0.6):
            settings = Augmentation(
                size=(64, 96), scale=scale, stretch=0.05, color_chance=0, cutdepth_chance=0, max_depth_m=255
            )
            image, moved = augment(rgb, depth.astype(np.float32), settings, np.random.default_rng(seed))
            assert image.shape == (64, 96, 3)
            assert moved.shape == (64, 96)
            assert np.median(np.abs(image[..., 0] * 255 - moved)) < 0.51
            assert set(np.unique(moved)) <= set(np.unique(depth).astype(np.float32))


def test_augmentation_stays_in_range_and_depends_on_the_seed_alone():
    pair, settings = scene(0, (96, 128)), Augmentation(size=(64, 96), scale=0.5, gray_chance=0.5, shuffle_chance=0.5)
    results = [augment(pair.rgb, pair.depth_m, settings, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    for image, _ in results:
        assert image.dtype == np.float32
        assert 0 <= image.min() <= image.max() <= 1
    assert np.array_equal(results[0][0], results[1][0])
    assert not np.array_equal(results[0][0], results[2][0])


def test_an_enlarged_crop_can_keep_the_focal_length():
    pair = scene(0, (96, 128))
    flat = np.full((96, 128), 4.0, np.float32)
    for seed in range(5):
        settings = Augmentation(size=(96, 128), scale=0.5, keep_focal=True, cutdepth_chance=0)
        _, depth_m = augment(pair.rgb, flat, settings, np.random.default_rng(seed))
        share = math.exp(np.random.default_rng(seed).uniform(math.log(0.5), 0))
        assert depth_m == pytest.approx(4.0 * int(share * 128) / 128)


def test_a_turn_of_hue_keeps_gray_gray():
    gray = np.full((64, 64, 3), 120, np.uint8)
    settings = Augmentation(
        size=(64, 64),
        color_chance=1,
        hue=90,
        brightness=0,
        contrast=0,
        gamma=0,
        saturation=0,
        tint=0,
        cutdepth_chance=0,
    )
    colorful = scene(1)
    image, _ = augment(gray, np.ones((64, 64), np.float32), settings, np.random.default_rng(0))
    assert np.allclose(image, 120 / 255, atol=1e-5)
    image, _ = augment(colorful.rgb, colorful.depth_m, settings, np.random.default_rng(0))
    assert np.abs(image - colorful.rgb / 255).max() > 0.02


def test_fit_resizes_without_chance():
    pair = scene(0, (96, 128))
    image, depth_m = fit(pair.rgb, pair.depth_m, (48, 64))
    assert image.shape == (48, 64, 3)
    assert np.abs(image - pair.rgb[::2, ::2] / 255).mean() < 0.05
    assert set(np.unique(depth_m)) <= set(np.unique(pair.depth_m))


def test_a_crop_larger_than_the_pair_is_refused():
    pair = scene(0)
    with pytest.raises(DataError, match="64 × 64"):
        augment(pair.rgb, pair.depth_m, Augmentation(size=(96, 96)), np.random.default_rng(0))


def test_an_epoch_sees_every_pair_once():
    pairs = scenes(5)
    samples = Samples(pairs, Augmentation(size=(64, 64)), seed=3)
    for epoch in range(3):
        names = [samples[5 * epoch + place][2] for place in range(5)]
        assert sorted(names) == sorted(pair.name for pair in pairs)


def test_two_processes_share_out_the_batches_of_one():
    samples = Samples(scenes(5), Augmentation(size=(64, 64)), seed=3)
    whole = batches(samples, batch_size=4, first_batch=1)
    halves = [batches(samples, batch_size=2, first_batch=1, rank=rank, world_size=2) for rank in (0, 1)]
    for _ in range(3):
        batch, parts = next(whole), [next(half) for half in halves]
        assert batch.names == parts[0].names + parts[1].names
        assert np.array_equal(batch.images, np.concatenate([part.images for part in parts]))


def test_reading_ahead_in_other_processes_changes_nothing():
    samples = Samples(scenes(5), Augmentation(size=(64, 64)), seed=3)
    here, ahead = (
        batches(samples, batch_size=3, first_batch=0),
        batches(samples, batch_size=3, first_batch=0, workers=1),
    )
    for _ in range(2):
        one, other = next(here), next(ahead)
        assert one.names == other.names
        assert np.array_equal(one.images, other.images)
