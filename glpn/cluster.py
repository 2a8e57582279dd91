"""Depth of very many photos on many machines: a pipeline of Ray Data, from any place that Ray reads to Parquet.

Ray plans, spreads, retries and restarts; this module says what is done with one batch of photos, and what is left to
do. It needs `pip install "glpn[ray]"`, and glpn on every machine of the cluster.
"""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ConfigError, ExportError, PhotoError, PhotoNotFound, printable
from .estimator import DepthEstimator, load_estimator
from .folders import kind_passed_over
from .zoo import DEFAULT

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

logger = logging.getLogger(__name__)

PHOTOS_PER_FILE = 64  # rows of a Parquet file: what a killed machine has to do again
PHOTOS_AT_ONCE = 8
SETTINGS_FILE = "_glpn.json"  # in the results' folder; readers of Parquet folders pass over names that start so


class DepthPredictor:
    """An actor of `ray.data.Dataset.map_batches`: rows with `path` and `bytes` of photos in, these rows out:

    path         string, as it came in
    depth_png    16-bit PNG at the photo's own size, whose text says the steps per metre
    nearest_m    float32, metres; so is farthest_m
    farthest_m
    prediction   JSON of `DepthPrediction.to_dict()`
    error        why the photo failed, in a sentence: then all but `path` is null
    """

    def __init__(self, model: str = DEFAULT, *, resolution: str | int = "standard", precision: str = "float32") -> None:
        self.resolution = resolution
        self.estimator: DepthEstimator = load_estimator(model, precision=precision)

    def __call__(self, batch: dict[str, np.ndarray]) -> "pa.Table":
        import pyarrow as pa

        kinds = {"path": pa.string(), "depth_png": pa.binary(), "nearest_m": pa.float32(), "farthest_m": pa.float32()}
        schema = pa.schema(kinds | {"prediction": pa.string(), "error": pa.string()})  # the same in each file
        rows = [self._row(path, data) for path, data in zip(batch["path"], batch["bytes"], strict=True)]
        return pa.Table.from_pylist(rows, schema=schema)

    def _row(self, path: str, data: bytes) -> dict[str, Any]:
        from .scene.export import encode_depth_png, metric_scale  # here, because Plotly takes a second to import

        try:
            found = self.estimator(data, resolution=self.resolution)
            picture = encode_depth_png(found.depth_m, metric_scale(found.depth_m))
        except (PhotoError, ExportError) as error:
            return {"path": path, "error": f"{printable(PurePosixPath(path).name)}: {error}"}
        facts = found.to_dict()
        nearest, farthest = facts["depth"]["nearest"], facts["depth"]["farthest"]
        row = {"path": path, "depth_png": picture, "nearest_m": nearest, "farthest_m": farthest}
        return row | {"prediction": json.dumps(facts)}


@dataclass(frozen=True)
class ClusterRun:
    """What a run has done: photos estimated and failed in it, and how many an earlier run had finished."""

    estimated: int
    failed: int
    finished_before: int


