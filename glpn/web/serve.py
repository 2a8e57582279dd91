"""Starting and ending the server: everything the page needs comes from here, nothing from another host."""

import errno
import logging
import os
import signal
import socket
import threading
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import gradio as gr
import plotly
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from glpn.errors import ConfigError, GLPNError, printable
from glpn.zoo import DEFAULT, Zoo

from .address import Below, reach_this_machine_directly
from .doors import MAX_UPLOAD_BYTES, Doors, health
from .live import LIVE_URL, Live
from .logs import log_through_root, log_to_stderr
from .memory import few_arenas
from .page import App, build_demo
from .parts.components import ASSETS, ASSETS_URL
from .preview import PICTURE, Preview, picture
from .runner import Host, Store
from .samples import FOLDER
from .session import MOST_SESSIONS
from .store import ModelStore
from .temporary import TemporaryFolder, temporary_folder
from .theme import DepthTheme
from .thumbnail import Thumbnails

logger = logging.getLogger(__name__)

PLOTLY = Path(plotly.__file__).parent / "package_data"
MAX_MODELS = 3  # of b4 about 250 MB each
MAX_THREADS = 80  # each waiting estimate holds one, and the page answers from the others
MCP = "GRADIO_MCP_SERVER"  # "true" offers the endpoints to agents as well; read by Gradio
LAST_JOB_S = 20.0  # that a running estimate has to finish when the app ends


def serve(
    zoo: Zoo,
    *,
    host: str | None = None,
    port: int | None = None,
    share: bool = False,
    private: bool = False,
    root_path: str | None = None,
    model: str = DEFAULT,
    browser: bool = False,
) -> None:
    """Serve the page until SIGINT or SIGTERM; `model`, a variant of the zoo, is chosen at first.

    private   trust everybody who can open the page, as on a laptop, although it is served beyond this machine
    root_path   path or address at which a proxy offers the page

    Raises `ConfigError` in one sentence if the address can't be listened on or the temporary folder can't be written.
    """
    few_arenas()
    log_to_stderr()
    check_address(host, port)
    reach_this_machine_directly(host)
    own = Host.of(host, share=share, private=private, root_path=root_path)
    folder = TemporaryFolder(temporary_folder())
    os.environ["GRADIO_TEMP_DIR"] = str(folder.path)  # where Gradio puts uploads: no other app's files are near
    store = make_store(zoo)
    demo = build_demo(zoo, store, host=own, model=model)
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: _end(ended, number, frame))
    options = {"server_name": host, "server_port": port, "share": share, "inbrowser": browser}
    try:
        launch(demo, **options, prevent_thread_lock=True)
    except ConfigError:
        folder.close()
        raise
    except Exception as error:  # whatever Gradio, uvicorn and the system raise: nothing runs yet
        folder.close()
        logger.debug("The page can't be served", exc_info=True)
        reason = printable(" ".join(str(error).split()) or type(error).__name__)
        raise ConfigError(f"The page can't be served: {reason}. Check the options and the environment.") from error
    log_through_root()
    demo.glpn.uploads.start()
    if zoo[model].folder:  # others are downloaded when somebody asks for them
        threading.Thread(target=_warm_up, args=(store, model), name="glpn-warm-up", daemon=True).start()
    while not ended.wait(1.0):
        pass
    close(demo)
    folder.close()


def close(demo: gr.Blocks, *, last_job_s: float = LAST_JOB_S) -> None:
    """End in order: no new jobs, the running one may finish, visitors' files go."""
    app: App = demo.glpn
    app.engine.turns.closed = True
    if not app.engine.turns.wait_until_idle(last_job_s):
        logger.warning("An estimate was still running after %.0f s and was given up", last_job_s)
    app.sessions.close_all()
    demo.close(verbose=False)
    app.uploads.close()


def _end(ended: threading.Event, number: int, frame: FrameType | None) -> None:
    ended.set()


def _warm_up(store: Store, model: str) -> None:
    try:
        store.get(model)
    except GLPNError as error:
        logger.warning("%s is not loaded: %s", model, error)


