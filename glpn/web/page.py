"""The page as a whole: its parts, its header, and what belongs to all of them."""

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from glpn.scene.figures import COLOR_MAPS, ERROR_COLORS
from glpn.zoo import Zoo

from . import actions, drawing, unread
from .api import ABOUT, add_api
from .guard import forget_files, guard_values, plain_errors
from .pages.about import about
from .pages.compare import ComparePage
from .pages.estimate import EstimatePage
from .pages.evaluate import EvaluatePage
from .pages.live import live
from .pages.many import ManyPage
from .pages.panorama import PanoramaPage
from .pages.video import VideoPage
from .pages.zoo import ZooPage
from .parts.components import ASSETS_URL, asset
from .parts.link_box import LinkBox
from .preview import PROMISE, TITLE
from .runner import Engine, Host, Store
from .samples import FIRST, FOLDER, VARIANT
from .session import Sessions
from .sparing import sparing
from .uploads import Uploads

LANGUAGES = {"en": "English", "de": "Deutsch", "es": "Español", "zh": "中文"}  # each in its own


@dataclass(frozen=True)
class App:
    """What `serve` has to know of a page: it is `demo.glpn`."""

    engine: Engine
    sessions: Sessions
    uploads: Uploads
    first: Path  # the folder of the example that the page opens with


def build_demo(zoo: Zoo, store: Store, *, host: Host | None = None, model: str = VARIANT) -> gr.Blocks:
    """Build the page around a zoo and a store of models. Nothing is loaded until a visitor asks."""
    engine = Engine(zoo, store, host=host or Host.of())
    gr.set_static_paths(FOLDER)  # else each visitor's sample is a copy, and is deleted for all when one visitor leaves
    uploads = Uploads(Path(get_upload_folder()), samples=FOLDER.iterdir())
    sessions = Sessions(uploads)
    first = uploads.folder / "first"
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as demo:
        with gr.Row(elem_id="top"):
            _header()
            link = LinkBox(address=engine.host.shared_at)
        with gr.Tabs(elem_id="pages", overflow_behavior="wrap") as pages:
            with gr.Tab("Estimate", id="estimate") as estimate_tab:
                estimate = EstimatePage(engine, sessions, default_model=model, first=_first(first))
            with gr.Tab("Compare models", id="compare") as compare_tab:
                compare = ComparePage(engine, sessions, photo=estimate.photo, views=estimate.views)
            with gr.Tab("Evaluate", id="evaluate") as evaluate_tab:
                evaluate = EvaluatePage(engine, sessions)
            with gr.Tab("Many photos", id="many") as many_tab:
                many = ManyPage(engine, sessions)
            with gr.Tab("Video", id="video") as video_tab:
                video = VideoPage(engine, sessions)
            with gr.Tab("360°", id="360") as around_tab:
                around = PanoramaPage(engine, sessions)
            with gr.Tab("Live", id="live") as live_tab:
                live()
            with gr.Tab("Zoo", id="zoo") as zoo_tab:
                ZooPage(engine, sessions, tab=zoo_tab)
            with gr.Tab("About", id="about") as about_tab:
                about(zoo)
        tabs = (estimate_tab, compare_tab, evaluate_tab, many_tab, video_tab, around_tab, live_tab, zoo_tab, about_tab)
        link.follow(tabs, sessions)
        around.offered_on(estimate.photo, estimate.around, pages)
        groups = [page.colors for page in (estimate, compare, evaluate, many, video, around)]
        for group in groups:
            group.share_with(other for other in groups if other is not group)
        estimate.wire_load(demo, pages, link, groups)
        add_api(engine, uploads)

        def leave(request: gr.Request) -> None:
            sessions.close(request.session_hash)
            demo.state_holder.session_data.pop(str(request.session_hash), None)  # Gradio would keep it

        demo.unload(plain_errors(leave))
    # Waiting estimates are counted by the engine; tabs, colors and page loads never stand in their line.
    demo.queue(default_concurrency_limit=8, api_open=False)
    unread.bound(demo._queue)
    sparing(demo)
    guard_values(demo, uploads)

    def forget() -> None:
        sessions.close_left()
        forget_files(demo)
        engine.decoded.forget()

    uploads.forget = forget
    demo.description = ABOUT  # of gradio_api/openapi.json
    demo.glpn = App(engine, sessions, uploads, first)
    return demo


def _first(folder: Path) -> dict[str, Any]:
    """Write the files of the example that the page opens with; return what the moving photo needs to fetch them."""
    folder.mkdir(parents=True, exist_ok=True)
    return drawing.photo_3d(actions.example(FIRST), folder, url=f"{ASSETS_URL}/first/")


def _header() -> None:
    maps = {**COLOR_MAPS, "errors": ERROR_COLORS}
    languages = "".join(
        f'<option value="{name}" lang="{name}" translate="no">{own}</option>' for name, own in LANGUAGES.items()
    )
    gr.HTML(
        f"""<header class="top" data-color-maps="{escape(json.dumps(maps))}">
<h1>{TITLE}</h1><p>{PROMISE}</p>
<select class="figure-button" aria-label="Language">{languages}</select>
<button type="button" class="figure-button" data-theme-switch
title="Switch between dark and light">Dark / light</button></header>""",
        js_on_load=asset("page.js"),
        apply_default_css=False,
    )
