"""What stands between the network and the page: names, proxies, sizes, a full disk, addresses of photos, the log."""

import asyncio
import errno
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from glpn.web import guard
from glpn.web.doors import DISK_FULL, MAX_BODY_BYTES, MAX_UPLOAD_BYTES, Doors
from glpn.web.fetch import PhotoNotFetched, fetch
from glpn.web.jobs import Progress, TookTooLong, finished, follow
from glpn.web.logs import JsonLines, OncePerMinute
from glpn.web.runner import Host

UPLOAD, JOIN = "/gradio_api/upload", "/gradio_api/queue/join"


def asked(app: Any, method: str = "GET", path: str = "/", **options: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.request(method, path, **options)

    return asyncio.run(ask())


async def told(request: Request) -> Response:
    return JSONResponse({"host": request.headers.get("x-forwarded-host"), "bytes": len(await request.body())})


def page(handler: Callable[..., Any] = told, **options: Any) -> Starlette:
    routes = [Route(path, handler, methods=["GET", "POST"]) for path in ("/", JOIN, UPLOAD)]
    return Starlette(routes=routes, middleware=[Middleware(Doors, **options)])


def test_a_stream_that_its_app_ends_by_a_status_just_ends():
    async def stream(request: Request) -> Response:
        async def pieces():
            yield b"all that there is"
            raise HTTPException(404)

        return StreamingResponse(pieces())

    answer = asked(page(stream))
    assert (answer.status_code, answer.text) == (200, "all that there is")


# ------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:7860", None, 200),
        ("localhost:7860", "http://localhost:7860", 200),
        ("127.0.0.1:7860", "http://127.0.0.1:7860", 200),
        ("192.168.1.5:7860", None, 200),  # no name, so no rebinding
        ("[::1]:7860", "http://[::1]:7860", 200),
        ("LOCALHOST", None, 200),
        ("evil.example", None, 403),
        ("localhost.evil.example", None, 403),
        ("evil.example", "http://evil.example", 403),
        ("localhost:7860", "http://evil.example", 403),
        ("127.0.0.1:7860", "http://192.168.1.66", 403),
        ("localhost:7860", "null", 403),
        ("", None, 403),
        ("[", None, 403),
    ],
)
def test_a_private_page_answers_to_its_own_names_only(host, origin, status):
    headers = {"host": host} | ({"origin": origin} if origin else {})
    assert asked(page(names=Host().names), headers=headers).status_code == status


def test_a_public_page_answers_to_any_name():
    headers = {"host": "someone-space.hf.space", "origin": "https://huggingface.co"}
    assert asked(page(), headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("options", "host", "trusts"),
    [
        ({"share": True, "private": True}, "abc.gradio.live", True),
        ({"root_path": "https://depth.example.org/app", "private": True}, "depth.example.org", True),
        ({"address": "my-desk", "private": True}, "my-desk", False),
    ],
)
def test_a_trusting_page_behind_others_answers_to_their_names(monkeypatch, options, host, trusts):
    monkeypatch.delenv("SPACE_ID", raising=False)
    it = Host.of(**options)
    assert not it.public and it.trust_proxy == trusts
    app = page(names=it.names, trust_proxy=it.trust_proxy)
    assert asked(app, headers={"host": host, "origin": f"https://{host}"}).status_code == 200
    assert asked(app, headers={"host": f"{host}.evil.example"}).status_code == 403


