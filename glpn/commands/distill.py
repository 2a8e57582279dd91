"""`glpn distill`: a small model from a large one and photos without depth."""

import argparse
from dataclasses import replace
from pathlib import Path

from torch import nn

from glpn.configuration import ENCODERS
from glpn.datasets import Photos
from glpn.estimator import load_estimator
from glpn.training.distributed import join_group, leave_group
from glpn.training.tasks import DeepTask

from .training import add_training, network_to_start_from, settings_of, train_to_the_end

EXAMPLES = (
    "glpn distill --teacher nyu-b4 --student b0 --images photos/ --out nyu-b0",
    "glpn distill --teacher kitti-b4 --student b1 --images drive/ --size 352 704 --steps 40000 --out kitti-b1",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teacher", required=True, help="variant id, Hub repository or folder of a GLPN")
    parser.add_argument("--student", choices=list(ENCODERS), default="b0", help="encoder (default: %(default)s)")
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER", help="photos; no depth is needed")
    parser.add_argument("--steps", type=int, default=20000, help="(default: %(default)s)")
    add_training(parser, drop_path=0.0)


def run(args: argparse.Namespace) -> int:
    """Train the student on the teacher's depth."""
    group = join_group()
    try:
        estimator = load_estimator(args.teacher, device=group.device.type)
        teacher: nn.Module = estimator.model.to(group.device)
        max_depth_m = estimator.spec.max_depth_m
        student = network_to_start_from(args, args.student, max_depth_m)
        task = DeepTask(student, teacher=teacher, teacher_weight=1.0, teacher_lambd=0.5)
        side = estimator.spec.working_short_side
        size = args.size or (side // 32 * 32, round(side * 4 / 3 / 32) * 32)
        settings = settings_of(args, args.steps, size, max_depth_m)
        photos = replace(settings.augmentation, scale=0.6, cutdepth_chance=0.0)
        settings = replace(settings, augmentation=photos)
        return train_to_the_end(task, Photos.in_folder(args.images), settings, args.out, group)
    finally:
        leave_group(group)
