"""The page in Chromium: what a visitor sees and does. Screenshots are left in artifacts/ to be looked at."""

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, Route, expect
from web_support import ARTIFACTS, DESKTOP, PATIENCE_MS, PHONE, served

from glpn.scene.photo3d import TEXT_KEY
from glpn.web.choices import PAGES, TABS
from glpn.web.samples import SAMPLES
from glpn.zoo import Zoo

pytestmark = pytest.mark.browser
SMALL = {"width": 900, "height": 640}  # where WebGL in software has less to draw
DEPTH = "#depth .depth-view[data-painted]"
MAP = "#depth .depth-pane[data-kind=depth] .depth-frame"
BAR = "getComputedStyle(document.querySelector('{} .depth-ramp')).backgroundImage"
DRAWN_3D = "document.querySelector('#surface .figure-plot')?._fullLayout?.scene?._scene?.glplot"
MOVING = ".photo3d[data-state=moving]"
DRAWN = {
    "photo3d": f"document.querySelector('{MOVING}')",
    "depth": f"document.querySelector('{DEPTH}')",
    "3d": DRAWN_3D,
    "measure": "!document.querySelector('.measure-stage').hidden",
    "play": "document.querySelector('.play')?.play?.live",
    "statistics": "document.querySelector('#histogram .barlayer path')",
}
SCENE = "document.querySelector('#surface .figure-plot').layout.scene"
CAMERA = f"structuredClone({SCENE}.camera)"
PLOT = "document.querySelector('#surface .figure-plot')"


@pytest.fixture(scope="module")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """A profile that tests share, so that not each loads all scripts anew."""
    context = browser.new_context(**DESKTOP)  # type: ignore[arg-type]
    yield context
    context.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served("fake", tmp_path_factory.mktemp("fake")) as url:
        yield url


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served("embedded", tmp_path_factory.mktemp("embedded")) as url:
        yield url


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served("public", tmp_path_factory.mktemp("public")) as url:
        yield url


# Gradio's Image may ask how far an upload is that has no name yet; the console shows the answer, 404, twice.
NO_UPLOAD = "upload_progress?upload_id="


