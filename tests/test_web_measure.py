"""The Measure tab and honest metres in Chromium, with mouse, finger and keyboard. Screenshots go to artifacts/."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from test_web_browser import DEPTH, no_sideways_scroll
from web_support import ARTIFACTS, DESKTOP, PHONE, served

from glpn.scene.uncertainty import Uncertainty

pytestmark = pytest.mark.browser
METRES = r"\d+(\.\d+)? m ± \d+(\.\d+)?"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served("embedded", tmp_path_factory.mktemp("measure")) as url:
        yield url


class Visitor:
    """A visitor who measures, with a mouse or with a finger."""

    def __init__(self, page: Page, *, touch: bool) -> None:
        self.page = page
        self.touch = touch
        self.points = page.locator(".measure-point")

    def point(self, x: float, y: float, *, more: int = 1) -> None:
        """Pick a place, as shares of the photo's width and height, and wait until it is drawn."""
        count = self.points.count()
        photo = self.page.locator(".measure-photo")
        photo.scroll_into_view_if_needed()
        frame = photo.bounding_box()
        assert frame is not None
        at = frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]
        if self.touch:
            self.page.touchscreen.tap(*at)
        else:
            self.page.mouse.click(*at)
        expect(self.points).to_have_count(count + more)

    def tab(self, name: str) -> None:
        self.page.locator("#tabs").get_by_role("tab", name=name, exact=True).click()

    def know(self, metres: str, number: int = 0) -> None:
        form = self.page.locator(f"[data-known='{number}']")
        form.get_by_label("In reality this is").fill(metres)
        form.get_by_role("button").click()


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    contexts = []
    problems: list[str] = []

    def new(query: str = "?tab=measure", **options: Any) -> Visitor:
        context = browser.new_context(**DESKTOP | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address + query)
        if "tab=depth" in query:
            page.wait_for_selector(DEPTH, state="attached")
        if "tab=measure" in query:
            page.wait_for_function("document.querySelector('.measure-photo')?.naturalWidth > 0")
        return Visitor(page, touch=bool(options.get("has_touch")))

    yield new
    seen = list(problems)  # a page that closes loads no more
    for context in contexts:
        context.close()
    assert not seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "options"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_one_known_length_scales_every_number(visit: Visit, device: str, options: Any, scheme: str) -> None:
    visitor = visit(**options, color_scheme=scheme)
    page = visitor.page
    visitor.point(0.2, 0.8)
    visitor.point(0.8, 0.6)
    measured = page.locator(".measures output").first
    expect(measured).to_have_text(re.compile(f"^{METRES}$"))
    expect(page.locator(".measure-text")).to_have_text(measured.inner_text())
    before = page.locator("#status .status-line").inner_text()
    page.locator("[data-known] select").select_option(label="door, height: 2 m")
    expect(page.get_by_label("In reality this is")).to_have_value("2")
    page.get_by_role("button", name="Set the scale").click()
    chip = page.locator("#status .chip")
    expect(chip).to_contain_text(re.compile(r"scaled by your length × \d\.\d+"))
    expect(measured).to_have_text("2 m, given by you")
    expect(page.locator(".measure-known")).to_have_count(1)
    assert page.locator("#status .status-line").inner_text() != before
    assert no_sideways_scroll(page)
    violations = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert not [
        (found["id"], found["nodes"][0]["html"]) for found in violations if found["impact"] in ("serious", "critical")
    ]
    page.screenshot(path=ARTIFACTS / f"measure-{device}-{scheme}.png", full_page=True)
    visitor.tab("Statistics")
    expect(page.locator("#numbers")).to_contain_text("One known length sets the scale.")
    expect(chip).to_be_visible()
    chip.get_by_role("button", name="Undo").click()
    expect(chip).to_have_count(0)
    expect(page.locator("#numbers")).not_to_contain_text("One known length")
    assert page.locator("#status .status-line").inner_text() == before


def test_a_length_that_nothing_has_is_refused_in_one_sentence(visit: Visit) -> None:
    visitor = visit()
    visitor.point(0.2, 0.8)
    visitor.point(0.8, 0.6)
    visitor.know("200")
    expect(visitor.page.locator(".toast-body")).to_contain_text("Give metres, not centimetres")
    expect(visitor.page.locator("#status .chip")).to_have_count(0)


