"""Checkpoint files to state dict, and back: whole or not at all, and without running code from a file."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from .configuration import GLPNConfig
from .errors import CheckpointError, ConfigError, UnsafeCheckpoint
from .files import write_atomically

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLED_WEIGHTS = "pytorch_model.bin"


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


def save_safetensors(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict as safetensors; the header says "pt", which transformers asks for."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    write_atomically(path, save(tensors, metadata={"format": "pt"}))
