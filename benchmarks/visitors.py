"""A browser's side of the page without a browser: the events, their order and the connections are those of a visitor.

Used by `load` and `faults`. Speaks plain HTTP to a page on this machine.
"""

import asyncio
import io
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

ANSWER_S = 400.0  # an estimate may run for 180 s, and others before it
ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "glpn" / "web" / "samples" / "living.jpg"
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


class NotDone(Exception):
    """The page answered an event with an error; the text is what a visitor would read."""


@dataclass
class Page:
    """A running app: its process, its address, the folder its files go to and the file its log goes to."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1e3

    def files(self) -> dict[Path, int]:
        """Return the bytes of every file of visitors; the example that ships with the page is left out."""
        found = {}
        for path in self.folder.rglob("*"):
            try:
                if path.is_file() and "first" not in path.parts and path.suffix != ".lock":
                    found[path] = path.stat().st_size
            except OSError:
                continue
        return found

    def health(self) -> dict[str, Any]:
        return dict(httpx.get(self.url + "healthz", timeout=60).json())


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@contextmanager
def running(
    folder: Path, *flags: str, before: tuple[str, ...] = (), wait: bool = True, name: str = "", **variables: str
) -> Iterator[Page]:
    """Run `app.py` on a free port of this machine with its files in `folder`; it is ended in order, then killed.

    before   a command that runs it, such as `prlimit --nofile=100`
    name     of the log next to `folder`, where several apps share that
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), folder.with_name(f"{folder.name}{name}.log")
    command = [*before, sys.executable, "app.py", "--port", str(port), *flags]
    environment = os.environ | QUIET | {"GRADIO_TEMP_DIR": str(folder)} | variables
    with log.open("wb") as out, subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out) as process:
        page = Page(process, f"http://127.0.0.1:{port}/", folder, log)
        try:
            if wait:
                wait_until_up(page)
            yield page
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_up(page: Page, *, model: bool = True) -> None:
    """Wait until the page answers and, if `model`, its model is loaded."""
    while page.process.poll() is None:
        try:
            if page.health()["models"] or not model:
                return
        except (httpx.HTTPError, ValueError):
            time.sleep(0.1)
    raise RuntimeError(page.log.read_text())


def photo(width: int, height: int, seed: int, kind: str = "JPEG") -> bytes:
    """Return a picture file that no other seed gives."""
    with Image.open(SAMPLE) as sample:
        image = sample.convert("RGB").resize((width, height))
    corner = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8)
    image.paste(Image.fromarray(corner), (0, 0))
    data = io.BytesIO()
    image.save(data, kind, quality=85)
    return data.getvalue()