def test_the_depth_under_the_cursor_carries_its_doubt_and_asks_nobody(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.locator("#measure-snap").get_by_role("checkbox").uncheck()
    readout = page.locator(".measure-depth")
    page.locator(".measure-photo").hover()
    expect(readout).to_have_text(re.compile(f"^{METRES}$"))
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    elsewhere = readout.inner_text()
    frame = page.locator(".measure-photo").bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + 0.5 * frame["width"], frame["y"] + 0.95 * frame["height"])
    expect(readout).not_to_have_text(elsewhere)
    under = readout.inner_text()
    assert not asked
    visitor.point(0.5, 0.95)
    visitor.point(0.2, 0.8)
    expect(page.locator(".measures small").first).to_contain_text(f"depth {under} and")


@pytest.mark.parametrize(("device", "options"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_paths_areas_angles_and_heights(visit: Visit, device: str, options: Any) -> None:
    visitor = visit(**options)
    page = visitor.page
    kinds = page.locator("#measure-kind")

    def choose(name: str) -> None:
        kinds.get_by_text(name, exact=True).click()

    choose("Area")
    corners = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.4), (0.1, 0.4))
    for corner in corners:
        visitor.point(*corner)
    expect(page.locator(".measures output")).to_have_text(re.compile(r"m² ± "))
    choose("Path")
    for corner in corners[:3]:
        visitor.point(*corner)
    page.get_by_role("button", name="New", exact=True).click()
    expect(page.locator("[data-remove]")).to_have_count(2)
    choose("Angle")
    for corner in corners[:3]:
        visitor.point(*corner)
    expect(page.locator(".measures output").last).to_have_text(re.compile(r"^\d+°$"))
    assert (
        page.evaluate(
            """() => {
          const texts = [...document.querySelectorAll(".measure-text")].map((text) => text.getBoundingClientRect());
          return texts.some((a, i) => texts.slice(0, i).some((b) =>
            a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom));
        }"""
        )
        is False
    )
    page.screenshot(path=ARTIFACTS / f"measure-shapes-{device}.png", full_page=True)
    choose("Height")
    count = visitor.points.count()
    visitor.point(0.5, 0.9, more=0)
    expect(page.locator(".toast-body")).to_contain_text("not reliable with rooms-b0")
    assert visitor.points.count() == count
    page.locator("[data-remove]").first.click()
    expect(page.locator("[data-remove]")).to_have_count(2)
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(visitor.points).to_have_count(0)


