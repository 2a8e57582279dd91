"""The trainer: steps, checkpoints, resume, validation, log. One process, or many under `torchrun`."""

import errno
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel

from glpn.datasets import Pairs
from glpn.errors import CheckpointError, ConfigError, TrainingError
from glpn.evaluation.metrics import DepthMetrics
from glpn.evaluation.scores import Estimate, Predict, Score, evaluate
from glpn.files import replacing
from glpn.model.device import pick_precision
from glpn.model.pretrained import PretrainedModel

from .augmentation import Augmentation, fit
from .distributed import Group, any_process, share_batch_norm
from .log import TrainingLog
from .sampling import Batch, Samples, batches
from .schedule import learning_rate
from .tasks import Task

logger = logging.getLogger(__name__)

NUMBER_FORMATS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Settings that change how the same training is run, and whose change a resumed run allows.
HOW = ("patience", "gradient_checkpointing", "compile", "tensorboard")
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train. The defaults are the authors': Adam, batch 12, one cycle to 1e-4, no weight decay.

    steps             optimiser steps in all; one step sees batch_size × accumulate samples in every process
    precision         "float32", or mixed "bfloat16" / "float16" (the latter with loss scaling, CUDA only), or "auto":
                      mixed where this processor or GPU is faster at it
    encoder_rate      learning rate of the network's `encoder`, if it has one, as a share of everybody else's: what is
                      pretrained should move slowly
    ema               decay of the running average of the weights that is validated and published; 0 turns it off
    patience          stop after so many validations in a row without a smaller AbsRel, and publish the best weights;
                      0 never stops early
    gradient_checkpointing    compute the encoder's blocks again in the backward pass instead of keeping their values
    compile           let torch.compile fuse the network's operations; the first steps then take minutes
    tensorboard       write TensorBoard's files next to log.csv
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
    encoder_rate: float = 1.0
    precision: str = "float32"
    ema: float = 0.0
    patience: int = 0
    gradient_checkpointing: bool = False
    compile: bool = False
    tensorboard: bool = False
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
        if self.precision not in ("auto", *NUMBER_FORMATS):
            raise ConfigError(f"Unknown precision {self.precision!r}. Known: auto, {', '.join(NUMBER_FORMATS)}.")
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
    """`finished` is False if training was stopped by hand; a later run with the same folder continues."""

    finished: bool
    step: int
    samples: int
    score: Score | None


