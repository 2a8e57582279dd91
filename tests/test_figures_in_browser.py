"""Chromium draws the figures of the stand-alone page and complains of nothing."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from glpn.camera import Camera
from glpn.photo import load_photo
from glpn.prediction import DepthPrediction
from glpn.scene.export import write
from glpn.scene.figures import surface_figure
from glpn.scene.look import Look

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM.exists(), reason="needs /usr/bin/chromium")]
PATIENCE_MS = 120_000  # software WebGL on a busy core


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, Camera, np.ndarray]:
    """A red box near at the left, a blue one further at the right, before a gray wall."""
    depth_m = np.full((120, 160), 4, np.float32)
    rgb = np.full((120, 160, 3), 150, np.uint8)
    depth_m[40:90, 20:60], rgb[40:90, 20:60] = 3.0, (230, 0, 0)
    depth_m[20:60, 105:140], rgb[20:60, 105:140] = 3.5, (0, 0, 230)
    return depth_m, Camera.from_fov(50, (120, 160)), rgb


def complaints_of(page: Page) -> list[str]:
    """Collect what the page complains of from now on; notes of the browser on its own speed are none."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found


def picture(page: Page, selector: str) -> np.ndarray:
    """(H, W, 3) float: what is seen of the element, once something red is: WebGL is some frames late."""
    for _ in range(600):  # each takes a while: software WebGL on a busy core
        with Image.open(io.BytesIO(page.locator(selector).screenshot())) as image:
            seen = np.asarray(image.convert("RGB")).astype(float)
        if np.count_nonzero((seen[..., 0] > 90) & (seen[..., 1:] < 40).all(axis=-1)) > 200:
            return seen
    raise AssertionError("the red box is not seen")


def middle_of(image: np.ndarray, strong: int, weak: int) -> tuple[float, float]:
    """Return (x, y), 0 to 1, of the middle of what shines in channel `strong` and not in `weak`."""
    rows, cols = np.nonzero((image[..., strong] > 90) & (image[..., weak] < 40) & (image[..., 1] < 40))
    assert rows.size > 200, "the box is not seen"
    return cols.mean() / image.shape[1], rows.mean() / image.shape[0]


def test_the_stand_alone_page_turns_without_a_network(browser: Browser, scene, tmp_path) -> None:
    depth_m, camera, rgb = scene
    prediction = DepthPrediction(
        depth_m=depth_m,
        variant="rooms-b0",
        max_depth_m=10.0,
        working_size=(96, 128),
        seconds=0.1,
        camera=camera,
        notes=("a <b>note</b>",),
        photo=load_photo(rgb),
    )
    [path] = write(prediction, tmp_path, ["html"], stem="desk & chair")
    context = browser.new_context(offline=True, viewport={"width": 900, "height": 1500})
    page = context.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    complaints = complaints_of(page)
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready=true]")
    assert page.title() == "desk & chair: depth in metres"
    assert "a <b>note</b>" in page.inner_text("body")
    buttons = page.eval_on_selector_all(".modebar-btn", "all => all.map(one => one.dataset.title)")
    assert buttons and not any("cloud" in (title or "").lower() or "edit" in (title or "").lower() for title in buttons)

    box = page.locator("#heatmap .nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.55)
    page.wait_for_selector("#heatmap .hovertext")
    hover = page.text_content("#heatmap .hovertext") or ""
    assert re.fullmatch(r"x (39|40), y 6\d · 3\.0 m ± \d+ %", hover)

    before = picture(page, "#surface")
    red, blue = middle_of(before, 0, 2), middle_of(before, 2, 0)
    assert red[0] < blue[0] and red[1] > blue[1]
    eye = "(({x, y, z}) => [x, y, z])(document.getElementById('surface')._fullLayout.scene._scene.getCamera().eye)"
    eye_before = page.evaluate(eye)
    area = page.locator("#surface").bounding_box()
    assert area is not None
    x, y = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 20, steps=6)
    page.mouse.up()
    page.wait_for_function(f"before => {eye}.some((value, i) => Math.abs(value - before[i]) > 0.01)", arg=eye_before)
    assert abs(picture(page, "#surface") - before).mean() > 1
    assert complaints == []
    assert requests == [path.as_uri()]
    context.close()


def test_a_browser_that_can_not_unpack_is_told(browser: Browser, scene, tmp_path) -> None:
    depth_m, camera, _ = scene
    prediction = DepthPrediction(
        depth_m=depth_m, variant="v", max_depth_m=10.0, working_size=(96, 128), seconds=0.1, camera=camera
    )
    [path] = prediction.write(tmp_path, ["html"])
    page = browser.new_context().new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(path.as_uri())
    page.get_by_text("This browser can't unpack the figures.").wait_for()
    page.close()


def test_a_viewpoint_survives_restyling(browser: Browser, scene) -> None:
    from plotly.offline import get_plotlyjs

    depth_m, camera, rgb = scene
    page = browser.new_context().new_page()
    complaints = complaints_of(page)
    page.set_content("<div id=figure style='width:600px;height:450px'></div>")
    page.add_script_tag(content=get_plotlyjs())
    show = (
        "text => {const {data, layout} = JSON.parse(text); return Plotly.react('figure', data, layout).then(() => 0)}"
    )
    page.evaluate(show, surface_figure(depth_m, camera, rgb, Look(texture="depth")).to_json())
    page.mouse.move(300, 200)
    page.mouse.down()
    page.mouse.move(380, 240, steps=5)
    page.mouse.up()
    eye = "JSON.stringify(document.getElementById('figure')._fullLayout.scene.camera.eye)"
    first = page.evaluate(
        "text => JSON.stringify(JSON.parse(text).layout.scene.camera.eye)",
        surface_figure(depth_m, camera, rgb, Look(texture="depth")).to_json(),
    )
    page.wait_for_function(f"first => {eye} !== first", arg=first)
    turned = page.evaluate(eye)
    page.evaluate(show, surface_figure(depth_m, camera, rgb, Look(style="mesh")).to_json())
    assert page.evaluate(eye) == turned
    assert complaints == []
    page.close()


def test_back_from_depth_the_photo_has_its_own_colors(browser: Browser, scene) -> None:
    from plotly.offline import get_plotlyjs

    depth_m, camera, rgb = scene
    page = browser.new_context().new_page()
    page.set_content("<div id=figure style='width:600px;height:450px'></div>")
    page.add_script_tag(content=get_plotlyjs())
    for texture in ("depth", "photo"):
        figure = surface_figure(depth_m, camera, rgb, Look(texture=texture)).to_json(remove_uids=False)
        page.evaluate("t => Plotly.react('figure', JSON.parse(t).data, JSON.parse(t).layout).then(() => 0)", figure)
        page.wait_for_function("document.getElementById('figure')._fullLayout.scene._scene.glplot")
        if texture == "depth":  # it is drawn with its colors
            page.wait_for_function("document.getElementById('figure').data[0].intensity")
    seen = picture(page, "#figure")  # waits until the red box is as red as in the photo
    gray = seen[np.ptp(seen, axis=-1) < 4]
    assert np.count_nonzero((gray > 130) & (gray < 170)) > 1000  # the wall
    page.close()
