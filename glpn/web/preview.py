"""What a link to the page shows where it is shared: a title, a sentence, and a picture of the sample that it names."""

import io
import re
from collections.abc import Iterable
from functools import lru_cache
from html import escape
from urllib.parse import parse_qsl

from gradio.route_utils import get_root_url
from PIL import Image, ImageDraw, ImageFont, ImageOps
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from glpn.scene.color_bar import draw_color_bar
from glpn.scene.figures import COLOR_MAPS, colorize
from glpn.scene.look import Look

from .choices import Choices
from .parts.components import ASSETS_URL, asset
from .samples import BY_ID, FIRST, Sample, finished

TITLE = "GLPN Depth Zoo"
PROMISE = "Turn one photo into 3D, with distances in metres."
DESCRIPTION = (
    "Drop a photo: it moves in depth, and every pixel has a distance in metres with its uncertainty. A small model is "
    "built in; GLPN checkpoints from the Hugging Face Hub run as well."
)
SIZE = (1200, 630)
PICTURE = f"{ASSETS_URL}/preview/{{name}}.jpg"
_HEAD_END = b"window.gradio_config"
# Gradio's template brings tags of its own twice over, and names a manifest that is not served.
_FOREIGN = re.compile(rb"<meta\s+(?:property|name)=\"(?:og|twitter):[^>]*>\s*")
_MANIFEST_LINK = b'<link rel="manifest" href="/manifest.json" />'


class Preview:
    """ASGI middleware: puts the page's own tags in the place of those in Gradio's template.

    models      that a link may name
    root_path   path or address at which a proxy offers the page
    """

    def __init__(self, app: ASGIApp, *, models: Iterable[str], root_path: str = "") -> None:
        self.app = app
        self.models = tuple(models)
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or scope["method"] != "GET" or path not in ("", "/"):
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = bytearray()

        async def rewritten(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            content = bytes(body)
            if Headers(raw=start["headers"]).get("content-type", "").startswith("text/html"):
                content = self._with_tags(content, Request(scope))
                MutableHeaders(raw=start["headers"])["content-length"] = str(len(content))
            await send(start)
            await send({"type": "http.response.body", "body": content})

        await self.app(scope, receive, rewritten)

    def _with_tags(self, page: bytes, request: Request) -> bytes:
        root = get_root_url(request, "/", self.root_path or None)
        query = dict(parse_qsl(request.url.query))
        choices, _ = Choices.parse(query, models=self.models, samples=BY_ID)
        named = bool({"model", "sample"} & query.keys())
        own = tags(choices, root, query=choices.query() if named else "").encode()
        head, mark, rest = page.partition(_HEAD_END)
        before, opened, after = _FOREIGN.sub(b"", head).partition(b'<meta charset="utf-8" />')
        return before + opened + own + after + mark + rest.replace(_MANIFEST_LINK, b"", 1)


def tags(choices: Choices, root: str, *, query: str = "") -> str:
    """Return the tags for the page at `root`, an address without its last slash, as `choices` show it."""
    sample = BY_ID.get(choices.sample)
    title = f"{sample.title} in 3D, with distances in metres · {TITLE}" if sample else f"{TITLE}. {PROMISE}"
    shown = sample or FIRST
    picture = f"{root}/{PICTURE.format(name=f'{shown.id}-{choices.colors}')}"
    alt = f"{shown.title}: a photo, and next to it its depth in colors with a scale in metres"
    named = {
        "description": DESCRIPTION,
        "twitter:card": "summary_large_image",
        "twitter:title": title,
        "twitter:description": DESCRIPTION,
        "twitter:image": picture,
        "twitter:image:alt": alt,
    }
    properties = {
        "og:type": "website",
        "og:site_name": TITLE,
        "og:title": title,
        "og:description": DESCRIPTION,
        "og:url": f"{root}/{'?' if query else ''}{query}",
        "og:image": picture,
        "og:image:width": str(SIZE[0]),
        "og:image:height": str(SIZE[1]),
        "og:image:alt": alt,
    }
    lines = [f"<title>{escape(title)}</title>", '<link rel="icon" type="image/png" href="favicon.ico" />']
    lines.append(f"<script>{asset('language_choice.js')}</script>")
    for kind, pairs in (("name", named), ("property", properties)):
        lines += [f'<meta {kind}="{name}" content="{escape(value)}" />' for name, value in pairs.items()]
    return "\n" + "\n".join(lines)


def picture(request: Request) -> Response:
    """Answer a request for PICTURE."""
    id_, _, colors = request.path_params["name"].partition("-")
    if id_ not in BY_ID or colors not in COLOR_MAPS:
        raise HTTPException(404)
    return Response(_drawn(BY_ID[id_], colors), media_type="image/jpeg", headers={"cache-control": "max-age=86400"})


@lru_cache(maxsize=64)
def _drawn(sample: Sample, colors: str) -> bytes:
    """Return the photo and its depth side by side as a JPEG file of SIZE."""
    prediction = finished(sample)
    assert prediction.photo is not None
    look = Look(colors=colors)
    card = Image.new("RGB", SIZE, "#0f172a")
    tile = (520, 520)
    for x, rgb in ((24, prediction.photo.rgb), (556, colorize(prediction.depth_m, look))):
        card.paste(ImageOps.fit(Image.fromarray(rgb), tile), (x, 24))
    draw_color_bar(card, prediction.depth_m, look, (1096, 64, 1122, 544), ink="#f8fafc")
    draw = ImageDraw.Draw(card)
    draw.text((24, 600), TITLE, "#f8fafc", ImageFont.load_default(40), "ls")
    draw.text((1176, 600), PROMISE, "#cbd5e1", ImageFont.load_default(26), "rs")
    file = io.BytesIO()
    card.save(file, "JPEG", quality=88, optimize=True)
    return file.getvalue()
