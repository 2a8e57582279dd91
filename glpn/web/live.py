"""Live depth: one frame of a visitor's camera in, its depth in colors out. Nothing is stored and nothing queues up."""

import io
import json
import math
import threading
import time
from functools import partial
from http import HTTPStatus
from typing import Any

from anyio.to_thread import run_sync
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from glpn.errors import ConfigError, GLPNError
from glpn.photo import Photo, load_photo
from glpn.prediction import DepthPrediction
from glpn.scene.figures import COLOR_MAPS, colorize
from glpn.scene.geometry import depth_range
from glpn.scene.look import Look
from glpn.scene.photo3d import depth_png, prepare
from glpn.scene.uncertainty import of_prediction

from .runner import Engine
from .samples import VARIANT
from .turns import TooBusy

LIVE_URL = "glpn-live"
MAX_PIXELS = 640 * 480
MOST_AT_ONCE = 2  # frames that are worked on or wait; a third visitor is told to come back
LIVE_GRID_SIDE = 160  # samples of a frame's depth along its longer side; the network sees little more
STEADINESS = 0.8  # how much of the former range of colors stays


class Live:
    """The ASGI endpoint POST /glpn-live: a JPEG or PNG of at most 640 × 480 pixels as the body.

    Query: `near` and `far`, the range of colors in metres that the last answer told, so that colors don't flicker;
    `colors`, a color map; `as`, "colors" or "depth". Answers a JPEG of the frame's size, or as "depth" the PNG of
    `photo3d.depth_png`, from which the page moves the frame. The headers X-Depth-Near, X-Depth-Far, X-Depth-Center (m),
    X-Depth-Uncertainty (JSON, see `Uncertainty.to_dict`) and X-Seconds (of the network) say what it shows. A
    refusal is JSON: {"error": a sentence}.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._room = threading.Semaphore(MOST_AT_ONCE)

    async def answer(self, request: Request) -> Response:
        frame = await request.body()
        try:
            return await run_sync(partial(self._answer, frame, dict(request.query_params)))
        except TooBusy as error:
            return JSONResponse({"error": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE)
        except GLPNError as error:
            return JSONResponse({"error": str(error)}, HTTPStatus.BAD_REQUEST)

    def _answer(self, frame: bytes, query: dict[str, str]) -> Response:
        if not self._room.acquire(blocking=False):
            raise TooBusy(f"{MOST_AT_ONCE} cameras are live already. Try again in a minute.")
        try:
            return self._depth(frame, query)
        finally:
            self._room.release()

    def _depth(self, frame: bytes, query: dict[str, str]) -> Response:
        colors = query.get("colors", Look.colors)
        if colors not in COLOR_MAPS:
            raise ConfigError(f"Unknown color map. Known: {', '.join(COLOR_MAPS)}.")
        kind = query.get("as", "colors")
        if kind not in ("colors", "depth"):
            raise ConfigError("Unknown kind of answer. Known: colors, depth.")
        photo = load_photo(frame, max_pixels=MAX_PIXELS, seconds=5)
        estimator: Any = self.engine.store.get(VARIANT)
        started = time.monotonic()
        turns = self.engine.turns
        with turns.place() as place, turns.turn(place, lambda: time.monotonic() - started > 5, lambda *ahead: None):
            prediction = estimator(photo)
        range_m = _steadied(depth_range(prediction.depth_m, "robust"), query)
        look = Look(colors=colors, range_m=range_m)
        body = _colors(prediction, look) if kind == "colors" else _depth_png(photo, prediction)
        rows, columns = prediction.size
        told = {
            "X-Depth-Near": f"{range_m[0]:.3f}",
            "X-Depth-Far": f"{range_m[1]:.3f}",
            "X-Depth-Center": f"{prediction.depth_m[rows // 2, columns // 2]:.3f}",
            "X-Depth-Uncertainty": json.dumps(of_prediction(prediction, self.engine.zoo[VARIANT]).to_dict()),
            "X-Seconds": f"{prediction.seconds:.3f}",
            "Cache-Control": "no-store",
        }
        return Response(body, media_type="image/jpeg" if kind == "colors" else "image/png", headers=told)


def _colors(prediction: DepthPrediction, look: Look) -> bytes:
    file = io.BytesIO()
    Image.fromarray(colorize(prediction.depth_m, look)).save(file, "JPEG", quality=85)
    return file.getvalue()


def _depth_png(photo: Photo, prediction: DepthPrediction) -> bytes:
    return depth_png(prepare(photo.rgb, prediction.depth_m, prediction.camera, grid=LIVE_GRID_SIDE))


def _steadied(range_m: tuple[float, float], query: dict[str, str]) -> tuple[float, float]:
    """Return the range of colors, moved from the former one by a part of the way."""
    try:
        former = float(query["near"]), float(query["far"])
    except (KeyError, ValueError):
        return range_m
    if not all(map(math.isfinite, former)) or not 0 <= former[0] < former[1] <= 1000:
        return range_m
    near, far = (STEADINESS * old + (1 - STEADINESS) * new for old, new in zip(former, range_m, strict=True))
    return near, far
