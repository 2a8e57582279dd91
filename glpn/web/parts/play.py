"""Play: the photo under one slider of distance, and its pictures as files of the photo's own size."""

import secrets
from typing import Any
from urllib.parse import quote

import gradio as gr

from glpn.errors import ConfigError, ExportError
from glpn.scene.look import Look
from glpn.web import drawing
from glpn.web.session import Session, Sessions
from glpn.web.uploads import NO_ROOM

from . import components
from .events import FILES, on

FILE_USES = ("cutout", "focus", "fog", "bands", "contours")  # formats of `export`


class Play:
    """The component of the tab, wired to write files."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.shown = components.play(elem_id="play")
        on(self.shown.save, self._save, None, self.shown, how=FILES)

    def _save(self, request: gr.Request, data: gr.EventData) -> dict[str, Any]:
        return saved(self.sessions.of(request), data.use, data.distance_m, data.aperture)


def saved(session: Session, use: object, distance_m: object, aperture: object) -> dict[str, Any]:
    """Write what Play shows of the session's photo; return the component's value with the file's address and name.

    Raises `ConfigError` for values that the page never sends.
    """
    result = session.present
    if use not in FILE_USES:
        raise ConfigError(f"Play has no {use!r}. Give one of {', '.join(FILE_USES)}.")
    if not session.has_room():
        raise ExportError(NO_ROOM)
    look = Look(distance_m=_number(distance_m), aperture=_number(aperture))
    [path] = result.prediction.write(session.folder / f"play-{result.token}", [str(use)], look=look)
    file = path.replace(path.with_name(f"{path.stem}_{look.distance_m:.2f}m{path.suffix}"))
    told = {"key": secrets.token_hex(4), "url": f"gradio_api/file={quote(str(file))}", "name": file.name}
    return drawing.play(result, session.folder) | {"saved": told}


def _number(value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise ConfigError(f"The slider says {value!r}. Give a number.")
