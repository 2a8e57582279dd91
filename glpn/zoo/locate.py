"""From a name to the files of a checkpoint: a variant of the zoo, a folder, or any GLPN repository on the Hub."""

import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path, PurePosixPath

from huggingface_hub import constants
from safetensors import SafetensorError, safe_open

from glpn.access import DEFAULT_ACCESS, HubAccess, Question
from glpn.bounds import MAX_SHORT_SIDE
from glpn.errors import CheckpointError, ConfigError, HubBusy, HubError, HubNotFound, HubOffline, VariantNotTrained
from glpn.hub.download import (
    cache_folder,
    cached_file,
    fetch,
    is_commit,
    megabytes,
    read_record,
    sha256_of,
    write_record,
)
from glpn.hub.failures import Wanted
from glpn.layout import CONFIG, PREPROCESSOR, WEIGHT_FILES, find_weights, no_folder_either, shard_names

from .manifest import DEFAULT, MANIFEST, ModelSpec, Source, SourceFile, TrainingCamera, Zoo, read_manifest

logger = logging.getLogger(__name__)

OUTDOOR_FROM_M = 20


@dataclass(frozen=True, kw_only=True)
class LocatedCheckpoint:
    """The files of one checkpoint, verified, and what is known about it.

    weights   .safetensors, an index of shards (.json) with the shards next to it, or .bin
    spec      the manifest's row, or for a repository or folder of the user's own, one made from its config
    notices   sentences that the user should see with every result
    """

    config: Path
    weights: Path
    preprocessor: Path | None
    spec: ModelSpec
    notices: tuple[str, ...] = ()


def locate(name: str | PathLike[str], *, zoo: Zoo, access: HubAccess = DEFAULT_ACCESS) -> LocatedCheckpoint:
    """Find the checkpoint called `name`: a variant id, a folder, or "owner/name[@revision]" on the Hub.

    Downloads what is missing. A variant whose files are cached takes no request. Raises `UnknownModel`,
    `VariantNotTrained`, `ConfigError`, `CheckpointError`, `HubError` or `Cancelled`.
    """
    text = os.fspath(name)
    if text in zoo:
        spec = zoo[text]
        if not spec.ready:
            raise _not_trained(spec, zoo)
        if access.revision:
            raise ConfigError(
                f"{spec.id} is at the commit that {spec.manifest.name} pins, not at {access.revision!r}. Leave the "
                "revision out, or name the repository."
            )
        return _from_folder(spec, access.cancelled) if spec.folder else _from_hub(spec, access)
    folder = Path(name).expanduser()
    if text and folder.is_dir():
        return _users_folder(folder)
    match = re.fullmatch(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@([\w./-]+))?", text, re.ASCII)
    if match is None:
        raise zoo.unknown(text)
    return _users_repo(match[1], match[2] or access.revision or constants.DEFAULT_REVISION, access)


def find_preprocessor(id_: str, *, zoo: Zoo, access: HubAccess = DEFAULT_ACCESS) -> Path:
    """Return a variant's preprocessor_config.json, downloaded where it has to be.

    Raises `UnknownModel`, `VariantNotTrained` or `HubError`.
    """
    spec = zoo[id_]
    if not spec.ready:
        raise _not_trained(spec, zoo)
    if spec.folder is not None:
        return spec.folder / PREPROCESSOR
    file = next((file for file in spec.source.files if PurePosixPath(file.name).name == PREPROCESSOR), None)
    if file is None:
        raise HubNotFound(f"{spec.id} has no {PREPROCESSOR}. Use GLPNImageProcessor() with its defaults.")
    return _get(spec.source, file, access)


def fetch_weights(source: Source, access: HubAccess = DEFAULT_ACCESS, *, missing: type[HubError] = HubNotFound) -> Path:
    """Return the best weight file of a source on the Hub: shards next to their index, a .bin as safetensors.

    `missing` is the error that sends it on to the next file of the list.
    """
    problems: list[HubError] = []
    for file in source.weights:
        try:
            path = _get(source, file, access)
        except missing as error:
            problems.append(error)
            continue
        if path.name.endswith(".index.json"):
            for name in shard_names(path):
                fetch(str(source.repo_id), _beside(file.name, name), access.at(_commit(path, file)))
        return _as_safetensors(path, file) if path.suffix == ".bin" else path
    if len(problems) == 1:
        raise problems[0]
    names = ", ".join(f"{file.name} ({source.revision_of(file)})" for file in source.weights)
    raise missing(f"{source.repo_id} has none of {names}. {problems[-1]}") from problems[-1]


def is_cached(spec: ModelSpec, *, cache_dir: str | PathLike[str] | None = None) -> bool:
    """Whether `spec` can be loaded without the network. Reads no file and makes no request."""
    if spec.folder is not None:
        return any((spec.folder / file.name).is_file() for file in spec.source.weights)
    return source_is_cached(spec.source, cache_dir=cache_dir)