def test_a_page_behind_a_proxy_is_public(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert Host.of("127.0.0.1", root_path="/depth").public
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/depth")
    assert Host.of("127.0.0.1").public


def test_who_stands_in_front_is_believed_only_where_somebody_stands_there():
    headers = {"x-forwarded-host": "evil.example"}
    assert asked(page(), headers=headers).json()["host"] is None
    assert asked(page(trust_proxy=True), headers=headers).json()["host"] == "evil.example"


# ------------------------------------------------------------------------------------------------- sizes, a full disk


PIECE = 50_000


async def pieces(count: int) -> Any:
    for _ in range(count):
        yield bytes(PIECE)


@pytest.mark.parametrize(("path", "most"), [(JOIN, MAX_BODY_BYTES), (UPLOAD, MAX_UPLOAD_BYTES + MAX_BODY_BYTES)])
def test_a_request_that_is_too_large_is_refused_whatever_it_declares(path, most):
    said = asked(page(), "POST", path, content=pieces(most // PIECE + 1))  # in chunks, no length declared
    assert said.status_code == 413 and "MB at most" in said.text
    assert asked(page(), "POST", path, headers={"content-length": str(most + 1)}).status_code == 413
    assert asked(page(), "POST", path, content=pieces(most // PIECE)).json()["bytes"] == most


def test_every_upload_is_told_even_if_it_fails():
    times = []

    async def fails(request: Request) -> Response:
        raise OSError(errno.ENOSPC, "No space left on device")

    app = page(fails, uploaded=lambda: times.append(1))
    said = asked(app, "POST", "/gradio_api/upload", content=b"x")
    assert (said.status_code, said.text, times) == (507, DISK_FULL, [1])
    assert asked(app).status_code == 507 and times == [1]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "x"), DISK_FULL),
        (MemoryError(), guard.NO_MEMORY),
        (OSError(errno.EIO, "x"), guard.OUR_FAULT),
    ],
)
def test_what_the_machine_lacks_is_said_in_a_sentence(error, sentence):
    def handler() -> None:
        raise error

    with pytest.raises(gr.Error) as shown:
        guard.plain_errors(handler)()
    assert shown.value.message == sentence and not shown.value.print_exception


# ------------------------------------------------------------------------------------------------- addresses of photos


def at(url: str, folder: Path, answer: Callable[[httpx.Request], httpx.Response] | None = None, **options: Any) -> Path:
    transport = httpx.MockTransport(answer) if answer else None
    return asyncio.run(fetch(url, folder, most_bytes=1000, transport=transport, **options))


def test_a_photo_is_fetched_through_redirects(tmp_path):
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/a.jpg":
            return httpx.Response(302, headers={"location": "/b/c.jpg"})
        return httpx.Response(200, content=b"photo")

    path = at("https://example.org/a.jpg", tmp_path, answer)
    assert path.read_bytes() == b"photo" and path.name == "a.jpg" and path.is_relative_to(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://localhost/x",
        "http://[::1]/x",
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "http://",
        "https://example.org/large",
        "https://example.org/missing",
        "https://example.org/loop",
    ],
)
def test_what_is_no_photo_for_everybody_is_refused_in_one_sentence(tmp_path, url):
    def answer(request: httpx.Request) -> httpx.Response:
        where = request.url.path
        if where == "/loop":
            return httpx.Response(302, headers={"location": "/loop"})
        return httpx.Response(404) if where == "/missing" else httpx.Response(200, content=bytes(1001))

    public = "example.org" in url
    with pytest.raises(PhotoNotFetched, match="Or upload the file itself") as refusal:
        at(url, tmp_path, answer if public else None)
    assert url not in str(refusal.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_address_that_never_ends_is_given_up(tmp_path):
    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(PhotoNotFetched):
        at("https://example.org/x.jpg", tmp_path, slow, within_s=0.05)


# ------------------------------------------------------------------------------------------------------- limits, logs


def test_a_step_beyond_its_limit_is_left_behind_and_told():
    ends = threading.Event()

    def work(report: Any, stopped: Any) -> None:
        report(Progress("Decoding.", limit_s=0.05))
        ends.wait(60)

    with pytest.raises(TookTooLong, match="was given up"):
        finished(follow(work, threading.Event(), every_s=0.01))
    ends.set()


def test_a_flood_of_one_message_is_one_line_and_others_pass():
    log = OncePerMinute()

    def record(line: int, error: Exception | None = None) -> logging.LogRecord:
        info = (type(error), error, error.__traceback__) if error else None
        return logging.LogRecord("asyncio", logging.ERROR, "a.py", line, "Too many open files", None, info)

    passed = [log.filter(record(1)) for _ in range(10_000)]
    assert passed.count(True) == 1
    assert log.filter(record(2))
    assert log.filter(record(1, ValueError())) and not log.filter(record(1, ValueError()))
    assert log.filter(record(1, KeyError()))


def test_a_line_of_the_log_is_json_and_carries_the_requests_id():
    seen = []

    async def logs(request: Request) -> Response:
        seen.append(json.loads(JsonLines().format(logging.makeLogRecord({"msg": "two\nlines", "held_back": 3}))))
        return Response("")

    answer = asked(page(logs))
    assert seen[0]["request"] == answer.headers["x-request-id"]
    assert seen[0]["message"] == "two\nlines" and seen[0]["held_back"] == 3


@pytest.mark.parametrize(("level", "told"), [(logging.INFO, False), (logging.DEBUG, True)])
def test_a_trace_names_no_visitors_file_at_the_default_level(monkeypatch, level, told):
    monkeypatch.setattr(logging.getLogger("glpn"), "level", level)
    logging.getLogger("glpn").manager._clear_cache()
    name = "-".join(("grand", "mother.jpg"))  # a trace shows lines of code as well
    try:
        raise OSError(5, "no", name)
    except OSError as error:
        record = logging.LogRecord("x", logging.ERROR, "a.py", 1, "m", None, (OSError, error, error.__traceback__))
    trace = json.loads(JsonLines().format(record))["trace"]
    assert "test_web_network.py" in trace and "OSError" in trace
    assert (name in trace) == told
