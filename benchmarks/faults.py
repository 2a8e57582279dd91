"""What breaks while the app runs, broken for real: processes are killed, disk and memory used up, files replaced.

    python -m benchmarks.faults [NAME ...]       some minutes on two cores; --list names the faults

Each fault has folders, processes and a Hub of its own on this machine. Linux only; what needs root says so and is left
out without it. Exit code 1 if a promise of docs/RELIABILITY.md is broken.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from .visitors import ROOT, SAMPLE, NotDone, Page, Visitor, photo, running

sys.path.append(str(ROOT / "tests"))
from hub_server import HubServer, hang_after, serving

MODEL = ROOT / "glpn" / "weights" / "rooms-b0"
FILES = ("model.safetensors", "config.json", "preprocessor_config.json")
LIMIT_S = 400  # of one fault
KILL_AT = "GLPN_KILL_AT"  # which deletion of a file the process does not survive
CLOCK = "GLPN_CLOCK"  # file with the seconds by which the clock is wrong
# Read by Python at its start, where a process is to meet its fault at a certain moment.
SITE = f"""
import os, signal, time
if os.environ.get("{KILL_AT}"):
    left, unlink = [int(os.environ["{KILL_AT}"])], os.unlink
    def dying(*args, **kwargs):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return unlink(*args, **kwargs)
    os.unlink = os.remove = dying
if os.environ.get("{CLOCK}"):
    now = time.time
    time.time = lambda: now() + float(open(os.environ["{CLOCK}"]).read())
"""
FAULTS: dict[str, Callable[[Path], str]] = {}


class Broken(Exception):
    """A promise that did not hold."""


class LeftOut(Exception):
    """This machine can't have the fault."""


def fault(function: Callable[[Path], str]) -> Callable[[Path], str]:
    """Note a function that causes a fault in a folder, and returns what was seen or raises `Broken`."""
    FAULTS[function.__name__] = function
    return function


def promise(held: bool, what: str) -> None:
    if not held:
        raise Broken(what)


# ------------------------------------------------------------------------------------------------------------- helpers


def estimated(page: Page, data: bytes | None = None) -> None:
    """Let a newcomer open the page and give it a photo. Raises `NotDone` with what the newcomer would read."""

    async def visit() -> None:
        async with Visitor(page.url) as visitor:
            await visitor.open()
            await visitor.upload("photo.jpg", data or photo(640, 480, time.monotonic_ns() % 2**31))

    asyncio.run(asyncio.wait_for(visit(), 120))


def refusal(work: Callable[[], Any]) -> str:
    """Return the sentence with which `work` is refused."""
    try:
        work()
    except NotDone as error:
        return str(error)
    raise Broken("nothing was refused")


def called(page: Page, model: str) -> dict[str, Any]:
    """Estimate the sample through the public endpoint. Raises `NotDone` with the sentence it answers."""
    config = httpx.get(page.url + "config", timeout=120).json()
    [endpoint] = [event for event in config["dependencies"] if event["api_name"] == "estimate"]
    defaults = {component["id"]: component["props"].get("value") for component in config["components"]}
    with httpx.Client(base_url=page.url + "gradio_api/", timeout=120) as client:
        [path] = client.post("upload", files={"files": ("photo.jpg", SAMPLE.read_bytes())}).json()
        given = [defaults.get(id_) for id_ in endpoint["inputs"]]
        given[:3] = [{"path": path, "meta": {"_type": "gradio.FileData"}}, model, "fast"]
        event = client.post("call/estimate", json={"data": given}).json()["event_id"]
        *_, last = client.get(f"call/estimate/{event}").text.strip().split("\n\n")
    kind, data = (line.partition(": ")[2] for line in last.splitlines())
    if kind != "complete":
        raise NotDone(data)
    return dict(json.loads(data)[2])


def until(condition: Callable[[], bool], what: str, *, within_s: float = 120) -> None:
    end = time.monotonic() + within_s
    while not condition():
        promise(time.monotonic() < end, f"{what} did not happen within {within_s:.0f} s")
        time.sleep(0.02)


