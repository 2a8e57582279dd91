"""The page in Chromium: what a visitor sees and does. Screenshots are left in artifacts/ to be looked at."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright
from web_support import ROOT, served

from glpn.web.links import PAGES
from glpn.web.samples import SAMPLES
from glpn.zoo import Zoo

pytestmark = pytest.mark.browser
ARTIFACTS = ROOT / "artifacts"
CHROMIUM = {
    "executable_path": "/usr/bin/chromium",
    "args": [
        "--no-sandbox",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--use-gl=angle",  # WebGL without a graphics card
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--use-fake-device-for-media-stream",  # a camera
        "--use-fake-ui-for-media-stream",
    ],
}
DESKTOP = {"viewport": {"width": 1400, "height": 900}}
SMALL = {"width": 900, "height": 640}  # where WebGL in software has less to draw
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
NAMES = {"depth": "Depth", "slider": "Slider", "3d": "3D", "measure": "Measure", "statistics": "Statistics"}
HEATMAP = "#heatmap .heatmaplayer image"
DRAWN_3D = "document.querySelector('#surface .figure-plot')?._fullLayout?.scene?._scene?.glplot"
DRAWN = {
    "depth": f"document.querySelector('{HEATMAP}')",
    "slider": "document.querySelectorAll('#slider img').length == 2",
    "3d": DRAWN_3D,
    "measure": "!document.querySelector('.measure-stage').hidden",
    "statistics": "document.querySelector('#histogram .barlayer path')",
}
CAMERA = "structuredClone(document.querySelector('#surface .figure-plot').layout.scene.camera)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    ARTIFACTS.mkdir(exist_ok=True)
    expect.set_options(timeout=20_000)  # a condition holds soon on an idle machine; tests share theirs
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)  # type: ignore[arg-type]
        yield browser
        browser.close()


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


class Visitor:
    """A browser profile with one page; notes what the console says and which hosts are asked."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page: Page = context.new_page()
        self.address = address
        self.problems: list[str] = []
        self.foreign: list[str] = []
        self.page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.foreign.append(url)

    def open(self, query: str = "") -> Page:
        self.page.goto(self.address + query)
        self.page.wait_for_selector(HEATMAP, state="attached", timeout=30_000)
        return self.page

    def tab(self, name: str) -> None:
        self.page.locator("#tabs").get_by_role("tab", name=name, exact=True).click()

    def show_3d(self) -> None:
        self.tab("3D")
        self.page.wait_for_function(DRAWN_3D, timeout=30_000)

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
    for visitor in visitors:
        visitor.page.close()
    for context in contexts:
        context.close()
    assert not [problem for visitor in visitors for problem in visitor.problems]
    assert not [url for visitor in visitors for url in visitor.foreign]


@contextmanager
def redrawn(page: Page, selector: str) -> Iterator[None]:
    """Wait until the figure has been drawn anew."""
    plot = f"document.querySelector('{selector} .figure-plot').dataset.revision"
    before = page.evaluate(plot)
    yield
    page.wait_for_function(f"{plot} !== {json.dumps(before)}", timeout=20_000)


def centre(box: Locator, x: float = 0.5, y: float = 0.5) -> tuple[float, float]:
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
    expect(page.locator("#status")).to_contain_text("when this example was made")
    page.set_input_files("#photo input[type=file]", SAMPLES[3].photo)
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("lounge"))
    with redrawn(page, "#heatmap"):
        page.get_by_role("button", name="Estimate depth").click()
        expect(page.locator("#status")).not_to_contain_text("example", timeout=60_000)
    page.mouse.move(*centre(page.locator("#heatmap .nsewdrag")))
    hover = page.locator("#heatmap .hoverlayer")
    expect(hover).to_contain_text(re.compile(r"x \d+, y \d+ · \d\.\d\d m"))
    visitor.shot("depth-embedded")
    visitor.show_3d()
    visitor.shot("surface-embedded")


