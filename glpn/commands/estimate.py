"""`glpn estimate PHOTO|FOLDER …`: depth of photos, as files.

Several photos run side by side, one thread each from decoding to files, so that all cores are busy and none waits for
another. No more photos are in memory than threads run, so memory does not grow with their number.
"""

import argparse
import csv
import hashlib
import json
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from tqdm import tqdm

from glpn import __version__
from glpn.bounds import APERTURE, EDGE_CUT, FOV_DEG
from glpn.camera import Camera
from glpn.errors import ConfigError, ExportError, GLPNError, printable
from glpn.estimator import DepthEstimator, load_estimator
from glpn.folders import find_photos
from glpn.formats import MAX_PHOTO_PIXELS
from glpn.intrinsics import read_camera
from glpn.model.device import available_cores, use_available_cores
from glpn.photo import Photo, load_photo
from glpn.prediction import DepthPrediction
from glpn.scene.export import FORMATS
from glpn.scene.look import Look
from glpn.scene.relief import Relief

from .options import add_device, add_model, add_seeing, list_of
from .terminal import download_bar

EXAMPLES = (
    "glpn estimate photo.jpg",
    "glpn estimate holiday/ --recursive --skip-existing --out depth --format depth-png,npy,json",
    "glpn estimate room.jpg --format glb --fov 65",
    "glpn estimate photo.jpg --format gif,anaglyph,sbs,postcard",
    "glpn estimate photo.jpg --format cutout,focus --distance 1.5",
    "glpn estimate photo.jpg --format relief-3mf --relief 150,10,3,5",
    "glpn estimate street.jpg --model kitti-b4 --resolution fast",
)
# One line for each finished photo of an output folder: what --skip-existing goes by.
FINISHED = ".glpn-finished.jsonl"
SUMMARY = ("photo", "result", "width", "height", "min_m", "median_m", "max_m", "seconds", "engine", "reason")


@dataclass(frozen=True)
class Job:
    """One photo, and `folder` / `stem` + suffix as its files."""

    path: Path
    folder: Path
    stem: str

    @property
    def name(self) -> str:
        """The photo's name for the terminal."""
        return printable(self.path.name, 40)


@dataclass(frozen=True)
class Outcome:
    """What became of a photo: `result` is "done", "failed" or "skipped"; `row` holds columns of SUMMARY."""

    result: str
    row: dict[str, Any]
    notes: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", nargs="+", metavar="PHOTO|FOLDER", help="photos, folders of photos, or patterns")
    add_model(parser)
    parser.add_argument("--out", type=Path, default=Path("depth"), metavar="DIR", help="output folder (%(default)s)")
    parser.add_argument(
        "--format",
        type=list_of(FORMATS),
        default=["depth-png", "color-png"],
        metavar="NAME,…",
        help=f"files to write for each photo: {', '.join(FORMATS)} (default: depth-png,color-png)",
    )
    parser.add_argument("--recursive", action="store_true", help="also the folders within the folders")
    parser.add_argument(
        "--max-megapixels",
        type=float,
        default=MAX_PHOTO_PIXELS / 1e6,
        metavar="N",
        help="refuse larger photos (default: %(default)g)",
    )
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave photos alone whose files are there, whole and made with the same settings",
    )
    parser.add_argument("--summary", type=Path, metavar="FILE.csv", help="also write a table with a row for each photo")
    add_seeing(parser)
    add_device(parser)
    parser.add_argument("--precision", default="float32", help="float32, bfloat16, float16 or auto (%(default)s)")
    parser.add_argument("--engine", default="auto", help="on a CPU: auto, pytorch or openvino (default: %(default)s)")
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument("--fov", type=float, metavar="DEGREES", help="the photos' horizontal field of view")
    camera.add_argument("--camera", type=Path, metavar="FILE", help="the photos' intrinsics, JSON or text")
    parser.add_argument(
        "--correct-scale",
        action=argparse.BooleanOptionalAction,
        help="correct for the photo's focal length (default: where EXIF, --fov or --camera gives it)",
    )
    _add_looks(parser)


def _add_looks(parser: argparse.ArgumentParser) -> None:
    """Add what changes the files alone."""
    parser.add_argument(
        "--edge-cut",
        type=float,
        default=EDGE_CUT.default,
        metavar="FRACTION",
        help="cut meshes where depth jumps by this fraction (default: %(default)s)",
    )
    parser.add_argument(
        "--distance",
        type=float,
        metavar="METRES",
        help="of cutout, focus and fog, and between bands or contours (default: the scene's middle; bands of 0.5 m)",
    )
    parser.add_argument(
        "--aperture",
        type=float,
        default=APERTURE.default,
        metavar="FRACTION",
        help="blur of focus at infinity, a share of the width (default: %(default)s)",
    )
    parser.add_argument(
        "--relief",
        type=_relief,
        default=Relief(),
        metavar="SIDE,HEIGHT,BASE,FRAME",
        help="sizes of relief-stl and relief-3mf, millimetres (default: 120,8,2,4)",
    )