class Visitor:
    """A browser profile with one page; notes what the console says and which hosts are asked."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page: Page = context.new_page()
        self.address = address
        self.problems: list[str] = []
        self.foreign: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))

    def _hear(self, said: ConsoleMessage) -> None:
        gradios = said.text == "Response" or NO_UPLOAD in said.location["url"]
        if said.type == "error" and not gradios:
            self.problems.append(f"{said.text} ({said.location['url']})")

    def _note(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.foreign.append(url)

    def open(self, query: str = "") -> Page:
        """Open the page at its depth map, unless `query` names another tab."""
        if "tab=" not in query:
            query += ("&" if query else "?") + "tab=depth"
        self.page.goto(self.address + query)
        if "tab=depth" in query:
            self.page.wait_for_selector(DEPTH, state="attached")
        return self.page

    def tab(self, name: str) -> None:
        self.page.locator("#tabs").get_by_role("tab", name=name, exact=True).click()

    def show_3d(self) -> None:
        self.tab("3D")
        self.page.wait_for_function(DRAWN_3D, timeout=PATIENCE_MS)

    def go_to(self, name: str) -> None:
        self.page.locator("#pages").get_by_role("tab", name=name, exact=True).click()

    def shot(self, name: str) -> None:
        self.page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


@pytest.fixture
def visit(browser: Browser, profile: BrowserContext, address: str) -> Iterator[Callable[..., Visitor]]:
    """Open pages, in a fresh profile if so told; at the end of the test none may have seen an error or another host."""
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def new(at: str = address, *, fresh: bool = False, **options: Any) -> Visitor:
        if fresh or options:
            contexts.append(browser.new_context(**DESKTOP | options))
        visitors.append(Visitor(contexts[-1] if fresh or options else profile, at))
        return visitors[-1]

    yield new
    problems = [problem for visitor in visitors for problem in visitor.problems]  # a page that closes loads no more
    for visitor in visitors:
        visitor.page.close()
    for context in contexts:
        context.close()
    assert not problems
    assert not [url for visitor in visitors for url in visitor.foreign]


@contextmanager
def redrawn(page: Page, selector: str) -> Iterator[None]:
    """Wait until the figure or the depth picture has been drawn anew."""
    plot = "(({ revision, painted }) => revision ?? painted)"
    plot += f"(document.querySelector('{selector} :is(.figure-plot, .depth-view)').dataset)"
    before = page.evaluate(plot)
    yield
    page.wait_for_function(f"{plot} !== {json.dumps(before)}", timeout=PATIENCE_MS)


def center(box: Locator, x: float = 0.5, y: float = 0.5) -> tuple[float, float]:
    expect(box).to_be_visible()
    frame = box.bounding_box()
    assert frame is not None
    return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]


def expect_put_back(page: Page) -> None:
    """Nothing of a run that has ended stays on the page."""
    expect(page.locator("#stop")).to_be_disabled()
    expect(page.locator("#progress")).to_have_text("")


def no_sideways_scroll(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_a_photo_becomes_metres_and_a_surface(embedded: str, visit: Callable[..., Visitor]) -> None:
    visitor = visit(embedded)
    page = visitor.open()
    expect(page.locator("#status")).to_contain_text("(precomputed)")
    with redrawn(page, "#depth"):  # a small model runs at once
        page.set_input_files("#photo input[type=file]", SAMPLES[3].photo)
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("office"))
    expect(page.locator("#status")).not_to_contain_text("(precomputed)")
    page.mouse.move(*center(page.locator(MAP)))
    expect(page.locator(f"{MAP} .depth-read")).to_have_text(re.compile(r"^\d\.\d+ m ± \d\.\d+( or more)?$"))
    visitor.shot("depth-embedded")
    visitor.show_3d()
    visitor.shot("surface-embedded")


def center_of_canvas(page: Page) -> list[int]:
    """Return the colors of some pixels of the moving photo, as the visitor sees them."""
    png = page.locator(".photo3d-stage").screenshot()
    with Image.open(io.BytesIO(png)) as image:
        return list(image.convert("RGB").resize((40, 30)).tobytes())


def test_the_first_visit_opens_with_a_photo_that_moves_and_needs_no_plotly(visit: Callable[..., Visitor]) -> None:
    visitor = visit(fresh=True, reduced_motion="no-preference")
    page, asked = visitor.page, []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(visitor.address)
    page.wait_for_selector(MOVING)
    before = center_of_canvas(page)
    page.wait_for_function("document.querySelector('.photo3d').photo3d.eye.x !== 0")
    assert center_of_canvas(page) != before
    assert not [url for url in asked if "plotly" in url]
    visitor.shot("photo3d")


def test_a_photo_moves_without_another_click(embedded: str, visit: Callable[..., Visitor]) -> None:
    page = visit(embedded, fresh=True).page
    page.goto(embedded)
    page.wait_for_selector(MOVING)
    before = page.locator(".photo3d-still").get_attribute("src")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Use your own photo").click()
    chooser.value.set_files(SAMPLES[3].photo)
    expect(page.locator(".photo3d-still")).not_to_have_attribute("src", str(before))
    page.wait_for_selector(MOVING)
    expect(page.locator("#status")).to_contain_text("±")
    expect(page.locator("#status .stale, .stale")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_result_stands_near_the_top(visit: Callable[..., Visitor], scheme: str) -> None:
    visitor = visit(color_scheme=scheme, reduced_motion="reduce", **PHONE)
    page = visitor.page
    page.goto(visitor.address)
    page.wait_for_selector(MOVING)
    for tabs in ("#pages", "#tabs"):
        buttons = page.locator(f"{tabs} > .tab-wrapper > [role=tablist] > [role=tab]")
        assert len({round(box["y"]) for button in buttons.all() if (box := button.bounding_box())}) == 1
    photo, choices = (page.locator(name).bounding_box() for name in (MOVING, "#choices"))
    assert photo and choices and photo["y"] < 844 / 4 and photo["y"] + photo["height"] < choices["y"]
    assert no_sideways_scroll(page)
    page.screenshot(path=ARTIFACTS / f"phone-{scheme}-first.png")
    visitor.go_to("About")
    expect(page.locator("#pages").get_by_role("tab", name="About", exact=True)).to_be_in_viewport()


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_on_a_phone_an_estimate_brings_its_result_into_view(visit: Callable[..., Visitor], motion: str) -> None:
    visitor = visit(reduced_motion=motion, **PHONE)
    page = visitor.page
    page.add_init_script(
        """window.scrolls = [];
        const scroll = Element.prototype.scrollIntoView;
        Element.prototype.scrollIntoView = function (how) {
          if (this.id === "results") window.scrolls.push(how.behavior);
          scroll.call(this, how);
        };"""
    )
    visitor.open()
    page.locator("#go").click()
    page.wait_for_function(
        "scrolls.length && Math.abs(document.querySelector('#results').getBoundingClientRect().y) < 2"
    )
    expect(page.locator("#tabs")).to_be_in_viewport()
    expect_put_back(page)
    page.screenshot(path=ARTIFACTS / "phone-estimated.png")
    assert page.evaluate("scrolls") == ["auto" if motion == "reduce" else "smooth"]


def test_reduced_motion_is_respected(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="reduce")
    page = visitor.page
    page.goto(visitor.address)
    page.wait_for_selector(MOVING)
    before = center_of_canvas(page)
    page.wait_for_timeout(700)  # a tenth of a sway
    assert center_of_canvas(page) == before


def test_a_factor_is_applied_at_once_and_other_settings_mark_the_result(visit: Callable[..., Visitor]) -> None:
    page = visit().open()
    page.locator("#settings").get_by_text("Settings").click()
    page.locator("#view-camera").get_by_text("Field of view").click()
    expect(page.locator("#status")).to_contain_text("camera 63° (set by you)")
    page.locator("#view-flip").get_by_role("checkbox").check()
    expect(page.locator("#status .stale")).to_be_visible()


def test_what_can_not_run_leads_to_the_zoo(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    page.locator("#picker [data-missing=nyu-b2]").click(force=True)  # disabled for assistive technology
    expect(page.locator("#pages").get_by_role("tab", name="Zoo", exact=True)).to_have_attribute("aria-selected", "true")


def test_the_viewing_angle_survives_colors_texture_detail_and_shape(visit: Callable[..., Visitor]) -> None:
    visitor = visit(viewport=SMALL, reduced_motion="reduce")
    page = visitor.open("?detail=draft&texture=depth")
    visitor.show_3d()
    assert not page.evaluate("window.glpnNudged")
    home = page.evaluate(CAMERA)
    page.mouse.move(*center(page.locator("#surface canvas").first))
    page.mouse.down()
    page.mouse.move(*center(page.locator("#surface canvas").first, 0.3, 0.4), steps=5)
    page.mouse.up()
    page.wait_for_function(f"JSON.stringify({CAMERA}) !== {json.dumps(json.dumps(home, separators=(',', ':')))}")
    turned = page.evaluate(CAMERA)
    assert turned["eye"] != home["eye"]
    choices: tuple[tuple[str, str], ...] = (
        ("style", "Points"), ("detail", "Standard"), ("near", "Far"), ("texture", "Photo"),
    )  # fmt: skip
    for name, choice in choices:
        with redrawn(page, "#surface"):
            page.locator(f"#view-{name}").get_by_text(choice, exact=True).click()
        assert page.evaluate(CAMERA) == turned
    page.get_by_role("button", name="Reset", exact=True).click()
    page.wait_for_function(f"Math.abs({CAMERA}.eye.x - {home['eye']['x']}) < 1e-6")


def test_on_a_phone_swipes_scroll_the_page_until_the_scene_is_tapped(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="no-preference", **PHONE)
    page = visitor.open("?tab=3d&detail=draft")
    page.wait_for_function(DRAWN_3D)
    # The scene swings once, and is back where it was.
    seen = "(window.swung ??= new Set()).add(" + CAMERA + ".eye.x.toFixed(3))"
    page.wait_for_function(f"{seen}.size > 3")
    page.wait_for_function(f"!{PLOT}.dataset.swings")
    camera, scene, hint = page.evaluate(CAMERA), page.locator("#surface .figure-plot"), page.locator(".figure-hint")
    page.get_by_role("button", name="Reset", exact=True).tap()
    page.wait_for_function(f"Math.abs({CAMERA}.eye.x - {camera['eye']['x']}) < 1e-9")
    finger = page.context.new_cdp_session(page)

    def swipe() -> tuple[bool, bool]:
        """Swipe up and to the left over the scene; return whether the page scrolled and whether the scene turned."""
        page.evaluate("scrollTo(0, 0)")
        camera, (x, y) = page.evaluate(CAMERA), center(scene)
        for kind, step in (("Start", 0), *(("Move", step) for step in range(1, 11)), ("End", 10)):
            points = [] if kind == "End" else [{"x": x - 6 * step, "y": y - 16 * step}]
            finger.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
        rests = "window.lastY === scrollY ? ++window.still > 9 : ((window.lastY = scrollY), (window.still = 0), false)"
        page.wait_for_function(rests)  # the page glides on, and a tap would only stop it
        return page.evaluate("scrollY") > 50, page.evaluate(CAMERA)["eye"] != camera["eye"]

    expect(hint).to_have_text("Tap to turn")
    assert swipe() == (True, False)
    page.evaluate("scrollTo(0, 0)")
    page.touchscreen.tap(*center(scene))
    expect(hint).to_have_text("Tap outside to scroll the page")
    assert swipe() == (False, True)
    page.screenshot(path=ARTIFACTS / "phone-scene.png")
    page.touchscreen.tap(*center(page.locator("h1").first))
    expect(hint).to_have_text("Tap to turn")
    assert swipe() == (True, False)


def test_view_buttons_look_from_where_they_say(visit: Callable[..., Visitor]) -> None:
    visitor = visit(viewport=SMALL)
    page = visitor.open("?detail=draft")
    visitor.show_3d()
    for name, axis, sign in (("Top", "z", 1), ("Side", "x", 1), ("Front", "y", -1)):
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_function(f"{sign} * {CAMERA}.eye.{axis} > 1.5")
        plan = "{projection: camera.projection.type, grid: xaxis.dtick, heights: zaxis.visible}"
        seen = page.evaluate(f"(({{camera, xaxis, zaxis}}) => ({plan}))({SCENE})")
        if name == "Top":
            assert seen == {"projection": "orthographic", "grid": 0.5, "heights": False}
        else:
            assert (seen["projection"], seen["heights"]) == ("perspective", True)
        visitor.shot(f"surface-{name.lower()}")
    page.locator("#surface").get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement?.classList.contains('figure')")
    page.wait_for_function("document.querySelector('#surface .main-svg').clientHeight > 0.8 * innerHeight")
    page.keyboard.press("Escape")
    page.evaluate("document.fullscreenElement && document.exitFullscreen()")
    page.wait_for_function("!document.fullscreenElement")
    page.locator("#surface .figure-plot").focus()
    before = page.evaluate(CAMERA)
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"Math.abs({CAMERA}.eye.x - {before['eye']['x']}) > 0.01")


def test_colors_and_range_are_drawn_without_a_request(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    status = page.locator("#status").inner_text()
    ramp = BAR.format("#depth")
    before = page.evaluate(ramp)
    with redrawn(page, "#depth"):
        page.locator("#results").get_by_label("Colors").click()
        page.get_by_role("option", name="magma").click()
    assert page.evaluate(ramp) != before
    page.locator("#view-range").get_by_text("Fixed", exact=True).click()
    expect(page.get_by_label("From (m)")).to_be_visible()
    expect(page.locator("#depth .depth-ticks span").last).to_have_text("10 m")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with redrawn(page, "#depth"):
        page.get_by_role("button", name="Sharpen edges with the photo").click()
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Slider").click()
    expect(page.get_by_role("slider", name="Where the right picture begins")).to_be_visible()
    assert not asked
    assert page.locator("#status").inner_text() == status


def test_the_depth_picture_is_read_by_mouse_and_keyboard_at_any_zoom(visit: Callable[..., Visitor]) -> None:
    page = visit().open()
    read = page.locator(f"{MAP} .depth-read")
    page.mouse.move(*center(page.locator(MAP), 0.5, 0.02))
    high = float(read.inner_text().split()[0])
    page.mouse.move(*center(page.locator(MAP), 0.5, 0.98))
    expect(read).not_to_have_text(re.compile(f"^{high}"))
    photo = page.locator("#depth .depth-pane[data-kind=photo]")
    expect(photo.locator(".depth-read")).to_have_text(read.inner_text())  # both panes are read at one place
    page.mouse.move(0, 0)
    stage = page.locator("#depth .depth-panes")
    stage.focus()
    for key in ("+", "+", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    expect(page.locator("#depth [role=status]")).to_have_text(re.compile(r"^x \d+, y \d+: \d"))
    one, two = (box.bounding_box() for box in page.locator("#depth .depth-frame").all())
    assert one and two
    assert one["width"] == pytest.approx(two["width"], abs=1)
    assert one["height"] == pytest.approx(two["height"], abs=1)


def test_where_estimates_differ_the_depth_is_hatched(embedded: str, visit: Callable[..., Visitor]) -> None:
    visitor = visit(embedded, **PHONE)
    page = visitor.open("?sample=astronaut")
    view = "document.querySelector('#depth .depth-view').depthView"
    wanted, legend = page.get_by_label("Show how sure"), page.locator("#depth .depth-legend")

    def pixels() -> np.ndarray:
        """Return the depth as it is seen, (H, W, 3)."""
        data = page.evaluate(f"{view}.panes[1].canvas.toDataURL()").partition(",")[2]
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            return np.asarray(image.convert("RGB"), int)

    plain = pixels()
    wanted.check()
    expect(legend).to_contain_text(re.compile(r"Hatched \(\d+ % of the picture\)"))
    answer = page.request.get(embedded + page.evaluate(f"{view}.value.sure.url"))
    with Image.open(io.BytesIO(answer.body())) as image:
        apart = json.loads(image.text[TEXT_KEY])["step"] * np.asarray(image.resize(plain.shape[1::-1]))  # type: ignore[attr-defined]

    def assert_hatched(one: np.ndarray, other: np.ndarray) -> None:
        """Only where the estimates are far apart the two pictures differ, in lines."""
        changed = np.abs(one - other).max(axis=-1) > 60
        assert changed[apart < 0.08].mean() < 0.01
        assert 0.2 < changed[apart > 0.12].mean() < 0.9

    assert_hatched(plain, pixels())
    for share, word in ((apart.max(), "unsure:"), (apart.min(), "estimates")):
        y, x = (np.argwhere(apart == share)[0] + 0.5) / apart.shape
        page.touchscreen.tap(*center(page.locator(MAP), float(x), float(y)))
        expect(page.locator(f"{MAP} .depth-read")).to_contain_text(word)
        read = page.locator(f"{MAP} .depth-read").inner_text().split()
        assert int(read[read.index("%") - 1]) == pytest.approx(100 * share, abs=2)
    page.screenshot(path=ARTIFACTS / "phone-sure.png")
    with redrawn(page, "#depth"):
        page.locator("#results").get_by_label("Colors").click()
        page.get_by_role("option", name="viridis").click()
    hatched = pixels()
    with redrawn(page, "#depth"):
        wanted.uncheck()
    expect(legend).to_be_hidden()
    assert_hatched(pixels(), hatched)
    wanted.check()
    expect(legend).to_be_visible()
    page.locator("#samples").get_by_text("Sofa").click()
    expect(legend).to_be_hidden()
    expect(wanted).not_to_be_checked()


def test_the_depth_picture_is_saved_as_it_is_seen(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    page = visit().open("?sample=coffee")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save picture").click()
    assert download.value.suggested_filename == "coffee_depth_picture.png"
    download.value.save_as(tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width > 1500
        assert len(picture.convert("RGB").getcolors(1 << 22) or ()) > 1000


def test_statistics_and_files(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.open("?sample=coffee")
    visitor.tab("Statistics")
    expect(page.locator("#numbers")).to_contain_text("Median")
    page.wait_for_selector("#histogram .barlayer path", state="attached")
    visitor.shot("statistics")
    visitor.tab("Files")
    file = page.get_by_role("button", name="NumPy array, float32")
    expect(page.locator("#files tr", has=file)).to_contain_text("≈ 960 kB")
    with page.expect_download() as download:
        file.click()
    download.value.save_as(tmp_path / "depth.npy")
    assert (tmp_path / "depth.npy").stat().st_size > 900_000
    assert download.value.suggested_filename == "coffee_depth_m.npy"
    expect(page.get_by_role("link", name="NumPy array, float32")).to_be_visible()
    expect(page.locator("#files a")).to_have_count(1)
    visitor.shot("files")


def test_a_link_brings_the_choices_to_a_fresh_profile(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    page.locator("#samples").get_by_text("Coffee").click()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("coffee"))
    visitor.show_3d()
    with redrawn(page, "#surface"):
        page.locator("#view-texture").get_by_text("Depth", exact=True).click()
    page.locator("#picker [data-model=nyu-b4]").click()
    expect(page.locator("#card")).to_contain_text("Indoor (NYU Depth V2), MiT-b4")
    page.get_by_role("button", name="Copy link").click()
    box = page.locator("#link-box input, #link-box textarea")
    expect(box).to_have_value(re.compile("model=nyu-b4"))
    link = box.input_value()
    assert parse_qs(urlsplit(link).query) == {
        "model": ["nyu-b4"], "sample": ["coffee"], "tab": ["3d"], "texture": ["depth"],
    }  # fmt: skip

    other = visit(fresh=True)
    other.page.goto(link)
    other.page.wait_for_function(DRAWN_3D, timeout=PATIENCE_MS)
    expect(other.page.locator("#photo img")).to_have_attribute("src", re.compile("coffee"))
    expect(other.page.locator("#card")).to_contain_text("Indoor (NYU Depth V2), MiT-b4")
    expect(other.page.locator("#view-texture").get_by_label("Depth")).to_be_checked()


@pytest.mark.parametrize("options", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_box_with_the_link_floats_and_closes(visit: Callable[..., Visitor], options: dict[str, Any]) -> None:
    page = visit(**options).open()
    top = "document.querySelector('#pages').getBoundingClientRect().y"
    before, panel = page.evaluate(top), page.locator("#link")
    expect(panel).to_be_hidden()
    for close in (lambda: page.keyboard.press("Escape"), page.get_by_role("button", name="Close", exact=True).click):
        page.get_by_role("button", name="Copy link").click()
        expect(panel).to_be_in_viewport(ratio=1)
        expect(panel.locator("input, textarea")).to_have_value(re.compile("tab=depth"))
        assert page.evaluate(top) == before
        page.screenshot(path=ARTIFACTS / f"link-{page.evaluate('innerWidth')}.png")
        close()
        expect(panel).to_be_hidden()
    assert page.evaluate(top) == before


def test_the_link_names_the_tabs_that_it_opened_whatever_the_page_tells_late(visit: Callable[..., Visitor]) -> None:
    """Gradio tells of the tabs that a page begins with, on a busy machine after those that the link named."""
    visitor = visit()
    page, held = visitor.page, []

    def late(route: Route) -> None:
        first = (route.request.post_data_json.get("event_data") or {}).get("index") == 0
        held.append(route) if first else route.continue_()

    page.route("**/queue/join*", late)
    visitor.open("?at=compare&tab=depth")
    expect(page.locator("#pages").get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")
    assert len(held) == 2
    for route in held:
        with page.expect_response("**/queue/join*"):
            route.continue_()
    visitor.go_to("Live")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#link input, #link textarea")).to_have_value(re.compile("at=live.*tab=depth"))


def test_a_hostile_link_is_ignored_with_a_note(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(visitor.address + "?model=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&tab=nowhere&fov=1e9&sample=../../etc")
    expect(page.locator("#status")).to_contain_text("not known here: model, sample, tab, fov.")
    expect(page.locator("#card")).to_contain_text("Rooms")


def test_untrained_models_can_be_looked_at_not_run(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("?model=kitti-b2")
    expect(page.locator("#card")).to_contain_text("Needs training")
    page.get_by_role("button", name="Estimate depth").click()
    toast = page.locator(".toast-body")
    expect(toast).to_contain_text("kitti-b2 can't be run")
    assert "Traceback" not in toast.inner_text()
    title = page.locator(".toast-title").evaluate("(title) => getComputedStyle(title, '::before').content")
    assert title == '"That didn\'t work"'
    visitor.shot("untrained")


def test_without_the_hub_it_explains_and_offers_the_embedded_model(
    embedded: str, visit: Callable[..., Visitor]
) -> None:
    page = visit(embedded).open("?model=nyu-b4")
    page.get_by_role("button", name="Estimate depth").click()
    expect(page.locator(".toast-body")).to_contain_text("245 MB from vinvino02/glpn-nyu", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Use the embedded model instead").click()
    expect(page.locator("#status")).not_to_contain_text("(precomputed)", timeout=PATIENCE_MS)
    expect(page.locator("#card")).to_contain_text("Rooms")
    expect(page.get_by_role("button", name="Use the embedded model instead")).to_have_count(0)


def test_a_download_shows_megabytes_and_stops(visit: Callable[..., Visitor]) -> None:
    page = visit().open("?model=nyu-b4")
    page.get_by_role("button", name="Estimate depth").click()
    expect(page.locator("#progress")).to_contain_text(re.compile(r"Downloading nyu-b4: \d.* MB of 400 MB, 2\.5 MB/s"))
    page.locator("#stop").click()
    expect(page.locator("#progress progress")).to_have_count(0)
    expect(page.locator(".toast-body.info")).to_contain_text("Stopped")
    expect(page.locator(".toast-body.error")).to_have_count(0)
    expect_put_back(page)


def test_a_file_that_is_no_image_is_refused_in_one_sentence(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    page = visit().open()
    broken = tmp_path / "<b>broken.jpg"
    broken.write_bytes(SAMPLES[0].photo.read_bytes()[:3000])
    page.set_input_files("#photo input[type=file]", broken)
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("broken"))
    expect(page.locator(".toast-body")).to_contain_text("broken.jpg")
    expect(page.locator(".toast-body b")).to_have_count(0)
    expect_put_back(page)
    page.locator("#samples").get_by_text("Coffee").click()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("coffee"))
    page.get_by_role("button", name="Estimate depth").click()
    expect(page.locator("#status")).to_contain_text("0.25 s")
    expect_put_back(page)


def test_a_photo_of_twelve_megapixels_takes_at_most_250_kb_to_show(
    embedded: str, visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    own = tmp_path / "own.jpg"
    with Image.open(SAMPLES[0].photo) as sample:
        sample.resize((4000, 3000)).save(own, quality=92)
    assert own.stat().st_size > 500_000
    page = visit(embedded, fresh=True).open("?tab=photo3d")
    page.wait_for_selector(MOVING)
    finished: list[Request] = []
    page.on("requestfinished", lambda request: finished.append(request))

    def comes(end: str) -> AbstractContextManager[Any]:
        return page.expect_event("requestfinished", lambda request: request.url.endswith(end), timeout=PATIENCE_MS)

    with comes("/own.jpg"), comes("-photo.jpg"), comes("-depth.png"):
        page.set_input_files("#photo input[type=file]", own)
    sizes = [request.sizes() for request in finished]
    assert 20_000 < sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes) <= 250_000
    expect(page.locator("#photo img")).to_have_js_property("naturalWidth", 1000)
    expect(page.locator("#status")).to_contain_text("rooms-b0")


def test_two_visitors_never_see_each_other(visit: Callable[..., Visitor]) -> None:
    one, two = visit(), visit(fresh=True)
    for visitor, sample, width in ((one, "coffee", 600), (two, "stairs", 640)):
        page = visitor.open(f"?sample={sample}")
        assert page.evaluate("document.querySelector('#depth .depth-view').depthView.value.size[0]") == width
        assert (
            page.evaluate("document.querySelector('#depth .depth-view').depthView.panes[0].photo.naturalWidth") == width
        )


def test_files_vanish_when_the_page_is_left(browser: Browser, tmp_path: Path, tmp_path_factory: Any) -> None:
    own = tmp_path_factory.mktemp("own") / "own.jpg"
    own.write_bytes(SAMPLES[1].photo.read_bytes())

    def visitors_photos() -> list[Path]:
        """Return all photos but the example's, which belongs to the app."""
        return [path for path in tmp_path.rglob("*.jpg") if path.parent.name != "first"]

    with served("fake", tmp_path) as url:
        context = browser.new_context(**DESKTOP)  # type: ignore[arg-type]
        visitor = Visitor(context, url)
        page = visitor.open()
        page.get_by_label("Remove Image").first.click()  # upon which Gradio tells of the sample as of an upload
        page.set_input_files("#photo input[type=file]", own)
        expect(page.locator("#status")).to_contain_text("0.25 s")
        assert len(list(tmp_path.rglob("own.jpg"))) == 1
        assert visitors_photos()
        probe = browser.new_context().new_page()
        context.close()
        for _ in range(1200):
            if not visitors_photos():
                break
            probe.wait_for_timeout(100)
        probe.context.close()
        assert not visitors_photos()
        assert SAMPLES[0].photo.exists()


