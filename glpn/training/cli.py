"""`python -m glpn train | evaluate | distill | synthesize | publish`."""

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from glpn.checkpoint import find_weights, load_state
from glpn.configuration import ENCODERS, GLPNConfig
from glpn.convert import load_encoder
from glpn.errors import ConfigError
from glpn.estimator import load_estimator
from glpn.modeling import GLPNForDepthEstimation
from glpn.pretrained import load_strict

from .augmentation import Augmentation
from .datasets import Pairs, Photos, Shards, Subset, kitti, nyu, rgbd_folder
from .distributed import Group, join_group, leave_group
from .engine import PRECISIONS, Progress, Trainer, TrainingSettings, describe
from .evaluation import Score, evaluate, robustness, write_scores
from .recipe import RecipeRun, load_renderer, read_recipe, save_result
from .schedule import SCHEDULES
from .tasks import DeepTask, PaperTask, Task

DATA = ("nyu", "kitti", "rgbd", "shards")
MAX_DEPTH_M = {"nyu": 10.0, "kitti": 80.0, "rgbd": 10.0, "shards": 10.0}
CROP_SIZE = {"nyu": (448, 576), "kitti": (352, 704)}  # the authors'
CROP = {"nyu": "nyu", "kitti": "garg"}

# ---------------------------------------------------------------------------------------------------------- synthesize


def add_synthesize_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenes", default="rooms", help="kind of scenes (default: %(default)s)")
    parser.add_argument("--frames", type=int, required=True, help="pictures, rounded up to whole shards")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where shards go; missing ones are added"
    )
    parser.add_argument("--size", type=int, nargs=2, default=(192, 256), metavar=("H", "W"))
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")


def run_synthesize(args: argparse.Namespace) -> int:
    renderer = load_renderer()
    plan = renderer.SynthesisPlan(args.frames, args.seed, scenes=args.scenes, size=tuple(args.size))
    frames = renderer.synthesize(plan, args.out, workers=args.workers, progress=_show_shards)
    _say(f"{frames} new frames in {args.out}")
    return 0


# --------------------------------------------------------------------------------------------------------------- train


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe", type=Path, metavar="FILE", help="run a whole recipe; only --out and --workers count"
    )
    _add_data_arguments(parser)
    parser.add_argument("--encoder", choices=list(ENCODERS), default="b0", help="size (default: %(default)s)")
    parser.add_argument(
        "--init", default="imagenet", help="imagenet, scratch, or a GLPN folder or repository (default: %(default)s)"
    )
    parser.add_argument("--val-list", type=Path, metavar="FILE", help="list file of the validation pairs")
    parser.add_argument("--val-share", type=float, default=0.0, help="else, this share of the pairs is held out")
    parser.add_argument("--epochs", type=float, default=25, help="(default: %(default)s)")
    parser.add_argument("--drop-path", type=float, default=0.1, help="(default: %(default)s)")
    parser.add_argument(
        "--deep", action="store_true", help="image-wise loss on all decoder stages; for training from scratch"
    )
    _add_training_arguments(parser)


def run_train(args: argparse.Namespace) -> int:
    group = join_group()
    try:
        if args.recipe:
            return _run_recipe(args, group)
        if args.root is None:
            raise ConfigError("Training needs data. Give --data and --root, or --recipe.")
        pairs, held_out = _training_pairs(args)
        size = args.size or CROP_SIZE.get(args.data)
        if size is None:
            raise ConfigError("Give the training size, such as --size 192 256.")
        network = _start(args)
        task: Task = DeepTask(network) if args.deep else PaperTask(network)
        steps = max(1, math.ceil(args.epochs * len(pairs) / (args.batch * args.accumulate * group.world_size)))
        settings = _settings(args, steps, size, network.config.max_depth)
        settings = replace(settings, validate_every=max(1, round(steps / max(1, args.epochs))) if held_out else 0)
        return _train(task, pairs, settings, args.out, group, held_out)
    finally:
        leave_group(group)


def _run_recipe(args: argparse.Namespace, group: Group) -> int:
    recipe = read_recipe(args.recipe)
    run = RecipeRun(recipe, args.out, group, _show_stage, _show_progress, _show_score, args.workers)
    if group.leader:
        run.synthesize(progress=_show_shards)
    network = run.train()
    if network is None:
        _say(f"Stopped; the same command goes on in {args.out}.")
        return 130
    save_result(network, args.out / "model")
    _say(f"The model is in {args.out / 'model'}")
    return 0


def _start(args: argparse.Namespace) -> GLPNForDepthEstimation:
    """The network to start from: MiT's initialisation, an ImageNet encoder, or another GLPN."""
    max_depth_m = args.max_depth or MAX_DEPTH_M[args.data]
    config = GLPNConfig.from_encoder(args.encoder, max_depth=max_depth_m, drop_path_rate=args.drop_path)
    torch.manual_seed(args.seed)
    network = GLPNForDepthEstimation(config)
    if args.init == "imagenet":
        encoder = load_encoder(args.encoder)
        network.glpn.load_state_dict(encoder.state_dict())
    elif args.init != "scratch":
        folder = Path(args.init)
        state = (
            load_state(find_weights(folder))
            if folder.is_dir()
            else GLPNForDepthEstimation.from_pretrained(args.init).state_dict()
        )
        load_strict(network, state, args.init)
    return network.train()