# Notes when the page is up, and when the still picture is seen, how wide and of which shape.
WATCH_STILL = """new MutationObserver(() => {
  const still = document.querySelector("#heatmap .figure-still");
  if (document.querySelector("#go")) window.up ??= performance.now();
  if (!still?.naturalWidth || !still.checkVisibility()) return;
  window.seen ??= performance.now();
  window.stillWidth = still.clientWidth;
  (window.shapes ??= new Set()).add((still.naturalWidth / still.naturalHeight).toFixed(2));
}).observe(document, { childList: true, subtree: true, attributes: true });"""


def test_the_first_visit_shows_a_finished_example_within_a_second(visit: Callable[..., Visitor]) -> None:
    visitor = visit(fresh=True)
    page = visitor.page
    page.add_init_script(WATCH_STILL)
    page.goto(visitor.address)
    page.wait_for_function("window.seen")
    took = page.evaluate("window.seen - window.up")
    print(f"finished example {took:.0f} ms after the page was up")
    assert took < 1000
    page.wait_for_selector(HEATMAP, state="attached", timeout=30_000)
    expect(page.locator("#heatmap .figure-still")).to_be_hidden()
    drawn = page.locator("#heatmap .nsewdrag").bounding_box()
    assert drawn is not None
    assert abs(page.evaluate("window.stillWidth") - drawn["width"]) < 40  # nothing jumps


def test_a_link_with_a_sample_shows_that_one_from_the_first(visit: Callable[..., Visitor]) -> None:
    visitor = visit(fresh=True)
    visitor.page.add_init_script(WATCH_STILL)
    visitor.open("?sample=coffee")
    assert visitor.page.evaluate("[...window.shapes]") == ["1.50"]  # the default sample's is 1.33


def test_the_viewing_angle_survives_colours_texture_detail_and_shape(visit: Callable[..., Visitor]) -> None:
    visitor = visit(viewport=SMALL)
    page = visitor.open("?detail=draft&texture=depth")
    visitor.show_3d()
    home = page.evaluate(CAMERA)
    page.mouse.move(*centre(page.locator("#surface canvas").first))
    page.mouse.down()
    page.mouse.move(*centre(page.locator("#surface canvas").first, 0.3, 0.4), steps=5)
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


def test_view_buttons_look_from_where_they_say(visit: Callable[..., Visitor]) -> None:
    visitor = visit(viewport=SMALL)
    page = visitor.open("?detail=draft")
    visitor.show_3d()
    for name, axis, sign in (("Top", "z", 1), ("Side", "x", 1), ("Front", "y", -1)):
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_function(f"{sign} * {CAMERA}.eye.{axis} > 1.5")
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


def test_colours_never_run_the_model(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    status = page.locator("#status").inner_text()
    scale = "document.querySelector('#heatmap .figure-plot').layout.coloraxis.colorscale[0][1]"
    before = page.evaluate(scale)
    with redrawn(page, "#heatmap"):
        page.locator("#results").get_by_label("Colours").click()
        page.get_by_role("option", name="magma").click()
    assert page.evaluate(scale) != before
    with redrawn(page, "#heatmap"):
        page.get_by_text("Fixed", exact=True).click()
    expect(page.get_by_label("From (m)")).to_be_visible()
    assert page.evaluate("document.querySelector('#heatmap .figure-plot').layout.coloraxis.cmax") == 10
    assert page.locator("#status").inner_text() == status


def test_two_clicks_measure_a_distance(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    visitor.tab("Measure")
    photo = page.locator(".measure-photo")
    expect(photo).to_be_visible()
    photo.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.measure-photo').naturalWidth > 0")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    readout = page.locator(".measure-depth")
    page.mouse.move(*centre(photo, 0.5, 0.95))  # the floor before the camera's feet
    expect(readout).to_have_text(re.compile(r"^\d\.\d\d m$"))
    elsewhere = readout.inner_text()
    page.mouse.move(*centre(photo, 0.2, 0.8))
    expect(readout).not_to_have_text(elsewhere)
    under = readout.inner_text()
    assert not asked
    page.mouse.click(*centre(photo, 0.2, 0.8))
    expect(page.locator(".measure-point")).to_have_count(1)
    found = re.search(r"Pair 1(\d\.\d\d) m", page.locator("#distances").inner_text().replace("\t", ""))
    assert found
    assert float(found[1]) == pytest.approx(float(under.removesuffix(" m")), abs=0.03)
    page.mouse.click(*centre(photo, 0.8, 0.6))
    expect(page.locator(".measure-line")).to_have_count(1)
    expect(page.locator("#distances")).to_contain_text(re.compile(r"Pair 1\d\.\d\d m\d\.\d\d m\d\.\d\d m"))
    visitor.shot("measure")
    page.locator(".measure-stage").focus()
    page.keyboard.press("ArrowRight")
    expect(readout).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".measure-point")).to_have_count(3)
    page.get_by_role("button", name="Take back the last point").click()
    expect(page.locator(".measure-point")).to_have_count(2)
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator(".measure-point")).to_have_count(0)


