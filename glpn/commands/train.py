"""`glpn train`: a model from RGB-D data, or a whole recipe."""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch

from glpn.configuration import ENCODERS
from glpn.datasets import Pairs, Subset
from glpn.errors import ConfigError
from glpn.training.distributed import Group, join_group, leave_group
from glpn.training.recipe import RecipeRun, read_recipe, save_result
from glpn.training.tasks import DeepTask, PaperTask, Task

from .options import DEPTH_LIMITS_M, add_data, need_data, read_pairs
from .synthesize import show_shards
from .training import add_training, network_to_start_from, settings_of, show_progress, show_score, train_to_the_end

EXAMPLES = (
    "glpn train --data nyu --root nyu --list nyudepthv2_train_files_with_gt.txt --encoder b0 --out nyu-b0",
    "glpn train --root my-rgbd --size 192 256 --val-share 0.1 --out run",
    "glpn train --recipe recipes/rooms-b0.toml --out rooms-b0 --workers 2",
)
CROP_SIZE = {"nyu": (448, 576), "kitti": (352, 704)}  # the authors'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe",
        type=Path,
        metavar="FILE",
        help="run a whole recipe; other options than --out and --workers are ignored",
    )
    add_data(parser)
    parser.add_argument("--encoder", choices=list(ENCODERS), default="b0", help="size (default: %(default)s)")
    parser.add_argument("--val-list", type=Path, metavar="FILE", help="list file of the validation pairs")
    parser.add_argument(
        "--val-share", type=float, default=0.0, metavar="FRACTION", help="otherwise hold out this fraction of the pairs"
    )
    parser.add_argument("--epochs", type=float, default=25, help="(default: %(default)s)")
    parser.add_argument(
        "--deep", action="store_true", help="image-wise loss on all decoder stages; for training from scratch"
    )
    add_training(parser, drop_path=0.1)


def run(args: argparse.Namespace) -> int:
    """Train, alone or as one process of torchrun's."""
    group = join_group()
    try:
        return _run_recipe(args, group) if args.recipe else _run_training(args, group)
    finally:
        leave_group(group)


def _run_training(args: argparse.Namespace, group: Group) -> int:
    need_data(args)
    pairs, held_out = _training_pairs(args)
    size = args.size or CROP_SIZE.get(args.data)
    if size is None:
        raise ConfigError("Give the training size, such as --size 192 256.")
    network = network_to_start_from(args, args.encoder, args.max_depth or DEPTH_LIMITS_M[args.data])
    task: Task = DeepTask(network) if args.deep else PaperTask(network)
    steps = max(1, math.ceil(args.epochs * len(pairs) / (args.batch * args.accumulate * group.world_size)))
    settings = settings_of(args, steps, size, network.config.max_depth)
    settings = replace(settings, validate_every=max(1, round(steps / max(1, args.epochs))) if held_out else 0)
    return train_to_the_end(task, pairs, settings, args.out, group, held_out)


def _run_recipe(args: argparse.Namespace, group: Group) -> int:
    recipe = read_recipe(args.recipe)
    run = RecipeRun(recipe, args.out, group, _show_stage, show_progress, show_score, args.workers)
    if group.leader:
        run.synthesize(progress=show_shards)
    network = run.train()
    if network is None:
        print(f"Stopped. Run the same command to continue in {args.out}.")
        return 130
    save_result(network, args.out / "model")
    print(f"The model is in {args.out / 'model'}")
    return 0


def _show_stage(name: str) -> None:
    print(f"Stage {name}")


def _training_pairs(args: argparse.Namespace) -> tuple[Pairs, Pairs | None]:
    pairs = read_pairs(args, args.list)
    if args.val_list:
        return pairs, read_pairs(args, args.val_list)
    count = round(args.val_share * len(pairs))
    if not count:
        return pairs, None
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(args.seed)).tolist()
    return Subset(pairs, order[count:]), Subset(pairs, order[:count])
