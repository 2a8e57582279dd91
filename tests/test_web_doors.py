"""What a stranger may try on the running page: other people's files, the queue, memory, names, the shutdown."""

import asyncio
import gc
import gzip
import inspect
import io
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import gradio as gr
import gradio.routes
import numpy as np
import pytest
from gradio.queueing import Queue
from gradio.server_messages import ProcessCompletedMessage
from gradio.state_holder import SessionState
from PIL import Image
from web_support import ROOT, FakeStore, served

from glpn.errors import Cancelled, ExportError, GLPNError, PhotoNotFound
from glpn.prediction import DepthPrediction
from glpn.web import actions, unread
from glpn.web import pages as pages_folder
from glpn.web.choices import Choices
from glpn.web.doors import Doors
from glpn.web.guard import carries_files
from glpn.web.page import build_demo
from glpn.web.parts.events import FILES, on
from glpn.web.parts.job_box import JobHandler
from glpn.web.runner import Engine, Host, is_loopback
from glpn.web.samples import FOLDER
from glpn.web.session import MOST_UPLOAD_BYTES, MOST_UPLOADS, Session, Sessions
from glpn.web.temporary import TemporaryFolder
from glpn.web.turns import TooBusy, Turns
from glpn.web.uploads import REFUSED, NoRoom, Uploads
from glpn.zoo import Zoo


def jpeg(size: tuple[int, int] = (64, 48)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, "orange").save(data, "JPEG")
    return data.getvalue()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for `condition`, however slow the machine is; the test's own limit ends it."""
    while not condition():
        time.sleep(0.02)


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    (tmp_path / "up" / "abc").mkdir(parents=True)
    (tmp_path / "up" / "abc" / "photo.jpg").write_bytes(jpeg())
    (tmp_path / "diary.jpg").write_bytes(jpeg())
    return Uploads(tmp_path / "up", samples=[FOLDER / "living.jpg"])


# ---------------------------------------------------------------------------------------------------------- one path


def hostile(root: Path) -> list[Any]:
    """Paths that are no upload: outside, through links, folders, the app's own folder, and what is no path."""
    room = root / "up" / "own" / "sessions" / "x"
    room.mkdir(parents=True)
    (room / "other.jpg").write_bytes(jpeg())
    (root / "up" / "link.jpg").symlink_to(root / "diary.jpg")
    (root / "up" / "folder-link").symlink_to(root)
    os.mkfifo(root / "up" / "pipe")
    up = root / "up"
    return [
        str(root / "diary.jpg"),
        str(up / ".." / "diary.jpg"),
        str(up / "link.jpg"),
        str(up / "folder-link" / "diary.jpg"),
        str(up),
        str(up / "abc"),
        str(up / "pipe"),
        str(room / "other.jpg"),
        str(up / "missing.jpg"),
        "/etc/passwd",
        "/dev/zero",
        "/nonexistent",
        "",
        "a\0b",
        "x" * 5000,
        str(FOLDER / ".." / "session.py"),
    ]


def test_a_path_is_taken_only_if_it_is_an_upload_or_a_sample(uploads, tmp_path):
    assert uploads.checked(tmp_path / "up" / "abc" / "photo.jpg").name == "photo.jpg"
    assert uploads.checked(FOLDER / "living.jpg") == (FOLDER / "living.jpg").resolve()
    for path in hostile(tmp_path):
        with pytest.raises(PhotoNotFound) as refusal:
            uploads.checked(path)
        assert str(refusal.value) == REFUSED  # the same for all, so that nobody learns what exists


def file_inputs(demo: gr.Blocks) -> list[tuple[int, int, Any]]:
    """Return (event, position, component) of every input of every event through which a file can come."""
    return [
        (number, position, component)
        for number, function in demo.fns.items()
        for position, component in enumerate(function.inputs)
        if carries_files(component)
    ]


# Blocks leaves event loops to the garbage collector.
unclosed = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[gr.Blocks]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "up"))
    zoo = Zoo.load()
    yield build_demo(zoo, FakeStore(zoo))
    gc.collect()  # Blocks leaves event loops unclosed: their warnings belong here


