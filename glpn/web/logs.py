"""The app's log: one line of JSON a record on standard error, with the id of its request and without floods."""

import json
import logging
import threading
import time
import traceback
from typing import Any

import gradio.queueing
import gradio.routes
from gradio.context import LocalContext

from .doors import request_id

logger = logging.getLogger(__name__)

EVERY_S = 60.0
MOST_PLACES = 1000


def current_id() -> str | None:
    """Return the id of the request, or of the event in Gradio's queue, that this code runs for."""
    return LocalContext.event_id.get(None) or request_id.get()


class OncePerMinute(logging.Filter):
    """Lets a record of one place, or one error of one place, through once a minute, and counts those held back.

    Used-up file descriptors log thousands a second, and so could a stranger who makes one handler fail.
    """

    def __init__(self, *, every_s: float = EVERY_S) -> None:
        super().__init__()
        self._every_s = every_s
        self._last: dict[tuple[object, ...], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        where, now = _place(record), time.monotonic()
        with self._lock:
            last, held = self._last.get(where, (-self._every_s, 0))
            if now - last < self._every_s:
                self._last[where] = last, held + 1
                return False
            if len(self._last) >= MOST_PLACES:
                self._last.clear()
            self._last[where] = now, 0
        record.held_back = held
        return True


def _place(record: logging.LogRecord) -> tuple[object, ...]:
    error, trace = record.exc_info[1:] if record.exc_info else (None, None)
    last = traceback.extract_tb(trace)[-1] if trace else None
    return record.pathname, record.lineno, type(error), last and (last.filename, last.lineno)


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message and the request's id; a trace goes into "trace"."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := current_id():
            line["request"] = request
        if held := getattr(record, "held_back", 0):
            line["held_back"] = held
        if record.exc_info:
            line["trace"] = _trace(record.exc_info)
        return json.dumps(line)


def _trace(info: Any) -> str:
    """Return the stack and the kind of error. Its text, which may name a visitor's file, is for level DEBUG alone."""
    if logging.getLogger("glpn").isEnabledFor(logging.DEBUG):
        return "".join(traceback.format_exception(*info))
    return "".join(traceback.format_tb(info[2])) + str(info[0] and info[0].__name__)


def log_to_stderr() -> None:
    """Log as JSON lines, with floods of one message cut down."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    handler.addFilter(OncePerMinute())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("glpn").setLevel(logging.INFO)


def log_through_root() -> None:
    """Make the server's own messages and Gradio's traces of refused requests lines of this log as well."""
    server = logging.getLogger("uvicorn")
    server.handlers.clear()
    server.propagate = True
    for module in (gradio.queueing, gradio.routes):
        module.traceback = _Traces


class _Traces:
    """Stands in for the module `traceback` where Gradio prints one for every malformed request."""

    @staticmethod
    def print_exc() -> None:
        logger.exception("A request failed")
