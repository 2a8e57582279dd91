"""Before and during a training: samples judged, drawn, timed; rows of the Hub copied; logs, early stop, recomputing."""

import csv
import io
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from training_support import ALONE, scene, scenes, tiny_glpn
from zoo_support import SHAPE, Streamed

from glpn.datasets import Pair
from glpn.errors import ConfigError, DataError, HubError
from glpn.hub.rows import Rows, copy_rows
from glpn.training.augmentation import Augmentation
from glpn.training.preflight import PAIRS_SHOWN, inspect_source, measure_speed, write_sheet
from glpn.training.sources import PairSource
from glpn.training.tasks import PaperTask, TeacherTask
from glpn.training.teacher import ConvolutionalTeacher, TeacherConfig
from glpn.training.trainer import Trainer, TrainingSettings

ROWS = Rows(repo_id="me/pairs", split="train", image="image", depth="depth_map")
SETTINGS = TrainingSettings(steps=6, augmentation=Augmentation(size=(64, 64)), batch_size=2, save_every=0, log_every=1)


class Broken:
    def __len__(self):
        return 3

    def __getitem__(self, index):
        raise DataError(f"pair {index} is broken")


def test_a_source_is_read_in_ten_places_and_judged(tmp_path):
    report, samples = inspect_source("training", scenes(25), 10.0)
    assert (report.count, len(samples), report.problems) == (25, PAIRS_SHOWN, ())
    assert 0.5 < report.near_m < report.typical_m < report.far_m < 10
    assert "25 samples, 64 × 64" in report.lines()[0]

    millimetres = [Pair(pair.rgb, pair.depth_m * 1000, pair.name) for pair in scenes(3)]
    assert "Check the scale" in inspect_source("training", millimetres, 10.0)[0].problems[0]
    report, samples = inspect_source("training", Broken(), 10.0)
    assert samples == []
    assert report.problems == ("pair 0 is broken", "pair 1 is broken", "pair 2 is broken")

    write_sheet(tmp_path / "sheet.png", scenes(3), Augmentation(size=(32, 64)))
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (120 + 120 + 240 + 240, 360)


def test_the_speed_of_a_step_is_measured():
    speed = measure_speed(lambda: PaperTask(tiny_glpn()), SHAPE, (448, 576), 12, ALONE)
    assert speed.products_per_s > 0
    assert (speed.size, speed.batch_size, speed.bytes_used) == ((64, 96), 1, 0)


# ---------------------------------------------------------------------------------------------------- rows of the Hub


def streamed(monkeypatch, rows):
    """Let `datasets` be a module that streams these rows; returns the calls of load_dataset."""
    calls = []
    module = types.ModuleType("datasets")

    def load_dataset(name, **options):
        calls.append((name, options))
        return Streamed(rows)

    module.__dict__.update(Image=type("Image", (), {}), load_dataset=load_dataset)
    monkeypatch.setitem(sys.modules, "datasets", module)
    return calls


def jpeg(pair):
    buffer = io.BytesIO()
    Image.fromarray(pair.rgb).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_rows_are_copied_byte_for_byte_once_and_go_on_where_they_were(tmp_path, monkeypatch):
    pairs = scenes(4)
    kinds = [
        {"image": {"bytes": jpeg(pairs[0])}, "depth_map": Image.fromarray(pairs[0].depth_m)},
        {"image": Image.fromarray(pairs[1].rgb), "depth_map": pairs[1].depth_m.tolist()},
        {"image": {"bytes": jpeg(pairs[2])}, "depth_map": Image.fromarray(pairs[2].depth_m)},
    ]

    def broken():
        yield from kinds[:2]
        raise ConnectionError("the line is dead")

    monkeypatch.setattr(Streamed, "__iter__", lambda self: iter(self.rows()))
    streamed(monkeypatch, broken)
    with pytest.raises(HubError, match="the line is dead"):
        copy_rows(ROWS, tmp_path / "train")
    monkeypatch.undo()
    calls = streamed(monkeypatch, lambda: kinds)
    seen = []
    assert copy_rows(ROWS, tmp_path / "train", progress=seen.append) == 3
    assert seen == [3]
    assert (tmp_path / "train" / "rgb" / "000000.jpg").read_bytes() == jpeg(pairs[0])
    assert copy_rows(ROWS, tmp_path / "train") == 3
    assert calls == [("me/pairs", {"split": "train", "revision": None, "streaming": True})]
    source = PairSource(layout="hub", repo_id="me/pairs", crop=(32, 48))
    read = source.training_pairs(tmp_path)
    assert len(read) == 3
    for index in range(3):
        assert np.allclose(read[index].depth_m, pairs[index].depth_m[32:, 8:56], atol=1e-3)


