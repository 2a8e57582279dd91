"""A recipe: one TOML file from scratch to an embedded model, run stage by stage and resumable at any point."""

import hashlib
import logging
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from glpn.checkpoint import WEIGHTS, load_state, save_safetensors
from glpn.configuration import GLPNConfig
from glpn.datasets import Joined, Pairs, Photos, Shards, Subset, Taught
from glpn.errors import ConfigError
from glpn.estimator import load_estimator
from glpn.evaluation.scores import Score
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.model.original import load_encoder
from glpn.model.pretrained import load_strict

from .augmentation import Augmentation
from .distributed import Group, wait_for_all
from .sources import PairSource
from .tasks import DeepTask, PaperTask, Task, TeacherTask
from .teacher import (
    ConvolutionalTeacher,
    Ensemble,
    TeacherConfig,
    load_teacher,
    pretrained_teacher,
    save_teacher,
    start_at_typical_depth,
)
from .trainer import Progress, Trainer, TrainingSettings, at_size

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

logger = logging.getLogger(__name__)


GIVEN = "given"  # what stages call the network that the recipe starts from
IMAGENET = "imagenet"  # and the encoder nvidia/mit-bX
REDUCED = ("depths", "hidden_sizes", "num_attention_heads", "decoder_hidden_size")  # what [model] may change


@dataclass(frozen=True)
class Stage:
    """One training: `task` is "teacher", "glpn" or "paper"; `teacher`, `ensemble` and `start` name earlier stages.

    `ensemble` pairs each of its stages with the short side at which that network sees pictures. `teacher_model` is a
    published GLPN instead, by any name that `load_estimator` takes. With `epochs` the steps follow from the data.
    """

    name: str
    task: str
    settings: TrainingSettings
    teacher: str | None
    ensemble: tuple[tuple[str, int], ...]
    start: str | None
    options: Mapping[str, Any]
    teacher_model: str | None = None
    epochs: float | None = None

    @property
    def taught(self) -> bool:
        """Whether a network tells the depth of what has none."""
        return bool(self.teacher or self.ensemble or self.teacher_model)

    def settings_for(self, pairs: int, world_size: int) -> TrainingSettings:
        """The settings of a training on so many pairs, validated after each epoch."""
        if self.epochs is None:
            return self.settings
        per_epoch = pairs / (self.settings.batch_size * self.settings.accumulate * world_size)
        steps = max(1, math.ceil(self.epochs * per_epoch))
        return replace(self.settings, steps=steps, validate_every=self.settings.validate_every or round(per_epoch) or 1)


@dataclass(frozen=True)
class GivenNetwork:
    """A GLPN of the recipe's shape that it starts from: a safetensors file and its checksum."""

    path: Path
    sha256: str

    def read(self) -> dict[str, Tensor]:
        """Return its tensors. Raises `ConfigError` if the file is missing or is another one."""
        try:
            with self.path.open("rb") as file:
                found = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            raise ConfigError(
                f"The recipe starts from {self.path}, which can't be read ({error.strerror}). "
                "`make weights` takes it from the project's history."
            ) from error
        if found != self.sha256:
            raise ConfigError(f"{self.path} has the SHA-256 {found}, and the recipe starts from {self.sha256}.")
        return load_state(self.path)


