"""Hostile files through library, command line and running page: a result or one sentence each, within time and memory.

    python -m benchmarks.fuzz                everything, some minutes on two cores
    python -m benchmarks.fuzz --quick        photos alone on the command line, no large ones, no page; about a minute
    python -m benchmarks.fuzz --costs        the peak of memory of each format, for `glpn.formats.PHOTO_FORMATS`

Each file is read in a process of its own, forked from one that has everything imported (so Linux and macOS only). What
breaks a promise is kept under its name in artifacts/fuzz. Exit code 1 if anything did.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.fuzz_corpus import ENCODERS, Case, base_picture, everything, photos
from benchmarks.visitors import Visitor, free_port
from glpn.checkpoint import check_finite, check_tensors, load_config, load_state
from glpn.commands import main as glpn
from glpn.errors import GLPNError
from glpn.exif import camera_from_exif
from glpn.formats import MEMORY_PER_PIXEL, PHOTO_FORMATS
from glpn.intrinsics import read_camera
from glpn.photo import load_photo
from glpn.scene.depth_files import read_depth
from glpn.zoo.manifest import read_manifest

MAX_CPU_S = 10.0
MAX_GROWTH = 600e6
KEPT = Path("artifacts/fuzz")
MODEL = Path("glpn/weights/rooms-b0")


@dataclass(frozen=True)
class Outcome:
    """What became of one file: "result", "sentence", "trace" (its last line in `text`) or "killed"; seconds, bytes."""

    case: Case
    end: str
    text: str
    cpu_s: float
    growth: float

    @property
    def broken(self) -> str | None:
        """Say which promise the file broke."""
        if self.end in ("trace", "killed"):
            return f"{self.end}: {self.text}"
        if self.cpu_s > MAX_CPU_S:
            return f"{self.cpu_s:.1f} s of CPU"
        if self.growth > MAX_GROWTH:
            return f"{self.growth / 1e6:.0f} MB"
        if not self.text.isprintable():
            return f"control characters in {self.text!r}"
        return None


def _read_photo(path: Path) -> None:
    photo = load_photo(path)
    camera_from_exif(photo.exif, photo.size)
    if not all(note.isprintable() for note in photo.notes):
        raise AssertionError(f"control characters in {photo.notes!r}")


def _read_checkpoint(path: Path) -> None:
    state = load_state(path)
    check_tensors(state, path)
    check_finite(state, path)


READERS: dict[str, Callable[[Path], Any]] = {
    "photo": _read_photo,
    "depth": lambda path: read_depth(path, 1000),
    "camera": lambda path: read_camera(path, (60, 80)),
    "manifest": read_manifest,
    "config": load_config,
    "checkpoint": _read_checkpoint,
}


def run(case: Case, folder: Path) -> Outcome:
    """Read one file in a forked process and say what became of it. The file is written in another one."""
    path = write(case, folder)
    if path is None:
        return Outcome(case, "sentence", "The file system takes no such name.", 0, 0)
    end, told = in_child(lambda: READERS[case.kind](path), MAX_CPU_S + 5)
    outcome = Outcome(case, end, told.get("text", ""), told.get("cpu_s", MAX_CPU_S + 5), told.get("growth", 0))
    if outcome.broken:
        KEPT.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, KEPT / f"{case.kind}_{abs(hash(case.name)) % 10**8}{path.suffix}")
    path.unlink()
    return outcome


def write(case: Case, folder: Path) -> Path | None:
    """Write a case's file from a child process, so that this one stays small; None if the name is impossible."""
    path = folder / case.name

    def make() -> None:
        path.write_bytes(case.make())

    end, told = in_child(make, 120)
    if end != "result" and "OSError" not in told.get("text", ""):
        raise RuntimeError(f"{case.name} could not be made: {told}")
    return path if end == "result" else None