@unclosed
def test_every_input_that_carries_a_file_refuses_what_is_no_upload(demo, tmp_path):
    (tmp_path / "up" / "abc").mkdir(parents=True)
    (tmp_path / "up" / "abc" / "photo.jpg").write_bytes(jpeg())
    (tmp_path / "diary.jpg").write_bytes(jpeg())
    components = {component._id: component for _, _, component in file_inputs(demo)}
    assert len(components) >= 4  # photo, the API's, Evaluate's two
    bad = hostile(tmp_path)
    for component in components.values():
        several = getattr(component, "file_count", "single") == "multiple"

        def given(path, component=component, several=several):
            return component.data_model([{"path": path}]) if several else component.data_model(path=path)

        good = component.preprocess(given(str(tmp_path / "up" / "abc" / "photo.jpg")))
        assert (good[0] if several else str(good)).endswith("photo.jpg")
        for path in bad:
            with pytest.raises(gr.Error) as refusal:
                component.preprocess(given(path))
            assert refusal.value.message == REFUSED


def bound(handler: Callable[..., Any], positional: int, names: Sequence[str]) -> dict[str, Any]:
    """Bind so many values and `names` to a handler's parameters as Gradio does; return what falls into **kwargs."""
    signature, hints = inspect.signature(handler), get_type_hints(handler)
    special = [name for name in signature.parameters if hints.get(name) in (gr.Request, gr.EventData, Session)]
    values = signature.bind(*special, *[0] * positional, **dict.fromkeys(names, 0))
    loose = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
    return values.arguments.get(loose[0], {}) if loose else {}


@unclosed
def test_every_event_is_guarded_private_and_gets_what_its_handler_takes(demo):
    public, seen = {"depth", "estimate", "measure", "models"}, set()
    for function in demo.fns.values():
        name = f"{function.name} ({function._id})"
        assert (function.api_visibility == "public") == (function.api_name in public), name
        if function.fn is None:  # the browser does it
            continue
        assert getattr(function.fn, "is_guarded", False), name
        names = function.input_keyword_names
        handler = inspect.unwrap(function.fn)
        loose = bound(handler, len(function.inputs) - len(names), names)
        if isinstance(job := getattr(handler, "__self__", None), JobHandler):
            handler = job.work
            loose = bound(handler, 0, names)
        seen.add(handler.__module__)
        assert loose.keys() <= {field.name for field in fields(Choices)}, name
        returned = get_type_hints(handler).get("return")
        if get_origin(returned) is tuple and ... not in get_args(returned):
            assert len(get_args(returned)) == len(function.outputs), name
    pages = {path.stem for path in Path(pages_folder.__file__).parent.glob("[a-z]*.py")} - {"about", "live"}
    assert {f"{pages_folder.__name__}.{page}" for page in pages} <= seen


@unclosed
def test_a_photo_that_comes_is_two_events(demo):
    """From the photo to its result; each event costs a tenth of what the embedded network does."""
    [photo] = [key for key, block in demo.blocks.items() if getattr(block, "elem_id", None) == "photo"]
    [first] = [function for function in demo.fns.values() if any(target[0] == photo for target in function.targets)]
    after = [function for function in demo.fns.values() if function.trigger_after == first._id]
    assert [function.name for function in after if not function.trigger_only_on_failure] == ["_finish"]
    assert [function.name for function in after if not function.trigger_only_on_success] == ["_put_back"]


@unclosed
def test_on_guards_hides_and_passes_by_name(tmp_path):
    seen = []

    def handler(*, b: str, a: str) -> str:
        seen.append((a, b))
        raise GLPNError("So it is.")

    with gr.Blocks(analytics_enabled=False) as demo:
        one, two, button = gr.Textbox("1"), gr.Textbox("2"), gr.Button()
        on(button.click, handler, {"a": one, "b": two}, one)
        on([button.click, one.input], lambda: None, None, None, how=FILES)
    first, second, *_ = demo.fns.values()
    assert {function.api_visibility for function in demo.fns.values()} == {"private"}
    assert second.concurrency_id == "files"
    with pytest.raises(gr.Error) as told:
        first.fn(a="1", b="2")
    assert told.value.message == "So it is." and seen == [("1", "2")]
    gc.collect()


# ------------------------------------------------------------------------------------------------------- the sweeper


def test_the_sweeper_takes_what_is_old_and_keeps_what_is_used(uploads, tmp_path):
    old, used = tmp_path / "up" / "abc" / "photo.jpg", tmp_path / "up" / "def" / "used.jpg"
    used.parent.mkdir()
    used.write_bytes(jpeg())
    uploads.in_use = lambda: {used}
    fresh = tmp_path / "up" / "fresh.jpg"
    fresh.write_bytes(jpeg())
    for path in (old, used):
        os.utime(path, (0, 0))
    assert uploads.sweep() == 1
    assert not old.exists() and used.exists() and fresh.exists()


