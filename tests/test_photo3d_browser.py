"""The 3D photo, "Send" and "Play" in Chromium, on a small page without Gradio."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo3d_support import BOX_M, bar_middle, box_photo
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page
from web_support import PHONE

from glpn.scene import effects, layers, motion, photo3d, stereo

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM.exists(), reason="needs /usr/bin/chromium")]
ASSETS = Path(photo3d.__file__).parents[1] / "web" / "assets"
SAMPLES = ASSETS.parent / "samples"
SIZE = (480, 640)
PATIENCE_MS = 120_000  # a condition holds soon on an idle machine; tests may share one busy core
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>3D photo</title><link rel="icon" href="data:,"><link rel="stylesheet" href="assets/photo3d.css">
<body style="margin: 12px"><div id="photo"></div><div id="send"></div><div id="play"></div>
<p style="height: 1600px">text</p>
<script type="module">
import { Photo3D } from "./assets/photo3d.js";
import * as send from "./assets/send.js";
import * as play from "./assets/play.js";
import * as effects from "./assets/effects.js";
window.told = [];
for (const kind of ["ready", "pivot", "flat", "error"]) {
  document.addEventListener(`photo3d:${kind}`, ({ detail }) => told.push({ kind, ...detail }));
}
const value = (name) => ({ photoUrl: `${name}.jpg`, depthUrl: `${name}.png`, meta: { name, alt: "A test scene" } });
Object.assign(window, { send, play, effects, value });
const name = new URLSearchParams(location.search).get("name") ?? "box";
window.view = Photo3D.mount(document.getElementById("photo"), value(name));
</script></body></html>"""


@dataclass(frozen=True)
class Site:
    """The test page's address, and the 3D photos that it serves by name."""

    url: str
    photos: dict[str, photo3d.Photo3D]


def office() -> photo3d.Photo3D:
    from glpn.web.samples import BY_ID, finished

    prediction = finished(BY_ID["office"])
    assert prediction.photo is not None
    return photo3d.prepare(prediction.photo.rgb, prediction.depth_m, prediction.camera)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    photos = {"box": box_photo(SIZE), "office": office()}
    files = {"/": (PAGE.encode(), "text/html")}
    for name, photo in photos.items():
        jpeg, png = photo3d.photo_jpeg(photo), photo3d.depth_png(photo)
        photos[name] = photo3d.read(jpeg, png)  # what the browser gets, rounding included
        files |= {f"/{name}.jpg": (jpeg, "image/jpeg"), f"/{name}.png": (png, "image/png")}
    for path in ASSETS.iterdir():
        if path.suffix in (".js", ".css"):
            files[f"/assets/{path.name}"] = (
                path.read_bytes(),
                "text/javascript" if path.suffix == ".js" else "text/css",
            )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, kind = files.get(self.path.split("?")[0], (b"", ""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Site(f"http://127.0.0.1:{server.server_port}/", photos)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 800, "height": 760}, reduced_motion="no-preference")
    yield context
    context.close()