@pytest.mark.parametrize(
    ("rows", "error", "says"),
    [
        ([], DataError, "no rows"),
        ([{"picture": 1, "depth": 2}], ConfigError, "no field image or depth_map; its rows have picture, depth"),
        ([{"image": {"bytes": b"GIF89a"}, "depth_map": [[1.0]]}], DataError, "'image' of the split"),
        ([{"image": [[1.0]], "depth_map": [1.0]}], DataError, "'depth_map' of the split"),
    ],
)
def test_rows_that_are_no_pairs(tmp_path, monkeypatch, rows, error, says):
    streamed(monkeypatch, lambda: rows)
    with pytest.raises(error, match=says):
        copy_rows(ROWS, tmp_path)


def test_without_the_library_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install 'glpn\[datasets\]'"):
        copy_rows(ROWS, tmp_path)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"layout": "moon"}, "Known: nyu, kitti, rgbd, photos, hub"),
        ({"layout": "hub"}, "repo_id"),
        ({"layout": "nyu", "held_out_every": 1}, "nothing would be left"),
        ({"layout": "nyu", "colour": 1}, "Unknown colour"),
    ],
)
def test_sources_that_can_not_be(table, says):
    with pytest.raises(ConfigError, match=says):
        PairSource.of(table)


# ------------------------------------------------------------------------------------------------------------- trainer


def trained(folder, settings, **options):
    torch.manual_seed(0)
    trainer = Trainer(PaperTask(tiny_glpn()), scenes(5), settings, folder, ALONE, **options)
    return trainer, trainer.run()


def test_training_stops_without_progress_and_keeps_the_best_weights(tmp_path):
    settings = replace(SETTINGS, steps=40, peak_rate=0.5, validate_every=1, patience=2, schedule="constant")
    trainer, result = trained(tmp_path, settings, validation=[scene(9)])
    assert result.finished
    assert result.step < 40
    assert trainer.stale == 2
    with trainer.log_path.open() as file:
        errors = [float(row["abs_rel"]) for row in csv.DictReader(file)]
    assert trainer.best == pytest.approx(min(errors))
    assert errors.index(min(errors)) == len(errors) - 3
    best = torch.load(trainer.best_path, weights_only=True)
    with trainer.finished() as network:
        assert all(torch.equal(value, best[name]) for name, value in network.state_dict().items())
    _, again = trained(tmp_path, settings, validation=[scene(9)])
    assert (again.finished, again.step) == (True, result.step)


def test_recomputed_blocks_give_the_same_weights(tmp_path):
    kept, _ = trained(tmp_path / "kept", SETTINGS)
    again, _ = trained(tmp_path / "again", replace(SETTINGS, gradient_checkpointing=True))
    for name, value in kept.task.state_dict().items():
        torch.testing.assert_close(value, again.task.state_dict()[name], rtol=1e-3, atol=1e-5)
    teacher = TeacherTask(ConvolutionalTeacher(TeacherConfig(channels=(4, 8, 16, 16, 32), pyramid=8)))
    with pytest.raises(ConfigError, match="Only a GLPN"):
        Trainer(teacher, scenes(2), replace(SETTINGS, gradient_checkpointing=True), tmp_path / "t", ALONE)


def test_a_compiled_network_is_what_runs_and_is_saved_under_its_own_names(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: compiled.append(type(self)))
    trainer, _ = trained(tmp_path, replace(SETTINGS, steps=1, compile=True))
    assert compiled == [PaperTask]
    trainer.save()
    state = torch.load(trainer.checkpoint_path, weights_only=True)["task"]
    assert state.keys() == PaperTask(tiny_glpn()).state_dict().keys()


def test_tensorboard_gets_what_the_log_gets(tmp_path, monkeypatch):
    scalars = []

    class Writer:
        def __init__(self, folder):
            assert folder == str(tmp_path / "tensorboard")

        def add_scalar(self, name, value, step):
            scalars.append((name, value, step))

        def flush(self):
            pass

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    trainer, _ = trained(tmp_path, replace(SETTINGS, steps=2, tensorboard=True), validation=[scene(9)])
    with trainer.log_path.open() as file:
        rows = list(csv.DictReader(file))
    losses = [(value, step) for name, value, step in scalars if name == "training/loss"]
    assert losses == [(float(row["loss"]), int(row["step"])) for row in rows]
    assert ("validation/delta1", float(rows[1]["delta1"]), 2) in scalars
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'glpn\[tensorboard\]'"):
        trained(tmp_path / "other", replace(SETTINGS, tensorboard=True))