def source_is_cached(source: Source, *, cache_dir: str | PathLike[str] | None = None) -> bool:
    """Whether all that is needed of a source on the Hub is on this machine. Reads no file and makes no request."""

    def there(file: SourceFile) -> bool:
        return cached_file(_wanted(source, file, cache_folder(cache_dir))) is not None

    others = (file for file in source.files if not file.is_weights)
    return any(map(there, source.weights)) and all(map(there, others))


def verify(
    spec: ModelSpec, *, cache_dir: str | PathLike[str] | None = None, cancelled: Question | None = None
) -> tuple[Path, ...]:
    """Hash the files of `spec` that are on this machine again and return their paths.

    Raises `CheckpointError` or `HubCorrupt` for one that is not what it should be; one from the Hub is then removed.
    """
    if spec.folder is not None:
        located = _from_folder(spec, cancelled)
        return tuple(located.config.with_name(file.name) for file in spec.source.files)
    access = HubAccess(cache_dir=cache_dir, local_files_only=True, force_download=True, cancelled=cancelled)
    cached = (file for file in spec.source.files if cached_file(_wanted(spec.source, file, cache_folder(cache_dir))))
    return tuple(_get(spec.source, file, access) for file in cached)


def _from_hub(spec: ModelSpec, access: HubAccess) -> LocatedCheckpoint:
    try:
        try:
            config, weights, preprocessor = _fetch_all(spec.source, access.offline(), missing=HubOffline)
        except HubOffline:
            config, weights, preprocessor = _fetch_all(spec.source, access)
    except HubOffline as error:
        raise HubOffline(
            f"{spec.id} ({megabytes(spec.size_bytes)} from {spec.source.repo_id} on the Hub) is not on this machine. "
            f"{error} `{DEFAULT}` works without a network."
        ) from error
    return LocatedCheckpoint(config=config, weights=weights, preprocessor=preprocessor, spec=spec)


def _fetch_all(
    source: Source, access: HubAccess, *, missing: type[HubError] = HubNotFound
) -> tuple[Path, Path, Path | None]:
    """Return the paths of config, weights and preprocessor, all of one commit unless the source says otherwise."""
    others: dict[str, Path] = {}
    for file in source.files:
        if not file.is_weights:
            try:
                others[file.name] = _get(source, file, access)
            except (HubNotFound, HubOffline) as error:
                absent = isinstance(error, HubNotFound) or access.local_files_only
                if file.name != PREPROCESSOR or not absent:  # every published GLPN uses the same one
                    raise
                continue
            if file.revision is None and file.ref is None:
                source = replace(source, revision=_commit(others[file.name], file))
    return others[CONFIG], fetch_weights(source, access, missing=missing), others.get(PREPROCESSOR)


def _get(source: Source, file: SourceFile, access: HubAccess) -> Path:
    access = access.at(source.revision_of(file))
    return fetch(str(source.repo_id), file.name, access, sha256=file.sha256, size=file.size)


def _wanted(source: Source, file: SourceFile, cache: Path) -> Wanted:
    return Wanted(str(source.repo_id), file.name, source.revision_of(file) or constants.DEFAULT_REVISION, cache)


def _snapshot(path: Path, file: SourceFile) -> Path:
    """The folder of the Hub cache that stands for the commit from which `file` came to `path`."""
    return path.parents[len(PurePosixPath(file.name).parts) - 1]


def _commit(path: Path, file: SourceFile) -> str:
    return _snapshot(path, file).name


def _beside(name: str, other: str) -> str:
    return str(PurePosixPath(name).with_name(other))