def _relief(text: str) -> Relief:
    """Read "120,8,2,4", or the first few of these numbers."""
    names = [field.name for field in fields(Relief)]
    try:
        sizes = dict(zip(names, map(float, text.split(",")), strict=False))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not four numbers of millimetres such as 120,8,2,4") from None
    try:
        return Relief(**sizes)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(args: argparse.Namespace) -> int:
    """Estimate every photo, print a row for each, and write its files; a bad photo is reported and passed over.

    Stopped with Ctrl-C, it finishes the photos that it is at: every file in the output folder is whole.
    """
    found = find_photos(args.photos, recursive=args.recursive)
    if found.summary:
        print(found.summary, file=sys.stderr)
    jobs = [Job(path, args.out / Path(stem).parent, Path(stem).name) for path, stem in found.photos]
    workers = min(available_cores(), len(jobs)) if args.device in ("auto", "cpu") else 1
    use_available_cores(workers)
    with download_bar() as progress:
        estimator = load_estimator(
            args.model, device=args.device, precision=args.precision, engine=args.engine, progress=progress
        )
    worker = _Worker(args, estimator)
    width = max(len(job.name) for job in jobs)
    print(f"{'photo':{width}}  {'size':>11}  {'min':>7}  {'median':>7}  {'max':>7}  seconds")
    counts = dict.fromkeys(("done", "failed", "skipped"), 0)
    with ExitStack() as stack:
        table = stack.enter_context(_summary(args.summary)) if args.summary else None
        rows = csv.DictWriter(table, SUMMARY) if table else None
        bar = stack.enter_context(tqdm(total=len(jobs), unit="photo", disable=len(jobs) == 1, leave=False))
        for job, outcome in _side_by_side(worker, jobs, workers):
            counts[outcome.result] += 1
            _tell(job, outcome, width)
            if rows and table:
                rows.writerow({"photo": job.path, "result": outcome.result, **outcome.row})
                table.flush()
            bar.update()
    if counts["skipped"]:
        print(f"{counts['skipped']} of {len(jobs)} photos were finished before.", file=sys.stderr)
    if counts["failed"]:
        print(f"{counts['failed']} of {len(jobs)} photos failed.", file=sys.stderr)
    if counts["failed"] < len(jobs):
        print(f"Wrote files to {args.out}.", file=sys.stderr)
    return 1 if counts["failed"] else 0


class _Worker:
    """Takes one photo from its file to the files of its depth. Threads share it."""

    def __init__(self, args: argparse.Namespace, estimator: DepthEstimator) -> None:
        self.args, self.estimator = args, estimator
        self.look = Look(
            edge_cut=EDGE_CUT.check(args.edge_cut),
            distance_m=args.distance,
            aperture=args.aperture,
            relief=args.relief,
        )
        self.settings = _fingerprint(args, estimator)
        self.journal = args.out / FINISHED
        self.finished = _read_finished(self.journal) if args.skip_existing else {}

    def __call__(self, job: Job) -> Outcome:
        try:
            if self._is_finished(job):
                return Outcome("skipped", {})
            photo = self._load(job.path)
            prediction = self.estimator(
                photo,
                resolution=self.args.resolution,
                flip_average=self.args.flip_average,
                camera=self._camera(photo),
                correct_scale=self.args.correct_scale,
            )
            files = prediction.write(job.folder, self.args.format, stem=job.stem, look=self.look)
            self._record(job, files)
        except GLPNError as error:
            return Outcome("failed", {"reason": str(error)})
        except MemoryError:
            return Outcome("failed", {"reason": "There is not enough memory. Make the photo smaller first."})
        return Outcome("done", _numbers(prediction), prediction.notes)

    def _load(self, path: Path) -> Photo:
        """Decode as much of the photo as the network sees; formats that show it decode it whole."""
        resolution = self.args.resolution
        return load_photo(
            path,
            max_pixels=round(self.args.max_megapixels * 1e6),
            at_least=lambda size: self.estimator.working_size(size, resolution),
        )

    def _camera(self, photo: Photo) -> Camera | None:
        if self.args.fov is not None:
            return Camera.from_fov(FOV_DEG.check(self.args.fov), photo.size)
        return None if self.args.camera is None else read_camera(self.args.camera, photo.size)

    def _key(self, job: Job) -> str:
        return (job.folder / job.stem).relative_to(self.args.out).as_posix()

    def _is_finished(self, job: Job) -> bool:
        record = self.finished.get(self._key(job))
        if record is None or [record["settings"], record["photo"]] != [self.settings, _state(job.path)]:
            return False
        files = ((self.args.out / name, size) for name, size in record["files"].items())
        return all(file.is_file() and file.stat().st_size == size for file, size in files)

    def _record(self, job: Job, files: list[Path]) -> None:
        sizes = {file.relative_to(self.args.out).as_posix(): file.stat().st_size for file in files}
        record = {"key": self._key(job), "settings": self.settings, "photo": _state(job.path), "files": sizes}
        try:
            with self.journal.open("a", encoding="utf-8") as journal:
                journal.write(json.dumps(record) + "\n")  # one write of one line: threads do not mix theirs
        except OSError as error:
            raise ExportError(f"{str(self.journal)!r} can't be written ({error.strerror}).") from error


