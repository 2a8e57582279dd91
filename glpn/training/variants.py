"""Recipes of the zoo's untrained variants: a few lines a head and a way of training, the rest is counted.

A recipe is made when it is asked for (`glpn zoo recipe nyu-b2`), so that the twenty of them are one text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from glpn.configuration import GLPNConfig
from glpn.errors import ConfigError
from glpn.zoo import ModelSpec, Zoo

from .cost import GPU, GPU_BYTES, Plan, plan_training

IMAGES_PER_STEP = 12  # the authors' batch
DISTILL_STEPS = 40_000


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a head is trained on, as in the paper and the authors' code.

    size        of the random crops
    images      of the usual training list, which the count of steps rests on
    crop        bottom rows and center columns to which every pair is cut first, or None
    test_crop   of the metrics
    teacher     the published variant of this head
    license     what the data's owners allow, in a sentence
    """

    dataset: str
    size: tuple[int, int]
    images: int
    crop: tuple[int, int] | None
    test_crop: str
    teacher: str
    homepage: str
    license: str


HEADS: Mapping[str, Head] = MappingProxyType(
    {
        "nyu": Head(
            dataset="NYU Depth V2",
            size=(448, 576),
            images=24_231,
            crop=None,
            test_crop="nyu",
            teacher="nyu-b4",
            homepage="https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
            license="NYU Depth V2 states no licence; its authors offer it for research and ask to be cited.",
        ),
        "kitti": Head(
            dataset="KITTI",
            size=(352, 704),
            images=23_158,
            crop=(352, 1216),
            test_crop="garg",
            teacher="kitti-b4",
            homepage="https://www.cvlibs.net/datasets/kitti/",
            license="KITTI is under CC BY-NC-SA 3.0: not for commercial use, share alike, cite its authors.",
        ),
    }
)


def head_of(spec: ModelSpec) -> Head:
    """Return what the head of `spec` is trained on. Raises `ConfigError` for a head that has no recipe."""
    if spec.head not in HEADS or spec.encoder is None:
        raise ConfigError(
            f"There is no recipe for {spec.id}. `glpn zoo train` knows the heads {' and '.join(HEADS)}; "
            "`glpn train --help` trains any other network."
        )
    return HEADS[spec.head]


def plan_of(spec: ModelSpec, zoo: Zoo, *, distill: bool = False, gpu_bytes: float = GPU_BYTES) -> Plan:
    """Return the batch, memory and products of training `spec`."""
    head = head_of(spec)
    teacher = zoo[head.teacher] if distill else None
    return plan_training(
        GLPNConfig.from_encoder(str(spec.encoder)),
        spec.parameters,
        head.size,
        images=DISTILL_STEPS * IMAGES_PER_STEP if distill else 25 * head.images,
        per_step=IMAGES_PER_STEP,
        teacher=(GLPNConfig.from_encoder(str(teacher.encoder)), teacher.parameters) if teacher else None,
        gpu_bytes=gpu_bytes,
    )


def estimate_of(plan: Plan) -> str:
    """Return what a plan costs, in words."""
    return f"about {plan.hours():.0f} hours and {plan.memory_bytes / 1e9:.0f} GB on an {GPU} (estimated)"


def recipe_of(
    spec: ModelSpec, zoo: Zoo, *, distill: bool = False, rehearsal: bool = False, gpu_bytes: float = GPU_BYTES
) -> str:
    """Return the recipe of `spec` as TOML: the paper's training, or with `distill` from the published b4.

    A `rehearsal` is the same in miniature: one block a stage, small crops, a few steps.
    """
    head, plan = head_of(spec), plan_of(spec, zoo, distill=distill, gpu_bytes=gpu_bytes)
    way = DISTILL if distill else PAPER
    crop = f"crop = {list(head.crop)}  # every pair's bottom rows and center columns\n" if head.crop else ""
    text = (COMMON + way).format(
        id=spec.id,
        option=" --distill" if distill else "",
        estimate=estimate_of(plan),
        encoder=spec.encoder,
        max_depth_m=spec.max_depth_m,
        drop_path=0.0 if distill else 0.1,
        short_side=spec.working_short_side,
        fx_over_width=spec.camera.fx_over_width,
        layout="photos" if distill else spec.head,
        test=spec.head,
        crop=crop,
        size=list(head.size),
        batch_size=plan.batch_size,
        accumulate=plan.accumulate,
        checkpointing=str(plan.checkpointing).lower(),
        steps=DISTILL_STEPS,
        teacher=head.teacher,
    )
    return _in_miniature(text) if rehearsal else text


def _in_miniature(recipe: str) -> str:
    for pattern, instead in (
        (r"^# .*", "# A rehearsal in miniature: it shows that everything runs, and its model is worth nothing."),
        (r"^drop_path = .*", "drop_path = 0\ndepths = [1, 1, 1, 1]"),
        (r"^size = .*", "size = [64, 96]"),
        (r"^epochs = .*|^steps = .*", "steps = 4"),
        (r"^batch_size = .*", "batch_size = 2"),
        (r"^accumulate = .*\n", ""),
        (r"^warmup_steps = .*\n", ""),
        (r"^precision = .*", 'precision = "float32"'),
    ):
        recipe = re.sub(pattern, instead, recipe, count=1, flags=re.MULTILINE)
    return recipe


COMMON = """\
# {id}: `glpn zoo train {id}{option}`. {estimate}.

[model]
encoder = "{encoder}"
max_depth_m = {max_depth_m:g}
drop_path = {drop_path:g}
working_short_side = {short_side}
fx_over_width = {fx_over_width:g}

[data]
layout = "{layout}"
{crop}held_out_every = 50  # pair 0, 50, 100 … is for validation

[augmentation]
size = {size}
max_depth_m = {max_depth_m:g}
"""

PAPER = """\
cutdepth_chance = 0.25  # Vertical CutDepth, section 3.4 of the paper
cutdepth_width = 0.75

[[stage]]
name = "paper"
task = "paper"  # SILog over the batch, λ = 0.5
start = "imagenet"  # the encoder nvidia/mit-{encoder}
epochs = 25
batch_size = {batch_size}
accumulate = {accumulate}  # × batch_size = the authors' 12 images a step
optimizer = "adam"
peak_rate = 1e-4
schedule = "one_cycle"  # 3e-5, 1e-4, 3e-5
precision = "auto"
gradient_checkpointing = {checkpointing}
seed = 1
save_every = 500
log_every = 50
"""

DISTILL = """\
scale = 0.6  # photos come in any size: crops of at least this share of a side, resized
cutdepth_chance = 0.0

[[stage]]
name = "distill"
task = "glpn"  # a depth head on every decoder stage
start = "imagenet"  # the encoder nvidia/mit-{encoder}
teacher_model = "{teacher}"
teacher_weight = 1.0  # no labels: the teacher's depth is the target
teacher_lambd = 0.5
steps = {steps}
batch_size = {batch_size}
accumulate = {accumulate}
optimizer = "adamw"
peak_rate = 2e-4
schedule = "cosine"
warmup_steps = 500
weight_decay = 0.01
clip_norm = 3.0
precision = "auto"
gradient_checkpointing = {checkpointing}
ema = 0.999
seed = 1
save_every = 500
log_every = 50
"""