def test_the_sweeper_follows_no_link_and_survives_what_it_cant_delete(uploads, tmp_path, monkeypatch):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    (tmp_path / "up" / "trap").symlink_to(outside)
    os.utime(outside / "precious", (0, 0))
    unlink = Path.unlink

    def stubborn(path, *args, **kwargs):
        if path.name == "photo.jpg":
            raise PermissionError(1, "no")
        unlink(path, *args, **kwargs)

    monkeypatch.setattr(Path, "unlink", stubborn)
    uploads.sweep(now=time.time() + 1e6)
    assert (outside / "precious").read_text() == "kept"
    assert not (tmp_path / "up" / "trap").exists()


def test_over_the_quota_the_oldest_go_first(tmp_path):
    root = tmp_path / "up"
    root.mkdir()
    for age in range(5):
        (root / f"{age}.bin").write_bytes(bytes(10_000))
        os.utime(root / f"{age}.bin", (time.time() - 10 * age,) * 2)
    uploads = Uploads(root, quota_bytes=25_000)
    uploads.sweep()
    assert sorted(path.name for path in root.glob("*.bin")) == ["0.bin", "1.bin"]


def test_the_sweeper_takes_what_no_living_session_owns(tmp_path):
    uploads = Uploads(tmp_path)
    sessions = Sessions(uploads)
    living, gone = sessions.open("living").folder, sessions.open("gone").folder
    sessions.close("gone")
    gone.mkdir()  # an export that was under way makes its folder anew
    for folder in (living, gone):
        (folder / "depth.png").write_bytes(jpeg())
        os.utime(folder / "depth.png", (0, 0))
    uploads.sweep()
    assert (living / "depth.png").exists() and not gone.exists()


def test_a_visitor_who_leaves_during_an_export_leaves_no_folder(tmp_path):
    zoo = Zoo.load()
    sessions = Sessions(Uploads(tmp_path))
    session = sessions.open("x")
    actions.opened({}, session, Engine(zoo, FakeStore(zoo), host=Host()), default_model="rooms-b0")
    actions.make_file(session, Choices(), "npy")
    sessions.close("x")
    with pytest.raises(GLPNError):
        actions.make_file(session, Choices(), "npy")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_files_of_open_pages_stay_and_no_more_are_written_beyond_the_quota(tmp_path):
    zoo = Zoo.load()
    uploads = Uploads(tmp_path, quota_bytes=500_000)
    session = Sessions(uploads).open("x")
    actions.opened({}, session, Engine(zoo, FakeStore(zoo), host=Host()), default_model="rooms-b0")
    actions.make_file(session, Choices(), "npy")
    with pytest.raises(ExportError, match="There is no room for more files"):
        actions.make_file(session, Choices(), "tiff")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    uploads.sweep()
    assert written and all(path.exists() for path in written)


def test_the_quota_is_looked_at_soon_after_an_upload(tmp_path):
    uploads = Uploads(tmp_path, quota_bytes=100)
    uploads.start()
    try:
        for number in range(3):
            (tmp_path / f"{number}.bin").write_bytes(bytes(1000))
            uploads.uploaded()
            wait_until(lambda number=number: not (tmp_path / f"{number}.bin").exists())
    finally:
        uploads.close()


def test_an_upload_that_finds_no_room_is_refused_and_old_files_make_room(tmp_path):
    uploads = Uploads(tmp_path, quota_bytes=30_000)
    old = tmp_path / "old.bin"
    old.write_bytes(bytes(25_000))
    uploads.sweep()
    uploads.arrived(10_000)
    assert not old.exists()
    held = tmp_path / "held.bin"
    held.write_bytes(bytes(25_000))
    uploads.in_use = lambda: {held}
    uploads.sweep()
    for _ in range(2):  # at once the second time, without looking again
        with pytest.raises(NoRoom, match="no room for more files"):
            uploads.arrived(10_000)
    assert held.exists()


def test_an_upload_is_counted_as_it_comes_and_ends_where_no_room_is_left():
    pieces = [bytes(64_000)] * 20
    counted: list[int] = []
    left = math.inf  # bytes

    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass

    def arrived(size: int) -> None:
        counted.append(size)
        if sum(counted) > left:
            raise NoRoom()

    def statuses() -> list[int]:
        """Upload all pieces; return what was answered, which is nothing where the app took them all."""
        waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        waiting[-1]["more_body"] = False
        sent: list[Any] = []

        async def receive():
            return waiting.pop(0)

        async def send(message):
            sent.append(message)

        counted.clear()
        scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": []}
        asyncio.run(Doors(app, arrived=arrived)(scope, receive, send))
        return [message["status"] for message in sent if "status" in message]

    assert statuses() == [] and sum(counted) == 1_280_000
    assert max(counted) < 600_000 and len(counted) == 3
    left = 700_000
    assert statuses() == [507] and sum(counted) < 1_200_000


