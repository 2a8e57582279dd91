"""What a shared link shows: the tags in the page, and the pictures that they name."""

import asyncio
import io
import re
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest
from gradio.routes import templates
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from glpn.scene.color_bar import MOST_TICKS, depth_picture, draw_color_bar, ticks
from glpn.scene.figures import COLOR_MAPS, colorize
from glpn.scene.look import Look
from glpn.web.preview import PICTURE, SIZE, Preview, picture
from glpn.web.samples import SAMPLES

CONFIG: dict[str, Any] = {"title": "x", "root": "", "thumbnail": None}


def gradios(request: Request) -> Response:
    """The page as Gradio's own template gives it."""
    context = {"config": CONFIG, "gradio_api_info": {"named": '<meta property="og:kept" content="in the data">'}}
    return templates.TemplateResponse(request=request, name="frontend/index.html", context=context)


def app(root_path: str = "") -> Starlette:
    routes = [
        Route("/", gradios),
        Route("/config", lambda request: JSONResponse({})),
        Route(f"/{PICTURE}", picture),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Preview, models=["rooms-b0"], root_path=root_path)])


def asked(path: str, *, root_path: str = "", **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app(root_path))
        async with httpx.AsyncClient(transport=transport, base_url="http://depth.example.org") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


class Head(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.meta: list[tuple[str, str]] = []
        self.links: list[dict[str, str | None]] = []
        self.lang: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "meta":
            self.meta.append((str(values.get("property") or values.get("name")), str(values.get("content"))))
        elif tag == "link":
            self.links.append(values)
        elif tag == "html":
            self.lang = values.get("lang")


def test_a_page_has_one_right_set_of_tags() -> None:
    page = asked("/").text
    head = Head(page)
    names = [name for name, _ in head.meta if name.startswith(("og:", "twitter:", "description"))]
    assert len(names) == len(set(names))
    meta = dict(head.meta)
    assert meta["og:url"] == "http://depth.example.org/"
    assert meta["og:title"].startswith("GLPN Depth Zoo")
    assert meta["og:image"] == meta["twitter:image"] == "http://depth.example.org/glpn-assets/preview/sofa-plasma.jpg"
    assert meta["twitter:card"] == "summary_large_image"
    assert meta["description"] == meta["og:description"]
    assert head.lang == "en"
    assert any(link["rel"] == "icon" for link in head.links)
    assert not any(link["rel"] == "manifest" for link in head.links)
    assert "Gradio" not in "".join(meta.values())
    assert '<meta property="og:kept"' in unescape(page).replace("\\u003c", "<").replace('\\"', '"')


def test_a_link_to_a_sample_shows_that_sample() -> None:
    meta = dict(Head(asked("/?model=rooms-b0&sample=coffee&colors=viridis&x=%3Cb%3E").text).meta)
    assert meta["og:title"].startswith("Coffee in 3D")
    assert meta["og:image"].endswith("/preview/coffee-viridis.jpg")
    assert meta["og:url"] == "http://depth.example.org/?model=rooms-b0&sample=coffee&colors=viridis"


def test_addresses_are_those_that_people_reach_the_page_at() -> None:
    meta = dict(Head(asked("/?sample=living", **{"X-Forwarded-Proto": "https"}).text).meta)
    assert meta["og:image"].startswith("https://depth.example.org/glpn-assets/")
    meta = dict(Head(asked("/", root_path="https://example.org/depth").text).meta)
    assert meta["og:url"] == "https://example.org/depth/"


@given(st.dictionaries(st.sampled_from(["sample", "model", "colors", "tab"]), st.text(max_size=30)))
def test_no_link_brings_anything_of_its_own_into_the_page(query: dict[str, str]) -> None:
    page = asked(str(httpx.URL("/", params=query))).text
    meta = [value for name, value in Head(page).meta if name.startswith(("og:", "twitter:"))]
    assert not any("<" in value or '"' in value for value in meta)
    assert httpx.URL(dict(Head(page).meta)["og:url"]).host == "depth.example.org"


def test_every_other_answer_is_left_alone() -> None:
    assert asked("/config").json() == {}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.id)
def test_each_sample_has_its_picture(sample: Any) -> None:
    answer = asked(f"/glpn-assets/preview/{sample.id}-{next(iter(COLOR_MAPS))}.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert len(answer.content) < 300_000  # what some sites take at most
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == SIZE


@pytest.mark.parametrize("name", ["none-turbo", "living", "living-none", "living-turbo.jpg", "..-turbo"])
def test_there_are_no_other_pictures(name: str) -> None:
    assert asked(f"/glpn-assets/preview/{name}.jpg").status_code == 404


# ----------------------------------------------------------------------------------------------------- the color bar


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_ticks_are_round_and_within_the_range(near: float, span: float) -> None:
    found = ticks(near, near + span)
    assert 2 <= len(found) <= MOST_TICKS
    assert near * (1 - 1e-6) <= found[0] < found[-1] <= (near + span) * (1 + 1e-6)
    assert len({round(b - a, 9) for a, b in pairwise(found)}) == 1
    assert all(re.fullmatch(r"\d+(\.\d+)?", f"{tick:g}") for tick in found)


def test_the_bar_has_the_colors_of_the_map_far_above_near() -> None:
    depth = np.linspace(1, 5, 200, dtype=np.float32)[:, None].repeat(50, 1)
    look = Look(range_m=(1, 5))
    card = Image.new("RGB", (100, 240), "#ffffff")
    draw_color_bar(card, depth, look, (10, 20, 30, 220))
    bar = np.asarray(card)[20:220, 20].astype(int)
    assert np.abs(bar[::-1] - colorize(depth, look)[:, 0]).max() <= 4
    assert np.asarray(card)[:, 40:].min() < 128  # numbers stand next to it


@pytest.mark.parametrize("size", [(480, 640), (3000, 2000), (32, 32), (64, 900)])
def test_a_picture_of_any_size_holds_map_bar_and_note(size: tuple[int, int]) -> None:
    depth = np.linspace(1, 5, size[0], dtype=np.float32)[:, None].repeat(size[1], 1)
    image = depth_picture(depth, note="± 32 % of each distance", side=1024)
    bare = depth_picture(depth, side=1024)
    assert bare.width > bare.height * size[1] / size[0] * 0.9
    assert image.width <= 1024 + 28 * 6
    assert image.width == bare.width and image.height > bare.height
    assert np.asarray(image)[bare.height :].min() < 128