@dataclass
class Trainer:
    """Trains `task` on `pairs` and keeps everything in `folder`: checkpoint.pt, log.csv, with patience best.pt.

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
    best: float = field(default=math.inf, init=False)  # least AbsRel of a validation
    stale: int = field(default=0, init=False)  # validations since

    def __post_init__(self) -> None:
        settings, device = self.settings, self.group.device
        self.folder.mkdir(parents=True, exist_ok=True)
        self.task = self.task.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = OPTIMIZERS[settings.optimizer](_groups(self.task, settings), lr=0.0, fused=True)
        auto = settings.precision == "auto"
        self.precision = pick_precision("auto", device=device.type) if auto else settings.precision
        self._scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "float16")
        self._average = (
            {k: v.detach().clone() for k, v in self.task.network.state_dict().items()} if settings.ema else {}
        )
        self._writes = TrainingLog(self.folder, tensorboard=settings.tensorboard and self.group.leader)
        if self.checkpoint_path.exists():
            self._resume()
        if settings.gradient_checkpointing:
            _recompute_blocks(self.task.network)
        if settings.compile:
            self.task.compile()
        self._running: nn.Module = self.task
        if self.group.world_size > 1:
            share_batch_norm(self.task)
            self._running = DistributedDataParallel(self.task, broadcast_buffers=False)

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def best_path(self) -> Path:
        return self.folder / "best.pt"

    @property
    def log_path(self) -> Path:
        return self._writes.path

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
            while self.step < settings.steps and not self._without_progress():
                losses.append(self._train_step(stream))
                progress = Progress(
                    self.step,
                    settings.steps,
                    self.step * self.samples_per_step,
                    sum(losses) / len(losses),
                    self._optimizer.param_groups[-1]["lr"],
                    (self.step - first) * self.samples_per_step / (time.perf_counter() - started),
                )
                if self.on_progress:
                    self.on_progress(progress)
                last = self.step == settings.steps
                measured = self.validate() if self._due(settings.validate_every) or last else None
                if measured:
                    score = measured
                    self._compare(measured)
                if self._due(settings.log_every) or measured or last:
                    self._log(progress, measured)
                    losses = []
                stop = any_process(stopped(), self.group)
                if self._due(settings.save_every) or last or stop:
                    self.save()
                if stop and not last:
                    return TrainingResult(False, self.step, progress.samples, score)
            if self._without_progress():
                self.save()
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

    def _compare(self, score: Score) -> None:
        """Keep the weights of the best validation, if there is patience for worse ones."""
        better = score.raw.abs_rel < self.best
        self.best, self.stale = (score.raw.abs_rel, 0) if better else (self.best, self.stale + 1)
        if better and self.settings.patience:
            state = self._average or self.task.network.state_dict()
            _write(self.best_path, lambda path: torch.save(state, path))

    def _without_progress(self) -> bool:
        patience = self.settings.patience
        return bool(patience) and any_process(self.stale >= patience, self.group)

    @contextmanager
    def finished(self) -> Iterator[nn.Module]:
        """As `averaged`, but with the weights of the best validation where there was patience to keep them."""
        with self.averaged() as network:
            if self.settings.patience and self.best_path.exists():
                network.load_state_dict(torch.load(self.best_path, map_location=self.group.device, weights_only=True))
            yield network

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The network in evaluation mode with its averaged weights; afterwards training continues where it was."""
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
            "early": (self.best, self.stale),
            "run": self._identity(),
        }
        _write(self.checkpoint_path, lambda path: torch.save(state, path))

    def _resume(self) -> None:
        try:
            state = torch.load(self.checkpoint_path, map_location=self.group.device, weights_only=True)
            run = state["run"]
        except (OSError, RuntimeError, KeyError, EOFError, ValueError) as error:
            raise CheckpointError(
                f"{self.checkpoint_path} can't be resumed: {error}. Remove it to start again."
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
        self.best, self.stale = state.get("early", (math.inf, 0))
        self.step = state["step"]
        if self.group.leader:
            self._writes.forget_after(self.step)
        logger.info("Resumed %s at step %d of %d.", self.folder, self.step, self.settings.steps)

    def _identity(self) -> dict[str, Any]:
        """What has to be the same for a resumed run to be the same run; the length may change under a held rate."""
        same = replace(self.settings, precision=self.precision, save_every=0, validate_every=0, log_every=0, workers=0)
        about = asdict(same)
        about["augmentation"]["size"] = list(about["augmentation"]["size"])
        for name in HOW:
            del about[name]
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
            group["lr"] = rate * group["share"]
        chance = np.random.SeedSequence((settings.seed, 3, self.step)).generate_state(1)
        torch.manual_seed(int(chance[0]))  # drop-path and windows depend on the step alone
        total = 0.0
        for part in range(settings.accumulate):
            batch = next(stream)
            images = batch.images.to(device, non_blocking=True)
            depth_m = batch.depth_m.to(device, non_blocking=True)
            last = part == settings.accumulate - 1
            ddp = isinstance(self._running, DistributedDataParallel)
            alone = self._running.no_sync() if ddp and not last else nullcontext()  # type: ignore[operator]
            with alone, self._kernels():  # the backward pass too: it may compute blocks again
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

    def _kernels(self) -> AbstractContextManager[None]:
        """On a CPU, attention without the fused kernel: MiT's has few keys, and a step is a seventh faster."""
        return sdpa_kernel(SDPBackend.MATH) if self.group.device.type == "cpu" else nullcontext()

    def _loss(self, images: Tensor, depth_m: Tensor) -> Tensor:
        precision = NUMBER_FORMATS[self.precision]
        with torch.autocast(self.group.device.type, precision) if precision else nullcontext():
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
            "step": str(progress.step),
            "samples": str(progress.samples),
            "loss": f"{progress.loss:.5f}",
            "rate": f"{progress.rate:.3e}",
            "images_per_s": f"{progress.images_per_s:.1f}",
        }
        self._writes.write(row, score, progress.step)


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file that then takes the place of `path`. Raises `TrainingError` if the disk is full."""
    try:
        with replacing(path) as part:
            write(part)
    except (OSError, RuntimeError) as error:  # torch reports a short write as a RuntimeError
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        reason = "the disk is full" if full else str(error).rstrip(".")
        cure = "Free some space" if full else "Check that its folder is there and takes files"
        kept = "the one before is unharmed" if path.exists() else "nothing was lost but this file"
        raise TrainingError(f"{path} can't be written: {reason}. {cure}; {kept}.") from error


def _recompute_blocks(network: nn.Module) -> None:
    if not isinstance(network, PretrainedModel):
        raise ConfigError("Only a GLPN can compute its blocks again: leave gradient_checkpointing out for a teacher.")
    network.gradient_checkpointing_enable()


def _groups(task: Task, settings: TrainingSettings) -> list[dict[str, Any]]:
    """The optimizer's groups: the encoder apart; weight decay for matrices and kernels, not for biases and norms."""
    encoder = getattr(task.network, "encoder", None)
    slow = {id(p) for p in encoder.parameters()} if encoder is not None else set()
    trained = [p for p in task.parameters() if p.requires_grad]
    return [
        {"params": chosen, "weight_decay": decay, "share": share}
        for inside, share in ((True, settings.encoder_rate), (False, 1.0))
        for large, decay in ((True, settings.weight_decay), (False, 0.0))
        if (chosen := [p for p in trained if (id(p) in slow) == inside and (p.ndim > 1) == large])
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


def at_size(predict: Predict, size: tuple[int, int], device: torch.device | str = "cpu") -> Estimate:
    """Let `predict` see every picture resized to `size`, whatever its shape; its depth comes back at the picture's."""

    @torch.no_grad()
    def estimate(rgb: np.ndarray) -> np.ndarray:
        image, _ = fit(rgb, np.zeros(rgb.shape[:2], np.float32), size)
        depth = predict(torch.from_numpy(image)[None].permute(0, 3, 1, 2).to(device)).float()
        whole = F.interpolate(depth[:, None], size=rgb.shape[:2], mode="bilinear", align_corners=False)
        return whole[0, 0].cpu().numpy()

    return estimate