def test_a_visitor_holds_the_newest_uploads_only(tmp_path):
    session = Sessions(Uploads(tmp_path)).open("x")
    paths = [tmp_path / str(number) for number in range(MOST_UPLOADS + 6)]
    for path in paths:
        session.take(path)
    session.take(paths[-2])
    assert session.held == set(paths[-MOST_UPLOADS:]) and session.uploads[-1] == paths[-2]
    large = [tmp_path / f"large-{number}" for number in range(3)]
    for path in large:
        with path.open("wb") as file:
            file.truncate(MOST_UPLOAD_BYTES // 2)  # a hole: it takes no space
        session.take(path)
    assert session.held == set(large[1:])


def test_a_session_that_no_browser_shows_ends_soon(tmp_path, monkeypatch):
    sessions = Sessions(Uploads(tmp_path))
    left, works, shown = (sessions.open(key) for key in ("left", "works", "shown"))
    with sessions.shown("shown"), works.job():
        sessions.close_left()
        assert not left.closed  # its page may not have said yet that it is there
        monkeypatch.setattr("glpn.web.session.LEFT_S", -1.0)
        sessions.close_left()
        assert left.closed
        assert not works.closed
        assert not shown.closed
    sessions.close_left()
    assert len(sessions) == 0


def test_sessions_that_no_browser_shows_leave_first(tmp_path):
    sessions = Sessions(Uploads(tmp_path), most=3)
    shown = sessions.shown("shown")
    with shown:
        first = sessions.open("shown")
        for number in range(5):
            sessions.open(f"flood{number}")
        assert len(sessions) == 3 and sessions.open("shown") is first and not first.closed
    sessions.open("flood5")
    sessions.open("flood6")
    sessions.open("flood7")
    assert first.closed


@unclosed
def test_nothing_is_noted_for_ever(demo, tmp_path):
    demo.upload_file_set.add("x")
    status = gradio.routes.file_upload_statuses
    status.track("continuing")
    status.set_done("done")
    demo.glpn.uploads.sweep()
    assert not demo.upload_file_set and set(status._statuses) == {"continuing"}
    status.stop_tracking("continuing")


def test_folders_of_apps_that_were_killed_go_at_the_next_start(tmp_path):
    code = "import os, pathlib, sys; from glpn.web.temporary import TemporaryFolder; "
    code += "r = TemporaryFolder(pathlib.Path(sys.argv[1])); (r.path / 'photo.jpg').write_text('x'); "
    code += "print(r.path, flush=True); os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    left = Path(killed.stdout.strip())
    mine = tmp_path / "glpn-room-photos"
    mine.mkdir()
    assert (left / "photo.jpg").exists()
    living = TemporaryFolder(tmp_path)
    assert not left.exists() and mine.exists()
    other = TemporaryFolder(tmp_path)
    assert living.path.exists() and other.path.exists() and living.path != other.path
    for room in (living, other):
        room.close()
    assert list(tmp_path.iterdir()) == [mine]


# ---------------------------------------------------------------------------------------------------------- the queue


def never() -> bool:
    return False


@contextmanager
def turn(turns: Turns, stopped: Callable[[], bool] = never, ahead: Any = lambda *ahead: None) -> Iterator[None]:
    with turns.place() as place, turns.turn(place, stopped, ahead):
        yield


def test_estimates_run_one_at_a_time_first_come_first_served():
    turns, order, places = Turns(), [], []
    first, done = threading.Event(), []

    def job(name: str, ready: threading.Event) -> None:
        with turn(turns, ahead=lambda place, seconds: (places.append((name, place)), ready.set())):
            order.append(name)
            if name == "a":
                ready.set()
                first.wait(60)
        done.append(name)

    threads = []
    for name in "abcd":
        ready = threading.Event()
        threads.append(threading.Thread(target=job, args=(name, ready)))
        threads[-1].start()
        assert ready.wait(60)
    assert turns.waiting == 4
    assert places == [("b", 1), ("c", 2), ("d", 3)]
    first.set()
    for thread in threads:
        thread.join(60)
    assert order == list("abcd")
    assert turns.waiting == 0


def test_a_full_queue_refuses_in_a_sentence_and_whoever_stops_leaves_it():
    turns = Turns(most_waiting=2)
    stop, waiting, left = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        try:
            with turn(turns, stop.is_set, lambda *ahead: waiting.set()):
                raise AssertionError("its turn never comes")
        except Cancelled:
            left.set()

    with turn(turns):
        thread = threading.Thread(target=wait)
        thread.start()
        assert waiting.wait(60)
        with pytest.raises(TooBusy, match="2 photos are waiting"), turn(turns):
            pass
        stop.set()
        assert left.wait(60)
        assert turns.waiting == 1
    thread.join(60)


def test_an_estimate_that_never_ends_loses_its_turn():
    turns = Turns(longest_s=0.05)
    got = threading.Event()
    with turn(turns):

        def next_one() -> None:
            with turn(turns):
                got.set()

        thread = threading.Thread(target=next_one)
        thread.start()
        assert got.wait(60)
        thread.join(60)


def test_who_loads_a_model_holds_a_place_and_lets_others_pass():
    turns = Turns(most_waiting=2)
    with turns.place() as slow:
        with turn(turns):
            assert turns.waiting == 2
            with pytest.raises(TooBusy, match="2 photos are waiting"), turns.place():
                pass
        with turns.turn(slow, never, lambda *ahead: None):
            assert not turns.wait_until_idle(0)


def test_closing_refuses_new_jobs_and_lets_the_running_one_finish():
    turns = Turns()
    with turn(turns):
        turns.closed = True
        with pytest.raises(TooBusy, match="restarted"), turn(turns):
            pass
        assert not turns.wait_until_idle(0.01)
    assert turns.wait_until_idle(60)


def message(size: int) -> ProcessCompletedMessage:
    return ProcessCompletedMessage(output={"data": ["x" * size]}, success=True)


@unclosed
def test_answers_that_nobody_fetches_are_forgotten_the_most_first():
    queue = Queue(False, 1, 1, None, gr.Blocks(analytics_enabled=False), None)
    unread.bound(queue, most_bytes=2_000_000)
    pages = queue.pending_messages_per_session

    async def answers() -> None:
        for session in ("slow", "flood", "larger"):
            pages[session] = asyncio.Queue()
        reading = asyncio.create_task(pages["slow"].get())
        await asyncio.sleep(0)
        pages["slow"].put_nowait(message(900_000))
        assert (await reading).output["data"][0].startswith("x")
        pages["slow"].put_nowait(message(900_000))
        pages["flood"].put_nowait(message(500_000))
        assert set(pages) == {"slow", "flood", "larger"}
        pages["larger"].put_nowait(message(800_000))
        assert set(pages) == {"slow", "flood"}
        pages["flood"].put_nowait(message(1_000_000))
        assert set(pages) == {"slow"}  # who reads, slowly, stays

    asyncio.run(answers())
    gc.collect()


# -------------------------------------------------------------------------------------------------------- whose host


@pytest.mark.parametrize(
    ("address", "share", "private", "space", "public"),
    [
        (None, False, False, False, False),
        ("127.0.0.1", False, False, False, False),
        ("localhost", False, False, False, False),
        ("::1", False, False, False, False),
        ("0.0.0.0", False, False, False, True),
        ("192.168.1.2", False, False, False, True),
        ("my-machine", False, False, False, True),
        (None, True, False, False, True),
        ("0.0.0.0", False, True, False, False),
        (None, True, True, False, False),
        (None, False, False, True, True),
    ],
)
def test_beyond_this_machine_is_public_unless_said_otherwise(monkeypatch, address, share, private, space, public):
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    monkeypatch.delenv("GLPN_OWN_CHECKPOINTS", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    if space:
        monkeypatch.setenv("SPACE_ID", "a/b")
    host = Host.of(address, share=share, private=private)
    assert (host.public, host.own_checkpoints) == (public, not public)


def test_gradios_own_setting_of_the_address_counts(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    assert Host.of().public
    assert not is_loopback("example.org")


# --------------------------------------------------------------------------------------------------- the running page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the running page keeps what visitors upload."""
    return tmp_path_factory.mktemp("fake")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served("fake", folder) as url:
        yield url


def ask(url: str, data: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_every_answer_has_the_headers(address):
    for path in ("", "config", "healthz", "glpn-assets/samples/living.jpg", "nothing-here"):
        _, headers, _ = ask(address + path)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"]
        assert "object-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("path", ["", "config", "glpn-assets/js/depth.js"])
def test_text_is_sent_compressed_to_those_who_take_it(address, path):
    _, _, plain = ask(address + path)
    _, headers, packed = ask(address + path, headers={"Accept-Encoding": "gzip"})
    assert headers["content-encoding"] == "gzip"
    assert len(packed) == int(headers["content-length"]) < len(plain) / 3
    assert len(gzip.decompress(packed)) == pytest.approx(len(plain), rel=0.01)  # ids of a visit differ


def test_pictures_and_parts_of_files_are_sent_as_they_are(address):
    photo = "glpn-assets/samples/coffee.jpg"
    _, headers, data = ask(address + photo, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in headers and data == (FOLDER / "coffee.jpg").read_bytes()
    status, headers, part = ask(address + photo, headers={"Accept-Encoding": "gzip", "Range": "bytes=10-1999"})
    assert (status, headers["content-range"].partition("/")[0]) == (206, "bytes 10-1999")
    assert "content-encoding" not in headers and part == data[10:2000]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Origin": "http://evil.example"},
    ],
)
def test_a_loopback_page_takes_no_request_under_another_name(address, headers):
    assert ask(address, headers=headers)[0] == 403
    assert ask(address + "gradio_api/queue/join", {"data": []}, headers)[0] == 403
    assert ask(address)[0] == 200


def test_healthz_tells_how_the_page_is(address):
    status, _, body = ask(address + "healthz")
    facts = json.loads(body)
    assert status == 200
    assert facts["alive"] and not facts["closing"] and facts["waiting_estimates"] == 0
    assert facts["free_disk_bytes"] > 0


def test_only_public_endpoints_answer_directly(address):
    config = json.loads(ask(address + "config")[2])
    public = {event["api_name"] for event in config["dependencies"] if event["api_visibility"] == "public"}
    assert public == {"depth", "estimate", "measure", "models"}
    for event in config["dependencies"][:40]:
        for route in ("run/predict", "api/predict"):
            status, _, body = ask(
                address + f"gradio_api/{route}", {"fn_index": event["id"], "data": [], "session_hash": "x"}
            )
            assert status >= 400, (route, event["id"], body[:200])


def join(address: str, event: int, data: list[Any], session: str) -> str:
    """Send an event as the page does; return what the page would be told, as text."""
    status, _, body = ask(
        address + "gradio_api/queue/join",
        {"fn_index": event, "data": data, "session_hash": session, "trigger_id": None},
    )
    assert status == 200, body
    with urllib.request.urlopen(address + f"gradio_api/queue/data?session_hash={session}", timeout=120) as stream:
        told = ""
        for line in stream:
            told += line.decode()
            if "process_completed" in told or "close_stream" in told:
                return told
    return told


def upload(address: str, name: str, data: bytes) -> str:
    """Upload a file as a visitor does; return the path by which its uploader may name it."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode() + b'"\r\n\r\n' + data
    ) + b"\r\n--x--\r\n"
    request = urllib.request.Request(
        address + "gradio_api/upload", body, {"content-type": "multipart/form-data; boundary=x"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        [path] = json.load(answer)
    return str(path)


def test_an_image_that_asks_for_a_large_upload_gets_it_small_and_upright(address, folder, tmp_path):
    """By its path a visitor's own JPEG alone is made smaller; whoever does not show it gets the file itself."""
    shown = {"Accept": "image/avif,image/webp,image/*,*/*;q=0.8"}
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    pixels = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    large = io.BytesIO()
    Image.fromarray(pixels).save(large, "JPEG", exif=exif)
    png = io.BytesIO()
    Image.fromarray(pixels[:300, :400]).save(png, "PNG")
    url = address + "gradio_api/file="
    own = url + upload(address, "own.jpg", large.getvalue())
    status, headers, data = ask(own, headers=shown)
    assert (status, headers["vary"].lower()) == (200, "accept")
    with Image.open(io.BytesIO(data)) as small:
        assert (small.size, small.format, len(small.getexif())) == ((600, 800), "JPEG", 0)
    assert ask(own, headers={"Accept": "*/*"})[2] == large.getvalue()
    assert ask(own, headers=shown | {"Range": "bytes=0-9"})[2] == large.getvalue()[:10]
    for name, whole in (("own.png", png.getvalue()), ("small.jpg", jpeg()), ("bad.jpg", large.getvalue()[:99] * 1000)):
        assert ask(url + upload(address, name, whole), headers=shown)[2] == whole
    (tmp_path / "diary.jpg").write_bytes(large.getvalue())
    link = Path(own.removeprefix(url)).with_name("link.jpg")
    link.symlink_to(tmp_path / "diary.jpg")
    for path in (tmp_path / "diary.jpg", link):
        assert ask(f"{url}{path}", headers=shown)[0] in (403, 404)


def test_no_event_gives_a_stranger_a_pixel_or_a_hint(address, folder, tmp_path):
    """Walk every event of the page's configuration, with every way to name a file in every input that takes one."""
    (tmp_path / "diary.jpg").write_bytes(jpeg())
    mine = Path(upload(address, "mine.jpg", jpeg()))
    (mine.parent / "link.jpg").symlink_to(tmp_path / "diary.jpg")
    other = folder / "own" / "sessions" / "someone"
    other.mkdir(parents=True)
    (other / "photo.jpg").write_bytes(jpeg())
    paths = [
        tmp_path / "diary.jpg",
        tmp_path / "missing.jpg",
        tmp_path,
        mine.parent,
        mine.parent / "link.jpg",
        mine.parent / ".." / ".." / "diary.jpg",
        other / "photo.jpg",
        other / "missing.jpg",
    ]
    config = json.loads(ask(address + "config")[2])
    kinds = {component["id"]: component["type"] for component in config["components"]}
    files = {id_ for id_, kind in kinds.items() if kind in ("image", "file", "uploadbutton", "video", "gallery")}
    walked = 0
    for event in config["dependencies"]:
        for id_ in files.intersection(event["inputs"]):
            walked += 1
            for path in map(str, paths):
                named = {"path": path}
                tagged = named | {"meta": {"_type": "gradio.FileData"}}
                for value in (path, named, tagged, [tagged], named | {"is_stream": True}, tagged | {"url": "x"}):
                    data = [value if given == id_ else None for given in event["inputs"]]
                    answer = join(address, event["id"], data, os.urandom(8).hex())
                    assert REFUSED in answer and '"success":false' in answer.replace(" ", ""), (event, value, answer)
    assert walked >= 8


def test_one_page_can_not_send_without_end(address):
    config = json.loads(ask(address + "config")[2])
    [load] = [event for event in config["dependencies"] if any(target[1] == "load" for target in event["targets"])][:1]
    body = {"fn_index": load["id"], "data": [None] * len(load["inputs"]), "session_hash": "flood", "trigger_id": None}
    answers = [ask(address + "gradio_api/queue/join", body) for _ in range(unread.MOST_OF_A_PAGE + 3)]
    assert [status for status, _, _ in answers] == [200] * unread.MOST_OF_A_PAGE + [503] * 3
    assert unread.TOO_MANY in answers[-1][2].decode()
    others = join(address, load["id"], [None] * len(load["inputs"]), "newcomer")
    assert '"success":true' in others.replace(" ", "")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "gradio_api/process_recording"),
        ("POST", "gradio_api/component_server"),
        ("POST", "gradio_api/run/predict"),
        ("POST", "gradio_api/stream/x"),
        ("POST", "gradio_api/vibe-edit"),
        ("POST", "login"),
        ("PUT", "gradio_api/upload"),
        ("GET", "gradio_api/deep_link?session_hash=x"),
        ("GET", "gradio_api/file=https://example.org/x.html"),
        ("GET", "gradio_api/file/http://example.org/x.html"),
        ("GET", "gradio_api/file=%68ttps://example.org/x.html"),
        ("GET", "gradio_api/proxy=https://x.hf.space/y"),
        ("GET", "gradio_api/run-history/buckets"),
        ("GET", "monitoring"),
    ],
)
def test_what_the_page_does_not_need_of_gradio_is_closed(address, method, path):
    request = urllib.request.Request(address + path, b"{}" if method != "GET" else None, method=method)
    with pytest.raises(urllib.error.HTTPError) as closed, urllib.request.urlopen(request, timeout=120):
        pass
    with closed.value as answer:
        assert answer.code == 404 and answer.read() == b"There is nothing here."