def _as_safetensors(path: Path, file: SourceFile) -> Path:
    """Convert a verified .bin, once, to safetensors next to the snapshots; return the .bin if it can't be written."""
    from glpn.checkpoint import load_state, save_safetensors  # here, because listing models does not need torch

    snapshot = _snapshot(path, file)
    target = snapshot.parents[1] / "converted" / snapshot.name / Path(file.name).with_suffix(".safetensors")
    record = target.with_suffix(".json")
    if target.is_file() and read_record(record, target.stat()) is not None:
        return target
    state = load_state(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_safetensors(state, target)
    except OSError as error:
        logger.info("%s can't be kept as safetensors (%s).", path, error)
        return path
    write_record(record, target.stat(), sha256_of(target))
    return target


def _from_folder(spec: ModelSpec, cancelled: Question | None) -> LocatedCheckpoint:
    """Locate a variant whose files need no network, and check them against the manifest."""
    assert spec.folder is not None
    for file in spec.source.files:
        path = spec.folder / file.name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing, though {spec.manifest.name} lists it. Install glpn again.")
        found = path.stat().st_size if file.sha256 is None else sha256_of(path, cancelled)
        expected = file.size if file.sha256 is None else file.sha256
        if expected not in (None, found):
            raise CheckpointError(
                f"{path} is not the file that {spec.manifest.name} lists: {found}, not {expected}. Install glpn again "
                "(`git lfs pull` in a clone), or record a file that you changed with `python -m glpn zoo lock`."
            )
    return _in_folder(spec.folder, spec.folder / spec.source.weights[0].name, spec)


def _in_folder(folder: Path, weights: Path, spec: ModelSpec, notices: tuple[str, ...] = ()) -> LocatedCheckpoint:
    preprocessor = folder / PREPROCESSOR
    return LocatedCheckpoint(
        config=folder / CONFIG,
        weights=weights,
        preprocessor=preprocessor if preprocessor.is_file() else None,
        spec=spec,
        notices=notices,
    )


# ---- A user's own checkpoint ----


def _users_folder(folder: Path) -> LocatedCheckpoint:
    weights = find_weights(folder)
    source = Source(kind="folder", path=str(folder.absolute()), files=(SourceFile(name=weights.name),))
    spec, notices = _describe(str(folder), source, folder / CONFIG, weights)
    return _in_folder(folder, weights, spec, notices)


def _users_repo(repo_id: str, revision: str, access: HubAccess) -> LocatedCheckpoint:
    pin = {"revision": revision} if is_commit(revision) else {"ref": revision}
    files = tuple(SourceFile(name=name) for name in (CONFIG, PREPROCESSOR, *WEIGHT_FILES))
    source = Source(kind="hub", repo_id=repo_id, files=files, **pin)
    try:
        config, weights, preprocessor = _fetch_all(source, access)
    except (HubOffline, HubBusy) as error:
        try:  # what is cached may be another weight file than the first of the list
            config, weights, preprocessor = _fetch_all(source, access.offline(), missing=HubOffline)
        except HubOffline:
            raise (no_folder_either(repo_id, error) if isinstance(error, HubOffline) else error) from None
    except HubNotFound as error:
        raise no_folder_either(repo_id, error) from None
    name = repo_id if revision == constants.DEFAULT_REVISION else f"{repo_id}@{revision}"
    spec, notices = _describe(name, source, config, weights)
    return LocatedCheckpoint(config=config, weights=weights, preprocessor=preprocessor, spec=spec, notices=notices)


def _describe(name: str, source: Source, config_path: Path, weights: Path) -> tuple[ModelSpec, tuple[str, ...]]:
    """Make the row that a checkpoint of the user's own would have, and what has to be said about it."""
    from glpn.checkpoint import load_config  # here, because listing models does not need torch

    config = load_config(config_path)
    kitti = "kitti" in name.lower()
    # Where its files don't say how it was trained, the published head for such distances is the best guess.
    like = Zoo(read_manifest(MANIFEST))["kitti-b4" if kitti or config.max_depth > OUTDOOR_FROM_M else "nyu-b4"]
    short_side, camera = _training_of(vars(config), like)
    spec = ModelSpec(
        id=name,
        title=name,
        head="custom",
        encoder=config.encoder,
        max_depth_m=float(config.max_depth),
        status="published" if source.kind == "hub" else "local",
        source=source,
        working_short_side=short_side,
        camera=camera,
        parameters=_count_parameters(weights),
        license="unknown",
        license_note=f"See what the author of {name} says.",
    )
    notice = (
        f"{name} looks like KITTI, but its config.json says max_depth 10, as the published glpn-kitti wrongly does. If "
        "it was trained with 80 m, all distances are 8 times too small here: use kitti-b4, or correct the config."
    )
    return spec, (notice,) if kitti and config.max_depth == 10 else ()


def _training_of(config: Mapping[str, object], like: ModelSpec) -> tuple[int, TrainingCamera]:
    """Return short side and camera as a recipe wrote them into config.json, and what can't be so as `like` has it."""
    short_side, width = config.get("working_short_side"), config.get("fx_over_width")
    if not isinstance(short_side, int) or not 32 <= short_side <= MAX_SHORT_SIDE:
        short_side = like.working_short_side
    if not isinstance(width, float) or not 0.1 <= width <= 10:
        return short_side, like.camera
    return short_side, TrainingCamera(fx_over_width=width, fx_px=round(width * short_side * 4 / 3, 2))


def _count_parameters(weights: Path) -> int:
    """Count the trainable numbers of a checkpoint from the headers of its files, without reading the numbers."""
    if weights.suffix == ".bin":
        return weights.stat().st_size // 4
    files = [weights.with_name(name) for name in shard_names(weights)] if weights.suffix == ".json" else [weights]
    count = 0
    try:
        for file in files:
            with safe_open(file, framework="numpy") as tensors:
                for key in tensors.keys():  # noqa: SIM118 - a safetensors file is no mapping
                    if not key.endswith(("running_mean", "running_var", "num_batches_tracked")):
                        count += math.prod(tensors.get_slice(key).get_shape())
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{weights} is not a whole safetensors file ({error}). Copy or download it again."
        ) from None
    return count


def _not_trained(spec: ModelSpec, zoo: Zoo) -> VariantNotTrained:
    ready = ", ".join(other.id for other in zoo.ready)
    teacher = next((f" from {other.id}" for other in zoo.ready if other.head == spec.head), "")
    return VariantNotTrained(
        f"{spec.id} is not trained: its ImageNet encoder {spec.source.repo_id} is public, but nobody has published a "
        f"depth decoder for it. Train it (`python -m glpn zoo train {spec.id}`), distill it{teacher} (the same with "
        f"`--distill`), or name a repository or folder that has one ('owner/name'). Ready to use: {ready}."
    )