def _fingerprint(args: argparse.Namespace, estimator: DepthEstimator) -> str:
    """Return a hash of everything that decides what the files hold, but the photo."""
    names = ["format", "resolution", "flip_average", "fov", "correct_scale", "edge_cut"]
    names += ["distance", "aperture", "relief"]
    settings = {name: getattr(args, name) for name in names}
    settings |= {"version": __version__, "model": estimator.spec.id, "precision": estimator.precision}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    if args.camera is not None and args.camera.is_file():
        digest.update(args.camera.read_bytes())
    for tensor in estimator.model.head.state_dict().values():  # training changes every part of a network
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _state(path: Path) -> list[int]:
    """Return size and time of change: whether a photo is still the one it was."""
    try:
        facts = path.stat()
    except OSError:
        return []
    return [facts.st_size, facts.st_mtime_ns]


def _read_finished(journal: Path) -> dict[str, Any]:
    """Return the last record of each photo; a line that a crash cut short is passed over."""
    finished = {}
    for line in journal.read_text(encoding="utf-8").splitlines() if journal.is_file() else ():
        try:
            record = json.loads(line)
            finished[record["key"]] = {name: record[name] for name in ("settings", "photo", "files")}
        except (ValueError, KeyError, TypeError):
            continue
    return finished


def _side_by_side(work: Callable[[Job], Outcome], jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Outcome]]:
    """Yield the outcome of every job in order; at most `workers` run, and as many wait."""
    pending: deque[tuple[Job, Future[Outcome]]] = deque()
    with ThreadPoolExecutor(workers, "glpn-estimate") as pool:
        try:
            for job in jobs:
                pending.append((job, pool.submit(work, job)))
                if len(pending) == 2 * workers:
                    first, future = pending[0]
                    yield first, future.result()
                    pending.popleft()
            for first, future in pending:
                yield first, future.result()
        finally:
            for _, future in pending:
                future.cancel()


def _numbers(prediction: DepthPrediction) -> dict[str, Any]:
    depth_m = prediction.depth_m
    height, width = prediction.size
    step = max(1, int((height * width / 1e6) ** 0.5))  # the median of a million samples is that of all
    return {
        "width": width,
        "height": height,
        "min_m": f"{depth_m.min():.3f}",
        "median_m": f"{np.median(depth_m[::step, ::step]):.3f}",
        "max_m": f"{depth_m.max():.3f}",
        "seconds": f"{prediction.seconds:.3f}",
        "engine": prediction.engine,
    }


def _tell(job: Job, outcome: Outcome, width: int) -> None:
    row, name = outcome.row, job.name
    if outcome.result == "failed":
        tqdm.write(f"{name}: {row['reason']}", file=sys.stderr)
    elif outcome.result == "done":
        depths = "  ".join(f"{float(row[column]):5.2f} m" for column in ("min_m", "median_m", "max_m"))
        size = f"{row['width']}×{row['height']}"
        tqdm.write(f"{name:{width}}  {size:>11}  {depths}  {float(row['seconds']):7.2f}")
    for note in outcome.notes:
        tqdm.write(f"{name}: {note}", file=sys.stderr)


def _summary(path: Path) -> TextIO:
    """Open the table of results and write its head. Raises ExportError where that can't be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise ExportError(f"{str(path)!r} can't be written ({error.strerror}). Choose another file.") from error
    csv.DictWriter(file, SUMMARY).writeheader()
    return file