def test_compare_draws_one_range_and_a_difference(embedded: str, visit: Callable[..., Visitor]) -> None:
    visitor = visit(embedded)
    page = visitor.open("?sample=living")
    visitor.go_to("Compare models")
    page.locator("#compare-go").click()
    page.wait_for_selector("#maps .depth-view[data-painted]", timeout=PATIENCE_MS)
    expect(page.locator("#agreement")).to_contain_text("Distance from the truth")
    expect(page.locator("#maps .depth-name")).to_have_text(["Photo", "truth", "rooms-b0", "rooms-b0 minus truth"])
    page.mouse.move(*center(page.locator("#maps .depth-frame").nth(1), 0.5, 0.9))
    reads = page.locator("#maps .depth-read").all_inner_texts()
    assert "±" not in reads[1]
    assert "±" in reads[2]
    assert re.fullmatch(r"[+-]?\d+\.\d\d m", reads[3])
    visitor.shot("compare")
    page.locator("#maps").get_by_role("button", name="Slider").click()
    page.locator("#maps").get_by_label("Left picture").select_option("truth")
    expect(page.locator("#maps .over .depth-name")).to_have_text("Photo")  # it has changed sides with the truth
    page.get_by_role("slider", name="Where the right picture begins").focus()
    page.keyboard.press("ArrowRight")
    visitor.shot("compare-slider")

    before = page.evaluate(BAR.format("#maps [data-kind=depth]"))
    with redrawn(page, "#maps"):
        page.locator("#compare-colors").get_by_label("Colors").click()
        page.get_by_role("option", name="magma").click()
    after = page.evaluate(BAR.format("#maps [data-kind=depth]"))
    assert after != before
    visitor.go_to("Estimate")
    expect(page.locator("#view-colors input")).to_have_value("magma")
    assert page.evaluate(BAR.format("#depth")).split("(")[2] == after.split("(")[2]  # the same first color
    with redrawn(page, "#depth"):
        page.locator("#view-near").get_by_text("Far", exact=True).click()
    visitor.go_to("Compare models")
    expect(page.locator("#compare-near").get_by_label("Far")).to_be_checked()
    assert page.evaluate(BAR.format("#maps [data-kind=depth]")).split("(")[2] != after.split("(")[2]