@dataclass(frozen=True)
class Recipe:
    """What `read_recipe` finds: the network, the scenes to render, and the stages of training.

    `source` is set instead of `synthesis` where pairs or photos are read. `more_shards` are folders of shards that are
    trained on next to the rendered ones, `more_photos` folders of photos without depth, which stages with a teacher
    see as well; a folder that is named several times is seen as often.
    `held_out` is the distance of the shards that are kept for validation: 50 keeps 0, 50, 100 …
    """

    config: GLPNConfig
    synthesis: Mapping[str, Any]
    held_out: int
    stages: tuple[Stage, ...]
    working_short_side: int
    fx_over_width: float
    given: GivenNetwork | None = None
    more_shards: tuple[Path, ...] = ()
    more_photos: tuple[Path, ...] = ()
    source: PairSource | None = None
    encoder: str = ""


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises `ConfigError`, naming the file and the entry, for anything that it can't mean."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The recipe {path} can't be read: {error}.") from error
    try:
        model, data = raw["model"], dict(raw["data"])
        source = PairSource.of(data) if "layout" in data else None
        held_out = source.held_out_every if source else data.pop("held_out_every")
        more_shards, more_photos = (
            tuple(Path(folder) for folder in data.pop(name, ())) for name in ("more_shards", "more_photos")
        )
        given = GivenNetwork(Path(raw["given"]["path"]), raw["given"]["sha256"]) if "given" in raw else None
        stages: list[Stage] = []
        for table in raw["stage"]:
            earlier = [GIVEN] if given else []
            stages.append(_stage(dict(table), raw["augmentation"], earlier + [stage.name for stage in stages]))
        return Recipe(
            config=GLPNConfig.from_encoder(
                model["encoder"],
                max_depth=model["max_depth_m"],
                drop_path_rate=model.get("drop_path", 0.0),
                **{name: model[name] for name in REDUCED if name in model},
            ),
            synthesis={} if source else data | {"size": tuple(data["size"])},
            held_out=held_out,
            stages=tuple(stages),
            working_short_side=model["working_short_side"],
            fx_over_width=model["fx_over_width"],
            given=given,
            more_shards=more_shards,
            more_photos=more_photos,
            source=source,
            encoder=model["encoder"],
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(f"The recipe {path} lacks or misuses {error}. See recipes/rooms-b0.toml.") from error
    except ConfigError as error:
        raise ConfigError(f"The recipe {path} can't be used: {error}") from error


def _stage(table: dict[str, Any], augmentation: Mapping[str, Any], earlier: list[str]) -> Stage:
    name, task = table.pop("name"), table.pop("task")
    if task not in ("teacher", "glpn", "paper"):
        raise ConfigError(f"Stage {name!r} has task {task!r}. Known: teacher, glpn, paper.")
    before = {key: table.pop(key, None) for key in ("teacher", "start")}
    ensemble = tuple((member["stage"], member["short_side"]) for member in table.pop("ensemble", ()))
    for key, stage in [*before.items(), *(("ensemble's member", member) for member, _ in ensemble)]:
        if stage not in (None, *earlier) and (key, stage) != ("start", IMAGENET):
            raise ConfigError(f"Stage {name!r} names {key} {stage!r}, and no earlier stage is called so.")
    changes = dict(augmentation) | table.pop("augmentation", {})
    known = {field.name for field in fields(TrainingSettings)} - {"augmentation"}
    settings = {key: table.pop(key) for key in list(table) if key in known}
    changes["size"] = tuple(changes["size"])
    epochs, teacher_model = table.pop("epochs", None), table.pop("teacher_model", None)
    if epochs is not None:
        settings.setdefault("steps", 1)  # until the data are counted
    return Stage(
        name,
        task,
        TrainingSettings(augmentation=Augmentation(**changes), **settings),
        **before,
        ensemble=ensemble,
        options=table,
        teacher_model=teacher_model,
        epochs=epochs,
    )


@dataclass
class RecipeRun:
    """Runs a recipe in `folder`; a later run with the same folder continues where this one stopped.

    `root` and `lists` say where the pairs or photos of the recipe's source lie. `adapt` may change how a stage is run.
    `workers` processes render, and read ahead while a stage is trained; 0 does both in this one.
    """

    recipe: Recipe
    folder: Path
    group: Group
    on_stage: Callable[[str], None] = lambda name: None
    on_progress: Callable[[Progress], None] | None = None
    on_validation: Callable[[int, Score], None] | None = None
    workers: int = 0
    root: Path | None = None
    lists: Path | None = None
    adapt: Callable[[TrainingSettings], TrainingSettings] = lambda settings: settings

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def result(self, stage: str) -> Path:
        """The network that a finished stage left: safetensors of a GLPN, or a teacher's file."""
        return self.folder / stage / "network.pt"

    def synthesize(self, *, progress: Callable[[int, int], None] | None = None) -> None:
        """Render the recipe's scenes, as far as they are missing."""
        renderer = load_renderer()
        plan = renderer.SynthesisPlan(**self.recipe.synthesis)
        renderer.synthesize(plan, self.data, workers=max(1, self.workers), progress=progress)

    def train(self) -> GLPNForDepthEstimation | None:
        """Run the stages that are not finished; returns the last one's GLPN, or None if training was stopped."""
        labelled, held_out = self.pairs()
        photos = Joined(tuple(map(Photos.in_folder, self.recipe.more_photos)))
        for stage in self.recipe.stages:
            if self.result(stage.name).exists():
                continue
            pairs = Joined((labelled, photos)) if photos and stage.taught else labelled
            self.on_stage(stage.name)
            torch.manual_seed(stage.settings.seed)
            settings = stage.settings_for(len(pairs), self.group.world_size)
            task = self._task(stage)
            trainer = Trainer(
                task,
                pairs,
                self.adapt(replace(settings, workers=self.workers)),
                self.folder / stage.name,
                self.group,
                validation=self._measurable(held_out, task, stage),
                on_progress=self.on_progress if self.group.leader else None,
                on_validation=self.on_validation,
            )
            if not trainer.run().finished:
                return None
            with trainer.finished() as network:
                self._save(network, self.result(stage.name))
            wait_for_all(self.group)
        network = self._glpn(self.recipe.stages[-1].name)
        # For whoever opens the result: at another size it would be worse, and of the camera its metres depend.
        network.config.working_short_side = self.recipe.working_short_side
        network.config.fx_over_width = float(self.recipe.fx_over_width)
        return network

    def pairs(self) -> tuple[Pairs, Pairs]:
        """Open the data: what is trained on, and what is held out. Raises `DataError`."""
        distance, source = self.recipe.held_out, self.recipe.source
        if source is None:
            return self._shards(lambda n: n % distance != 0), self._shards(lambda n: n % distance == 0)
        if self.root is None:
            raise ConfigError(f"The recipe trains on {source.layout} data. Say where they are with --data.")
        pairs = source.training_pairs(self.root, lists=self.lists)
        if len(pairs) < 2:
            raise ConfigError(f"{self.root} holds {len(pairs)} sample. Give at least 2: one is kept for validation.")
        held_out = range(0, len(pairs), distance)
        return Subset(pairs, [n for n in range(len(pairs)) if n % distance]), Subset(pairs, held_out)

    def _measurable(self, held_out: Pairs, task: Task, stage: Stage) -> Pairs:
        """Photos have no depth to validate with: let it be the teacher's."""
        if self.recipe.source is None or self.recipe.source.layout != "photos":
            return held_out
        if stage.teacher_model is None or not isinstance(task, DeepTask):
            raise ConfigError(f'Photos have no depth: stage {stage.name!r} needs task = "glpn" and a teacher_model.')
        return Taught(held_out, at_size(task.teach, stage.settings.augmentation.size, self.group.device))

    def _shards(self, only: Callable[[int], bool]) -> Joined:
        folders = (self.data, *self.recipe.more_shards)
        return Joined(tuple(Shards(folder, only, fx_over_width=self.recipe.fx_over_width) for folder in folders))

    def _task(self, stage: Stage) -> Task:
        if stage.task == "teacher":
            return self._teacher_task(stage)
        network = self._start(stage.start)
        if stage.task == "paper":
            return PaperTask(network.train(), **stage.options)
        teacher: nn.Module | None = None
        if stage.ensemble:
            teacher = Ensemble([(self._trained(name), side) for name, side in stage.ensemble])
        elif stage.teacher:
            teacher = load_teacher(self.result(stage.teacher))
        elif stage.teacher_model:
            teacher = load_estimator(stage.teacher_model, device=self.group.device.type).model
        return DeepTask(network.train(), teacher=teacher, **stage.options)

    def _start(self, start: str | None) -> GLPNForDepthEstimation:
        """The network that a stage starts from: a fresh one, an earlier stage's, or one with an ImageNet encoder."""
        if start != IMAGENET:
            return self._glpn(start) if start else fresh_network(self.recipe.config)
        network = GLPNForDepthEstimation(self.recipe.config)
        encoder = load_encoder(self.recipe.encoder, config=self.recipe.config)
        network.glpn.load_state_dict(encoder.state_dict())
        return network

    def _teacher_task(self, stage: Stage) -> TeacherTask:
        options = dict(stage.options)
        shape: dict[str, Any] = {key: tuple(options.pop(key)) for key in ("channels", "blocks") if key in options}
        config = TeacherConfig(**shape, encoder=options.pop("encoder", None), max_depth_m=self.recipe.config.max_depth)
        pretrained = options.pop("pretrained", config.encoder is not None)
        if stage.start:
            teacher = load_teacher(self.result(stage.start))
        else:
            teacher = pretrained_teacher(config) if pretrained else ConvolutionalTeacher(config)
        return TeacherTask(teacher, **options)

    def _trained(self, stage: str) -> nn.Module:
        """The network of a finished stage, or the one that was given."""
        teachers = {s.name for s in self.recipe.stages if s.task == "teacher"}
        return load_teacher(self.result(stage)) if stage in teachers else self._glpn(stage)

    def _glpn(self, stage: str) -> GLPNForDepthEstimation:
        network = GLPNForDepthEstimation(self.recipe.config)
        if stage == GIVEN and self.recipe.given:
            load_strict(network, self.recipe.given.read(), source=str(self.recipe.given.path))
        else:
            network.load_state_dict(torch.load(self.result(stage), weights_only=True))
        return network.eval()

    def _save(self, network: nn.Module, path: Path) -> None:
        if not self.group.leader:
            return
        if isinstance(network, ConvolutionalTeacher):
            save_teacher(network, path)
        else:
            torch.save(network.state_dict(), path)


def load_renderer() -> ModuleType:
    """Import `synthesis.shards`. Raises `ConfigError` if the ray caster or OpenCV is not installed."""
    try:
        return import_module("glpn.synthesis.shards")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Rendering scenes needs {error.name}, which is not installed: pip install 'glpn[synthesize]'."
        ) from error


def fresh_network(config: GLPNConfig, *, gray: float = 0.45) -> GLPNForDepthEstimation:
    """A GLPN with MiT's initialisation that starts from mid-gray and from a typical depth.

    Inputs are plain RGB / 255 and never negative: the first convolution's bias makes mid-gray map to zero, and the
    head's last bias lets every pixel start at the mean depth of rooms instead of half the maximum.
    """
    network = GLPNForDepthEstimation(config)
    first = cast(nn.Conv2d, network.glpn.encoder.patch_embeddings[0].proj)
    assert first.bias is not None
    with torch.no_grad():
        first.bias.copy_(-gray * first.weight.sum((1, 2, 3)))
    start_at_typical_depth(cast(nn.Conv2d, network.head.head[2]))
    return network


def save_result(network: GLPNForDepthEstimation, folder: Path) -> None:
    """Write a folder that `load_estimator` and transformers read, its weights in half precision.

    That halves the file and changes no depth by more than the network's own error many times over.
    """
    network.save_pretrained(folder)
    state = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_safetensors(state, folder / WEIGHTS)