def check_address(host: str | None, port: int | None) -> None:
    """Raise `ConfigError` unless a server can listen at `host` and `port`."""
    if port is not None and not 0 < port < 65536:
        raise ConfigError(f"Port {port} does not exist. Give one from 1 to 65535, or none for the first free one.")
    address = host or "127.0.0.1"
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address, port or 0, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise ConfigError(f"The address {address!r} is not one of this machine. Give 127.0.0.1 or 0.0.0.0.") from None
    with socket.socket(family, kind, protocol) as trial:
        if os.name != "nt":  # where it would let a second program listen at the same port
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(where)
        except OSError as error:
            reason = (
                "is taken by another program"
                if error.errno == errno.EADDRINUSE
                else f"can't be used ({error.strerror})"
            )
            raise ConfigError(f"{address}, port {port or 'any'}, {reason}. Give another --port or --host.") from None


def make_store(zoo: Zoo) -> Store:
    """Return the store of the running app. PyTorch is imported with the first model, not before the page is up."""

    def load(name: str, **options: Any) -> Any:
        from glpn.estimator import load_estimator
        from glpn.model.device import use_available_cores

        use_available_cores()
        return load_estimator(name, zoo=zoo, **options)

    return ModelStore(load, max_models=MAX_MODELS)


def launch(demo: gr.Blocks, **options: Any) -> str:
    """Launch `demo` with the project's look and assets; returns its address. `options` go to Gradio's `launch`."""
    app: App = demo.glpn
    host = app.engine.host
    doors = Middleware(
        Doors,
        names=None if host.public else host.names,
        trust_proxy=host.trust_proxy,
        arrived=app.uploads.arrived,
        uploaded=app.uploads.uploaded,
        shown=app.sessions.shown,
    )
    models = [spec.id for spec in app.engine.zoo]
    preview = Middleware(Preview, models=models, root_path=host.root_path)
    compress = Middleware(GZipMiddleware, compresslevel=6)  # the page itself, which Gradio sends plain
    thumbnails = Middleware(Thumbnails, uploads=app.uploads, decoded=app.engine.decoded, least=app.engine.least_shown)
    below = Middleware(Below, path=urlsplit(host.root_path).path)
    if os.environ.get(MCP, "").lower() == "true":
        _prepare_tools(app.uploads.root)
    _, url, _ = demo.launch(
        theme=DepthTheme(),
        css_paths=[ASSETS / "style.css", ASSETS / "photo3d.css"],
        app_kwargs={"routes": _routes(app), "middleware": [below, doors, thumbnails, compress, preview]},
        root_path=host.root_path,
        favicon_path=ASSETS / "favicon.png",
        footer_links=["api"],
        run_history=False,
        enable_monitoring=False,
        max_file_size=MAX_UPLOAD_BYTES,
        max_threads=MAX_THREADS,
        state_session_capacity=MOST_SESSIONS,
        ssr_mode=False,
        pwa=False,
        **options,
    )
    return str(url)


def _prepare_tools(folder: Path) -> None:
    """Have the pictures that calls of tools carry written into `folder`, from which they go like any other upload.

    Also mends Gradio 6.31, which gives a tool's several results as one text where the client asks for no progress.
    """
    try:
        import gradio.mcp
    except ImportError:
        raise ConfigError("Tools for agents need the package mcp: pip install 'glpn[mcp]'.") from None
    gradio.mcp.DEFAULT_TEMP_DIR = str(folder)

    async def results(_: Any, job: Any) -> list[Any]:
        result = await run_in_threadpool(job.result)
        return list(result) if isinstance(result, tuple) else [result]

    gradio.mcp.GradioMCPServer._execute_tool_without_progress = results


def _routes(app: App) -> list[BaseRoute]:
    def state() -> dict[str, object]:
        return {
            "alive": True,
            "closing": app.engine.turns.closed,
            "models": list(app.engine.loaded),
            "waiting_estimates": app.engine.turns.waiting,
            "sessions": len(app.sessions),
        }

    folders = {"samples": FOLDER, "plotly": PLOTLY, "js": ASSETS, "first": app.first}
    return [
        Route("/healthz", health(state, app.uploads.root)),
        Route(f"/{LIVE_URL}", Live(app.engine).answer, methods=["POST"]),
        Route("/" + PICTURE.replace("{name}", "{name:str}"), picture),
        *(Mount(f"/{ASSETS_URL}/{name}", StaticFiles(directory=folder)) for name, folder in folders.items()),
    ]
