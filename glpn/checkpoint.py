"""Files to state dict to network, and back: strictly, and without running code from a file."""

import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from .configuration import GLPNConfig
from .errors import CheckpointError, ConfigError, UnsafeCheckpoint
from .files import write_atomically
from .image_processing import GLPNImageProcessor
from .modeling import GLPNModel, PretrainedModel
from .zoo import Zoo

if TYPE_CHECKING:
    from .hub import LocatedCheckpoint

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLED_WEIGHTS = "pytorch_model.bin"

Model = TypeVar("Model", bound=PretrainedModel)


def load_config(path: Path) -> GLPNConfig:
    """Read config.json at `path`.

    Raises `ConfigError` if it is no JSON object, has a bad value, or lacks a field without which the weights would be
    run as another network or their output read in another unit.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path.parent} has no {path.name}. A checkpoint folder needs it beside the weights."
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} can't be read as JSON ({error}). Copy or download it again.") from None
    config = GLPNConfig.from_dict(values)
    missing = [name for name in ("depths", "hidden_sizes", "max_depth") if name not in values]
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)}. Add what the network was trained with.")
    return config


def find_weights(folder: Path) -> Path:
    """Return the weights file of a checkpoint folder: safetensors, its index of shards, or the pickled .bin."""
    for name in (WEIGHTS, WEIGHTS_INDEX, PICKLED_WEIGHTS):
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(f"{folder} has no weights. Expected {WEIGHTS} (or {WEIGHTS_INDEX}, {PICKLED_WEIGHTS}) in it.")


def load_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict: .safetensors (memory-mapped, not copied), an index of shards (.json), or .bin.

    A .bin is opened with `weights_only=True`. Raises `UnsafeCheckpoint` if it holds more than tensors, and
    `CheckpointError` if the file is damaged or of another kind.
    """
    if path.suffix == ".json":
        return _load_shards(path)
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path} is not a whole safetensors file ({error}). Copy or download it again."
            ) from None
    return load_pickled(path)


def load_pickled(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a file that `torch.save` made, refusing everything in it but tensors and containers."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UnsafeCheckpoint(
            f"{path} holds Python objects besides tensors, and opening them could run code. It was not opened. "
            "Ask its author for a safetensors file."
        ) from None
    except Exception as error:  # a damaged pickle can make the unpickler raise anything
        raise CheckpointError(
            f"{path} is not a whole PyTorch file ({type(error).__name__}). Copy or download it again."
        ) from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} holds no state dict. Expected names and tensors.")
    return dict(state)


def _load_shards(index: Path) -> dict[str, Tensor]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(weight_map.values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise CheckpointError(f"{index} is no index of shards: it lacks a readable 'weight_map'.") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise CheckpointError(f"{index} names a shard outside its folder: {name!r}. It was not opened.")
    state: dict[str, Tensor] = {}
    for name in names:
        state |= load_state(index.with_name(name))
    return state


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
    from .hub import locate

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


def save_safetensors(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict as safetensors; the header says "pt", which transformers asks for."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    write_atomically(path, save(tensors, metadata={"format": "pt"}))


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