def estimate_on_cluster(
    photos: str,
    out: str,
    *,
    model: str = DEFAULT,
    resolution: str | int = "standard",
    workers: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
) -> ClusterRun:
    """Estimate all photos below the folder `photos`; write Parquet files with `DepthPredictor`'s columns into `out`.

    Started again, it does what is missing: a photo is finished once a whole Parquet file of `out` has its row, be it
    one with an error. Half-written files, of a machine that was killed, are removed. Ray is reached as `ray.init`
    reaches it (RAY_ADDRESS, or a cluster of this machine's own), unless the caller has done that.

    Args:
        photos: folder, with all folders below it: a path, or an address such as s3://bucket/photos.
        out: folder for the Parquet files, a path or an address.
        model, resolution: as in `load_estimator` and `DepthEstimator`; another one needs another folder.
        workers: actors, each with its own copy of the model; None lets Ray choose, from 1 to what the cluster holds.
        cpus, gpus: of each actor. Its network uses as many threads as it has cores.

    Raises:
        ConfigError: Ray isn't installed, or `out` holds results of other settings.
        PhotoNotFound: there is no photo in `photos`.
        GLPNError: the model can't be loaded, as in `load_estimator`.
    """
    ray = _ray()
    source, folder = _file_system(photos)
    target, results = _file_system(out)
    paths = _photos_in(source, folder)
    if not paths:
        raise PhotoNotFound(f"{printable(photos)} holds no photo. Give a folder of JPEG, PNG, HEIC or other pictures.")
    _claim(target, results, {"model": model, "resolution": resolution})
    finished = _finished(target, results)
    todo = [path for path in paths if path not in finished]
    if todo:
        table = ray.data.read_binary_files(
            todo,
            filesystem=source,
            include_paths=True,
            num_cpus=0,  # it waits for disk or network; actors may hold every core
            override_num_blocks=math.ceil(len(todo) / PHOTOS_PER_FILE),
        ).map_batches(
            DepthPredictor,
            fn_constructor_kwargs={"model": model, "resolution": resolution},
            batch_size=PHOTOS_AT_ONCE,
            compute=ray.data.ActorPoolStrategy(size=workers) if workers else ray.data.ActorPoolStrategy(min_size=1),
            num_cpus=cpus,
            num_gpus=gpus,
        )
        table.write_parquet(results, filesystem=target, ray_remote_args={"num_cpus": 0})
    done = _finished(target, results)
    failed = sum(done[path] for path in todo)
    return ClusterRun(len(todo) - failed, failed, len(paths) - len(todo))


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError('Clusters need Ray. Install it: pip install "glpn[ray]".') from None
    return ray


def _file_system(place: str) -> tuple["FileSystem", str]:
    """Return the file system that a path or address names, and the path in it. Raises `ConfigError`."""
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem, LocalFileSystem

    if "://" not in place:
        return LocalFileSystem(), Path(place).expanduser().resolve().as_posix()
    try:
        system, path = FileSystem.from_uri(place)
    except ArrowInvalid as error:
        raise ConfigError(f"{printable(place)} is not a folder that can be read ({error}).") from error
    return system, path


def _photos_in(system: "FileSystem", folder: str) -> list[str]:
    from pyarrow.fs import FileSelector, FileType

    try:
        found = system.get_file_info(FileSelector(folder, recursive=True))
    except FileNotFoundError:
        raise PhotoNotFound(f"There is no folder {printable(folder)}. Check the path.") from None
    files = (PurePosixPath(info.path) for info in found if info.type == FileType.File)
    return sorted(str(file) for file in files if not kind_passed_over(Path(file)))


def _claim(system: "FileSystem", folder: str, settings: dict[str, Any]) -> None:
    """Note in `folder` with which settings its results are made. Raises `ConfigError` if they were made with others."""
    from pyarrow.fs import FileType

    path = f"{folder}/{SETTINGS_FILE}"
    if system.get_file_info(path).type == FileType.NotFound:
        system.create_dir(folder, recursive=True)
        with system.open_output_stream(path) as file:
            file.write(json.dumps(settings).encode())
        return
    with system.open_input_stream(path) as file:
        found = json.loads(file.read())
    if found != settings:
        raise ConfigError(f"{printable(folder)} holds results of {found}, not of {settings}. Choose another folder.")


def _finished(system: "FileSystem", folder: str) -> dict[str, bool]:
    """Return the photos that have a row, and whether that is an error; remove Parquet files that aren't whole."""
    from pyarrow import ArrowInvalid, parquet
    from pyarrow.fs import FileSelector

    failed: dict[str, bool] = {}
    for info in system.get_file_info(FileSelector(folder)):
        if info.extension != "parquet":
            continue
        try:
            with system.open_input_file(info.path) as file:
                rows = parquet.read_table(file, columns=["path", "error"]).to_pylist()
        except ArrowInvalid:
            logger.warning("%s isn't whole; its photos are done again.", printable(info.path))
            system.delete_file(info.path)
            continue
        failed |= {row["path"]: row["error"] is not None for row in rows}
    return failed
