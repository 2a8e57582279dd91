"""A visitor's own photo as the page shows it next to its choices: small, where the file itself has megabytes.

Gradio shows a photo that was just chosen by its address, so that the browser fetches back what it has sent.
"""

import asyncio
import io
import re
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from glpn.errors import GLPNError
from glpn.photo import Photo, Size

from .decoded import Decoded
from .uploads import Uploads

FILE = re.compile(r"/gradio_api/file=(.+)$", re.DOTALL)
LEAST_SIDE = 800  # pixels, longer side: a photo's place has half of that, and screens of two pixels a point fill it
MOST_SIDE = 1024  # a fourth of most phones' photos, as it is decoded for the estimate, needs no resizing
QUALITY = 70
PLAIN_BYTES = 60_000  # about what a thumbnail takes: a smaller file is sent as it is
JPEG = b"\xff\xd8\xff"  # the first bytes; decoded at a fraction of its size, it takes little time and memory


class Thumbnails:
    """ASGI middleware: answers an <img> that asks for an uploaded JPEG with a smaller one. Other requests go on.

    An <img> is told by its Accept header, so that who fetches the file by its address gets the file.

    decoded   holds the photo for its estimate
    least     gives the (height, width) that an estimate needs of a photo of that size
    """

    def __init__(self, app: ASGIApp, *, uploads: Uploads, decoded: Decoded, least: Callable[[Size], Size]) -> None:
        self.app = app
        self.uploads = uploads
        self.decoded = decoded
        self.least = least
        self._one = asyncio.Lock()  # one at a time: many at once would take the estimates' processors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: ASGIApp = self.app
        named = FILE.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if named and _is_for_show(Headers(scope=scope)):
            data = await self._made(named[1])
            if data is not None:
                headers = {"cache-control": "private, max-age=3600", "vary": "accept"}
                answer = Response(data, media_type="image/jpeg", headers=headers)
        await answer(scope, receive, send)

    async def _made(self, path: str) -> bytes | None:
        """Return the thumbnail of an upload, or None where there is none: then Gradio answers, or refuses."""
        try:
            photo = await asyncio.to_thread(self._large_jpeg, path)
            if photo is None:
                return None
            async with self._one:
                return await asyncio.to_thread(self._thumbnail, photo)
        except (GLPNError, OSError):
            return None

    def _large_jpeg(self, path: str) -> Path | None:
        photo = self.uploads.checked(path)
        if not self.uploads.is_upload(photo) or photo.stat().st_size <= PLAIN_BYTES:
            return None
        with photo.open("rb") as file:
            return photo if file.read(len(JPEG)) == JPEG else None

    def _thumbnail(self, photo: Path) -> bytes:
        return thumbnail(self.decoded.leave(str(photo), self.least))


def thumbnail(photo: Photo) -> bytes:
    """Return a photo without EXIF data as a JPEG of at most MOST_SIDE pixels."""
    picture = Image.fromarray(photo.rgb)
    picture = picture.reduce(max(1, max(picture.size) // LEAST_SIDE))  # several times faster than any other way
    picture.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.BILINEAR)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


def _is_for_show(headers: Headers) -> bool:
    return headers.get("accept", "").startswith("image/") and "range" not in headers
