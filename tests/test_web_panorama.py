"""The 360° page: what it takes for a 360° photo, one turn a view, and the view from inside in Chromium."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect
from test_panorama import photo_of, room
from web_support import ARTIFACTS, DESKTOP, PHONE, served

from glpn.errors import Cancelled, GLPNError, PhotoNotFound, PhotoUnreadable
from glpn.panorama import VIEWS
from glpn.scene.depth_files import read_depth
from glpn.web.choices import Choices
from glpn.web.pages.panorama import estimate_around, why
from glpn.web.runner import Engine
from glpn.web.session import Session

XMP = b'<x xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" GPano:ProjectionType="equirectangular"/>'


def picture(path: Path, *, stated: bool = False) -> str:
    """Write the room all around, 512 × 256, with or without the metadata of a 360° photo."""
    Image.fromarray(photo_of(room(256)).rgb).save(path, quality=95, **({"xmp": XMP} if stated else {}))
    return str(path)


def run(session: Session, engine: Engine, folder: Path, path: str | None) -> list[dict[str, Any]]:
    return list(estimate_around(session, engine, folder, path, "rooms-b0", Choices()))


def test_metadata_state_a_360_photo_and_a_shape_asks(tmp_path: Path) -> None:
    assert why(picture(tmp_path / "a.jpg", stated=True)) == "stated"
    assert why(picture(tmp_path / "b.jpg")) == "shape"
    Image.new("RGB", (400, 300)).save(tmp_path / "c.jpg", xmp=XMP)  # a strip of a panorama
    (tmp_path / "d.jpg").write_bytes(b"no picture")
    assert [why(path) for path in (str(tmp_path / "c.jpg"), str(tmp_path / "d.jpg"), None)] == ["", "", ""]


def test_a_360_photo_becomes_a_view_and_files(session: Session, engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    *steps, last = run(session, engine, out, picture(tmp_path / "hall.jpg"))
    assert any(f" of {len(VIEWS)}." in step["progress"] for step in steps)
    assert {path.name for path in out.iterdir()} == {
        "picture.jpg",
        "distances.png",
        "hall_distance_m.npy",
        "hall_distance_mm.png",
        "hall_distance_color.png",
        "hall_360_points.ply",
    }
    assert last["view"]["uncertainty"]["at_least"] and "estimate of estimates" in last["files"]
    assert re.search(r"<dd>\d.* m ± .* or more</dd>", last["files"])
    assert last["files"].count("<a ") == 4
    distance_m = np.load(out / "hall_distance_m.npy")
    with Image.open(out / "distances.png") as png:
        assert png.size == distance_m.shape[::-1] == (512, 256)
    assert np.abs(read_depth(out / "hall_distance_mm.png", 1000) - distance_m).max() < 1e-3


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [(None, PhotoNotFound, "no 360° photo yet"), ("flat.png", PhotoUnreadable, "flat.png is 400 × 300")],
)
def test_what_is_no_360_photo_is_one_sentence(
    session: Session, engine: Engine, tmp_path: Path, name: str | None, error: type[GLPNError], says: str
) -> None:
    Image.new("RGB", (400, 300)).save(tmp_path / "flat.png")
    with pytest.raises(error, match=says):
        run(session, engine, tmp_path / "out", name and str(tmp_path / name))
    assert not (tmp_path / "out").exists()


def test_stop_ends_it_between_views_and_leaves_nothing(session: Session, engine: Engine, tmp_path: Path) -> None:
    steps = estimate_around(session, engine, tmp_path / "out", picture(tmp_path / "a.jpg"), "rooms-b0", Choices())
    with pytest.raises(Cancelled):
        for step in steps:
            if "View " in step["progress"] or "Loading" in step["progress"]:
                session.stop.set()
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served("embedded", tmp_path_factory.mktemp("around")) as url:
        yield url


def drawn(page: Page) -> np.ndarray:
    """The stage's pixels."""
    png = page.locator(".around-stage canvas").screenshot()
    (ARTIFACTS / "around-stage.png").write_bytes(png)
    with Image.open(ARTIFACTS / "around-stage.png") as image:
        return np.asarray(image.convert("RGB"), np.float32)


def marked(path: Path) -> str:
    """Write the room all around with a red mark ahead, a green one to the right, a blue one behind."""
    rgb = photo_of(room(256)).rgb.copy()
    for middle, channel in ((256, 0), (384, 1), (512, 2)):
        columns = np.arange(middle - 12, middle + 12) % 512
        rgb[112:144, columns] = 0
        rgb[112:144, columns, channel] = 255
    Image.fromarray(rgb).save(path, quality=95, subsampling=0)
    return str(path)


@pytest.mark.browser
@pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="needs /usr/bin/chromium")
@pytest.mark.parametrize("options", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_photo_dropped_on_estimate_is_seen_from_inside(
    browser, address: str, tmp_path: Path, options: dict[str, Any]
) -> None:
    """Offered, taken, looked around; the metres at the cross are those of the file."""
    context: BrowserContext = browser.new_context(**options)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(".photo3d[data-state=moving]")
    expect(page.locator("#around-offer button")).to_have_count(0)
    page.locator("#photo").get_by_label("Remove Image").click()
    page.locator("#photo input[type=file]").set_input_files(marked(tmp_path / "hall.png"))
    page.get_by_role("button", name="Is this a 360° photo?").click()
    expect(page.locator("#pages").get_by_role("tab", name="360°")).to_have_attribute("aria-selected", "true")
    page.wait_for_function("document.querySelector('.around').dataset.drawn > 0")
    with page.expect_download() as download:
        page.get_by_role("link", name="NumPy array").click()
    distance_m = np.load(download.value.path())
    assert distance_m.shape == (256, 512)
    stage = page.locator(".around-stage")
    for keys, channel, column in (([], 0, 256), (["ArrowRight"] * 10, 1, 384), (["ArrowRight"] * 10, 2, 0)):
        for key in keys:
            stage.press(key)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        height, width = drawn(page).shape[:2]
        middle = drawn(page)[height // 2 - 40 : height // 2 - 20, width // 2 - 20 : width // 2 - 10].mean(axis=(0, 1))
        assert middle.argmax() == channel and middle.max() > 200 and np.sort(middle)[1] < 60
        if keys:
            there = float(distance_m[128, column])
            said = page.locator(".around-said").text_content() or ""
            assert float(re.search(r": ([\d.]+) m ± ", said)[1]) == pytest.approx(there, abs=0.06)  # type: ignore[index]
    page.get_by_role("button", name="Distances").click()
    stage.press("Home")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=ARTIFACTS / f"around-{options['viewport']['width']}.png", full_page=True)
    context.close()
