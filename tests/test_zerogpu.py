"""A ZeroGPU Space without ZeroGPU: the real `spaces`, its emulation of CUDA, a stand-in for its scheduling service."""

import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import expect, sync_playwright
from web_support import ARTIFACTS, CHROMIUM, DESKTOP, PATIENCE_MS, ROOT

from glpn.model import placement
from glpn.model.device import pick_device
from glpn.model.working_image import MAX_NATIVE_PIXELS
from glpn.web import gpu
from glpn.web.samples import SAMPLES
from glpn.zoo import Zoo

pytest.importorskip("spaces")
SCRIPT = Path(__file__).with_name("zerogpu_app.py")
PHOTO = SAMPLES[3].photo


class Scheduler(ThreadingHTTPServer):
    """Lends a card to whoever asks, until `spent`; `asked` is for how many seconds each time."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spent = False
        self.asked: list[int] = []
        self.tokens: list[str | None] = []
        self.calls: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Scheduler

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.calls.append(parts.path)
        status, body = 200, {}
        if parts.path == "/schedule":
            self.server.asked.append(int(query["durationSeconds"]))
            self.server.tokens.append(query.get("token"))
            body = {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "token"}
            if self.server.spent:
                status, body = 429, {"left": 2, "wait": 3600}
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    server = Scheduler()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def space(scheduler: Scheduler, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run tests/zerogpu_app.py as a Space would run app.py."""
    cgroup = folder / "cgroup"
    cgroup.write_text("0::/kubepods/pod\n")
    environment = os.environ | {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": scheduler.url,
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(cgroup),
        "ZEROGPU_OFFLOAD_DIR": str(folder / "offload"),
        "HOME": str(folder),
        "HF_HUB_OFFLINE": "1",
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(SCRIPT), *arguments]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=ROOT) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def last_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = [line for line in process.stdout if not line.startswith("SPACES_ZERO_GPU_DEBUG")]
    return lines[-1]


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return next(line.strip() for line in process.stdout if line.startswith("http"))


def test_a_model_runs_on_every_thread_on_the_cpu_and_on_a_lent_card(scheduler: Scheduler, tmp_path: Path) -> None:
    with space(scheduler, tmp_path, "threads") as process:
        found = json.loads(last_line(process))
    for thread in ("main", "other"):
        assert found[thread]["devices"] == ["cpu", "cuda", "cpu"]
        assert found[thread]["difference_m"] < 1e-3
    assert max(found["bytes"]) < 20_000_000  # a standard photo, not a model
    assert scheduler.asked == [gpu.LEAST_S, gpu.LEAST_S]
    assert {"/allow", "/release"} <= set(scheduler.calls)


def test_the_api_says_what_a_result_cost(scheduler: Scheduler, tmp_path: Path) -> None:
    with space(scheduler, tmp_path, "page", "1000000") as process:
        client = Client(
            address_of(process), verbose=False, download_files=str(tmp_path), headers={"x-ip-token": "a.e30.b"}
        )
        *_, lent = client.predict(handle_file(PHOTO), api_name="/estimate")
        assert lent["device"] == "cuda"
        assert any("A graphics card was lent for about" in note for note in lent["notes"])
        assert scheduler.tokens == ["a.e30.b"]  # whose quota it is
        assert "/startup-report" in scheduler.calls
        scheduler.spent = True
        with pytest.raises(AppError, match=r"No graphics card was lent: .*quota.*CPU"):
            client.predict(handle_file(PHOTO), api_name="/estimate")
        *_, own = client.predict(handle_file(PHOTO), cpu=True, api_name="/estimate")
        assert own["device"] == "cpu"
        assert any("none of your ZeroGPU quota" in note for note in own["notes"])
        assert own["depth"]["farthest"] == pytest.approx(lent["depth"]["farthest"], rel=1e-3)
        client.close()


def test_a_small_model_borrows_nothing(scheduler: Scheduler, tmp_path: Path) -> None:
    with space(scheduler, tmp_path, "page") as process:
        client = Client(address_of(process), verbose=False, download_files=str(tmp_path))
        *_, info = client.predict(handle_file(PHOTO), api_name="/estimate")
        client.close()
    assert info["device"] == "cpu"
    assert not scheduler.asked


@pytest.mark.browser
def test_the_page_offers_the_cpu_when_the_quota_is_spent(scheduler: Scheduler, tmp_path: Path) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    with (
        space(scheduler, tmp_path, "page", "1000000") as process,
        sync_playwright() as playwright,
        playwright.chromium.launch(**CHROMIUM) as browser,
    ):
        page = browser.new_page(**DESKTOP)
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address_of(process) + "?tab=depth")
        page.set_input_files("#photo input[type=file]", PHOTO)
        expect(page.locator("#photo img")).to_be_visible()
        page.click("#go")
        expect(page.locator("#status")).to_contain_text("A graphics card was lent for about")
        scheduler.spent = True
        page.click("#go")
        expect(page.locator("#on-cpu")).to_be_visible()
        page.screenshot(path=ARTIFACTS / "zerogpu-spent.png")
        page.click("#on-cpu")
        expect(page.locator("#status")).to_contain_text("none of your ZeroGPU quota")
        expect(page.locator("#on-cpu")).to_be_hidden()
        page.screenshot(path=ARTIFACTS / "zerogpu-cpu.png")


# ------------------------------------------------------------------------------------------------ without emulation


def test_the_zoo_is_split_between_b1_and_b2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    borrow = {spec.encoder: placement.borrows_card(spec.parameters) for spec in Zoo.load()}
    assert borrow == {"b0": False, "b1": False, "b2": True, "b3": True, "b4": True, "b5": True}
    assert pick_device() == "cpu"
    monkeypatch.delenv("SPACES_ZERO_GPU")
    assert not any(placement.borrows_card(spec.parameters) for spec in Zoo.load())


def test_a_call_asks_for_seconds_by_photos_and_size() -> None:
    def asked(photos: int, height: int = 480, width: int = 640, flip: bool = False) -> int:
        return gpu.seconds("nyu-b4", np.empty((photos, 3, height, width), np.float32), flip)

    assert asked(1) == gpu.LEAST_S
    assert gpu.LEAST_S < asked(8) <= asked(8, flip=True) <= asked(100) == gpu.MOST_S


def test_no_call_carries_more_than_64_mb(monkeypatch: pytest.MonkeyPatch) -> None:
    side = math.isqrt(MAX_NATIVE_PIXELS)
    calls: list[int] = []

    def depth(model: str, pixel_values: np.ndarray, flip_average: bool) -> np.ndarray:
        calls.append(pixel_values.nbytes)
        return pixel_values[:, 0]

    class Estimator:
        def elsewhere(self, network, *, device):
            return network

    monkeypatch.setattr(gpu, "depth_on_card", depth)
    run = gpu.borrowing("nyu-b4", estimator := Estimator())  # type: ignore[arg-type]
    assert [depth.shape for depth in run(np.zeros((3, 3, side, side), np.float32), False)] == [(side, side)] * 3  # type: ignore[operator]
    assert len(calls) == 3
    assert max(calls) <= gpu.MOST_CALL_BYTES == 64_000_000
    assert len(run(np.zeros((8, 3, 480, 640), np.float32), True)) == 8  # type: ignore[operator]
    assert len(calls) == 4
    assert gpu._held["nyu-b4"] is estimator