def _training_pairs(args: argparse.Namespace) -> tuple[Pairs, Pairs | None]:
    pairs = _pairs(args, args.list)
    if args.val_list:
        return pairs, _pairs(args, args.val_list)
    count = round(args.val_share * len(pairs))
    if not count:
        return pairs, None
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(args.seed)).tolist()
    return Subset(pairs, order[count:]), Subset(pairs, order[:count])


def _train(
    task: Task, pairs: Pairs, settings: TrainingSettings, out: Path, group: Group, held_out: Pairs | None = None
) -> int:
    """Train to the end and write the network's folder; 130 if training was stopped."""
    from .plot import write_plot

    trainer = Trainer(
        task, pairs, settings, out, group, held_out, _show_progress if group.leader else None, _show_score
    )
    result = trainer.run()
    if not group.leader:
        return 0 if result.finished else 130
    write_plot(trainer.log_path, out / "log.html")
    if not result.finished:
        _say(f"Stopped after step {result.step}; the same command goes on in {out}.")
        return 130
    with trainer.averaged() as network:
        network.save_pretrained(out / "model")  # type: ignore[operator]
    _say(f"The model is in {out / 'model'}; the course of training in {out / 'log.html'}")
    return 0


# ------------------------------------------------------------------------------------------------------------- distill


def add_distill_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teacher", required=True, help="variant id, Hub repository or folder of a GLPN")
    parser.add_argument("--student", choices=list(ENCODERS), default="b0", help="encoder (default: %(default)s)")
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER", help="photos; no depth is needed")
    parser.add_argument("--steps", type=int, default=20000, help="(default: %(default)s)")
    parser.add_argument(
        "--init", default="imagenet", help="imagenet, scratch, or a GLPN folder or repository (default: %(default)s)"
    )
    parser.add_argument("--drop-path", type=float, default=0.0, help="(default: %(default)s)")
    _add_training_arguments(parser)


def run_distill(args: argparse.Namespace) -> int:
    group = join_group()
    try:
        estimator = load_estimator(args.teacher, device=group.device.type)
        teacher: nn.Module = estimator.model.to(group.device)
        args.encoder, args.max_depth = args.student, estimator.spec.max_depth_m
        task = DeepTask(_start(args), teacher=teacher, teacher_weight=1.0, teacher_lambd=0.5)
        side = estimator.spec.working_short_side
        size = args.size or (side // 32 * 32, round(side * 4 / 3 / 32) * 32)
        settings = _settings(args, args.steps, size, args.max_depth)
        photos = replace(settings.augmentation, scale=0.6, cutdepth_chance=0.0)
        return _train(task, Photos.in_folder(args.images), replace(settings, augmentation=photos), args.out, group)
    finally:
        leave_group(group)


# ------------------------------------------------------------------------------------------------------------ evaluate


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default="rooms-b0", help="variant id, Hub repository or folder (default: %(default)s)"
    )
    _add_data_arguments(parser)
    parser.add_argument("--crop", choices=("none", "nyu", "garg", "eigen"), help="default: the data set's own")
    parser.add_argument("--resolution", default="standard", help="as for estimate (default: %(default)s)")
    parser.add_argument("--flip-average", action="store_true", help="average with the mirror image")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one row per image")
    parser.add_argument("--robustness", action="store_true", help="also under 15 corruptions at 5 strengths")


def run_evaluate(args: argparse.Namespace) -> int:
    if args.root is None:
        raise ConfigError("Evaluation needs data. Give --data and --root.")
    estimator = load_estimator(args.model, device=args.device)
    resolution = int(args.resolution) if args.resolution.isdigit() else args.resolution
    pairs, crop = _pairs(args, args.list), args.crop or CROP.get(args.data, "none")
    limit = args.max_depth or MAX_DEPTH_M[args.data]

    def estimate(rgb):  # type: ignore[no-untyped-def]
        return estimator(rgb, resolution=resolution, flip_average=args.flip_average, correct_scale=False).depth_m

    score = evaluate(
        estimate, pairs, max_depth_m=limit, crop=crop, on_image=lambda i, _: _show(f"{i + 1} of {len(pairs)} images")
    )
    _show("")
    _say(score_table(score))
    if score.skipped:
        _say(f"{len(score.skipped)} pairs were skipped; the warnings above name them.")
    if args.csv:
        write_scores(args.csv, score)
    if args.robustness:
        _say("\nAbsRel and δ1, median-scaled, by strength of corruption")
        robustness(estimate, pairs, max_depth_m=limit, crop=crop, on_row=_say_row)
    return 0


def score_table(score: Score) -> str:
    """The nine metrics, raw and median-scaled, over all images."""
    lines = [f"{'':10} {'raw':>8} {'scaled':>8}   ({len(score.images)} images)"]
    scaled = score.scaled.to_dict()
    lines += [f"{name:10} {value:8.4f} {scaled[name]:8.4f}" for name, value in score.raw.to_dict().items()]
    return "\n".join(lines)