@dataclass
class Visitor:
    """One open page. Use it as `async with Visitor(url) as visitor`; leaving the block closes the page."""

    url: str
    session: str = field(default_factory=lambda: secrets.token_hex(8))
    values: dict[int, Any] = field(default_factory=dict)

    async def __aenter__(self) -> "Visitor":
        self.http = httpx.AsyncClient(base_url=self.url, timeout=None, limits=httpx.Limits(max_connections=None))
        self.waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.listener: asyncio.Task[None] | None = None
        try:
            await self.http.get("")
            self.config = (await self.http.get("config")).raise_for_status().json()
        except BaseException:
            await self.http.aclose()
            raise
        self.ids = {component["props"].get("elem_id"): component["id"] for component in self.config["components"]}
        self.values |= {component["id"]: component["props"].get("value") for component in self.config["components"]}
        self.tasks.append(asyncio.create_task(self._heartbeat()))
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in [*self.tasks, self.listener]:
            if task is not None:
                task.cancel()
        await asyncio.gather(*filter(None, [*self.tasks, self.listener]), return_exceptions=True)
        await self.http.aclose()

    async def open(self) -> None:
        """What the page does on its own when it has been read."""
        for event in self.events(None, "load"):
            await self.fire(event)

    async def upload(self, name: str, data: bytes) -> None:
        """Choose a photo; the page estimates it at once."""
        await self.take("photo", data, name)
        await self.press("photo", "input")

    async def take(self, elem_id: str, data: bytes, name: str) -> None:
        """Upload a file and put it into an input."""
        answer = await self.http.post("gradio_api/upload", files={"files": (name, data)})
        if answer.status_code != 200:
            raise NotDone(answer.text)
        [path] = answer.json()
        self.values[self.ids[elem_id]] = {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    async def press(self, elem_id: str, kind: str = "click") -> None:
        """Fire what hangs on a component, and what follows from that."""
        for event in self.events(self.ids[elem_id], kind):
            await self.fire(event, by=self.ids[elem_id])

    async def tab(self, name: str) -> None:
        """Open one of the result's tabs."""
        id_, events = self.tab_events(name)
        for event in events:
            await self.fire(event, by=id_)

    async def make(self, format_: str) -> None:
        """Ask for one of the result's files, as a press on its name under Files does."""
        for event in self.events(self.ids["files"], "make"):
            await self.fire(event, {"format": format_}, by=self.ids["files"])

    def tab_events(self, name: str) -> tuple[int, list[dict[str, Any]]]:
        """Return the id of one of the result's tabs, and what its choice fires."""
        tabs = (one for one in self.config["components"] if one["type"] == "tabitem")
        id_ = next(tab["id"] for tab in tabs if tab["props"].get("id") == name)
        return id_, self.events(id_, "select")

    def events(self, component: int | None, kind: str) -> list[dict[str, Any]]:
        return [
            event
            for event in self.config["dependencies"]
            if any(target[1] == kind and component in (None, target[0]) for target in event["targets"])
            and event["backend_fn"]
        ]

    async def fire(self, event: dict[str, Any], told: dict[str, Any] | None = None, *, by: int | None = None) -> None:
        """Run an event, which the component `by` may have `told` something, and what the page chains to it.

        Raises `NotDone` with the sentence that the visitor sees.
        """
        done = await self.send(event["id"], [self._sent(id_) for id_ in event["inputs"]], told, by)
        if done["success"]:
            for id_, value in zip(event["outputs"], done["output"]["data"], strict=False):
                self._take(id_, value)
        for following in self.config["dependencies"]:
            chained = following.get("trigger_after") == event["id"] and following["backend_fn"]
            if chained and (done["success"] or not following["trigger_only_on_success"]):
                await self.fire(following)
        if not done["success"]:
            raise NotDone(str(done["output"].get("error")))

    async def send(
        self, event: int, data: list[Any], told: dict[str, Any] | None = None, by: int | None = None
    ) -> dict[str, Any]:
        """Put an event into the page's queue; return its last message."""
        body = {"fn_index": event, "data": data, "session_hash": self.session, "trigger_id": by, "event_data": told}
        answer = await self.http.post("gradio_api/queue/join", json=body)
        if answer.status_code != 200:
            raise NotDone(answer.text)
        future = self.waiting.setdefault(answer.json()["event_id"], asyncio.get_running_loop().create_future())
        if self.listener is None or self.listener.done():
            self.listener = asyncio.create_task(self._listen())
        try:
            async with asyncio.timeout(ANSWER_S):
                return await future
        except TimeoutError:
            raise NotDone(f"No answer came within {ANSWER_S:.0f} s.") from None

    def _sent(self, id_: int) -> Any:
        return self.values.get(id_)

    def _take(self, id_: int, value: Any) -> None:
        if isinstance(value, dict) and value.get("__type__") == "update":
            if "value" not in value:
                return
            value = value["value"]
        self.values[id_] = value

    async def _listen(self) -> None:
        """Read what the queue tells this visitor, for as long as an answer is awaited."""
        while any(not future.done() for future in self.waiting.values()):
            async with self.http.stream(
                "GET", "gradio_api/queue/data", params={"session_hash": self.session}
            ) as stream:
                async for line in stream.aiter_lines():
                    if not line.startswith("data:"):
                        continue
                    message = json.loads(line[5:])
                    if message["msg"] == "process_completed":
                        future = self.waiting.setdefault(
                            message["event_id"], asyncio.get_running_loop().create_future()
                        )
                        if not future.done():
                            future.set_result(message)
                    elif message["msg"] in ("close_stream", "unexpected_error"):
                        break

    async def _heartbeat(self) -> None:
        """Stay connected, as an open page does: the app closes the session when this ends."""
        async with self.http.stream("GET", f"gradio_api/heartbeat/{self.session}") as stream:
            async for _ in stream.aiter_lines():
                pass
