"""State dict to network and back, strictly: what `from_pretrained` and `save_pretrained` do."""

import json
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from .checkpoint import CONFIG, WEIGHTS, find_weights, load_config, load_state, save_safetensors
from .configuration import GLPNConfig
from .errors import CheckpointError
from .files import write_atomically
from .image_processing import GLPNImageProcessor
from .modeling import GLPNModel, PretrainedModel
from .zoo import Zoo

if TYPE_CHECKING:
    from .hub import LocatedCheckpoint

Model = TypeVar("Model", bound=PretrainedModel)


def load_strict(model: Model, state: Mapping[str, Tensor], source: object) -> Model:
    """Give `model` the tensors of `state`; every key has to be there once, with its shape.

    The model takes the tensors over (no copy) except that half-precision ones become float32. Raises `CheckpointError`
    naming `source` and the first keys that are missing, foreign or misshapen.
    """
    expected = model.state_dict()
    # Checkpoints of before PyTorch 0.4.1 have no batch counter; the network never reads it in evaluation mode.
    counters = {name: torch.tensor(0) for name in expected if name.endswith("num_batches_tracked")}
    state = counters | {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    problems = [
        f"{what} {_some(names)}"
        for what, names in (
            ("lacks", sorted(expected.keys() - state.keys())),
            ("has foreign", sorted(state.keys() - expected.keys())),
        )
        if names
    ]
    problems += [
        f"{name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ][:3]
    if problems:
        raise CheckpointError(
            f"{source} does not fit this network: {'; '.join(problems)}. "
            "Check that config.json belongs to these weights and that they are a GLPN checkpoint."
        )
    model.load_state_dict(state, assign=True)
    return model


def build(cls: type[Model], config: GLPNConfig, state: Mapping[str, Tensor], source: object) -> Model:
    """Make a network in evaluation mode around the tensors of `state`, without allocating it twice."""
    if cls is GLPNModel and any(name.startswith("glpn.") for name in state):
        state = {name.removeprefix("glpn."): value for name, value in state.items() if name.startswith("glpn.")}
    with torch.device("meta"):
        model = cls(config)
    return load_strict(model, state, source).eval()


def load_pretrained(
    cls: type[Model],
    repo_or_folder: str | PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    token: str | None = None,
    local_files_only: bool = False,
) -> Model:
    """Build a network from a checkpoint folder or a Hub repository; see `GLPNForDepthEstimation.from_pretrained`."""
    folder = Path(repo_or_folder)
    if folder.is_dir():
        weights = find_weights(folder)
        return build(cls, load_config(folder / CONFIG), load_state(weights), weights)
    from .hub import locate  # here, because a folder needs no Hub

    name = f"{repo_or_folder}@{revision}" if revision else repo_or_folder
    found = locate(name, zoo=Zoo.load(), cache_dir=cache_dir, token=token, local_files_only=local_files_only)
    return load_located(cls, found)


def load_located(cls: type[Model], found: "LocatedCheckpoint") -> Model:
    """Build the network of files that `hub.locate` found, with the zoo's maximum depth."""
    config = replace(load_config(found.config), max_depth=found.spec.max_depth_m)
    return build(cls, config, load_state(found.weights), found.weights)


def save_pretrained(model: PretrainedModel, folder: Path) -> None:
    """Write config.json, model.safetensors and preprocessor_config.json into `folder`, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architectures": [type(model).__name__]} | model.config.to_dict()
    write_atomically(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
    save_safetensors(model.state_dict(), folder / WEIGHTS)
    GLPNImageProcessor().save_pretrained(folder)


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