def opened(context: BrowserContext, url: str, *, until: str = "ready") -> Page:
    """Open the test page and wait until the photo may move, or until what else is told."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"the page complains: {error}"))
    page.goto(url)
    ready = "kind === 'ready' && told.some(({moving}) => moving)" if until == "ready" else f"kind === '{until}'"
    page.wait_for_function(f"window.told?.some(({{kind}}) => {ready})")
    return page


def rendered(page: Page, x: float, y: float = 0, z: float = 0) -> np.ndarray:
    """Draw from a place, in shares of full sway, on the shown canvas; (H, W, 3) uint8."""
    return picture(page.evaluate("([x, y, z]) => view.render({x, y, z}).toDataURL()", [x, y, z]))


def picture(data_url: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(data_url.split(",")[1]))) as image:
        return np.asarray(image.convert("RGB"))


def bytes_of(page: Page, maker: str) -> tuple[bytes, str]:
    """Run an expression that gives {blob, name}; return the file and its name."""
    script = """async (maker) => {
      const { blob, name } = await eval(maker);
      const bytes = new Uint8Array(await blob.arrayBuffer());
      let text = "";
      for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
      return [btoa(text), name];
    }"""
    data, name = page.evaluate(script, maker)
    return base64.b64decode(data), name


def opened_image(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


# --------------------------------------------------------------------------------------------------- movement


# On a slow machine the observer tells at once that the stage was out of sight and that it is in sight.
LATE_OBSERVER = """
const Observer = IntersectionObserver;
window.IntersectionObserver = class extends Observer {
  constructor(tell) {
    super((entries, observer) => tell([{ isIntersecting: false }, ...entries], observer));
  }
};"""


def test_the_photo_moves_by_itself(context: BrowserContext, site: Site) -> None:
    context.add_init_script(LATE_OBSERVER)
    page = opened(context, site.url)
    page.wait_for_function("Math.abs(view.eye.x) > 0.3")
    assert page.locator(".photo3d-canvas").is_visible()
    left, right = rendered(page, -1), rendered(page, 1)
    assert bar_middle(left) - bar_middle(right) > 5
    page.evaluate("view.play(false)")
    assert page.get_by_role("button", name="Start").is_visible()


def test_the_layers_are_the_servers(context: BrowserContext, site: Site) -> None:
    page = opened(context, site.url + "?name=office")
    got = page.evaluate("""() => ({rows: view.scene.front.rows, cols: view.scene.front.cols,
        front: [...view.scene.front.values], back: [...view.scene.back.values], rgba: [...view.scene.rgba]})""")
    size = got["rows"], got["cols"]
    split = layers.layers(site.photos["office"])
    assert size == split.front.shape
    front, back = (np.array(got[name]).reshape(size) for name in ("front", "back"))
    rgba = np.array(got["rgba"], float).reshape(*size, 4)
    assert np.abs(front - split.front).mean() < 0.002
    assert np.abs(back - split.back).mean() < 0.004
    assert (np.abs(rgba[..., 3] / 255 - split.hidden) > 0.5).mean() < 0.02, "the same places are filled in"
    both = (rgba[..., 3] > 0) & (split.hidden > 0)
    assert np.abs(rgba[both][:, :3] - split.back_rgb[both]).mean() < 6


@pytest.mark.parametrize("name", ["box", "office"])
@pytest.mark.parametrize("place", [(0, 0), (-1, 0), (0.7, 0.7)])
def test_browser_and_server_draw_the_same(context: BrowserContext, site: Site, name: str, place: tuple) -> None:
    """Tolerance: 5 of 255 levels on average, 12 in the worst tenth of the picture's blocks of 16 × 16 pixels."""
    page = opened(context, f"{site.url}?name={name}")
    script = """([x, y]) => {
      const renderer = view.exporter(448, 336);
      const url = renderer.draw({x: x * view.reach, y: y * view.reach}).toDataURL();
      renderer.dispose();
      return url;
    }"""
    seen = picture(page.evaluate(script, place)).astype(float)
    photo = site.photos[name]
    drawn = motion.Viewer(photo, size=(336, 448)).draw((place[0] * photo.reach, place[1] * photo.reach, 0))
    difference = np.abs(seen - drawn).mean(axis=-1)
    assert difference.mean() < 5
    blocks = difference.reshape(21, 16, 28, 16).mean(axis=(1, 3))
    assert np.percentile(blocks, 90) < 12


def test_reduced_motion_stays_still_until_asked(browser: Browser, site: Site) -> None:
    context = browser.new_context(viewport={"width": 800, "height": 760}, reduced_motion="reduce")
    page = opened(context, site.url)
    stage = page.locator(".photo3d-stage")
    box = stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.move(box["x"] + 200, box["y"] + 20, steps=4)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("[view.eye.x, view.eye.y, view.frame || 0]") == [0, 0, 0]
    page.get_by_role("button", name="Start").click()
    page.wait_for_function("Math.abs(view.eye.x) > 0.2")
    context.close()


