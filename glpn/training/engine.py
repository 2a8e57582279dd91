"""The trainer: steps, checkpoints, resume, validation, log. One process, or many under `torchrun`."""

import csv
import errno
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel

from glpn.compute import pick_precision
from glpn.errors import CheckpointError, ConfigError, TrainingError
from glpn.metrics import DepthMetrics

from .augmentation import Augmentation
from .datasets import Pairs
from .distributed import Group, any_process, share_batch_norm
from .evaluation import Score, at_size, evaluate
from .sampling import Batch, Samples, batches
from .schedule import learning_rate
from .tasks import Task

logger = logging.getLogger(__name__)

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train. The defaults are the authors': Adam, batch 12, one cycle to 1e-4, no weight decay.

    steps             optimiser steps in all; one step sees batch_size × accumulate samples in every process
    precision         "float32", or mixed "bfloat16" / "float16" (the latter with loss scaling, CUDA only), or "auto":
                      mixed where this processor or GPU is faster at it
    ema               decay of the running average of the weights that is validated and published; 0 turns it off
    save_every, validate_every, log_every    in steps; 0 never
    """

    steps: int
    augmentation: Augmentation
    batch_size: int = 12
    accumulate: int = 1
    optimizer: str = "adam"
    peak_rate: float = 1e-4
    schedule: str = "one_cycle"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    precision: str = "float32"
    ema: float = 0.0
    seed: int = 0
    workers: int = 0
    save_every: int = 1000
    validate_every: int = 0
    log_every: int = 50

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.accumulate < 1:
            raise ConfigError("Training needs at least 1 step, 1 sample per batch and 1 batch per step.")
        if self.optimizer not in OPTIMIZERS:
            raise ConfigError(f"Unknown optimizer {self.optimizer!r}. Known: {', '.join(OPTIMIZERS)}.")
        if self.precision not in ("auto", *PRECISIONS):
            raise ConfigError(f"Unknown precision {self.precision!r}. Known: auto, {', '.join(PRECISIONS)}.")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"The decay of the weights' average is {self.ema}. Give at least 0 and less than 1.")
        learning_rate(0, self.steps, peak=self.peak_rate, schedule=self.schedule)


@dataclass(frozen=True)
class Progress:
    """Where training is: shown by the command line after each step."""

    step: int
    steps: int
    samples: int
    loss: float
    rate: float
    images_per_s: float

    @property
    def seconds_left(self) -> float:
        done = self.samples / self.step
        return (self.steps - self.step) * done / self.images_per_s if self.images_per_s else math.inf


@dataclass(frozen=True)
class TrainingResult:
    """`finished` is False if training was stopped; a later run with the same folder goes on."""

    finished: bool
    step: int
    samples: int
    score: Score | None


@dataclass
class Trainer:
    """Trains `task` on `pairs` and keeps everything in `folder`: checkpoint.pt, log.csv.

    A checkpoint in the folder is resumed. Since sample k and the chances of step n depend on nothing but the seed, the
    result is bit for bit that of a run that was never interrupted.
    """

    task: Task
    pairs: Pairs
    settings: TrainingSettings
    folder: Path
    group: Group
    validation: Pairs | None = None
    on_progress: Callable[[Progress], None] | None = None
    on_validation: Callable[[int, Score], None] | None = None
    step: int = field(default=0, init=False)
    precision: str = field(default="float32", init=False)  # what "auto" came to

    def __post_init__(self) -> None:
        settings, device = self.settings, self.group.device
        self.folder.mkdir(parents=True, exist_ok=True)
        self.task = self.task.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = OPTIMIZERS[settings.optimizer](_decayed(self.task, settings.weight_decay), lr=0.0, fused=True)
        auto = settings.precision == "auto"
        self.precision = pick_precision("auto", device=device.type) if auto else settings.precision
        self._scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "float16")
        self._average = (
            {k: v.detach().clone() for k, v in self.task.network.state_dict().items()} if settings.ema else {}
        )
        if self.checkpoint_path.exists():
            self._resume()
        self._running: nn.Module = self.task
        if self.group.world_size > 1:
            share_batch_norm(self.task)
            self._running = DistributedDataParallel(self.task, broadcast_buffers=False)

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def log_path(self) -> Path:
        return self.folder / "log.csv"

    @property
    def samples_per_step(self) -> int:
        return self.settings.batch_size * self.settings.accumulate * self.group.world_size

    def run(self) -> TrainingResult:
        """Train to the end, or until Ctrl-C or SIGTERM, after which the checkpoint is saved.

        Raises `TrainingError` if the loss is not a number or a checkpoint can't be written; the last good checkpoint
        stays as it was.
        """
        settings, score = self.settings, None
        stream = batches(
            Samples(self.pairs, settings.augmentation, seed=settings.seed),
            batch_size=settings.batch_size,
            first_batch=self.step * settings.accumulate,
            rank=self.group.rank,
            world_size=self.group.world_size,
            workers=settings.workers,
        )
        started, first, losses = time.perf_counter(), self.step, []
        self.task.train()
        with _stop_on_signals() as stopped:
            while self.step < settings.steps:
                losses.append(self._train_step(stream))
                progress = Progress(
                    self.step,
                    settings.steps,
                    self.step * self.samples_per_step,
                    sum(losses) / len(losses),
                    self._optimizer.param_groups[0]["lr"],
                    (self.step - first) * self.samples_per_step / (time.perf_counter() - started),
                )
                if self.on_progress:
                    self.on_progress(progress)
                last = self.step == settings.steps
                measured = self.validate() if self._due(settings.validate_every) or last else None
                score = measured or score
                if self._due(settings.log_every) or measured or last:
                    self._log(progress, measured)
                    losses = []
                stop = any_process(stopped(), self.group)
                if self._due(settings.save_every) or last or stop:
                    self.save()
                if stop and not last:
                    return TrainingResult(False, self.step, progress.samples, score)
        return TrainingResult(True, self.step, self.step * self.samples_per_step, score)

    def validate(self) -> Score | None:
        """Measure the (averaged) network on the validation pairs; only the leader does."""
        if self.validation is None or not self.group.leader:
            return None
        with self.averaged():
            score = evaluate(
                at_size(self.task.predict, self.settings.augmentation.size, self.group.device),
                self.validation,
                max_depth_m=self.task.max_depth_m,
            )
        if self.on_validation:
            self.on_validation(self.step, score)
        return score

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The network in evaluation mode with its averaged weights; afterwards training goes on where it was."""
        network = self.task.network
        own = {key: value.clone() for key, value in network.state_dict().items()}
        network.load_state_dict(self._average or own)
        network.eval()
        try:
            yield network
        finally:
            network.load_state_dict(own)
            network.train()

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if not self.group.leader:
            return
        state = {
            "step": self.step,
            "task": self.task.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": self._average,
            "run": self._identity(),
        }
        write_atomically(self.checkpoint_path, lambda path: torch.save(state, path))

    def _resume(self) -> None:
        try:
            state = torch.load(self.checkpoint_path, map_location=self.group.device, weights_only=True)
            run = state["run"]
        except (OSError, RuntimeError, KeyError, EOFError, ValueError) as error:
            raise CheckpointError(
                f"{self.checkpoint_path} can't be resumed: {error}. Remove it to start anew."
            ) from error
        differing = [key for key, value in self._identity().items() if run.get(key) != value]
        if differing:
            raise CheckpointError(
                f"{self.checkpoint_path} belongs to a run with other settings ({', '.join(differing)} differ). "
                "Give the same settings, or another folder."
            )
        self.task.load_state_dict(state["task"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self._average = state["average"]
        self.step = state["step"]
        if self.group.leader:
            self._forget_log_after_step()
        logger.info("Resumed %s at step %d of %d.", self.folder, self.step, self.settings.steps)

    def _forget_log_after_step(self) -> None:
        """Drop the rows of steps that a crash has undone: they come again."""
        if not self.log_path.exists():
            return
        header, *rows = self.log_path.read_text().splitlines(keepends=True)
        kept = [row for row in rows if int(row.split(",", 1)[0]) <= self.step]
        write_atomically(self.log_path, lambda path: path.write_text("".join([header, *kept])))

    def _identity(self) -> dict[str, Any]:
        """What has to be the same for a resumed run to be the same run; the length may change under a held rate."""
        same = replace(self.settings, precision=self.precision, save_every=0, validate_every=0, log_every=0, workers=0)
        about = asdict(same)
        about["augmentation"]["size"] = list(about["augmentation"]["size"])
        if self.settings.schedule in ("constant", "trapezoid"):
            del about["steps"]
        return about | {"world_size": self.group.world_size}

    def _due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _train_step(self, stream: Iterator[Batch]) -> float:
        settings, device = self.settings, self.group.device
        rate = learning_rate(
            self.step,
            settings.steps,
            peak=settings.peak_rate,
            schedule=settings.schedule,
            warmup_steps=settings.warmup_steps,
        )
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        chance = np.random.SeedSequence((settings.seed, 3, self.step)).generate_state(1)
        torch.manual_seed(int(chance[0]))  # drop-path and windows depend on the step alone
        total = 0.0
        for part in range(settings.accumulate):
            batch = next(stream)
            images = batch.images.to(device, non_blocking=True)
            depth_m = batch.depth_m.to(device, non_blocking=True)
            last = part == settings.accumulate - 1
            ddp = isinstance(self._running, DistributedDataParallel)
            with self._running.no_sync() if ddp and not last else nullcontext():  # type: ignore[operator]
                loss = self._loss(images, depth_m) / settings.accumulate
                if not torch.isfinite(loss):
                    raise TrainingError(
                        f"The loss of step {self.step} is {loss.item()} on {', '.join(batch.names[:4])}… "
                        "Lower the learning rate, or clip gradients; the last checkpoint is unharmed."
                    )
                self._scaler.scale(loss).backward()
            total += loss.item()
        self._scaler.unscale_(self._optimizer)
        if settings.clip_norm:
            nn.utils.clip_grad_norm_(self.task.parameters(), settings.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._update_average()
        return total

    def _loss(self, images: Tensor, depth_m: Tensor) -> Tensor:
        device, precision = self.group.device.type, PRECISIONS[self.precision]
        with ExitStack() as stack:
            if device == "cpu":  # MiT's attention has few keys: without the fused kernel a step is a seventh faster
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            if precision:
                stack.enter_context(torch.autocast(device, precision))
            loss: Tensor = self._running(images, depth_m)
        return loss

    @torch.no_grad()
    def _update_average(self) -> None:
        share = 1 - min(self.settings.ema, (1 + self.step) / (10 + self.step))
        for key, value in self.task.network.state_dict().items() if self._average else ():
            if value.is_floating_point():
                self._average[key].lerp_(value, share)
            else:
                self._average[key].copy_(value)

    def _log(self, progress: Progress, score: Score | None) -> None:
        if not self.group.leader:
            return
        row = {
            "step": progress.step,
            "samples": progress.samples,
            "loss": f"{progress.loss:.5f}",
            "rate": f"{progress.rate:.3e}",
            "images_per_s": f"{progress.images_per_s:.1f}",
        }
        row |= dict.fromkeys(Score.COLUMNS, "") | (score.to_row() if score else {})
        fresh = not self.log_path.exists()
        with self.log_path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path` and put it in its place. Raises `TrainingError` if the disk is full."""
    unfinished = path.with_name(path.name + ".part")
    try:
        write(unfinished)
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a short write as a RuntimeError
        unfinished.unlink(missing_ok=True)
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        raise TrainingError(
            f"{path} can't be written: {'the disk is full' if full else error}. Free some space; "
            f"{'the one before is unharmed' if path.exists() else 'nothing was lost but this file'}."
        ) from error


def _decayed(task: Task, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only, not for biases and norms."""
    trained = [p for p in task.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


@contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C and SIGTERM only make the yielded function return True; a second Ctrl-C interrupts at once."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals are somebody else's
        yield lambda: False
        return
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def describe(metrics: DepthMetrics) -> str:
    return f"AbsRel {metrics.abs_rel:.3f}  RMSE {metrics.rmse:.3f} m  δ1 {metrics.delta1:.3f}"
