"""What a checkpoint folder is made of, and where one of its files lies: in a folder or in a repository of the Hub.

Needs no PyTorch, so that listing models stays quick.
"""

import json
import re
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .access import DEFAULT_ACCESS, HubAccess
from .errors import CheckpointError, ConfigError, HubError, HubNotFound, HubOffline, printable

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLED_WEIGHTS = "pytorch_model.bin"
WEIGHT_FILES = (WEIGHTS, WEIGHTS_INDEX, PICKLED_WEIGHTS)
MAX_JSON_BYTES = 16 << 20  # an index of 100,000 tensors
MAX_JSON_LEVELS = 32


class Publishable:
    """What `save_pretrained` writes, and `push_to_hub` therefore can upload."""

    def push_to_hub(self, repo_id: str, **keywords: Any) -> str:
        """Upload it to a repository of the Hub, made if need be, with `token` and `private`; return the commit's hash.

        Raises `HubError`.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)  # type: ignore[attr-defined]
            return upload(Path(folder), repo_id, **keywords)


def upload(
    folder: Path, repo_id: str | None = None, *, token: str | None = None, private: bool = False, **_: Any
) -> str:
    """Upload a folder to `repo_id`, named as the folder if left out; other keywords of transformers change nothing."""
    from .hub.upload import push  # only publishing needs the network code

    return push(folder, repo_id or folder.name, token=token, private=bool(private))


def find_file(source: str | PathLike[str], name: str, access: HubAccess = DEFAULT_ACCESS) -> Path:
    """Return the path of the file called `name` of a checkpoint: `source` is a folder, that file, or "owner/name".

    A folder's file need not exist. Raises `HubError` if a download fails.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path / access.subfolder / name
    if path.is_file():
        return path
    from .hub import fetch  # only repositories need the network code

    inside = f"{access.subfolder.strip('/')}/{name}".lstrip("/")
    try:
        return fetch(fspath(source), inside, access)
    except (HubNotFound, HubOffline) as error:
        raise no_folder_either(source, error) from None


def shard_names(index: Path) -> list[str]:
    """Return the names of the files that an index of shards lists. Raises `CheckpointError` for other names."""
    try:
        names = sorted(set(read_json(index)["weight_map"].values()))
    except (ConfigError, KeyError, AttributeError, TypeError):
        raise CheckpointError(
            f"{printable(index)} is not an index of shards: it lacks a readable 'weight_map'."
        ) from None
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[\w-][\w.-]*\.safetensors", name, re.ASCII):
            raise CheckpointError(
                f"{printable(index)} names a shard {printable(repr(name))}. Only .safetensors next to it are read."
            )
    return names


def no_folder_either(source: str | PathLike[str], error: HubError) -> HubError:
    """Return `error` with the hint that `source`, which may be a mistyped path, is no folder on this machine."""
    return type(error)(f"{error} There is no folder {printable(fspath(source))!r} on this machine either.")


def find_weights(folder: Path) -> Path:
    """Return the weights file of a checkpoint folder: safetensors, its index of shards, or the pickled .bin."""
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(
        f"{printable(folder)} has no weights. Expected {WEIGHTS} (or {WEIGHTS_INDEX}, {PICKLED_WEIGHTS}) in it."
    )


def read_json(path: Path) -> Any:
    """Read a JSON file of a checkpoint. Raises `ConfigError` if it is missing, damaged, huge or nested too deep."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ConfigError(
                f"{printable(path)} is larger than {MAX_JSON_BYTES >> 20} MiB. Copy or download it again."
            )
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"{printable(path.parent)} has no {printable(path.name)}. A checkpoint folder needs it next to the weights."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{printable(path)} can't be read as JSON ({type(error).__name__}). Copy or download it again."
        ) from None
    level = [value]
    for _ in range(MAX_JSON_LEVELS):
        level = [child for item in level for child in _children(item)]
        if not level:
            return value
    raise ConfigError(f"{printable(path)} is nested deeper than {MAX_JSON_LEVELS} levels. Copy or download it again.")


def _children(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
