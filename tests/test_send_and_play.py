"""Send and Play on the page, from a visitor's own photo to a file; and what the server refuses to write."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from test_photo3d_browser import CHROMIUM
from web_support import served

from glpn.errors import ConfigError, ExportError, GLPNError
from glpn.scene.effects import cut_out
from glpn.web import drawing
from glpn.web.actions import example
from glpn.web.parts.play import FILE_USES, saved
from glpn.web.samples import BY_ID, FOLDER
from glpn.web.session import Session

# --------------------------------------------------------------------------------------------------- the server


@pytest.fixture
def session(tmp_path: Path) -> Session:
    session = Session(tmp_path)
    session.show(example(BY_ID["coffee"]))
    return session


def test_every_use_becomes_a_file_of_the_photos_size(session: Session, tmp_path: Path) -> None:
    for use in FILE_USES:
        value = saved(session, use, 0.7, 0.03)
        assert value["depthUrl"] == drawing.play(session.result, session.folder)["depthUrl"]  # type: ignore[arg-type]
        path = Path(value["saved"]["url"].removeprefix("gradio_api/file="))
        assert path.is_relative_to(session.folder) and path.name == value["saved"]["name"]
        assert path.name.startswith(f"{session.result.name}_{use}_0.70m.")  # type: ignore[union-attr]
        if use == "contours":
            assert path.read_text(encoding="utf-8").startswith("<svg")
            continue
        with Image.open(path) as image:
            assert image.size == (600, 400) and image.mode == ("RGBA" if use == "cutout" else "RGB")


def test_the_cut_out_is_cut_at_the_distance(session: Session) -> None:
    assert session.result is not None
    near, far = (saved(session, "cutout", metres, 0.03)["saved"]["url"] for metres in (0.55, 5.0))
    with Image.open(near.removeprefix("gradio_api/file=")) as image:
        some = np.asarray(image)[..., 3]
    with Image.open(far.removeprefix("gradio_api/file=")) as image:
        assert (np.asarray(image)[..., 3] == 255).all()
    raw = cut_out(session.result.photo.rgb, session.result.prediction.depth_m, 0.55)[..., 3]
    assert 0 < (some > 127).mean() < 1
    assert np.abs((some > 127).mean() - (raw > 127).mean()) < 0.05, "as the depth map says, with the photo's edges"


@pytest.mark.parametrize(
    ("use", "distance_m", "aperture", "error", "named"),
    [
        ("../../etc", 1.0, 0.03, ConfigError, "Play has no"),
        (None, 1.0, 0.03, ConfigError, "Play has no"),
        ("zip", 1.0, 0.03, ConfigError, "Play has no"),
        ("fog", "1.0", 0.03, ConfigError, "Give a number"),
        ("fog", float("nan"), 0.03, ConfigError, "metres"),
        ("fog", 1e9, 0.03, ConfigError, "metres"),
        ("focus", 1.0, [], ConfigError, "Give a number"),
        ("focus", 1.0, 5, ConfigError, "aperture"),
    ],
)
def test_what_the_page_never_sends_is_refused(session: Session, use, distance_m, aperture, error, named) -> None:
    with pytest.raises(error, match=named):
        saved(session, use, distance_m, aperture)
    assert not list(session.folder.rglob("*_fog*"))


def test_without_result_or_room_it_says_so(session: Session) -> None:
    session.has_room = lambda: False
    with pytest.raises(ExportError, match="no room"):
        saved(session, "fog", 1.0, 0.03)
    session.result = None
    with pytest.raises(GLPNError, match="result has expired"):
        saved(session, "fog", 1.0, 0.03)


# ----------------------------------------------------------------------------------------------------- the page


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served("embedded", tmp_path_factory.mktemp("embedded")) as url:
        yield url


@pytest.fixture(params=[(1400, 900), (390, 844)], ids=["wide", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    width, height = request.param
    phone = width < 600
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=phone, is_mobile=phone, accept_downloads=True
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert not problems


def browser_test(function):
    skip = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs /usr/bin/chromium")
    return pytest.mark.browser(skip(function))


@browser_test
def test_three_taps_from_a_photo_to_a_moving_picture_that_is_shared(page: Page, address: str) -> None:
    page.add_init_script("""navigator.canShare = ({files}) => files.every(({type}) => type === 'image/gif');
        navigator.share = async ({files}) => { window.sent = {name: files[0].name, size: files[0].size}; };""")
    page.goto(address)
    page.wait_for_selector(".photo3d[data-state=moving]")
    still = page.locator(".photo3d-still").get_attribute("src")
    requests: list[str] = []
    page.set_input_files("#photo input[type=file]", FOLDER / "living.jpg")
    expect(page.locator(".photo3d-still")).not_to_have_attribute("src", str(still))
    page.wait_for_selector(".photo3d[data-state=moving]")
    page.on("request", lambda request: requests.append(request.method))

    send = page.get_by_role("button", name="Send …")
    assert send.get_attribute("aria-expanded") == "false"
    send.click()
    assert send.get_attribute("aria-expanded") == "true"
    page.get_by_role("button", name="GIF").click()
    page.get_by_role("button", name="Share").click()
    violations = Axe().run(page, context="#photo3d").response["violations"]
    assert not [found["id"] for found in violations if found["impact"] in ("serious", "critical")]

    sent = page.evaluate("sent")
    assert sent["name"] == "living_3d.gif" and 10_000 < sent["size"] < 4_000_000
    expect(page.locator(".send-message")).to_have_text("living_3d.gif is ready.")
    assert "POST" not in requests, "nothing is uploaded"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@browser_test
def test_a_picture_of_play_comes_from_the_server(page: Page, address: str) -> None:
    page.goto(f"{address}?tab=play&sample=coffee")
    page.wait_for_function("document.querySelector('.play')?.play?.live")
    page.get_by_label("Fog").check()
    page.locator("[name=distance]").press("ArrowRight")
    metres = page.evaluate("document.querySelector('.play').play.settings.distance_m")
    expect(page.locator(".play-distance output")).to_contain_text(f"{metres:.2f} m")
    for _ in range(2):  # the same again is a file again
        with page.expect_download() as download:
            page.get_by_role("button", name="full size").click()
        assert download.value.suggested_filename == f"coffee_fog_{metres:.2f}m.jpg"
    with Image.open(io.BytesIO(download.value.path().read_bytes())) as image:
        assert image.size == (600, 400)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
