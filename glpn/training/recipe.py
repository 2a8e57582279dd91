"""A recipe: one TOML file from nothing to an embedded model, run stage by stage and resumable at any point."""

import logging
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from glpn.checkpoint import WEIGHTS, save_safetensors
from glpn.configuration import GLPNConfig
from glpn.errors import ConfigError
from glpn.modeling import GLPNForDepthEstimation

from .augmentation import Augmentation
from .datasets import Shards
from .distributed import Group
from .engine import Progress, Trainer, TrainingSettings
from .evaluation import Score
from .tasks import DeepTask, Task, TeacherTask
from .teacher import ConvolutionalTeacher, TeacherConfig, load_teacher, save_teacher, start_at_typical_depth

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One training: `task` is "teacher" or "glpn"; `teacher` and `start` name earlier stages."""

    name: str
    task: str
    settings: TrainingSettings
    teacher: str | None
    start: str | None
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """What `read_recipe` finds: the network, the scenes to render, and the stages of training.

    `held_out` is the distance of the shards that are kept for validation: 50 keeps 0, 50, 100 …
    """

    config: GLPNConfig
    synthesis: Mapping[str, Any]
    held_out: int
    stages: tuple[Stage, ...]
    working_short_side: int
    fx_over_width: float


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises `ConfigError`, naming the file and the entry, for anything that it can't mean."""
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The recipe {path} can't be read: {error}.") from error
    try:
        model, data = raw["model"], dict(raw["data"])
        held_out = data.pop("held_out_every")
        stages: list[Stage] = []
        for table in raw["stage"]:
            stages.append(_stage(dict(table), raw["augmentation"], [stage.name for stage in stages]))
        return Recipe(
            config=GLPNConfig.from_encoder(
                model["encoder"], max_depth=model["max_depth_m"], drop_path_rate=model.get("drop_path", 0.0)
            ),
            synthesis=data | {"size": tuple(data["size"])},
            held_out=held_out,
            stages=tuple(stages),
            working_short_side=model["working_short_side"],
            fx_over_width=model["fx_over_width"],
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(f"The recipe {path} lacks or misuses {error}. See recipes/rooms-b0.toml.") from error
    except ConfigError as error:
        raise ConfigError(f"The recipe {path} can't be used: {error}") from error


def _stage(table: dict[str, Any], augmentation: Mapping[str, Any], earlier: list[str]) -> Stage:
    name, task = table.pop("name"), table.pop("task")
    if task not in ("teacher", "glpn"):
        raise ConfigError(f"Stage {name!r} has task {task!r}. Known: teacher, glpn.")
    before = {key: table.pop(key, None) for key in ("teacher", "start")}
    for key, stage in before.items():
        if stage is not None and stage not in earlier:
            raise ConfigError(f"Stage {name!r} names {key} {stage!r}, and no earlier stage is called so.")
    changes = dict(augmentation) | table.pop("augmentation", {})
    known = {field.name for field in fields(TrainingSettings)} - {"augmentation"}
    settings = {key: table.pop(key) for key in list(table) if key in known}
    changes["size"] = tuple(changes["size"])
    return Stage(
        name, task, TrainingSettings(augmentation=Augmentation(**changes), **settings), **before, options=table
    )


@dataclass
class RecipeRun:
    """Runs a recipe in `folder`; a later run with the same folder goes on where this one stopped.

    `workers` processes render, and read ahead while a stage is trained; 0 does both in this one.
    """

    recipe: Recipe
    folder: Path
    group: Group
    on_stage: Callable[[str], None] = lambda name: None
    on_progress: Callable[[Progress], None] | None = None
    on_validation: Callable[[int, Score], None] | None = None
    workers: int = 0

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
        distance = self.recipe.held_out
        camera = self.recipe.fx_over_width
        pairs = Shards(self.data, lambda number: number % distance != 0, fx_over_width=camera)
        held_out = Shards(self.data, lambda number: number % distance == 0, fx_over_width=camera)
        for stage in self.recipe.stages:
            if self.result(stage.name).exists():
                continue
            self.on_stage(stage.name)
            torch.manual_seed(stage.settings.seed)
            trainer = Trainer(
                self._task(stage),
                pairs,
                replace(stage.settings, workers=self.workers),
                self.folder / stage.name,
                self.group,
                validation=held_out,
                on_progress=self.on_progress,
                on_validation=self.on_validation,
            )
            if not trainer.run().finished:
                return None
            with trainer.averaged() as network:
                self._save(network, self.result(stage.name))
        return self._glpn(self.recipe.stages[-1].name)

    def _task(self, stage: Stage) -> Task:
        if stage.task == "teacher":
            options = dict(stage.options)
            shape: dict[str, Any] = {key: tuple(options.pop(key)) for key in ("channels", "blocks") if key in options}
            teacher = ConvolutionalTeacher(TeacherConfig(**shape, max_depth_m=self.recipe.config.max_depth))
            if stage.start:
                teacher.load_state_dict(load_teacher(self.result(stage.start)).state_dict())
            return TeacherTask(teacher, **options)
        network = self._glpn(stage.start) if stage.start else fresh_network(self.recipe.config)
        teacher_network: nn.Module | None = None
        if stage.teacher:
            teacher_network = load_teacher(self.result(stage.teacher))
        return DeepTask(network.train(), teacher=teacher_network, **stage.options)

    def _glpn(self, stage: str) -> GLPNForDepthEstimation:
        network = GLPNForDepthEstimation(self.recipe.config)
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
    """Import `synthesis.generation`. Raises `ConfigError` if the ray caster or OpenCV is not installed."""
    try:
        return import_module(".synthesis.generation", __package__)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Rendering scenes needs {error.name}, which is not installed: pip install 'glpn[synthesize]'."
        ) from error


def fresh_network(config: GLPNConfig, *, grey: float = 0.45) -> GLPNForDepthEstimation:
    """A GLPN with MiT's initialisation that starts from mid-grey and from a typical depth.

    Inputs are plain RGB / 255 and never negative: the first convolution's bias makes mid-grey map to zero, and the
    head's last bias lets every pixel start at the mean depth of rooms instead of half the maximum.
    """
    network = GLPNForDepthEstimation(config)
    first = cast(nn.Conv2d, network.glpn.encoder.patch_embeddings[0].proj)
    assert first.bias is not None
    with torch.no_grad():
        first.bias.copy_(-grey * first.weight.sum((1, 2, 3)))
    start_at_typical_depth(cast(nn.Conv2d, network.head.head[2]))
    return network


def save_result(network: GLPNForDepthEstimation, folder: Path) -> None:
    """Write a folder that `load_estimator` and transformers read, its weights in half precision.

    That halves the file and changes no depth by more than the network's own error many times over.
    """
    network.save_pretrained(folder)
    state = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_safetensors(state, folder / WEIGHTS)