def _say_row(name: str, scores: tuple[Score, ...]) -> None:
    cells = (f"{score.scaled.abs_rel:.3f}/{score.scaled.delta1:.3f}" for score in scores)
    _say(f"{name:18} " + "  ".join(cells))


# ------------------------------------------------------------------------------------------------------------- publish


def add_publish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="what train or distill wrote as model/")
    parser.add_argument("--repo", required=True, metavar="OWNER/NAME", help="your repository on the Hub")
    parser.add_argument("--id", required=True, help="variant id, such as nyu-b0")
    parser.add_argument("--title", required=True)
    parser.add_argument("--trained-on", required=True, help="one sentence about the data")
    parser.add_argument("--license", required=True, help="such as Apache-2.0")
    parser.add_argument("--license-note", default="as stated by whoever published this.")
    parser.add_argument("--working-short-side", type=int, default=480, help="pixels (default: %(default)s)")
    parser.add_argument("--fx-over-width", type=float, default=0.8107, help="training camera (default: %(default)s)")
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="JSON list of the manifest's metric entries")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument("--dry-run", action="store_true", help="write the files and compare, upload nothing")


def run_publish(args: argparse.Namespace) -> int:
    from glpn.hub.upload import plan_upload, push

    from .publish import Publication, write_publication

    metrics = tuple(json.loads(args.metrics.read_text())) if args.metrics else ()
    about = Publication(
        id=args.id,
        title=args.title,
        repo_id=args.repo,
        head=args.id.split("-")[0],
        license=args.license,
        license_note=args.license_note,
        trained_on=args.trained_on,
        working_short_side=args.working_short_side,
        fx_over_width=args.fx_over_width,
        metrics=metrics,
    )
    write_publication(args.folder, about)
    for upload in plan_upload(args.folder, args.repo):
        _say(f"{upload.change:8} {upload.size / 1e6:9.2f} MB  {upload.name}")
    if args.dry_run:
        _say("Nothing was uploaded (--dry-run).")
        return 0
    _say(f"Published as {args.repo} at {push(args.folder, args.repo, private=args.private)}")
    return 0


# -------------------------------------------------------------------------------------------------------------- shared


def _add_data_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", choices=DATA, default="rgbd", help="layout of the data (default: %(default)s)")
    parser.add_argument("--root", type=Path, metavar="DIR", help="where the data lies")
    parser.add_argument("--list", type=Path, metavar="FILE", help="list file, for nyu and kitti")
    parser.add_argument("--depth-root", type=Path, metavar="DIR", help="where kitti's depth lies, if elsewhere")
    parser.add_argument(
        "--scale", type=float, default=1000.0, help="steps per metre of rgbd depth (default: %(default)s)"
    )
    parser.add_argument("--max-depth", type=float, metavar="METRES", help="default: 80 for kitti, else 10")


def _add_training_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="checkpoint, log, model; resumed if there"
    )
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="training size")
    parser.add_argument(
        "--crop-scale", type=float, help="resize random crops of at least this share, instead of cutting"
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
    parser.add_argument("--precision", choices=["auto", *PRECISIONS], default="float32", help="(default: %(default)s)")
    parser.add_argument("--cutdepth", type=float, default=0.25, help="probability (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes that read data (default: %(default)s)")
    parser.add_argument("--save-every", type=int, default=1000, metavar="STEPS", help="(default: %(default)s)")


def _settings(args: argparse.Namespace, steps: int, size: tuple[int, int], max_depth_m: float) -> TrainingSettings:
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


def _pairs(args: argparse.Namespace, list_file: Path | None) -> Pairs:
    readers: dict[str, Callable[[Path], Pairs]] = {
        "nyu": lambda listed: nyu(args.root, listed),
        "kitti": lambda listed: kitti(args.root, listed, args.depth_root),
    }
    if args.data in readers:
        if list_file is None:
            raise ConfigError(f"--data {args.data} needs --list: the file that names its pairs.")
        return readers[args.data](list_file)
    return Shards(args.root) if args.data == "shards" else rgbd_folder(args.root, scale=args.scale)


def _say(text: str) -> None:
    print(text)


def _show(text: str) -> None:
    """Rewrite one line of standard error, if somebody watches it."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _show_stage(name: str) -> None:
    _say(f"Stage {name}")


def _show_shards(done: int, total: int) -> None:
    _show(f"{done} of {total} shards" if done < total else "")


def _show_progress(progress: Progress) -> None:
    minutes, seconds = divmod(round(min(progress.seconds_left, 359999)), 60)
    line = (
        f"step {progress.step} of {progress.steps}  loss {progress.loss:.4f}  {progress.images_per_s:.1f} images/s  "
        f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"
    )
    _show(line if progress.step < progress.steps else "")
    if progress.step % 100 == 0 and not sys.stderr.isatty():  # a log file wants lines, and not too many
        print(line, file=sys.stderr, flush=True)


def _show_score(step: int, score: Score) -> None:
    _show("")
    _say(f"step {step}  raw: {describe(score.raw)}  scaled: {describe(score.scaled)}")