@pytest.mark.parametrize(("device", "options"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_how_sure_is_shown_on_request_on_the_depth_and_at_points(visit: Visit, device: str, options: Any) -> None:
    visitor = visit("?tab=depth", **options)
    page = visitor.page
    wanted = page.locator("#sure-wanted").get_by_role("checkbox")
    wanted.check()
    legend = page.locator("#depth .depth-legend")
    expect(legend).to_contain_text(re.compile("hatched", re.IGNORECASE))
    assert no_sideways_scroll(page)
    page.screenshot(path=ARTIFACTS / f"sure-{device}.png", full_page=True)
    wanted.uncheck()
    expect(legend).to_be_hidden()
    visitor.tab("Measure")
    page.wait_for_function("document.querySelector('.measure-photo')?.naturalWidth > 0")
    visitor.point(0.2, 0.8)
    visitor.point(0.8, 0.6)
    expect(page.locator(".measures small").last).to_contain_text("estimates of its points differ by")
    page.locator("#samples").get_by_text("Coffee").click()
    expect(visitor.points).to_have_count(0)
    visitor.point(0.2, 0.8)
    expect(page.locator(".measures")).not_to_contain_text("estimates of its points")
    page.get_by_role("button", name="How sure?").click()
    expect(page.locator(".measures")).to_contain_text("estimates of its points differ by")


def test_measurements_are_copied(visit: Visit) -> None:
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    page = visitor.page
    visitor.point(0.2, 0.8)
    visitor.point(0.8, 0.6)
    page.get_by_role("button", name="Copy as text").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    text = page.evaluate("navigator.clipboard.readText()")
    assert re.match(rf"distance \d+ \d+ – \d+ \d+: {METRES}\nMean error on ", text)
    page.get_by_role("button", name="Copy as CSV").click()
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.startsWith('kind,value,unit'))")


def test_the_keyboard_measures_and_scales(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.locator(".measure-stage").focus()
    for key in ("ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(visitor.points).to_have_count(1)
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".measure-depth")).to_be_visible()
    page.keyboard.press("Enter")
    expect(visitor.points).to_have_count(2)
    page.get_by_label("In reality this is").focus()
    page.keyboard.type("0.5")
    page.keyboard.press("Enter")
    expect(page.locator("#status .chip")).to_contain_text("scaled by your length")


def test_the_link_carries_the_scale_and_another_photo_drops_it(visit: Visit) -> None:
    visitor = visit("?sample=colleagues&tab=measure")
    page = visitor.page
    visitor.point(0.2, 0.8)
    visitor.point(0.8, 0.6)
    visitor.know("1.5")
    chip = page.locator("#status .chip")
    expect(chip).to_be_visible()
    page.get_by_role("button", name="Copy link").click()
    box = page.locator("#link-box input, #link-box textarea")
    expect(box).to_have_value(re.compile(r"scale=\d"))
    link = box.input_value()
    other = visit("?" + link.partition("?")[2])
    expect(other.page.locator("#status .chip")).to_contain_text("scaled by the link")
    page.locator("#samples").get_by_text("Coffee").click()
    expect(chip).to_have_count(0)
    expect(visitor.points).to_have_count(0)


def test_the_page_writes_metres_as_python_does(visit: Visit) -> None:
    page = visit().page
    values = [0.0, 0.00123, 0.0856, 0.297, 0.999, 1.0, 2.345, 9.949, 9.951, 12.44, 79.6, 123.4, 1234.0]
    doubts = [Uncertainty(*given, "") for given in ((0.35, False), (0.098, True), (0.01, False), (None, False))]
    expected = [doubt.text(value) for doubt in doubts for value in values]
    written = page.evaluate(
        """async ([values, doubts]) => {
          const { metres } = await import(new URL("glpn-assets/js/metres.js", document.baseURI));
          return doubts.flatMap((doubt) => values.map((value) => metres(value, doubt)));
        }""",
        [values, json.loads(json.dumps([doubt.to_dict() for doubt in doubts]))],
    )
    assert written == expected


def test_measured_lines_move_with_the_3d_photo(visit: Visit) -> None:
    visitor = visit(reduced_motion="no-preference")
    page = visitor.page
    visitor.point(0.2, 0.8)
    visitor.point(0.8, 0.6)
    visitor.tab("3D photo")
    page.wait_for_selector(".photo3d[data-state=moving]")
    line = page.locator("#photo3d .measure-line")
    expect(line).to_have_count(1)
    expect(page.locator("#photo3d .measure-text")).to_have_text(re.compile(METRES))
    before = line.get_attribute("d")
    assert before
    expect(line).not_to_have_attribute("d", before)
    page.screenshot(path=ARTIFACTS / "measured-in-3d-photo.png")
    visitor.tab("Measure")
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(visitor.points).to_have_count(0)
    visitor.tab("3D photo")
    expect(line).to_have_count(0)


def test_metres_under_the_cursor_of_the_scene_carry_their_doubt_and_measured_lines_stand_in_it(visit: Visit) -> None:
    visitor = visit("?tab=measure&detail=draft", viewport={"width": 900, "height": 640})
    page = visitor.page
    visitor.point(0.2, 0.8)
    visitor.point(0.8, 0.6)
    length = page.locator(".measures output").first.inner_text()
    visitor.tab("3D")
    page.wait_for_function("document.querySelector('#surface .figure-plot')?._fullLayout?.scene?._scene?.glplot")
    texts = "document.querySelector('#surface .figure-plot').data[1].text"
    assert length in page.evaluate(texts)
    frame = page.locator("#surface canvas").first.bounding_box()
    assert frame is not None
    for x in (0.5, 0.52):
        page.mouse.move(frame["x"] + x * frame["width"], frame["y"] + 0.6 * frame["height"])
    hover = page.locator("#surface .hovertext")
    expect(hover).to_contain_text(re.compile(r"\d m away.*all ± \d+ %"))
    page.screenshot(path=ARTIFACTS / "measured-in-3d.png")