def test_mouse_keys_and_a_click_move_it(context: BrowserContext, site: Site) -> None:
    page = opened(context, site.url)
    hint = page.locator(".photo3d-hint")
    assert "Move the mouse" in (hint.text_content() or "") and hint.is_visible()
    box = page.locator(".photo3d-stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.95, box["y"] + box["height"] / 2, steps=5)
    page.wait_for_function("view.eye.x > 0.7")
    assert hint.is_hidden()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    told = page.evaluate("told.find(({kind}) => kind === 'pivot')")
    assert told["depth_m"] == pytest.approx(BOX_M, rel=0.02)
    page.wait_for_function("Math.abs(view.pivot.now - view.pivot.goal) < 1e-3")
    assert abs(bar_middle(rendered(page, -1)) - bar_middle(rendered(page, 1))) < 2, "the box stays in place"

    page.locator(".photo3d-stage").focus()
    page.keyboard.press("Home")
    page.wait_for_function("Math.abs(view.eye.x) < 0.05 && Math.abs(view.pivot.now - 1) < 0.05")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.wait_for_function("view.eye.x > 0.6 && view.eye.y < -0.15")
    page.keyboard.press("+")
    assert page.evaluate("view.strength") == 1.1
    page.keyboard.press("-")
    page.keyboard.press("-")
    assert page.evaluate("view.strength") == 0.9
    page.keyboard.press(" ")
    assert page.evaluate("view.playing") is False
    page.reload()
    page.wait_for_function("window.told?.some(({moving}) => moving)")
    assert page.locator(".photo3d-hint").is_hidden(), "the hint shows once"


def test_it_pauses_off_screen(context: BrowserContext, site: Site) -> None:
    page = opened(context, site.url)
    page.wait_for_function("view.frame")
    page.evaluate("scrollTo(0, 1500)")
    page.wait_for_function("!view.frame")
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("view.frame")


def test_a_finger_scrolls_the_page_until_the_scene_is_tapped(browser: Browser, site: Site) -> None:
    context = browser.new_context(reduced_motion="no-preference", **PHONE)
    page = opened(context, site.url)
    box = page.locator(".photo3d-stage").bounding_box()
    assert box is not None and box["width"] <= 366
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    devtools = context.new_cdp_session(page)

    def swipe_up() -> None:
        def touch(kind: str, y: float | None = None) -> None:
            points = [] if y is None else [{"x": middle["x"], "y": y}]
            devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", middle["y"] + 100)
        for step in range(1, 11):
            touch("touchMove", middle["y"] + 100 - 20 * step)
        touch("touchEnd")

    page.evaluate("addEventListener('scrollend', () => (window.atRest = true), { once: true })")
    swipe_up()
    page.wait_for_function("window.atRest")  # the page glides on after the finger has gone
    assert page.evaluate("scrollY") > 100
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("scrollY === 0")
    page.touchscreen.tap(middle["x"], middle["y"])
    page.wait_for_function("getComputedStyle(view.stage).touchAction === 'none'")
    page.evaluate("view.play(false)")
    # The browser heeds a new touch-action from the next frame on.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    swipe_up()
    page.wait_for_function("view.target.y < -0.3")
    assert page.evaluate("scrollY") == 0
    page.touchscreen.tap(200, 820)
    page.wait_for_function("getComputedStyle(view.stage).touchAction === 'pan-y'")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_the_phones_tilt_is_followed_after_a_tap(browser: Browser, site: Site) -> None:
    context = browser.new_context(reduced_motion="no-preference", **PHONE)
    page = context.new_page()
    page.add_init_script(
        "DeviceOrientationEvent.requestPermission = async () => { window.asked = true; return answer; }"
    )
    page.add_init_script("window.answer = 'granted'")
    page.goto(site.url)
    page.wait_for_function("window.told?.some(({moving}) => moving)")
    assert page.evaluate("window.asked ?? false") is False
    page.get_by_role("button", name="tilt").tap()
    page.wait_for_function("window.asked && view.tilting")
    tilt = "(g) => dispatchEvent(new DeviceOrientationEvent('deviceorientation', {alpha: 0, beta: 40, gamma: g}))"
    page.evaluate(tilt, 0)
    page.evaluate(tilt, 12)
    page.wait_for_function("view.eye.x > 0.5")
    page.get_by_role("button", name="tilt").tap()
    page.wait_for_function("!view.tilting")
    page.evaluate("answer = 'denied'")
    page.get_by_role("button", name="tilt").tap()
    page.wait_for_selector(".photo3d-message >> text=did not allow")
    context.close()


# ----------------------------------------------------------------------------------- new values, and what can fail


def test_a_new_value_takes_the_same_canvas(context: BrowserContext, site: Site) -> None:
    page = opened(context, site.url)
    page.evaluate("window.first = view.canvas")
    still = rendered(page, 0)
    assert page.evaluate("Promise.all([view.update(value('box')), view.update(value('office'))])") == [False, True]
    assert page.evaluate("view.canvas === first && first.isConnected && !first.hidden")
    after = rendered(page, 0)
    assert still.shape != after.shape or np.abs(after.astype(float) - still).mean() > 10
    assert page.evaluate("view.update(value('missing'))") is False
    assert "could not be loaded" in page.locator(".photo3d-message").inner_text()
    assert page.evaluate("view.update({photoUrl: 'box.jpg', depthUrl: 'box.jpg'})") is False
    assert "not a PNG" in page.locator(".photo3d-message").inner_text()
    assert page.locator(".photo3d-canvas").is_visible(), "the last photo stays"
    page.evaluate("view.dispose()")
    assert page.locator("#photo").inner_html() == ""


def test_a_new_photos_first_frame_holds_nothing_of_the_last(context: BrowserContext, site: Site) -> None:
    page = opened(context, site.url + "?name=office")
    first = page.evaluate("""async () => {
      const present = view.present;
      let first;
      view.present = (scene) => { present.call(view, scene); first ??= view.render().toDataURL(); };
      await view.update(value("box"));
      return first;
    }""")
    seen = picture(first)
    photo = Image.fromarray(site.photos["box"].rgb).resize(seen.shape[1::-1])
    assert np.abs(seen[..., 0].astype(float) - np.asarray(photo)[..., 0]).mean() < 12, "the photo, slightly enlarged"
    corner = (slice(0, seen.shape[0] // 5), slice(None))
    assert seen[corner][..., 0].max() < 90, "no patch of the last photo on the wall"


def test_a_lost_context_comes_back(context: BrowserContext, site: Site) -> None:
    page = opened(context, site.url)
    page.evaluate("view.play(false); view.keepPace = () => {}")  # slow frames would make the picture coarser
    before = rendered(page, 0.5)
    page.evaluate("window.lose = view.renderer.gl.getExtension('WEBGL_lose_context'); lose.loseContext()")
    page.wait_for_function("view.canvas.hidden")
    assert page.locator(".photo3d-still").is_visible(), "the photo itself stays"
    page.evaluate("lose.restoreContext()")
    page.wait_for_function("!view.canvas.hidden")
    assert np.abs(rendered(page, 0.5).astype(float) - before).mean() < 1


def test_without_webgl_photo_and_depth_are_shown(context: BrowserContext, site: Site) -> None:
    context.add_init_script("""const get = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
          return kind.startsWith("webgl") ? null : get.call(this, kind, ...rest); };""")
    page = opened(context, site.url, until="flat")
    page.wait_for_function("view.scene.refined")
    assert page.locator(".photo3d-flat img").get_attribute("alt") == "A test scene"
    assert page.locator(".photo3d-tools").is_hidden()
    depth = picture(page.evaluate("document.querySelector('.photo3d-flat canvas').toDataURL()")).astype(int)
    assert depth[240, 320].sum() > depth[20, 20].sum() + 200, "near is bright"
    page.evaluate("window.panel = send.Send.mount(document.getElementById('send'), view)")
    page.get_by_role("button", name="GIF").click()
    page.wait_for_selector(".send-message >> text=no WebGL")


# --------------------------------------------------------------------------------------------------------- send


def test_three_taps_make_a_gif(context: BrowserContext, site: Site) -> None:
    page = opened(context, site.url)
    page.evaluate("window.panel = send.Send.mount(document.getElementById('send'), view)")
    page.select_option("[name=side]", "400")
    page.get_by_role("button", name="GIF").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".send-result a")
    assert page.locator(".send-result a").get_attribute("download") == "box_3d.gif"
    assert page.evaluate("document.activeElement.dataset.make") == "gif", "the keyboard's place is kept"
    data, _ = bytes_of(page, "fetch(panel.url).then(async (r) => ({blob: await r.blob(), name: ''}))")
    with Image.open(io.BytesIO(data)) as image:
        assert (image.n_frames, image.size, image.info["loop"], image.info["duration"]) == (20, (400, 300), 0, 100)
        middles = []
        for i in range(20):
            image.seek(i)
            middles.append(bar_middle(np.asarray(image.convert("RGB"))))
    assert np.argmin(middles) in (4, 5, 6) and np.argmax(middles) in (14, 15, 16)
    assert max(middles) - min(middles) > 5
    expected = motion.Viewer(site.photos["box"], size=(300, 400)).draw((0, 0.3 * site.photos["box"].reach, 0))
    assert np.abs(opened_gif(data).astype(float) - expected).mean() < 8
    page.evaluate("view.update(value('office'))")
    page.wait_for_function("document.querySelector('.send-result').hidden")  # it was of the photo before


def opened_gif(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_a_video_is_recorded(context: BrowserContext, site: Site) -> None:
    av = pytest.importorskip("av")
    page = opened(context, site.url)
    data, name = bytes_of(page, "send.video(view, {seconds: 1, side: 320})")
    assert name in ("box_3d.webm", "box_3d.mp4")
    with av.open(io.BytesIO(data)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) >= 4 and pictures[0].shape == (240, 320, 3)
    middles = [bar_middle(image) for image in pictures]
    assert max(middles) - min(middles) > 3


def test_the_pair_has_the_known_disparity(context: BrowserContext, site: Site) -> None:
    page = opened(context, site.url)
    data, name = bytes_of(page, "send.sideBySide(view)")
    assert name == "box_LRF_Full_SBS.png"
    both = opened_image(data)[..., :3]
    assert both.shape == (480, 1280, 3)
    photo = site.photos["box"]
    zoom = page.evaluate("view.renderer.zoom")
    assert zoom == pytest.approx(motion.Viewer(photo, size=(48, 64)).zoom, rel=1e-3)
    expected = zoom * 640 * photo.fx * stereo.EYES * photo.reach * (photo.pivot_m / BOX_M - 1)
    found = bar_middle(both[:, :640]) - bar_middle(both[:, 640:])
    assert found == pytest.approx(expected, abs=1.0)
    crossed, name = bytes_of(page, "send.sideBySide(view, {crossed: true})")
    assert name == "box_cross-eyed.png"
    assert np.array_equal(opened_image(crossed)[:, :640, :3], both[:, 640:])


def test_glasses_and_postcard_and_focus(context: BrowserContext, site: Site) -> None:
    page = opened(context, site.url)
    left, right = stereo.pair(site.photos["box"])
    data, name = bytes_of(page, "send.glasses(view)")
    assert name == "box_anaglyph.png"
    assert np.abs(opened_image(data)[..., :3].astype(float) - stereo.anaglyph(left, right)).mean() < 6
    card, name = bytes_of(page, "send.postcard(view, {line: 'One line'})")
    assert name == "box_postcard.png"
    image = opened_image(card)[..., :3]
    assert image.shape == (480 + 132, 1352, 3) and (image[-44:-20, :200] < 100).any()
    focus, name = bytes_of(page, "send.depthOfField(view, {focus_m: 1})")
    assert name == "box_focus.jpg"
    sharp = opened_image(focus).astype(float)
    assert np.abs(sharp[200:280, 280:360] - site.photos["box"].rgb[200:280, 280:360]).mean() < 3
    assert np.abs(sharp[20:100, 20:100] - site.photos["box"].rgb[20:100, 20:100]).mean() > 4


def test_one_html_file_moves_offline(context: BrowserContext, browser: Browser, site: Site, tmp_path: Path) -> None:
    page = opened(context, site.url + "?name=office")
    data, name = bytes_of(page, "send.page(view, {title: 'A <room> & more'})")
    assert name == "office_3d.html" and len(data) <= 1_500_000
    (tmp_path / name).write_bytes(data)
    offline = browser.new_context(offline=True, reduced_motion="no-preference")
    alone = offline.new_page()
    requests: list[str] = []
    alone.on("request", lambda request: requests.append(request.url[:40]))
    alone.on("pageerror", lambda error: pytest.fail(f"the page complains: {error}"))
    alone.goto((tmp_path / name).as_uri())
    alone.wait_for_selector("#photo[data-state=moving]")
    assert alone.title() == "A <room> & more"
    assert not [url for url in requests if not url.startswith(("file:", "data:"))]
    first = alone.locator(".photo3d-stage").screenshot()
    box = alone.locator(".photo3d-stage").bounding_box()
    assert box is not None
    alone.mouse.move(box["x"] + 5, box["y"] + 5)
    alone.wait_for_function(
        "() => { const {x} = document.querySelector('.photo3d-canvas').getBoundingClientRect(); return x >= 0; }"
    )
    for _ in range(40):
        if alone.locator(".photo3d-stage").screenshot() != first:
            break
    else:
        pytest.fail("the picture does not move")
    offline.close()


# --------------------------------------------------------------------------------------------------------- play


def test_effects_are_the_servers(context: BrowserContext, site: Site) -> None:
    """Tolerance: 1 of 255 levels on average."""
    page = opened(context, site.url + "?name=office")
    rgb = site.photos["office"].rgb
    depth_m = 1 / np.asarray(
        Image.fromarray(site.photos["office"].nearness).resize(rgb.shape[1::-1], Image.Resampling.BILINEAR)
    )
    script = """([size, rgb, depth, distance]) => {
      const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const [height, width] = size;
      const photo = {width, height, data: new Uint8ClampedArray(bytes(rgb).buffer)};
      const metres = new Float32Array(bytes(depth).buffer);
      const made = [effects.cutOut(photo, metres, distance), effects.fog(photo, metres, distance),
        effects.bands(photo, metres, 0.3), effects.blur(photo, metres, distance),
        effects.blur(photo, metres, distance, 0.06)];
      return made.map((one) => send.canvasOf(one).toDataURL());
    }"""
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    coded = [base64.b64encode(np.ascontiguousarray(a).tobytes()).decode() for a in (opaque, depth_m.astype("<f4"))]
    distance = float(np.median(depth_m))
    urls = page.evaluate(script, [list(rgb.shape[:2]), *coded, distance])
    cut, *others = [opened_image(base64.b64decode(url.split(",")[1])) for url in urls]
    assert np.abs(cut[..., 3].astype(int) - effects.cut_out(rgb, depth_m, distance)[..., 3]).mean() < 1
    expected = [
        effects.fog(rgb, depth_m, distance),
        effects.bands(rgb, depth_m, 0.3),
        effects.blur(rgb, depth_m, distance),
        effects.blur(rgb, depth_m, distance, aperture=0.06),
    ]
    for seen, made in zip(others, expected, strict=True):
        assert np.abs(seen[..., :3].astype(int) - made).mean() < 1


def test_the_slider_plays(context: BrowserContext, site: Site) -> None:
    page = opened(context, site.url)
    page.evaluate("""window.drawn = []; window.wanted = [];
        document.addEventListener('play:drawn', ({detail}) => drawn.push(detail));
        document.addEventListener('play:save', ({detail}) => wanted.push(detail));
        window.game = play.Play.mount(document.getElementById('play'));""")
    assert page.evaluate("Promise.all([game.update(value('office')), game.update(value('box'))])") == [False, True]
    page.wait_for_function("drawn.length")
    alpha = "() => document.querySelector('.play-picture').getContext('2d').getImageData(320, 240, 1, 1).data[3]"
    slider = page.locator("[name=distance]")
    slider.fill("0.5")
    page.wait_for_function(f"({alpha})() === 255")
    slider.fill("0")
    page.wait_for_function(f"({alpha})() < 255")
    box = page.locator(".play-picture").bounding_box()
    assert box is not None
    page.locator(".play-picture").click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    page.wait_for_function(f"({alpha})() === 255")  # what was clicked is kept
    page.wait_for_function("Math.abs(drawn.at(-1).distance_m - 1.06) < 0.05")
    for use in ("focus", "fog", "bands"):
        page.locator(f"[value={use}]").check()
        page.wait_for_function("use => drawn.at(-1).use === use", arg=use)
    page.get_by_role("button", name="contour").click()
    page.locator("[value=focus]").check()
    page.locator(".play-picture").click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    page.wait_for_function("Math.abs(drawn.at(-1).distance_m - 1) < 0.1")
    page.get_by_role("button", name="full size").click()
    contours, focus = page.evaluate("wanted")
    assert contours["use"] == "contours" and 0.05 <= contours["distance_m"] <= 2
    assert focus["use"] == "focus" and focus["distance_m"] == pytest.approx(BOX_M, abs=0.1)
    assert page.evaluate("game.update(value('missing'))") is False
    assert "could not be loaded" in page.locator(".play-message").inner_text()


def test_events_are_plain_json(context: BrowserContext, site: Site) -> None:
    page = opened(context, site.url)
    told = json.loads(page.evaluate("JSON.stringify(told)"))
    assert [event["moving"] for event in told if event["kind"] == "ready"] == [False, True]