def in_child(work: Callable[[], Any], seconds: float) -> tuple[str, dict[str, Any]]:
    """Run `work` in a fork with a limit on CPU seconds; return how it ended and what it told."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
        before, start = _peak(), time.process_time()
        end, text = "result", ""
        try:
            work()
        except GLPNError as error:
            end, text = "sentence", str(error)
        except BaseException:
            end, text = "trace", " | ".join(traceback.format_exc().splitlines()[-3:])[:400]
        told = {"text": text, "cpu_s": time.process_time() - start, "growth": _peak() - before}
        os.write(writer, json.dumps([end, told]).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if not data:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return "killed", {"text": signal.Signals(number).name if number else "it ended without a word"}
    end, told = json.loads(data)
    return end, told


def _peak() -> float:
    """Return the most memory that this process ever held, bytes; in a fork it begins at what the parent held."""
    if Path("/proc/self/status").exists():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("VmHWM"))
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # macOS: bytes


# ----------------------------------------------------------------------------------------- command line, running page


def command_line(cases: Iterable[Case], folder: Path) -> str | None:
    """Run `glpn estimate` over all photos at once, a good one last; return what is wrong, or None."""
    photos_folder, out = folder / "photos", folder / "out"
    photos_folder.mkdir()
    paths = [path for case in cases if (path := write(case, photos_folder))]
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(last := folder / "last.png")
    command = [sys.executable, "-m", "glpn", "estimate", *map(str, paths), str(last), "--out", str(out)]
    ended = subprocess.run([*command, "--resolution", "32"], capture_output=True, check=False, timeout=1500)
    errors = ended.stderr.decode(errors="replace")
    done = len(ended.stdout.splitlines()) - 1
    print(f"command line: {len(paths) + 1} photos in one run, {done} estimated, exit code {ended.returncode}")
    if "Traceback" in errors or ended.returncode not in (0, 1):
        return errors[-2000:]
    if not (out / "last_depth_mm.png").exists():
        return "the good photo after the hostile ones was not estimated"
    return None


def arguments(case: Case, path: Path, folder: Path) -> list[str]:
    """Return the command that reads a file which is no photo; a good photo and a good model go with it."""
    good, out = folder / "good.png", folder / "commands"
    if case.kind == "manifest":
        return ["zoo", "list", "--manifest", str(path)]
    estimate = ["estimate", str(good), "--resolution", "32", "--out", str(out)]
    if case.kind == "camera":
        return [*estimate, "--camera", str(path)]
    pair = folder / "pair"
    shutil.rmtree(pair, ignore_errors=True)
    if case.kind == "depth":
        (pair / "rgb").mkdir(parents=True)
        (pair / "depth").mkdir()
        shutil.copy(good, pair / "rgb" / "it.png")
        shutil.copy(path, pair / "depth" / f"it{path.suffix}")
        return ["evaluate", "--root", str(pair), "--resolution", "32"]
    shutil.copytree(MODEL, pair)
    if case.kind == "config":
        shutil.copy(path, pair / "config.json")
    else:
        (pair / "model.safetensors").unlink()
        shutil.copy(path, pair / f"{'pytorch_model' if path.suffix == '.bin' else 'model'}{path.suffix}")
    return [*estimate, "--model", str(pair)]


def commands(cases: Iterable[Case], folder: Path) -> list[str]:
    """Give each file that is no photo to the command that reads it, in a fork; return what is wrong."""
    Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(folder / "good.png")
    ends: Counter[str] = Counter()
    wrong = []
    for case in cases:
        path = write(case, folder)
        if path is None:
            continue
        end, said = _command(arguments(case, path, folder), folder / "said")
        ends[f"{case.kind}: {end}"] += 1
        if end not in ("exit code 0", "exit code 1") or not said.replace("\n", "").replace("\r", "").isprintable():
            wrong.append(f"{case.kind} {case.name!r} on the command line: {end} {said[-300:]!r}")
        path.unlink()
    print("commands:", ", ".join(f"{count} × {end}" for end, count in sorted(ends.items())))
    return wrong


def _command(argv: list[str], said: Path) -> tuple[str, str]:
    """Run `glpn` with `argv` in a fork; return how it ended and what it printed."""

    def run() -> None:
        with said.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = glpn(argv)
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(1, f"\nexit code {code}".encode())

    end, told = in_child(run, MAX_CPU_S + 20)
    text, _, code = said.read_text(errors="replace").rpartition("\n")
    return (code, text) if end == "result" else (f"{end} {told['text']}", text)


def page(cases: Iterable[Case], folder: Path) -> str | None:
    """Send photos to the running page's public endpoint, and depth files to Evaluate; return what is wrong, or None."""
    from gradio_client import Client, handle_file

    port = free_port()
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "temporary"), "GRADIO_ANALYTICS_ENABLED": "False"}
    log = (folder / "page.log").open("wb")
    server = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], stdout=log, stderr=log, env=environment)
    ends: Counter[str] = Counter()
    try:
        client = _connected(lambda: Client(f"http://127.0.0.1:{port}", verbose=False), server)
        for case in cases:
            path = write(case, folder)
            if path is None:
                continue
            try:
                if case.kind == "depth":
                    asyncio.run(evaluated(f"http://127.0.0.1:{port}/", path))
                else:
                    client.predict(handle_file(str(path)), "rooms-b0", "fast", api_name="/estimate")
                ends["result"] += 1
            except Exception as error:  # the client raises what the page said
                ends["sentence"] += 1
                if "Something went wrong" in str(error) or "Traceback" in str(error):
                    return f"{case.name}: {error}"
            if server.poll() is not None:
                return f"the page ended at {case.name}"
        client.predict(handle_file("glpn/web/samples/living.jpg"), "rooms-b0", "fast", api_name="/estimate")
        if b"Traceback" in (folder / "page.log").read_bytes():
            return (folder / "page.log").read_text(errors="replace")[-2000:]
        print(f"page: {sum(ends.values())} files, {ends['result']} results, {ends['sentence']} sentences; alive after")
        return None
    finally:
        server.terminate()
        server.wait(40)
        log.close()