@unclosed
def test_no_input_of_any_kind_takes_a_path_that_is_no_upload(demo, tmp_path):
    """Whatever Gradio makes of a value: each input of each event, with a path at every depth."""
    paths = [path for path in hostile(tmp_path) if path]
    state = SessionState(demo)

    async def walk() -> int:
        walked = 0
        for event in demo.fns.values():
            for position, component in enumerate(event.inputs):
                path = paths[walked % len(paths)]
                named = {"path": path}
                shapes: list[Any] = [named, [named], {"a": {"b": [named]}}, named | {"url": "x", "is_stream": True}]
                for value in [*shapes, *([path] if carries_files(component) else [])]:
                    values: list[Any] = [None] * len(event.inputs)
                    values[position] = value
                    with pytest.raises(gr.Error) as refusal:
                        await demo.preprocess_data(event, values, state)
                    assert refusal.value.message == REFUSED
                walked += 1
        return walked

    assert asyncio.run(walk()) > 200


def test_a_value_may_be_nested_as_deep_as_it_likes(uploads):
    deep: Any = {"path": "/etc/passwd"}
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(PhotoNotFound):
        uploads.check_value(deep)


@unclosed
def test_a_components_change_does_not_take_its_check_away(demo, tmp_path):
    """Gradio makes a component anew when a handler changes one of its properties."""
    (tmp_path / "diary.jpg").write_bytes(jpeg())
    [event] = [function for function in demo.fns.values() if function.api_name == "estimate"]
    state = SessionState(demo)
    state[event.inputs[0]._id] = gr.File(render=False)
    values = [{"path": str(tmp_path / "diary.jpg")}, *[None] * (len(event.inputs) - 1)]
    with pytest.raises(gr.Error, match="not here any more"):
        asyncio.run(demo.preprocess_data(event, values, state))
    with pytest.raises(gr.Error, match="not here any more"):
        asyncio.run(demo.preprocess_data(event, values[:1], state))  # what is left out has its default


