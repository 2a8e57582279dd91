"""What `train` and `distill` share: the arguments of a training, the network to start from, and what is shown."""

import argparse
import sys
from pathlib import Path

import torch

from glpn.checkpoint import find_weights, load_state
from glpn.configuration import GLPNConfig
from glpn.datasets import Pairs
from glpn.evaluation.scores import Score
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.model.original import load_encoder
from glpn.model.pretrained import load_strict
from glpn.training.augmentation import Augmentation
from glpn.training.distributed import Group
from glpn.training.plot import write_plot
from glpn.training.schedule import SCHEDULES
from glpn.training.tasks import Task
from glpn.training.trainer import NUMBER_FORMATS, Progress, Trainer, TrainingSettings, describe

from .terminal import show


def add_training(parser: argparse.ArgumentParser, *, drop_path: float) -> None:
    """Add the arguments that `settings_of` and `network_to_start_from` read, but for the encoder."""
    parser.add_argument(
        "--init", default="imagenet", help="imagenet, scratch, or a GLPN folder or repository (default: %(default)s)"
    )
    parser.add_argument("--drop-path", type=float, default=drop_path, help="(default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="checkpoint, log, model; resumed if there"
    )
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="training size")
    parser.add_argument(
        "--crop-scale",
        type=float,
        metavar="FRACTION",
        help="resize random crops of at least this fraction, instead of a fixed-size crop",
    )
    parser.add_argument("--batch", type=int, default=12, help="per process (default: %(default)s)")
    parser.add_argument("--accumulate", type=int, default=1, help="batches per step (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=1e-4, help="peak learning rate (default: %(default)s)")
    parser.add_argument("--schedule", choices=list(SCHEDULES), default="one_cycle", help="(default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=0, metavar="STEPS")
    parser.add_argument("--optimizer", choices=("adam", "adamw"), default="adam", help="(default: %(default)s)")
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--clip", type=float, default=0.0, help="largest gradient norm; 0 does not clip")
    parser.add_argument("--ema", type=float, default=0.0, help="decay of the averaged weights; 0 turns it off")
    parser.add_argument(
        "--precision", choices=["auto", *NUMBER_FORMATS], default="float32", help="(default: %(default)s)"
    )
    parser.add_argument("--cutdepth", type=float, default=0.25, help="probability (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes that read data (default: %(default)s)")
    parser.add_argument("--save-every", type=int, default=1000, metavar="STEPS", help="(default: %(default)s)")


def settings_of(args: argparse.Namespace, steps: int, size: tuple[int, int], max_depth_m: float) -> TrainingSettings:
    """Return the trainer's settings from the arguments."""
    return TrainingSettings(
        steps=steps,
        augmentation=Augmentation(
            size=(size[0], size[1]),
            max_depth_m=max_depth_m,
            scale=args.crop_scale,
            cutdepth_chance=args.cutdepth,
        ),
        batch_size=args.batch,
        accumulate=args.accumulate,
        optimizer=args.optimizer,
        peak_rate=args.lr,
        schedule=args.schedule,
        warmup_steps=args.warmup,
        weight_decay=args.weight_decay,
        clip_norm=args.clip,
        precision=args.precision,
        ema=args.ema,
        seed=args.seed,
        workers=args.workers,
        save_every=args.save_every,
    )


def network_to_start_from(args: argparse.Namespace, encoder: str, max_depth_m: float) -> GLPNForDepthEstimation:
    """Return a network with MiT's initialization, an ImageNet encoder, or the weights of another GLPN."""
    config = GLPNConfig.from_encoder(encoder, max_depth=max_depth_m, drop_path_rate=args.drop_path)
    torch.manual_seed(args.seed)
    network = GLPNForDepthEstimation(config)
    if args.init == "imagenet":
        network.glpn.load_state_dict(load_encoder(encoder).state_dict())
    elif args.init != "scratch":
        folder = Path(args.init)
        state = (
            load_state(find_weights(folder))
            if folder.is_dir()
            else GLPNForDepthEstimation.from_pretrained(args.init).state_dict()
        )
        load_strict(network, state, args.init)
    return network.train()


def train_to_the_end(
    task: Task, pairs: Pairs, settings: TrainingSettings, out: Path, group: Group, held_out: Pairs | None = None
) -> int:
    """Train and write the network's folder; returns 130 if training was stopped."""
    trainer = Trainer(task, pairs, settings, out, group, held_out, show_progress if group.leader else None, show_score)
    result = trainer.run()
    if not group.leader:
        return 0 if result.finished else 130
    write_plot(trainer.log_path, out / "log.html")
    if not result.finished:
        print(f"Stopped after step {result.step}. Run the same command to continue in {out}.")
        return 130
    with trainer.finished() as network:
        assert isinstance(network, GLPNForDepthEstimation)
        # For whoever opens the result: at another size it would be worse.
        seen = settings.augmentation.size if settings.augmentation.scale else pairs[0].rgb.shape[:2]
        network.config.working_short_side = min(seen)
        network.save_pretrained(out / "model")
    print(f"The model is in {out / 'model'}; the course of training in {out / 'log.html'}")
    return 0


def show_progress(progress: Progress) -> None:
    """Show one step: on a terminal in one passing line, else a line every 100 steps."""
    minutes, seconds = divmod(round(min(progress.seconds_left, 359999)), 60)
    line = (
        f"step {progress.step} of {progress.steps}  loss {progress.loss:.4f}  {progress.images_per_s:.1f} images/s  "
        f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"
    )
    show(line if progress.step < progress.steps else "")
    if progress.step % 100 == 0 and not sys.stderr.isatty():  # a log file wants lines, and not too many
        print(line, file=sys.stderr, flush=True)


def show_score(step: int, score: Score) -> None:
    """Print the score of a validation."""
    show("")
    print(f"step {step}  raw: {describe(score.raw)}  scaled: {describe(score.scaled)}")