def glpn(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, "-m", "glpn", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return exit code and all output; a stack trace is a broken promise."""
    output, errors = process.communicate(timeout=120)
    promise("Traceback" not in errors, f"a stack trace: {errors[-500:]}")
    return process.returncode, output + errors


def kill(process: subprocess.Popen[Any]) -> None:
    process.kill()
    process.wait()


def site(folder: Path) -> str:
    """Write the module that Python reads at its start; return PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(SITE)
    return str(folder)


def manifest(folder: Path, source: dict[str, Any], status: str) -> str:
    """Write a manifest with one row, "mine", whose files are those of rooms-b0 at another place."""
    row = {
        "id": "mine",
        "title": "Rooms from elsewhere",
        "head": "rooms",
        "encoder": "b0",
        "max_depth_m": 10,
        "status": status,
        "source": source | {"files": [{"name": name, "sha256": None, "size": None} for name in FILES]},
        "working_short_side": 192,
        "camera": {"fx_over_width": 0.8, "fx_px": 204.8},
        "parameters": 3664839,
        "license": "Apache-2.0",
        "license_note": "As rooms-b0.",
        "metrics": [],
    }
    path = folder / "own.json"
    path.write_text(json.dumps({"schema": 1, "variants": [row]}))
    return str(path)


@contextmanager
def hub(folder: Path) -> Iterator[tuple[HubServer, dict[str, str]]]:
    """Run a Hub that has rooms-b0; gives it and the environment of those who ask it."""
    with serving() as server:
        server.repo("loop/rooms").commit({name: (MODEL / name).read_bytes() for name in FILES})
        yield (
            server,
            {
                "GLPN_MANIFEST": manifest(folder, {"kind": "hub", "repo_id": "loop/rooms"}, "published"),
                "HF_ENDPOINT": server.url,
                "HF_HOME": str(folder / "home"),
                "HF_HUB_OFFLINE": "0",
            },
        )


@contextmanager
def mounted(path: Path, options: str) -> Iterator[Path]:
    """A file system in memory at `path`."""
    path.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        raise LeftOut("needs root, to mount a small file system")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def no_trace(page: Page) -> None:
    log = page.log.read_text(errors="replace")
    promise("Traceback" not in log and '"trace"' not in log, f"a trace in the log: {log[-600:]}")


# ----------------------------------------------------------------------------------------------------------- kill -9


@fault
def kill_in_inference(folder: Path) -> str:
    left = _killed_during(
        folder / "rooms",
        lambda visitor: visitor.upload("large.jpg", photo(4000, 3000, 1)),
        lambda page: bool(page.health()["waiting_estimates"]),
    )
    return _next_start(folder / "rooms", left)


@fault
def kill_in_export(folder: Path) -> str:
    left = _killed_during(
        folder / "rooms",
        lambda visitor: visitor.make("zip"),
        lambda page: any(path.name.startswith(".") for path in page.files()),  # a file that is being written
    )
    return _next_start(folder / "rooms", left)


def _killed_during(
    folder: Path, work: Callable[[Visitor], Coroutine[Any, Any, None]], has_begun: Callable[[Page], bool]
) -> int:
    """Kill the app while it does a visitor's `work`; return how many files that left."""
    with running(folder) as page:

        async def die() -> None:
            async with Visitor(page.url) as visitor:
                await visitor.open()
                job = asyncio.create_task(work(visitor))
                while not await asyncio.to_thread(has_begun, page):
                    promise(not job.done(), "the work had ended before it could be killed")
                kill(page.process)
                job.cancel()
                await asyncio.gather(job, return_exceptions=True)

        with suppress(httpx.HTTPError):
            asyncio.run(die())
        left = len(page.files())
    promise(left > 0, "the kill left nothing, so that nothing was tried")
    return left


def _next_start(folder: Path, left: int) -> str:
    with running(folder) as page:
        promise(not page.files(), f"files are left after the next start: {list(page.files())[:3]}")
        estimated(page)
    return f"{left} files were left; the next start removed them and estimates"


@fault
def kill_in_export_of_the_command_line(folder: Path) -> str:
    folder.mkdir()
    out = folder / "out"
    formats = ("depth-png", "npy", "glb", "tiff", "ply")
    rounds = 0
    for count in range(1, len(formats)):
        process = glpn("estimate", str(SAMPLE), "--out", str(out), "--format", ",".join(formats))
        until(lambda count=count, process=process: _files(out) >= count or process.poll() is not None, "an export")
        kill(process)
        said = process.communicate()
        promise(out.is_dir(), f"nothing was written: {said}")
        for path in out.iterdir():
            if not path.name.startswith("."):
                _whole(path)
        shutil.rmtree(out)
        rounds += 1
    return f"killed {rounds} times between files: each file under its own name is whole"


def _files(folder: Path) -> int:
    return len(list(folder.iterdir())) if folder.exists() else 0


def _whole(path: Path) -> None:
    try:
        if path.suffix in (".png", ".tiff"):
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".npy":
            np.load(path)
        else:
            promise(path.stat().st_size > 0, f"{path.name} is empty")
    except (OSError, ValueError) as error:
        raise Broken(f"{path.name} is half a file: {error}") from error


@fault
def kill_in_download(folder: Path) -> str:
    folder.mkdir()
    with hub(folder) as (server, environment):
        sent = threading.Event()
        server.fail("/cdn/", act=hang_after(3_000_000, sent), times=1)
        process = glpn("zoo", "download", "mine", **environment)
        promise(sent.wait(120), "the download did not begin")
        kill(process)
        process.communicate()
        code, output = ended(glpn("zoo", "download", "mine", **environment))
        promise(code == 0, output)
        code, output = ended(glpn("zoo", "verify", "mine", **environment))
        promise(code == 0 and "3 files verified" in output, output)
    return "killed after 3 of 7 MB; the next download is whole and verified"


@fault
def kill_in_cache_clean(folder: Path) -> str:
    folder.mkdir()
    said = []
    with hub(folder) as (_, environment):
        for number in (1, 2, 4, 6):
            code, output = ended(glpn("zoo", "download", "mine", **environment))
            promise(code == 0, output)
            dying = environment | {"PYTHONPATH": site(folder / "site"), KILL_AT: str(number)}
            process = glpn("zoo", "remove", "mine", **dying)
            process.communicate(timeout=120)
            said.append("killed" if process.returncode == -signal.SIGKILL else "done before")
            code, output = ended(glpn("zoo", "verify", "mine", **environment))
            promise("verified" in output or "not on this machine" in output or "download" in output.lower(), output)
        code, output = ended(glpn("zoo", "download", "mine", **environment))
        promise(code == 0, output)
        code, output = ended(glpn("zoo", "verify", "mine", **environment))
        promise(code == 0 and "3 files verified" in output, output)
    promise("killed" in said, "the kill never came")
    return f"killed at {said.count('killed')} deletions of `zoo remove`: the next download mends what is missing"


@fault
def kill_in_the_sweep(folder: Path) -> str:
    with running(folder / "rooms") as page:
        estimated(page)
        kill(page.process)
    variables = {"PYTHONPATH": site(folder / "site"), KILL_AT: "2"}
    with running(folder / "rooms", wait=False, **variables) as page:
        page.process.wait(120)
        promise(page.process.returncode == -signal.SIGKILL, "the sweep at the start was not killed")
    return _next_start(folder / "rooms", 1)


# --------------------------------------------------------------------------------------------- what the machine lacks


@fault
def disk_full(folder: Path) -> str:
    with mounted(folder / "small", "size=40m") as small, running(small / "rooms") as page:

        async def meanwhile() -> str:
            async with Visitor(page.url) as before:
                await before.open()
                filler = small / "filler"
                with suppress(OSError), filler.open("wb") as file:
                    while True:
                        file.write(bytes(100_000))
                try:
                    async with Visitor(page.url) as late:
                        await late.upload("late.jpg", photo(2048, 1536, 2))
                    said = ""
                except NotDone as error:
                    said = str(error)
                await before.tab("depth")
                filler.unlink()
                return said

        said = asyncio.run(asyncio.wait_for(meanwhile(), 200))
        promise("disk of this page is full" in said or "no room" in said, f"an upload was told {said!r}")
        promise(page.health()["alive"], "/healthz")
        estimated(page)
        no_trace(page)
    return "an upload gets one sentence, an open page continues, and all works again once there is room"


@fault
def memory_used_up(folder: Path) -> str:
    with running(folder / "rooms", OMP_NUM_THREADS="1") as page:
        estimated(page)
        status = Path(f"/proc/{page.pid}/status").read_text()
        held = int(status.split("VmSize:")[1].split()[0]) * 1024
        resource.prlimit(page.pid, resource.RLIMIT_AS, (held + 60_000_000, resource.RLIM_INFINITY))
        large = photo(8000, 6000, 3, "PNG")  # which, unlike a JPEG, can't be decoded at a fraction of its size
        said = refusal(lambda: estimated(page, large))
        promise("memory" in said, f"the large photo was told {said!r}")
        promise(page.health()["alive"], "/healthz")
        resource.prlimit(page.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        estimated(page)
    return f"a photo of 48 megapixels with 60 MB left: “{said[:60]}…”; then all continues"


@fault
def descriptors_used_up(folder: Path) -> str:
    with running(folder / "rooms") as page:
        estimated(page)
        used = len(list(Path(f"/proc/{page.pid}/fd").iterdir()))
        _, hard = resource.prlimit(page.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(page.pid, resource.RLIMIT_NOFILE, (used + 20, hard))
        port = int(page.url.rsplit(":", 1)[1].strip("/"))
        connections = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(100)]
        try:
            with suppress(httpx.HTTPError):
                httpx.get(page.url + "healthz", timeout=10)
        finally:
            for connection in connections:
                connection.close()
        until(lambda: _answers(page), "recovery")
        estimated(page)
        size = page.log.stat().st_size
        promise(size < 100_000, f"the log grew to {size} bytes")
    return f"100 connections for 20 descriptors: the log has {size} bytes, and the page recovers on its own"


def _answers(page: Page) -> bool:
    try:
        return bool(page.health()["alive"])
    except (httpx.HTTPError, ValueError):
        return False


@fault
def read_only_cache(folder: Path) -> str:
    folder.mkdir()
    with hub(folder) as (_, environment), mounted(folder / "home", "ro"):
        code, output = ended(glpn("zoo", "download", "mine", **environment))
        promise(code == 1 and len(output.strip().splitlines()) == 1, f"exit code {code}: {output}")
        with running(folder / "rooms", **environment) as page:
            said = refusal(lambda: called(page, "mine"))
            promise("Something went wrong" not in said, said)
            estimated(page)
            no_trace(page)
    return f"the download is told “{output.strip()[:80]}…”, the embedded model runs"


# ----------------------------------------------------------------------------------------- clock, cache, files, signals


@fault
def clock_jump(folder: Path) -> str:
    folder.mkdir()
    clock = folder / "clock"
    clock.write_text("0")
    with running(folder / "rooms", PYTHONPATH=site(folder / "site"), **{CLOCK: str(clock)}) as page:

        async def jump() -> None:
            async with Visitor(page.url) as visitor:
                await visitor.open()
                await visitor.upload("mine.jpg", photo(640, 480, 5))
                for seconds in (86_400, -86_400, 0):
                    clock.write_text(str(seconds))
                    async with Visitor(page.url) as other:  # whose upload wakes the sweeper
                        await other.upload("other.jpg", photo(640, 480, abs(seconds) + 6))
                    await visitor.tab("depth")
                    await visitor.press("go")

        asyncio.run(asyncio.wait_for(jump(), 200))
        no_trace(page)
    return "a day forward, two back: files in use stay, estimates continue"


@fault
def two_apps_on_one_cache(folder: Path) -> str:
    folder.mkdir()
    with hub(folder) as (server, environment):
        downloads = [glpn("zoo", "download", "mine", **environment) for _ in range(2)]
        results = [ended(process) for process in downloads]
        promise(all(code == 0 for code, _ in results), str(results))
        fetched = server.count("GET", "/cdn/")
        rooms = folder / "rooms"
        with running(rooms, name="one", **environment) as one, running(rooms, name="two", **environment) as two:
            promise(called(one, "mine")["variant"] == called(two, "mine")["variant"] == "mine", "the model did not run")
            kill(one.process)
            with running(rooms, name="three", **environment) as three:
                promise(bool(two.files()), "the third start took a living app's files")
                estimated(two)
                estimated(three)
    return f"two downloads at once fetch the weights {fetched} time; a killed app's files go, a living one's stay"


@fault
def model_replaced_while_it_runs(folder: Path) -> str:
    shutil.copytree(MODEL, folder / "model")
    weights = folder / "model" / "model.safetensors"
    own = manifest(folder, {"kind": "folder", "path": "model"}, "local")
    with running(folder / "rooms", GLPN_MANIFEST=own) as page:
        before = called(page, "mine")
        other = folder / "other"
        other.write_bytes(os.urandom(1000))
        other.replace(weights)
        promise(called(page, "mine")["depth"] == before["depth"], "the depth changed")
        kill(page.process)
    shutil.copy(MODEL / weights.name, weights)
    with running(folder / "rooms2", GLPN_MANIFEST=own) as page:
        called(page, "mine")
        os.truncate(weights, 1000)
        promise(called(page, "mine")["depth"] == before["depth"], "the depth changed")
        kill(page.process)
    with running(folder / "rooms3", GLPN_MANIFEST=own) as page:
        said = refusal(lambda: called(page, "mine"))
        promise("safetensors" in said, said)
        estimated(page)
        no_trace(page)
    return f"replaced or cut in place, the loaded model runs on; the next start says “{said[:70]}…”"


@fault
def sigterm_as_process_1(folder: Path) -> str:
    if os.geteuid():
        raise LeftOut("needs root, for `unshare --pid`")
    with running(folder / "rooms", before=("unshare", "--pid", "--fork", "--kill-child")) as page:

        async def stop() -> float:
            async with Visitor(page.url) as visitor:
                job = asyncio.create_task(visitor.upload("large.jpg", photo(4000, 3000, 7)))
                while not (await asyncio.to_thread(page.health))["waiting_estimates"]:
                    await asyncio.sleep(0.02)
                (child,) = Path(f"/proc/{page.pid}/task/{page.pid}/children").read_text().split()
                begin = time.monotonic()
                os.kill(int(child), signal.SIGTERM)
                await asyncio.to_thread(page.process.wait, 60)
                job.cancel()
                await asyncio.gather(job, return_exceptions=True)
                return time.monotonic() - begin

        seconds = asyncio.run(stop())
        promise(page.process.returncode == 0, f"exit code {page.process.returncode}")
        promise(not page.files(), "files are left")
        no_trace(page)
    return f"exit code 0 after {seconds:.1f} s with an estimate running, no file left"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="which faults (default: all)")
    parser.add_argument("--list", action="store_true", help="list them")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(FAULTS))
        return 0
    unknown = set(arguments.names) - set(FAULTS)
    if unknown:
        parser.error(f"no fault is called {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGALRM, _too_long)
    broken = 0
    for name in arguments.names or FAULTS:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            signal.alarm(LIMIT_S)
            try:
                print(f"held      {name}: {FAULTS[name](Path(folder) / 'fault')}", flush=True)
            except LeftOut as error:
                print(f"left out  {name}: {error}", flush=True)
            except Exception as error:
                broken += 1
                print(f"BROKEN    {name}: {type(error).__name__} {error}", flush=True)
                for log in Path(folder).rglob("*.log"):
                    print(f"  {log.name}: …{log.read_text(errors='replace')[-2000:]}")
            finally:
                signal.alarm(0)
    return 1 if broken else 0


def _too_long(number: int, frame: object) -> None:
    raise Broken(f"not done after {LIMIT_S} s")


if __name__ == "__main__":
    sys.exit(main())