# --------------------------------------------------------------------------------------------------------- life, death


def start(*flags: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    variables = os.environ | {
        "GRADIO_TEMP_DIR": str(folder),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        **environment,
    }
    command = [sys.executable, "app.py", *flags]
    if flags[:1] == ("--as-process-1",):
        command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "app.py", *flags[1:]]
    return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def wait_until_up(url: str, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        try:
            if ask(url + "healthz")[0] == 200:
                return
        except OSError:
            continue
    raise AssertionError(process.stderr.read() if process.stderr else "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_app_in_order(tmp_path, number):
    port = free_port()
    with start("--port", str(port), folder=tmp_path) as process:
        wait_until_up(f"http://127.0.0.1:{port}/", process)
        process.send_signal(number)
        assert process.wait(120) == 0
        assert "Traceback" not in process.stderr.read()
    assert not list(tmp_path.glob("glpn-*"))


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs unshare as root")
def test_sigterm_ends_process_1_of_a_container(tmp_path):
    port = free_port()
    with start("--as-process-1", "--port", str(port), folder=tmp_path) as process:
        wait_until_up(f"http://127.0.0.1:{port}/", process)
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        assert process.wait(120) == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "80000"], "Port 80000 does not exist"),
        (["--port", "-1"], "Port -1 does not exist"),
        (["--host", "300.1.1.1"], "not one of this machine"),
        (["--host", "203.0.113.7"], "can't be used"),
        (["--model", "nyu-b9"], "nyu-b9"),
    ],
)
def test_a_start_that_can_not_be_is_one_sentence(tmp_path, flags, words):
    with start(*flags, folder=tmp_path) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert words in err and len(err.strip().splitlines()) == 1, err


