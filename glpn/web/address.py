"""At which address people reach the page: at the root of a host, or below a path that a proxy gives it."""

import os
import re
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from glpn.errors import ConfigError, printable

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_PATH = re.compile(r"(/[\w.~!$&'()*+,;=@%-]+)*", re.ASCII)


def checked_root_path(text: str | None = None) -> str:
    """Return where a proxy offers the page: "", a path such as "/depth", or an address, without a last slash.

    text   as the user gave it; None is GRADIO_ROOT_PATH

    Raises `ConfigError` for anything that is neither a path nor an address.
    """
    given = (os.environ.get("GRADIO_ROOT_PATH", "") if text is None else text).strip()
    root = given.rstrip("/")
    if root and "://" not in root:
        root = f"/{root.lstrip('/')}"
    try:
        parts = urlsplit(root)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, is_address = urlsplit(""), False
    if not (is_address or root.startswith("/") or not root) or not _PATH.fullmatch(parts.path) or {*"?#"} & {*root}:
        raise ConfigError(
            f"The page can't be offered at {printable(given)!r}. Give the path below which the proxy offers it, such "
            "as /depth, or the whole address, such as https://example.org/depth."
        )
    return root


def reach_this_machine_directly(host: str | None) -> None:
    """Keep requests to this machine from the proxy that the environment names: Gradio asks its own server at the start.

    host   what the server listens on
    """
    for name in ("no_proxy", "NO_PROXY"):
        known = [one.strip() for one in os.environ.get(name, "").split(",") if one.strip()]
        if "*" not in known:
            added = [one for one in (*LOOPBACK_NAMES, host) if one and one not in known]
            os.environ[name] = ",".join((*known, *added))


class Below:
    """ASGI middleware for an app below `path`: requests get the form that ASGI prescribes, whatever the proxy does.

    Some proxies take the path away, others leave it. ASGI's `path` holds it and `root_path` names it.
    """

    def __init__(self, app: ASGIApp, *, path: str) -> None:
        self.app = app
        self.path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not self.path:
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if path == self.path and scope["type"] == "http":  # the page's own addresses are relative to the slash
            query = scope.get("query_string", b"").decode("latin-1")
            await RedirectResponse(f"{path}/{'?' if query else ''}{query}")(scope, receive, send)
            return
        if not path.startswith(f"{self.path}/"):
            path = self.path + path
        await self.app({**scope, "path": path, "root_path": self.path}, receive, send)
