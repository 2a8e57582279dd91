"""Live depth: frames in, pictures out, refusals as sentences; and a camera in Chromium."""

import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import numpy as np
import pytest
import skimage.data
from PIL import Image
from playwright.sync_api import BrowserContext, expect
from starlette.applications import Starlette
from starlette.routing import Route
from web_support import ARTIFACTS, DESKTOP, PHONE, FakeStore, served

from glpn.scene.photo3d import MAX_SWAY_DEG, read
from glpn.web.live import MOST_AT_ONCE, Live
from glpn.web.runner import Engine, Host
from glpn.zoo import Zoo


def frame(width: int = 160, height: int = 120, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(skimage.data.chelsea()).resize((width, height)).save(file, kind)
    return file.getvalue()


@pytest.fixture
def live() -> Live:
    zoo = Zoo.load()
    return Live(Engine(zoo, FakeStore(zoo), host=Host()))


def post(live: Live, body: bytes, query: str = "") -> httpx.Response:
    app = Starlette(routes=[Route("/glpn-live", live.answer, methods=["POST"])])

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.post(f"/glpn-live{query}", content=body)

    return anyio.run(ask)


def test_a_frame_becomes_a_picture_of_its_size_with_its_range(live: Live) -> None:
    answer = post(live, frame())
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.format, picture.size) == ("JPEG", (160, 120))
    top, bottom = np.asarray(picture)[[5, -5], 80].astype(int)
    assert abs(top - bottom).sum() > 100  # the fake's floor is far at one end, near at the other
    near, center, far = (float(answer.headers[f"x-depth-{name}"]) for name in ("near", "center", "far"))
    assert 0 < near < center < far <= 10
    assert 0 < json.loads(answer.headers["x-depth-uncertainty"])["relative"] < 1


def test_a_frame_becomes_the_depth_of_a_3d_photo(live: Live) -> None:
    answer = post(live, frame(320, 240), "?as=depth")
    assert answer.headers["content-type"] == "image/png"
    scene = read(frame(320, 240), answer.content)
    assert scene.nearness.shape == (120, 160)
    assert scene.nearness[5].mean() < 0.5 * scene.nearness[-5].mean()  # the fake's floor is near at the bottom
    assert 0 < scene.sway_deg <= MAX_SWAY_DEG


def test_the_range_of_colors_moves_by_a_part_of_the_way(live: Live) -> None:
    new = float(post(live, frame()).headers["x-depth-far"])
    moved = float(post(live, frame(), "?near=1&far=20").headers["x-depth-far"])
    assert moved == pytest.approx(0.8 * 20 + 0.2 * new, abs=0.01)
    for odd in ("?near=nan&far=2", "?near=5&far=1", "?near=x&far=1", "?near=0&far=1e9", "?far=3"):
        assert float(post(live, frame(), odd).headers["x-depth-far"]) == pytest.approx(new, abs=0.01)


@pytest.mark.parametrize(
    ("body", "query", "says"),
    [
        (b"", "", "is empty"),
        (b"no picture", "", "is not an image"),
        (frame(1000, 800), "", "megapixels"),
        (frame()[:300], "", "damaged"),
        (frame(), "?colors=mud", "Unknown color map"),
        (frame(), "?as=mud", "Unknown kind of answer"),
    ],
)
def test_a_refusal_is_one_sentence(live: Live, body: bytes, query: str, says: str) -> None:
    answer = post(live, body, query)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_a_third_camera_is_told_to_wait(live: Live) -> None:
    holding, let_go = threading.Barrier(MOST_AT_ONCE + 1), threading.Event()
    estimator = live.engine.store.get("rooms-b0")

    class Slow:
        def get(self, name: str):
            holding.wait()
            let_go.wait()
            return estimator

    live.engine.store = Slow()  # type: ignore[assignment]
    threads = [threading.Thread(target=post, args=(live, frame())) for _ in range(MOST_AT_ONCE)]
    for thread in threads:
        thread.start()
    holding.wait()
    refused = post(live, frame())
    let_go.set()
    for thread in threads:
        thread.join()
    assert refused.status_code == 503
    assert "cameras are live already" in refused.json()["error"]
    assert live.engine.turns.waiting == 0


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served("embedded", tmp_path_factory.mktemp("live")) as url:
        yield url


@pytest.mark.browser
@pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="needs /usr/bin/chromium")
class TestInChromium:
    def open(self, context: BrowserContext, address: str) -> object:
        page = context.new_page()
        page.goto(f"{address}?at=live")
        return page

    @pytest.mark.parametrize("options", [DESKTOP, PHONE], ids=["desktop", "phone"])
    def test_the_camera_is_live_until_it_is_hidden(self, browser, address: str, options: dict) -> None:
        context = browser.new_context(permissions=["camera"], **options)
        page = self.open(context, address)
        page.get_by_role("button", name="Start the camera").click()
        page.wait_for_function("document.querySelector('.live').dataset.frames > 4")
        expect(page.locator(".live-said")).to_have_text(
            re.compile(
                r"^\d+\.\d frames per second, \d+ ms behind · middle {0} · colors {0} to {0}$".format(
                    r"\d+(\.\d+)? m ± \d+(\.\d+)?( or more)?"
                )
            )
        )
        colors = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
        assert page.locator(".live-colors").evaluate(colors) > 20
        page.get_by_role("button", name="3D photo").click()
        before = int(page.locator(".live").get_attribute("data-frames") or 0)
        page.wait_for_function(f"document.querySelector('.live').dataset.frames > {before + 4}")
        expect(page.locator(".live-said")).to_contain_text(" · from ")
        camera = page.locator(".live video").evaluate(
            """video => {
              const context = new OffscreenCanvas(64, 48).getContext("2d");
              context.drawImage(video, 0, 0, 64, 48);
              const bytes = context.getImageData(0, 0, 64, 48).data;
              return [0, 1, 2].map((c) => bytes.filter((_, i) => i % 4 === c).reduce((a, b) => a + b, 0) / 3072);
            }"""
        )
        png = page.locator(".live-pictures .live-deep").screenshot()
        moving = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        assert np.abs(moving.mean(axis=(0, 1)) - camera).max() < 30  # the camera's picture, moved
        assert moving.std() > 10
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ARTIFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTIFACTS / f"live-{options['viewport']['width']}.png")
        page.locator("#pages").get_by_role("tab", name="About").click()
        expect(page.locator(".live-said")).to_contain_text("Stopped, because another page was opened.")
        assert page.locator(".live video").evaluate("video => video.srcObject") is None
        context.close()

    def test_a_camera_that_is_not_allowed_is_a_sentence(self, browser, address: str) -> None:
        context = browser.new_context(**DESKTOP)
        page = self.open(context, address)
        page.evaluate(
            """() => {
              navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
            }"""
        )
        page.get_by_role("button", name="Start the camera").click()
        expect(page.locator(".live-said")).to_contain_text("The camera was not allowed.")
        expect(page.get_by_role("button", name="Start the camera")).to_be_enabled()
        context.close()
