"""Checkpoint files to state dict, and back: whole or not at all, and without running code from a file."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from .configuration import GLPNConfig
from .errors import CheckpointError, ConfigError, UnsafeCheckpoint, printable
from .files import write_atomically
from .layout import CONFIG, WEIGHTS, find_weights, read_json, shard_names

__all__ = ["CONFIG", "WEIGHTS", "find_weights", "load_config", "load_pickled", "load_state", "save_safetensors"]

# Names under which training frameworks keep the state dict of a network.
WRAPPERS = ("model", "state_dict", "model_state_dict", "network")
# Prefixes that DataParallel, Lightning and torch.compile put before each name.
PREFIXES = ("module.", "model.", "net.", "network.", "_orig_mod.")
MAX_WEIGHT = 1e8  # a larger one overflows float32 within a few layers
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def load_config(path: Path) -> GLPNConfig:
    """Read config.json at `path`.

    Raises `ConfigError` if it is not a JSON object, has an invalid value, or lacks a field without which the weights
    would be run as another network or their output read in another unit.
    """
    values = read_json(path)
    config: GLPNConfig = GLPNConfig.from_dict(values)
    missing = [name for name in ("depths", "hidden_sizes", "max_depth") if name not in values]
    if missing:
        raise ConfigError(f"{printable(path)} lacks {', '.join(missing)}. Add what the network was trained with.")
    return config


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
        except Exception as error:  # a lying header can make the reader raise anything
            kind = "" if isinstance(error, SafetensorError | OSError) else f" ({type(error).__name__})"
            raise CheckpointError(
                f"{printable(path)} is not a whole safetensors file{kind}. Copy or download it again."
            ) from None
    return load_pickled(path)


def load_pickled(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a file that `torch.save` made, refusing everything in it but tensors and containers."""
    state = _open_pickle(path)
    if not _is_state(state):
        raise CheckpointError(f"{printable(path)} holds no state dict. Expected names and tensors.")
    return dict(state)


def load_training_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the network's state dict from what a training program saved, wrapped or not.

    Takes a bare state dict, one under "model", "state_dict", "model_state_dict" or "network" next to an optimizer's,
    and names with the prefixes of DataParallel, Lightning or `torch.compile`. Opened as by `load_pickled`.
    """
    if path.suffix == ".safetensors":
        state: Any = load_state(path)
    else:
        state = _open_pickle(path)
    for _ in range(3):  # {"state_dict": {"model": …}}
        if _is_state(state) or not isinstance(state, Mapping):
            break
        state = next((state[name] for name in WRAPPERS if isinstance(state.get(name), Mapping)), None)
    if not _is_state(state):
        raise CheckpointError(
            f"{printable(path)} holds no state dict. Expected names and tensors, or those under one of the names "
            f"{', '.join(WRAPPERS)}."
        )
    while prefix := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return dict(state)


def check_tensors(state: Mapping[str, Tensor], source: object) -> None:
    """Raise `CheckpointError` unless every tensor is a plain one of a floating-point dtype (or a batch counter).

    Looks at no value and copies nothing.
    """
    for name, tensor in state.items():
        kind = _oddity(name, tensor)
        if kind:
            raise CheckpointError(
                f"{printable(source)}: {printable(name)} is {kind}. Expected float32, float16 or bfloat16 values. Save "
                "the checkpoint again as a plain, unquantized state dict."
            )


def check_finite(state: Mapping[str, Tensor], source: object) -> None:
    """Raise `CheckpointError` naming the first tensor with NaN, infinity, or a value that only breaks the network."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.numel():
            low, high = tensor.aminmax()
            least = 0 if name.endswith("running_var") else -MAX_WEIGHT
            if not (least <= low and high <= MAX_WEIGHT):  # either is NaN if any value is
                raise CheckpointError(
                    f"{printable(source)}: {printable(name)} has NaN, infinite or absurd values. The training that "
                    "wrote it diverged, or the file is damaged: take an earlier checkpoint or copy it again."
                )


def _oddity(name: str, tensor: Tensor) -> str | None:
    if tensor.is_meta:
        return "a meta tensor, which has no values"
    if tensor.layout is not torch.strided:
        return "sparse"
    if tensor.is_quantized:
        return "quantized"
    counter = name.endswith("num_batches_tracked")
    if tensor.dtype not in ((torch.int64, torch.int32) if counter else FLOATS):
        return f"of {str(tensor.dtype).removeprefix('torch.')}"
    if tensor.numel() > 1 and 0 in tensor.stride():  # a view that claims more values than it has
        return "an expanded view"
    return None


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items()
    )


def _open_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UnsafeCheckpoint(
            f"{printable(path)} holds Python objects besides tensors, and opening them could run code. It was not "
            "opened. Ask its author for a safetensors file."
        ) from None
    except Exception as error:  # a damaged pickle can make the unpickler raise anything
        raise CheckpointError(
            f"{printable(path)} is not a whole PyTorch file ({type(error).__name__}). Copy or download it again."
        ) from None


def _load_shards(index: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name in shard_names(index):
        state |= load_state(index.with_name(name))
    return state


def save_safetensors(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict as safetensors; the header says "pt", which transformers asks for."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    write_atomically(path, save(tensors, metadata={"format": "pt"}))