def test_a_taken_port_is_one_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with start("--port", str(taken.getsockname()[1]), folder=tmp_path) as process:
            _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "is taken by another program" in err and len(err.strip().splitlines()) == 1


def test_a_temporary_folder_that_can_not_be_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with start(folder=tmp_path / "file" / "below") as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "temporary folder" in err and len(err.strip().splitlines()) == 1


# --------------------------------------------------------------------------------------------------------- memory held


def test_a_session_holds_no_more_than_twelve_megapixels():
    from glpn.camera import Camera
    from glpn.photo import Photo
    from glpn.web.runner import bounded

    size = (3000, 5000)
    photo = Photo(rgb=np.zeros((*size, 3), np.uint8), size=size)
    prediction = DepthPrediction(
        depth_m=np.full(size, 2, np.float32),
        variant="x",
        max_depth_m=10,
        working_size=(96, 128),
        seconds=0.1,
        camera=Camera.assumed_like(0.8, size),
        photo=photo,
    )
    bound = bounded(prediction)
    small = bound.photo
    assert small.rgb.shape[:2] == bound.size == small.size == (bound.camera.height, bound.camera.width)
    assert 11.9e6 < bound.depth_m.size <= 12.1e6
    assert bound.camera.fov_deg == pytest.approx(prediction.camera.fov_deg)
    assert "15 megapixels" in bound.notes[-1]
