"""What stands between the network and Gradio: headers of every answer, whose requests are taken, how large they are."""

import asyncio
import errno
import re
import secrets
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .uploads import NoRoom

DISK_FULL = "The disk of this page is full. Nothing of yours was kept; please try again in a few minutes."
NOT_ITS_NAME = "This page does not answer under this name. Behind a proxy, start it with --root-path and its address."
FULL = (errno.ENOSPC, errno.EDQUOT)
MAX_UPLOAD_BYTES = 100_000_000  # of one request, all its files together
PIECE_BYTES = 500_000  # of an upload, after which its size is noted; from the network it comes in pieces of 64 kB
MAX_TOOL_BYTES = 20_000_000  # of an agent's call, which carries its photo as text
MAX_BODY_BYTES = 250_000  # of any other request
# What Gradio offers as well and this app has no use for: it writes files where nobody sweeps, or fetches for strangers.
POSTS = re.compile(r"/(gradio_api/(upload|queue/join|cancel|reset|call/(v2/)?\w+|mcp(/http|/messages)?)|glpn-live)/?$")
CLOSED = re.compile(r"/(gradio_api/(deep_link|proxy=|file[=/]https?:|stream|run|vibe|custom_c|dev/)|monitoring)", re.I)
TOOL_PATHS = re.compile(r"/gradio_api/mcp(/http|/messages)?/?$")  # there only with --mcp
UPLOAD = re.compile(r"/upload/?$")
HEARTBEAT = re.compile(r"/gradio_api/heartbeat/([^/]+)$")
# Gradio's own scripts are inline and compile templates; everything comes from this app alone.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'self' blob: data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self' https://huggingface.co https://*.huggingface.co https://*.hf.space",
    )
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "content-security-policy": POLICY,
}
READING = ("GET", "HEAD", "OPTIONS")
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class Refused(Exception):
    """An answer that is given instead of the app's."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Doors:
    """ASGI middleware: adds HEADERS and a request id to every answer, and bounds what requests may be.

    names           the host names that requests may carry, next to addresses in digits; None for any. A web page that
                    made its own name point here (DNS rebinding) or that posts from elsewhere is refused.
    trust_proxy     believe X-Forwarded-Host
    arrived         called with the size of each piece of an upload; raises `NoRoom` where no more can be kept
    uploaded        called after each upload
    shown           called with a session, gives a context in which a browser shows it
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        names: Iterable[str] | None = None,
        trust_proxy: bool = False,
        arrived: Callable[[int], None] = lambda size: None,
        uploaded: Callable[[], None] = lambda: None,
        shown: Callable[[str], AbstractContextManager[None]] = lambda session: nullcontext(),
    ) -> None:
        self.app = app
        self.names = None if names is None else {name.lower() for name in names}
        self.trust_proxy = trust_proxy
        self.arrived = arrived
        self.uploaded = uploaded
        self.shown = shown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        id_ = secrets.token_hex(8)
        request_id.set(id_)
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                names = {name.lower() for name, _ in message["headers"]}
                added = {**HEADERS, "x-request-id": id_}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in added.items() if k.encode() not in names),
                ]
            await send(message)

        try:
            await self._guarded(scope, receive, answer)
        except Refused as refusal:
            if begun:
                raise
            await PlainTextResponse(refusal.sentence, refusal.status)(scope, receive, answer)
        except OSError as error:
            if begun or error.errno not in FULL:
                raise
            await PlainTextResponse(DISK_FULL, HTTPStatus.INSUFFICIENT_STORAGE)(scope, receive, answer)
        except RuntimeError as error:
            if not (begun and isinstance(error.__cause__, HTTPException)):
                raise
            # Gradio ends the stream of a session that has gone by a 404 within it, after it has told its client.
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if self.names is not None and not _is_asked_by(headers, self.names):
            raise Refused(HTTPStatus.FORBIDDEN, NOT_ITS_NAME)
        if not self.trust_proxy:
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"x-forwarded-host"]
        path = scope["path"]
        is_open = scope["method"] in READING or (scope["method"] == "POST" and POSTS.search(path))
        if CLOSED.search(path) or not is_open:
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        if UPLOAD.search(path):
            await self._upload(scope, _bounded(receive, headers, MAX_UPLOAD_BYTES + MAX_BODY_BYTES), send)
            return
        most = MAX_TOOL_BYTES if TOOL_PATHS.search(path) else MAX_BODY_BYTES
        heartbeat = HEARTBEAT.search(path)
        with self.shown(heartbeat[1]) if heartbeat else nullcontext():
            await self.app(scope, _bounded(receive, headers, most), send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came >= PIECE_BYTES or not message.get("more_body"):
                size, came = came, 0
                try:
                    await asyncio.to_thread(self.arrived, size)
                except NoRoom as error:
                    raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, str(error)) from None
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.uploaded()


def _bounded(receive: Receive, headers: Headers, most: int) -> Receive:
    """Return `receive` so that a body of more than `most` bytes ends in `Refused`, whatever its header says."""
    refusal = Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request may have {most / 1e6:.3g} MB at most.")
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > most:
        raise refusal
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise refusal
        return message

    return bounded


def _is_asked_by(headers: Headers, names: set[str]) -> bool:
    """Whether Host is one of `names` or an address in digits, and Origin, if there is one, names the same host."""
    host = _host_name(f"//{headers.get('host', '')}")
    origin = headers.get("origin")
    return _is_known(host, names) and (origin is None or _host_name(origin) == host)


def _is_known(host: str, names: set[str]) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in names)
    return True


def _host_name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def health(state: Callable[[], dict[str, object]], folder: Path) -> Callable[[Request], JSONResponse]:
    """Return the handler of /healthz: `state` and the disk's free bytes; 503 while the app is shutting down."""

    def healthz(request: Request) -> JSONResponse:
        facts = state()
        try:
            facts["free_disk_bytes"] = shutil.disk_usage(folder).free
        except OSError:
            facts["free_disk_bytes"] = None
        return JSONResponse(facts, 503 if facts.get("closing") else 200, headers={"cache-control": "no-store"})

    return healthz