def test_evaluate_tells_how_far_the_estimate_is_from_the_truth(
    embedded: str, visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    visitor = visit(embedded)
    page = visitor.page
    page.goto(embedded + "?at=evaluate")
    page.locator("#evaluate-samples").get_by_text("Living room").click()
    page.wait_for_selector("#evaluate-maps .depth-view[data-painted]", timeout=PATIENCE_MS)
    expect(page.locator("#evaluate-table tbody tr")).to_have_count(9)
    expect(page.locator("#evaluate-maps .depth-pane")).to_have_count(4)
    expect(page.locator("#evaluate-stop")).to_be_disabled()
    page.mouse.move(*center(page.locator("#evaluate-maps .depth-frame").nth(2), 0.5, 0.9))
    reads = page.locator("#evaluate-maps .depth-read").all_inner_texts()
    assert re.fullmatch(r"\d\.\d+ m ± \d\.\d+( or more)?", reads[2])
    assert re.fullmatch(r"[+-]?\d+ %|not measured", reads[3])
    table = page.locator("#evaluate-table").inner_text()
    with redrawn(page, "#evaluate-maps"):
        page.locator("#evaluate-near").get_by_text("Far", exact=True).click()
    assert page.locator("#evaluate-table").inner_text() == table
    visitor.shot("evaluate")
    broken = tmp_path / "truth.png"
    broken.write_bytes(b"no picture")
    page.locator("#evaluate-truth").get_by_label("Clear").click()
    page.set_input_files("#evaluate-truth input[type=file]", broken)
    expect(page.locator("#evaluate-truth")).to_contain_text("truth")
    page.locator("#evaluate-go").click()
    expect(page.locator(".toast-body")).to_contain_text("'truth.png' can't be read")
    expect(page.locator("#evaluate-progress")).to_have_text("")


def test_a_photo_comes_from_the_camera_and_from_the_clipboard(visit: Callable[..., Visitor]) -> None:
    page = visit(permissions=["camera", "clipboard-read", "clipboard-write"]).open()
    photo = page.locator("#photo")
    photo.get_by_label("Remove Image").click()
    photo.get_by_label("Capture from camera").click()
    photo.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#photo video')?.videoWidth > 0")  # before that it takes nothing
    photo.get_by_label("capture photo").click()
    expect(page.locator("#status")).to_contain_text("0.25 s")
    page.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(160, 128);
          canvas.getContext("2d").fillRect(0, 0, 160, 128);
          const png = await canvas.convertToBlob({ type: "image/png" });
          await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]);
        }"""
    )
    photo.get_by_label("Remove Image").click()
    photo.get_by_label("Paste from clipboard").click()
    page.locator("#tabs").get_by_role("tab", name="Statistics").click()
    expect(page.locator("#numbers")).to_contain_text("160 × 128")
    expect(page.locator("#stop")).to_have_text("Stop")  # though no photo came when one was taken off


def test_one_visitors_download_keeps_nobody_waiting(visit: Callable[..., Visitor]) -> None:
    one, two = visit(), visit(fresh=True)
    one.open("?model=nyu-b4")
    two.open()
    one.page.get_by_role("button", name="Estimate depth").click()
    expect(one.page.locator("#progress")).to_contain_text("Downloading")
    two.page.get_by_role("button", name="Estimate depth").click()
    expect(two.page.locator("#status")).to_contain_text("0.25 s")
    expect(one.page.locator("#progress")).to_contain_text("Downloading")
    one.page.locator("#stop").click()
    expect_put_back(one.page)


@pytest.mark.parametrize("at", PAGES)
def test_a_link_opens_the_page_that_it_names(visit: Callable[..., Visitor], at: str) -> None:
    visitor = visit()
    visitor.page.goto(f"{visitor.address}?at={at}")
    tab = visitor.page.locator("#pages").get_by_role("tab", name=re.compile(at, re.IGNORECASE))
    expect(tab).to_have_attribute("aria-selected", "true")


def test_zoo_filters_and_hides_the_hosts_actions_from_strangers(
    embedded: str, public: str, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(embedded)
    page = visitor.open()
    visitor.go_to("Zoo")
    expect(page.locator("#zoo-table tbody tr")).to_have_count(len(Zoo.load()))
    page.locator("#zoo-filter").get_by_text("Published").click()
    expect(page.locator("#zoo-table tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#zoo-said")).to_contain_text("files verified", timeout=PATIENCE_MS)
    visitor.shot("zoo")
    stranger = visit(public)
    stranger.open()
    stranger.go_to("Zoo")
    expect(stranger.page.locator("#zoo-table tbody tr")).to_have_count(len(Zoo.load()))
    expect(stranger.page.get_by_role("button", name="Remove from cache")).to_have_count(0)
    expect(stranger.page.get_by_text("Another checkpoint")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "options"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_every_page_is_accessible_and_fits(
    visit: Callable[..., Visitor], scheme: str, device: str, options: dict[str, Any]
) -> None:
    visitor = visit(color_scheme=scheme, **options)
    page = visitor.open()
    axe = Axe()
    rules = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}  # themes differ in colors alone
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        result = axe.run(page, options={"resultTypes": ["violations"], **rules})
        for violation in result.response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                places = [node["html"][:120] for node in violation["nodes"][:3]]
                found.setdefault(f"{violation['id']}: {violation['help']}", []).append(f"{name} {places}")
        assert no_sideways_scroll(page), name
        assert device != "phone" or page.evaluate(
            "[...document.querySelectorAll('.wide .table-scroll')].every((box) => box.scrollWidth <= box.clientWidth)"
        )
        visitor.shot(f"{device}-{scheme}-{name}")

    for tab, drawn in DRAWN.items():
        visitor.tab(TABS[tab])
        page.wait_for_function(drawn)
        look(tab)
    visitor.tab("Files")
    expect(page.locator("#files tbody tr").first).to_be_visible()
    look("files")
    for name in ("Compare models", "Evaluate", "Zoo", "About"):
        visitor.go_to(name)
        expect(page.get_by_role("tabpanel").filter(visible=True).first).to_be_visible()
        look(name.split()[0].lower())
    assert not found, json.dumps(found, indent=1)


@pytest.mark.parametrize("width", [390, 768, 1024, 1920])
def test_no_width_scrolls_sideways(visit: Callable[..., Visitor], width: int) -> None:
    page = visit(viewport={"width": width, "height": 900}).open()
    assert no_sideways_scroll(page)


def test_the_keyboard_reaches_the_button_and_every_tab(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    seen: list[str] = []
    for _ in range(90):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("document.activeElement.innerText || document.activeElement.getAttribute('aria-label') || ''")
        )
        if "3D" in seen and "Estimate depth" in seen:
            break
    assert any("Sofa" in text for text in seen)
    assert "Estimate depth" in seen
    assert "3D" in seen


def test_dark_and_light_redraw_the_figure(visit: Callable[..., Visitor]) -> None:
    visitor = visit(color_scheme="light")
    page = visitor.open("?tab=statistics&sample=coffee")
    page.wait_for_function(DRAWN["statistics"])
    ink = "document.querySelector('#histogram .figure-plot').layout.font.color"
    before = page.evaluate(ink)
    with redrawn(page, "#histogram"):
        page.get_by_role("button", name="Dark / light").click()
    assert page.evaluate(ink) != before
    scale = "document.querySelector('#histogram .figure-plot').layout.coloraxis.colorscale[0][1]"
    before = page.evaluate(scale)
    with redrawn(page, "#histogram"):
        page.locator("#results").get_by_label("Colors").click()
        page.get_by_role("option", name="magma").click()
    assert page.evaluate(scale) != before
