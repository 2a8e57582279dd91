"""The trainer on tiny networks: it learns, resumes bit for bit, shares work, and fails by name."""

import csv
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

from glpn.errors import CheckpointError, ConfigError, TrainingError
from glpn.modeling import upsample
from glpn.training.augmentation import Augmentation
from glpn.training.engine import Trainer, TrainingSettings, write_atomically
from glpn.training.plot import write_plot
from glpn.training.schedule import SCHEDULES, learning_rate
from glpn.training.tasks import HALO, DeepTask, PaperTask, Target, TeacherTask, depth_loss
from glpn.training.teacher import ConvolutionalTeacher, TeacherConfig, load_teacher, save_teacher

PLAIN = Augmentation(size=(64, 64), flip=0, colour_chance=0, cutdepth_chance=0)
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
    ours = task._head_loss(features, [Target(target, torch.ones_like(target), 1.0, 0.6)])
    torch.manual_seed(5)
    tall = 8 + HALO
    top, left = torch.randint(0, 16 - tall + 1, ()).item(), torch.randint(0, 16 - tall + 1, ()).item()
    whole = network.head(upsample(upsample(features)))
    rows = slice(4 * (top + HALO) if top else 0, 4 * (top + tall - HALO) if top + tall < 16 else None)
    columns = slice(4 * (left + HALO) if left else 0, 4 * (left + tall - HALO) if left + tall < 16 else None)
    cut = whole[:, rows, columns]
    expected = depth_loss(cut, target[:, rows, columns], torch.ones_like(cut), lambd=0.8)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-4)


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
        expected = expected + 0.4 * depth_loss(depth, depth_m, task.known(depth_m), lambd=task.lambd)
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
def test_a_full_disk_in_the_middle_of_a_checkpoint(tmp_path):
    trainer, _ = trained(tmp_path)
    before = trainer.checkpoint_path.read_bytes()
    (tmp_path / "checkpoint.pt.part").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt can't be written") as caught:
        trainer.save()
    assert "unharmed" in str(caught.value)
    assert trainer.checkpoint_path.read_bytes() == before
    assert not (tmp_path / "checkpoint.pt.part").is_symlink()


def test_a_full_disk_is_said_to_be_full(tmp_path):
    def half(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(TrainingError, match="the disk is full"):
        write_atomically(tmp_path / "file", half)
    assert list(tmp_path.iterdir()) == []


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
        monkeypatch.setattr("glpn.training.engine.pick_precision", lambda name, device, picked=picked: picked)
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
from glpn.modeling import GLPNForDepthEstimation
from glpn.training.augmentation import Augmentation
from glpn.training.datasets import rgbd_folder
from glpn.training.distributed import join_group, leave_group
from glpn.training.engine import Trainer, TrainingSettings
from glpn.training.tasks import DeepTask

group = join_group()
torch.manual_seed(0)
settings = TrainingSettings(steps=3, augmentation=Augmentation(size=(64, 64)), batch_size=int(sys.argv[3]),
                            peak_rate=1e-3, clip_norm=1.0, ema=0.9)
task = DeepTask(GLPNForDepthEstimation(GLPNConfig(**{tiny})), head_share=0.5)
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
    for part in ("task", "average"):
        for name, value in one[part].items():
            if value.ndim > 1:  # biases before a norm have no gradient but rounding, which Adam blows up
                assert np.allclose(value, two[part][name], rtol=1e-3, atol=2e-5), name
    images, depths = torch.rand(2, 3, 64, 64), []
    for state in (one, two):
        network = tiny_glpn().eval()
        network.load_state_dict(state["average"])
        depths.append(network(images).predicted_depth)
    assert torch.allclose(depths[0], depths[1], rtol=1e-3)