async def evaluated(url: str, path: Path) -> None:
    """Give a photo and a depth file to the Evaluate page. Raises `NotDone` with what a visitor would read."""
    async with Visitor(url) as visitor:
        await visitor.take("evaluate-photo", path.with_name("good.png").read_bytes(), "good.png")
        await visitor.take("evaluate-truth", path.read_bytes(), path.name)
        await visitor.press("evaluate-go")


def _connected(connect: Callable[[], Any], server: subprocess.Popen[bytes]) -> Any:
    deadline = time.monotonic() + 120
    while True:
        try:
            return connect()
        except Exception:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.5)


# -------------------------------------------------------------------------------------------------------------- summary


def costs() -> None:
    """Print the peak of memory for each way in which a picture can be stored, bytes per pixel, at 24 megapixels."""
    worst: dict[str, float] = {}
    picture = base_picture().resize((6000, 4000))
    with tempfile.TemporaryDirectory() as folder:
        for name, make in ENCODERS.items():
            path = write(Case("photo", name, lambda make=make: make(picture)), Path(folder))
            assert path is not None
            end, told = in_child(lambda path=path: load_photo(path, max_pixels=10**9), 120)
            peak = told.get("growth", 0) / 24e6
            kind = _kind_of(path)
            worst[kind] = max(worst.get(kind, 0), peak)
            print(f"{name:16} {kind:9} {peak:5.1f} bytes a pixel, {told.get('cpu_s', 0):5.2f} s  {end}")
            path.unlink()
    for kind, peak in worst.items():
        stated = PHOTO_FORMATS[kind].bytes_per_pixel
        print(f"{kind:9} {peak:5.1f} measured, {stated:5.1f} stated (up to {MEMORY_PER_PIXEL} costs no pixels)")


def _kind_of(path: Path) -> str:
    return next(kind for kind, about in PHOTO_FORMATS.items() if path.suffix in (*about.suffixes, ".apng"))


def summarize(outcomes: list[Outcome]) -> None:
    print(f"\n{'kind':12} files  results  sentences  broken  most CPU  most memory")
    for kind in READERS:
        of_kind = [outcome for outcome in outcomes if outcome.case.kind == kind]
        if of_kind:
            ends = Counter(outcome.end for outcome in of_kind)
            print(
                f"{kind:12} {len(of_kind):5}  {ends['result']:7}  {ends['sentence']:9}  "
                f"{sum(bool(one.broken) for one in of_kind):6}  {max(one.cpu_s for one in of_kind):6.1f} s  "
                f"{max(one.growth for one in of_kind) / 1e6:8.0f} MB"
            )
    for outcome in sorted(outcomes, key=lambda one: -max(one.cpu_s / MAX_CPU_S, one.growth / MAX_GROWTH))[:5]:
        print(
            f"  costly: {outcome.case.name!r:39} {outcome.cpu_s:5.1f} s {outcome.growth / 1e6:5.0f} MB  {outcome.end}"
        )
    for outcome in outcomes:
        if outcome.broken:
            print(f"  BROKEN {outcome.case.kind} {outcome.case.name!r}: {outcome.broken}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Read hostile files made by code.")
    parser.add_argument("--quick", action="store_true", help="no large pictures, no page, each photo once")
    parser.add_argument("--costs", action="store_true", help="measure the memory of each format instead")
    parser.add_argument("--seed", type=int, default=0, help="of the bytes that are changed (default: %(default)s)")
    args = parser.parse_args()
    if args.costs:
        costs()
        return 0
    for make in ENCODERS.values():  # everything is imported and warm before the first fork
        make(base_picture())
    cases = list(everything(args.seed))
    small = [case for case in photos(args.seed) if not case.heavy]
    if args.quick:  # each photo once, by one of the two
        cases = [case for case in cases if case.kind != "photo" and not case.heavy] + small[::2]
        small = small[1::2]
    with tempfile.TemporaryDirectory() as folder:
        outcomes = [run(case, Path(folder)) for case in cases]
        wrong: list[str | None] = [command_line(small, Path(folder))]
        if not args.quick:
            wrong += commands((case for case in cases if case.kind != "photo"), Path(folder))
            depth = [case for case in cases if case.kind == "depth"][::4]
            heavy = [case for case in cases if case.heavy and case.kind == "photo"]
            wrong.append(page([*small[::12], *heavy, *depth], Path(folder)))
    summarize(outcomes)
    for text in filter(None, wrong):
        print(f"  BROKEN {text}")
    return 1 if any(wrong) or any(outcome.broken for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
