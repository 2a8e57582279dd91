"""Starting the server: everything the page needs comes from here, nothing from another host."""

import os
import threading
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import gradio as gr
import plotly
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from glpn.store import ModelStore
from glpn.zoo import Zoo

from .components import ASSETS, ASSETS_URL
from .engine import Host, Store
from .page import build_demo
from .samples import FOLDER
from .theme import DepthTheme

PLOTLY = Path(plotly.__file__).parent / "package_data"
MAX_UPLOAD = "100mb"
MAX_MODELS = 3  # of b4 about 250 MB each


def serve(
    zoo: Zoo,
    *,
    host: str | None = None,
    port: int | None = None,
    share: bool = False,
    model: str = "rooms-b0",
    browser: bool = False,
) -> None:
    """Serve the page until interrupted; `model`, a variant of the zoo, is chosen at first."""
    store = make_store(zoo)
    demo = build_demo(zoo, store, host=Host.detect(), model=model)
    launch(demo, server_name=host, server_port=port, share=share, inbrowser=browser, prevent_thread_lock=True)
    threading.Thread(target=store.get, args=(model,), name="glpn-warm-up", daemon=True).start()
    demo.block_thread()


def make_store(zoo: Zoo) -> Store:
    """Return the store of the running app. PyTorch is imported with the first model, not before the page is up."""

    def load(name: str, **options: Any) -> Any:
        from glpn.compute import use_available_cores
        from glpn.estimator import load_estimator

        use_available_cores()
        return load_estimator(name, zoo=zoo, **options)

    return ModelStore(load, max_models=MAX_MODELS)


def launch(demo: gr.Blocks, **options: Any) -> str:
    """Launch `demo` with the project's look and assets; returns its address. `options` go to Gradio's `launch`."""
    _, url, _ = demo.launch(
        theme=DepthTheme(),
        css_paths=ASSETS / "style.css",
        app_kwargs={"routes": [*_routes()]},
        favicon_path=ASSETS / "favicon.png",
        footer_links=["api"],
        run_history=False,
        enable_monitoring=False,
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        pwa=False,
        **options,
    )
    return str(url)


def _routes() -> list[Mount]:
    folders = {"samples": FOLDER, "plotly": PLOTLY}
    return [Mount(f"/{ASSETS_URL}/{name}", StaticFiles(directory=folder)) for name, folder in folders.items()]