def test_slider_statistics_and_files(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.open("?sample=coffee")
    visitor.tab("Slider")
    expect(page.locator("#slider img")).to_have_count(2)
    visitor.shot("slider")
    visitor.tab("Statistics")
    expect(page.locator("#numbers")).to_contain_text("Median")
    page.wait_for_selector("#histogram .barlayer path", state="attached")
    visitor.shot("statistics")
    visitor.tab("Files")
    link = page.get_by_role("link", name="NumPy array, float32")
    expect(link).to_be_visible(timeout=20_000)
    with page.expect_download() as download:
        link.click()
    download.value.save_as(tmp_path / "depth.npy")
    assert (tmp_path / "depth.npy").stat().st_size > 900_000
    assert download.value.suggested_filename == "coffee_depth_m.npy"
    expect(page.locator("#files tbody")).not_to_contain_text("being written", timeout=60_000)
    visitor.shot("files")


def test_a_link_brings_the_choices_to_a_fresh_profile(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    page.locator("#samples").get_by_text("Coffee").click()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("coffee"))
    visitor.show_3d()
    with redrawn(page, "#surface"):
        page.locator("#view-texture").get_by_text("Depth", exact=True).click()
    page.locator("#scene").get_by_text("Indoor (NYU)").click()
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
    other.page.wait_for_function(DRAWN_3D, timeout=30_000)
    expect(other.page.locator("#photo img")).to_have_attribute("src", re.compile("coffee"))
    expect(other.page.locator("#card")).to_contain_text("Indoor (NYU Depth V2), MiT-b4")
    expect(other.page.locator("#view-texture").get_by_label("Depth")).to_be_checked()


def test_a_hostile_link_is_ignored_with_a_note(visit: Callable[..., Visitor]) -> None:
    page = visit().open("?model=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&tab=nowhere&fov=1e9&sample=../../etc")
    expect(page.locator("#status")).to_contain_text(
        "The link's model, sample, tab, fov is not something this page knows"
    )
    expect(page.locator("#card")).to_contain_text("Rooms")


def test_untrained_models_can_be_looked_at_not_run(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("?model=kitti-b2")
    expect(page.locator("#card")).to_contain_text("Needs training")
    page.get_by_role("button", name="Estimate depth").click()
    toast = page.locator(".toast-body")
    expect(toast).to_contain_text("kitti-b2 can't be run")
    assert "Traceback" not in toast.inner_text()
    visitor.shot("untrained")


def test_without_the_hub_it_explains_and_offers_the_embedded_model(
    embedded: str, visit: Callable[..., Visitor]
) -> None:
    page = visit(embedded).open("?model=nyu-b4")
    page.get_by_role("button", name="Estimate depth").click()
    expect(page.locator(".toast-body")).to_contain_text("245 MB from vinvino02/glpn-nyu", timeout=20_000)
    page.get_by_role("button", name="Use the embedded model instead").click()
    expect(page.locator("#status")).not_to_contain_text("example", timeout=60_000)
    expect(page.locator("#card")).to_contain_text("Rooms")
    expect(page.get_by_role("button", name="Use the embedded model instead")).to_have_count(0)


def test_a_download_shows_megabytes_and_stops_within_a_second(visit: Callable[..., Visitor]) -> None:
    page = visit().open("?model=nyu-b4")
    page.get_by_role("button", name="Estimate depth").click()
    expect(page.locator("#progress")).to_contain_text(re.compile(r"Downloading nyu-b4: \d.* MB of 400 MB, 2\.5 MB/s"))
    page.locator("#stop").click()
    expect(page.locator("#progress progress")).to_have_count(0, timeout=1500)
    expect(page.locator(".toast-body")).to_contain_text("Stopped")
    expect_put_back(page)


def test_a_file_that_is_no_image_is_refused_in_one_sentence(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    page = visit().open()
    broken = tmp_path / "<b>broken.jpg"
    broken.write_bytes(SAMPLES[0].photo.read_bytes()[:3000])
    page.set_input_files("#photo input[type=file]", broken)
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("broken"))
    page.get_by_role("button", name="Estimate depth").click()
    expect(page.locator(".toast-body")).to_contain_text("broken.jpg")
    expect(page.locator(".toast-body b")).to_have_count(0)
    expect_put_back(page)
    page.locator("#samples").get_by_text("Coffee").click()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("coffee"))
    page.get_by_role("button", name="Estimate depth").click()
    expect(page.locator("#status")).to_contain_text("0.25 s")
    expect_put_back(page)


def test_two_visitors_never_see_each_other(visit: Callable[..., Visitor]) -> None:
    one, two = visit(), visit(fresh=True)
    one.open("?sample=coffee")
    two.open("?sample=armchair")
    one.tab("Slider")
    two.tab("Slider")
    for visitor, width in ((one, 600), (two, 611)):
        image = visitor.page.locator("#slider img").first
        expect(image).to_be_visible()
        visitor.page.wait_for_function("document.querySelector('#slider img').naturalWidth > 0")
        assert image.evaluate("image => image.naturalWidth") == width


def test_files_vanish_when_the_page_is_left(browser: Browser, tmp_path: Path, tmp_path_factory: Any) -> None:
    own = tmp_path_factory.mktemp("own") / "own.jpg"
    own.write_bytes(SAMPLES[1].photo.read_bytes())
    with served("fake", tmp_path) as url:
        context = browser.new_context(**DESKTOP)  # type: ignore[arg-type]
        visitor = Visitor(context, url)
        page = visitor.open()
        visitor.tab("Slider")
        expect(page.locator("#slider img")).to_have_count(2)
        page.get_by_label("Remove Image").first.click()  # upon which Gradio tells of the sample as of an upload
        page.set_input_files("#photo input[type=file]", own)
        expect(page.locator("#status")).to_contain_text("belongs to the photo before")
        assert len(list(tmp_path.rglob("own.jpg"))) == 1
        assert list((tmp_path / "sessions").rglob("*.jpg"))
        probe = browser.new_context().new_page()
        context.close()
        for _ in range(100):
            if not list(tmp_path.rglob("*.jpg")):
                break
            probe.wait_for_timeout(100)
        probe.context.close()
        assert not list(tmp_path.rglob("*.jpg"))
        assert SAMPLES[0].photo.exists()


def test_compare_draws_one_range_and_a_difference(embedded: str, visit: Callable[..., Visitor]) -> None:
    visitor = visit(embedded)
    page = visitor.open()
    visitor.go_to("Compare models")
    page.locator("#compare-go").click()
    page.wait_for_selector("#maps .heatmaplayer image", state="attached", timeout=60_000)
    expect(page.locator("#agreement")).to_contain_text("rooms-b0, flip averaged")
    assert page.locator("#maps .heatmaplayer image").count() == 2
    page.wait_for_selector("#difference .heatmaplayer image", state="attached")
    visitor.shot("compare")

    scale = "document.querySelector('{} .figure-plot').layout.coloraxis.colorscale[0][1]"
    figures = page.locator("#agreement").inner_text()  # seconds of each run included
    before = page.evaluate(scale.format("#maps"))
    with redrawn(page, "#maps"):
        page.locator("#compare-colors").get_by_label("Colours").click()
        page.get_by_role("option", name="magma").click()
    after = page.evaluate(scale.format("#maps"))
    assert after != before
    visitor.go_to("Estimate")
    page.wait_for_function(f"{scale.format('#heatmap')} === {json.dumps(after)}")
    expect(page.locator("#view-colors input")).to_have_value("magma")
    with redrawn(page, "#heatmap"):
        page.locator("#view-near").get_by_text("Far", exact=True).click()
    visitor.go_to("Compare models")
    page.wait_for_function("document.querySelector('#maps .figure-plot').layout.coloraxis.reversescale === false")
    expect(page.locator("#compare-near").get_by_label("Far")).to_be_checked()
    assert page.locator("#agreement").inner_text() == figures


def test_evaluate_tells_how_far_the_estimate_is_from_the_truth(
    embedded: str, visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    visitor = visit(embedded)
    page = visitor.page
    page.goto(embedded + "?at=evaluate")
    page.locator("#evaluate-sample").click()
    page.wait_for_selector("#evaluate-errors .heatmaplayer image", state="attached", timeout=60_000)
    expect(page.locator("#evaluate-table tbody tr")).to_have_count(9)
    assert page.locator("#evaluate-maps .heatmaplayer image").count() == 2
    expect(page.locator("#evaluate-stop")).to_be_disabled()
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
    photo, run = page.locator("#photo"), page.get_by_role("button", name="Estimate depth")
    photo.get_by_label("Remove Image").click()
    photo.get_by_label("Capture from camera").click()
    photo.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#photo video')?.videoWidth > 0")  # before that it takes nothing
    photo.get_by_label("capture photo").click()
    expect(page.locator("#status")).to_contain_text("belongs to the photo before")
    run.click()
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
    expect(page.locator("#status")).to_contain_text("belongs to the photo before")
    run.click()
    expect(page.locator("#status")).not_to_contain_text("belongs")
    page.locator("#tabs").get_by_role("tab", name="Statistics").click()
    expect(page.locator("#numbers")).to_contain_text("160 × 128")


def test_who_waits_sees_a_place_in_the_queue(visit: Callable[..., Visitor]) -> None:
    one, two = visit(), visit(fresh=True)
    one.open("?model=nyu-b4")
    two.open()
    one.page.get_by_role("button", name="Estimate depth").click()
    expect(one.page.locator("#progress")).to_contain_text("Downloading")
    two.page.get_by_role("button", name="Estimate depth").click()
    expect(two.page.locator("#progress")).to_contain_text(re.compile(r"queue: \d+/\d+"))
    one.page.locator("#stop").click()
    expect(two.page.locator("#status")).to_contain_text("0.25 s")


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
    expect(page.locator("#zoo-said")).to_contain_text("as they should be", timeout=20_000)
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
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        result = axe.run(page, options={"resultTypes": ["violations"]})
        for violation in result.response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                places = [node["html"][:120] for node in violation["nodes"][:3]]
                found.setdefault(f"{violation['id']}: {violation['help']}", []).append(f"{name} {places}")
        assert no_sideways_scroll(page), name
        visitor.shot(f"{device}-{scheme}-{name}")

    for tab, drawn in DRAWN.items():
        visitor.tab(NAMES[tab])
        page.wait_for_function(drawn)
        look(tab)
    visitor.tab("Files")
    expect(page.locator("#files tbody")).not_to_contain_text("being written", timeout=60_000)
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
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("document.activeElement.innerText || document.activeElement.getAttribute('aria-label') || ''")
        )
        if "3D" in seen:
            break
    assert any("Playroom" in text for text in seen)
    assert "Estimate depth" in seen
    assert "3D" in seen


def test_dark_and_light_redraw_the_figure(visit: Callable[..., Visitor]) -> None:
    visitor = visit(color_scheme="light")
    page = visitor.open()
    ink = "document.querySelector('#heatmap .figure-plot').layout.font.color"
    before = page.evaluate(ink)
    with redrawn(page, "#heatmap"):
        page.get_by_role("button", name="Theme").click()
    assert page.evaluate(ink) != before
